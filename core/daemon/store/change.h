/*
 * Change sets: rows to put and to delete, and the guard under which they apply, whole or not at all.
 */
#ifndef CM_DAEMON_STORE_CHANGE_H
#define CM_DAEMON_STORE_CHANGE_H

#include <stddef.h>
#include <stdint.h>

#include "core/daemon/store/row.h"

/* A row that is not there reads as state 0 and fence 0: a guard can ask for its absence. */
enum cm_guard_kind {
    CM_GUARD_NONE = 0, /* always applies */
    CM_GUARD_TASK = 1, /* task (job, step, item) has `state` and `fence` */
    CM_GUARD_JOB,      /* job has `state` */
    CM_GUARD_NO_JOB,   /* no job with this owner (`item`) and request_key (`step`) */
    CM_GUARD_EFFECT,   /* effect (key in `job`) has `state` and `fence` */
    CM_GUARD_NOTE,     /* note (`job` = owner, `step` = name) has value `item`; `state` 0: is absent */
    CM_GUARD_BOOT,     /* boot (id in `job`) has `state` 1: goes on, 2: is over, and beat `fence` */
    CM_GUARD_CLAIM,    /* the claim of `job` names boot `item`; `state` 0: is absent */
    CM_GUARD_COUNT
};

/* Where several daemons share a store, a backend keeps the rows that a guard looked at as they are
 * until its commit (SELECT … FOR UPDATE): two sets that exclude each other never both apply. */
struct cm_guard {
    enum cm_guard_kind kind;
    char *job, *step, *item; /* owned; "" where unused */
    int64_t state, fence;
    char *claimed_job, *claimed_by; /* beside all that: the claim of this job names this boot; NULL for any */
};

enum cm_change_kind {
    CM_CHANGE_PUT = 1,
    CM_CHANGE_DELETE = 2
};

/* PUT inserts or replaces by primary key. DELETE removes by primary key; a job's deletion takes
 * everything of that job with it, except confirmed effects and calls that cost money. */
struct cm_change {
    enum cm_change_kind kind;
    enum cm_table table;
    void *row; /* owned by the set */
};

struct cm_change_set {
    uint64_t id; /* the engine's, ascending */
    struct cm_guard guard;
    struct cm_change *changes;
    size_t count, room;
};

struct cm_change_set *cm_change_set_new(uint64_t id);
/* Takes a deep copy of row. */
void cm_change_put(struct cm_change_set *set, enum cm_table table, const void *row);
void cm_change_delete(struct cm_change_set *set, enum cm_table table, const void *row);
void cm_change_guard(struct cm_change_set *set, enum cm_guard_kind kind, const char *job, const char *step,
                     const char *item, int64_t state, int64_t fence);
/* Beside its guard: only while `job` is claimed by `boot`. */
void cm_change_claimed(struct cm_change_set *set, const char *job, const char *boot);
void cm_change_set_free(struct cm_change_set *set);

#endif
