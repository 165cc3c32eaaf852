/*
 * The PostgreSQL store against those who mean it ill: connections cut around a commit, other daemons on
 * the same rows, odd databases; and against the memory store, set by set.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/common/file.h"
#include "core/common/text.h"
#include "core/daemon/store/open.h"
#include "core/daemon/store/store.h"
#include "tests/unit/postgres_proxy.h"
#include "tests/unit/postgres_server.h"

enum {
    PATIENCE_MS = 60000,
    CUTS = 24,
    RANDOM_SETS = 6000,
    RACES = 10000,
    RACES_AT_ONCE = 250,
    OPENINGS = 6,
    LOOKS = 1000,
    LOOKS_MOST = 100000, /* on a machine so busy that nothing moves meanwhile */
};

#define S(text) ((char *)(uintptr_t)(text))

/* ---- The bench ------------------------------------------------------------------------------- */

struct bench {
    struct cm_store *store;
    enum cm_applied *words; /* by set id */
    size_t word_count, room;
    uint64_t next_id;
};

static void take_word(void *arg, uint64_t set_id, enum cm_applied how, const char *text)
{
    struct bench *bench = arg;
    (void)text;
    if (how == CM_APPLIED_UNAVAILABLE)
        return;
    assert_int_equal(set_id, bench->word_count); /* each once, in their order */
    bench->words = cm_grow(bench->words, &bench->room, bench->word_count, sizeof *bench->words);
    bench->words[bench->word_count++] = how;
}

static void open_bench(struct bench *bench, const char *url)
{
    char *error = NULL;
    *bench = (struct bench){0};
    bench->store = cm_store_open(url, take_word, bench, &error);
    if (!bench->store)
        fail_msg("%s: %s", url, error);
}

static void close_bench(struct bench *bench)
{
    cm_store_close(bench->store);
    free(bench->words);
}

static void drain(struct bench *bench)
{
    assert_int_equal(cm_store_drain(bench->store, PATIENCE_MS), 0);
    assert_int_equal(bench->word_count, bench->next_id);
}

static struct cm_change_set *new_set(struct bench *bench)
{
    return cm_change_set_new(bench->next_id++);
}

static void hand_over(struct bench *bench, struct cm_change_set *set)
{
    cm_store_apply(bench->store, &set, 1);
}

static struct cm_task_row task_row(const char *job, const char *item, int64_t state, int64_t fence, const char *boot)
{
    return (struct cm_task_row){.job = S(job),
                                .step = S("stt"),
                                .item = S(item),
                                .state = state,
                                .fence = fence,
                                .op = S("transcribe"),
                                .reason = S(""),
                                .words = S(""),
                                .boot = S(boot)};
}

static struct cm_job_row job_row(const char *id, const char *key, int64_t state)
{
    return (struct cm_job_row){S(id), S("ann"), S(key), S(""), S("p"), S("/talk"), S("{}"),
                               state, 0,        0,      0,     S(""),  S(""),      0};
}

static int setup(void **state)
{
    (void)state;
    postgres_server_empty();
    return 0;
}

/* ---- Rows as one text ------------------------------------------------------------------------ */

struct listing {
    struct cm_text text;
    size_t rows;
    int ended;
};

static void list_row(void *arg, enum cm_table table, const void *row, const char *error)
{
    struct listing *listing = arg;
    assert_null(error);
    if (!row) {
        listing->ended++;
        return;
    }
    const struct cm_row_type *type = cm_row_type(table);
    listing->rows++;
    cm_text_add(&listing->text, type->name);
    for (size_t i = 0; i < type->column_count; i++)
        if (type->columns[i].type == CM_COLUMN_INT)
            cm_text_addf(&listing->text, " %lld", (long long)cm_row_int(row, &type->columns[i]));
        else
            cm_text_addf(&listing->text, " \"%s\"", cm_row_string(row, &type->columns[i]));
    cm_text_add(&listing->text, "\n");
}

static size_t count_rows(struct bench *bench, const struct cm_query *query)
{
    struct listing listing = {0};
    cm_store_query(bench->store, query, list_row, &listing);
    drain(bench);
    assert_int_equal(listing.ended, 1);
    cm_text_free(&listing.text);
    return listing.rows;
}

