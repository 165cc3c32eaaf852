/*
 * The store under a schedule: in memory, or SQLite on a disk that loses power.
 */
#include "tests/sim/store.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/common/text.h"
#include "core/daemon/store/memory.h"
#include "core/daemon/store/queue.h"
#include "core/daemon/store/sqlite.h"
#include "tests/sim/disk.h"

#define WAIT_MS 60000
#define MARKS "instance sim" /* owner of the notes that tell which sets were written */

struct word {
    uint64_t set;
    enum cm_applied how;
};

struct sim_store {
    struct cm_store *real;
    cm_store_applied_fn applied;
    void *arg;
    /* SQLite only. */
    char *path;
    struct cm_inbox inbox; /* sets not yet given to it, and queries behind them */
    size_t pending;
    struct word *words; /* said, not yet told */
    size_t word_count, word_room;
    int life;    /* of the daemon: each numbers its sets from 1 */
    char *found; /* names of the marks that are there, each between spaces */
    char problem[400];
};

int sim_store_is_real(const struct sim_store *store)
{
    return store->path != NULL;
}

struct cm_store *sim_store_real(struct sim_store *store)
{
    return store->real;
}

/* ---- SQLite: what it says -------------------------------------------------------------------- */

static void said(void *arg, uint64_t set, enum cm_applied how, const char *words)
{
    struct sim_store *store = arg;
    if (how == CM_APPLIED_UNAVAILABLE) {
        fprintf(stderr, "sim: the store is unavailable: %s\n", words);
        abort();
    }
    store->words = cm_grow(store->words, &store->word_room, store->word_count, sizeof *store->words);
    store->words[store->word_count++] = (struct word){set, how};
}

static void open_sqlite(struct sim_store *store)
{
    char *error = NULL;
    store->real = cm_store_sqlite_open(store->path, said, store, &error);
    if (!store->real) {
        snprintf(store->problem, sizeof store->problem, "the store does not open: %s", error);
    }
    free(error);
}

static void drain(struct sim_store *store)
{
    if (cm_store_drain(store->real, WAIT_MS)) {
        fprintf(stderr, "sim: the store did not finish in %d s\n", WAIT_MS / 1000);
        abort();
    }
}

/* ---- Birth and death ------------------------------------------------------------------------- */

static void remove_files(const char *path)
{
    static const char *const tails[] = {"", "-wal", "-shm", "-journal", ".lock"};
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        char *name = cm_format("%s%s", path, tails[i]);
        unlink(name);
        free(name);
    }
}

struct sim_store *sim_store_open(const char *folder, cm_store_applied_fn applied, void *arg)
{
    struct sim_store *store = cm_alloc(sizeof *store);
    store->applied = applied;
    store->arg = arg;
    if (!folder) {
        store->real = cm_store_memory_open(applied, arg);
        cm_store_memory_manual(store->real, 1);
        return store;
    }
    store->path = cm_format("%s/store.db", folder);
    remove_files(store->path);
    sqlite3_randomness(0, NULL);
    open_sqlite(store);
    if (!store->real) {
        fprintf(stderr, "sim: %s\n", store->problem);
        abort();
    }
    return store;
}

void sim_store_close(struct sim_store *store)
{
    cm_store_close(store->real);
    if (store->path) {
        remove_files(store->path);
        sim_disk_forget();
        cm_inbox_clear(&store->inbox);
    }
    free(store->path);
    free(store->words);
    free(store->found);
    free(store);
}

/* ---- Sets and queries ------------------------------------------------------------------------ */

/* A note that is written with the set, or not at all. */
static void mark(const struct sim_store *store, struct cm_change_set *set)
{
    char *name = cm_format("%d.%llu", store->life, (unsigned long long)set->id);
    struct cm_note_row note = {.owner = (char *)MARKS, .name = name, .value = (char *)"1"};
    cm_change_put(set, CM_TABLE_NOTE, &note);
    free(name);
}

