/*
 * The world: does what the daemon's I/O would do, and crashes where it likes.
 */
#include "tests/sim/world.h"

#include <clipmaker/plugin.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/text.h"

#define START_UTC_MS 1700000000000

void sim_say(const struct sim_world *world, const char *format, ...)
{
    va_list arguments;
    if (!world->verbose) {
        return;
    }
    va_start(arguments, format);
    printf("%10.3f  ", (double)(world->now.utc_ms - START_UTC_MS) / 1000);
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
}

void sim_fail(struct sim_world *world, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(world->failure, sizeof world->failure, format, arguments);
    va_end(arguments);
    longjmp(world->failed, 1);
}

/* ---- Events ---------------------------------------------------------------------------------- */

struct sim_event *sim_event_add(struct sim_world *world, int kind, int64_t at_ms)
{
    struct sim_event *event = cm_alloc(sizeof *event);
    event->kind = kind;
    event->at_ms = at_ms;
    event->job = cm_strdup("");
    event->step = cm_strdup("");
    event->item = cm_strdup("");
    world->events = cm_grow(world->events, &world->event_room, world->event_count, sizeof(struct sim_event *));
    world->events[world->event_count++] = event;
    return event;
}

void sim_event_free(struct sim_event *event)
{
    free(event->job);
    free(event->step);
    free(event->item);
    cm_done_free(event->done);
    free(event);
}

/* The client sends its request until somebody answers. */
static void submit(struct sim_world *world, size_t index)
{
    struct sim_job *job = &world->plan->jobs[index];
    if (job->accepted || job->refused) {
        return;
    }
    struct cm_submit request = {job->id, job->owner, job->key, "p", job->source, job->params, job->priority, index + 1};
    sim_say(world, "submit %s", job->id);
    cm_engine_submit(world->engine, world->now, &request);
    sim_event_add(world, SIM_EVENT_SUBMIT, world->now.utc_ms + 20000)->index = index;
}

static void happen(struct sim_world *world, struct sim_event *event)
{
    switch (event->kind) {
    case SIM_EVENT_GONE:
        sim_worker_gone(world, event->job, event->step, event->item, event->fence);
        cm_engine_gone(world->engine, world->now, event->job, event->step, event->item, event->fence);
        break;
    case SIM_EVENT_SUBMIT:
        submit(world, event->index);
        break;
    case SIM_EVENT_LATE: /* the same answer once more, or long after somebody else answered */
        cm_engine_attempt_done(world->engine, world->now, event->job, event->step, event->item, event->fence,
                               event->done);
        break;
    }
}

/* ---- Time ------------------------------------------------------------------------------------ */

static struct sim_worker *next_worker(const struct sim_world *world)
{
    struct sim_worker *next = NULL;
    for (size_t i = 0; i < world->worker_count; i++) {
        struct sim_worker *worker = world->workers[i];
        if (worker->at_ms != INT64_MAX && (!next || worker->at_ms < next->at_ms)) {
            next = worker;
        }
    }
    return next;
}

static size_t next_event(const struct sim_world *world)
{
    size_t next = world->event_count;
    for (size_t i = 0; i < world->event_count; i++) {
        if (next == world->event_count || world->events[i]->at_ms < world->events[next]->at_ms) {
            next = i;
        }
    }
    return next;
}

static void set_time(struct sim_world *world, int64_t utc_ms)
{
    if (utc_ms > world->now.utc_ms) {
        world->now.boot_ms += utc_ms - world->now.utc_ms;
        world->now.utc_ms = utc_ms;
    }
}

int sim_advance(struct sim_world *world)
{
    struct sim_worker *worker = next_worker(world);
    size_t index = next_event(world);
    struct sim_event *event = index < world->event_count ? world->events[index] : NULL;
    int64_t due = cm_engine_next_due(world->engine, world->now);
    int64_t first = worker ? worker->at_ms : INT64_MAX;
    first = event && event->at_ms < first ? event->at_ms : first;
    if (due < first) {
        set_time(world, due);
        return 1;
    }
    if (first == INT64_MAX) {
        return 0;
    }
    set_time(world, first);
    if (worker && worker->at_ms == first) {
        sim_worker_step(world, worker);
        return 1;
    }
    world->events[index] = world->events[--world->event_count];
    happen(world, event);
    sim_event_free(event);
    return 1;
}

