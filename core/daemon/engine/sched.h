/*
 * The scheduler: what waits, and what may start now. One queue per instance, each with its limit,
 * rate and breaker; instances that share an account on a platform share its breaker and its waits,
 * too; over all of those whose work is done here the slots of this machine, and fair share between owners.
 *
 * Fairness is by virtual time: an owner pays for a start with its estimated length, corrected by
 * the real one at its end, both divided by its weight, and the owner who has paid least goes first. Inside an owner the
 * smallest key goes first. A key never changes while its entry waits: ageing is linear, so it is
 * the same for all and does not have to be applied (see cm_sched_key).
 *
 * Times are boot time in ms. Pure: no clock.
 */
#ifndef CM_DAEMON_SCHED_H
#define CM_DAEMON_SCHED_H

#include "core/daemon/engine/heap.h"

struct cm_sched;
struct cm_queue;
struct cm_lane;
struct cm_sched_owner;

/* Lives inside what waits or runs. Zeroed at first. */
struct cm_sched_entry {
    struct cm_heap_node node;
    struct cm_queue *queue; /* where it waits or runs; NULL: neither */
    struct cm_lane *lane;
    struct cm_sched_owner *owner;
    int running;
    int unreleased; /* picked, but its start is not yet durable */
    int takes_slot; /* runs on this machine */
    int64_t paid_ms, started_ms;
    void *task;
};

enum cm_run {
    CM_RUN_GOOD = 1, /* the instance works, whatever it said of the item */
    CM_RUN_FAILED,   /* the instance failed */
    CM_RUN_NOSTART,  /* it could not even start: rest at once */
    CM_RUN_NEUTRAL   /* says nothing about the instance: interrupted, cancelled, lost */
};

enum cm_queue_state {
    CM_QUEUE_OPEN = 1,
    CM_QUEUE_FULL,    /* at its limit */
    CM_QUEUE_RATE,    /* the next start is allowed at a known time */
    CM_QUEUE_WAITING, /* asked to wait by the other side */
    CM_QUEUE_RESTING, /* the breaker is open */
    CM_QUEUE_PROBING  /* half open: one attempt shows whether it works again */
};

/* How a run ended, as far as it says something about whom it asked. */
struct cm_run_end {
    enum cm_run how;
    int64_t wait_ms;   /* above 0: nobody else is asked for so long */
    int whole_account; /* both concern the account, where the queue has one, and not the instance */
};

enum cm_breaker_state {
    CM_BREAKER_CLOSED = 1,
    CM_BREAKER_OPEN,     /* rests */
    CM_BREAKER_HALF_OPEN /* the next run shows whether it works again */
};

struct cm_owner_weight {
    const char *name;
    int weight; /* ≥ 1; who is not named has 1 */
};

struct cm_queue_options {
    int limit;
    int64_t rate_us;
    int breaker_failures;
    int64_t breaker_rest_ms;
    int64_t cost_ms;     /* first estimate of one attempt */
    int elsewhere;       /* the work is done on another machine and waited for: takes no slot */
    int64_t patience_ms; /* asked to wait longer, its tasks look for another; 0: any wait is borne */
};

struct cm_sched *cm_sched_new(int slots);
void cm_sched_free(struct cm_sched *sched);
void cm_sched_set_slots(struct cm_sched *sched, int slots);
/* Copied. Owners with twice the weight get twice the time while others want it, too. */
void cm_sched_set_weights(struct cm_sched *sched, const struct cm_owner_weight *weights, size_t count);
size_t cm_sched_running(const struct cm_sched *sched);
size_t cm_sched_waiting(const struct cm_sched *sched);
int cm_sched_full(const struct cm_sched *sched);
/* Whether what waits there need not wait for a slot; NULL: any queue whose work is done here. */
int cm_sched_has_slot(const struct cm_sched *sched, const struct cm_queue *queue);

/* The queue of that name, made when it is not there; never removed. */
struct cm_queue *cm_sched_queue(struct cm_sched *sched, const char *name);
void cm_queue_configure(struct cm_queue *queue, const struct cm_queue_options *options);
/* The account that it shares with others; "": none. */
void cm_queue_set_account(struct cm_sched *sched, struct cm_queue *queue, const char *name);
/* *until: when the rest ends or ended, 0 when closed. Closed where there is no account. */
enum cm_breaker_state cm_queue_breaker(const struct cm_queue *queue, int64_t now_ms, int64_t *until);
enum cm_breaker_state cm_queue_account_breaker(const struct cm_queue *queue, int64_t now_ms, int64_t *until);
const char *cm_queue_name(const struct cm_queue *queue);
size_t cm_queue_waiting(const struct cm_queue *queue);
size_t cm_queue_running(const struct cm_queue *queue);
/* What keeps it; *until is when that ends by itself (INT64_MAX: by an event). */
enum cm_queue_state cm_queue_look(const struct cm_queue *queue, int64_t now_ms, int64_t *until);
/* How often a breaker opened or a long wait began; changes tell that waiting tasks should look for another link. */
uint64_t cm_sched_breaks(const struct cm_sched *sched);
int cm_queue_resting(const struct cm_queue *queue, int64_t now_ms);
/* It rests, or was asked to wait beyond its patience: whoever can be asked instead should be. */
int cm_queue_is_away(const struct cm_queue *queue, int64_t now_ms);

/* Smaller goes first: one point of priority is worth a minute of waiting, and so is each tenth of
 * the way that the job has behind it. */
int64_t cm_sched_key(int64_t ready_ms, int64_t priority, double job_done);
void cm_sched_add(struct cm_sched *sched, struct cm_queue *queue, struct cm_sched_entry *entry, const char *owner,
                  int64_t key);
/* Out of waiting; nothing when it does not wait. */
void cm_sched_remove(struct cm_sched *sched, struct cm_sched_entry *entry);
/* The next that may start, taken out of its queue and counted as running; NULL: none now. */
struct cm_sched_entry *cm_sched_pick(struct cm_sched *sched, int64_t now_ms);
/* Its start really happens now. Where there is a rate, it counts from here, and nothing else is
 * picked before: a slow commit must not turn starts into a burst. */
void cm_sched_released(struct cm_sched *sched, struct cm_sched_entry *entry, int64_t now_ms);
/* It runs no longer. */
void cm_sched_ended(struct cm_sched *sched, struct cm_sched_entry *entry, int64_t now_ms, const struct cm_run_end *end);
/* When pick has something though nothing happens; INT64_MAX: never. */
int64_t cm_sched_next_due(const struct cm_sched *sched, int64_t now_ms);

#endif
