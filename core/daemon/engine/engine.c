/*
 * The engine: its birth, its configuration, and dispatch. What follows from events stands in
 * settle.c and people.c, loading in recover.c.
 */
#include "core/daemon/engine/engine.h"

#include <clipmaker/plugin.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/text.h"
#include "core/daemon/engine/state.h"

/* ---- Configuration --------------------------------------------------------------------------- */

static void free_instances(struct cm_engine *engine)
{
    for (size_t i = 0; i < engine->instance_count; i++) {
        struct cm_instance *instance = &engine->instances[i].instance;
        free((char *)instance->name);
        free((char *)instance->languages);
        free((char *)instance->schemes);
        free((char *)instance->account);
        free((char *)instance->recipient);
    }
    free(engine->instances);
    engine->instances = NULL;
    engine->instance_count = 0;
}

/* First estimate of an attempt's length; the queue learns the real one. */
static int64_t cost_of(int stage)
{
    static const int64_t seconds[] = {
        [0] = 2,
        [CM_STAGE_SOURCE] = 60,
        [CM_STAGE_PREPARE] = 120,
        [CM_STAGE_STT] = 30,
        [CM_STAGE_LLM] = 10,
        [CM_STAGE_RENDER] = 60,
        [CM_STAGE_PUBLISH] = 20,
    };
    return seconds[stage] * 1000;
}

static void add_instance(struct cm_engine *engine, const struct cm_engine_config *config,
                         const struct cm_instance *given)
{
    struct cm_known_instance *known = &engine->instances[engine->instance_count++];
    struct cm_queue_options options = {
        .limit = given->limit,
        .rate_us = given->rate_us,
        .breaker_failures = config->breaker_failures,
        .breaker_rest_ms = config->breaker_rest_ms,
        .patience_ms = config->backoff_max_ms,
        .cost_ms = cost_of(given->stage),
        .elsewhere = given->elsewhere,
    };
    known->instance = *given;
    known->instance.name = cm_strdup(given->name);
    known->instance.languages = cm_strdup(given->languages ? given->languages : "");
    known->instance.schemes = cm_strdup(given->schemes ? given->schemes : "");
    known->instance.account = cm_strdup(given->account ? given->account : "");
    known->instance.recipient = cm_strdup(given->recipient ? given->recipient : "");
    known->queue = cm_sched_queue(engine->sched, given->name);
    cm_queue_configure(known->queue, &options);
    cm_queue_set_account(engine->sched, known->queue, known->instance.account);
}

static void free_current(struct cm_engine *engine)
{
    for (size_t i = 0; i < engine->current_count; i++) {
        free(engine->current[i]);
    }
    free(engine->current);
}

static void take_config(struct cm_engine *engine, const struct cm_engine_config *config)
{
    struct cm_queue_options builtin = {.limit = config->slots, .cost_ms = cost_of(0)};
    free(engine->boot);
    engine->boot = cm_strdup(config->boot);
    engine->slots = config->slots;
    engine->max_jobs = config->max_jobs;
    engine->strategy = config->strategy;
    engine->backoff_base_ms = config->backoff_base_ms > 0 ? config->backoff_base_ms : 2000;
    engine->backoff_max_ms = config->backoff_max_ms > 0 ? config->backoff_max_ms : 300000;
    cm_sched_set_slots(engine->sched, config->slots);
    cm_sched_set_weights(engine->sched, config->owners, config->owner_count);
    cm_queue_configure(cm_sched_queue(engine->sched, ""), &builtin);
    engine->instances = cm_alloc((config->instance_count + 1) * sizeof *engine->instances);
    for (size_t i = 0; i < config->instance_count; i++) {
        add_instance(engine, config, &config->instances[i]);
    }
    engine->current = cm_alloc((config->pipeline_count + 1) * sizeof *engine->current);
    engine->current_count = config->pipeline_count;
    for (size_t i = 0; i < config->pipeline_count; i++) {
        engine->current[i] = cm_strdup(config->pipelines[i]->id);
        if (!cm_engine_pipeline(engine, config->pipelines[i]->id)) {
            cm_engine_keep_pipeline(engine, cm_pipeline_share(config->pipelines[i]));
        }
    }
}

