/*
 * The thread of a store: its inbox, its outbox, and the waiting for both.
 */
#include "core/daemon/store/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/common/log.h"
#include "core/common/text.h"

enum {
    FIRST_PAUSE_MS = 50,
    LONGEST_PAUSE_MS = 2000
};

/* ---- The thread ------------------------------------------------------------------------------ */

void cm_store_thread_tell(struct cm_store_thread *self)
{
    if (!self->done.first)
        return;
    pthread_mutex_lock(&self->mutex);
    cm_outbox_move(&self->outbox, &self->done);
    pthread_cond_broadcast(&self->told);
    pthread_mutex_unlock(&self->mutex);
    uint64_t one = 1;
    ssize_t written = write(self->event_fd, &one, sizeof one);
    (void)written; /* fails only when the counter is full: readable all the same */
}

static struct timespec after_ms(int64_t ms)
{
    struct timespec when;
    clock_gettime(CLOCK_MONOTONIC, &when);
    when.tv_sec += ms / 1000;
    when.tv_nsec += ms % 1000 * 1000000;
    if (when.tv_nsec >= 1000000000) {
        when.tv_sec++;
        when.tv_nsec -= 1000000000;
    }
    return when;
}

int cm_store_thread_stops(struct cm_store_thread *self)
{
    pthread_mutex_lock(&self->mutex);
    int stop = self->stop;
    pthread_mutex_unlock(&self->mutex);
    return stop;
}

int cm_store_thread_pause(struct cm_store_thread *self, int64_t ms)
{
    struct timespec until = after_ms(ms);
    pthread_mutex_lock(&self->mutex);
    while (!self->stop && pthread_cond_timedwait(&self->wake, &self->mutex, &until) == 0)
        continue;
    int stop = self->stop;
    pthread_mutex_unlock(&self->mutex);
    return !stop;
}

/* Waits before the next try, longer each time; whether to go on. */
static int pause_after_failure(struct cm_store_thread *self)
{
    int64_t ms = self->pause_ms;
    self->pause_ms = ms * 2 < LONGEST_PAUSE_MS ? ms * 2 : LONGEST_PAUSE_MS;
    return cm_store_thread_pause(self, ms);
}

/* Takes what came, waiting for it when there is nothing to do; 0: time to end. */
static int take_work(struct cm_store_thread *self)
{
    pthread_mutex_lock(&self->mutex);
    while (!self->work.first && !self->inbox.first && !self->stop) {
        self->busy = 0;
        pthread_cond_broadcast(&self->told);
        pthread_cond_wait(&self->wake, &self->mutex);
    }
    self->busy = 1;
    cm_inbox_move(&self->work, &self->inbox);
    pthread_mutex_unlock(&self->mutex);
    return self->work.first != NULL;
}

static void *serve(void *arg)
{
    struct cm_store_thread *self = arg;
    while (take_work(self)) {
        int is_set = self->work.first->set != NULL, failed = is_set && self->backend->commit(self) != 0;
        if (!is_set)
            self->backend->answer(self);
        else if (!failed)
            self->pause_ms = FIRST_PAUSE_MS;
        cm_store_thread_tell(self);
        if (failed && !pause_after_failure(self))
            break;
    }
    return NULL;
}

/* ---- The functions of the store -------------------------------------------------------------- */

static struct cm_store_thread *thread_of(struct cm_store *store)
{
    return (struct cm_store_thread *)store;
}

static void thread_apply(struct cm_store *store, struct cm_change_set **sets, size_t count)
{
    struct cm_store_thread *self = thread_of(store);
    struct cm_inbox fresh = {0};
    for (size_t i = 0; i < count; i++)
        cm_inbox_add_set(&fresh, sets[i]);
    pthread_mutex_lock(&self->mutex);
    cm_inbox_move(&self->inbox, &fresh);
    pthread_cond_signal(&self->wake);
    pthread_mutex_unlock(&self->mutex);
}

static void thread_query(struct cm_store *store, const struct cm_query *queries, size_t count, cm_store_row_fn row,
                         void *arg)
{
    struct cm_store_thread *self = thread_of(store);
    struct cm_inbox fresh = {0};
    for (size_t i = 0; i < count; i++)
        cm_inbox_add_query(&fresh, &queries[i], row, arg);
    pthread_mutex_lock(&self->mutex);
    cm_inbox_move(&self->inbox, &fresh);
    pthread_cond_signal(&self->wake);
    pthread_mutex_unlock(&self->mutex);
}

