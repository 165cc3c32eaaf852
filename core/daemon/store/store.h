/*
 * The store: where jobs, tasks, attempts, artifacts and effects survive. Asynchronous, with
 * several backends behind one table of functions and one suite of tests.
 *
 * The engine hands over change sets; the store applies them strictly in the order given, many in
 * one commit when it can, and completes each later through cm_store_dispatch(). A set applies
 * whole or not at all. Its guard is checked inside the same commit. A store is opened by open.h.
 */
#ifndef CM_DAEMON_STORE_H
#define CM_DAEMON_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "core/daemon/store/change.h"
#include "core/daemon/store/row.h"

enum cm_applied {
    CM_APPLIED = 1,        /* durable */
    CM_APPLIED_NOT,        /* the guard did not hold: somebody else's now; nothing was written */
    CM_APPLIED_UNKNOWN,    /* the commit's answer was lost: ask by attempt and fence */
    CM_APPLIED_UNAVAILABLE /* nothing was written: disk full, server away. The store keeps the set
                              and those behind it, tries again by itself and completes it later
                              with another word; this one is a notice that may come many times */
};

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

void cm_store_apply(struct cm_store *store, struct cm_change_set **sets, size_t count);
void cm_store_query(struct cm_store *store, const struct cm_query *query, cm_store_row_fn row, void *arg);
/* Several, answered one after the other as of one moment, whoever else writes meanwhile. */
void cm_store_query_all(struct cm_store *store, const struct cm_query *queries, size_t count, cm_store_row_fn row,
                        void *arg);
int cm_store_fd(struct cm_store *store);
void cm_store_dispatch(struct cm_store *store);
int cm_store_drain(struct cm_store *store, int64_t timeout_ms);
void cm_store_close(struct cm_store *store);

#endif