/* ---- The store ------------------------------------------------------------------------------- */

static void applied(void *arg, uint64_t set, enum cm_applied how, const char *words)
{
    struct sim_world *world = arg;
    const char *wrong = sim_oracle_applied(world->oracle, set, how == CM_APPLIED);
    (void)words;
    if (wrong) {
        sim_fail(world, "%s", wrong);
    }
    if (!world->calm && sim_chance(&world->random, 3)) {
        how = CM_APPLIED_UNKNOWN; /* it did, but the word was lost */
    }
    world->words = cm_grow(world->words, &world->word_room, world->word_count, sizeof *world->words);
    world->words[world->word_count++] = (struct sim_word){set, how};
}

void sim_hand_over(struct sim_world *world)
{
    struct cm_change_set *sets[16];
    size_t count;
    while ((count = cm_engine_take_sets(world->engine, sets, 16))) {
        for (size_t i = 0; i < count; i++) {
            sim_oracle_note(world->oracle, sets[i]);
        }
        world->sets += count;
        sim_store_apply(world->store, sets, count);
    }
}

void sim_commit(struct sim_world *world, size_t count)
{
    size_t together = sim_store_is_real(world->store) ? count : 1;
    for (size_t i = 0; i < count && sim_store_pending(world->store); i += together) {
        sim_store_commit(world->store, together);
        sim_store_dispatch(world->store);
    }
}

static void loaded(void *arg, enum cm_table table, const void *row, const char *error)
{
    struct sim_world *world = arg;
    (void)error;
    if (row) {
        cm_engine_load(world->engine, table, row);
    } else if (--world->loads_open == 0) {
        cm_engine_recover(world->engine, world->now);
    }
}

void sim_load(struct sim_world *world, const char *job)
{
    static const enum cm_table tables[] = {CM_TABLE_PIPELINE, CM_TABLE_JOB,      CM_TABLE_CLAIM,  CM_TABLE_TASK,
                                           CM_TABLE_ATTEMPT,  CM_TABLE_ARTIFACT, CM_TABLE_EFFECT, CM_TABLE_NOTE};
    world->loads_open += 8; /* several loads at once recover together, when all have come */
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        struct cm_query query = {.table = tables[i], .job = job, .unfinished = job == NULL};
        sim_store_query(world->store, &query, loaded, world);
    }
    sim_store_dispatch(world->store);
}

/* ---- What the engine allows ------------------------------------------------------------------ */

static void answer_submit(struct sim_world *world, const struct cm_action *action)
{
    struct sim_job *job = &world->plan->jobs[action->number - 1];
    sim_say(world, "answer to submit %s: %s %s", job->id, action->ok ? "ok" : "no", action->text);
    if (action->ok) {
        job->accepted = 1;
    } else if (!strcmp(action->text, CM_SUBMIT_EXISTS)) {
        if (sim_oracle_job(world->oracle, job->id)) {
            job->accepted = 1; /* as the daemon would find by looking it up */
        }
    } else {
        job->refused = 1;
        sim_fail(world, "submit of %s refused: %s", job->id, action->text);
    }
}

static void await_gone(struct sim_world *world, const struct cm_action *action)
{
    struct sim_event *event = sim_event_add(world, SIM_EVENT_GONE, world->now.utc_ms + sim_below(&world->random, 2000));
    cm_row_text(&event->job, action->job);
    cm_row_text(&event->step, action->step);
    cm_row_text(&event->item, action->item);
    event->fence = action->fence;
}

