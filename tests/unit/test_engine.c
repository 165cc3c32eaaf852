/*
 * The engine from outside: events in, change sets and actions out, over a memory store. What the
 * simulator cannot ask for by name: answers to clients, words for people, what an attempt may read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <clipmaker/plugin.h>

#include "core/common/text.h"
#include "core/daemon/engine/engine.h"
#include "core/daemon/engine/fsck.h"
#include "core/daemon/store/memory.h"

#define START_MS 1700000000000
#define JOB "01890000-0000-7000-8000-000000000001"
#define OTHER "01890000-0000-7000-8000-000000000002"

static const char pipeline_text[] =
    "{\"name\":\"default\",\"steps\":["
    "{\"step\":\"fetch\",\"stage\":\"source\",\"use\":[\"file\"]},"
    "{\"step\":\"prepare\",\"stage\":\"prepare\",\"use\":[\"media\"],\"after\":[\"fetch\"],\"makes\":\"chunk\"},"
    "{\"step\":\"stt\",\"stage\":\"stt\",\"use\":[\"captions\",\"sphinx\"],\"after\":[\"prepare\"],\"each\":\"chunk\"},"
    "{\"step\":\"choose\",\"builtin\":\"choose\",\"after\":[\"stt\"],\"makes\":\"moment\"},"
    "{\"step\":\"clip\",\"stage\":\"render\",\"use\":[\"cut\"],\"after\":[\"choose\"],\"each\":\"moment*format\","
    "\"need\":\"any\"},"
    "{\"step\":\"publish\",\"stage\":\"publish\",\"use\":[\"target\"],\"after\":[\"clip\"],\"each\":\"moment*format*"
    "target\",\"need\":\"any\"}]}";

static const struct cm_instance instances[] = {
    {.name = "file", .stage = CM_STAGE_SOURCE, .limit = 2, .schemes = "file"},
    {.name = "media", .stage = CM_STAGE_PREPARE, .limit = 2},
    {.name = "captions", .stage = CM_STAGE_STT, .limit = 8, .languages = "*", .needs_captions = 1},
    {.name = "sphinx", .stage = CM_STAGE_STT, .limit = 8, .languages = "en"},
    {.name = "cut", .stage = CM_STAGE_RENDER, .limit = 8},
    {.name = "folder",
     .stage = CM_STAGE_PUBLISH,
     .limit = 8,
     .settle = CM_SETTLE_SEARCH,
     .settle_ms = 1000,
     .can_find = 1},
    {.name = "small", .stage = CM_STAGE_PUBLISH, .limit = 8, .max_clip_bytes = 100, .max_clip_ms = 9000},
};

struct scene {
    struct cm_engine *engine;
    struct cm_store *store;
    struct cm_pipeline *pipeline;
    struct cm_pipeline *pipelines[1];
    struct cm_engine_config config;
    struct cm_now now;
    struct cm_action *actions[4096]; /* starts that are not answered yet, and all else, in order */
    size_t count;
};

static void on_applied(void *arg, uint64_t set, enum cm_applied how, const char *words)
{
    struct scene *scene = arg;
    (void)words;
    cm_engine_applied(scene->engine, scene->now, set, how);
}

static struct scene *new_scene(void)
{
    struct scene *scene = cm_alloc(sizeof *scene);
    scene->now = (struct cm_now){START_MS, 5000};
    scene->pipeline = cm_pipeline_parse(pipeline_text, NULL);
    scene->pipelines[0] = scene->pipeline;
    scene->config = (struct cm_engine_config){
        .boot = "boot1",
        .seed = 1,
        .slots = 64,
        .max_jobs = 2,
        .instances = instances,
        .instance_count = sizeof instances / sizeof *instances,
        .pipelines = scene->pipelines,
        .pipeline_count = 1,
        .breaker_failures = 5,
        .breaker_rest_ms = 60000,
    };
    scene->store = cm_store_memory_open(on_applied, scene);
    scene->engine = cm_engine_new(&scene->config);
    return scene;
}

static void free_scene(struct scene *scene)
{
    for (size_t i = 0; i < scene->count; i++) {
        cm_action_free(scene->actions[i]);
    }
    cm_engine_free(scene->engine);
    cm_store_close(scene->store);
    cm_pipeline_free(scene->pipeline);
    free(scene);
}

/* Until nothing moves by itself. */
static void pump(struct scene *scene)
{
    struct cm_change_set *sets[64];
    struct cm_action *action;
    size_t moved = 1;
    while (moved) {
        cm_engine_dispatch(scene->engine, scene->now);
        moved = cm_engine_take_sets(scene->engine, sets, 64);
        cm_store_apply(scene->store, sets, moved);
        cm_store_dispatch(scene->store);
        while ((action = cm_engine_take_action(scene->engine))) {
            assert_true(scene->count < 4096);
            scene->actions[scene->count++] = action;
        }
    }
}

static void sleep_ms(struct scene *scene, int64_t ms)
{
    scene->now.utc_ms += ms;
    scene->now.boot_ms += ms;
    pump(scene);
}

/* Takes the first action of that kind (and step, unless NULL) out of the row, or NULL. */
static struct cm_action *take(struct scene *scene, enum cm_action_kind kind, const char *step)
{
    for (size_t i = 0; i < scene->count; i++) {
        struct cm_action *action = scene->actions[i];
        if (action->kind == kind && (!step || !strcmp(action->step, step))) {
            memmove(&scene->actions[i], &scene->actions[i + 1], (--scene->count - i) * sizeof *scene->actions);
            return action;
        }
    }
    return NULL;
}

