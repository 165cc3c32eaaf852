/*
 * A state folder that no clipmakerd serves, such as DIR/.clipmaker/KEY of a run: its store is read
 * here, in the shape in which the control protocol answers.
 */
#ifndef CM_CTL_OFFLINE_H
#define CM_CTL_OFFLINE_H

#include <stdint.h>

struct cm_where;
struct json_object;

/* The state folder when it is to be read offline, malloc'd; NULL: ask the daemon. */
char *cm_offline_state(const struct cm_where *where);
/* The answers to "jobs", "show" and "costs", and what fsck finds (an array of lines). NULL after a line on
 * stderr, with *status. */
struct json_object *cm_offline_jobs(const char *state, const char *owner, long long limit, int *status);
struct json_object *cm_offline_show(const char *state, const char *job, int *status);
struct json_object *cm_offline_costs(const char *state, const char *job, const char *by, int64_t since_ms, int *status);
struct json_object *cm_offline_fsck(const char *state, int thorough, int *status);

#endif
