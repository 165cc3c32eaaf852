/*
 * Workers by instance: taken for an attempt, kept warm for the next one where that is allowed,
 * retired after enough attempts, idle time, a changed plugin or other options.
 */
#ifndef CM_DAEMON_WORKERS_H
#define CM_DAEMON_WORKERS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/daemon/run/procs.h"

struct cm_plugin_use;
struct cm_worker;
struct cm_workers;

struct cm_worker_rules {
    const char *program;
    const char *folder; /* in which each warm worker has one of its own */
    int64_t idle_ms, attempts_max, kill_after_ms;
};

struct cm_workers *cm_workers_new(struct event_base *base, struct cm_procs *procs);
void cm_workers_free(struct cm_workers *workers);
/* The strings are copied. */
void cm_workers_configure(struct cm_workers *workers, const struct cm_worker_rules *rules);

/* A worker of this instance (NULL: for a built-in step) that does nothing else. `once`: it serves
 * this attempt only. NULL with errno when none can be started. */
struct cm_worker *cm_worker_take(struct cm_workers *workers, const struct cm_plugin_use *use, int once,
                                 cm_proc_message_fn message, cm_proc_ended_fn ended, void *arg);
/* The attempt is answered and the worker lives: it waits for the next one, or ends. */
void cm_worker_release(struct cm_worker *worker);
enum cm_message_result cm_worker_send(struct cm_worker *worker, struct json_object *message);
/* To the whole group; it is not used again after that. */
void cm_worker_signal(struct cm_worker *worker, int number);
int cm_worker_said_hello(const struct cm_worker *worker);
/* Where it may leave things from attempt to attempt, with the lock that it holds as long as it or a
 * child of it lives; "" for one that serves a single attempt. Goes with the worker, or, when it
 * ended in an attempt, by cm_worker_clear once nobody holds the lock. */
const char *cm_worker_folder(const struct cm_worker *worker);
void cm_worker_clear(const char *folder);
/* It is not used for another attempt, and its folder is the caller's to clear. */
void cm_worker_retire(struct cm_worker *worker);
pid_t cm_worker_pid(const struct cm_worker *worker);
/* None that lives now is used for another attempt. */
void cm_workers_retire(struct cm_workers *workers);

#endif