static char *everything(struct bench *bench)
{
    struct listing listing = {0};
    for (enum cm_table table = CM_TABLE_PIPELINE; table < CM_TABLE_COUNT_PLUS_1; table++)
        cm_store_query(bench->store, &(struct cm_query){.table = table}, list_row, &listing);
    drain(bench);
    return cm_text_take(&listing.text);
}

/* ---- Connections cut around a commit --------------------------------------------------------- */

/* A set that can be applied once only: done twice, its guard would fail the second time. */
static void move_on(struct bench *bench, int64_t fence)
{
    struct cm_task_row task = task_row("J", "", CM_TASK_RUNNING, fence + 1, "");
    struct cm_change_set *set = new_set(bench);
    cm_change_guard(set, CM_GUARD_TASK, "J", "stt", "", fence ? CM_TASK_RUNNING : 0, fence);
    cm_change_put(set, CM_TABLE_TASK, &task);
    hand_over(bench, set);
}

/* A set whose guard fails, whatever happens around it. */
static void fail_to_move(struct bench *bench)
{
    struct cm_task_row task = task_row("J", "", CM_TASK_FAILED, 0, "");
    struct cm_change_set *set = new_set(bench);
    cm_change_guard(set, CM_GUARD_TASK, "J", "stt", "", CM_TASK_RUNNING, 1000000);
    cm_change_put(set, CM_TABLE_TASK, &task);
    hand_over(bench, set);
}

static void test_a_cut_around_a_commit_is_settled_exactly(void **state)
{
    (void)state;
    char folder[] = "/tmp/cm-proxy-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char *url = cm_format("postgresql:///postgres?host=%s&user=clipmaker", folder);
    struct bench bench;
    postgres_proxy_start(folder, postgres_server_folder());
    open_bench(&bench, url);
    for (int64_t round = 0; round < CUTS; round++) {
        if (round == CUTS / 2)
            postgres_server_run("DELETE FROM commit_marker"); /* by some tidy person */
        move_on(&bench, 3 * round);
        drain(&bench);
        postgres_proxy_cut(CUT_NEVER + 1 + round % (CUT_KINDS_PLUS_1 - CUT_NEVER - 1));
        move_on(&bench, 3 * round + 1);
        fail_to_move(&bench);
        move_on(&bench, 3 * round + 2);
        drain(&bench);
        assert_int_equal(postgres_proxy_cuts(), round + 1);
    }
    for (size_t i = 0; i < bench.word_count; i++)
        assert_int_equal(bench.words[i], i % 4 == 2 ? CM_APPLIED_NOT : CM_APPLIED);
    assert_int_equal(postgres_server_ask("SELECT fence FROM task"), 3 * CUTS);
    close_bench(&bench);
    postgres_proxy_stop();
    cm_folder_remove(folder);
    free(url);
}

/* ---- Two daemons on the same rows ------------------------------------------------------------ */

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 16 & 0x7fff;
}

static void complete(struct bench *bench, const char *item)
{
    struct cm_task_row task = task_row("J", item, CM_TASK_SUCCEEDED, 1, "");
    struct cm_artifact_row artifact = {S("J"), S("stt"), S(item), 1, S("transcript"), S(""), S("a"), 1, S(""), S("{}")};
    struct cm_change_set *set = new_set(bench);
    cm_change_guard(set, CM_GUARD_TASK, "J", "stt", item, CM_TASK_RUNNING, 1);
    cm_change_put(set, CM_TABLE_TASK, &task);
    cm_change_put(set, CM_TABLE_ARTIFACT, &artifact);
    hand_over(bench, set);
}

static void reap(struct bench *bench, const char *item)
{
    struct cm_task_row task = task_row("J", item, CM_TASK_READY, 2, "");
    struct cm_change_set *set = new_set(bench);
    cm_change_guard(set, CM_GUARD_TASK, "J", "stt", item, CM_TASK_RUNNING, 1);
    cm_change_put(set, CM_TABLE_TASK, &task);
    hand_over(bench, set);
}

