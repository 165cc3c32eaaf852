/*
 * Slow work of the daemon's own, on a thread beside the loop: removing folders, checking the
 * store.
 */
#ifndef CM_DAEMON_JANITOR_H
#define CM_DAEMON_JANITOR_H

struct event_base;
struct cm_janitor;

struct cm_janitor *cm_janitor_new(struct event_base *base);
/* Finishes what is queued first; the words "done" of it are not said any more. */
void cm_janitor_free(struct cm_janitor *janitor);

/* `work` runs on the thread; `done` later in the loop (may be NULL). */
void cm_janitor_do(struct cm_janitor *janitor, void (*work)(void *arg), void (*done)(void *arg), void *arg);
/* Removes a folder with all that is in it. */
void cm_janitor_remove(struct cm_janitor *janitor, const char *path);

#endif