static int thread_fd(struct cm_store *store)
{
    return thread_of(store)->event_fd;
}

static void thread_dispatch(struct cm_store *store)
{
    struct cm_store_thread *self = thread_of(store);
    uint64_t told;
    ssize_t got = read(self->event_fd, &told, sizeof told);
    (void)got; /* nothing to read is fine: look all the same */
    pthread_mutex_lock(&self->mutex);
    cm_outbox_move(&self->ready, &self->outbox);
    pthread_mutex_unlock(&self->mutex);
    cm_outbox_deliver(&self->ready, store);
}

/* Waits for the outbox to have something, or for all to be done; 0: nothing came in time. */
static int wait_told(struct cm_store_thread *self, const struct timespec *until, int *idle)
{
    int late = 0;
    pthread_mutex_lock(&self->mutex);
    while (!self->outbox.first && (self->busy || self->inbox.first) && !late)
        late = pthread_cond_timedwait(&self->told, &self->mutex, until) == ETIMEDOUT;
    *idle = !self->busy && !self->inbox.first && !self->outbox.first;
    pthread_mutex_unlock(&self->mutex);
    return !late;
}

static int past(const struct timespec *until)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > until->tv_sec || (now.tv_sec == until->tv_sec && now.tv_nsec >= until->tv_nsec);
}

static int thread_drain(struct cm_store *store, int64_t timeout_ms)
{
    struct cm_store_thread *self = thread_of(store);
    struct timespec until = after_ms(timeout_ms);
    for (;;) {
        int idle = 0, in_time = wait_told(self, &until, &idle);
        thread_dispatch(store);
        if (idle)
            return 0;
        if (!in_time || past(&until))
            return -1;
    }
}

/* Commits what is queued if that works at once; nobody hears of it any more. */
static void thread_close(struct cm_store *store)
{
    struct cm_store_thread *self = thread_of(store);
    pthread_mutex_lock(&self->mutex);
    self->stop = 1;
    pthread_cond_signal(&self->wake);
    pthread_mutex_unlock(&self->mutex);
    pthread_join(self->thread, NULL);
    self->backend->release(self);
}

static const struct cm_store_ops thread_ops = {
    .apply = thread_apply,
    .query = thread_query,
    .fd = thread_fd,
    .dispatch = thread_dispatch,
    .drain = thread_drain,
    .close = thread_close,
};

/* ---- Birth and end --------------------------------------------------------------------------- */

int cm_store_thread_init(struct cm_store_thread *self, const struct cm_store_backend *backend,
                         cm_store_applied_fn applied, void *arg, char **error)
{
    self->store.ops = &thread_ops;
    self->store.applied = applied;
    self->store.arg = arg;
    self->backend = backend;
    self->pause_ms = FIRST_PAUSE_MS;
    self->busy = 1; /* until the thread says otherwise */
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&self->mutex, NULL);
    pthread_cond_init(&self->wake, &monotonic);
    pthread_cond_init(&self->told, &monotonic);
    pthread_condattr_destroy(&monotonic);
    self->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->event_fd < 0)
        *error = cm_format(_("cannot make an eventfd: %s"), strerror(errno));
    return self->event_fd < 0 ? -1 : 0;
}

int cm_store_thread_start(struct cm_store_thread *self, char **error)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int problem = pthread_create(&self->thread, NULL, serve, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (problem != 0)
        *error = cm_format(_("cannot start the store's thread: %s"), strerror(problem));
    return problem == 0 ? 0 : -1;
}

void cm_store_thread_release(struct cm_store_thread *self)
{
    if (self->event_fd >= 0)
        close(self->event_fd);
    cm_inbox_clear(&self->work);
    cm_inbox_clear(&self->inbox);
    cm_outbox_clear(&self->done);
    cm_outbox_clear(&self->outbox);
    cm_outbox_clear(&self->ready);
    pthread_mutex_destroy(&self->mutex);
    pthread_cond_destroy(&self->wake);
    pthread_cond_destroy(&self->told);
    self->backend = NULL;
}
