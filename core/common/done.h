/*
 * How an attempt ended, as the worker tells it and as the daemon records it. Encoded as the
 * message "done" (docs/artifacts.md, "Messages").
 */
#ifndef CM_COMMON_DONE_H
#define CM_COMMON_DONE_H

#include <stddef.h>
#include <stdint.h>

struct json_object;

/* The six verdicts of the contract have their own numbers (1..6); core adds these. */
enum cm_outcome {
    CM_OUTCOME_CRASHED = 101, /* the worker died by itself */
    CM_OUTCOME_TIMEOUT,       /* the daemon killed it at its deadline */
    CM_OUTCOME_NOSTART,       /* the worker or the plugin could not be started */
    CM_OUTCOME_LOST,          /* an earlier daemon ran it; nobody knows how it ended */
    CM_OUTCOME_CANCELLED,     /* killed because the job is cancelled */
    CM_OUTCOME_INTERRUPTED    /* killed because the daemon stops: burns no try */
};

struct cm_done_artifact {
    char *role, *key;
    char *file; /* name inside the attempt folder, or an absolute path */
    int64_t bytes;
    char *sha256;
    char *facts; /* JSON object text */
};

/* Strings are owned and never NULL ("" when absent). */
struct cm_done {
    int outcome; /* enum cm_verdict or enum cm_outcome; 0 is invalid */
    int reason;  /* enum cm_reason, 0: none */
    int scope;   /* enum cm_scope */
    int64_t delay_ms;
    char *words;
    struct cm_done_artifact *artifacts;
    size_t artifact_count;
    char *dimension; /* that its children belong to, or "" */
    char **children; /* keys, in order */
    size_t child_count;
    char *post_id, *url; /* publish, find */
    int found;           /* enum cm_found, 0: not asked */
};

struct cm_done *cm_done_new(int outcome);
void cm_done_free(struct cm_done *done);
struct cm_done *cm_done_copy(const struct cm_done *done);
void cm_done_add_artifact(struct cm_done *done, const char *role, const char *key, const char *file, int64_t bytes,
                          const char *sha256, const char *facts);
void cm_done_add_child(struct cm_done *done, const char *key);
void cm_done_text(char **field, const char *text);

/* To and from the message; decode checks every field, and gives NULL with *error (malloc'd). */
struct json_object *cm_done_encode(const struct cm_done *done);
/* The same without what is empty. */
struct json_object *cm_done_encode_short(const struct cm_done *done);
struct cm_done *cm_done_decode(struct json_object *message, char **error);

const char *cm_outcome_name(int outcome);   /* "ok", "again", …, "crashed" */
int cm_outcome_from_name(const char *name); /* 0: unknown */
const char *cm_reason_name(int reason);     /* "no_speech" …; "" for 0 */
int cm_reason_from_name(const char *name);
const char *cm_scope_name(int scope);
int cm_scope_from_name(const char *name);
const char *cm_stage_name(int stage); /* "source" … */
int cm_stage_from_name(const char *name);

#endif
