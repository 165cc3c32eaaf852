/*
 * Reading rows, table by table, and then recovering.
 */
#include "core/daemon/loader.h"

#include <stdlib.h>

#include "core/common/text.h"
#include "core/daemon/daemon.h"

/* In the order in which the engine wants them. */
static const enum cm_table tables[] = {CM_TABLE_PIPELINE, CM_TABLE_JOB,      CM_TABLE_CLAIM,  CM_TABLE_TASK,
                                       CM_TABLE_ATTEMPT,  CM_TABLE_ARTIFACT, CM_TABLE_EFFECT, CM_TABLE_NOTE};
#define TABLE_COUNT (sizeof tables / sizeof *tables)

struct kept {
    enum cm_table table;
    void *row;
};

struct loading {
    struct cm_daemon *daemon;
    struct kept *rows;
    size_t count, room;
    size_t left; /* queries that have not ended */
    char *error;
    cm_loaded_fn loaded;
    void *arg;
};

/* All or nothing: half a job in the engine would be another job. */
static void hand_over(struct loading *loading)
{
    struct cm_engine *engine = loading->daemon->engine;
    for (size_t i = 0; i < loading->count && !loading->error; i++) {
        cm_engine_load(engine, loading->rows[i].table, loading->rows[i].row);
    }
    if (!loading->error) {
        cm_engine_recover(engine, cm_daemon_now());
    }
}

static void on_row(void *arg, enum cm_table table, const void *row, const char *error)
{
    struct loading *loading = arg;
    if (row) {
        loading->rows = cm_grow(loading->rows, &loading->room, loading->count, sizeof *loading->rows);
        loading->rows[loading->count++] = (struct kept){table, cm_row_copy(table, row)};
        return;
    }
    if (error && !loading->error) {
        loading->error = cm_strdup(error);
    }
    if (--loading->left > 0) {
        return;
    }
    hand_over(loading);
    for (size_t i = 0; i < loading->count; i++) {
        cm_row_free(loading->rows[i].table, loading->rows[i].row);
    }
    loading->loaded(loading->arg, loading->error);
    cm_daemon_pump_soon(loading->daemon);
    free(loading->rows);
    free(loading->error);
    free(loading);
}

void cm_loader_load(struct cm_daemon *daemon, const char *job, cm_loaded_fn loaded, void *arg)
{
    struct loading *loading = cm_alloc(sizeof *loading);
    loading->daemon = daemon;
    loading->left = TABLE_COUNT;
    loading->loaded = loaded;
    loading->arg = arg;
    char *notes = job ? cm_format("task %s/", job) : NULL;
    struct cm_query queries[TABLE_COUNT] = {0};
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        queries[i] = (struct cm_query){.table = tables[i], .unfinished = !job};
        queries[i].job = tables[i] == CM_TABLE_NOTE ? notes : job;
    }
    cm_store_query_all(daemon->store, queries, TABLE_COUNT, on_row, loading);
    free(notes);
}
