/*
 * The host's side of a call: the functions that the plugin sees, in host.c and host_*.c, gathered into one table.
 */
#ifndef CM_WORKER_HOST_H
#define CM_WORKER_HOST_H

#include <clipmaker/plugin.h>
#include <stddef.h>

#include "core/worker/kept.h"

struct cm_call;
struct json_object;

/* Readies call->ctx, call->emitted, call->host and call->facts. begin must be set. */
void cm_host_open(struct cm_call *call);
void cm_host_close(struct cm_call *call);
struct cm_call *cm_host_of(struct cm_ctx *ctx);

/* What the plugin's own return value means, given what it told fail(). Fills call->done. */
enum cm_verdict cm_host_judge(struct cm_call *call, enum cm_verdict returned);
void *cm_host_alloc(struct cm_ctx *ctx, size_t bytes);
char *cm_host_copy(struct cm_ctx *ctx, const char *text);
/* The text with bad UTF-8 replaced, so that it can stand in JSON. */
char *cm_host_clean(struct cm_ctx *ctx, const char *text);
int cm_host_stopping(struct cm_ctx *ctx);
/* A sign of life where there is no news: the progress once more. At most four a second reach the daemon. */
void cm_host_alive(struct cm_ctx *ctx);
int cm_host_sending(struct cm_ctx *ctx);
/* Copies a struct that starts with its size from a plugin that may be older or newer than us. */
void cm_host_take(void *ours, size_t our_bytes, const void *theirs);
/* And back: into a struct of the plugin's. */
void cm_host_give(void *theirs, const void *ours, size_t our_bytes);

/* host_emit.c */
int cm_host_emit_file(struct cm_ctx *ctx, const struct cm_file *file);
void cm_host_emit_word(struct cm_ctx *ctx, const struct cm_word *word);
void cm_host_emit_segment(struct cm_ctx *ctx, const struct cm_segment *segment);
void cm_host_emit_speech(struct cm_ctx *ctx, const struct cm_interval *interval);
void cm_host_emit_chunk(struct cm_ctx *ctx, const struct cm_chunk *chunk);
void cm_host_emit_cue(struct cm_ctx *ctx, const struct cm_cue *cue);
void cm_host_emit_fact(struct cm_ctx *ctx, const char *name, const char *json_value);

/* host_json.c */
const struct cm_json *cm_host_json_parse(struct cm_ctx *ctx, const char *text, size_t bytes);
const struct cm_json *cm_host_json_at(struct cm_ctx *ctx, const struct cm_json *value, const char *path);
const char *cm_host_json_string(struct cm_ctx *ctx, const struct cm_json *value, const char *fallback);
double cm_host_json_number(struct cm_ctx *ctx, const struct cm_json *value, double fallback);
int64_t cm_host_json_int(struct cm_ctx *ctx, const struct cm_json *value, int64_t fallback);
int cm_host_json_bool(struct cm_ctx *ctx, const struct cm_json *value, int fallback);
size_t cm_host_json_count(struct cm_ctx *ctx, const struct cm_json *value);
const char *cm_host_json_text(struct cm_ctx *ctx, const struct cm_json *value);
const char *cm_host_json_quote(struct cm_ctx *ctx, const char *text);

/* host_run.c */
int cm_host_run(struct cm_ctx *ctx, const char *const *argv, int64_t deadline_ms, const char **out, const char **err);

/* http.c */
enum cm_http_outcome cm_host_http(struct cm_ctx *ctx, const struct cm_http_request *request,
                                  struct cm_http_answer *answer);
const char *cm_host_http_header(struct cm_ctx *ctx, const char *name);

/* paid.c: the same exchange, for requests that may cost money. */
enum cm_http_outcome cm_host_http_paid(struct cm_ctx *ctx, const struct cm_http_request *request,
                                       struct cm_http_answer *answer);
void cm_host_spent(struct cm_ctx *ctx, const struct cm_spending *used);
/* The kept answer of a call (call->host->paid after it) is of no use: the same request is sent anew. "": nothing. */
void cm_host_drop_answer(struct cm_ctx *ctx, const char *paid);

#endif
