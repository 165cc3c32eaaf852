/*
 * One suite for every backend of the store (core/daemon/store/store.h), and behind it what only one of
 * them has: the simulator's crashes, and SQLite's file, disk and process trouble.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/common/file.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/daemon/store/memory.h"
#include "core/daemon/store/open.h"
#include "core/daemon/store/schema.h"
#include "core/daemon/store/store.h"
#include "tests/unit/postgres_server.h"

enum {
    PATIENCE_MS = 30000
};

/* ---- The bench ------------------------------------------------------------------------------- */

struct word {
    uint64_t id;
    enum cm_applied how;
};

/* One store, and all it said. */
struct bench {
    char *folder, *path, *url;
    struct cm_store *store;
    struct word *words;
    size_t word_count, word_room;
    size_t notices; /* CM_APPLIED_UNAVAILABLE */
    char *last_notice;
    uint64_t next_id;
};

static const char *backend; /* "memory", "sqlite" or "postgres": what the shared suite runs on */

static void take_word(void *arg, uint64_t set_id, enum cm_applied how, const char *text)
{
    struct bench *bench = arg;
    if (how == CM_APPLIED_UNAVAILABLE) {
        bench->notices++;
        free(bench->last_notice);
        bench->last_notice = cm_strdup(text);
        return;
    }
    bench->words = cm_grow(bench->words, &bench->word_room, bench->word_count, sizeof *bench->words);
    bench->words[bench->word_count++] = (struct word){set_id, how};
}

static void open_bench(struct bench *bench)
{
    char *error = NULL;
    bench->store = cm_store_open(bench->url, take_word, bench, &error);
    if (!bench->store)
        fail_msg("%s: %s", bench->url, error);
}

static int setup(void **state)
{
    struct bench *bench = cm_alloc(sizeof *bench);
    bench->folder = cm_strdup("/tmp/cm-store-XXXXXX");
    assert_non_null(mkdtemp(bench->folder));
    bench->path = cm_path_join(bench->folder, "store.db");
    bench->url = strcmp(backend, "memory") == 0   ? cm_strdup("memory:")
                 : strcmp(backend, "sqlite") == 0 ? cm_format("sqlite:%s", bench->path)
                                                  : cm_strdup(postgres_server_url());
    if (strcmp(backend, "postgres") == 0)
        postgres_server_empty();
    bench->next_id = 1;
    open_bench(bench);
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    struct bench *bench = *state;
    cm_store_close(bench->store);
    cm_folder_remove(bench->folder);
    free(bench->folder);
    free(bench->path);
    free(bench->url);
    free(bench->words);
    free(bench->last_notice);
    free(bench);
    return 0;
}

static void drain(struct bench *bench)
{
    assert_int_equal(cm_store_drain(bench->store, PATIENCE_MS), 0);
}

static struct cm_change_set *new_set(struct bench *bench)
{
    return cm_change_set_new(bench->next_id++);
}

static void hand_over(struct bench *bench, struct cm_change_set *set)
{
    cm_store_apply(bench->store, &set, 1);
}

/* Hands the set over, and gives the store's word for it. */
static enum cm_applied apply(struct bench *bench, struct cm_change_set *set)
{
    uint64_t id = set->id;
    hand_over(bench, set);
    drain(bench);
    assert_true(bench->word_count > 0);
    assert_int_equal(bench->words[bench->word_count - 1].id, id);
    return bench->words[bench->word_count - 1].how;
}

#define S(text) ((char *)(uintptr_t)(text))

static struct cm_job_row job_row(const char *id, const char *owner, int64_t state)
{
    return (struct cm_job_row){S(id), S(owner), S(""), S(""), S("p1"), S("/a/talk.mp4"), S("{}"), state, 5,
                               1000,  0,        S(""), S(""), 0};
}

static struct cm_task_row task_row(const char *job, const char *step, const char *item, int64_t state, int64_t fence)
{
    return (struct cm_task_row){.job = S(job),
                                .step = S(step),
                                .item = S(item),
                                .state = state,
                                .fence = fence,
                                .op = S("fetch"),
                                .reason = S(""),
                                .words = S(""),
                                .boot = S("")};
}

static void put_job(struct bench *bench, const struct cm_job_row *job)
{
    struct cm_change_set *set = new_set(bench);
    cm_change_put(set, CM_TABLE_JOB, job);
    assert_int_equal(apply(bench, set), CM_APPLIED);
}

static enum cm_applied put_task(struct bench *bench, const struct cm_task_row *task)
{
    struct cm_change_set *set = new_set(bench);
    cm_change_put(set, CM_TABLE_TASK, task);
    return apply(bench, set);
}

/* The rows that a query gave. */
struct answer {
    enum cm_table table;
    void **rows;
    size_t count, room;
    int ended;
    char *error;
};

static void take_row(void *arg, enum cm_table table, const void *row, const char *error)
{
    struct answer *answer = arg;
    assert_false(answer->ended);
    if (!row) {
        answer->ended = 1;
        answer->error = error ? cm_strdup(error) : NULL;
        return;
    }
    assert_int_equal(table, answer->table);
    answer->rows = cm_grow(answer->rows, &answer->room, answer->count, sizeof *answer->rows);
    answer->rows[answer->count++] = cm_row_copy(table, row);
}

static struct answer ask(struct bench *bench, struct cm_query query)
{
    struct answer answer = {.table = query.table};
    cm_store_query(bench->store, &query, take_row, &answer);
    drain(bench);
    assert_true(answer.ended);
    if (answer.error)
        fail_msg("%s", answer.error);
    return answer;
}

static void forget(struct answer *answer)
{
    for (size_t i = 0; i < answer->count; i++)
        cm_row_free(answer->table, answer->rows[i]);
    free(answer->rows);
    free(answer->error);
    *answer = (struct answer){0};
}

static size_t count_rows(struct bench *bench, struct cm_query query)
{
    struct answer answer = ask(bench, query);
    size_t count = answer.count;
    forget(&answer);
    return count;
}

static int64_t state_of_task(struct bench *bench, const char *job, const char *step, const char *item)
{
    struct answer answer = ask(bench, (struct cm_query){.table = CM_TABLE_TASK, .job = job});
    int64_t state = 0;
    for (size_t i = 0; i < answer.count; i++) {
        const struct cm_task_row *task = answer.rows[i];
        if (strcmp(task->step, step) == 0 && strcmp(task->item, item) == 0)
            state = task->state;
    }
    forget(&answer);
    return state;
}

/* ---- Rows ------------------------------------------------------------------------------------ */

/* A row of any table with a different value in each column. */
static void *sample_row(enum cm_table table, const char *mark)
{
    const struct cm_row_type *type = cm_row_type(table);
    char *row = cm_row_new(table);
    for (size_t i = 0; i < type->column_count; i++) {
        void *field = row + type->columns[i].offset;
        char *text = cm_format("%s %s %zu «'\"%%»", mark, type->columns[i].name, i);
        if (type->columns[i].type == CM_COLUMN_INT)
            *(int64_t *)field = INT64_MAX - (int64_t)i;
        else
            cm_row_text(field, text);
        free(text);
    }
    return row;
}

static void assert_same_row(enum cm_table table, const void *a, const void *b)
{
    const struct cm_row_type *type = cm_row_type(table);
    for (size_t i = 0; i < type->column_count; i++) {
        if (type->columns[i].type == CM_COLUMN_INT)
            assert_int_equal(cm_row_int(a, &type->columns[i]), cm_row_int(b, &type->columns[i]));
        else
            assert_string_equal(cm_row_string(a, &type->columns[i]), cm_row_string(b, &type->columns[i]));
    }
}

static void put_sample(struct bench *bench, enum cm_table table)
{
    void *row = sample_row(table, "x");
    struct cm_change_set *set = new_set(bench);
    cm_change_put(set, table, row);
    assert_int_equal(apply(bench, set), CM_APPLIED);
    cm_row_free(table, row);
}

static void check_sample(struct bench *bench, enum cm_table table)
{
    void *row = sample_row(table, "x");
    struct answer answer = ask(bench, (struct cm_query){.table = table});
    assert_int_equal(answer.count, 1);
    assert_same_row(table, answer.rows[0], row);
    forget(&answer);
    cm_row_free(table, row);
}

static void test_every_column_comes_back(void **state)
{
    for (enum cm_table table = CM_TABLE_PIPELINE; table < CM_TABLE_COUNT_PLUS_1; table++) {
        put_sample(*state, table);
        check_sample(*state, table);
    }
}

