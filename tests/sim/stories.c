/*
 * Stories: what random schedules seldom meet, told on purpose and many times over. Virtual time,
 * the memory store, no chance but the dice.
 */
#include <clipmaker/plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/text.h"
#include "core/daemon/engine/engine.h"
#include "core/daemon/engine/index.h"
#include "core/daemon/store/memory.h"
#include "tests/sim/random.h"
#include "tests/sim/stories.h"

#define START_MS 1700000000000
#define JOB "01890000-0000-7000-8000-000000000001"
#define BOOT "boot"

#define FAIL(...) (printf("sim: story failed: "), printf(__VA_ARGS__), printf("\n"), -1)

struct stage {
    struct cm_engine *engine;
    struct cm_store *store;
    struct cm_pipeline *pipeline;
    struct cm_engine_config config;
    struct cm_now now;
    uint64_t *applied, *refused; /* sets, in the order in which the store told of them */
    size_t applied_count, applied_room, refused_count, refused_room;
};

static const struct cm_instance wall = {
    .name = "wall", .stage = CM_STAGE_PUBLISH, .limit = 100000, .settle = CM_SETTLE_NATIVE_KEY};

static void keep(void *arg, uint64_t set, enum cm_applied how, const char *words)
{
    struct stage *stage = arg;
    (void)words;
    if (how == CM_APPLIED) {
        stage->applied = cm_grow(stage->applied, &stage->applied_room, stage->applied_count, sizeof *stage->applied);
        stage->applied[stage->applied_count++] = set;
    } else {
        stage->refused = cm_grow(stage->refused, &stage->refused_room, stage->refused_count, sizeof *stage->refused);
        stage->refused[stage->refused_count++] = set;
    }
}

static void open_stage(struct stage *stage, const char *pipeline, int slots)
{
    *stage = (struct stage){.now = {START_MS, 1000}};
    stage->pipeline = cm_pipeline_parse(pipeline, NULL);
    stage->config = (struct cm_engine_config){.boot = BOOT,
                                              .seed = 1,
                                              .slots = slots,
                                              .instances = &wall,
                                              .instance_count = 1,
                                              .pipelines = &stage->pipeline,
                                              .pipeline_count = 1,
                                              .backoff_base_ms = 1000};
    stage->store = cm_store_memory_open(keep, stage);
    stage->engine = cm_engine_new(&stage->config);
}

static void close_stage(struct stage *stage)
{
    cm_engine_free(stage->engine);
    cm_store_close(stage->store);
    cm_pipeline_free(stage->pipeline);
    free(stage->applied);
    free(stage->refused);
}

static size_t hand_over(struct stage *stage, struct cm_engine *engine)
{
    struct cm_change_set *sets[64];
    size_t count, all = 0;
    while ((count = cm_engine_take_sets(engine, sets, 64))) {
        cm_store_apply(stage->store, sets, count);
        all += count;
    }
    return all;
}

/* The engine hears of every set so far. */
static void tell_engine(struct stage *stage)
{
    for (size_t i = 0; i < stage->applied_count; i++) {
        cm_engine_applied(stage->engine, stage->now, stage->applied[i], CM_APPLIED);
    }
    stage->applied_count = 0;
}

/* Until nothing moves by itself. */
static void settle(struct stage *stage)
{
    do {
        cm_engine_dispatch(stage->engine, stage->now);
        hand_over(stage, stage->engine);
        cm_store_dispatch(stage->store);
        tell_engine(stage);
    } while (hand_over(stage, stage->engine));
}

static void submit(struct stage *stage, const char *id, const char *params)
{
    struct cm_submit request = {id, "me", "", "p", "/v.mp4", params, 0, 1};
    cm_engine_submit(stage->engine, stage->now, &request);
}

static void load_row(void *arg, enum cm_table table, const void *row, const char *error)
{
    (void)error;
    if (row) {
        cm_engine_load(arg, table, row);
    }
}