static void act(struct sim_world *world, const struct cm_action *action)
{
    switch (action->kind) {
    case CM_ACTION_START:
        sim_worker_start(world, action->start);
        break;
    case CM_ACTION_KILL:
        sim_worker_kill(world, action);
        break;
    case CM_ACTION_ANSWER:
        sim_worker_answer(world, action);
        break;
    case CM_ACTION_AWAIT_GONE:
        await_gone(world, action);
        break;
    case CM_ACTION_RELOAD:
        sim_say(world, "reload %s", action->job);
        sim_load(world, action->job);
        break;
    case CM_ACTION_SUBMITTED:
        answer_submit(world, action);
        break;
    case CM_ACTION_JOB_CHANGED:
    case CM_ACTION_DROP_FOLDER:
        break;
    }
}

/* The engine's actions, now; between any two of them the daemon may die. */
static void take_actions(struct sim_world *world)
{
    struct cm_action *action;
    while ((action = cm_engine_take_action(world->engine))) {
        act(world, action);
        cm_action_free(action);
        if (!world->calm && sim_chance(&world->random, 2)) {
            sim_crash(world);
        }
    }
}

void sim_deliver(struct sim_world *world, size_t count)
{
    for (size_t i = 0; i < count && world->word_count; i++) {
        struct sim_word word = world->words[0];
        world->word_count--;
        memmove(world->words, world->words + 1, world->word_count * sizeof *world->words);
        cm_engine_applied(world->engine, world->now, word.set, word.how);
        take_actions(world);
    }
    take_actions(world);
}

void sim_dispatch(struct sim_world *world)
{
    cm_engine_dispatch(world->engine, world->now);
    take_actions(world);
}

/* ---- Birth, crash, death --------------------------------------------------------------------- */

static void new_engine(struct sim_world *world)
{
    struct cm_pipeline *pipelines[] = {world->plan->pipeline};
    snprintf(world->boot_name, sizeof world->boot_name, "boot%d", ++world->boot);
    struct cm_engine_config config = {
        .boot = world->boot_name,
        .seed = sim_next(&world->random),
        .slots = world->plan->slots,
        .instances = world->plan->instances,
        .instance_count = world->plan->instance_count,
        .pipelines = pipelines,
        .pipeline_count = 1,
        .backoff_base_ms = 2000,
        .backoff_max_ms = 60000,
        .breaker_failures = 3,
        .breaker_rest_ms = 10000,
        .owners = &(struct cm_owner_weight){"o1", 4},
        .owner_count = 1,
    };
    struct cm_boot_row boot = {.id = world->boot_name, .host = (char *)"host", .pid = 1, .place = (char *)""};
    boot.started_ms = world->now.utc_ms;
    struct cm_change_set *set = cm_change_set_new((uint64_t)1 << 40 | (uint64_t)world->boot);
    cm_change_put(set, CM_TABLE_BOOT, &boot);
    sim_store_apply(world->store, &set, 1);
    sim_store_commit(world->store, 1);
    world->engine = cm_engine_new(&config);
    memset(world->last_start_ms, 0, sizeof world->last_start_ms);
}

/* A set was in the middle of a commit: the file tells whether it is durable. */
static void survived(void *arg, uint64_t set, int is_there)
{
    struct sim_world *world = arg;
    const char *wrong = sim_oracle_applied(world->oracle, set, is_there);
    sim_say(world, "set %llu %s", (unsigned long long)set, is_there ? "survived" : "is lost");
    world->torn++;
    world->survived += is_there;
    if (wrong) {
        sim_fail(world, "after a crash: %s", wrong);
    }
}

struct comparison {
    struct sim_world *world;
    size_t count;
};

static void compare_row(void *arg, enum cm_table table, const void *row, const char *error)
{
    struct comparison *comparison = arg;
    struct sim_world *world = comparison->world;
    const char *wrong = row ? sim_oracle_compare(world->oracle, table, row) : NULL;
    comparison->count += row != NULL;
    if (wrong || (error && *error)) {
        sim_fail(world, "%s", wrong ? wrong : error);
    }
}

