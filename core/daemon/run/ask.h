/*
 * Calls outside of any job: one operation of one instance each, made by a worker of its own that
 * ends after it. They keep nothing: what such a call wants saved or remembered is refused.
 */
#ifndef CM_DAEMON_ASK_H
#define CM_DAEMON_ASK_H

#include <stdint.h>

struct cm_config;
struct cm_done;
struct cm_procs;
struct event_base;
struct json_object;

struct cm_question {
    const struct cm_config *config; /* outlives the call */
    const char *instance, *op;      /* of the config; "models", "check": what its stage knows */
    int64_t deadline_ms;            /* then the worker is killed */
    struct json_object *recalled;   /* what the instance remembers; taken over. NULL: nothing */
};

/* How it ended: `done` as for an attempt, with core's own outcomes for a worker that did not start, crashed or was
 * late; `result` is the content of its first artifact, or NULL. Both borrowed. */
typedef void (*cm_answered_fn)(void *arg, const struct cm_done *done, struct json_object *result);

/* Asks; `answered` is called once, possibly before this returns. Several run side by side. */
void cm_ask(struct event_base *base, struct cm_procs *procs, const struct cm_question *question,
            cm_answered_fn answered, void *arg);

#endif
