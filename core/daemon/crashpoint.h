/*
 * A test facility: numbered places at which the daemon can be made to die.
 *
 * With CLIPMAKER_CRASH_AT=N in the environment, the N-th place that is passed kills the daemon
 * with SIGKILL, as a power cut would. Places lie before and after each hand-over to the store,
 * each completion, each start of a process and each message to one. Without the variable a place
 * only counts, and the daemon logs the count when it ends, so a test knows how far N may go.
 */
#ifndef CM_DAEMON_CRASHPOINT_H
#define CM_DAEMON_CRASHPOINT_H

void cm_crash_point(const char *where);
long cm_crash_points_passed(void);

#endif
