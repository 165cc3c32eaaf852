/*
 * One call as the stages inside the worker see it: what was asked (the begin message and its
 * artifacts), the plugin to ask, and the answer being built.
 *
 * A stage file (stage_stt.c, …) turns artifacts into the request of the contract, calls the
 * plugin, and turns what was emitted into artifacts. A built-in step (builtin_windows.c, …) does
 * the same without a plugin.
 */
#ifndef CM_WORKER_CALL_H
#define CM_WORKER_CALL_H

#include <clipmaker/plugin.h>
#include <stddef.h>

#include "core/common/done.h"

struct json_object;

struct cm_call {
    struct cm_ctx ctx;          /* given to the plugin; host functions find the call from it */
    struct json_object *begin;  /* the whole message, docs/artifacts.md */
    struct json_object *inputs; /* array of {role,key,step,item,path,bytes,facts} */
    struct json_object *params; /* job parameters */
    struct json_object *facts;  /* emitted by emit_fact; object */
    const char *dir;            /* attempt folder, absolute; it may not be there yet */
    int has_folder;
    const char *op, *item;
    const void *ops;            /* the stage's ops struct, copied into a zeroed one of our size */
    struct cm_done *done;       /* the answer; the stage adds artifacts and children */
    struct cm_emitted *emitted; /* what the plugin emitted: kept.h */
    struct cm_host_call *host;  /* what the host remembers of this call: kept.h */
};

/* A stage or built-in step. Writes its artifacts and returns CM_OK, or a failure already recorded
 * by cm_call_fail or by the plugin's host->fail. */
typedef enum cm_verdict (*cm_stage_fn)(struct cm_call *call);

enum cm_verdict cm_stage_source(struct cm_call *call);
enum cm_verdict cm_stage_prepare(struct cm_call *call);
enum cm_verdict cm_stage_stt(struct cm_call *call);
enum cm_verdict cm_stage_llm(struct cm_call *call);
enum cm_verdict cm_stage_render(struct cm_call *call);
enum cm_verdict cm_stage_publish(struct cm_call *call);
enum cm_verdict cm_builtin_windows(struct cm_call *call);
enum cm_verdict cm_builtin_choose(struct cm_call *call);
enum cm_verdict cm_builtin_take(struct cm_call *call);

/* Records a failure of core's own or the plugin's; the words are copied and cleaned. */
void cm_call_record(struct cm_call *call, const struct cm_failure *failure, const char *words);
/* Remembers that `path` could not be written, when `error` is of the kind a person must mend. */
void cm_call_note_disk(struct cm_call *call, const char *path, int error);
/* Records a failure of core's own and returns the verdict. The format is translated. */
enum cm_verdict cm_call_fail(struct cm_call *call, enum cm_verdict verdict, enum cm_reason reason, const char *format,
                             ...) __attribute__((format(printf, 4, 5)));

/* The operation `models`: what the plugin lists becomes an artifact. models: NULL when it cannot. */
enum cm_verdict cm_call_models(struct cm_call *call, enum cm_verdict (*models)(struct cm_ctx *ctx));

/* Records a failed write to `path`: CM_HOLD, RESOURCE, naming its folder, when the disk is full or
 * may not be written, else CM_AGAIN. */
enum cm_verdict cm_call_fail_write(struct cm_call *call, const char *path, int error);

/* Makes the attempt folder when it is not there: a warm worker's is made for the first file. 0, or
 * -1 with errno. */
int cm_call_folder(struct cm_call *call);

/* The first input of this role (and key, unless NULL), or NULL. Borrowed. */
struct json_object *cm_call_input(struct cm_call *call, const char *role, const char *key);
/* Its path, or NULL. Borrowed. */
const char *cm_call_input_path(struct cm_call *call, const char *role);
/* Its content parsed; the caller puts it. NULL after recording a failure (absent, malformed). */
struct json_object *cm_call_read(struct cm_call *call, const char *role, const char *key);
/* Writes `value` to FILE in the attempt folder (atomic, durable) and adds it to the answer. facts
 * may be NULL. Takes no reference. CM_OK, or a recorded failure (full disk: CM_HOLD, RESOURCE). */
enum cm_verdict cm_call_write(struct cm_call *call, const char *role, const char *key, const char *file,
                              struct json_object *value, struct json_object *facts);
/* Adds a file that is already in the attempt folder (or an absolute path): fsyncs, measures, hashes. */
enum cm_verdict cm_call_add_file(struct cm_call *call, const char *role, const char *key, const char *file,
                                 struct json_object *facts);
/* The file that the plugin declared with emit_file for this role: name or absolute path, or NULL. */
const char *cm_call_emitted_file(struct cm_call *call, const char *role);
const char *cm_call_param(struct cm_call *call, const char *name, const char *fallback);
int64_t cm_call_param_int(struct cm_call *call, const char *name, int64_t fallback);

#endif
