/*
 * `publish`: a clip that is ready becomes the order of a job that posts it to one target.
 */
#ifndef CM_DAEMON_POST_H
#define CM_DAEMON_POST_H

struct cm_config;
struct cm_order;
struct cm_view;
struct json_object;

/* The pipeline of such jobs, unless the configuration has one of this name itself. */
#define CM_POST_PIPELINE "publish"

/*
 * The request {clip, target, at_ms, title, text, owner, priority, again} as an order. `clip` is "JOB/RANK" or
 * "JOB/RANK/FORMAT", and `view` that job with everything it has; or an absolute path, and `view` is NULL. The same clip
 * to the same target gets the same request key, unless `again`.
 *
 * NULL, or one line why not (malloc'd) with the exit status of sysexits. The order is to be freed in any case.
 */
char *cm_post_check(const struct cm_config *config, const struct cm_view *view, struct json_object *request,
                    struct cm_order *order, int *status);
/* The job in "JOB/RANK…"; "" when `clip` is a path or names none. malloc'd. */
char *cm_post_job(const char *clip);

#endif
