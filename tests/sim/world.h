/*
 * The world around the engine: virtual time, workers, platforms, the store and its crashes. It
 * does what the daemon's I/O would do, with every accident that a seed can think of.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <setjmp.h>

#include "core/daemon/engine/engine.h"
#include "core/daemon/engine/index.h"
#include "tests/sim/oracle.h"
#include "tests/sim/plan.h"
#include "tests/sim/platform.h"
#include "tests/sim/run.h"
#include "tests/sim/store.h"

#define SIM_DAEMONS_MAX 3
#define SIM_BOOTS_MAX 4096
#define SIM_LEASE_MS 10000
#define SIM_OWNERS 2
#define SIM_RECIPIENTS 2

enum sim_phase {
    SIM_WORK = 1, /* until it ends */
    SIM_SAVING,   /* waits for the answer to save */
    SIM_SAVED,
    SIM_SENDING, /* waits for the answer to sending */
    SIM_POSTING, /* may post */
    SIM_ENDING   /* tells its verdict */
};

#define SIM_CLIP_BYTES 100  /* what a clip may have */
#define SIM_UNTOLD_LIMIT 80 /* of the one platform that does not say what it takes */

struct sim_worker {
    char *job, *step, *item, *instance, *op, *key;
    int64_t clip_bytes, max_bytes; /* of the clip it was given; what it may get (op "fit") */
    char *upload;                  /* phased: id of the first phase */
    int64_t fence;
    int stage, builtin;
    size_t daemon; /* whose it is */
    int stale;     /* started by one that had lost the job already */
    int dead;      /* another daemon made sure of that; its own will hear of it */
    enum sim_phase phase;
    int64_t at_ms;    /* when it goes on; INT64_MAX: waits for an answer */
    int64_t found_ms; /* find: the moment it looked */
    uint64_t number;  /* of the request that it waits for */
    int elsewhere;    /* takes no slot, whatever the config says by now */
    int orphan;       /* its daemon is dead: nobody hears it */
    int killed;       /* it will be reported dead at at_ms */
    int forgotten;    /* killed, and its job is being loaded again */
    struct cm_done *done;
};

/* Something that happens later, other than to a worker. */
struct sim_event {
    enum {
        SIM_EVENT_GONE = 1,
        SIM_EVENT_SUBMIT,
        SIM_EVENT_LATE
    } kind;
    int64_t at_ms;
    char *job, *step, *item;
    int64_t fence;
    size_t index;
    size_t daemon;
    struct cm_done *done;
};

struct sim_word {
    uint64_t set;
    enum cm_applied how;
};

/* One clipmakerd. */
struct sim_daemon {
    struct cm_engine *engine;
    int boot; /* number in its boot's name */
    char boot_name[24];
    int life;               /* counts its crashes: what the store says to an earlier one is not heard */
    struct sim_word *words; /* the store's, on their way to the engine */
    size_t word_count, word_room;
    int64_t last_start_ms[32];
    int loads_open;
    int64_t skew_ms;         /* its boot clock before the world's */
    int64_t beat_ms;         /* by the world's: when others last saw it alive */
    int64_t frozen_until_ms; /* 0: it runs */
    int stale;               /* it ran out of its lease and has not noticed */
    int blind;               /* how often it still acts before it looks at the clock */
};

/* Where data may go. */
struct sim_residency {
    struct sim_random random;
    int on;
    int strategy;                              /* enum cm_strategy of jobs that do not say */
    char consents[SIM_OWNERS][SIM_RECIPIENTS]; /* given now */
};

/* A set that the store has: whose it is, and the claim in it. */
struct sim_sent {
    size_t daemon;
    int life;
    int claim_boot; /* 0: none */
    size_t claim_job;
};

