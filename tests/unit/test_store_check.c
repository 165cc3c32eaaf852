/*
 * Tests of core/daemon/store/check.c: a sound store passes, and each invariant, broken on purpose,
 * is found by name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/common/file.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/daemon/engine/fsck.h"
#include "core/daemon/engine/pipeline.h"
#include "core/daemon/store/memory.h"
#include "core/daemon/store/store.h"

#define PIPELINE                                                                                                       \
    "{\"name\":\"main\",\"steps\":["                                                                                   \
    "{\"step\":\"fetch\",\"stage\":\"source\",\"use\":[\"file\"]},"                                                    \
    "{\"step\":\"publish\",\"stage\":\"publish\",\"use\":[\"folder\"],\"after\":[\"fetch\"]}]}"

/* A store with one finished and one running job, and the state folder they name. */
struct bench {
    char *folder;
    struct cm_store *store;
    uint64_t next_id;
    char *lines; /* all that was found */
};

static void put(struct bench *bench, enum cm_table table, const void *row)
{
    struct cm_change_set *set = cm_change_set_new(bench->next_id++);
    cm_change_put(set, table, row);
    cm_store_apply(bench->store, &set, 1);
}

static void drop(struct bench *bench, enum cm_table table, const void *row)
{
    struct cm_change_set *set = cm_change_set_new(bench->next_id++);
    cm_change_delete(set, table, row);
    cm_store_apply(bench->store, &set, 1);
}

#define S(text) ((char *)(uintptr_t)(text))

static struct cm_job_row job_row(const char *id, int64_t state)
{
    return (struct cm_job_row){.id = S(id),
                               .owner = S("anna"),
                               .pipeline = S("p1"),
                               .source = S("/a/talk.mp4"),
                               .params = S("{}"),
                               .state = state};
}

static struct cm_task_row task_row(const char *job, const char *step, int64_t state, int64_t fence)
{
    return (struct cm_task_row){.job = S(job), .step = S(step), .item = S(""), .state = state, .fence = fence};
}

static struct cm_attempt_row attempt_row(const char *job, const char *step, int64_t fence, const char *verdict,
                                         const char *folder)
{
    return (struct cm_attempt_row){.job = S(job),
                                   .step = S(step),
                                   .item = S(""),
                                   .fence = fence,
                                   .instance = S("i"),
                                   .op = S(step),
                                   .folder = S(folder),
                                   .verdict = S(verdict)};
}

static const struct cm_artifact_row media = {.job = S("j1"),
                                             .step = S("fetch"),
                                             .item = S(""),
                                             .fence = 2,
                                             .role = S("media"),
                                             .key = S(""),
                                             .path = S("jobs/j1/fetch..2/talk.mp4"),
                                             .bytes = 5,
                                             .sha256 =
                                                 S("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
                                             .facts = S("{}")};

static const struct cm_effect_row post = {.key = S("k1"),
                                          .job = S("j1"),
                                          .step = S("publish"),
                                          .item = S(""),
                                          .fence = 1,
                                          .instance = S("folder"),
                                          .state = CM_EFFECT_CONFIRMED,
                                          .post_id = S("17"),
                                          .url = S("")};

static void make_folder(struct bench *bench, const char *name)
{
    char *path = cm_path_join(bench->folder, name);
    assert_int_equal(cm_folder_make(path), 0);
    free(path);
}

static void write_file(struct bench *bench, const char *name, const char *text)
{
    char *path = cm_path_join(bench->folder, name);
    assert_int_equal(cm_file_write(path, text, strlen(text)), 0);
    free(path);
}

static void fill(struct bench *bench)
{
    const struct cm_job_row jobs[] = {job_row("j1", CM_JOB_SUCCEEDED), job_row("j2", CM_JOB_RUNNING)};
    struct cm_task_row running = task_row("j2", "fetch", CM_TASK_RUNNING, 1);
    const struct cm_task_row tasks[] = {task_row("j1", "fetch", CM_TASK_SUCCEEDED, 2),
                                        task_row("j1", "publish", CM_TASK_SUCCEEDED, 2),
                                        task_row("j2", "publish", CM_TASK_BLOCKED, 0)};
    struct cm_attempt_row look = attempt_row("j1", "publish", 2, "ok", "jobs/j1/publish..2");
    look.op = S("find"); /* it settled what the first one left open */
    const struct cm_attempt_row attempts[] = {attempt_row("j1", "fetch", 1, "again", "jobs/j1/fetch..1"),
                                              attempt_row("j1", "fetch", 2, "ok", "jobs/j1/fetch..2"),
                                              attempt_row("j1", "publish", 1, "ok", "jobs/j1/publish..1"),
                                              attempt_row("j2", "fetch", 1, "", "jobs/j2/fetch..1")};
    put(bench, CM_TABLE_PIPELINE, &(struct cm_pipeline_row){S("p1"), S("main"), S(PIPELINE), 1});
    put(bench, CM_TABLE_BOOT, &(struct cm_boot_row){S("b1"), S("host"), 17, 1, 10000, 3, 0, S("")});
    for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++)
        put(bench, CM_TABLE_JOB, &jobs[i]);
    for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++)
        put(bench, CM_TABLE_TASK, &tasks[i]);
    for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++)
        put(bench, CM_TABLE_ATTEMPT, &attempts[i]);
    running.boot = S("b1");
    put(bench, CM_TABLE_TASK, &running);
    put(bench, CM_TABLE_ATTEMPT, &look);
    put(bench, CM_TABLE_ARTIFACT, &media);
    put(bench, CM_TABLE_EFFECT, &post);
    put(bench, CM_TABLE_EFFECT,
        &(struct cm_effect_row){.key = S("k0"), .job = S("gone"), .state = CM_EFFECT_CONFIRMED, .url = S("u")});
    put(bench, CM_TABLE_NOTE, &(struct cm_note_row){S("task j2/fetch/"), S("at"), S("9")});
    put(bench, CM_TABLE_NOTE, &(struct cm_note_row){S("instance vk"), S("token"), S("t")});
    make_folder(bench, "jobs/j1/fetch..2");
    make_folder(bench, "jobs/j2/fetch..1");
    write_file(bench, "jobs/j1/fetch..2/talk.mp4", "hello");
}