/* Every row that was reported durable is there as it was, and no other. */
void sim_compare(struct sim_world *world)
{
    static const enum cm_table tables[] = {CM_TABLE_JOB, CM_TABLE_TASK, CM_TABLE_ATTEMPT, CM_TABLE_EFFECT};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        struct comparison comparison = {world, 0};
        struct cm_query query = {.table = tables[i]};
        sim_store_query(world->store, &query, compare_row, &comparison);
        sim_store_dispatch(world->store);
        if (comparison.count != world->oracle->tables[tables[i]].count) {
            sim_fail(world, "the store has %zu rows of table %s, and %zu were reported durable", comparison.count,
                     cm_row_type(tables[i])->name, world->oracle->tables[tables[i]].count);
        }
    }
}

/* What an earlier boot had is this one's now. */
static void take_over(struct sim_world *world)
{
    for (size_t i = 0; i < world->plan->job_count; i++) {
        struct cm_claim_row claim = {world->plan->jobs[i].id, world->boot_name};
        if (sim_oracle_job(world->oracle, claim.job)) {
            struct cm_change_set *set = cm_change_set_new((uint64_t)1 << 42 | i);
            cm_change_put(set, CM_TABLE_CLAIM, &claim);
            sim_store_apply(world->store, &set, 1);
            sim_store_commit(world->store, 1);
        }
    }
}

void sim_crash(struct sim_world *world)
{
    sim_say(world, "CRASH of the daemon");
    world->crashes++;
    if (sim_store_is_real(world->store)) {
        sim_hand_over(world); /* the more is cut in the middle of its commit */
    }
    cm_engine_free(world->engine);
    world->engine = NULL;
    const char *wrong = sim_store_crash(world->store, &world->random, survived, world);
    if (wrong) {
        sim_fail(world, "after a crash: %s", wrong);
    }
    sim_oracle_crash(world->oracle);
    if (sim_store_is_real(world->store)) {
        sim_compare(world);
    }
    world->word_count = 0;
    world->loads_open = 0;
    world->store_away = 0;
    for (size_t i = 0; i < world->worker_count; i++) {
        world->workers[i]->orphan = 1;
    }
    for (size_t i = 0; i < world->event_count; i++) {
        if (world->events[i]->kind == SIM_EVENT_GONE) {
            sim_event_free(world->events[i]);
            world->events[i--] = world->events[--world->event_count];
        }
    }
    set_time(world, world->now.utc_ms + sim_below(&world->random, 5000));
    new_engine(world);
    take_over(world);
    sim_load(world, NULL);
    for (size_t i = 0; i < world->plan->job_count; i++) {
        if (!world->plan->jobs[i].accepted) {
            sim_event_add(world, SIM_EVENT_SUBMIT, world->now.utc_ms + 1000)->index = i;
        }
    }
}

struct sim_world *sim_world_new(uint64_t seed, const struct sim_options *options)
{
    struct sim_world *world = cm_alloc(sizeof *world);
    /* Mixed: the states of neighbours must lie far apart, or they would throw the same, one throw later. */
    world->random.state = sim_next(&(struct sim_random){seed});
    world->verbose = options->verbose;
    world->now = (struct cm_now){START_UTC_MS, 1000};
    world->plan = sim_plan_new(&world->random);
    world->oracle = sim_oracle_new(world->plan->pipeline, options->ways);
    world->platform = sim_platform_new();
    world->store = sim_store_open(options->folder, applied, world);
    new_engine(world);
    sim_say(world, "%s", world->plan->pipeline->json);
    for (size_t i = 0; i < world->plan->job_count; i++) {
        struct sim_job *job = &world->plan->jobs[i];
        sim_say(world, "job %s %s %s", job->id, job->source, job->params);
        sim_event_add(world, SIM_EVENT_SUBMIT, START_UTC_MS + job->submit_ms)->index = i;
    }
    return world;
}

void sim_world_free(struct sim_world *world)
{
    cm_engine_free(world->engine);
    while (world->worker_count) {
        sim_worker_free(world, world->workers[0]);
    }
    for (size_t i = 0; i < world->event_count; i++) {
        sim_event_free(world->events[i]);
    }
    sim_store_close(world->store);
    sim_oracle_free(world->oracle);
    sim_platform_free(world->platform);
    sim_plan_free(world->plan);
    free(world->workers);
    free(world->events);
    free(world->words);
    free(world);
}
