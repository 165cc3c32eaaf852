/*
 * A pipeline: its steps, their order, fan-out, fallback chains, tries and deadlines. Parsed from
 * JSON (which config.c makes from libconfig, and which the store keeps with each job), checked
 * once, and never changed after that.
 */
#ifndef CM_DAEMON_PIPELINE_H
#define CM_DAEMON_PIPELINE_H

#include <stddef.h>
#include <stdint.h>

#define CM_MAX_DIMENSIONS 4

/* How many items of a step must succeed. */
struct cm_need {
    enum {
        CM_NEED_ALL = 1,
        CM_NEED_ANY,
        CM_NEED_COUNT,
        CM_NEED_PERCENT
    } kind;
    int64_t number;
};

struct cm_step {
    char *name;
    int stage;     /* enum cm_stage, 0 for a built-in step */
    char *builtin; /* "windows", "choose", or "" */
    char *ask;     /* llm: question */
    char **use;    /* instance names: the fallback chain; "target" stands for the item's own */
    size_t use_count;
    size_t *after; /* indices of earlier steps */
    size_t after_count;
    char *each[CM_MAX_DIMENSIONS]; /* dimensions of its items, outermost first */
    size_t each_count;
    char *makes; /* dimension whose items it makes, or "" */
    struct cm_need need;
    int optional;  /* its failure lets the job go on: tasks become skipped */
    int64_t tries; /* on each link of the chain, ≥ 1 */
    int64_t warn_ms, deadline_ms;
    int64_t stall_ms; /* without a sign of life so long it is killed; 0: never */
};

struct cm_pipeline {
    char *id; /* hash of json */
    char *name;
    char *json;            /* canonical text: what the store keeps */
    struct cm_step *steps; /* in topological order */
    size_t step_count;
    size_t users; /* it goes when the last of them frees it */
};

/* NULL, and *error (malloc'd) a line for each problem, with the step and the field, when it is not
 * sound: unknown field, cycle, unknown step, dimension nobody makes, llm without ask… The dimensions
 * "format" and "target" come from the job's parameters. */
struct cm_pipeline *cm_pipeline_parse(const char *json, char **error);
void cm_pipeline_free(struct cm_pipeline *pipeline);
/* One more user of it, who frees it, too. On one thread. */
struct cm_pipeline *cm_pipeline_share(struct cm_pipeline *pipeline);
const struct cm_step *cm_pipeline_step(const struct cm_pipeline *pipeline, const char *name);

#endif