static void submit_as(struct scene *scene, const char *id, const char *key, const char *params, uint64_t number)
{
    struct cm_submit submit = {id, "me", key, "default", "/v.mp4", params, 0, number};
    cm_engine_submit(scene->engine, scene->now, &submit);
    pump(scene);
}

static void submit(struct scene *scene, const char *params)
{
    submit_as(scene, JOB, "", params, 1);
    cm_action_free(take(scene, CM_ACTION_SUBMITTED, NULL));
}

static const char english[] = "{\"language\":\"en\",\"formats\":[\"9:16\"],\"targets\":[\"folder\"]}";

static void tell(struct scene *scene, struct cm_action *start, struct cm_done *done)
{
    cm_engine_attempt_done(scene->engine, scene->now, start->job, start->step, start->item, start->fence, done);
    cm_action_free(start);
    cm_done_free(done);
    pump(scene);
}

static struct cm_done *children(int count, const char *role)
{
    struct cm_done *done = cm_done_new(CM_OK);
    char key[16];
    for (int i = 1; i <= count; i++) {
        snprintf(key, sizeof key, "%02d", i);
        cm_done_add_child(done, key);
        cm_done_add_artifact(done, role, key, key, 1, "", "{}");
    }
    return done;
}

/* Ends every running attempt of that step in `outcome`. */
static size_t end_all(struct scene *scene, const char *step, int outcome)
{
    size_t count = 0;
    for (struct cm_action *start; (start = take(scene, CM_ACTION_START, step)); count++) {
        struct cm_done *done = outcome == CM_OK && !strcmp(step, "prepare")  ? children(3, "chunk")
                               : outcome == CM_OK && !strcmp(step, "choose") ? children(2, "moment")
                                                                             : cm_done_new(outcome);
        if (!strcmp(step, "fetch")) {
            cm_done_add_artifact(done, "media", "", "/v.mp4", 9, "", "{}");
        } else if (outcome == CM_OK) {
            cm_done_add_artifact(done, step, "", "out", 1, "", "{}");
        }
        tell(scene, start, done);
    }
    return count;
}

static void run_until(struct scene *scene, const char *last)
{
    static const char *const steps[] = {"fetch", "prepare", "stt", "choose", "clip", "publish"};
    for (size_t i = 0; strcmp(steps[i], last); i++) {
        assert_true(end_all(scene, steps[i], CM_OK) > 0);
    }
}

struct rows {
    void *items[64];
    size_t count;
};

static void on_row(void *arg, enum cm_table table, const void *row, const char *error)
{
    struct rows *rows = arg;
    assert_null(error);
    if (row) {
        rows->items[rows->count++] = cm_row_copy(table, row);
    }
}

/* State of a job, or of one of its tasks. */
static int64_t state_of(struct scene *scene, const char *job, const char *step, const char *item)
{
    enum cm_table table = step ? CM_TABLE_TASK : CM_TABLE_JOB;
    struct cm_query query = {.table = table, .job = job};
    struct rows rows = {0};
    int64_t found = 0;
    cm_store_query(scene->store, &query, on_row, &rows);
    cm_store_dispatch(scene->store);
    for (size_t i = 0; i < rows.count; i++) {
        const struct cm_task_row *task = rows.items[i];
        if (!step) {
            found = ((struct cm_job_row *)rows.items[i])->state;
        } else if (!strcmp(task->step, step) && !strcmp(task->item, item)) {
            found = task->state;
        }
        cm_row_free(table, rows.items[i]);
    }
    return found;
}

static void assert_words(char *words, const char *part)
{
    if (!strstr(words, part)) {
        print_error("\"%s\" says nothing of \"%s\"\n", words, part);
        fail();
    }
    free(words);
}

static char *why(struct scene *scene, const char *step, const char *item)
{
    return cm_engine_why(scene->engine, scene->now, JOB, step, item);
}

/* ---- Jobs ------------------------------------------------------------------------------------ */

static void test_whole_job(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    submit(scene, english);
    assert_int_equal(state_of(scene, JOB, NULL, NULL), CM_JOB_RUNNING);
    assert_int_equal(end_all(scene, "fetch", CM_OK), 1);
    assert_int_equal(end_all(scene, "prepare", CM_OK), 1);
    assert_int_equal(end_all(scene, "stt", CM_OK), 3);
    assert_int_equal(end_all(scene, "choose", CM_OK), 1);
    assert_int_equal(end_all(scene, "clip", CM_OK), 2);
    assert_int_equal(end_all(scene, "publish", CM_OK), 2);
    assert_int_equal(state_of(scene, JOB, NULL, NULL), CM_JOB_SUCCEEDED);
    assert_int_equal(cm_engine_job_count(scene->engine), 0);
    assert_int_equal(cm_engine_running(scene->engine), 0);
    assert_int_equal(cm_store_check(scene->store, NULL, NULL, NULL), 0);
    free_scene(scene);
}

static void test_zero_items(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    submit(scene, english);
    run_until(scene, "choose");
    tell(scene, take(scene, CM_ACTION_START, "choose"), cm_done_new(CM_OK));
    assert_int_equal(state_of(scene, JOB, NULL, NULL), CM_JOB_SUCCEEDED);
    free_scene(scene);
}

static void test_one_clip_fails(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    submit(scene, english);
    run_until(scene, "clip");
    struct cm_done *reject = cm_done_new(CM_REJECT);
    cm_done_text(&reject->words, "no such picture");
    tell(scene, take(scene, CM_ACTION_START, "clip"), reject);
    assert_int_equal(state_of(scene, JOB, "publish", "01/9:16/folder"), CM_TASK_SKIPPED);
    assert_int_equal(end_all(scene, "clip", CM_OK), 1);
    assert_int_equal(end_all(scene, "publish", CM_OK), 1);
    assert_int_equal(state_of(scene, JOB, NULL, NULL), CM_JOB_PARTIAL);
    free_scene(scene);
}

