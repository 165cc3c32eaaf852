/*
 * The loop: events to the engine, its change sets to the store, its actions to the world; the beginning and the end of
 * a run. It knows every part of the daemon, and none of them knows it.
 */
#ifndef CM_DAEMON_LOOP_H
#define CM_DAEMON_LOOP_H

struct cm_daemon;

/* Everything between a checked config and the end. The exit status. `program`: this one. */
int cm_loop_run(struct cm_daemon *daemon, const char *program);

#endif
