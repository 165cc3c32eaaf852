/*
 * One schedule from its seed to its end, and all that must hold then.
 */
#include <clipmaker/plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/text.h"
#include "core/daemon/engine/fsck.h"
#include "tests/sim/run.h"
#include "tests/sim/world.h"

#define CALM_STEPS_MAX 20000

/* ---- The end of a schedule ------------------------------------------------------------------- */

static int all_over(const struct sim_world *world)
{
    for (size_t i = 0; i < world->plan->job_count; i++) {
        const struct cm_job_row *row = sim_oracle_job(world->oracle, world->plan->jobs[i].id);
        if (!row || !cm_job_is_over(row->state)) {
            return 0;
        }
    }
    return 1;
}

static int is_heard(const struct sim_world *world)
{
    size_t words = 0;
    for (size_t i = 0; i < world->daemon_count; i++) {
        words += world->daemons[i].word_count;
    }
    return !words && !sim_store_pending(world->store);
}

/* Not one whose daemon died before it answered: it may do nothing without the answer, and ends when it finds that
 * nobody is at the other end. Usually the next daemon makes sure of that; one that began when its task was another's
 * already, nobody looks for. */
static int does_something(const struct sim_worker *worker)
{
    return !(worker->orphan && worker->at_ms == INT64_MAX);
}

/* What still happens has happened: nobody works, nothing is on its way. */
static int is_quiet(const struct sim_world *world)
{
    for (size_t i = 0; i < world->worker_count; i++) {
        if (does_something(world->workers[i])) {
            return 0;
        }
    }
    return is_heard(world) && !world->oracle->noted_count;
}

static void for_each(struct sim_world *world, void (*act)(struct sim_world *world, size_t count))
{
    for (size_t i = 0; i < world->daemon_count; i++) {
        world->self = &world->daemons[i];
        act(world, 64);
    }
}

static void send(struct sim_world *world, size_t count)
{
    (void)count;
    sim_hand_over(world);
}

static void dispatch(struct sim_world *world, size_t count)
{
    (void)count;
    sim_dispatch(world);
}

static void calm_down(struct sim_world *world)
{
    size_t idle = 0;
    world->calm = 1;
    world->store_away = 0;
    for (size_t step = 0; step < CALM_STEPS_MAX; step++) {
        sim_cluster_calm(world);
        for_each(world, send);
        sim_commit(world, 64);
        for_each(world, sim_deliver);
        for_each(world, dispatch);
        if (all_over(world) && is_quiet(world)) {
            return;
        }
        for_each(world, send);
        if (!is_heard(world)) {
            continue;
        }
        if (!sim_advance(world)) {
            if (++idle > 20) {
                break;
            }
            sim_release_holds(world);
        } else if (step % 500 == 499) {
            sim_release_holds(world);
        }
    }
    for (size_t i = 0; i < world->plan->job_count; i++) {
        const struct cm_job_row *row = sim_oracle_job(world->oracle, world->plan->jobs[i].id);
        if (!row || !cm_job_is_over(row->state)) {
            char *why = cm_engine_why(world->self->engine, sim_now(world), world->plan->jobs[i].id, NULL, NULL);
            snprintf(world->failure, sizeof world->failure, "job %s never ends: %s", world->plan->jobs[i].id, why);
            free(why);
            longjmp(world->failed, 1);
        }
    }
    sim_fail(world, "all jobs are over, but %zu workers are left", world->worker_count);
}

static void check_ledger(struct sim_world *world)
{
    const struct cm_index *effects = &world->oracle->tables[CM_TABLE_EFFECT];
    for (size_t i = 0; i < world->platform->count; i++) {
        const struct sim_post *post = &world->platform->posts[i];
        const struct cm_effect_row *effect = sim_oracle_effect(world->oracle, post->key);
        if (sim_platform_count(world->platform, post->key) > 1) {
            sim_fail(world, "posted twice on %s: %s", post->instance, post->key);
        }
        if (!effect || effect->state != CM_EFFECT_CONFIRMED) {
            sim_fail(world, "a post on %s that the ledger calls %s: %s", post->instance,
                     effect ? cm_effect_state_name(effect->state) : "unknown", post->key);
        }
    }
    for (size_t i = 0; i < effects->room; i++) {
        const struct cm_effect_row *effect = effects->entries[i].key ? sim_oracle_row(effects->entries[i].value) : NULL;
        if (effect && effect->state == CM_EFFECT_CONFIRMED && !sim_platform_count(world->platform, effect->key)) {
            sim_fail(world, "confirmed, but not on the platform: %s", effect->key);
        }
        if (effect && (effect->state == CM_EFFECT_SENDING || effect->state == CM_EFFECT_UNCONFIRMED)) {
            sim_fail(world, "still in doubt at the end: %s/%s", effect->step, effect->item);
        }
    }
}

static void found(void *arg, const char *line)
{
    struct sim_world *world = arg;
    snprintf(world->failure, sizeof world->failure, "fsck: %s", line);
}

static void check_idle(struct sim_world *world, size_t count)
{
    (void)count;
    sim_dispatch(world);
    if (cm_engine_running(world->self->engine) || cm_engine_job_count(world->self->engine)) {
        sim_fail(world, "idle, but %zu run and %zu jobs are open", cm_engine_running(world->self->engine),
                 cm_engine_job_count(world->self->engine));
    }
}

static void check_end(struct sim_world *world)
{
    const char *wrong = sim_oracle_final(world->oracle);
    if (wrong) {
        sim_fail(world, "%s", wrong);
    }
    check_ledger(world);
    for_each(world, check_idle);
    if (sim_store_is_real(world->store)) {
        sim_compare(world);
    }
    if (cm_store_check(sim_store_real(world->store), NULL, found, world)) {
        longjmp(world->failed, 1);
    }
}

/* ---- One schedule ---------------------------------------------------------------------------- */

int sim_run(const struct sim_options *options, uint64_t seed, struct sim_totals *totals)
{
    struct sim_world *world = sim_world_new(seed, options);
    int failed = setjmp(world->failed);
    if (!failed) {
        for (; world->steps < options->steps; world->steps++) {
            sim_chaos(world);
        }
        calm_down(world);
        check_end(world);
    } else {
        printf("sim: --seed %llu --steps %zu failed after step %zu at %lld: %s\n", (unsigned long long)seed,
               options->steps, world->steps, (long long)world->now.utc_ms, world->failure);
        fflush(stdout);
    }
    totals->schedules++;
    totals->steps += world->steps;
    totals->attempts += world->attempts;
    totals->fits += world->fits;
    totals->abroad += world->abroad;
    totals->sets += world->sets;
    totals->crashes += world->crashes;
    totals->torn += world->torn;
    totals->survived += world->survived;
    totals->posts += world->platform->count;
    totals->repeats += world->platform->repeats;
    totals->takeovers += world->takeovers;
    totals->fences += world->fences;
    totals->failures += failed != 0;
    sim_world_free(world);
    return failed;
}
