/*
 * A store with a thread of its own: the owner hands over sets and queries and hears of their end on
 * its own thread, whatever the database does meanwhile. What is done with them, a backend says.
 */
#ifndef CM_DAEMON_STORE_THREAD_H
#define CM_DAEMON_STORE_THREAD_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "core/daemon/store/queue.h"
#include "core/daemon/store/store.h"

struct cm_store_thread;

/* What differs from one database to the next. All are called on the thread but release. */
struct cm_store_backend {
    /* Commits some of the sets at the head of thread->work (there is one at least), tells thread->done of
     * each and drops it. -1: nothing was written, and thread->done has the notice; it is tried again. */
    int (*commit)(struct cm_store_thread *thread);
    /* Answers the query at the head of thread->work, or with it those right behind: rows and their ends go to
     * thread->done. */
    void (*answer)(struct cm_store_thread *thread);
    void (*release)(struct cm_store_thread *thread); /* frees all that is the backend's; on the owner's thread */
};

/* The first member of a backend's own struct. */
struct cm_store_thread {
    struct cm_store store; /* first: ops get a pointer to it */
    const struct cm_store_backend *backend;

    /* The thread's own while it runs. */
    struct cm_inbox work;  /* taken from the inbox, not done yet */
    struct cm_outbox done; /* on its way to the outbox */
    int64_t pause_ms;      /* after the next failure */

    /* The owner's own. */
    pthread_t thread;
    int event_fd;
    struct cm_outbox ready;

    /* Shared, under the mutex. */
    pthread_mutex_t mutex;
    pthread_cond_t wake; /* the thread: something came, or stop */
    pthread_cond_t told; /* the owner, in drain: something is in the outbox, or all is done */
    struct cm_inbox inbox;
    struct cm_outbox outbox;
    int busy, stop;
};

/* Readies a zeroed one. 0, or -1 with *error. */
int cm_store_thread_init(struct cm_store_thread *self, const struct cm_store_backend *backend,
                         cm_store_applied_fn applied, void *arg, char **error);
/* 0, or -1 with *error. Signals stay with the owner's thread. */
int cm_store_thread_start(struct cm_store_thread *self, char **error);
/* Frees all but the struct itself; the thread has ended or never began. */
void cm_store_thread_release(struct cm_store_thread *self);
/* On the thread: whether it should end. */
int cm_store_thread_stops(struct cm_store_thread *self);
/* On the thread: waits for so long, less when it should end. Whether to go on. */
int cm_store_thread_pause(struct cm_store_thread *self, int64_t ms);
/* On the thread: what is in `done` becomes visible to the owner. */
void cm_store_thread_tell(struct cm_store_thread *self);

#endif
