/*
 * A paid call whose attempt died between the answer and the word on what it cost: the next attempt, which finds the
 * answer on the disk, tells it, and the row of the dead one is put right.
 */
#ifndef CM_DAEMON_LATE_CALL_H
#define CM_DAEMON_LATE_CALL_H

struct cm_daemon;
struct cm_start;
struct json_object;

/* "spent" of an attempt that made no such call itself. */
void cm_late_call_spent(struct cm_daemon *daemon, const struct cm_start *start, struct json_object *message);

#endif