static void begin_tasks(struct bench *bench)
{
    struct cm_change_set *set = new_set(bench);
    for (int i = 0; i < RACES_AT_ONCE; i++) {
        char item[16];
        snprintf(item, sizeof item, "%04d", i);
        struct cm_task_row task = task_row("J", item, CM_TASK_RUNNING, 1, "one");
        struct cm_artifact_row none = {S("J"), S("stt"), S(item), 1, S("transcript"), S(""), S(""), 0, S(""), S("")};
        cm_change_put(set, CM_TABLE_TASK, &task);
        cm_change_delete(set, CM_TABLE_ARTIFACT, &none);
    }
    hand_over(bench, set);
    drain(bench);
}

/* Each task once at each daemon, now the one first, now the other, by themselves or in heaps. */
static void race(struct bench *worker, struct bench *reaper, unsigned *seed)
{
    for (int i = 0; i < RACES_AT_ONCE; i++) {
        char item[16];
        snprintf(item, sizeof item, "%04d", i);
        unsigned chance = next_random(seed);
        if (chance & 1)
            complete(worker, item);
        reap(reaper, item);
        if (!(chance & 1))
            complete(worker, item);
        if (chance % 8 == 0)
            usleep(chance % 400);
        if (chance % 32 == 0)
            cm_store_dispatch(worker->store);
    }
    drain(worker);
    drain(reaper);
}

static int judge_races(const struct bench *worker, const struct bench *reaper)
{
    int completed = 0;
    for (int i = 0; i < RACES_AT_ONCE; i++) {
        enum cm_applied one = worker->words[worker->word_count - RACES_AT_ONCE + (size_t)i];
        enum cm_applied other = reaper->words[reaper->word_count - RACES_AT_ONCE + (size_t)i];
        assert_true((one == CM_APPLIED) != (other == CM_APPLIED));
        assert_true((one == CM_APPLIED_NOT) != (other == CM_APPLIED_NOT));
        completed += one == CM_APPLIED;
    }
    return completed;
}

static void test_completion_and_reaper_race(void **state)
{
    (void)state;
    struct bench worker, reaper;
    unsigned seed = 11;
    int completed = 0;
    open_bench(&worker, postgres_server_url());
    open_bench(&reaper, postgres_server_url());
    for (int round = 0; round < RACES / RACES_AT_ONCE; round++) {
        begin_tasks(&worker);
        race(&worker, &reaper, &seed);
        int done = judge_races(&worker, &reaper);
        completed += done;
        assert_int_equal(postgres_server_ask("SELECT count(*) FROM task t WHERE state=7 AND fence=1 AND EXISTS"
                                             " (SELECT 1 FROM artifact a WHERE a.item=t.item)"),
                         done);
        assert_int_equal(postgres_server_ask("SELECT count(*) FROM task WHERE state=2 AND fence=2"),
                         RACES_AT_ONCE - done);
        assert_int_equal(postgres_server_ask("SELECT count(*) FROM artifact"), done);
    }
    print_message("%d of %d completions were first\n", completed, RACES);
    assert_in_range(completed, RACES / 20, RACES - RACES / 20);
    close_bench(&worker);
    close_bench(&reaper);
}

static void submit(struct bench *bench, const char *id, const char *key)
{
    struct cm_job_row job = job_row(id, key, CM_JOB_QUEUED);
    struct cm_change_set *set = new_set(bench);
    cm_change_guard(set, CM_GUARD_NO_JOB, "", key, "ann", 0, 0);
    cm_change_put(set, CM_TABLE_JOB, &job);
    hand_over(bench, set);
}

/* However the database is set up, what is looked at is what stands there at that moment. */
static void race_for_keys(const char *level)
{
    struct bench both[2];
    char *set_level = cm_format("ALTER DATABASE postgres SET default_transaction_isolation='%s'", level);
    postgres_server_run(set_level);
    free(set_level);
    open_bench(&both[0], postgres_server_url());
    open_bench(&both[1], postgres_server_url());
    for (int round = 0; round < 100; round++) {
        char key[24], id[32];
        snprintf(key, sizeof key, "%s %d", level, round);
        for (int i = 0; i < 2; i++) {
            snprintf(id, sizeof id, "%s %d %d", level, round, i);
            submit(&both[i], id, key);
        }
        drain(&both[0]);
        drain(&both[1]);
    }
    postgres_server_run("ALTER DATABASE postgres RESET default_transaction_isolation");
    assert_int_equal(postgres_server_ask("SELECT max(n) FROM (SELECT count(*) n FROM job GROUP BY request_key) AS x"),
                     1);
    close_bench(&both[0]);
    close_bench(&both[1]);
}