/* All chunks are needed: when one fails for good, no other is asked for in vain. */
static void test_pointless_work_is_dropped(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    struct cm_engine_config config = scene->config;
    config.slots = 1;
    cm_engine_configure(scene->engine, &config);
    submit(scene, english);
    run_until(scene, "stt");
    tell(scene, take(scene, CM_ACTION_START, "stt"), cm_done_new(CM_REJECT));
    assert_null(take(scene, CM_ACTION_START, NULL));
    assert_int_equal(state_of(scene, JOB, "stt", "03"), CM_TASK_SKIPPED);
    assert_int_equal(state_of(scene, JOB, NULL, NULL), CM_JOB_FAILED);
    assert_int_equal(cm_store_check(scene->store, NULL, NULL, NULL), 0);
    free_scene(scene);
}

/* ---- Clients --------------------------------------------------------------------------------- */

static void assert_answer(struct scene *scene, uint64_t number, int ok, const char *job, const char *text)
{
    struct cm_action *action = take(scene, CM_ACTION_SUBMITTED, NULL);
    assert_non_null(action);
    assert_int_equal(action->number, number);
    assert_int_equal(action->ok, ok);
    assert_string_equal(action->job, job);
    assert_non_null(strstr(action->text, text));
    cm_action_free(action);
}

static void test_request_keys(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    submit_as(scene, JOB, "key", english, 1);
    assert_answer(scene, 1, 1, JOB, "");
    submit_as(scene, OTHER, "key", english, 2);
    assert_answer(scene, 2, 1, JOB, CM_SUBMIT_EXISTS);
    submit_as(scene, OTHER, "key", "{\"language\":\"ru\"}", 3);
    assert_answer(scene, 3, 0, JOB, CM_SUBMIT_CONFLICT);
    assert_null(cm_engine_cancel(scene->engine, scene->now, JOB)); /* over: only the store knows it */
    pump(scene);
    tell(scene, take(scene, CM_ACTION_START, "fetch"), cm_done_new(CM_OUTCOME_CANCELLED));
    assert_int_equal(cm_engine_job_count(scene->engine), 0);
    submit_as(scene, OTHER, "key", english, 4);
    assert_answer(scene, 4, 0, OTHER, CM_SUBMIT_EXISTS);
    assert_int_equal(cm_engine_job_count(scene->engine), 0);
    assert_int_equal(state_of(scene, OTHER, NULL, NULL), 0);
    free_scene(scene);
}

static void test_refused_submits(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    submit_as(scene, JOB, "", "{\"targets\":[\"a/b\"]}", 1);
    assert_answer(scene, 1, 0, JOB, "a/b");
    submit_as(scene, JOB, "", "not json", 2);
    assert_answer(scene, 2, 0, JOB, "");
    struct cm_submit unknown = {JOB, "me", "", "nobody", "/v.mp4", english, 0, 3};
    cm_engine_submit(scene->engine, scene->now, &unknown);
    pump(scene);
    assert_answer(scene, 3, 0, "", "pipeline");
    submit_as(scene, JOB, "", english, 4);
    assert_answer(scene, 4, 1, JOB, "");
    submit_as(scene, OTHER, "", english, 5);
    assert_answer(scene, 5, 1, OTHER, "");
    submit_as(scene, "third", "", english, 6);
    assert_answer(scene, 6, 0, "", "max_jobs");
    free_scene(scene);
}

/* ---- What an attempt may read ---------------------------------------------------------------- */

static size_t count_inputs(const struct cm_start *start, const char *role)
{
    size_t count = 0;
    for (size_t i = 0; i < start->input_count; i++) {
        count += !strcmp(start->inputs[i]->role, role);
    }
    return count;
}

static void test_inputs(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    submit(scene, english);
    run_until(scene, "stt");
    struct cm_action *stt = take(scene, CM_ACTION_START, "stt");
    assert_string_equal(stt->item, "01");
    assert_string_equal(stt->start->instance, "sphinx"); /* there are no captions */
    assert_string_equal(stt->start->op, "transcribe");
    assert_string_equal(stt->start->folder, "jobs/" JOB "/stt.01.1");
    assert_string_equal(stt->start->language, "en");
    assert_int_equal(count_inputs(stt->start, "media"), 1);
    assert_int_equal(count_inputs(stt->start, "chunk"), 1);
    tell(scene, stt, cm_done_new(CM_OK));
    end_all(scene, "stt", CM_OK);
    struct cm_action *choose = take(scene, CM_ACTION_START, "choose");
    assert_string_equal(choose->start->builtin, "choose");
    assert_string_equal(choose->start->instance, "");
    assert_int_equal(count_inputs(choose->start, "chunk"), 3);
    assert_int_equal(count_inputs(choose->start, "stt"), 2);
    tell(scene, choose, children(2, "moment"));
    struct cm_action *clip = take(scene, CM_ACTION_START, "clip");
    assert_string_equal(clip->item, "01/9:16");
    assert_string_equal(clip->start->folder, "jobs/" JOB "/clip.01+9x16.1");
    assert_int_equal(count_inputs(clip->start, "moment"), 1);
    for (size_t i = 0; i < clip->start->input_count; i++) {
        const struct cm_artifact_row *input = clip->start->inputs[i];
        if (!strcmp(input->role, "moment")) {
            assert_string_equal(input->key, "01");
            assert_string_equal(input->path, "jobs/" JOB "/choose..1/01");
        } else if (!strcmp(input->role, "media")) {
            assert_string_equal(input->path, "/v.mp4");
        }
    }
    cm_action_free(clip);
    free_scene(scene);
}

