/*
 * Making sure that nobody of an attempt is left: the lock of its folder, or of its warm worker's,
 * is inherited by every process that the worker started, so whoever still has it open is killed.
 */
#ifndef CM_DAEMON_LEFTOVERS_H
#define CM_DAEMON_LEFTOVERS_H

#include <sys/types.h>

struct event_base;
struct cm_leftovers;

struct cm_leftovers *cm_leftovers_new(struct event_base *base);
void cm_leftovers_free(struct cm_leftovers *leftovers);

typedef void (*cm_gone_fn)(void *arg);

/* Calls `gone` once the lock in the attempt folder is free: at once, from inside, when it is free
 * now. `spared` is a living worker that is done with the attempt and about to let go; 0: none. */
void cm_leftovers_await(struct cm_leftovers *leftovers, const char *folder, pid_t spared, cm_gone_fn gone, void *arg);

/* Workers of a daemon that is over had their folders below `folder`: each goes once its lock is
 * free, the folder with the last. */
void cm_leftovers_sweep(struct cm_leftovers *leftovers, const char *folder);
/* For an attempt that was begun elsewhere: as above, and only when `lives` (with arg) says no and
 * no worker of an earlier daemon is left. */
typedef int (*cm_lives_fn)(void *arg);
void cm_leftovers_await_all(struct cm_leftovers *leftovers, const char *folder, cm_lives_fn lives, cm_gone_fn gone,
                            void *arg);

#endif
