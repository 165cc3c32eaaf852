/*
 * Watching what a confined worker takes: limits that no system call keeps by itself, threads without
 * end and memory that RLIMIT_DATA does not count.
 */
#ifndef CM_DAEMON_WATCH_H
#define CM_DAEMON_WATCH_H

#include <stdint.h>
#include <sys/types.h>

struct cm_watch;
struct event_base;

/* A worker took too much: once, with what it took, for people (borrowed). It is still alive. */
typedef void (*cm_watch_fn)(void *arg, const char *words);

/* memory_bytes 0: no limit. */
struct cm_watch *cm_watch_new(struct event_base *base, pid_t pid, int64_t memory_bytes, cm_watch_fn took, void *arg);
void cm_watch_free(struct cm_watch *watch);

#endif
