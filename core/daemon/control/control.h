/*
 * The control socket: who comes becomes a client (client.h), and whoever watches hears the news.
 */
#ifndef CM_DAEMON_CONTROL_H
#define CM_DAEMON_CONTROL_H

struct cm_control;
struct cm_daemon;

/* Serves STATE/control.sock, or in private mode the inherited descriptor alone. NULL with one line
 * in *error (malloc'd). Nothing is read before cm_control_open. */
struct cm_control *cm_control_new(struct cm_daemon *daemon, char **error);
void cm_control_open(struct cm_control *control);
void cm_control_free(struct cm_control *control);

#endif