/* A daemon that finds what the other left. */
static struct cm_engine *another(struct stage *stage)
{
    static const enum cm_table tables[] = {CM_TABLE_PIPELINE, CM_TABLE_JOB,      CM_TABLE_CLAIM,  CM_TABLE_TASK,
                                           CM_TABLE_ATTEMPT,  CM_TABLE_ARTIFACT, CM_TABLE_EFFECT, CM_TABLE_NOTE};
    struct cm_engine *engine = cm_engine_new(&stage->config);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        struct cm_query query = {.table = tables[i], .unfinished = 1};
        cm_store_query(stage->store, &query, load_row, engine);
    }
    cm_store_dispatch(stage->store);
    cm_engine_recover(engine, stage->now);
    return engine;
}

/* The attempts that the engine starts now, of that step. */
static size_t take_starts(struct cm_engine *engine, const char *step, struct cm_action ***starts)
{
    struct cm_action *action;
    size_t count = 0, room = 0;
    *starts = NULL;
    while ((action = cm_engine_take_action(engine))) {
        if (action->kind != CM_ACTION_START || strcmp(action->step, step)) {
            cm_action_free(action);
            continue;
        }
        *starts = cm_grow(*starts, &room, count, sizeof(struct cm_action *));
        (*starts)[count++] = action;
    }
    return count;
}

static void free_starts(struct cm_action **starts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        cm_action_free(starts[i]);
    }
    free(starts);
}

static void answer(struct stage *stage, const struct cm_action *start, const struct cm_done *done)
{
    cm_engine_attempt_done(stage->engine, stage->now, start->job, start->step, start->item, start->fence, done);
}

/* A job of `count` parts that are all at work: their starts. */
static size_t begin_parts(struct stage *stage, size_t count, struct cm_action ***starts)
{
    char key[32];
    struct cm_done *made = cm_done_new(CM_OK);
    submit(stage, JOB, "{}");
    settle(stage);
    size_t splits = take_starts(stage->engine, "split", starts);
    for (size_t i = 0; i < count; i++) {
        snprintf(key, sizeof key, "%05zu", i);
        cm_done_add_child(made, key);
    }
    cm_done_text(&made->dimension, "part");
    for (size_t i = 0; i < splits; i++) {
        answer(stage, (*starts)[i], made);
    }
    free_starts(*starts, splits);
    cm_done_free(made);
    settle(stage);
    return take_starts(stage->engine, "work", starts);
}

static const char parts_pipeline[] = "{\"name\":\"p\",\"steps\":["
                                     "{\"step\":\"split\",\"builtin\":\"split\",\"makes\":\"part\"},"
                                     "{\"step\":\"work\",\"builtin\":\"work\",\"after\":[\"split\"],\"each\":\"part\"},"
                                     "{\"step\":\"join\",\"builtin\":\"join\",\"after\":[\"work\"]}]}";

/* ---- 6000 parts end in one commit ------------------------------------------------------------ */

#define PARTS 6000

static int fan_out(void)
{
    struct stage stage;
    struct cm_action **starts, **joins;
    struct cm_done *done = cm_done_new(CM_OK);
    open_stage(&stage, parts_pipeline, PARTS + 1);
    size_t count = begin_parts(&stage, PARTS, &starts);
    for (size_t i = 0; i < count; i++) {
        answer(&stage, starts[i], done);
    }
    hand_over(&stage, stage.engine);
    cm_store_dispatch(stage.store); /* all of them at once; and the engine has heard nothing yet */
    size_t early = take_starts(stage.engine, "join", &joins);
    free_starts(joins, early);
    settle(&stage);
    size_t fired = take_starts(stage.engine, "join", &joins);
    for (size_t i = 0; i < fired; i++) {
        answer(&stage, joins[i], done);
    }
    free_starts(joins, fired);
    settle(&stage);
    size_t again = take_starts(stage.engine, "join", &joins), open = cm_engine_job_count(stage.engine);
    free_starts(joins, again);
    free_starts(starts, count);
    cm_done_free(done);
    close_stage(&stage);
    if (count != PARTS || early || fired != 1 || again || open) {
        return FAIL("%zu of %d parts, their join fired %zu times early, %zu times, %zu times more; %zu jobs are open",
                    count, PARTS, early, fired, again, open);
    }
    printf("sim: %d parts end in one commit: their join fired once\n", PARTS);
    return 0;
}

/* ---- The reaper and the answer --------------------------------------------------------------- */