struct cm_engine *cm_engine_new(const struct cm_engine_config *config)
{
    struct cm_engine *engine = cm_alloc(sizeof *engine);
    engine->random = config->seed;
    engine->sched = cm_sched_new(config->slots);
    take_config(engine, config);
    return engine;
}

void cm_engine_configure(struct cm_engine *engine, const struct cm_engine_config *config)
{
    free_instances(engine);
    free_current(engine);
    take_config(engine, config);
    engine->reroute = 1;
}

void cm_engine_free(struct cm_engine *engine)
{
    if (!engine) {
        return;
    }
    for (size_t i = 0; i < engine->jobs.room;) {
        struct cm_job *job = engine->jobs.entries[i].value;
        if (job) {
            cm_job_free(engine, job); /* others move up into its place */
        } else {
            i++;
        }
    }
    for (size_t i = 0; i < engine->pending_count; i++) {
        cm_pending_free(engine->pending[i]);
    }
    for (struct cm_action *action; (action = cm_engine_take_action(engine));) {
        cm_action_free(action);
    }
    for (size_t i = 0; i < engine->pipeline_count; i++) {
        cm_pipeline_free(engine->pipelines[i]);
    }
    free_instances(engine);
    free_current(engine);
    cm_engine_consents_forget(engine);
    cm_sched_free(engine->sched);
    cm_heap_free(&engine->due);
    cm_index_free(&engine->jobs);
    cm_index_free(&engine->effects);
    free(engine->pipelines);
    free(engine->pending);
    free(engine->actions);
    free(engine->boot);
    free(engine);
}

