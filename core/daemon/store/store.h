/*
 * The store: where jobs, tasks, attempts, artifacts and effects survive. Asynchronous, with
 * several backends behind one table of functions and one suite of tests.
 *
 * The engine hands over change sets; the store applies them strictly in the order given, many in
 * one commit when it can, and completes each later through cm_store_dispatch(). A set applies
 * whole or not at all. Its guard is checked inside the same commit.
 */
#ifndef CM_DAEMON_STORE_H
#define CM_DAEMON_STORE_H

#include <stdint.h>

#include "core/daemon/store/row.h"

enum cm_applied {
    CM_APPLIED = 1,        /* durable */
    CM_APPLIED_NOT,        /* the guard did not hold: somebody else's now; nothing was written */
    CM_APPLIED_UNKNOWN,    /* the commit's answer was lost: ask by attempt and fence */
    CM_APPLIED_UNAVAILABLE /* nothing was written: disk full, server away. The store keeps the set
                              and those behind it, tries again by itself and completes it later
                              with another word; this one is a notice that may come many times */
};

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

/* What to read. Strings may be NULL: any. Conditions on jobs hold for other tables' rows through
 * their job (a pipeline: through the jobs that use it); boots know no job and come all. */
struct cm_query {
    enum cm_table table;
    const char *job;   /* rows of this job; for notes also: prefix of their owner */
    const char *owner; /* jobs of this owner */
    const char *request_key;
    int unfinished;     /* jobs that are not over, and of other tables the rows of such jobs */
    int64_t limit;      /* 0: all; jobs come newest first, other rows in key order */
    const char *before; /* jobs with an id below this: paging */
};

typedef void (*cm_store_applied_fn)(void *arg, uint64_t set_id, enum cm_applied how, const char *words);
/* One call per row (the row is the callee's to read, not to keep), then one with row NULL. */
typedef void (*cm_store_row_fn)(void *arg, enum cm_table table, const void *row, const char *error);

struct cm_store;

struct cm_store_ops {
    /* Takes ownership of the sets. */
    void (*apply)(struct cm_store *store, struct cm_change_set **sets, size_t count);
    /* Rows arrive from cm_store_dispatch, after all sets applied before are visible; all as of one moment. */
    void (*query)(struct cm_store *store, const struct cm_query *queries, size_t count, cm_store_row_fn row, void *arg);
    /* Readable when dispatch has something to deliver; -1: poll (memory). */
    int (*fd)(struct cm_store *store);
    /* Delivers completions on the caller's thread. Never blocks. */
    void (*dispatch)(struct cm_store *store);
    /* Waits until everything handed over is completed (shutdown, tests); 0, or -1 after ms. */
    int (*drain)(struct cm_store *store, int64_t timeout_ms);
    void (*close)(struct cm_store *store);
};

struct cm_store {
    const struct cm_store_ops *ops;
    cm_store_applied_fn applied;
    void *arg;
    int shared; /* set by its backend: other daemons may work on it at the same time */
};

/* "memory:", "sqlite:/path/to/file" or "postgresql://…" as libpq takes it. NULL with one line in *error (malloc'd) when
 * it cannot be opened: no permission, a newer schema, not a database; errno is then EAGAIN when that may pass by itself
 * (a full disk, a lock, a server that is away), else EINVAL. Migrations run here. */
struct cm_store *cm_store_open(const char *url, cm_store_applied_fn applied, void *arg, char **error);
/* Whether several daemons can work on a store with this URL at once. */
int cm_store_may_be_shared(const char *url);
void cm_store_apply(struct cm_store *store, struct cm_change_set **sets, size_t count);
void cm_store_query(struct cm_store *store, const struct cm_query *query, cm_store_row_fn row, void *arg);
/* Several, answered one after the other as of one moment, whoever else writes meanwhile. */
void cm_store_query_all(struct cm_store *store, const struct cm_query *queries, size_t count, cm_store_row_fn row,
                        void *arg);
int cm_store_fd(struct cm_store *store);
void cm_store_dispatch(struct cm_store *store);
int cm_store_drain(struct cm_store *store, int64_t timeout_ms);
void cm_store_close(struct cm_store *store);

/* The SQLite backend. The file's folder is locked by PATH.lock: one daemon at a time. */
struct cm_store *cm_store_sqlite_open(const char *path, cm_store_applied_fn applied, void *arg, char **error);

/* The PostgreSQL backend. Several daemons may share one database. */
struct cm_store *cm_store_postgres_open(const char *url, cm_store_applied_fn applied, void *arg, char **error);

/* The memory backend, for the simulator: sets stay pending until cm_store_memory_commit, which
 * commits the oldest `count` of them, and cm_store_memory_crash drops all that are pending. */
struct cm_store *cm_store_memory_open(cm_store_applied_fn applied, void *arg);
size_t cm_store_memory_pending(struct cm_store *store);
void cm_store_memory_commit(struct cm_store *store, size_t count);
void cm_store_memory_crash(struct cm_store *store);
/* Manual mode (the simulator): nothing commits by itself. Default is automatic. */
void cm_store_memory_manual(struct cm_store *store, int manual);

#endif
