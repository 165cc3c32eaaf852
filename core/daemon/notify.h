/*
 * Telling the service manager how it goes (sd_notify(3)): ready, reloading, stopping, a line of status,
 * and the sign of life that a watchdog waits for. Without NOTIFY_SOCKET nothing is told to anybody.
 */
#ifndef CM_DAEMON_NOTIFY_H
#define CM_DAEMON_NOTIFY_H

#include <stdint.h>

struct cm_daemon;
struct cm_notify;

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. A private daemon is nobody's service: it tells
 * nothing. Never NULL. */
struct cm_notify *cm_notify_new(struct cm_daemon *daemon);
void cm_notify_free(struct cm_notify *notify);

/* Jobs are read and the control socket is served. From now on status and signs of life follow. */
void cm_notify_ready(struct cm_notify *notify);
void cm_notify_reloading(struct cm_notify *notify);
/* The end of it, whether the new config was taken or not. */
void cm_notify_reloaded(struct cm_notify *notify);
/* It stops, and may need so long for it. */
void cm_notify_stopping(struct cm_notify *notify, int64_t within_ms);

#endif