/* splitmix64 */
uint64_t cm_engine_random(struct cm_engine *engine)
{
    uint64_t z = engine->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* ---- Dispatch -------------------------------------------------------------------------------- */

/* What no link may be asked for any more: held or failed, with words. */
static void enqueue_or_settle(struct cm_engine *engine, struct cm_now now, struct cm_task *task)
{
    struct cm_turn turn;
    if (!cm_task_enqueue(engine, now, task)) {
        return;
    }
    cm_turn_begin(&turn, engine, task->job, now);
    cm_turn_guard_task(&turn, task);
    cm_task_ready(&turn, task);
    cm_turn_end(&turn);
}

static void wake_due(struct cm_engine *engine, struct cm_now now)
{
    struct cm_heap_node *top;
    while ((top = cm_heap_top(&engine->due)) && top->key <= now.utc_ms) {
        struct cm_task *task = top->owner;
        task->late_ms = task->row->state == CM_TASK_SCHEDULED ? now.utc_ms - top->key : 0;
        cm_heap_remove(&engine->due, top);
        enqueue_or_settle(engine, now, task);
    }
}

static int lacked_instance(const struct cm_task *task)
{
    return task->row->state == CM_TASK_HELD && task->row->held_by == CM_HELD_PLUGIN &&
           !strcmp(task->row->reason, cm_reason_name(CM_REASON_UNSUPPORTED));
}

/* It was held because of where its data would go, and need not be any more. */
static int may_go_now(const struct cm_engine *engine, struct cm_now now, const struct cm_task *task)
{
    int hold;
    return cm_residency_holds(task) && cm_task_choose_link(engine, now, task, task->row->link, &hold, NULL, NULL) >= 0;
}

/* Instances came, went, or rest: those who wait look again for whom to ask. */
static void reroute_task(struct cm_engine *engine, struct cm_now now, struct cm_task *task)
{
    struct cm_turn turn;
    if (task->row->state == CM_TASK_READY && task->entry.queue) {
        cm_sched_remove(engine->sched, &task->entry);
        enqueue_or_settle(engine, now, task);
    } else if (engine->reroute && (lacked_instance(task) || may_go_now(engine, now, task))) {
        cm_turn_begin(&turn, engine, task->job, now);
        cm_turn_guard_task(&turn, task);
        cm_task_ready(&turn, task);
        cm_turn_end(&turn);
    }
}

static void reroute(struct cm_engine *engine, struct cm_now now)
{
    for (size_t i = 0; i < engine->jobs.room; i++) {
        struct cm_job *job = engine->jobs.entries[i].value;
        for (size_t k = 0; job && job->pipeline && !job->loading && k < job->pipeline->step_count; k++) {
            for (size_t t = 0; t < job->steps[k].total; t++) {
                reroute_task(engine, now, job->steps[k].tasks[t]);
            }
        }
    }
    engine->reroute = 0;
    engine->breaks_seen = cm_sched_breaks(engine->sched);
}

/* Finished jobs that were loaded for a retry that did not come. */
static void see_off_visitors(struct cm_engine *engine)
{
    for (size_t i = 0; engine->visitors && i < engine->jobs.room;) {
        struct cm_job *job = engine->jobs.entries[i].value;
        if (job && !job->loading && !job->in_flight && cm_job_is_over(job->row->state)) {
            cm_job_free(engine, job); /* another may have moved here */
        } else {
            i++;
        }
    }
    engine->visitors = 0;
}

void cm_engine_dispatch(struct cm_engine *engine, struct cm_now now)
{
    struct cm_sched_entry *entry;
    see_off_visitors(engine);
    if (engine->paused || engine->stalled) {
        return;
    }
    wake_due(engine, now);
    if (engine->reroute || engine->breaks_seen != cm_sched_breaks(engine->sched)) {
        reroute(engine, now);
    }
    while ((entry = cm_sched_pick(engine->sched, now.boot_ms))) {
        cm_task_claim(engine, now, entry->task);
    }
}

int64_t cm_engine_next_due(const struct cm_engine *engine, struct cm_now now)
{
    const struct cm_heap_node *top = cm_heap_top(&engine->due);
    int64_t due = top ? top->key : INT64_MAX;
    int64_t start = cm_sched_next_due(engine->sched, now.boot_ms);
    if (engine->paused || engine->stalled) {
        return INT64_MAX;
    }
    if (start != INT64_MAX) {
        start = now.utc_ms + (start > now.boot_ms ? start - now.boot_ms : 0);
    }
    return start < due ? start : due;
}

void cm_engine_pause(struct cm_engine *engine, int paused)
{
    engine->paused = paused;
}

enum cm_breaker_state cm_engine_breaker(const struct cm_engine *engine, struct cm_now now, const char *instance,
                                        int of_account, int64_t *until_ms)
{
    const struct cm_known_instance *known = cm_engine_instance(engine, instance);
    *until_ms = 0;
    if (!known) {
        return CM_BREAKER_CLOSED;
    }
    enum cm_breaker_state state = of_account ? cm_queue_account_breaker(known->queue, now.boot_ms, until_ms)
                                             : cm_queue_breaker(known->queue, now.boot_ms, until_ms);
    *until_ms = *until_ms ? now.utc_ms + *until_ms - now.boot_ms : 0;
    return state;
}

size_t cm_engine_running(const struct cm_engine *engine)
{
    return cm_sched_running(engine->sched);
}

size_t cm_engine_video_count(const struct cm_engine *engine)
{
    size_t posts = 0;
    for (size_t i = 0; i < engine->jobs.room; i++) {
        const struct cm_job *job = engine->jobs.entries[i].value;
        posts += job && !cm_job_is_over(job->row->state) && cm_starts_with(job->row->source, CM_POST_SOURCE);
    }
    return engine->open_jobs - posts;
}

size_t cm_engine_job_count(const struct cm_engine *engine)
{
    return engine->open_jobs;
}
