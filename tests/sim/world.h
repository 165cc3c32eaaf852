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

enum sim_phase {
    SIM_WORK = 1, /* until it ends */
    SIM_SAVING,   /* waits for the answer to save */
    SIM_SAVED,
    SIM_SENDING, /* waits for the answer to sending */
    SIM_POSTING, /* may post */
    SIM_ENDING   /* tells its verdict */
};

struct sim_worker {
    char *job, *step, *item, *instance, *op, *key;
    char *upload; /* phased: id of the first phase */
    int64_t fence;
    int stage, builtin;
    enum sim_phase phase;
    int64_t at_ms;    /* when it goes on; INT64_MAX: waits for an answer */
    int64_t found_ms; /* find: the moment it looked */
    uint64_t number;  /* of the request that it waits for */
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
    struct cm_done *done;
};

struct sim_word {
    uint64_t set;
    enum cm_applied how;
};

struct sim_world {
    struct sim_random random;
    struct sim_plan *plan;
    struct cm_engine *engine;
    struct sim_store *store;
    struct sim_oracle *oracle;
    struct sim_platform *platform;
    struct cm_now now;
    int boot, calm, verbose, store_away;
    char boot_name[24];
    struct sim_worker **workers;
    size_t worker_count, worker_room;
    struct sim_event **events;
    size_t event_count, event_room;
    struct sim_word *words; /* the store's, on their way to the engine */
    size_t word_count, word_room;
    struct cm_index starts; /* instance → time of its last start */
    int64_t last_start_ms[32];
    uint64_t number;
    size_t steps, crashes, attempts, sets;
    size_t torn, survived; /* sets in the middle of a commit at a crash, and those that are there after it */
    int loads_open;
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
