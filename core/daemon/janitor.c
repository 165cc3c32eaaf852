/*
 * One thread with a queue, and an eventfd that tells the loop of work done.
 */
#include "core/daemon/janitor.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/text.h"

#define STACK_BYTES (512 * 1024)

struct chore {
    struct chore *next;
    void (*work)(void *arg);
    void (*done)(void *arg);
    void *arg;
};

struct queue {
    struct chore *first, **last;
};

struct cm_janitor {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct queue todo, finished;
    int stop;
    int fd;
    struct event *ready;
};

static void add(struct queue *queue, struct chore *chore)
{
    chore->next = NULL;
    *queue->last = chore;
    queue->last = &chore->next;
}

static struct chore *take(struct queue *queue)
{
    struct chore *chore = queue->first;
    if (chore) {
        queue->first = chore->next;
        queue->last = queue->first ? queue->last : &queue->first;
    }
    return chore;
}

static void tell_loop(struct cm_janitor *janitor)
{
    uint64_t one = 1;
    while (write(janitor->fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

static void *run(void *arg)
{
    struct cm_janitor *janitor = arg;
    pthread_mutex_lock(&janitor->lock);
    while (!janitor->stop || janitor->todo.first) {
        struct chore *chore = take(&janitor->todo);
        if (!chore) {
            pthread_cond_wait(&janitor->wake, &janitor->lock);
            continue;
        }
        pthread_mutex_unlock(&janitor->lock);
        chore->work(chore->arg);
        pthread_mutex_lock(&janitor->lock);
        add(&janitor->finished, chore);
        tell_loop(janitor);
    }
    pthread_mutex_unlock(&janitor->lock);
    return NULL;
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct cm_janitor *janitor = arg;
    uint64_t count;
    ssize_t got = read(fd, &count, sizeof count);
    (void)got;
    for (;;) {
        pthread_mutex_lock(&janitor->lock);
        struct chore *chore = take(&janitor->finished);
        pthread_mutex_unlock(&janitor->lock);
        if (!chore) {
            return;
        }
        if (chore->done) {
            chore->done(chore->arg);
        }
        free(chore);
    }
}

struct cm_janitor *cm_janitor_new(struct event_base *base)
{
    struct cm_janitor *janitor = cm_alloc(sizeof *janitor);
    janitor->todo.last = &janitor->todo.first;
    janitor->finished.last = &janitor->finished.first;
    pthread_mutex_init(&janitor->lock, NULL);
    pthread_cond_init(&janitor->wake, NULL);
    janitor->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    janitor->ready = event_new(base, janitor->fd, EV_READ | EV_PERSIST, on_ready, janitor);
    event_add(janitor->ready, NULL);
    /* Signals are for the loop. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    if (janitor->fd < 0 || pthread_create(&janitor->thread, &attributes, run, janitor) != 0) {
        cm_fatal(71, "cannot start a thread: %s", strerror(errno));
    }
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return janitor;
}

void cm_janitor_free(struct cm_janitor *janitor)
{
    if (!janitor) {
        return;
    }
    pthread_mutex_lock(&janitor->lock);
    janitor->stop = 1;
    pthread_cond_signal(&janitor->wake);
    pthread_mutex_unlock(&janitor->lock);
    pthread_join(janitor->thread, NULL);
    struct chore *chore;
    while ((chore = take(&janitor->todo)) || (chore = take(&janitor->finished))) {
        free(chore);
    }
    event_free(janitor->ready);
    close(janitor->fd);
    pthread_cond_destroy(&janitor->wake);
    pthread_mutex_destroy(&janitor->lock);
    free(janitor);
}

void cm_janitor_do(struct cm_janitor *janitor, void (*work)(void *arg), void (*done)(void *arg), void *arg)
{
    struct chore *chore = cm_alloc(sizeof *chore);
    chore->work = work;
    chore->done = done;
    chore->arg = arg;
    pthread_mutex_lock(&janitor->lock);
    add(&janitor->todo, chore);
    pthread_cond_signal(&janitor->wake);
    pthread_mutex_unlock(&janitor->lock);
}

static void remove_work(void *arg)
{
    if (cm_folder_remove(arg) != 0) {
        cm_warn("cannot remove %s: %s", (const char *)arg, strerror(errno));
    }
    free(arg);
}

void cm_janitor_remove(struct cm_janitor *janitor, const char *path)
{
    cm_janitor_do(janitor, remove_work, NULL, cm_strdup(path));
}