static void test_put_replaces(void **state)
{
    struct bench *bench = *state;
    struct cm_task_row task = task_row("j1", "fetch", "", CM_TASK_READY, 0);
    put_task(bench, &task);
    task.state = CM_TASK_RUNNING;
    task.fence = 1;
    put_task(bench, &task);
    struct answer answer = ask(bench, (struct cm_query){.table = CM_TABLE_TASK});
    assert_int_equal(answer.count, 1);
    assert_same_row(CM_TABLE_TASK, answer.rows[0], &task);
    forget(&answer);
}

static void test_delete_by_key(void **state)
{
    struct bench *bench = *state;
    struct cm_note_row a = {S("instance x"), S("token"), S("1")}, b = {S("instance x"), S("other"), S("2")};
    struct cm_change_set *set = new_set(bench);
    cm_change_put(set, CM_TABLE_NOTE, &a);
    cm_change_put(set, CM_TABLE_NOTE, &b);
    apply(bench, set);
    set = new_set(bench);
    cm_change_delete(set, CM_TABLE_NOTE, &a);
    assert_int_equal(apply(bench, set), CM_APPLIED);
    struct answer answer = ask(bench, (struct cm_query){.table = CM_TABLE_NOTE});
    assert_int_equal(answer.count, 1);
    assert_string_equal(((struct cm_note_row *)answer.rows[0])->name, "other");
    forget(&answer);
    set = new_set(bench);
    cm_change_delete(set, CM_TABLE_NOTE, &a); /* what is not there is gone already */
    assert_int_equal(apply(bench, set), CM_APPLIED);
}

static void test_keys_do_not_run_together(void **state)
{
    struct bench *bench = *state;
    struct cm_task_row a = task_row("j", "ab", "c", CM_TASK_READY, 0), b = task_row("j", "a", "bc", CM_TASK_HELD, 0);
    put_task(bench, &a);
    put_task(bench, &b);
    assert_int_equal(count_rows(bench, (struct cm_query){.table = CM_TABLE_TASK}), 2);
}

/* ---- Guards ---------------------------------------------------------------------------------- */

static struct cm_change_set *guarded(struct bench *bench, enum cm_guard_kind kind, const char *job, const char *step,
                                     const char *item, int64_t state, int64_t fence)
{
    struct cm_change_set *set = new_set(bench);
    cm_change_guard(set, kind, job, step, item, state, fence);
    cm_change_put(set, CM_TABLE_NOTE, &(struct cm_note_row){S("instance g"), S("mark"), S("was here")});
    return set;
}

static void check_guard(struct bench *bench, struct cm_change_set *set, enum cm_applied expected)
{
    assert_int_equal(apply(bench, set), expected);
    /* Whole, or not at all. */
    assert_int_equal(count_rows(bench, (struct cm_query){.table = CM_TABLE_NOTE, .job = "instance g"}),
                     expected == CM_APPLIED);
    set = new_set(bench);
    cm_change_delete(set, CM_TABLE_NOTE, &(struct cm_note_row){S("instance g"), S("mark"), S("")});
    apply(bench, set);
}

static void test_task_guard(void **state)
{
    struct bench *bench = *state;
    struct cm_task_row task = task_row("j1", "stt", "0007", CM_TASK_RUNNING, 3);
    put_task(bench, &task);
    check_guard(bench, guarded(bench, CM_GUARD_TASK, "j1", "stt", "0007", CM_TASK_RUNNING, 3), CM_APPLIED);
    check_guard(bench, guarded(bench, CM_GUARD_TASK, "j1", "stt", "0007", CM_TASK_RUNNING, 2), CM_APPLIED_NOT);
    check_guard(bench, guarded(bench, CM_GUARD_TASK, "j1", "stt", "0007", CM_TASK_READY, 3), CM_APPLIED_NOT);
    check_guard(bench, guarded(bench, CM_GUARD_TASK, "j1", "stt", "0008", CM_TASK_RUNNING, 3), CM_APPLIED_NOT);
    check_guard(bench, guarded(bench, CM_GUARD_TASK, "j1", "stt", "0008", 0, 0), CM_APPLIED); /* is absent */
}

static void test_job_guard(void **state)
{
    struct bench *bench = *state;
    struct cm_job_row job = job_row("j1", "anna", CM_JOB_RUNNING);
    put_job(bench, &job);
    check_guard(bench, guarded(bench, CM_GUARD_JOB, "j1", "", "", CM_JOB_RUNNING, 0), CM_APPLIED);
    check_guard(bench, guarded(bench, CM_GUARD_JOB, "j1", "", "", CM_JOB_FAILED, 0), CM_APPLIED_NOT);
    check_guard(bench, guarded(bench, CM_GUARD_JOB, "j2", "", "", CM_JOB_RUNNING, 0), CM_APPLIED_NOT);
    check_guard(bench, guarded(bench, CM_GUARD_JOB, "j2", "", "", 0, 0), CM_APPLIED);
}

static void test_request_guard(void **state)
{
    struct bench *bench = *state;
    struct cm_job_row job = job_row("j1", "anna", CM_JOB_SUCCEEDED);
    job.request_key = S("webinar-7");
    put_job(bench, &job);
    check_guard(bench, guarded(bench, CM_GUARD_NO_JOB, "", "webinar-7", "anna", 0, 0), CM_APPLIED_NOT);
    check_guard(bench, guarded(bench, CM_GUARD_NO_JOB, "", "webinar-7", "boris", 0, 0), CM_APPLIED);
    check_guard(bench, guarded(bench, CM_GUARD_NO_JOB, "", "webinar-8", "anna", 0, 0), CM_APPLIED);
}

static void test_effect_guard(void **state)
{
    struct bench *bench = *state;
    struct cm_effect_row effect = {.key = S("k1"),
                                   .job = S("j1"),
                                   .step = S("publish"),
                                   .item = S(""),
                                   .fence = 2,
                                   .instance = S("folder"),
                                   .state = CM_EFFECT_SENDING,
                                   .post_id = S(""),
                                   .url = S("")};
    struct cm_change_set *set = new_set(bench);
    cm_change_put(set, CM_TABLE_EFFECT, &effect);
    apply(bench, set);
    check_guard(bench, guarded(bench, CM_GUARD_EFFECT, "k1", "", "", CM_EFFECT_SENDING, 2), CM_APPLIED);
    check_guard(bench, guarded(bench, CM_GUARD_EFFECT, "k1", "", "", CM_EFFECT_SENDING, 1), CM_APPLIED_NOT);
    check_guard(bench, guarded(bench, CM_GUARD_EFFECT, "k1", "", "", CM_EFFECT_INTENT, 2), CM_APPLIED_NOT);
    check_guard(bench, guarded(bench, CM_GUARD_EFFECT, "k2", "", "", 0, 0), CM_APPLIED);
}

static void test_note_guard(void **state)
{
    struct bench *bench = *state;
    struct cm_change_set *set = new_set(bench);
    cm_change_put(set, CM_TABLE_NOTE, &(struct cm_note_row){S("account vk/1"), S("token"), S("old")});
    apply(bench, set);
    check_guard(bench, guarded(bench, CM_GUARD_NOTE, "account vk/1", "token", "old", 1, 0), CM_APPLIED);
    check_guard(bench, guarded(bench, CM_GUARD_NOTE, "account vk/1", "token", "new", 1, 0), CM_APPLIED_NOT);
    check_guard(bench, guarded(bench, CM_GUARD_NOTE, "account vk/1", "token", "", 0, 0), CM_APPLIED_NOT);
    check_guard(bench, guarded(bench, CM_GUARD_NOTE, "account vk/2", "token", "", 0, 0), CM_APPLIED);
    check_guard(bench, guarded(bench, CM_GUARD_NOTE, "account vk/2", "token", "old", 1, 0), CM_APPLIED_NOT);
}

static void test_boot_guard(void **state)
{
    struct bench *bench = *state;
    struct cm_boot_row boot = {S("b1"), S("host"), 17, 1, 10000, 3, 0, S("here")};
    struct cm_change_set *set = new_set(bench);
    cm_change_put(set, CM_TABLE_BOOT, &boot);
    apply(bench, set);
    check_guard(bench, guarded(bench, CM_GUARD_BOOT, "b1", "", "", 1, 3), CM_APPLIED);
    check_guard(bench, guarded(bench, CM_GUARD_BOOT, "b1", "", "", 1, 2), CM_APPLIED_NOT); /* it beat since */
    check_guard(bench, guarded(bench, CM_GUARD_BOOT, "b1", "", "", 2, 3), CM_APPLIED_NOT);
    check_guard(bench, guarded(bench, CM_GUARD_BOOT, "b2", "", "", 1, 3), CM_APPLIED_NOT);
    check_guard(bench, guarded(bench, CM_GUARD_BOOT, "b2", "", "", 0, 0), CM_APPLIED);
    boot.over = 1;
    set = new_set(bench);
    cm_change_put(set, CM_TABLE_BOOT, &boot);
    apply(bench, set);
    check_guard(bench, guarded(bench, CM_GUARD_BOOT, "b1", "", "", 1, 3), CM_APPLIED_NOT);
    check_guard(bench, guarded(bench, CM_GUARD_BOOT, "b1", "", "", 2, 3), CM_APPLIED);
}

