/*
 * The workers that live, and who may be used again.
 */
#include "core/daemon/run/workers.h"

#include <errno.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/text.h"
#include "core/daemon/config/config.h"

#define WORKER_MAGIC 0x636d776bu

/* A plugin instance as it was when the worker was started; `use` is compared only. */
struct identity {
    const struct cm_plugin_use *use;
    dev_t device;
    ino_t inode;
    struct timespec changed;
};

struct cm_worker {
    unsigned magic;
    struct cm_worker *next;
    struct cm_workers *workers;
    struct cm_proc *proc;
    char *folder; /* "" without one */
    char *name;   /* of its instance */
    struct identity identity;
    int once, hello, retire, quitting, busy;
    int keeps_folder; /* somebody else clears it */
    int64_t served;
    struct event *timer; /* idle: then it ends; quitting: then it is killed */
    cm_proc_message_fn message;
    cm_proc_ended_fn ended;
    void *arg;
};

struct cm_workers {
    struct event_base *base;
    struct cm_procs *procs;
    struct cm_worker *first;
    char *program, *folder;
    uint64_t serial;
    int64_t idle_ms, attempts_max, kill_after_ms;
};

static struct cm_worker *worker_of(void *arg)
{
    struct cm_worker *worker = arg;
    cm_assert(worker->magic == WORKER_MAGIC);
    return worker;
}

/* ---- Ending one ------------------------------------------------------------------------------ */

static void set_timer(struct cm_worker *worker, int64_t ms)
{
    struct timeval after = {ms / 1000, (ms % 1000) * 1000};
    event_add(worker->timer, &after);
}

static void quit(struct cm_worker *worker)
{
    if (worker->quitting) {
        return;
    }
    struct json_object *message = cm_message_new("quit");
    worker->quitting = 1;
    worker->retire = 1;
    if (cm_proc_send(worker->proc, message) != CM_MESSAGE_OK) {
        cm_proc_signal(worker->proc, SIGKILL);
    }
    json_object_put(message);
    set_timer(worker, worker->workers->kill_after_ms);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct cm_worker *worker = worker_of(arg);
    if (worker->quitting) {
        cm_warn("worker %d did not end when it was told to: killed", (int)cm_proc_pid(worker->proc));
        cm_proc_signal(worker->proc, SIGKILL);
    } else if (!worker->busy) {
        quit(worker);
    }
}

static void forget(struct cm_worker *worker)
{
    for (struct cm_worker **place = &worker->workers->first; *place; place = &(*place)->next) {
        if (*place == worker) {
            *place = worker->next;
            break;
        }
    }
    if (*worker->folder && !worker->busy && !worker->keeps_folder) {
        cm_worker_clear(worker->folder);
    }
    event_free(worker->timer);
    free(worker->folder);
    free(worker->name);
    worker->magic = 0;
    free(worker);
}

/* ---- What the process says ------------------------------------------------------------------- */

static void on_message(void *arg, struct json_object *message)
{
    struct cm_worker *worker = worker_of(arg);
    if (!strcmp(cm_message_type(message), "hello")) {
        worker->hello = 1;
        const char *version = cm_json_text(message, "version", "");
        if (strcmp(version, CM_VERSION) != 0) {
            cm_warn("the worker is version %.40s, this is %s: install both from one build", version, CM_VERSION);
        }
    } else if (worker->busy) {
        worker->message(worker->arg, message);
    }
}

static void on_ended(void *arg, int status, const char *words)
{
    struct cm_worker *worker = worker_of(arg);
    if (worker->busy) {
        worker->ended(worker->arg, status, words);
    } else if (status != 0 && !worker->quitting) {
        cm_warn("an idle worker of %s ended: %s", worker->name, words);
    }
    forget(worker);
}

/* ---- Taking one ------------------------------------------------------------------------------ */

/* What must be equal for the next attempt. A config lives as long as workers of it are used, so the
 * instance with its options is the same when its place is. */
static struct identity identity_of(const struct cm_plugin_use *use)
{
    struct stat info = {0};
    if (use) {
        (void)stat(use->path, &info); /* a missing file shows when it is loaded */
    }
    return (struct identity){use, info.st_dev, info.st_ino, info.st_mtim};
}

