/*
 * A job as people ask for it: its rows out of the store, and the JSON of the control protocol.
 */
#ifndef CM_DAEMON_VIEWS_H
#define CM_DAEMON_VIEWS_H

#include "core/daemon/store/row.h"

struct cm_daemon;
struct json_object;

struct cm_view_rows {
    void **rows;
    size_t count, room;
};

struct cm_view {
    struct cm_daemon *daemon;
    struct cm_job_row *job; /* NULL: there is no such job */
    struct cm_view_rows tasks, attempts, artifacts, effects, calls;
    struct cm_pipeline *pipeline; /* as it stood when the job began; NULL when it is not known */
};

/* The view lives until the call returns. error: NULL, or why the store did not answer. */
typedef void (*cm_view_fn)(void *arg, const struct cm_view *view, const char *error);
/* `whole`: with artifacts, effects and paid calls. */
void cm_view_job(struct cm_daemon *daemon, const char *job, int whole, cm_view_fn done, void *arg);

/* New references. */
struct json_object *cm_view_summary(const struct cm_view *view);
struct json_object *cm_view_show(const struct cm_view *view);

#endif