static void test_claim_guard(void **state)
{
    struct bench *bench = *state;
    struct cm_change_set *set = new_set(bench);
    cm_change_put(set, CM_TABLE_CLAIM, &(struct cm_claim_row){S("j1"), S("b1")});
    apply(bench, set);
    check_guard(bench, guarded(bench, CM_GUARD_CLAIM, "j1", "", "b1", 1, 0), CM_APPLIED);
    check_guard(bench, guarded(bench, CM_GUARD_CLAIM, "j1", "", "b2", 1, 0), CM_APPLIED_NOT);
    check_guard(bench, guarded(bench, CM_GUARD_CLAIM, "j1", "", "", 0, 0), CM_APPLIED_NOT);
    check_guard(bench, guarded(bench, CM_GUARD_CLAIM, "j2", "", "", 0, 0), CM_APPLIED);
    check_guard(bench, guarded(bench, CM_GUARD_CLAIM, "j2", "", "b1", 1, 0), CM_APPLIED_NOT);
}

/* Beside any other guard, the job must be claimed by who speaks. */
static void test_only_the_owner(void **state)
{
    struct bench *bench = *state;
    struct cm_change_set *set = new_set(bench);
    struct cm_task_row task = task_row("j1", "stt", "", CM_TASK_RUNNING, 3);
    cm_change_put(set, CM_TABLE_TASK, &task);
    cm_change_put(set, CM_TABLE_CLAIM, &(struct cm_claim_row){S("j1"), S("b1")});
    apply(bench, set);
    static const struct {
        const char *job, *boot;
        int64_t fence;
        enum cm_applied expected;
    } cases[] = {
        {"j1", "b1", 3, CM_APPLIED},     {"j1", "b2", 3, CM_APPLIED_NOT}, {"j1", "b1", 2, CM_APPLIED_NOT},
        {"j2", "b1", 3, CM_APPLIED_NOT}, {"j1", "", 3, CM_APPLIED_NOT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        set = guarded(bench, CM_GUARD_TASK, "j1", "stt", "", CM_TASK_RUNNING, cases[i].fence);
        cm_change_claimed(set, cases[i].job, cases[i].boot);
        check_guard(bench, set, cases[i].expected);
    }
    set = guarded(bench, CM_GUARD_NONE, "", "", "", 0, 0);
    cm_change_claimed(set, "j1", "b2");
    check_guard(bench, set, CM_APPLIED_NOT);
}

static void test_a_guard_sees_the_set_before(void **state)
{
    struct bench *bench = *state;
    struct cm_change_set *sets[3];
    struct cm_task_row task = task_row("j1", "fetch", "", CM_TASK_READY, 0);
    sets[0] = new_set(bench);
    cm_change_put(sets[0], CM_TABLE_TASK, &task);
    task.state = CM_TASK_RUNNING;
    task.fence = 1;
    for (int i = 1; i < 3; i++) { /* two want to claim it: one does */
        sets[i] = new_set(bench);
        cm_change_guard(sets[i], CM_GUARD_TASK, "j1", "fetch", "", CM_TASK_READY, 0);
        cm_change_put(sets[i], CM_TABLE_TASK, &task);
    }
    cm_store_apply(bench->store, sets, 3);
    drain(bench);
    assert_int_equal(bench->word_count, 3);
    assert_int_equal(bench->words[0].how, CM_APPLIED);
    assert_int_equal(bench->words[1].how, CM_APPLIED);
    assert_int_equal(bench->words[2].how, CM_APPLIED_NOT);
}

/* ---- Order and size -------------------------------------------------------------------------- */

static void test_words_come_in_order(void **state)
{
    enum {
        SETS = 2000
    };
    struct bench *bench = *state;
    struct cm_change_set **sets = cm_alloc(SETS * sizeof *sets);
    for (int i = 0; i < SETS; i++) {
        struct cm_task_row task = task_row("j1", "stt", "0001", CM_TASK_RUNNING, i + 1);
        sets[i] = new_set(bench);
        if (i > 0)
            cm_change_guard(sets[i], CM_GUARD_TASK, "j1", "stt", "0001", CM_TASK_RUNNING, i);
        cm_change_put(sets[i], CM_TABLE_TASK, &task);
    }
    for (int i = 0; i < SETS; i += 50)
        cm_store_apply(bench->store, sets + i, 50);
    drain(bench);
    assert_int_equal(bench->word_count, SETS);
    for (int i = 0; i < SETS; i++) {
        assert_int_equal(bench->words[i].id, i + 1);
        assert_int_equal(bench->words[i].how, CM_APPLIED);
    }
    free(sets);
}

static void test_a_wide_set(void **state)
{
    enum {
        TASKS = 6000
    };
    struct bench *bench = *state;
    struct cm_change_set *set = new_set(bench);
    for (int i = 0; i < TASKS; i++) {
        char item[16];
        snprintf(item, sizeof item, "%04d", i);
        struct cm_task_row task = task_row("j1", "stt", item, CM_TASK_READY, 0);
        cm_change_put(set, CM_TABLE_TASK, &task);
    }
    assert_int_equal(apply(bench, set), CM_APPLIED);
    struct answer answer = ask(bench, (struct cm_query){.table = CM_TABLE_TASK, .job = "j1"});
    assert_int_equal(answer.count, TASKS);
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(atoi(((struct cm_task_row *)answer.rows[i])->item), i); /* key order */
    forget(&answer);
}

static void test_an_empty_set(void **state)
{
    struct bench *bench = *state;
    assert_int_equal(apply(bench, new_set(bench)), CM_APPLIED);
    cm_store_apply(bench->store, NULL, 0);
    drain(bench);
    assert_int_equal(bench->word_count, 1);
}

static void test_nothing_is_called_before_dispatch(void **state)
{
    struct bench *bench = *state;
    struct cm_change_set *set = new_set(bench);
    hand_over(bench, set);
    struct answer answer = {.table = CM_TABLE_JOB};
    cm_store_query(bench->store, &(struct cm_query){.table = CM_TABLE_JOB}, take_row, &answer);
    usleep(20000);
    assert_int_equal(bench->word_count, 0);
    assert_false(answer.ended);
    drain(bench);
    assert_int_equal(bench->word_count, 1);
    assert_true(answer.ended);
}

/* A callback that hands over more, as the engine's does. */
struct chain {
    struct bench bench;
    int left;
};

static void add_link(void *arg, uint64_t set_id, enum cm_applied how, const char *text)
{
    struct chain *chain = arg;
    take_word(&chain->bench, set_id, how, text);
    if (chain->left-- > 0)
        hand_over(&chain->bench, new_set(&chain->bench));
}

static void test_a_callback_may_hand_over_more(void **state)
{
    struct bench *bench = *state;
    struct chain chain = {.bench = {.store = bench->store, .next_id = 1}, .left = 100};
    bench->store->applied = add_link;
    bench->store->arg = &chain;
    hand_over(&chain.bench, new_set(&chain.bench));
    drain(bench);
    assert_int_equal(chain.bench.word_count, 101);
    free(chain.bench.words);
}

static void test_dispatch_alone_is_enough(void **state)
{
    struct bench *bench = *state;
    hand_over(bench, new_set(bench));
    int64_t until = cm_boot_ms() + PATIENCE_MS;
    while (bench->word_count == 0 && cm_boot_ms() < until) {
        struct pollfd poll_fd = {.fd = cm_store_fd(bench->store), .events = POLLIN};
        if (poll_fd.fd >= 0)
            assert_int_equal(poll(&poll_fd, 1, PATIENCE_MS), 1);
        cm_store_dispatch(bench->store);
    }
    assert_int_equal(bench->word_count, 1);
    struct pollfd quiet = {.fd = cm_store_fd(bench->store), .events = POLLIN};
    assert_int_equal(poll(&quiet, 1, 0), 0); /* nothing left to wake for */
}

/* ---- Queries --------------------------------------------------------------------------------- */

static void put_jobs(struct bench *bench)
{
    static const struct {
        const char *id, *owner;
        int64_t state;
    } jobs[] = {{"0a", "anna", CM_JOB_SUCCEEDED}, {"0b", "boris", CM_JOB_RUNNING}, {"0c", "anna", CM_JOB_QUEUED},
                {"0d", "anna", CM_JOB_PARTIAL},   {"0e", "anna", CM_JOB_RUNNING},  {"0f", "vera", CM_JOB_CANCELLED}};
    struct cm_change_set *set = new_set(bench);
    for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++) {
        struct cm_job_row job = job_row(jobs[i].id, jobs[i].owner, jobs[i].state);
        char key[8], pipeline[8];
        snprintf(key, sizeof key, "r%zu", i);
        snprintf(pipeline, sizeof pipeline, "p%zu", i);
        job.request_key = key;
        job.pipeline = pipeline;
        cm_change_put(set, CM_TABLE_JOB, &job);
        struct cm_task_row first = task_row(jobs[i].id, "fetch", "", CM_TASK_READY, 0);
        struct cm_task_row second = task_row(jobs[i].id, "stt", "0001", CM_TASK_BLOCKED, 0);
        cm_change_put(set, CM_TABLE_TASK, &second);
        cm_change_put(set, CM_TABLE_TASK, &first);
        char owner[64];
        snprintf(owner, sizeof owner, "task %s/stt/0001", jobs[i].id);
        cm_change_put(set, CM_TABLE_NOTE, &(struct cm_note_row){owner, S("upload"), S("17")});
        cm_change_put(set, CM_TABLE_PIPELINE, &(struct cm_pipeline_row){pipeline, S("main"), S("{}"), 1});
    }
    cm_change_put(set, CM_TABLE_PIPELINE, &(struct cm_pipeline_row){S("unused"), S("main"), S("{}"), 1});
    cm_change_put(set, CM_TABLE_NOTE, &(struct cm_note_row){S("instance vk"), S("token"), S("t")});
    cm_change_put(set, CM_TABLE_BOOT, &(struct cm_boot_row){S("b1"), S("host"), 17, 1, 2, 0, 0, S("")});
    assert_int_equal(apply(bench, set), CM_APPLIED);
}