#define ROUNDS 200
#define RACES 500

struct race {
    const struct cm_action *start;
    int is_reaper;
};

struct outcome {
    size_t done, lost, other;
};

static void count_row(void *arg, enum cm_table table, const void *row, const char *error)
{
    struct outcome *outcome = arg;
    const struct cm_task_row *task = row;
    (void)table;
    (void)error;
    if (!task || strcmp(task->step, "work")) {
        return;
    }
    outcome->done += task->state == CM_TASK_SUCCEEDED;
    outcome->lost += task->state == CM_TASK_READY || task->state == CM_TASK_BACKOFF;
    outcome->other +=
        task->state != CM_TASK_SUCCEEDED && task->state != CM_TASK_READY && task->state != CM_TASK_BACKOFF;
}

static void shuffle(struct race *races, size_t count, struct sim_random *random)
{
    for (size_t i = count; i-- > 1;) {
        size_t other = (size_t)sim_below(random, (int)i + 1);
        struct race kept = races[i];
        races[i] = races[other];
        races[other] = kept;
    }
}

/*
 * One daemon has the answers of its workers; another thinks it dead, and each of its attempts, too.
 * Both decide about every attempt, in any order; the store lets the first of the two through.
 */
static int race_once(struct sim_random *random, struct outcome *sum)
{
    struct stage stage;
    struct cm_action **starts;
    struct cm_done *done = cm_done_new(CM_OK);
    struct outcome outcome = {0};
    size_t expected = 0;
    open_stage(&stage, parts_pipeline, RACES + 1);
    cm_store_memory_manual(stage.store, 0);
    size_t count = begin_parts(&stage, RACES, &starts);
    struct cm_engine *reaper = another(&stage);
    hand_over(&stage, reaper);
    cm_store_dispatch(stage.store);
    stage.applied_count = 0;
    struct race *races = cm_alloc(2 * count * sizeof *races);
    char *decided = cm_alloc(count + 1);
    for (size_t i = 0; i < 2 * count; i++) {
        races[i] = (struct race){starts[i / 2], (int)(i % 2)};
    }
    shuffle(races, 2 * count, random);
    for (size_t i = 0; i < 2 * count; i++) {
        const struct cm_action *start = races[i].start;
        size_t part = strtoul(start->item, NULL, 10);
        if (races[i].is_reaper) {
            cm_engine_gone(reaper, stage.now, start->job, start->step, start->item, start->fence);
        } else {
            answer(&stage, start, done);
        }
        hand_over(&stage, races[i].is_reaper ? reaper : stage.engine);
        expected += !decided[part] && !races[i].is_reaper; /* the answer came first: it wins */
        decided[part] = 1;
    }
    cm_store_dispatch(stage.store);
    struct cm_query query = {.table = CM_TABLE_TASK};
    cm_store_query(stage.store, &query, count_row, &outcome);
    cm_store_dispatch(stage.store);
    size_t applied = stage.applied_count, refused = stage.refused_count;
    free(decided);
    free(races);
    free_starts(starts, count);
    cm_engine_free(reaper);
    cm_done_free(done);
    close_stage(&stage);
    sum->done += outcome.done;
    sum->lost += outcome.lost;
    if (count != RACES || outcome.done != expected || outcome.lost != count - expected || outcome.other ||
        applied != count || refused != count) {
        return FAIL(
            "of %zu races %zu should be done: %zu are, %zu are to be done again, %zu are neither; %zu sets were "
            "applied and %zu refused",
            count, expected, outcome.done, outcome.lost, outcome.other, applied, refused);
    }
    return 0;
}

static int reaper(void)
{
    struct sim_random random = {4711};
    struct outcome sum = {0};
    for (int i = 0; i < ROUNDS; i++) {
        if (race_once(&random, &sum)) {
            return -1;
        }
    }
    printf("sim: %d races of an answer with the reaper: %zu answers were first and stand, %zu attempts were lost, none "
           "both\n",
           ROUNDS * RACES, sum.done, sum.lost);
    return 0;
}

/* ---- Posts at a time ------------------------------------------------------------------------- */