struct sim_world {
    struct sim_random random;
    struct sim_plan *plan;
    struct sim_daemon daemons[SIM_DAEMONS_MAX];
    size_t daemon_count;
    struct sim_daemon *self; /* the one that acts */
    struct sim_store *store;
    struct sim_oracle *oracle;
    struct sim_platform *platform;
    struct sim_residency residency;
    struct cm_now now;
    int boot, calm, verbose, store_away;
    struct sim_worker **workers;
    size_t worker_count, worker_room;
    struct sim_event **events;
    size_t event_count, event_room;
    struct sim_sent *sent; /* in the order of the store's queue */
    size_t sent_count, sent_room;
    struct sim_loading **loadings; /* every one that was asked for */
    size_t loading_count, loading_room;
    int claims[SIM_JOBS_MAX]; /* boots that own the jobs, as far as is durable; 0: none */
    char over[SIM_BOOTS_MAX]; /* boots that somebody called over, or that died */
    uint64_t number;
    size_t steps, crashes, attempts, sets, takeovers, fences, fits;
    size_t abroad;         /* attempts of those who are abroad */
    size_t torn, survived; /* sets in the middle of a commit at a crash, and those that are there after it */
    jmp_buf failed;
    char failure[512];
};

struct sim_world *sim_world_new(uint64_t seed, const struct sim_options *options);
void sim_world_free(struct sim_world *world);
/* Ends the schedule: an invariant does not hold. */
void sim_fail(struct sim_world *world, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
void sim_say(const struct sim_world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* world.c: what the daemon would do */
void sim_hand_over(struct sim_world *world); /* sets to the store */
void sim_commit(struct sim_world *world, size_t count);
void sim_deliver(struct sim_world *world, size_t count); /* the store's words, and what they allow */
void sim_dispatch(struct sim_world *world);
void sim_crash(struct sim_world *world);
void sim_compare(struct sim_world *world); /* the store with what the oracle knows to be durable */
void sim_load(struct sim_world *world, const char *job);
int sim_advance(struct sim_world *world); /* to the next thing that happens; 0: nothing ever will */
void sim_event_free(struct sim_event *event);
struct sim_event *sim_event_add(struct sim_world *world, int kind, int64_t at_ms);

/* A set that is not the engine's. */
void sim_apply(struct sim_world *world, struct cm_change_set *set);
void sim_new_engine(struct sim_world *world);
void sim_set_time(struct sim_world *world, int64_t utc_ms);
struct cm_now sim_now(const struct sim_world *world); /* by the clocks of the one that acts */

/* cluster.c: several daemons on one store */
void sim_cluster_begin(struct sim_world *world, uint64_t seed);
void sim_cluster_chaos(struct sim_world *world); /* chooses who acts next */
void sim_cluster_crash(struct sim_world *world); /* only the one that acts */
void sim_cluster_calm(struct sim_world *world);  /* each wakes, looks at the clock and at the others */
int sim_cluster_may_act(struct sim_world *world);
void sim_cluster_beat(struct sim_world *world);
void sim_cluster_take(struct sim_world *world, const char *job); /* whoever has it: it is over */
size_t sim_index_of(const struct sim_world *world, const struct sim_daemon *daemon);
int sim_owns(const struct sim_world *world, const char *job); /* the one that acts, durably */
/* The moment at which this daemon hears what happens now. */
int64_t sim_hears_ms(const struct sim_world *world, const struct sim_daemon *daemon);

/* residency.c: where data may go */
void sim_residency_begin(struct sim_world *world, uint64_t seed);
void sim_residency_shake(struct sim_world *world, int restore); /* behind sim_plan_shake */
void sim_residency_tell(struct sim_world *world);               /* the one that acts hears of every consent */
void sim_residency_chaos(struct sim_world *world);              /* an owner changes his mind */
void sim_residency_calm(struct sim_world *world);               /* every owner consents to everything */
void sim_residency_check(struct sim_world *world, const struct cm_change_set *set);

/* worker.c */
void sim_worker_start(struct sim_world *world, const struct cm_start *start);
void sim_worker_step(struct sim_world *world, struct sim_worker *worker);
void sim_worker_answer(struct sim_world *world, const struct cm_action *answer);
void sim_worker_kill(struct sim_world *world, const struct cm_action *kill);
void sim_worker_gone(struct sim_world *world, const char *job, const char *step, const char *item, int64_t fence);
void sim_worker_free(struct sim_world *world, struct sim_worker *worker);

/* chaos.c */
void sim_chaos(struct sim_world *world); /* one random thing */
void sim_release_holds(struct sim_world *world);

#endif
