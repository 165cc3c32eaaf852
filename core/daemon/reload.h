/*
 * SIGHUP: the new config is checked in a process of its own (plugins may hang while they describe
 * themselves), and taken only when it is sound.
 */
#ifndef CM_DAEMON_RELOAD_H
#define CM_DAEMON_RELOAD_H

struct cm_daemon;
struct cm_reload;

/* `program`: this one, to run it with -t. */
struct cm_reload *cm_reload_new(struct cm_daemon *daemon, const char *program);
void cm_reload_free(struct cm_reload *reload);
void cm_reload_ask(struct cm_reload *reload);

#endif
