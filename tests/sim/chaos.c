/*
 * Chaos: one random thing at a time; and the people who clear up behind it.
 */
#include <clipmaker/plugin.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/text.h"
#include "tests/sim/world.h"

static const char *some_job(struct sim_world *world)
{
    return world->plan->jobs[sim_below(&world->random, (int)world->plan->job_count)].id;
}

/* ---- A reload -------------------------------------------------------------------------------- */

static int nothing_in_flight(const struct sim_world *world)
{
    size_t words = 0;
    for (size_t i = 0; i < world->daemon_count; i++) {
        words += world->daemons[i].word_count;
    }
    return !sim_store_pending(world->store) && !words && !world->oracle->noted_count;
}

/* The one that acts, as the plan says now. */
static void configure_one(struct sim_world *world)
{
    struct cm_pipeline *pipelines[] = {world->plan->pipeline};
    struct cm_engine_config config = {
        .boot = world->self->boot_name,
        .seed = 1,
        .slots = world->plan->slots,
        .instances = world->plan->instances,
        .instance_count = world->plan->instance_count,
        .pipelines = pipelines,
        .pipeline_count = 1,
        .backoff_base_ms = 2000,
        .backoff_max_ms = 60000,
        .breaker_failures = 3,
        .breaker_rest_ms = 10000,
        .strategy = world->residency.strategy,
    };
    memset(world->self->last_start_ms, 0, sizeof world->self->last_start_ms);
    cm_engine_configure(world->self->engine, &config);
}

/* Every daemon has sent what it decided, and none is frozen with more to come. */
static int all_told(struct sim_world *world)
{
    struct sim_daemon *self = world->self;
    int frozen = 0;
    for (size_t i = 0; i < world->daemon_count; i++) {
        world->self = &world->daemons[i];
        frozen |= sim_hears_ms(world, world->self) > world->now.utc_ms;
        sim_hand_over(world);
    }
    world->self = self;
    return !frozen && nothing_in_flight(world);
}

static void configure(struct sim_world *world, int restore)
{
    struct sim_daemon *self = world->self;
    if (!all_told(world)) {
        return; /* starts on their way obey the limits of before */
    }
    sim_say(world, "reload of the configuration%s", restore ? " (all is back)" : "");
    sim_plan_shake(world->plan, &world->random, restore);
    sim_residency_shake(world, restore);
    for (size_t i = 0; i < world->daemon_count; i++) {
        world->self = &world->daemons[i];
        configure_one(world);
    }
    world->self = self;
}

/* ---- Somebody else --------------------------------------------------------------------------- */

/* Another daemon takes a task that waits, and gives it back: the fence is one further. */
static void interfere(struct sim_world *world)
{
    const struct cm_index *tasks = &world->oracle->tables[CM_TABLE_TASK];
    if (!nothing_in_flight(world) || !tasks->room || world->daemon_count > 1) {
        return;
    }
    size_t at = (size_t)sim_below(&world->random, (int)tasks->room);
    const struct cm_task_row *row = tasks->entries[at].key ? sim_oracle_row(tasks->entries[at].value) : NULL;
    if (!row || (row->state != CM_TASK_READY && row->state != CM_TASK_BACKOFF)) {
        return;
    }
    sim_say(world, "another daemon takes %s/%s", row->step, row->item);
    struct cm_task_row *copy = cm_row_copy(CM_TABLE_TASK, row);
    copy->fence++;
    copy->state = CM_TASK_BACKOFF;
    copy->due_ms = world->now.utc_ms + 1000;
    struct cm_change_set *set = cm_change_set_new(((uint64_t)1 << 41) + world->steps);
    cm_change_put(set, CM_TABLE_TASK, copy);
    sim_apply(world, set);
    sim_oracle_trust(world->oracle, CM_TABLE_TASK, copy);
    sim_commit(world, 1);
    world->self->word_count = 0; /* that word is not for our engine */
    cm_row_free(CM_TABLE_TASK, copy);
}

/* ---- People ---------------------------------------------------------------------------------- */

/* A person looks at the platform, once what was sent must have arrived. */
static void resolve_one(struct sim_world *world, const struct cm_effect_row *effect)
{
    for (size_t i = 0; i < world->worker_count; i++) {
        if (!strcmp(world->workers[i]->key, effect->key)) {
            return; /* it is still at it */
        }
    }
    int out = sim_platform_count(world->platform, effect->key) > 0;
    const char *why =
        cm_engine_resolve(world->self->engine, sim_now(world), effect->key, out ? "https://platform/post" : NULL);
    sim_say(world, "a person says that %s/%s is %s: %s", effect->step, effect->item, out ? "live" : "not there",
            why ? why : "ok");
}