static void test_any_isolation_of_the_database_will_do(void **state)
{
    (void)state;
    race_for_keys("read committed");
    race_for_keys("repeatable read");
    race_for_keys("serializable");
    assert_int_equal(postgres_server_ask("SELECT count(*) FROM job"), 300);
}

struct mover {
    const char *url;
    atomic_int stop;
    uint64_t moves;
};

/* Another daemon, whose sets take a row out of one table and put one into another. */
static void *move_to_and_fro(void *arg)
{
    struct mover *mover = arg;
    struct bench bench;
    struct cm_claim_row claim = {S("J"), S("one")};
    struct cm_note_row note = {S("task J/stt"), S("n"), S("")};
    open_bench(&bench, mover->url);
    while (!mover->stop) {
        struct cm_change_set *set = new_set(&bench);
        int even = bench.next_id % 2 == 0;
        (even ? cm_change_put : cm_change_delete)(set, CM_TABLE_CLAIM, &claim);
        (even ? cm_change_delete : cm_change_put)(set, CM_TABLE_NOTE, &note);
        hand_over(&bench, set);
        drain(&bench);
    }
    mover->moves = bench.next_id;
    close_bench(&bench);
    return NULL;
}

/* fsck looks at many tables, and others write meanwhile. */
static void test_questions_side_by_side_see_one_moment(void **state)
{
    (void)state;
    struct bench bench;
    struct mover mover = {.url = postgres_server_url()};
    pthread_t thread;
    const struct cm_query both[] = {{.table = CM_TABLE_CLAIM}, {.table = CM_TABLE_NOTE}};
    int seen[2] = {0, 0};
    open_bench(&bench, mover.url);
    assert_int_equal(pthread_create(&thread, NULL, move_to_and_fro, &mover), 0);
    while (postgres_server_ask("SELECT (SELECT count(*) FROM claim) + (SELECT count(*) FROM note)") == 0)
        continue;
    for (int round = 0; round < LOOKS || ((!seen[0] || !seen[1]) && round < LOOKS_MOST); round++) {
        struct listing listing = {0};
        cm_store_query_all(bench.store, both, 2, list_row, &listing);
        drain(&bench);
        assert_int_equal(listing.ended, 2);
        assert_int_equal(listing.rows, 1);
        seen[cm_starts_with(listing.text.bytes, "claim")]++;
        cm_text_free(&listing.text);
    }
    mover.stop = 1;
    pthread_join(thread, NULL);
    assert_true(seen[0] > 0 && seen[1] > 0);
    close_bench(&bench);
}

/* ---- The same sets to the memory store ------------------------------------------------------- */

static const char *const words[] = {"a", "b", "a/b", "a0", "task a/b/c", "ab"};

static const char *any_word(unsigned *seed)
{
    return words[next_random(seed) % (next_random(seed) % 4 ? 2 : sizeof words / sizeof *words)];
}

/* A row of few different keys; text columns have few different values, numbers 0 to 3. */
static void *any_row(enum cm_table table, unsigned *seed)
{
    const struct cm_row_type *type = cm_row_type(table);
    char *row = cm_row_new(table);
    for (size_t i = 0; i < type->column_count; i++) {
        void *field = row + type->columns[i].offset;
        if (type->columns[i].type == CM_COLUMN_INT)
            *(int64_t *)field = next_random(seed) % 2;
        else if (strcmp(type->columns[i].name, "job") == 0)
            cm_row_text(field, words[next_random(seed) % 2]);
        else
            cm_row_text(field, any_word(seed));
    }
    if (table == CM_TABLE_NOTE && next_random(seed) % 2)
        cm_row_text(&((struct cm_note_row *)(void *)row)->owner, next_random(seed) % 2 ? "task a/x" : "task b/x");
    return row;
}

