/*
 * Several daemons on one store: who acts, who is frozen and for how long, who takes over whose jobs.
 *
 * One schedule in eight has two or three of them. A frozen daemon may still do a few things before
 * it looks at the clock: what it does then must be refused by the store.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/text.h"
#include "tests/sim/world.h"

#define FROZEN_MS (5 * SIM_LEASE_MS)
#define SILENT_MS (SIM_LEASE_MS + SIM_LEASE_MS / 2)

size_t sim_index_of(const struct sim_world *world, const struct sim_daemon *daemon)
{
    return (size_t)(daemon - world->daemons);
}

int sim_owns(const struct sim_world *world, const char *job)
{
    for (size_t i = 0; i < world->plan->job_count && world->daemon_count > 1; i++) {
        if (!strcmp(world->plan->jobs[i].id, job)) {
            return world->claims[i] == world->self->boot;
        }
    }
    return 1;
}

int64_t sim_hears_ms(const struct sim_world *world, const struct sim_daemon *daemon)
{
    return daemon->frozen_until_ms > world->now.utc_ms ? daemon->frozen_until_ms : world->now.utc_ms;
}

void sim_cluster_begin(struct sim_world *world, uint64_t seed)
{
    if (seed % 8) {
        return;
    }
    world->daemon_count = 2 + (size_t)sim_below(&world->random, SIM_DAEMONS_MAX - 1);
    for (size_t i = 0; i < world->daemon_count; i++) {
        world->self = &world->daemons[i];
        world->self->skew_ms = sim_below(&world->random, 1000000);
        world->self->beat_ms = world->now.utc_ms;
        if (i > 0) {
            sim_new_engine(world);
        }
    }
    cm_engine_free(world->daemons[0].engine); /* its clock began without the skew */
    world->self = &world->daemons[0];
    sim_new_engine(world);
}

/* Whoever runs is seen alive. */
void sim_cluster_beat(struct sim_world *world)
{
    for (size_t i = 0; i < world->daemon_count; i++) {
        struct sim_daemon *daemon = &world->daemons[i];
        if (!daemon->stale && !daemon->frozen_until_ms) {
            daemon->beat_ms = world->now.utc_ms;
        }
    }
}

/* ---- Taking over ----------------------------------------------------------------------------- */

static void take(struct sim_world *world, size_t job, int from)
{
    struct cm_claim_row claim = {world->plan->jobs[job].id, world->self->boot_name};
    struct cm_change_set *set = cm_change_set_new((uint64_t)1 << 42 | job);
    char *boot = cm_format("boot%d", from);
    sim_say(world, "%s takes over %s from %s", world->self->boot_name, claim.job, boot);
    cm_engine_forget_job(world->self->engine, sim_now(world), claim.job);
    cm_change_guard(set, CM_GUARD_CLAIM, claim.job, "", boot, 1, 0);
    cm_change_put(set, CM_TABLE_CLAIM, &claim);
    sim_apply(world, set);
    world->takeovers++;
    free(boot);
}

void sim_cluster_take(struct sim_world *world, const char *job)
{
    for (size_t i = 0; i < world->plan->job_count && world->daemon_count > 1; i++) {
        if (!strcmp(world->plan->jobs[i].id, job) && world->claims[i] && world->claims[i] != world->self->boot) {
            take(world, i, world->claims[i]);
            sim_commit(world, 1);
        }
    }
}

/* Dead, called over, or silent for a lease and a half: then it is called over now. */
static int is_over(struct sim_world *world, int boot)
{
    for (size_t i = 0; i < world->daemon_count; i++) {
        const struct sim_daemon *daemon = &world->daemons[i];
        if (daemon->boot == boot && world->now.utc_ms - daemon->beat_ms >= SILENT_MS) {
            world->over[boot % SIM_BOOTS_MAX] = 1;
        }
    }
    return world->over[boot % SIM_BOOTS_MAX];
}

static void look_around(struct sim_world *world)
{
    if (world->self->stale || world->self->loads_open) {
        return;
    }
    for (size_t i = 0; i < world->plan->job_count; i++) {
        const struct cm_job_row *row = sim_oracle_job(world->oracle, world->plan->jobs[i].id);
        int boot = world->claims[i];
        if (row && !cm_job_is_over(row->state) && boot != world->self->boot && is_over(world, boot)) {
            take(world, i, boot);
            sim_load(world, row->id);
        }
    }
}