/* ---- Languages ------------------------------------------------------------------------------- */

static void test_language_words(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    submit(scene, "{\"language\":\"ru\",\"targets\":[\"folder\"]}");
    end_all(scene, "fetch", CM_OK);
    end_all(scene, "prepare", CM_OK);
    assert_null(take(scene, CM_ACTION_START, "stt"));
    assert_int_equal(state_of(scene, JOB, NULL, NULL), CM_JOB_FAILED);
    struct cm_query query = {.table = CM_TABLE_JOB, .job = JOB};
    struct rows rows = {0};
    cm_store_query(scene->store, &query, on_row, &rows);
    cm_store_dispatch(scene->store);
    struct cm_job_row *job = rows.items[0];
    assert_string_equal(job->reason, "language");
    assert_non_null(strstr(job->words, "--captions FILE"));
    assert_non_null(strstr(job->words, "--lang en"));
    cm_row_free(CM_TABLE_JOB, job);
    free_scene(scene);
}

static void test_captions_are_asked_first(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    submit(scene, "{\"language\":\"ru\",\"captions\":\"/c.srt\",\"targets\":[\"folder\"]}");
    end_all(scene, "fetch", CM_OK);
    end_all(scene, "prepare", CM_OK);
    struct cm_action *stt = take(scene, CM_ACTION_START, "stt");
    assert_string_equal(stt->start->instance, "captions");
    cm_action_free(stt);
    free_scene(scene);
}

/* ---- Publishing ------------------------------------------------------------------------------ */

static void ask_sending(struct scene *scene, const struct cm_action *start, int expected)
{
    cm_engine_sending(scene->engine, scene->now, start->job, start->step, start->item, start->fence, 42);
    pump(scene);
    struct cm_action *answer = take(scene, CM_ACTION_ANSWER, NULL);
    assert_non_null(answer);
    assert_int_equal(answer->number, 42);
    assert_int_equal(answer->ok, expected);
    cm_action_free(answer);
}

static void test_ambiguous_post_is_looked_for(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    submit(scene, english);
    run_until(scene, "publish");
    struct cm_action *publish = take(scene, CM_ACTION_START, "publish");
    char *key = cm_strdup(publish->start->effect_key);
    assert_int_equal(strlen(key), 40);
    ask_sending(scene, publish, 1);
    tell(scene, publish, cm_done_new(CM_OUTCOME_CRASHED));
    sleep_ms(scene, 300000);
    while (take(scene, CM_ACTION_START, "clip")) {
    }
    struct cm_action *find = NULL;
    for (struct cm_action *start; !find && (start = take(scene, CM_ACTION_START, "publish"));) {
        find = !strcmp(start->start->op, "find") ? start : (cm_action_free(start), NULL);
    }
    assert_non_null(find);
    assert_string_equal(find->start->effect_key, key);
    struct cm_done *found = cm_done_new(CM_OK);
    found->found = CM_FOUND;
    cm_done_text(&found->url, "https://x/1");
    char *item = cm_strdup(find->item);
    tell(scene, find, found);
    assert_int_equal(state_of(scene, JOB, "publish", item), CM_TASK_SUCCEEDED);
    free(item);
    free(key);
    free_scene(scene);
}

static void test_no_sending_after_cancel(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    submit(scene, english);
    run_until(scene, "publish");
    struct cm_action *first = take(scene, CM_ACTION_START, "publish"),
                     *second = take(scene, CM_ACTION_START, "publish");
    ask_sending(scene, first, 1);
    assert_null(cm_engine_cancel(scene->engine, scene->now, JOB));
    pump(scene);
    struct cm_action *kill = take(scene, CM_ACTION_KILL, NULL);
    assert_non_null(kill);
    assert_string_equal(kill->item, second->item); /* not the one that may be sending */
    assert_null(take(scene, CM_ACTION_KILL, NULL));
    ask_sending(scene, second, 0);
    tell(scene, second, cm_done_new(CM_OUTCOME_CANCELLED));
    assert_int_equal(state_of(scene, JOB, NULL, NULL), CM_JOB_RUNNING);
    char *item = cm_strdup(first->item);
    tell(scene, first, cm_done_new(CM_OK));
    assert_int_equal(state_of(scene, JOB, "publish", item), CM_TASK_SUCCEEDED);
    assert_int_equal(state_of(scene, JOB, NULL, NULL), CM_JOB_CANCELLED);
    cm_action_free(kill);
    free(item);
    free_scene(scene);
}

static void test_scheduled_post(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    char *params = cm_format("{\"language\":\"en\",\"targets\":[\"folder\"],\"publish_at_ms\":%lld}",
                             (long long)START_MS + 3600000);
    submit(scene, params);
    run_until(scene, "publish");
    assert_null(take(scene, CM_ACTION_START, "publish"));
    assert_int_equal(state_of(scene, JOB, "publish", "01/9:16/folder"), CM_TASK_SCHEDULED);
    assert_int_equal(cm_engine_next_due(scene->engine, scene->now), START_MS + 3600000);
    assert_words(why(scene, "publish", "01/9:16/folder"), "is due in");
    sleep_ms(scene, 3599999);
    assert_null(take(scene, CM_ACTION_START, "publish"));
    sleep_ms(scene, 1);
    assert_int_equal(end_all(scene, "publish", CM_OK), 2);
    free(params);
    free_scene(scene);
}