static const char *any_owner(enum cm_guard_kind kind, unsigned *seed)
{
    if (kind == CM_GUARD_NOTE && next_random(seed) % 2)
        return next_random(seed) % 2 ? "task a/x" : "task b/x";
    return kind == CM_GUARD_TASK ? words[next_random(seed) % 2] : any_word(seed);
}

static struct cm_change_set *any_set(uint64_t id, unsigned *seed)
{
    struct cm_change_set *set = cm_change_set_new(id);
    enum cm_guard_kind kind = next_random(seed) % CM_GUARD_COUNT;
    unsigned changes = next_random(seed) % 4;
    if (kind != CM_GUARD_NONE)
        cm_change_guard(set, kind, any_owner(kind, seed), any_word(seed), any_word(seed), next_random(seed) % 3,
                        next_random(seed) % 2);
    if (next_random(seed) % 4 == 0)
        cm_change_claimed(set, words[next_random(seed) % 2], any_word(seed));
    for (unsigned i = 0; i < changes; i++) {
        enum cm_table table = 1 + next_random(seed) % (CM_TABLE_COUNT_PLUS_1 - 1);
        void *row = any_row(table, seed);
        if (next_random(seed) % 4 == 0)
            cm_change_delete(set, table, row);
        else
            cm_change_put(set, table, row);
        cm_row_free(table, row);
    }
    return set;
}

static void test_random_sets_end_as_in_memory(void **state)
{
    (void)state;
    struct bench memory, database;
    unsigned seeds[2] = {2, 2}; /* this one finds guards on rows that go with a job of the same batch */
    open_bench(&memory, "memory:");
    open_bench(&database, postgres_server_url());
    struct bench *both[2] = {&memory, &database};
    for (int i = 0; i < 2; i++)
        for (struct bench *bench = both[i]; bench->next_id < RANDOM_SETS;) {
            uint64_t id = bench->next_id++;
            hand_over(bench, any_set(id, &seeds[i]));
            if (id % 100 == 99)
                drain(bench);
        }
    drain(&memory);
    drain(&database);
    size_t applied = 0;
    for (size_t i = 0; i < RANDOM_SETS; i++) {
        if (memory.words[i] != database.words[i])
            fail_msg("set %zu: %d in memory, %d in the database", i, (int)memory.words[i], (int)database.words[i]);
        applied += memory.words[i] == CM_APPLIED;
    }
    char *one = everything(&memory), *other = everything(&database);
    assert_string_equal(one, other);
    print_message("%zu of %d sets were applied, %zu bytes of rows are left\n", applied, RANDOM_SETS, strlen(one));
    assert_in_range(applied, RANDOM_SETS / 5, RANDOM_SETS * 4 / 5);
    free(one);
    free(other);
    close_bench(&memory);
    close_bench(&database);
}