/* The first key column of each row, joined by spaces. */
static void check_answer(struct bench *bench, struct cm_query query, const char *expected)
{
    struct answer answer = ask(bench, query);
    struct cm_text text = {0};
    for (size_t i = 0; i < answer.count; i++)
        cm_text_addf(&text, "%s%s", i ? " " : "", cm_row_string(answer.rows[i], &cm_row_type(query.table)->columns[0]));
    char *got = cm_text_take(&text);
    assert_string_equal(got, expected);
    free(got);
    forget(&answer);
}

static void test_queries_of_jobs(void **state)
{
    struct bench *bench = *state;
    put_jobs(bench);
    check_answer(bench, (struct cm_query){.table = CM_TABLE_JOB}, "0f 0e 0d 0c 0b 0a"); /* newest first */
    check_answer(bench, (struct cm_query){.table = CM_TABLE_JOB, .job = "0c"}, "0c");
    check_answer(bench, (struct cm_query){.table = CM_TABLE_JOB, .job = "zz"}, "");
    check_answer(bench, (struct cm_query){.table = CM_TABLE_JOB, .owner = "anna"}, "0e 0d 0c 0a");
    check_answer(bench, (struct cm_query){.table = CM_TABLE_JOB, .unfinished = 1}, "0e 0c 0b");
    check_answer(bench, (struct cm_query){.table = CM_TABLE_JOB, .owner = "anna", .unfinished = 1}, "0e 0c");
    check_answer(bench, (struct cm_query){.table = CM_TABLE_JOB, .limit = 2}, "0f 0e");
    check_answer(bench, (struct cm_query){.table = CM_TABLE_JOB, .limit = 2, .before = "0e"}, "0d 0c");
    check_answer(bench, (struct cm_query){.table = CM_TABLE_JOB, .owner = "boris", .request_key = "r1"}, "0b");
    check_answer(bench, (struct cm_query){.table = CM_TABLE_JOB, .owner = "anna", .request_key = "r1"}, "");
}

static void test_queries_of_a_jobs_rows(void **state)
{
    struct bench *bench = *state;
    put_jobs(bench);
    struct answer answer = ask(bench, (struct cm_query){.table = CM_TABLE_TASK, .job = "0c"});
    assert_int_equal(answer.count, 2);
    assert_string_equal(((struct cm_task_row *)answer.rows[0])->step, "fetch");
    assert_string_equal(((struct cm_task_row *)answer.rows[1])->step, "stt");
    forget(&answer);
    check_answer(bench, (struct cm_query){.table = CM_TABLE_TASK, .unfinished = 1}, "0b 0b 0c 0c 0e 0e");
    check_answer(bench, (struct cm_query){.table = CM_TABLE_TASK, .owner = "vera"}, "0f 0f");
    check_answer(bench, (struct cm_query){.table = CM_TABLE_TASK, .limit = 1}, "0a");
    check_answer(bench, (struct cm_query){.table = CM_TABLE_PIPELINE}, "p0 p1 p2 p3 p4 p5 unused");
    check_answer(bench, (struct cm_query){.table = CM_TABLE_PIPELINE, .unfinished = 1}, "p1 p2 p4");
    check_answer(bench, (struct cm_query){.table = CM_TABLE_PIPELINE, .job = "0d"}, "p3");
    check_answer(bench, (struct cm_query){.table = CM_TABLE_BOOT, .unfinished = 1}, "b1");
}

static void test_queries_of_notes(void **state)
{
    struct bench *bench = *state;
    put_jobs(bench);
    assert_int_equal(count_rows(bench, (struct cm_query){.table = CM_TABLE_NOTE}), 7);
    check_answer(bench, (struct cm_query){.table = CM_TABLE_NOTE, .job = "instance vk"}, "instance vk");
    check_answer(bench, (struct cm_query){.table = CM_TABLE_NOTE, .job = "0b"}, "task 0b/stt/0001");
    check_answer(bench, (struct cm_query){.table = CM_TABLE_NOTE, .job = "task 0b/"}, "task 0b/stt/0001");
    check_answer(bench, (struct cm_query){.table = CM_TABLE_NOTE, .job = "0"}, "");
    check_answer(bench, (struct cm_query){.table = CM_TABLE_NOTE, .unfinished = 1},
                 "task 0b/stt/0001 task 0c/stt/0001 task 0e/stt/0001");
}

static void test_a_query_sees_what_was_handed_over_before(void **state)
{
    struct bench *bench = *state;
    struct answer before = {.table = CM_TABLE_TASK}, after = {.table = CM_TABLE_TASK};
    const struct cm_query query = {.table = CM_TABLE_TASK};
    struct cm_task_row task = task_row("j1", "fetch", "", CM_TASK_READY, 0);
    struct cm_change_set *set = new_set(bench);
    cm_change_put(set, CM_TABLE_TASK, &task);
    cm_store_query(bench->store, &query, take_row, &before);
    hand_over(bench, set);
    cm_store_query(bench->store, &query, take_row, &after);
    drain(bench);
    assert_int_equal(before.count, 0);
    assert_int_equal(after.count, 1);
    forget(&before);
    forget(&after);
}

/* ---- Deleting a job -------------------------------------------------------------------------- */

static void add_job_rows(struct cm_change_set *set, const char *id)
{
    struct cm_job_row job = job_row(id, "anna", CM_JOB_SUCCEEDED);
    struct cm_task_row task = task_row(id, "publish", "01", CM_TASK_SUCCEEDED, 1);
    char *note = cm_format("task %s/publish/01", id), *out = cm_format("%s-out", id),
         *not_out = cm_format("%s-not", id);
    cm_change_put(set, CM_TABLE_JOB, &job);
    cm_change_put(set, CM_TABLE_TASK, &task);
    struct cm_attempt_row *attempt = cm_row_new(CM_TABLE_ATTEMPT);
    cm_row_text(&attempt->job, id);
    cm_change_put(set, CM_TABLE_ATTEMPT, attempt);
    struct cm_artifact_row *artifact = cm_row_new(CM_TABLE_ARTIFACT);
    cm_row_text(&artifact->job, id);
    cm_change_put(set, CM_TABLE_ARTIFACT, artifact);
    struct cm_llm_call_row *call = cm_row_new(CM_TABLE_LLM_CALL);
    cm_row_text(&call->id, id);
    cm_row_text(&call->job, id);
    cm_change_put(set, CM_TABLE_LLM_CALL, call);
    cm_change_put(set, CM_TABLE_NOTE, &(struct cm_note_row){note, S("n"), S("v")});
    struct cm_effect_row *effect = cm_row_new(CM_TABLE_EFFECT);
    cm_row_text(&effect->job, id);
    cm_row_text(&effect->key, out);
    effect->state = CM_EFFECT_CONFIRMED;
    cm_change_put(set, CM_TABLE_EFFECT, effect);
    cm_row_text(&effect->key, not_out);
    effect->state = CM_EFFECT_ABSENT;
    cm_change_put(set, CM_TABLE_EFFECT, effect);
    cm_row_free(CM_TABLE_ATTEMPT, attempt);
    cm_row_free(CM_TABLE_ARTIFACT, artifact);
    cm_row_free(CM_TABLE_LLM_CALL, call);
    cm_row_free(CM_TABLE_EFFECT, effect);
    free(note);
    free(out);
    free(not_out);
}