static void resolve(struct sim_world *world)
{
    const struct cm_index *effects = &world->oracle->tables[CM_TABLE_EFFECT];
    for (size_t i = 0; i < effects->room; i++) {
        const struct cm_effect_row *effect = effects->entries[i].key ? sim_oracle_row(effects->entries[i].value) : NULL;
        if (effect && effect->state == CM_EFFECT_UNCONFIRMED && nothing_in_flight(world)) {
            resolve_one(world, effect);
            sim_hand_over(world);
            if (world->calm) {
                sim_commit(world, 16);
                sim_deliver(world, 16);
            }
        }
    }
}

static void retry(struct sim_world *world)
{
    const char *job = some_job(world);
    const char *why = cm_engine_retry(world->self->engine, sim_now(world), job, NULL, NULL);
    sim_say(world, "retry %s: %s", job, why ? why : "ok");
    const struct cm_job_row *row = sim_oracle_job(world->oracle, job);
    if (why && row && cm_job_is_over(row->state) && nothing_in_flight(world)) {
        sim_cluster_take(world, job);
        sim_load(world, job); /* a finished job: its rows first */
        if (world->self->loads_open == 0) {
            why = cm_engine_retry(world->self->engine, sim_now(world), job, NULL, NULL);
            sim_say(world, "retry of the finished %s: %s", job, why ? why : "ok");
        }
    }
}

static void release_holds_of_one(struct sim_world *world)
{
    cm_engine_resource_back(world->self->engine, sim_now(world));
    sim_hand_over(world);
    sim_commit(world, 64);
    sim_deliver(world, 64);
    resolve(world);
    for (size_t i = 0; i < world->plan->job_count; i++) {
        const struct cm_job_row *row = sim_oracle_job(world->oracle, world->plan->jobs[i].id);
        if (row && !cm_job_is_over(row->state)) {
            cm_engine_retry(world->self->engine, sim_now(world), row->id, NULL, NULL);
        }
    }
}

void sim_release_holds(struct sim_world *world)
{
    sim_say(world, "people clear up");
    configure(world, 1);
    sim_residency_calm(world);
    for (size_t i = 0; i < world->daemon_count; i++) {
        world->self = &world->daemons[i];
        release_holds_of_one(world);
    }
}

/* ---- One thing ------------------------------------------------------------------------------- */

static void cancel(struct sim_world *world)
{
    const char *job = some_job(world);
    const char *why = cm_engine_cancel(world->self->engine, sim_now(world), job);
    sim_say(world, "cancel %s: %s", job, why ? why : "ok");
}

static void look_why(struct sim_world *world)
{
    char *line = cm_engine_why(world->self->engine, sim_now(world), some_job(world), NULL, NULL);
    sim_say(world, "why: %s", line);
    if (!*line || strchr(line, '\n')) {
        sim_fail(world, "why is no line: \"%s\"", line);
    }
    free(line);
}

static void store_away(struct sim_world *world)
{
    sim_say(world, "the store is away");
    world->store_away = 1 + sim_below(&world->random, 20);
    if (world->sent_count && &world->daemons[world->sent[0].daemon] == world->self) {
        cm_engine_applied(world->self->engine, sim_now(world), 0, CM_APPLIED_UNAVAILABLE);
    }
}

static const struct {
    int per_mille;
    void (*happen)(struct sim_world *world);
} accidents[] = {
    {5, sim_crash}, {2, cancel}, {4, retry}, {3, interfere}, {5, store_away}, {5, resolve}, {10, look_why},
};

void sim_chaos(struct sim_world *world)
{
    struct sim_random *random = &world->random;
    sim_cluster_chaos(world);
    sim_residency_chaos(world);
    for (size_t i = 0; i < sizeof accidents / sizeof *accidents; i++) {
        if (sim_chance(random, accidents[i].per_mille)) {
            accidents[i].happen(world);
        }
    }
    if (sim_chance(random, 5)) {
        configure(world, 0);
    }
    if (sim_chance(random, 10)) {
        cm_engine_resource_back(world->self->engine, sim_now(world));
    }
    if (sim_chance(random, 900)) {
        sim_hand_over(world);
    }
    if (world->store_away > 0) {
        world->store_away--;
    } else if (sim_chance(random, 700)) {
        sim_commit(world, (size_t)(1 + sim_below(random, 4)));
    }
    if (sim_chance(random, 700)) {
        sim_deliver(world, (size_t)(1 + sim_below(random, 4)));
    }
    if (sim_chance(random, 600)) {
        sim_dispatch(world);
    }
    if (sim_chance(random, 500)) {
        sim_advance(world);
    }
}