/* A client's words need not be UTF-8; what the database cannot take must not stop the store for all. */
static void test_text_that_is_no_text(void **state)
{
    (void)state;
    struct bench bench;
    open_bench(&bench, postgres_server_url());
    submit(&bench, "J\xff", "caf\xe9");
    submit(&bench, "K", "caf\xe9");
    submit(&bench, "L", "");
    drain(&bench);
    assert_int_equal(bench.words[0], CM_APPLIED);
    assert_int_equal(bench.words[1], CM_APPLIED_NOT);
    assert_int_equal(bench.words[2], CM_APPLIED);
    assert_int_equal(
        count_rows(&bench, &(struct cm_query){.table = CM_TABLE_JOB, .owner = "ann", .request_key = "caf\xe9"}), 1);
    close_bench(&bench);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A server that neither answers nor hangs up: the owner goes on with its own work. */
static void test_the_owner_never_waits(void **state)
{
    (void)state;
    struct bench bench;
    open_bench(&bench, postgres_server_url());
    postgres_server_freeze(1);
    int64_t begun = now_ms();
    for (int64_t fence = 0; fence < 20; fence++) {
        move_on(&bench, fence);
        cm_store_dispatch(bench.store);
    }
    int64_t spent = now_ms() - begun;
    assert_int_equal(cm_store_drain(bench.store, 200), -1);
    postgres_server_freeze(0);
    drain(&bench);
    assert_in_range(spent, 0, 100);
    for (size_t i = 0; i < bench.word_count; i++)
        assert_int_equal(bench.words[i], CM_APPLIED);
    close_bench(&bench);
}

/* ---- Odd databases --------------------------------------------------------------------------- */

static char *url_of(const char *database, const char *more)
{
    return cm_format("postgresql:///%s?host=%s&user=clipmaker%s", database, postgres_server_folder(), more);
}

static void test_a_database_of_another_encoding_is_refused(void **state)
{
    (void)state;
    char *error = NULL, *url = url_of("latin", "");
    postgres_server_run("CREATE DATABASE latin ENCODING LATIN1 TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
    struct cm_store *store = cm_store_open(url, take_word, NULL, &error);
    postgres_server_run("DROP DATABASE latin WITH (FORCE)");
    assert_null(store);
    assert_non_null(strstr(error, "UTF8"));
    free(error);
    free(url);
}

static void test_two_clipmakers_in_one_database(void **state)
{
    (void)state;
    struct bench both[2];
    char *urls[2] = {url_of("postgres", "&options=-csearch_path%3Dred"),
                     url_of("postgres", "&options=-csearch_path%3Dblue")};
    postgres_server_run("CREATE SCHEMA red");
    postgres_server_run("CREATE SCHEMA blue");
    for (int i = 0; i < 2; i++)
        open_bench(&both[i], urls[i]);
    submit(&both[0], "J", "key");
    submit(&both[0], "K", "other");
    submit(&both[1], "J", "key");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(count_rows(&both[i], &(struct cm_query){.table = CM_TABLE_JOB}), 2 - i);
        assert_int_equal(both[i].words[0], CM_APPLIED);
        close_bench(&both[i]);
        free(urls[i]);
    }
    postgres_server_run("SET client_min_messages=error; DROP SCHEMA red CASCADE; DROP SCHEMA blue CASCADE");
}

static void test_a_schema_that_is_not_there(void **state)
{
    (void)state;
    char *error = NULL, *url = url_of("postgres", "&options=-csearch_path%3Dnowhere");
    assert_null(cm_store_open(url, take_word, NULL, &error));
    assert_non_null(strstr(error, "schema"));
    assert_null(strchr(error, '\n'));
    free(error);
    free(url);
}

static void *open_one(void *arg)
{
    open_bench(arg, postgres_server_url());
    return NULL;
}

static void test_many_begin_on_an_empty_database(void **state)
{
    (void)state;
    struct bench benches[OPENINGS];
    pthread_t threads[OPENINGS];
    for (int i = 0; i < OPENINGS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_one, &benches[i]), 0);
    for (int i = 0; i < OPENINGS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < OPENINGS; i++)
        close_bench(&benches[i]);
    assert_int_equal(postgres_server_ask("SELECT count(*) - max(version) FROM clipmaker_schema"), 0);
}

#define ON_EMPTY(test) cmocka_unit_test_setup(test, setup)

static const struct CMUnitTest tests[] = {
    ON_EMPTY(test_many_begin_on_an_empty_database),
    ON_EMPTY(test_a_cut_around_a_commit_is_settled_exactly),
    ON_EMPTY(test_completion_and_reaper_race),
    ON_EMPTY(test_any_isolation_of_the_database_will_do),
    ON_EMPTY(test_questions_side_by_side_see_one_moment),
    ON_EMPTY(test_random_sets_end_as_in_memory),
    ON_EMPTY(test_text_that_is_no_text),
    ON_EMPTY(test_the_owner_never_waits),
    ON_EMPTY(test_a_database_of_another_encoding_is_refused),
    ON_EMPTY(test_two_clipmakers_in_one_database),
    ON_EMPTY(test_a_schema_that_is_not_there),
};

static void test_postgres_is_absent(void **state)
{
    (void)state;
    print_message("PostgreSQL is not installed (package postgresql): its backend was not tested\n");
    skip();
}

static const struct CMUnitTest absent[] = {cmocka_unit_test(test_postgres_is_absent)};

int main(void)
{
    if (postgres_server_start() != 0)
        return cmocka_run_group_tests_name("store, postgres", absent, NULL, NULL);
    if (getenv("T"))
        cmocka_set_test_filter(getenv("T"));
    return cmocka_run_group_tests_name("store, postgres under attack", tests, NULL, NULL) ? 1 : 0;
}
