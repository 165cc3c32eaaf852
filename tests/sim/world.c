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
    event->daemon = sim_index_of(world, world->self);
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
    cm_engine_submit(world->self->engine, sim_now(world), &request);
    sim_event_add(world, SIM_EVENT_SUBMIT, world->now.utc_ms + 20000)->index = index;
}

struct cm_now sim_now(const struct sim_world *world)
{
    return (struct cm_now){world->now.utc_ms, world->now.boot_ms + world->self->skew_ms};
}

static void happen(struct sim_world *world, struct sim_event *event)
{
    world->self = &world->daemons[event->daemon];
    switch (event->kind) {
    case SIM_EVENT_GONE:
        sim_worker_gone(world, event->job, event->step, event->item, event->fence);
        cm_engine_gone(world->self->engine, sim_now(world), event->job, event->step, event->item, event->fence);
        break;
    case SIM_EVENT_SUBMIT:
        submit(world, event->index);
        break;
    case SIM_EVENT_LATE: /* the same answer once more, or long after somebody else answered */
        cm_engine_attempt_done(world->self->engine, sim_now(world), event->job, event->step, event->item, event->fence,
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

void sim_set_time(struct sim_world *world, int64_t utc_ms)
{
    if (utc_ms > world->now.utc_ms) {
        world->now.boot_ms += utc_ms - world->now.utc_ms;
        world->now.utc_ms = utc_ms;
        sim_cluster_beat(world);
    }
}

/* The first of the daemons that has something to do though nothing happens; NULL: none ever. */
static struct sim_daemon *next_due(struct sim_world *world, int64_t *due_ms)
{
    struct sim_daemon *self = world->self, *first = NULL;
    *due_ms = INT64_MAX;
    for (size_t i = 0; i < world->daemon_count; i++) {
        world->self = &world->daemons[i];
        int64_t due = cm_engine_next_due(world->self->engine, sim_now(world));
        due = due < world->self->frozen_until_ms ? world->self->frozen_until_ms : due;
        if (due < *due_ms) {
            *due_ms = due;
            first = world->self;
        }
    }
    world->self = self;
    return first;
}

/* Whoever hears it is frozen: it comes later. */
static int is_put_off(struct sim_world *world, size_t daemon, int64_t *at_ms)
{
    int64_t hears_ms = sim_hears_ms(world, &world->daemons[daemon]);
    if (hears_ms <= world->now.utc_ms) {
        return 0;
    }
    *at_ms = hears_ms;
    return 1;
}

int sim_advance(struct sim_world *world)
{
    struct sim_worker *worker = next_worker(world);
    size_t index = next_event(world);
    struct sim_event *event = index < world->event_count ? world->events[index] : NULL;
    int64_t due;
    struct sim_daemon *waker = next_due(world, &due);
    int64_t first = worker ? worker->at_ms : INT64_MAX;
    first = event && event->at_ms < first ? event->at_ms : first;
    if (due < first) {
        sim_set_time(world, due);
        world->self = waker;
        return 1;
    }
    if (first == INT64_MAX) {
        return 0;
    }
    sim_set_time(world, first);
    if (worker && worker->at_ms == first) {
        sim_worker_step(world, worker);
        return 1;
    }
    if (event->kind == SIM_EVENT_SUBMIT && world->daemon_count > 1) { /* clients ask anybody */
        event->daemon = (size_t)sim_below(&world->random, (int)world->daemon_count);
    }
    if (is_put_off(world, event->daemon, &event->at_ms)) {
        return 1;
    }
    world->events[index] = world->events[--world->event_count];
    happen(world, event);
    sim_event_free(event);
    return 1;
}

/* ---- The store ------------------------------------------------------------------------------- */

/* A word for the daemon that handed it over, if that one lives. */
static void applied(void *arg, uint64_t set, enum cm_applied how, const char *words)
{
    struct sim_world *world = arg;
    const char *wrong = sim_oracle_applied(world->oracle, set, how == CM_APPLIED);
    struct sim_sent sent = world->sent[0];
    struct sim_daemon *daemon = &world->daemons[sent.daemon];
    (void)words;
    memmove(world->sent, world->sent + 1, --world->sent_count * sizeof *world->sent);
    if (wrong) {
        sim_fail(world, "%s", wrong);
    }
    if (how == CM_APPLIED && sent.claim_boot) {
        world->claims[sent.claim_job] = sent.claim_boot;
    }
    if (!world->calm && sim_chance(&world->random, 3)) {
        how = CM_APPLIED_UNKNOWN; /* it did, but the word was lost */
    }
    if (sent.life == daemon->life) {
        daemon->words = cm_grow(daemon->words, &daemon->word_room, daemon->word_count, sizeof *daemon->words);
        daemon->words[daemon->word_count++] = (struct sim_word){set, how};
    }
}

static void note_sent(struct sim_world *world, const struct cm_change_set *set)
{
    struct sim_sent sent = {.daemon = sim_index_of(world, world->self), .life = world->self->life};
    for (size_t i = 0; i < set->count; i++) {
        const struct cm_claim_row *claim = set->changes[i].row;
        if (set->changes[i].table == CM_TABLE_CLAIM && set->changes[i].kind == CM_CHANGE_PUT) {
            sent.claim_job = sim_plan_job(world->plan, claim->job);
            sent.claim_boot = atoi(claim->boot + strlen("boot"));
        }
    }
    world->sent = cm_grow(world->sent, &world->sent_room, world->sent_count, sizeof *world->sent);
    world->sent[world->sent_count++] = sent;
}

void sim_apply(struct sim_world *world, struct cm_change_set *set)
{
    note_sent(world, set);
    sim_store_apply(world->store, &set, 1);
}

void sim_hand_over(struct sim_world *world)
{
    struct cm_change_set *sets[16];
    size_t count;
    while ((count = cm_engine_take_sets(world->self->engine, sets, 16))) {
        for (size_t i = 0; i < count; i++) {
            sim_residency_check(world, sets[i]);
            sim_oracle_note(world->oracle, sets[i]);
            note_sent(world, sets[i]);
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

struct kept {
    enum cm_table table;
    void *row;
};

/* Rows that one life of a daemon asked for. */
struct sim_loading {
    struct sim_world *world;
    struct sim_daemon *daemon;
    int life;
    size_t left; /* queries that have not ended */
    struct kept *rows;
    size_t count, room;
};

static void free_rows(struct sim_loading *loading)
{
    for (size_t i = 0; i < loading->count; i++) {
        cm_row_free(loading->rows[i].table, loading->rows[i].row);
    }
    free(loading->rows);
    loading->rows = NULL;
    loading->count = loading->room = 0;
}

/* All at once, as the daemon's loader does. */
static void load_rows(struct sim_loading *loading)
{
    struct sim_world *world = loading->world;
    struct sim_daemon *self = world->self;
    world->self = loading->daemon; /* the answer may come while another one acts */
    world->self->loads_open--;
    for (size_t i = 0; i < loading->count; i++) {
        cm_engine_load(world->self->engine, loading->rows[i].table, loading->rows[i].row);
    }
    cm_engine_recover(world->self->engine, sim_now(world));
    world->self = self;
}

static void loaded(void *arg, enum cm_table table, const void *row, const char *error)
{
    struct sim_loading *loading = arg;
    (void)error;
    if (row) {
        loading->rows = cm_grow(loading->rows, &loading->room, loading->count, sizeof *loading->rows);
        loading->rows[loading->count++] = (struct kept){table, cm_row_copy(table, row)};
        return;
    }
    if (--loading->left == 0 && loading->life == loading->daemon->life) {
        load_rows(loading);
    }
    if (loading->left == 0) {
        free_rows(loading);
    }
}

void sim_load(struct sim_world *world, const char *job)
{
    static const enum cm_table tables[] = {CM_TABLE_PIPELINE, CM_TABLE_JOB,      CM_TABLE_CLAIM,  CM_TABLE_TASK,
                                           CM_TABLE_ATTEMPT,  CM_TABLE_ARTIFACT, CM_TABLE_EFFECT, CM_TABLE_NOTE};
    struct sim_loading *loading = cm_alloc(sizeof *loading);
    *loading = (struct sim_loading){.world = world, .daemon = world->self, .life = world->self->life, .left = 8};
    world->loadings =
        cm_grow(world->loadings, &world->loading_room, world->loading_count, sizeof(struct sim_loading *));
    world->loadings[world->loading_count++] = loading;
    world->self->loads_open++;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        struct cm_query query = {.table = tables[i], .job = job, .unfinished = job == NULL};
        sim_store_query(world->store, &query, loaded, loading);
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

static void act(struct sim_world *world, struct cm_action *action)
{
    int lets_out = action->kind == CM_ACTION_START || (action->kind == CM_ACTION_ANSWER && action->ok);
    if (lets_out && !sim_cluster_may_act(world)) {
        action->ok = 0;
        action->kind = action->kind == CM_ACTION_START ? CM_ACTION_JOB_CHANGED : action->kind;
    }
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
    while ((action = cm_engine_take_action(world->self->engine))) {
        act(world, action);
        cm_action_free(action);
        if (!world->calm && sim_chance(&world->random, 2)) {
            sim_crash(world);
        }
    }
}

void sim_deliver(struct sim_world *world, size_t count)
{
    for (size_t i = 0; i < count && world->self->word_count; i++) {
        struct sim_word word = world->self->words[0];
        world->self->word_count--;
        memmove(world->self->words, world->self->words + 1, world->self->word_count * sizeof *world->self->words);
        cm_engine_applied(world->self->engine, sim_now(world), word.set, word.how);
        take_actions(world);
    }
    take_actions(world);
}

void sim_dispatch(struct sim_world *world)
{
    sim_cluster_may_act(world);
    cm_engine_dispatch(world->self->engine, sim_now(world));
    take_actions(world);
}

/* ---- Birth, crash, death --------------------------------------------------------------------- */

void sim_new_engine(struct sim_world *world)
{
    struct cm_pipeline *pipelines[] = {world->plan->pipeline};
    world->self->boot = ++world->boot;
    snprintf(world->self->boot_name, sizeof world->self->boot_name, "boot%d", world->boot);
    struct cm_engine_config config = {
        .boot = world->self->boot_name,
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
        .strategy = world->residency.strategy,
    };
    struct cm_boot_row boot = {.id = world->self->boot_name, .host = (char *)"host", .pid = 1, .place = (char *)""};
    boot.started_ms = world->now.utc_ms;
    struct cm_change_set *set = cm_change_set_new((uint64_t)1 << 40 | (uint64_t)world->boot);
    cm_change_put(set, CM_TABLE_BOOT, &boot);
    sim_apply(world, set);
    sim_store_commit(world->store, sim_store_pending(world->store));
    world->self->engine = cm_engine_new(&config);
    sim_residency_tell(world);
    memset(world->self->last_start_ms, 0, sizeof world->self->last_start_ms);
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
        struct cm_claim_row claim = {world->plan->jobs[i].id, world->self->boot_name};
        if (sim_oracle_job(world->oracle, claim.job)) {
            struct cm_change_set *set = cm_change_set_new((uint64_t)1 << 42 | i);
            cm_change_put(set, CM_TABLE_CLAIM, &claim);
            sim_apply(world, set);
            sim_store_commit(world->store, 1);
        }
    }
}

/* What was never heard of is asked again. */
static void submit_again(struct sim_world *world)
{
    for (size_t i = 0; i < world->plan->job_count; i++) {
        if (!world->plan->jobs[i].accepted) {
            sim_event_add(world, SIM_EVENT_SUBMIT, world->now.utc_ms + 1000)->index = i;
        }
    }
}

/* Nobody awaits them any more. */
static void drop_awaiting(struct sim_world *world, size_t daemon)
{
    for (size_t i = 0; i < world->event_count; i++) {
        if (world->events[i]->kind == SIM_EVENT_GONE && world->events[i]->daemon == daemon) {
            sim_event_free(world->events[i]);
            world->events[i--] = world->events[--world->event_count];
        }
    }
}

/* All that the daemon had in memory is gone; its workers go on without it. */
static void forget_all(struct sim_world *world)
{
    size_t daemon = sim_index_of(world, world->self);
    cm_engine_free(world->self->engine);
    world->self->engine = NULL;
    world->self->life++;
    world->self->word_count = 0;
    world->self->loads_open = 0;
    for (size_t i = 0; i < world->worker_count; i++) {
        world->workers[i]->orphan |= world->workers[i]->daemon == daemon;
    }
    drop_awaiting(world, daemon);
}

/* The store lives on, and so do the others. */
static void crash_one(struct sim_world *world)
{
    forget_all(world);
    sim_cluster_crash(world);
    sim_new_engine(world);
    submit_again(world);
}

void sim_crash(struct sim_world *world)
{
    sim_say(world, "CRASH of the daemon");
    world->crashes++;
    if (world->daemon_count > 1) {
        crash_one(world);
        return;
    }
    if (sim_store_is_real(world->store)) {
        sim_hand_over(world); /* the more is cut in the middle of its commit */
    }
    forget_all(world);
    const char *wrong = sim_store_crash(world->store, &world->random, survived, world);
    if (wrong) {
        sim_fail(world, "after a crash: %s", wrong);
    }
    world->sent_count = 0;
    sim_oracle_crash(world->oracle);
    if (sim_store_is_real(world->store)) {
        sim_compare(world);
    }
    world->store_away = 0;
    sim_set_time(world, world->now.utc_ms + sim_below(&world->random, 5000));
    sim_new_engine(world);
    take_over(world);
    sim_load(world, NULL);
    submit_again(world);
}

struct sim_world *sim_world_new(uint64_t seed, const struct sim_options *options)
{
    struct sim_world *world = cm_alloc(sizeof *world);
    /* Mixed: the states of neighbours must lie far apart, or they would throw the same, one throw later. */
    world->random.state = sim_next(&(struct sim_random){seed});
    world->verbose = options->verbose;
    world->now = (struct cm_now){START_UTC_MS, 1000};
    world->plan = sim_plan_new(&world->random);
    sim_residency_begin(world, seed);
    world->oracle = sim_oracle_new(world->plan->pipeline, options->ways);
    world->platform = sim_platform_new();
    world->store = sim_store_open(options->folder, applied, world);
    world->self = world->daemons;
    world->daemon_count = 1;
    sim_new_engine(world);
    if (!options->folder) {
        sim_cluster_begin(world, seed);
    }
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
    for (size_t i = 0; i < world->daemon_count; i++) {
        cm_engine_free(world->daemons[i].engine);
        free(world->daemons[i].words);
    }
    for (size_t i = 0; i < world->loading_count; i++) {
        free_rows(world->loadings[i]);
        free(world->loadings[i]);
    }
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
    free(world->sent);
    free(world->loadings);
    free(world);
}