/* ---- People ---------------------------------------------------------------------------------- */

static void load_again(struct scene *scene)
{
    static const enum cm_table tables[] = {CM_TABLE_PIPELINE, CM_TABLE_JOB,      CM_TABLE_CLAIM,  CM_TABLE_TASK,
                                           CM_TABLE_ATTEMPT,  CM_TABLE_ARTIFACT, CM_TABLE_EFFECT, CM_TABLE_NOTE};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        struct cm_query query = {.table = tables[i], .job = JOB};
        struct rows rows = {0};
        cm_store_query(scene->store, &query, on_row, &rows);
        cm_store_dispatch(scene->store);
        for (size_t k = 0; k < rows.count; k++) {
            cm_engine_load(scene->engine, tables[i], rows.items[k]);
            cm_row_free(tables[i], rows.items[k]);
        }
    }
    cm_engine_recover(scene->engine, scene->now);
}

static void test_retry_of_a_finished_job(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    submit(scene, english);
    run_until(scene, "choose");
    end_all(scene, "choose", CM_REJECT);
    assert_int_equal(state_of(scene, JOB, NULL, NULL), CM_JOB_FAILED);
    assert_non_null(cm_engine_retry(scene->engine, scene->now, JOB, NULL, NULL)); /* not loaded */
    load_again(scene);
    pump(scene); /* forgotten again */
    assert_non_null(cm_engine_retry(scene->engine, scene->now, JOB, NULL, NULL));
    load_again(scene);
    assert_null(cm_engine_retry(scene->engine, scene->now, JOB, NULL, NULL));
    pump(scene);
    struct cm_action *choose = take(scene, CM_ACTION_START, "choose");
    assert_int_equal(choose->fence, 2);
    assert_null(take(scene, CM_ACTION_START, "stt")); /* what succeeded is not done again */
    tell(scene, choose, children(1, "moment"));
    end_all(scene, "clip", CM_OK);
    end_all(scene, "publish", CM_OK);
    assert_int_equal(state_of(scene, JOB, NULL, NULL), CM_JOB_SUCCEEDED);
    load_again(scene);
    assert_non_null(cm_engine_retry(scene->engine, scene->now, JOB, NULL, NULL)); /* nothing to try */
    pump(scene);
    assert_int_equal(cm_engine_job_count(scene->engine), 0);
    free_scene(scene);
}

static void test_hold_and_room_again(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    submit(scene, english);
    struct cm_done *full = cm_done_new(CM_HOLD);
    full->reason = CM_REASON_RESOURCE;
    cm_done_text(&full->words, "the disk is full");
    tell(scene, take(scene, CM_ACTION_START, "fetch"), full);
    assert_int_equal(state_of(scene, JOB, "fetch", ""), CM_TASK_HELD);
    assert_words(why(scene, NULL, NULL), "held (resource): the disk is full");
    assert_int_equal(cm_engine_next_due(scene->engine, scene->now), INT64_MAX);
    cm_engine_resource_back(scene->engine, scene->now);
    pump(scene);
    assert_int_equal(end_all(scene, "fetch", CM_OK), 1);
    free_scene(scene);
}

static void test_remove(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    submit(scene, english);
    assert_non_null(cm_engine_remove(scene->engine, scene->now, JOB));
    end_all(scene, "fetch", CM_REJECT);
    for (struct cm_action *drop; (drop = take(scene, CM_ACTION_DROP_FOLDER, NULL));) {
        assert_string_equal(drop->text, "jobs/" JOB "/fetch..1");
        cm_action_free(drop);
    }
    assert_null(cm_engine_remove(scene->engine, scene->now, JOB));
    pump(scene);
    struct cm_action *drop = take(scene, CM_ACTION_DROP_FOLDER, NULL);
    assert_string_equal(drop->text, "jobs/" JOB);
    assert_int_equal(state_of(scene, JOB, NULL, NULL), 0);
    assert_int_equal(cm_engine_job_count(scene->engine), 0);
    cm_action_free(drop);
    free_scene(scene);
}

static void test_instance_goes_and_comes(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    struct cm_engine_config less = scene->config;
    less.instance_count = 1; /* only the source */
    cm_engine_configure(scene->engine, &less);
    submit(scene, english);
    end_all(scene, "fetch", CM_OK);
    assert_int_equal(state_of(scene, JOB, "prepare", ""), CM_TASK_HELD);
    assert_words(why(scene, NULL, NULL), "asks for \"media\"");
    cm_engine_configure(scene->engine, &scene->config);
    pump(scene);
    assert_int_equal(end_all(scene, "prepare", CM_OK), 1);
    free_scene(scene);
}

static void test_why(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    submit(scene, english);
    assert_words(why(scene, NULL, NULL), "fetch: is running on file");
    assert_words(why(scene, "prepare", ""), "waits for step \"fetch\" (0 of 1 done)");
    assert_words(why(scene, "nobody", ""), "no such task");
    struct cm_done *later = cm_done_new(CM_AGAIN);
    later->delay_ms = 90000;
    cm_done_text(&later->words, "the network is down");
    tell(scene, take(scene, CM_ACTION_START, "fetch"), later);
    assert_words(why(scene, NULL, NULL), "fetch: tries again in 1m30s: the network is down");
    cm_engine_pause(scene->engine, 1);
    assert_words(why(scene, NULL, NULL), "paused");
    cm_engine_pause(scene->engine, 0);
    assert_words(cm_engine_why(scene->engine, scene->now, OTHER, NULL, NULL), "no unfinished job");
    free_scene(scene);
}