void sim_store_apply(struct sim_store *store, struct cm_change_set **sets, size_t count)
{
    if (!store->path) {
        cm_store_apply(store->real, sets, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        mark(store, sets[i]);
        cm_inbox_add_set(&store->inbox, sets[i]);
    }
    store->pending += count;
}

/* Queries at the head of the queue wait for nothing. */
static void answer_queries(struct sim_store *store)
{
    struct cm_inbox_item *item;
    while ((item = store->inbox.first) && !item->set) {
        cm_store_query(store->real, &item->asked.query, item->asked.row_fn, item->asked.arg);
        cm_inbox_drop_first(&store->inbox);
        drain(store);
    }
}

void sim_store_query(struct sim_store *store, const struct cm_query *query, cm_store_row_fn row, void *arg)
{
    if (!store->path) {
        cm_store_query(store->real, query, row, arg);
        return;
    }
    cm_inbox_add_query(&store->inbox, query, row, arg);
}

size_t sim_store_pending(const struct sim_store *store)
{
    return store->path ? store->pending : cm_store_memory_pending(store->real);
}

/* Up to `count` sets from the head of the queue, in one piece: one transaction. */
static size_t hand_over(struct sim_store *store, struct cm_change_set **sets, size_t count)
{
    size_t taken = 0;
    while (taken < count && store->inbox.first && store->inbox.first->set) {
        sets[taken++] = store->inbox.first->set;
        store->inbox.first->set = NULL;
        cm_inbox_drop_first(&store->inbox);
    }
    store->pending -= taken;
    cm_store_apply(store->real, sets, taken);
    return taken;
}

void sim_store_commit(struct sim_store *store, size_t count)
{
    if (!store->path) {
        cm_store_memory_commit(store->real, count);
        return;
    }
    struct cm_change_set **sets = cm_alloc((count + 1) * sizeof(struct cm_change_set *));
    answer_queries(store);
    if (hand_over(store, sets, count)) {
        drain(store);
    }
    free(sets);
}

void sim_store_dispatch(struct sim_store *store)
{
    if (!store->path) {
        cm_store_dispatch(store->real);
        return;
    }
    size_t count = store->word_count;
    struct word *words = store->words;
    store->words = NULL;
    store->word_count = store->word_room = 0;
    for (size_t i = 0; i < count; i++) {
        store->applied(store->arg, words[i].set, words[i].how, "");
    }
    free(words);
    answer_queries(store);
}

/* ---- The crash ------------------------------------------------------------------------------- */

static void take_mark(void *arg, enum cm_table table, const void *row, const char *error)
{
    struct cm_text *found = arg;
    const struct cm_note_row *note = row;
    (void)table;
    (void)error;
    if (note && !strcmp(note->owner, MARKS)) {
        cm_text_addf(found, " %s ", note->name);
    }
}

static int is_marked(const struct sim_store *store, uint64_t set)
{
    char name[32];
    snprintf(name, sizeof name, " %d.%llu ", store->life, (unsigned long long)set);
    return strstr(store->found, name) != NULL;
}

static void check_integrity(struct sim_store *store)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    const char *words = "it cannot be read";
    if (sqlite3_open_v2(store->path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        words = (const char *)sqlite3_column_text(statement, 0);
    }
    if (strcmp(words, "ok")) {
        snprintf(store->problem, sizeof store->problem, "the file is damaged: %s", words);
    }
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

/* Opens what the disk has, and looks which sets are in it. */
static void reopen(struct sim_store *store)
{
    struct cm_text found = {0};
    cm_store_close(store->real);
    sim_disk_restore();
    store->problem[0] = '\0';
    open_sqlite(store);
    if (store->real) {
        check_integrity(store);
        cm_store_query(store->real, &(struct cm_query){.table = CM_TABLE_NOTE, .job = MARKS}, take_mark, &found);
        drain(store);
    }
    free(store->found);
    store->found = cm_text_take(&found);
}

const char *sim_store_crash(struct sim_store *store, struct sim_random *random,
                            void (*told)(void *arg, uint64_t set, int is_there), void *arg)
{
    if (!store->path) {
        cm_store_memory_crash(store->real);
        return NULL;
    }
    enum sim_cut how = sim_chance(random, 700) ? SIM_CUT_POWER : SIM_CUT_KILL;
    uint64_t seed = sim_next(random);
    size_t count = store->pending ? 1 + (size_t)sim_below(random, (int)store->pending) : 0;
    struct cm_change_set **sets = cm_alloc((count + 1) * sizeof(struct cm_change_set *));
    uint64_t *ids = cm_alloc((count + 1) * sizeof *ids);
    size_t flying = 0;
    for (struct cm_inbox_item *item = store->inbox.first; item && item->set && flying < count; item = item->next) {
        ids[flying++] = item->set->id;
    }
    if (flying) {
        sim_disk_arm(how, seed, 1 + sim_below(random, 8 + 4 * (int)flying));
        hand_over(store, sets, flying);
        drain(store);
    }
    sim_disk_cut(how, seed);
    store->word_count = 0; /* nobody heard them */
    cm_inbox_clear(&store->inbox);
    store->pending = 0;
    reopen(store);
    for (size_t i = 0; i < flying; i++) {
        told(arg, ids[i], is_marked(store, ids[i]));
    }
    store->life++;
    free(ids);
    free(sets);
    return *store->problem ? store->problem : NULL;
}
