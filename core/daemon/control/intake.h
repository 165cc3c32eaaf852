/*
 * What may become a job: every parameter is checked and every default filled in before anything
 * is kept.
 */
#ifndef CM_DAEMON_INTAKE_H
#define CM_DAEMON_INTAKE_H

#include <stdint.h>

struct cm_config;
struct json_object;

/* A job to be. Strings owned. */
struct cm_order {
    char *owner, *request_key, *pipeline, *source, *params;
    int64_t priority;
};

/* Checks the request {source, params, owner, priority, request_key, pipeline}. NULL, or one line
 * why not (malloc'd) with the exit status of sysexits. Looks whether files are there; nothing
 * else outside the config. */
char *cm_intake_check(const struct cm_config *config, struct json_object *request, struct cm_order *order, int *status);
void cm_order_free(struct cm_order *order);

/* Owner, request key and priority of any request. NULL, or one line why not. */
char *cm_intake_sender(struct json_object *request, int *status);
/* That there is no such target, with those of like names, or all. malloc'd. */
char *cm_intake_no_target(const struct cm_config *config, const char *name);

#endif
