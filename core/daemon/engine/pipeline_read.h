/*
 * The parts of reading a pipeline: one step's fields, its dimensions, and the canonical text.
 * Private to the pipeline's files.
 */
#ifndef CM_DAEMON_PIPELINE_READ_H
#define CM_DAEMON_PIPELINE_READ_H

#include "core/daemon/engine/pipeline.h"

struct json_object;

/* A step while it is being read: its names are not yet looked up. */
struct cm_step_draft {
    struct cm_step step;
    char **after_names;
    size_t after_name_count;
    struct json_object *json;
};

/* Reads draft->json into the rest, with defaults. NULL, or what is wrong (malloc'd). */
char *cm_step_read(struct cm_step_draft *draft);
/* The dimensions of a placed step against the steps before it: likewise. */
char *cm_step_check_dimensions(const struct cm_pipeline *pipeline, size_t index);
/* Fills in json and id from name and steps. */
void cm_pipeline_write(struct cm_pipeline *pipeline);

int cm_pipeline_is_name(const char *text);
/* "; did you mean …?" or "", malloc'd. */
char *cm_pipeline_hint(const char *wrong, const char *const *names, size_t count);

#endif
