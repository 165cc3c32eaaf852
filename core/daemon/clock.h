/*
 * The wall clock, watched: whoever waits for a time of day is told when somebody sets it.
 */
#ifndef CM_DAEMON_CLOCK_H
#define CM_DAEMON_CLOCK_H

struct event_base;
struct cm_clock;

/* Calls `set` each time the clock was set (not when it is slewed). NULL where the kernel cannot
 * tell; then a change is noticed a minute later at most. */
struct cm_clock *cm_clock_watch(struct event_base *base, void (*set)(void *arg), void *arg);
void cm_clock_free(struct cm_clock *clock);

#endif
