/*
 * Worker processes: started, talked to, ended. How, not when: it knows nothing of attempts.
 */
#ifndef CM_DAEMON_PROCS_H
#define CM_DAEMON_PROCS_H

#include <stddef.h>
#include <sys/types.h>

#include "core/common/message.h"

struct event_base;
struct json_object;
struct cm_proc;
struct cm_procs;

/* A message came; borrowed. */
typedef void (*cm_proc_message_fn)(void *arg, struct json_object *message);
/* The process is gone, its group killed, and every message it had sent delivered. The proc is
 * freed after this. `words`: how it ended. */
typedef void (*cm_proc_ended_fn)(void *arg, int status, const char *words);

struct cm_procs *cm_procs_new(struct event_base *base);
void cm_procs_free(struct cm_procs *procs); /* kills what is left */
/* What processes started from now on write to their standard error goes nowhere. */
void cm_procs_hush(struct cm_procs *procs);

/* Starts `program --serve` with a socket to us. NULL with errno. */
struct cm_proc *cm_proc_start(struct cm_procs *procs, const char *program, cm_proc_message_fn message,
                              cm_proc_ended_fn ended, void *arg);
pid_t cm_proc_pid(const struct cm_proc *proc);
enum cm_message_result cm_proc_send(struct cm_proc *proc, struct json_object *message);
/* To the whole group. */
void cm_proc_signal(struct cm_proc *proc, int number);
/* Another child of ours, without a socket: told of its end. */
typedef void (*cm_child_ended_fn)(void *arg, int status);
void cm_procs_await_child(struct cm_procs *procs, pid_t pid, cm_child_ended_fn ended, void *arg);
size_t cm_procs_count(const struct cm_procs *procs);
void cm_procs_kill_all(struct cm_procs *procs);

#endif