static int setup(void **state)
{
    struct bench *bench = cm_alloc(sizeof *bench);
    bench->folder = cm_strdup("/tmp/cm-check-XXXXXX");
    assert_non_null(mkdtemp(bench->folder));
    bench->store = cm_store_memory_open(NULL, NULL);
    bench->next_id = 1;
    fill(bench);
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    struct bench *bench = *state;
    cm_store_close(bench->store);
    cm_folder_remove(bench->folder);
    free(bench->folder);
    free(bench->lines);
    free(bench);
    return 0;
}

static void take_line(void *arg, const char *line)
{
    struct bench *bench = arg;
    assert_null(strchr(line, '\n'));
    char *more = cm_format("%s%s\n", bench->lines ? bench->lines : "", line);
    free(bench->lines);
    bench->lines = more;
}

/* Exactly one thing is wrong, and its line says so. */
static void check_found(struct bench *bench, const char *line)
{
    long found = cm_store_check(bench->store, bench->folder, take_line, bench);
    char *expected = cm_format("%s\n", line);
    assert_string_equal(bench->lines ? bench->lines : "", expected);
    assert_int_equal(found, 1);
    free(expected);
}

static void test_a_sound_store(void **state)
{
    struct bench *bench = *state;
    long found = cm_store_check_thorough(bench->store, bench->folder, take_line, bench);
    if (found != 0)
        fail_msg("%s", bench->lines);
    assert_int_equal(cm_store_check(bench->store, NULL, take_line, bench), 0);
}

static void test_an_empty_store(void **state)
{
    struct bench *bench = *state;
    struct cm_store *empty = cm_store_memory_open(NULL, NULL);
    assert_int_equal(cm_store_check(empty, "/nowhere/at/all", take_line, bench), 0);
    cm_store_close(empty);
}

static void test_a_store_that_does_not_answer(void **state)
{
    struct bench *bench = *state;
    cm_store_memory_manual(bench->store, 1);
    put(bench, CM_TABLE_NOTE, &(struct cm_note_row){S("x"), S("y"), S("z")});
    assert_int_equal(cm_store_check(bench->store, bench->folder, take_line, bench), -1);
    cm_store_memory_commit(bench->store, 1);
    assert_int_equal(cm_store_drain(bench->store, 0), 0); /* the rows come late, and nobody trips over them */
}

static void test_an_unknown_boot(void **state)
{
    drop(*state, CM_TABLE_BOOT, &(struct cm_boot_row){.id = S("b1")});
    check_found(*state, "task j2/fetch/: runs under boot \"b1\", which is not known");
}