static void test_deleting_a_job_takes_its_rows(void **state)
{
    static const enum cm_table tables[] = {CM_TABLE_JOB, CM_TABLE_TASK, CM_TABLE_ATTEMPT, CM_TABLE_ARTIFACT,
                                           CM_TABLE_NOTE};
    struct bench *bench = *state;
    struct cm_change_set *set = new_set(bench);
    add_job_rows(set, "j1");
    add_job_rows(set, "j10"); /* one whose name only begins alike */
    apply(bench, set);
    struct cm_job_row job = job_row("j1", "", 0);
    set = new_set(bench);
    cm_change_delete(set, CM_TABLE_JOB, &job);
    assert_int_equal(apply(bench, set), CM_APPLIED);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        assert_int_equal(count_rows(bench, (struct cm_query){.table = tables[i], .job = "j1"}), 0);
        assert_int_equal(count_rows(bench, (struct cm_query){.table = tables[i], .job = "j10"}), 1);
    }
    /* What is on an invoice stays on record. */
    assert_int_equal(count_rows(bench, (struct cm_query){.table = CM_TABLE_LLM_CALL, .job = "j1"}), 1);
    /* What is out stays in the ledger. */
    check_answer(bench, (struct cm_query){.table = CM_TABLE_EFFECT}, "j1-out j10-not j10-out");
}

static void test_a_long_history(void **state)
{
    struct bench *bench = *state;
    unsigned seed = 7;
    int64_t states[50] = {0};
    for (int round = 0; round < 1500; round++) {
        seed = seed * 1103515245u + 12345u;
        int which = (int)(seed >> 16) % 50;
        char item[16];
        snprintf(item, sizeof item, "%02d", which);
        struct cm_change_set *set = new_set(bench);
        struct cm_task_row task = task_row("j1", "stt", item, CM_TASK_READY, round);
        states[which] = seed % 3 == 0 ? 0 : CM_TASK_READY;
        if (states[which])
            cm_change_put(set, CM_TABLE_TASK, &task);
        else
            cm_change_delete(set, CM_TABLE_TASK, &task);
        hand_over(bench, set);
    }
    drain(bench);
    for (int which = 0; which < 50; which++) {
        char item[16];
        snprintf(item, sizeof item, "%02d", which);
        assert_int_equal(state_of_task(bench, "j1", "stt", item), states[which]);
    }
}

/* ---- The simulator's handles (memory) -------------------------------------------------------- */

static void test_manual_commits(void **state)
{
    struct bench *bench = *state;
    cm_store_memory_manual(bench->store, 1);
    for (int i = 0; i < 5; i++) {
        struct cm_change_set *set = new_set(bench);
        struct cm_task_row task = task_row("j1", "stt", "", CM_TASK_READY, i);
        cm_change_put(set, CM_TABLE_TASK, &task);
        hand_over(bench, set);
    }
    struct answer answer = {.table = CM_TABLE_TASK};
    cm_store_query(bench->store, &(struct cm_query){.table = CM_TABLE_TASK}, take_row, &answer);
    assert_int_equal(cm_store_memory_pending(bench->store), 5);
    cm_store_memory_commit(bench->store, 2);
    assert_int_equal(cm_store_memory_pending(bench->store), 3);
    assert_int_equal(bench->word_count, 0);
    cm_store_dispatch(bench->store);
    assert_int_equal(bench->word_count, 2);
    assert_int_equal(bench->words[1].id, 2);
    assert_int_equal(cm_store_drain(bench->store, 10), -1);
    assert_false(answer.ended); /* it waits for the sets before it */
    cm_store_memory_commit(bench->store, 100);
    drain(bench);
    assert_true(answer.ended);
    assert_int_equal(((struct cm_task_row *)answer.rows[0])->fence, 4);
    forget(&answer);
}

static void test_a_crash_drops_what_is_pending(void **state)
{
    struct bench *bench = *state;
    cm_store_memory_manual(bench->store, 1);
    for (int i = 1; i <= 5; i++) {
        struct cm_change_set *set = new_set(bench);
        struct cm_task_row task = task_row("j1", "stt", "", CM_TASK_RUNNING, i);
        cm_change_put(set, CM_TABLE_TASK, &task);
        hand_over(bench, set);
    }
    cm_store_memory_commit(bench->store, 3);
    cm_store_memory_crash(bench->store);
    assert_int_equal(cm_store_memory_pending(bench->store), 0);
    cm_store_memory_manual(bench->store, 0);
    struct answer answer = ask(bench, (struct cm_query){.table = CM_TABLE_TASK});
    assert_int_equal(bench->word_count, 0); /* the dead hear nothing */
    assert_int_equal(answer.count, 1);
    assert_int_equal(((struct cm_task_row *)answer.rows[0])->fence, 3);
    forget(&answer);
}

/* ---- SQLite: the file ------------------------------------------------------------------------ */

static void reopen(struct bench *bench)
{
    cm_store_close(bench->store);
    open_bench(bench);
}

static void test_everything_is_there_after_reopening(void **state)
{
    struct bench *bench = *state;
    for (enum cm_table table = CM_TABLE_PIPELINE; table < CM_TABLE_COUNT_PLUS_1; table++)
        put_sample(bench, table);
    reopen(bench);
    for (enum cm_table table = CM_TABLE_PIPELINE; table < CM_TABLE_COUNT_PLUS_1; table++)
        check_sample(bench, table);
}

static void test_close_commits_what_is_queued(void **state)
{
    struct bench *bench = *state;
    for (int i = 0; i < 100; i++) {
        struct cm_change_set *set = new_set(bench);
        struct cm_task_row task = task_row("j1", "stt", "", CM_TASK_RUNNING, i);
        cm_change_put(set, CM_TABLE_TASK, &task);
        hand_over(bench, set);
    }
    reopen(bench);
    struct answer answer = ask(bench, (struct cm_query){.table = CM_TABLE_TASK});
    assert_int_equal(((struct cm_task_row *)answer.rows[0])->fence, 99);
    forget(&answer);
}

static void assert_refused(const char *url, const char *part)
{
    char *error = NULL;
    struct cm_store *store = cm_store_open(url, NULL, NULL, &error);
    if (store)
        fail_msg("%s was opened", url);
    assert_non_null(error);
    if (!strstr(error, part))
        fail_msg("\"%s\" does not say \"%s\"", error, part);
    assert_null(strchr(error, '\n'));
    free(error);
}

static void test_one_daemon_at_a_time(void **state)
{
    struct bench *bench = *state;
    char *process = cm_format("(process %ld)", (long)getpid());
    assert_refused(bench->url, "in use by another ClipMaker");
    assert_refused(bench->url, process);
    free(process);
    put_sample(bench, CM_TABLE_BOOT); /* the first one goes on */
    reopen(bench);
}