/* Nothing happens before its set is durable. */
static void test_commit_then_act(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    cm_store_memory_manual(scene->store, 1);
    submit_as(scene, JOB, "", english, 1);
    assert_null(take(scene, CM_ACTION_SUBMITTED, NULL));
    assert_null(take(scene, CM_ACTION_START, NULL));
    assert_int_equal(cm_store_memory_pending(scene->store), 2); /* the job, and its first claim */
    cm_store_memory_commit(scene->store, 1);
    pump(scene);
    assert_answer(scene, 1, 1, JOB, "");
    assert_null(take(scene, CM_ACTION_START, NULL));
    cm_store_memory_commit(scene->store, 1);
    pump(scene);
    struct cm_action *start = take(scene, CM_ACTION_START, "fetch");
    assert_non_null(start);
    cm_action_free(start);
    free_scene(scene);
}

static struct cm_action *submit_from(struct scene *scene, const char *id, const char *source)
{
    struct cm_submit submit = {id, "me", id, "default", source, "{}", 0, 7};
    cm_engine_submit(scene->engine, scene->now, &submit);
    pump(scene);
    return take(scene, CM_ACTION_SUBMITTED, NULL);
}

/* However many posts wait for their time, there is room for videos; and the other way round. */
static void test_posts_do_not_count_as_jobs(void **state)
{
    (void)state;
    struct scene *scene = new_scene(); /* max_jobs 2 */
    static const struct {
        const char *id, *source;
        int ok;
    } jobs[] = {
        {JOB "1", CM_POST_SOURCE "a/01", 1},
        {JOB "2", CM_POST_SOURCE "a/02", 1},
        {JOB "3", CM_POST_SOURCE "a/03", 1},
        {JOB "4", "/v.mp4", 1},
        {JOB "5", "/w.mp4", 1},
        {JOB "6", "/x.mp4", 0},
        {JOB "7", CM_POST_SOURCE "a/04", 1},
    };
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) {
        struct cm_action *answer = submit_from(scene, jobs[i].id, jobs[i].source);
        assert_int_equal(answer->ok, jobs[i].ok);
        cm_action_free(answer);
    }
    assert_int_equal(cm_engine_job_count(scene->engine), 6);
    assert_int_equal(cm_engine_video_count(scene->engine), 2);
    free_scene(scene);
}

/* ---- Clips that are too large ---------------------------------------------------------------- */

static const char to_small[] = "{\"language\":\"en\",\"formats\":[\"9:16\"],\"targets\":[\"small\"]}";
static const char to_folder[] = "{\"language\":\"en\",\"formats\":[\"9:16\"],\"targets\":[\"folder\"]}";

/* Up to the publish tasks of two clips of this size; the first of them has its start taken. */
static struct cm_action *to_publish(struct scene *scene, const char *params, int64_t bytes, const char *facts)
{
    submit(scene, params);
    run_until(scene, "clip");
    for (struct cm_action *start; (start = take(scene, CM_ACTION_START, "clip"));) {
        struct cm_done *done = cm_done_new(CM_OK);
        cm_done_add_artifact(done, "clip", "", "clip.mp4", bytes, "", facts);
        tell(scene, start, done);
    }
    return take(scene, CM_ACTION_START, "publish");
}

static struct cm_done *fitted(int64_t bytes)
{
    struct cm_done *done = cm_done_new(CM_OK);
    cm_done_add_artifact(done, "clip", "", "smaller.mp4", bytes, "", "{}");
    return done;
}

static const struct cm_artifact_row *clip_in(const struct cm_action *start)
{
    const struct cm_artifact_row *found = NULL;
    for (size_t i = 0; i < start->start->input_count; i++) {
        if (!strcmp(start->start->inputs[i]->role, "clip")) {
            assert_null(found); /* one, and no other */
            found = start->start->inputs[i];
        }
    }
    assert_non_null(found);
    return found;
}

/* Its next attempt, which must be this operation of this instance. */
static struct cm_action *next_is(struct scene *scene, const char *op, const char *instance)
{
    struct cm_action *start = take(scene, CM_ACTION_START, "publish");
    assert_non_null(start);
    assert_string_equal(start->start->op, op);
    assert_string_equal(start->start->instance, instance);
    return start;
}

static void test_a_large_clip_is_made_to_fit(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    struct cm_action *start = to_publish(scene, to_small, 101, "{\"duration_ms\":8000}");
    assert_string_equal(start->start->op, CM_OP_FIT);
    assert_string_equal(start->start->instance, "cut");
    assert_int_equal(start->start->max_bytes, 100);
    assert_string_equal(start->start->effect_key, "");
    assert_int_equal(clip_in(start)->bytes, 101);
    struct cm_action *second = next_is(scene, CM_OP_FIT, "cut");
    tell(scene, start, fitted(100));
    start = next_is(scene, "publish", "small");
    assert_int_equal(clip_in(start)->bytes, 100);
    assert_int_equal(start->start->max_bytes, 0);
    assert_string_not_equal(start->start->effect_key, "");
    assert_int_equal(start->fence, 2);
    tell(scene, start, cm_done_new(CM_OK));
    /* One that does not obey, however often it is asked, makes no post. */
    tell(scene, second, fitted(101));
    assert_null(take(scene, CM_ACTION_START, "publish"));
    free_scene(scene);
}