static void test_a_dead_boot(void **state)
{
    put(*state, CM_TABLE_BOOT, &(struct cm_boot_row){S("b1"), S("host"), 17, 1, 10000, 3, 1, S("")});
    check_found(*state, "task j2/fetch/: runs under boot \"b1\", which is not alive");
}

static void test_running_without_an_attempt(void **state)
{
    struct cm_attempt_row attempt = attempt_row("j2", "fetch", 1, "", "");
    drop(*state, CM_TABLE_ATTEMPT, &attempt);
    cm_folder_remove(((struct bench *)*state)->folder); /* so that no folder is stray, */
    struct bench *bench = *state;
    make_folder(bench, "jobs/j1/fetch..2"); /* and the artifact is where it was */
    write_file(bench, "jobs/j1/fetch..2/talk.mp4", "hello");
    check_found(bench, "task j2/fetch/: runs attempt 1, which is not there");
}

static void test_running_an_ended_attempt(void **state)
{
    struct cm_attempt_row attempt = attempt_row("j2", "fetch", 1, "crashed", "jobs/j2/fetch..1");
    put(*state, CM_TABLE_ATTEMPT, &attempt);
    check_found(*state, "task j2/fetch/: runs attempt 1, which ended (crashed)");
}

static void test_states_that_are_none(void **state)
{
    struct bench *bench = *state;
    struct cm_task_row task = task_row("j2", "publish", 42, 0);
    put(bench, CM_TABLE_TASK, &task);
    check_found(bench, "task j2/publish/: its state 42 is none");
}

static void test_a_job_state_that_is_none(void **state)
{
    struct cm_job_row job = job_row("j2", 42);
    put(*state, CM_TABLE_JOB, &job);
    check_found(*state, "job j2: its state 42 is none");
}

static void test_held_by_nothing(void **state)
{
    struct cm_task_row task = task_row("j2", "publish", CM_TASK_HELD, 0);
    put(*state, CM_TABLE_TASK, &task);
    check_found(*state, "task j2/publish/: is held, and nothing says by what");
}

static void test_a_finished_job_with_work_left(void **state)
{
    struct cm_task_row task = task_row("j1", "publish", CM_TASK_READY, 2);
    put(*state, CM_TABLE_TASK, &task);
    check_found(*state, "job j1: is succeeded, but its task publish/ is ready");
}

static void test_a_job_that_forgot_to_finish(void **state)
{
    struct cm_job_row job = job_row("j1", CM_JOB_RUNNING);
    put(*state, CM_TABLE_JOB, &job);
    check_found(*state, "job j1: is running, but all its tasks are over");
}

static void test_a_job_without_tasks(void **state)
{
    struct cm_job_row job = job_row("j3", CM_JOB_QUEUED);
    put(*state, CM_TABLE_JOB, &job);
    check_found(*state, "job j3: is queued, but has no task");
}

static void test_a_task_without_its_job(void **state)
{
    struct cm_task_row task = task_row("j9", "fetch", CM_TASK_READY, 0);
    put(*state, CM_TABLE_TASK, &task);
    check_found(*state, "task j9/fetch/: its job is not there");
}

static void test_a_task_of_no_step(void **state)
{
    struct cm_task_row task = task_row("j2", "dance", CM_TASK_BLOCKED, 0);
    put(*state, CM_TABLE_TASK, &task);
    check_found(*state, "task j2/dance/: its pipeline has no such step");
}

static void test_a_missing_pipeline(void **state)
{
    struct cm_job_row job = job_row("j2", CM_JOB_RUNNING);
    job.pipeline = S("p9");
    put(*state, CM_TABLE_JOB, &job);
    check_found(*state, "job j2: its pipeline \"p9\" is not there");
}

static void test_an_unreadable_pipeline(void **state)
{
    struct bench *bench = *state;
    put(bench, CM_TABLE_PIPELINE, &(struct cm_pipeline_row){S("p2"), S("bad"), S("{"), 1});
    assert_int_equal(cm_store_check(bench->store, bench->folder, take_line, bench), 1);
    assert_true(cm_starts_with(bench->lines, "pipeline p2 (bad): cannot be read: "));
}