void sim_cluster_crash(struct sim_world *world)
{
    world->over[world->self->boot % SIM_BOOTS_MAX] = 1; /* its lock is free */
    world->self->frozen_until_ms = 0;
    world->self->stale = world->self->blind = 0;
    world->self->beat_ms = world->now.utc_ms;
}

/* ---- The fence ------------------------------------------------------------------------------- */

static void fence(struct sim_world *world)
{
    struct sim_daemon *self = world->self;
    sim_say(world, "%s fences itself", self->boot_name);
    world->fences++;
    world->over[self->boot % SIM_BOOTS_MAX] = 1;
    self->boot = ++world->boot;
    snprintf(self->boot_name, sizeof self->boot_name, "boot%d", self->boot);
    self->stale = self->blind = 0;
    self->beat_ms = world->now.utc_ms;
    cm_engine_fence(self->engine, sim_now(world), self->boot_name);
}

/* As the daemon asks itself before it lets anything out. */
int sim_cluster_may_act(struct sim_world *world)
{
    if (!world->self->stale) {
        return 1;
    }
    if (world->self->blind > 0) {
        world->self->blind--; /* it was frozen between the look and the act */
        return 1;
    }
    fence(world);
    return 0;
}

/* ---- Who acts -------------------------------------------------------------------------------- */

static void thaw(struct sim_world *world)
{
    struct sim_daemon *self = world->self;
    if (self->frozen_until_ms && self->frozen_until_ms <= world->now.utc_ms) {
        self->stale = world->now.utc_ms - self->beat_ms >= SIM_LEASE_MS;
        self->blind = !world->calm && sim_chance(&world->random, 400) ? 1 + sim_below(&world->random, 5) : 0;
        self->frozen_until_ms = 0;
        sim_say(world, "%s goes on%s", self->boot_name, self->stale ? ", out of its lease" : "");
    }
}

/* Its workers freeze with it, or go on alone. */
static void freeze(struct sim_world *world)
{
    struct sim_daemon *self = world->self;
    size_t index = sim_index_of(world, self);
    int all = sim_chance(&world->random, 500);
    self->frozen_until_ms = world->now.utc_ms + 1 + sim_below(&world->random, FROZEN_MS);
    sim_say(world, "%s is frozen%s", self->boot_name, all ? " with its workers" : "");
    for (size_t i = 0; i < world->worker_count && all; i++) {
        struct sim_worker *worker = world->workers[i];
        if (worker->daemon == index && !worker->orphan && worker->at_ms < self->frozen_until_ms) {
            worker->at_ms = self->frozen_until_ms;
        }
    }
}

static int wakes(struct sim_world *world, size_t index)
{
    world->self = &world->daemons[index];
    thaw(world);
    return !world->self->frozen_until_ms;
}

void sim_cluster_chaos(struct sim_world *world)
{
    if (world->daemon_count < 2) {
        return;
    }
    size_t first = (size_t)sim_below(&world->random, (int)world->daemon_count), tried = 0;
    while (tried < world->daemon_count && !wakes(world, (first + tried) % world->daemon_count)) {
        tried++;
    }
    if (tried == world->daemon_count) { /* all are frozen: the first one is not any more */
        sim_set_time(world, world->self->frozen_until_ms);
        thaw(world);
    }
    if (sim_chance(&world->random, 50)) {
        look_around(world);
    }
    if (sim_chance(&world->random, 10)) {
        freeze(world);
        sim_cluster_chaos(world); /* another one acts */
    }
}

void sim_cluster_calm(struct sim_world *world)
{
    sim_store_dispatch(world->store); /* what was committed at the birth of a daemon */
    for (size_t i = 0; i < world->daemon_count && world->daemon_count > 1; i++) {
        world->self = &world->daemons[i];
        sim_set_time(world, world->self->frozen_until_ms);
        thaw(world);
        sim_cluster_may_act(world);
        look_around(world);
    }
}