static void test_what_fits_or_is_too_long_is_left_alone(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    struct cm_action *whole = to_publish(scene, to_small, 100, "{}");
    assert_string_equal(whole->start->op, "publish");
    cm_action_free(whole);
    free_scene(scene);
    scene = new_scene();
    struct cm_action *start = to_publish(scene, to_small, 101, "{\"duration_ms\":9001}");
    assert_string_equal(start->start->op, "publish");
    struct cm_done *refused = cm_done_new(CM_CANNOT);
    refused->reason = CM_REASON_TOO_LARGE;
    tell(scene, start, refused);
    cm_action_free(next_is(scene, "publish", "small")); /* of the other clip: this one failed */
    assert_null(take(scene, CM_ACTION_START, "publish"));
    free_scene(scene);
}

/* A daemon that knows only what the store has. */
static void reborn(struct scene *scene, const char *boot)
{
    struct cm_claim_row claim = {(char *)JOB, (char *)boot};
    struct cm_change_set *set = cm_change_set_new(1u << 30);
    cm_change_put(set, CM_TABLE_CLAIM, &claim);
    cm_store_apply(scene->store, &set, 1);
    cm_store_dispatch(scene->store);
    cm_engine_free(scene->engine);
    scene->config.boot = boot;
    scene->engine = cm_engine_new(&scene->config);
    load_again(scene);
    pump(scene);
}

static void gone(struct scene *scene)
{
    for (struct cm_action *action; (action = take(scene, CM_ACTION_AWAIT_GONE, NULL));) {
        cm_engine_gone(scene->engine, scene->now, action->job, action->step, action->item, action->fence);
        cm_action_free(action);
    }
    pump(scene);
}

static void test_a_refusal_is_learned_from_once(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    struct cm_action *start = to_publish(scene, to_folder, 1000, "{}"), *other;
    assert_string_equal(start->start->op, "publish"); /* nothing is known of a limit */
    other = next_is(scene, "publish", "folder");
    tell(scene, other, cm_done_new(CM_OK));
    struct cm_done *refused = cm_done_new(CM_CANNOT);
    refused->reason = CM_REASON_TOO_LARGE;
    tell(scene, start, cm_done_copy(refused));
    start = next_is(scene, CM_OP_FIT, "cut");
    assert_int_equal(start->start->max_bytes, 900);
    cm_action_free(start);
    /* The daemon dies under it; the next one knows as much. */
    reborn(scene, "boot2");
    gone(scene);
    sleep_ms(scene, 60000);
    start = next_is(scene, CM_OP_FIT, "cut");
    assert_int_equal(start->start->max_bytes, 900);
    tell(scene, start, fitted(850));
    start = next_is(scene, "publish", "folder");
    assert_int_equal(clip_in(start)->bytes, 850);
    cm_action_free(start);
    reborn(scene, "boot3");
    gone(scene);
    sleep_ms(scene, 60000);
    start = next_is(scene, "publish", "folder");
    assert_int_equal(clip_in(start)->bytes, 850);
    tell(scene, start, refused);
    assert_null(take(scene, CM_ACTION_START, "publish")); /* twice is enough */
    free_scene(scene);
}

static void test_a_clip_is_made_to_fit_before_its_time(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    char *params = cm_format("{\"language\":\"en\",\"targets\":[\"small\"],\"publish_at_ms\":%lld}",
                             (long long)START_MS + 3600000);
    struct cm_action *start = to_publish(scene, params, 101, "{}");
    assert_string_equal(start->start->op, CM_OP_FIT);
    tell(scene, start, fitted(90));
    cm_action_free(next_is(scene, CM_OP_FIT, "cut"));
    assert_null(take(scene, CM_ACTION_START, "publish"));
    sleep_ms(scene, 3599000);
    assert_null(take(scene, CM_ACTION_START, "publish"));
    sleep_ms(scene, 1000);
    start = next_is(scene, "publish", "small");
    assert_int_equal(start->start->late_ms, 0);
    cm_action_free(start);
    free(params);
    free_scene(scene);
}

/* ---- Where data may go ------------------------------------------------------------------------- */

#define INSTANCES (sizeof instances / sizeof *instances)

/* The same config, with a recipient for one of its instances; NULL: for none. */
static void send_abroad(struct scene *scene, const char *name, const char *recipient)
{
    struct cm_instance *changed = cm_alloc(sizeof instances);
    memcpy(changed, instances, sizeof instances);
    for (size_t i = 0; i < INSTANCES; i++) {
        changed[i].recipient = name && !strcmp(changed[i].name, name) ? recipient : NULL;
    }
    struct cm_engine_config config = scene->config;
    config.instances = changed;
    cm_engine_configure(scene->engine, &config);
    free(changed); /* the engine has copies */
    pump(scene);
}

static const char worldly[] = "{\"language\":\"en\",\"formats\":[\"9:16\"],\"targets\":[\"folder\"],\"captions\":\"/"
                              "c.srt\",\"strategy\":\"global\"}";
static const char homely[] =
    "{\"language\":\"en\",\"formats\":[\"9:16\"],\"targets\":[\"folder\"],\"captions\":\"/c.srt\",\"strategy\":\"ru\"}";

static void test_ru_goes_past_whoever_is_abroad(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    send_abroad(scene, "captions", "X, USA");
    cm_engine_consent(scene->engine, "me", "X, USA", 1); /* consent does not help a ru job */
    submit(scene, homely);
    run_until(scene, "stt");
    for (int i = 0; i < 3; i++) {
        struct cm_action *start = take(scene, CM_ACTION_START, "stt");
        assert_string_equal(start->start->instance, "sphinx");
        cm_action_free(start);
    }
    assert_words(why(scene, "stt", "01"), "not asked: captions (abroad)");
    free_scene(scene);
}