#define POSTS 10000
#define HOURS_MS (6 * 3600 * 1000LL)
#define SPREAD_MS 600000
#define RESTARTS 24

static const char post_pipeline[] = "{\"name\":\"p\",\"steps\":[{\"step\":\"post\",\"stage\":\"publish\",\"use\":["
                                    "\"target\"],\"each\":\"target\"}]}";

static void submit_posts(struct stage *stage, int64_t *due_ms, struct sim_random *random)
{
    char id[40], params[120];
    for (int i = 0; i < POSTS; i++) {
        due_ms[i] = START_MS + HOURS_MS + sim_below(random, SPREAD_MS);
        snprintf(id, sizeof id, "01890000-0000-7000-8000-%012d", i);
        snprintf(params, sizeof params, "{\"targets\":[\"wall\"],\"publish_at_ms\":%lld}", (long long)due_ms[i]);
        submit(stage, id, params);
        settle(stage);
    }
}

/* What starts now is posted; how many were too early or later than a second, or not the first. */
static size_t post_all(struct stage *stage, const int64_t *due_ms, char *posted, int64_t *latest_ms)
{
    struct cm_action **starts;
    struct cm_done *done = cm_done_new(CM_OK);
    size_t wrong = 0, count = take_starts(stage->engine, "post", &starts);
    cm_done_text(&done->post_id, "1");
    for (size_t i = 0; i < count; i++) {
        long post = strtol(starts[i]->job + 24, NULL, 10);
        int64_t late_ms = stage->now.utc_ms - due_ms[post];
        wrong += late_ms < 0 || late_ms > 1000 || posted[post]++;
        *latest_ms = late_ms > *latest_ms ? late_ms : *latest_ms;
        answer(stage, starts[i], done);
    }
    free_starts(starts, count);
    cm_done_free(done);
    settle(stage);
    return wrong;
}

static void restart(struct stage *stage)
{
    struct cm_engine *engine = another(stage);
    cm_engine_free(stage->engine);
    stage->engine = engine;
    settle(stage);
}

static int scheduled(void)
{
    struct stage stage;
    struct sim_random random = {815};
    int64_t *due_ms = cm_alloc(POSTS * sizeof *due_ms), latest_ms = 0, at_ms[RESTARTS];
    char *posted = cm_alloc(POSTS);
    size_t wrong = 0, restarts = 0, missing = 0;
    open_stage(&stage, post_pipeline, 100000);
    submit_posts(&stage, due_ms, &random);
    for (int i = 0; i < RESTARTS; i++) { /* half of them before the first is due, half in between */
        at_ms[i] = i < RESTARTS / 2 ? START_MS + HOURS_MS * (i + 1) / (RESTARTS / 2 + 1)
                                    : START_MS + HOURS_MS + SPREAD_MS / RESTARTS * 2 * (i - RESTARTS / 2);
    }
    for (;;) {
        wrong += post_all(&stage, due_ms, posted, &latest_ms);
        int64_t due = cm_engine_next_due(stage.engine, stage.now);
        int is_restart = restarts < RESTARTS && at_ms[restarts] <= due;
        int64_t next = is_restart ? at_ms[restarts] : due;
        if (next == INT64_MAX) {
            break;
        }
        if (next > stage.now.utc_ms) {
            stage.now.boot_ms += next - stage.now.utc_ms;
            stage.now.utc_ms = next;
        }
        if (is_restart) {
            restarts++;
            restart(&stage);
        }
        settle(&stage);
    }
    for (int i = 0; i < POSTS; i++) {
        missing += !posted[i];
    }
    size_t open = cm_engine_job_count(stage.engine);
    close_stage(&stage);
    free(due_ms);
    free(posted);
    if (wrong || missing || open || restarts != RESTARTS) {
        return FAIL(
            "of %d posts %zu are at a wrong time or doubled, %zu never went, %zu jobs are open after %zu restarts",
            POSTS, wrong, missing, open, restarts);
    }
    printf("sim: %d posts six hours ahead, %d restarts: each went once, the latest %lld ms after its time\n", POSTS,
           RESTARTS, (long long)latest_ms);
    return 0;
}

int sim_stories(void)
{
    return fan_out() || reaper() || scheduled();
}