static void test_blocked_by_nothing(void **state)
{
    struct bench *bench = *state;
    struct cm_task_row task = task_row("j2", "fetch", CM_TASK_SKIPPED, 1);
    struct cm_attempt_row attempt = attempt_row("j2", "fetch", 1, "cannot", "jobs/j2/fetch..1");
    put(bench, CM_TABLE_TASK, &task);
    put(bench, CM_TABLE_ATTEMPT, &attempt);
    check_found(bench, "task j2/publish/: is blocked, but everything before it is over");
}

static void test_a_publish_without_an_effect(void **state)
{
    drop(*state, CM_TABLE_EFFECT, &post);
    check_found(*state, "task j1/publish/: published, but no effect of it is confirmed");
}

static void test_a_publish_with_an_absent_effect(void **state)
{
    struct cm_effect_row effect = post;
    effect.state = CM_EFFECT_ABSENT;
    put(*state, CM_TABLE_EFFECT, &effect);
    check_found(*state, "task j1/publish/: published, but no effect of it is confirmed");
}

static void test_two_effects_of_a_task(void **state)
{
    struct cm_effect_row effect = post;
    effect.key = S("k2");
    put(*state, CM_TABLE_EFFECT, &effect);
    struct bench *bench = *state;
    assert_int_equal(cm_store_check(bench->store, bench->folder, take_line, bench), 1);
    assert_non_null(strstr(bench->lines, "task j1/publish/ has another, k"));
}

static void test_effects_that_say_nothing(void **state)
{
    struct cm_effect_row effect = post;
    effect.post_id = S("");
    put(*state, CM_TABLE_EFFECT, &effect);
    check_found(*state, "effect k1: is confirmed, but names no post");
}

static void test_an_open_effect_of_a_vanished_job(void **state)
{
    put(*state, CM_TABLE_EFFECT,
        &(struct cm_effect_row){
            .key = S("k3"), .job = S("gone"), .step = S("publish"), .state = CM_EFFECT_UNCONFIRMED});
    check_found(*state, "effect k3: its job gone is not there, and it is unconfirmed");
}

static void test_sending_while_nobody_works(void **state)
{
    struct bench *bench = *state;
    struct cm_effect_row effect = post;
    struct cm_task_row task = task_row("j1", "publish", CM_TASK_FAILED, 2);
    effect.state = CM_EFFECT_SENDING;
    put(bench, CM_TABLE_EFFECT, &effect);
    put(bench, CM_TABLE_TASK, &task);
    check_found(bench, "effect k1: may be out, but its task is failed");
}

static void test_a_fence_from_the_future(void **state)
{
    struct cm_attempt_row attempt = attempt_row("j1", "fetch", 3, "again", "");
    put(*state, CM_TABLE_ATTEMPT, &attempt);
    check_found(*state, "attempt j1/fetch/#3: its task has had 2 attempts only");
}

static void test_an_attempt_that_never_ended(void **state)
{
    struct cm_attempt_row attempt = attempt_row("j1", "fetch", 1, "", "jobs/j1/fetch..1");
    put(*state, CM_TABLE_ATTEMPT, &attempt);
    check_found(*state, "attempt j1/fetch/#1: never ended, but its task is succeeded with fence 2");
}

static void test_a_verdict_that_is_none(void **state)
{
    struct cm_attempt_row attempt = attempt_row("j1", "fetch", 1, "perhaps", "jobs/j1/fetch..1");
    put(*state, CM_TABLE_ATTEMPT, &attempt);
    check_found(*state, "attempt j1/fetch/#1: its verdict \"perhaps\" is none");
}

static void test_two_accepted_attempts(void **state)
{
    struct cm_attempt_row attempt = attempt_row("j1", "fetch", 1, "ok", "jobs/j1/fetch..1");
    put(*state, CM_TABLE_ATTEMPT, &attempt);
    check_found(*state, "attempt j1/fetch/#2: accepted, and so was attempt 1 of the same task");
}

static void test_an_artifact_of_a_refused_attempt(void **state)
{
    struct bench *bench = *state;
    struct cm_artifact_row artifact = media;
    artifact.fence = 1;
    put(bench, CM_TABLE_ARTIFACT, &artifact);
    check_found(bench, "artifact j1/fetch/#1 media : its attempt was not accepted (again)");
}

static void test_an_artifact_of_no_attempt(void **state)
{
    struct cm_artifact_row artifact = media;
    artifact.fence = 7;
    put(*state, CM_TABLE_ARTIFACT, &artifact);
    check_found(*state, "artifact j1/fetch/#7 media : its attempt is not there");
}

