/*
 * Running attempts: from the engine's order to start, over a worker, to one word about how it
 * ended. Also the workers that stay warm between attempts.
 */
#ifndef CM_DAEMON_ATTEMPTS_H
#define CM_DAEMON_ATTEMPTS_H

#include <stddef.h>
#include <stdint.h>

struct cm_action;
struct cm_attempts;
struct cm_daemon;

struct cm_attempts *cm_attempts_new(struct cm_daemon *daemon);
void cm_attempts_free(struct cm_attempts *attempts);
/* The daemon's config is another one now: workers of the old one are not used again. */
void cm_attempts_configure(struct cm_attempts *attempts);

/* Takes the action, a CM_ACTION_START. */
void cm_attempts_start(struct cm_attempts *attempts, struct cm_action *action);
/* CM_ACTION_KILL and CM_ACTION_ANSWER. */
void cm_attempts_kill(struct cm_attempts *attempts, const struct cm_action *action);
void cm_attempts_answer(struct cm_attempts *attempts, const struct cm_action *action);

/* The daemon ends: every attempt is told to stop and ends as interrupted. */
void cm_attempts_interrupt(struct cm_attempts *attempts);
/* Idle workers end now, busy ones after their attempt (a reload, a shutdown). */
void cm_attempts_retire_workers(struct cm_attempts *attempts);

size_t cm_attempts_count(const struct cm_attempts *attempts);
/* Whether the attempt that the action names is not over. */
int cm_attempts_has(const struct cm_attempts *attempts, const struct cm_action *action);
size_t cm_attempts_running_of(const struct cm_attempts *attempts, const char *instance);
/* Each running attempt of a job: how far it is, 0..1. */
typedef void (*cm_attempt_progress_fn)(void *arg, const char *step, const char *item, double done);
void cm_attempts_progress(const struct cm_attempts *attempts, const char *job, cm_attempt_progress_fn each, void *arg);

#endif