/* A job that does not say, in a config that does not: ru. */
static void test_a_ru_job_is_held_rather_than_sent_abroad(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    send_abroad(scene, "sphinx", "X, USA");
    submit(scene, "{\"language\":\"en\",\"targets\":[\"folder\"],\"captions\":\"/c.srt\"}");
    run_until(scene, "stt");
    assert_int_equal(end_all(scene, "stt", CM_CANNOT), 3); /* captions could not: the fallback is abroad */
    assert_null(take(scene, CM_ACTION_START, "stt"));
    assert_int_equal(state_of(scene, JOB, "stt", "01"), CM_TASK_HELD);
    assert_words(why(scene, "stt", "01"), "held (policy): strategy ru: sphinx would send the sound of the speech");
    send_abroad(scene, "folder", "Y"); /* that one is at home now, and the last step is not */
    assert_int_equal(state_of(scene, JOB, "stt", "01"), CM_TASK_RUNNING);
    assert_int_equal(end_all(scene, "stt", CM_OK), 3);
    assert_int_equal(end_all(scene, "choose", CM_OK), 1);
    assert_true(end_all(scene, "clip", CM_OK) > 0);
    assert_null(take(scene, CM_ACTION_START, "publish"));
    assert_words(why(scene, NULL, NULL), "the clips with their titles and texts");
    free_scene(scene);
}

static void test_rejected_input_is_not_held_for_its_fallback(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    send_abroad(scene, "sphinx", "X, USA");
    submit(scene, homely);
    run_until(scene, "stt");
    assert_int_equal(end_all(scene, "stt", CM_REJECT), 3);
    assert_int_equal(state_of(scene, JOB, "stt", "01"), CM_TASK_FAILED);
    free_scene(scene);
}

static void test_a_global_job_waits_for_its_owners_consent(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    send_abroad(scene, "sphinx", "X, USA");
    submit(scene, worldly);
    assert_null(take(scene, CM_ACTION_START, NULL)); /* not even its source is asked */
    assert_words(why(scene, NULL, NULL), "the sound of the speech to X, USA");
    cm_engine_consent(scene->engine, "another", "X, USA", 1);
    cm_engine_consent(scene->engine, "me", "Y, USA", 1);
    cm_engine_consents_changed(scene->engine);
    pump(scene);
    assert_null(take(scene, CM_ACTION_START, NULL));
    cm_engine_consent(scene->engine, "me", "X, USA", 1);
    cm_engine_consents_changed(scene->engine);
    pump(scene);
    run_until(scene, "stt");
    assert_int_equal(end_all(scene, "stt", CM_CANNOT), 6); /* now each one's fallback is asked, too */
    free_scene(scene);
}

/* What is in a queue already is looked at once more. */
static void test_consent_taken_back_stops_what_is_queued(void **state)
{
    (void)state;
    struct scene *scene = new_scene();
    send_abroad(scene, "captions", "X, USA");
    cm_engine_consent(scene->engine, "me", "X, USA", 1);
    submit(scene, worldly);
    run_until(scene, "prepare");
    cm_engine_pause(scene->engine, 1);
    assert_int_equal(end_all(scene, "prepare", CM_OK), 1);
    assert_int_equal(state_of(scene, JOB, "stt", "01"), CM_TASK_READY);
    cm_engine_consent(scene->engine, "me", "X, USA", 0);
    cm_engine_consents_changed(scene->engine);
    cm_engine_pause(scene->engine, 0);
    pump(scene);
    assert_null(take(scene, CM_ACTION_START, "stt"));
    assert_int_equal(state_of(scene, JOB, "stt", "01"), CM_TASK_HELD);
    send_abroad(scene, "captions", "Z"); /* a new recipient asks again */
    assert_words(why(scene, "stt", "01"), "has not consented");
    send_abroad(scene, NULL, NULL);
    assert_int_equal(state_of(scene, JOB, "stt", "01"), CM_TASK_RUNNING);
    free_scene(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_job),
        cmocka_unit_test(test_zero_items),
        cmocka_unit_test(test_one_clip_fails),
        cmocka_unit_test(test_pointless_work_is_dropped),
        cmocka_unit_test(test_request_keys),
        cmocka_unit_test(test_refused_submits),
        cmocka_unit_test(test_inputs),
        cmocka_unit_test(test_language_words),
        cmocka_unit_test(test_captions_are_asked_first),
        cmocka_unit_test(test_ambiguous_post_is_looked_for),
        cmocka_unit_test(test_no_sending_after_cancel),
        cmocka_unit_test(test_scheduled_post),
        cmocka_unit_test(test_retry_of_a_finished_job),
        cmocka_unit_test(test_hold_and_room_again),
        cmocka_unit_test(test_remove),
        cmocka_unit_test(test_instance_goes_and_comes),
        cmocka_unit_test(test_why),
        cmocka_unit_test(test_consent_taken_back_stops_what_is_queued),
        cmocka_unit_test(test_a_global_job_waits_for_its_owners_consent),
        cmocka_unit_test(test_rejected_input_is_not_held_for_its_fallback),
        cmocka_unit_test(test_a_ru_job_is_held_rather_than_sent_abroad),
        cmocka_unit_test(test_ru_goes_past_whoever_is_abroad),
        cmocka_unit_test(test_commit_then_act),
        cmocka_unit_test(test_posts_do_not_count_as_jobs),
        cmocka_unit_test(test_a_large_clip_is_made_to_fit),
        cmocka_unit_test(test_what_fits_or_is_too_long_is_left_alone),
        cmocka_unit_test(test_a_refusal_is_learned_from_once),
        cmocka_unit_test(test_a_clip_is_made_to_fit_before_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
