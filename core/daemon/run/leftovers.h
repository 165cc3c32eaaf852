/*
 * Making sure that nobody of an attempt is left: its lock is inherited by every process that the
 * worker started, so whoever still has it open belongs to the attempt and is killed.
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

#endif
