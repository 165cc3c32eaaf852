/*
 * One step of the road on artifacts that a fuzzer made up: the same code as in a worker, without its
 * process, its plugin and its socket.
 */
#ifndef CM_TESTS_FUZZ_STEP_H
#define CM_TESTS_FUZZ_STEP_H

#include "core/worker/call.h"

struct json_object;

struct step {
    cm_stage_fn run;
    const void *ops; /* of the stage, or NULL */
    const char *item, *op;
    struct json_object *begin;  /* what the begin message has more; may be NULL */
    struct json_object *params; /* may be NULL */
    struct json_object *inputs; /* from step_inputs */
};

/* The folder of this process, in TMPDIR; made at the first call. */
const char *step_folder(void);
/* A file of that folder. malloc'd. */
char *step_path(const char *name);
void step_write(const char *name, const char *bytes, size_t count);
/* The inputs of a call from [{"role","key","item","facts","value" or "text"}…]; the values become files. New. */
struct json_object *step_inputs(struct json_object *list);
/* Runs it; the answer is encoded, decoded again and given back: new, never NULL. */
struct cm_done *step_run(const struct step *step);
/* An artifact of the answer, or NULL. New. */
struct json_object *step_artifact(const struct cm_done *done, const char *role, size_t number);

#endif