static int is_same(const struct identity *a, const struct identity *b)
{
    return a->use == b->use && a->device == b->device && a->inode == b->inode &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

static struct cm_worker *find_idle(struct cm_workers *workers, const struct identity *identity)
{
    for (struct cm_worker *worker = workers->first; worker; worker = worker->next) {
        if (!worker->busy && !worker->retire && !worker->once && is_same(&worker->identity, identity)) {
            return worker;
        }
    }
    return NULL;
}

/* A name that no worker of this or an earlier daemon has; NULL with errno. */
static char *new_folder(struct cm_workers *workers)
{
    char *folder = cm_format("%s/%d-%llu", workers->folder, (int)getpid(), (unsigned long long)++workers->serial);
    if (cm_folder_make(folder) != 0) {
        int saved = errno;
        free(folder);
        errno = saved;
        return NULL;
    }
    return folder;
}

static struct cm_worker *start_worker(struct cm_workers *workers, const struct identity *identity, int once)
{
    struct cm_worker *worker = cm_alloc(sizeof *worker);
    worker->magic = WORKER_MAGIC;
    worker->workers = workers;
    worker->once = once;
    worker->folder = once ? cm_strdup("") : new_folder(workers);
    worker->proc =
        !worker->folder ? NULL : cm_proc_start(workers->procs, workers->program, on_message, on_ended, worker);
    if (!worker->proc) {
        int saved = errno;
        if (worker->folder && *worker->folder) {
            cm_worker_clear(worker->folder);
        }
        free(worker->folder);
        free(worker);
        errno = saved;
        return NULL;
    }
    worker->identity = *identity;
    worker->name = cm_strdup(identity->use ? identity->use->name : "");
    worker->timer = evtimer_new(workers->base, on_timer, worker);
    worker->next = workers->first;
    workers->first = worker;
    return worker;
}

struct cm_worker *cm_worker_take(struct cm_workers *workers, const struct cm_plugin_use *use, int once,
                                 cm_proc_message_fn message, cm_proc_ended_fn ended, void *arg)
{
    struct identity identity = identity_of(use);
    struct cm_worker *worker = once ? NULL : find_idle(workers, &identity);
    if (!worker) {
        worker = start_worker(workers, &identity, once);
    }
    if (!worker) {
        return NULL;
    }
    event_del(worker->timer);
    worker->busy = 1;
    worker->message = message;
    worker->ended = ended;
    worker->arg = arg;
    return worker;
}

void cm_worker_release(struct cm_worker *worker)
{
    worker->busy = 0;
    worker->served++;
    if (worker->once || worker->retire || worker->served >= worker->workers->attempts_max ||
        worker->workers->idle_ms == 0) {
        quit(worker);
    } else {
        set_timer(worker, worker->workers->idle_ms);
    }
}

enum cm_message_result cm_worker_send(struct cm_worker *worker, struct json_object *message)
{
    return cm_proc_send(worker->proc, message);
}

void cm_worker_signal(struct cm_worker *worker, int number)
{
    worker->retire = 1;
    cm_proc_signal(worker->proc, number);
}

int cm_worker_said_hello(const struct cm_worker *worker)
{
    return worker->hello;
}

const char *cm_worker_folder(const struct cm_worker *worker)
{
    return worker->folder;
}

void cm_worker_clear(const char *folder)
{
    if (cm_folder_remove(folder) != 0) {
        cm_warn("cannot remove %s: %s", folder, strerror(errno));
    }
}

void cm_worker_retire(struct cm_worker *worker)
{
    worker->retire = 1;
    worker->keeps_folder = 1;
}

pid_t cm_worker_pid(const struct cm_worker *worker)
{
    return cm_proc_pid(worker->proc);
}

/* ---- All of them ----------------------------------------------------------------------------- */

struct cm_workers *cm_workers_new(struct event_base *base, struct cm_procs *procs)
{
    struct cm_workers *workers = cm_alloc(sizeof *workers);
    workers->base = base;
    workers->procs = procs;
    return workers;
}

void cm_workers_configure(struct cm_workers *workers, const struct cm_worker_rules *rules)
{
    free(workers->program);
    free(workers->folder);
    workers->program = cm_strdup(rules->program);
    workers->folder = cm_strdup(rules->folder);
    workers->idle_ms = rules->idle_ms;
    workers->attempts_max = rules->attempts_max;
    workers->kill_after_ms = rules->kill_after_ms;
}

void cm_workers_retire(struct cm_workers *workers)
{
    for (struct cm_worker *worker = workers->first; worker; worker = worker->next) {
        worker->retire = 1;
        if (!worker->busy) {
            quit(worker);
        }
    }
}

void cm_workers_free(struct cm_workers *workers)
{
    while (workers && workers->first) {
        forget(workers->first);
    }
    if (workers) {
        free(workers->program);
        free(workers->folder);
    }
    free(workers);
}