/* Runs SQL on the closed store as another program would. */
static void tamper(struct bench *bench, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(bench->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_a_newer_schema_is_refused(void **state)
{
    struct bench *bench = *state;
    put_sample(bench, CM_TABLE_BOOT);
    cm_store_close(bench->store);
    bench->store = NULL;
    tamper(bench, "PRAGMA user_version = 1000");
    assert_refused(bench->url, "newer ClipMaker (schema 1000");
    char *back = cm_format("PRAGMA user_version = %d", cm_schema_newest());
    tamper(bench, back);
    free(back);
    open_bench(bench);
    check_sample(bench, CM_TABLE_BOOT); /* untouched by the refusal */
}

static void test_what_is_not_ours_is_refused(void **state)
{
    struct bench *bench = *state;
    cm_store_close(bench->store);
    bench->store = NULL;
    assert_int_equal(unlink(bench->path), 0);
    tamper(bench, "CREATE TABLE photos (name TEXT)");
    assert_refused(bench->url, "another program");
    char text[4096];
    memset(text, 'x', sizeof text);
    assert_int_equal(cm_file_write(bench->path, text, sizeof text), 0);
    assert_refused(bench->url, "not a database");
    unlink(bench->path);
    assert_int_equal(mkdir(bench->path, 0700), 0);
    assert_refused(bench->url, "Is a directory");
    rmdir(bench->path);
    open_bench(bench);
}

static void test_damage_is_found_at_the_start(void **state)
{
    struct bench *bench = *state;
    struct cm_change_set *set = new_set(bench);
    for (int i = 0; i < 3000; i++) {
        char item[16];
        snprintf(item, sizeof item, "%04d", i);
        struct cm_task_row task = task_row("j1", "stt", item, CM_TASK_READY, 0);
        cm_change_put(set, CM_TABLE_TASK, &task);
    }
    apply(bench, set);
    cm_store_close(bench->store);
    bench->store = NULL;
    char noise[4096];
    memset(noise, 0xa5, sizeof noise);
    int fd = open(bench->path, O_WRONLY);
    struct stat facts;
    assert_int_equal(fstat(fd, &facts), 0);
    for (off_t at = facts.st_size / 2; at < facts.st_size / 2 + 40960; at += 4096)
        assert_int_equal(pwrite(fd, noise, sizeof noise, at / 4096 * 4096), (ssize_t)sizeof noise);
    close(fd);
    assert_refused(bench->url, "is damaged");
    assert_int_equal(unlink(bench->path), 0);
    open_bench(bench);
}

static void test_bad_urls(void **state)
{
    (void)state;
    assert_refused("", "names no store");
    assert_refused("mysql://x", "names no store");
    assert_refused("sqlite:relative.db", "names no store");
    assert_refused("sqlite:/nowhere/at/all/store.db", "No such file");
}

static void test_the_file_is_private(void **state)
{
    struct bench *bench = *state;
    struct stat facts;
    put_sample(bench, CM_TABLE_NOTE);
    assert_int_equal(stat(bench->path, &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0600);
    char *wal = cm_format("%s-wal", bench->path);
    assert_int_equal(stat(wal, &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0600);
    free(wal);
}

/* Root may write anywhere, so somebody else tries, in a child. 0: refused with these words. */
static int try_readonly_folder(const char *part)
{
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        return 2;
    char folder[] = "/tmp/cm-store-XXXXXX", *error = NULL;
    if (!mkdtemp(folder) || chmod(folder, 0500) != 0)
        return 3;
    char *url = cm_format("sqlite:%s/store.db", folder);
    struct cm_store *store = cm_store_open(url, NULL, NULL, &error);
    int refused = !store && strstr(error, part);
    cm_store_close(store);
    free(url);
    free(error);
    rmdir(folder);
    return refused ? 0 : 1;
}

static void test_a_readonly_folder(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0)
        _exit(try_readonly_folder("Permission denied"));
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* The frozen migrations and the column tables must tell the same. */
static void test_the_schema_has_every_column(void **state)
{
    struct bench *bench = *state;
    cm_store_close(bench->store);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(bench->path, &db), SQLITE_OK);
    for (enum cm_table table = CM_TABLE_PIPELINE; table < CM_TABLE_COUNT_PLUS_1; table++) {
        const struct cm_row_type *type = cm_row_type(table);
        char *sql = cm_format("PRAGMA table_info(\"%s\")", type->name);
        sqlite3_stmt *statement = NULL;
        assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
        size_t count = 0;
        for (; sqlite3_step(statement) == SQLITE_ROW; count++) {
            assert_true(count < type->column_count);
            const struct cm_column *column = &type->columns[count];
            assert_string_equal((const char *)sqlite3_column_text(statement, 1), column->name);
            assert_string_equal((const char *)sqlite3_column_text(statement, 2),
                                column->type == CM_COLUMN_INT ? "INTEGER" : "TEXT");
            assert_int_equal(sqlite3_column_int(statement, 5) > 0, column->key);
        }
        assert_int_equal(count, type->column_count);
        sqlite3_finalize(statement);
        free(sql);
    }
    sqlite3_close(db);
    open_bench(bench);
}

/* ---- SQLite: a disk in trouble --------------------------------------------------------------- */

/* Which system calls fail, and how; 0: none. Every `fault_after`-th write works before they do. */
static _Atomic int fault_errno;
static _Atomic int fault_after;

static int faulty(void)
{
    if (!fault_errno || fault_after-- > 0)
        return 0;
    errno = fault_errno;
    return 1;
}

static ssize_t faulty_write(int fd, const void *bytes, size_t count)
{
    return faulty() ? -1 : write(fd, bytes, count);
}

static ssize_t faulty_pwrite(int fd, const void *bytes, size_t count, off_t at)
{
    return faulty() ? -1 : pwrite(fd, bytes, count, at);
}

static void inject_faults(int on)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    fault_errno = 0;
    sqlite3_syscall_ptr plain = on ? (sqlite3_syscall_ptr)faulty_write : NULL;
    sqlite3_syscall_ptr at = on ? (sqlite3_syscall_ptr)faulty_pwrite : NULL;
    assert_int_equal(vfs->xSetSystemCall(vfs, "write", plain), SQLITE_OK);
    vfs->xSetSystemCall(vfs, "pwrite", at);
    vfs->xSetSystemCall(vfs, "pwrite64", at);
}

static void hand_over_tasks(struct bench *bench, int from, int count)
{
    for (int i = from; i < from + count; i++) {
        struct cm_change_set *set = new_set(bench);
        struct cm_task_row task = task_row("j1", "stt", "", CM_TASK_RUNNING, i + 1);
        cm_change_guard(set, CM_GUARD_TASK, "j1", "stt", "", i ? CM_TASK_RUNNING : 0, i);
        cm_change_put(set, CM_TABLE_TASK, &task);
        hand_over(bench, set);
    }
}

static void check_all_applied_in_order(struct bench *bench, size_t count)
{
    assert_int_equal(bench->word_count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(bench->words[i].id, i + 1);
        assert_int_equal(bench->words[i].how, CM_APPLIED);
    }
    struct answer answer = ask(bench, (struct cm_query){.table = CM_TABLE_TASK});
    assert_int_equal(((struct cm_task_row *)answer.rows[0])->fence, (int64_t)count);
    forget(&answer);
}

static void check_trouble(struct bench *bench, int error, const char *part)
{
    hand_over_tasks(bench, 0, 10);
    drain(bench);
    inject_faults(1);
    fault_errno = error;
    hand_over_tasks(bench, 10, 30);
    assert_int_equal(cm_store_drain(bench->store, 400), -1);
    assert_true(bench->notices >= 2); /* it tries again by itself */
    if (!strstr(bench->last_notice, part))
        fail_msg("\"%s\" does not say \"%s\"", bench->last_notice, part);
    assert_int_equal(bench->word_count, 10); /* nothing is lost, nothing is done */
    hand_over_tasks(bench, 40, 5);
    fault_errno = 0; /* there is room again */
    drain(bench);
    inject_faults(0);
    check_all_applied_in_order(bench, 45);
    reopen(bench);
    check_all_applied_in_order(bench, 45);
}

static void test_a_full_disk_and_room_again(void **state)
{
    check_trouble(*state, ENOSPC, "the disk is full");
}

static void test_a_disk_that_fails_and_works_again(void **state)
{
    check_trouble(*state, EIO, "cannot be used");
}

/* Trouble that begins at each single write of a commit, and ends. */
static void test_trouble_at_every_write(void **state)
{
    struct bench *bench = *state;
    inject_faults(1);
    int count = 0;
    for (int after = 0; after < 12; after++) {
        fault_after = after;
        fault_errno = after % 2 ? EIO : ENOSPC;
        hand_over_tasks(bench, count, 3);
        count += 3;
        cm_store_drain(bench->store, 20);
        fault_errno = 0;
        drain(bench);
    }
    inject_faults(0);
    check_all_applied_in_order(bench, (size_t)count);
    assert_true(bench->notices > 0);
}

static void test_locked_by_another_program(void **state)
{
    struct bench *bench = *state;
    hand_over_tasks(bench, 0, 1);
    drain(bench);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(bench->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    hand_over_tasks(bench, 1, 1);
    assert_int_equal(cm_store_drain(bench->store, 1500), -1);
    assert_true(bench->notices > 0);
    assert_non_null(strstr(bench->last_notice, "locked by another program"));
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    sqlite3_close(db);
    drain(bench);
    check_all_applied_in_order(bench, 2);
}

static void test_close_while_unavailable(void **state)
{
    struct bench *bench = *state;
    inject_faults(1);
    fault_errno = ENOSPC;
    hand_over_tasks(bench, 0, 5);
    assert_int_equal(cm_store_drain(bench->store, 100), -1);
    int64_t began = cm_boot_ms();
    cm_store_close(bench->store); /* gives up instead of waiting for room */
    assert_true(cm_boot_ms() - began < 5000);
    inject_faults(0);
    open_bench(bench);
    assert_int_equal(count_rows(bench, (struct cm_query){.table = CM_TABLE_TASK}), 0);
}

/* The same through the kernel: files may not grow beyond a limit. In a child, since limits stay. */
static int fill_up(const char *url)
{
    struct bench bench = {.next_id = 1, .url = S(url)};
    signal(SIGXFSZ, SIG_IGN);
    open_bench(&bench);
    struct rlimit limit = {300000, RLIM_INFINITY};
    setrlimit(RLIMIT_FSIZE, &limit);
    int handed = 0;
    while (bench.notices == 0 && handed < 20000) {
        hand_over_tasks(&bench, handed, 50);
        handed += 50;
        cm_store_drain(bench.store, 100);
    }
    size_t before = bench.word_count;
    limit.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_FSIZE, &limit);
    int drained = cm_store_drain(bench.store, PATIENCE_MS) == 0;
    cm_store_close(bench.store);
    int fine = drained && bench.notices > 0 && before < (size_t)handed && bench.word_count == (size_t)handed;
    free(bench.words);
    free(bench.last_notice);
    return fine ? 0 : 1;
}

static void test_files_that_may_not_grow(void **state)
{
    struct bench *bench = *state;
    char *url = cm_format("sqlite:%s/limited.db", bench->folder);
    cm_store_close(bench->store); /* no thread of ours may be there at the fork */
    pid_t child = fork();
    if (child == 0)
        _exit(fill_up(url));
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    free(url);
    open_bench(bench);
}

/* ---- SQLite: killed in the middle ------------------------------------------------------------ */

static void tell_done(void *arg, uint64_t set_id, enum cm_applied how, const char *text)
{
    (void)text;
    int64_t done = (int64_t)set_id;
    if (how == CM_APPLIED && write(*(int *)arg, &done, sizeof done) != sizeof done)
        _exit(2);
}

/* Streams sets for ever, some large; each puts its number in two places. */
static void stream_sets(const char *url, int out)
{
    char *error = NULL;
    struct cm_store *store = cm_store_open(url, tell_done, &out, &error);
    if (!store)
        _exit(3);
    for (int64_t number = 1;; number++) {
        struct cm_change_set *set = cm_change_set_new((uint64_t)number);
        for (int i = 0; i < (number % 50 == 0 ? 400 : 2); i++) {
            char item[16];
            snprintf(item, sizeof item, "%d", i);
            struct cm_task_row task = task_row("j1", "stt", item, CM_TASK_RUNNING, number);
            cm_change_put(set, CM_TABLE_TASK, &task);
        }
        cm_store_apply(store, &set, 1);
        if (number % 7 == 0)
            cm_store_drain(store, number % 3);
        cm_store_dispatch(store);
    }
}

static int64_t last_told(int in)
{
    int64_t last = 0, one;
    while (read(in, &one, sizeof one) == sizeof one) {
        assert_int_equal(one, last + 1); /* in order, none missing */
        last = one;
    }
    return last;
}

/* What is in the store: the number of the last set, which must be there whole. */
static int64_t check_whole(struct bench *bench)
{
    struct answer answer = ask(bench, (struct cm_query){.table = CM_TABLE_TASK});
    int64_t last = 0, last_wide = 0;
    for (size_t i = 0; i < answer.count; i++) {
        const struct cm_task_row *task = answer.rows[i];
        if (atoi(task->item) < 2)
            assert_true(last == 0 || last == task->fence);
        else
            assert_true(last_wide == 0 || last_wide == task->fence);
        *(atoi(task->item) < 2 ? &last : &last_wide) = task->fence;
    }
    assert_int_equal(last_wide, last / 50 * 50); /* and all before it are, too */
    forget(&answer);
    return last;
}

static void test_killed_in_the_middle(void **state)
{
    struct bench *bench = *state;
    cm_store_close(bench->store);
    int64_t total = 0;
    for (int round = 0; round < 12; round++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        fcntl(ends[1], F_SETPIPE_SZ, 1024 * 1024);
        pid_t child = fork();
        if (child == 0)
            stream_sets(bench->url, ends[1]);
        close(ends[1]);
        usleep(60000 + (useconds_t)round * 17000);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        int64_t told = last_told(ends[0]);
        close(ends[0]);
        open_bench(bench);
        int64_t there = check_whole(bench);
        assert_true(there >= told); /* what was called done is there */
        total += told;
        cm_store_close(bench->store);
        unlink(bench->path);
    }
    assert_true(total > 0);
    open_bench(bench);
}

/* ---- Moves of a task ------------------------------------------------------------------------- */

static void test_moves_of_a_task(void **state)
{
    (void)state;
    assert_true(cm_task_may_move(CM_TASK_BLOCKED, CM_TASK_READY));
    assert_true(cm_task_may_move(CM_TASK_READY, CM_TASK_RUNNING));
    assert_true(cm_task_may_move(CM_TASK_RUNNING, CM_TASK_SUCCEEDED));
    assert_true(cm_task_may_move(CM_TASK_HELD, CM_TASK_SUCCEEDED));
    assert_true(cm_task_may_move(CM_TASK_FAILED, CM_TASK_READY));
    assert_true(cm_task_may_move(0, CM_TASK_BLOCKED));
    assert_true(cm_task_may_move(CM_TASK_RUNNING, CM_TASK_RUNNING));
    assert_false(cm_task_may_move(CM_TASK_BLOCKED, CM_TASK_RUNNING));
    assert_false(cm_task_may_move(CM_TASK_FAILED, CM_TASK_RUNNING));
    assert_false(cm_task_may_move(0, CM_TASK_RUNNING));
    for (int64_t to = CM_TASK_BLOCKED; to <= CM_TASK_CANCELLED; to++)
        assert_int_equal(cm_task_may_move(CM_TASK_SUCCEEDED, to), to == CM_TASK_SUCCEEDED);
    assert_false(cm_task_may_move(-1, CM_TASK_READY));
    assert_false(cm_task_may_move(CM_TASK_READY, 0));
    assert_false(cm_task_may_move(99, CM_TASK_READY));
    assert_string_equal(cm_task_state_name(CM_TASK_BACKOFF), "backoff");
    assert_string_equal(cm_task_state_name(0), "");
    assert_string_equal(cm_job_state_name(CM_JOB_PARTIAL), "partial");
    assert_string_equal(cm_effect_state_name(CM_EFFECT_REMOVED), "removed");
    assert_string_equal(cm_hold_name(CM_HELD_PLUGIN), "plugin");
    assert_string_equal(cm_hold_name(99), "");
}

static void test_keys_come_first(void **state)
{
    (void)state;
    for (enum cm_table table = CM_TABLE_PIPELINE; table < CM_TABLE_COUNT_PLUS_1; table++) {
        const struct cm_row_type *type = cm_row_type(table);
        assert_true(type->columns[0].key);
        for (size_t i = 1; i < type->column_count; i++)
            assert_true(type->columns[i].key <= type->columns[i - 1].key);
    }
}

/* ---- PostgreSQL only ------------------------------------------------------------------------- */

enum {
    STREAM_SETS = 400,
    RACES = 2000
};

static void hand_over_one(struct bench *bench, int number)
{
    char item[16];
    snprintf(item, sizeof item, "%04d", number);
    struct cm_task_row task = task_row("J", "stt", item, CM_TASK_READY, 1);
    struct cm_change_set *set = new_set(bench);
    cm_change_guard(set, CM_GUARD_TASK, "J", "stt", item, 0, 0); /* absent: twice would be refused */
    cm_change_put(set, CM_TABLE_TASK, &task);
    hand_over(bench, set);
}

/* Every set was told once, as applied, and is there. */
static void check_stream(struct bench *bench)
{
    drain(bench);
    assert_int_equal(bench->word_count, STREAM_SETS);
    for (size_t i = 0; i < bench->word_count; i++)
        assert_int_equal(bench->words[i].how, CM_APPLIED);
    assert_int_equal(count_rows(bench, (struct cm_query){.table = CM_TABLE_TASK}), STREAM_SETS);
}

/* Connections die at any moment, also between a commit and its answer. */
static void test_cut_connections_lose_and_double_nothing(void **state)
{
    struct bench *bench = *state;
    for (int number = 0; number < STREAM_SETS; number++) {
        hand_over_one(bench, number);
        if (number % 8 == 0)
            postgres_server_run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name='clipmaker'");
        cm_store_dispatch(bench->store);
    }
    check_stream(bench);
    assert_true(bench->notices > 0);
}

static void test_a_server_that_crashes(void **state)
{
    struct bench *bench = *state;
    for (int number = 0; number < STREAM_SETS; number++) {
        hand_over_one(bench, number);
        if (number == STREAM_SETS / 2)
            postgres_server_crash(300);
        cm_store_dispatch(bench->store);
    }
    check_stream(bench);
    assert_non_null(bench->last_notice);
}

/* Two daemons want the same: the state of a task moves once, whoever is faster. */
static void test_two_stores_race(void **state)
{
    struct bench *bench = *state, other = {.url = bench->url, .next_id = 1};
    int applied[2] = {0, 0};
    open_bench(&other);
    struct bench *both[] = {bench, &other};
    struct cm_task_row task = task_row("J", "stt", "0001", CM_TASK_RUNNING, 0);
    assert_int_equal(put_task(bench, &task), CM_APPLIED);
    for (int round = 0; round < RACES; round++) {
        for (int i = 0; i < 2; i++) {
            struct cm_task_row next = task_row("J", "stt", "0001", CM_TASK_RUNNING, round + 1);
            struct cm_change_set *set = new_set(both[i]);
            cm_change_guard(set, CM_GUARD_TASK, "J", "stt", "0001", CM_TASK_RUNNING, round);
            cm_change_put(set, CM_TABLE_TASK, &next);
            hand_over(both[i], set);
        }
        drain(bench);
        drain(&other);
        int first = bench->words[bench->word_count - 1].how == CM_APPLIED;
        int second = other.words[other.word_count - 1].how == CM_APPLIED;
        assert_int_equal(first + second, 1);
        applied[0] += first;
        applied[1] += second;
    }
    assert_true(applied[0] > 0 && applied[1] > 0);
    cm_store_close(other.store);
    free(other.words);
    free(other.last_notice);
}

/* One job a request key, also when two daemons are asked at the same moment. */
static void test_two_stores_race_for_what_is_absent(void **state)
{
    struct bench *bench = *state, other = {.url = bench->url, .next_id = 1};
    open_bench(&other);
    struct bench *both[] = {bench, &other};
    for (int round = 0; round < RACES / 10; round++) {
        char key[24], id[40];
        snprintf(key, sizeof key, "key-%d", round);
        for (int i = 0; i < 2; i++) {
            snprintf(id, sizeof id, "job-%d-%d", round, i);
            struct cm_job_row job = job_row(id, "ann", CM_JOB_QUEUED);
            job.request_key = key;
            struct cm_change_set *set = new_set(both[i]);
            cm_change_guard(set, CM_GUARD_NO_JOB, "", key, "ann", 0, 0);
            cm_change_put(set, CM_TABLE_JOB, &job);
            hand_over(both[i], set);
        }
        drain(bench);
        drain(&other);
        assert_int_equal(
            count_rows(bench, (struct cm_query){.table = CM_TABLE_JOB, .owner = "ann", .request_key = key}), 1);
    }
    cm_store_close(other.store);
    free(other.words);
    free(other.last_notice);
}

static void test_postgres_newer_schema_is_refused(void **state)
{
    struct bench *bench = *state;
    postgres_server_run("INSERT INTO clipmaker_schema (version) VALUES (99)");
    assert_refused(bench->url, "newer ClipMaker");
    postgres_server_run("DELETE FROM clipmaker_schema WHERE version=99");
}

static void test_postgres_passwords_are_not_shown(void **state)
{
    (void)state;
    char *error = NULL;
    struct cm_store *store =
        cm_store_open("postgresql://ann:canary-7f@127.0.0.1:1/none?connect_timeout=2", take_word, NULL, &error);
    assert_null(store);
    assert_int_equal(errno, EAGAIN);
    assert_null(strstr(error, "canary"));
    assert_non_null(strstr(error, "127.0.0.1:1"));
    free(error);
}

static void test_postgres_bad_text_is_mended(void **state)
{
    struct bench *bench = *state;
    struct cm_task_row task = task_row("J", "stt", "0001", CM_TASK_READY, 1);
    task.words = S("caf\xe9");
    assert_int_equal(put_task(bench, &task), CM_APPLIED);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static const struct CMUnitTest shared[] = {
    WITH_STORE(test_every_column_comes_back),
    WITH_STORE(test_put_replaces),
    WITH_STORE(test_delete_by_key),
    WITH_STORE(test_keys_do_not_run_together),
    WITH_STORE(test_task_guard),
    WITH_STORE(test_job_guard),
    WITH_STORE(test_request_guard),
    WITH_STORE(test_effect_guard),
    WITH_STORE(test_note_guard),
    WITH_STORE(test_boot_guard),
    WITH_STORE(test_claim_guard),
    WITH_STORE(test_only_the_owner),
    WITH_STORE(test_a_guard_sees_the_set_before),
    WITH_STORE(test_words_come_in_order),
    WITH_STORE(test_a_wide_set),
    WITH_STORE(test_an_empty_set),
    WITH_STORE(test_nothing_is_called_before_dispatch),
    WITH_STORE(test_a_callback_may_hand_over_more),
    WITH_STORE(test_dispatch_alone_is_enough),
    WITH_STORE(test_queries_of_jobs),
    WITH_STORE(test_queries_of_a_jobs_rows),
    WITH_STORE(test_queries_of_notes),
    WITH_STORE(test_a_query_sees_what_was_handed_over_before),
    WITH_STORE(test_deleting_a_job_takes_its_rows),
    WITH_STORE(test_a_long_history),
};

static const struct CMUnitTest memory_only[] = {
    WITH_STORE(test_manual_commits),
    WITH_STORE(test_a_crash_drops_what_is_pending),
    cmocka_unit_test(test_moves_of_a_task),
    cmocka_unit_test(test_keys_come_first),
};

static const struct CMUnitTest sqlite_only[] = {
    WITH_STORE(test_everything_is_there_after_reopening),
    WITH_STORE(test_close_commits_what_is_queued),
    WITH_STORE(test_one_daemon_at_a_time),
    WITH_STORE(test_a_newer_schema_is_refused),
    WITH_STORE(test_what_is_not_ours_is_refused),
    WITH_STORE(test_damage_is_found_at_the_start),
    WITH_STORE(test_the_file_is_private),
    WITH_STORE(test_the_schema_has_every_column),
    WITH_STORE(test_a_full_disk_and_room_again),
    WITH_STORE(test_a_disk_that_fails_and_works_again),
    WITH_STORE(test_trouble_at_every_write),
    WITH_STORE(test_locked_by_another_program),
    WITH_STORE(test_close_while_unavailable),
    WITH_STORE(test_files_that_may_not_grow),
    WITH_STORE(test_killed_in_the_middle),
    cmocka_unit_test(test_a_readonly_folder),
    cmocka_unit_test(test_bad_urls),
};

static const struct CMUnitTest postgres_only[] = {
    WITH_STORE(test_everything_is_there_after_reopening),
    WITH_STORE(test_close_commits_what_is_queued),
    WITH_STORE(test_cut_connections_lose_and_double_nothing),
    WITH_STORE(test_a_server_that_crashes),
    WITH_STORE(test_two_stores_race),
    WITH_STORE(test_two_stores_race_for_what_is_absent),
    WITH_STORE(test_postgres_newer_schema_is_refused),
    WITH_STORE(test_postgres_bad_text_is_mended),
    cmocka_unit_test(test_postgres_passwords_are_not_shown),
};

static void test_postgres_is_absent(void **state)
{
    (void)state;
    print_message("PostgreSQL is not installed (package postgresql): its backend was not tested\n");
    skip();
}

static const struct CMUnitTest postgres_absent[] = {cmocka_unit_test(test_postgres_is_absent)};

int main(void)
{
    int failed = 0;
    backend = "memory";
    failed += cmocka_run_group_tests_name("store, memory", shared, NULL, NULL);
    failed += cmocka_run_group_tests_name("store, memory only", memory_only, NULL, NULL);
    backend = "sqlite";
    failed += cmocka_run_group_tests_name("store, sqlite", shared, NULL, NULL);
    failed += cmocka_run_group_tests_name("store, sqlite only", sqlite_only, NULL, NULL);
    if (postgres_server_start() != 0) {
        cmocka_run_group_tests_name("store, postgres", postgres_absent, NULL, NULL);
        return failed ? 1 : 0;
    }
    backend = "postgres";
    failed += cmocka_run_group_tests_name("store, postgres", shared, NULL, NULL);
    failed += cmocka_run_group_tests_name("store, postgres only", postgres_only, NULL, NULL);
    return failed ? 1 : 0;
}