static void check_file_trouble(struct bench *bench, const char *part)
{
    assert_int_equal(cm_store_check_thorough(bench->store, bench->folder, take_line, bench), 1);
    if (!strstr(bench->lines, part))
        fail_msg("\"%s\" does not say \"%s\"", bench->lines, part);
}

static void test_a_missing_file(void **state)
{
    struct bench *bench = *state;
    char *path = cm_path_join(bench->folder, media.path);
    unlink(path);
    free(path);
    check_file_trouble(bench, "talk.mp4 is not there");
}

static void test_a_short_file(void **state)
{
    write_file(*state, media.path, "hell");
    check_file_trouble(*state, "talk.mp4 has 4 bytes and should have 5");
}

static void test_a_changed_file(void **state)
{
    struct bench *bench = *state;
    write_file(bench, media.path, "jello");
    assert_int_equal(cm_store_check(bench->store, bench->folder, take_line, bench), 0); /* looks at sizes only */
    check_file_trouble(bench, "talk.mp4 is not what it was");
}

static void test_a_users_own_file(void **state)
{
    struct bench *bench = *state;
    struct cm_artifact_row artifact = media;
    artifact.key = S("own");
    artifact.path = S("/nowhere/talk.mp4");
    put(bench, CM_TABLE_ARTIFACT, &artifact);
    assert_int_equal(cm_store_check(bench->store, bench->folder, take_line, bench), 0); /* the job is over */
    artifact.job = S("j2");
    artifact.fence = 1;
    put(bench, CM_TABLE_ARTIFACT, &artifact);
    assert_int_equal(cm_store_check(bench->store, bench->folder, take_line, bench), 2);
    assert_non_null(strstr(bench->lines, "/nowhere/talk.mp4 is not there"));
}

static void test_a_stray_attempt_folder(void **state)
{
    make_folder(*state, "jobs/j1/fetch..9");
    check_found(*state, "folder jobs/j1/fetch..9: stray, no attempt names it");
}

static void test_a_stray_job_folder(void **state)
{
    make_folder(*state, "jobs/j77/fetch..1");
    check_found(*state, "folder jobs/j77: stray, there is no such job");
}

static void test_a_note_of_a_vanished_job(void **state)
{
    put(*state, CM_TABLE_NOTE, &(struct cm_note_row){S("task j8/fetch/"), S("at"), S("9")});
    check_found(*state, "note \"at\" of \"task j8/fetch/\": its job is not there");
}

#define CHECK(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CHECK(test_a_sound_store),
        CHECK(test_an_empty_store),
        CHECK(test_a_store_that_does_not_answer),
        CHECK(test_an_unknown_boot),
        CHECK(test_a_dead_boot),
        CHECK(test_running_without_an_attempt),
        CHECK(test_running_an_ended_attempt),
        CHECK(test_states_that_are_none),
        CHECK(test_a_job_state_that_is_none),
        CHECK(test_held_by_nothing),
        CHECK(test_a_finished_job_with_work_left),
        CHECK(test_a_job_that_forgot_to_finish),
        CHECK(test_a_job_without_tasks),
        CHECK(test_a_task_without_its_job),
        CHECK(test_a_task_of_no_step),
        CHECK(test_a_missing_pipeline),
        CHECK(test_an_unreadable_pipeline),
        CHECK(test_blocked_by_nothing),
        CHECK(test_a_publish_without_an_effect),
        CHECK(test_a_publish_with_an_absent_effect),
        CHECK(test_two_effects_of_a_task),
        CHECK(test_effects_that_say_nothing),
        CHECK(test_an_open_effect_of_a_vanished_job),
        CHECK(test_sending_while_nobody_works),
        CHECK(test_a_fence_from_the_future),
        CHECK(test_an_attempt_that_never_ended),
        CHECK(test_a_verdict_that_is_none),
        CHECK(test_two_accepted_attempts),
        CHECK(test_an_artifact_of_a_refused_attempt),
        CHECK(test_an_artifact_of_no_attempt),
        CHECK(test_a_missing_file),
        CHECK(test_a_short_file),
        CHECK(test_a_changed_file),
        CHECK(test_a_users_own_file),
        CHECK(test_a_stray_attempt_folder),
        CHECK(test_a_stray_job_folder),
        CHECK(test_a_note_of_a_vanished_job),
    };
    return cmocka_run_group_tests_name("store check", tests, NULL, NULL);
}
