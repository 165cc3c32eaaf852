/*
 * Rows of a job, gathered and turned into JSON.
 */
#include "core/daemon/control/views.h"

#include <clipmaker/plugin.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/message.h"
#include "core/common/text.h"
#include "core/daemon/daemon.h"
#include "core/daemon/engine/pipeline.h"
#include "core/daemon/run/attempts.h"
#include "core/daemon/store/costs.h"
#include "core/daemon/store/row_json.h"

struct gathering {
    struct cm_view view;
    int left;
    char *error;
    cm_view_fn done;
    void *arg;
};

/* ---- Gathering ------------------------------------------------------------------------------- */

static struct cm_view_rows *place_for(struct cm_view *view, enum cm_table table)
{
    switch (table) {
    case CM_TABLE_TASK:
        return &view->tasks;
    case CM_TABLE_ATTEMPT:
        return &view->attempts;
    case CM_TABLE_ARTIFACT:
        return &view->artifacts;
    case CM_TABLE_LLM_CALL:
        return &view->calls;
    default:
        return &view->effects;
    }
}

static void free_rows(struct cm_view_rows *rows, enum cm_table table)
{
    for (size_t i = 0; i < rows->count; i++) {
        cm_row_free(table, rows->rows[i]);
    }
    free(rows->rows);
}

static void finish(struct gathering *gathering)
{
    struct cm_view *view = &gathering->view;
    gathering->done(gathering->arg, view, gathering->error);
    if (view->job) {
        cm_row_free(CM_TABLE_JOB, view->job);
    }
    free_rows(&view->tasks, CM_TABLE_TASK);
    free_rows(&view->attempts, CM_TABLE_ATTEMPT);
    free_rows(&view->artifacts, CM_TABLE_ARTIFACT);
    free_rows(&view->effects, CM_TABLE_EFFECT);
    free_rows(&view->calls, CM_TABLE_LLM_CALL);
    cm_pipeline_free(view->pipeline);
    free(gathering->error);
    free(gathering);
}

static void take_row(struct cm_view *view, enum cm_table table, const void *row)
{
    if (table == CM_TABLE_JOB) {
        view->job = view->job ? view->job : cm_row_copy(table, row);
    } else if (table == CM_TABLE_PIPELINE) {
        const struct cm_pipeline_row *pipeline = row;
        if (view->job && !view->pipeline && !strcmp(pipeline->id, view->job->pipeline)) {
            view->pipeline = cm_pipeline_parse(pipeline->json, NULL);
        }
    } else {
        struct cm_view_rows *rows = place_for(view, table);
        rows->rows = cm_grow(rows->rows, &rows->room, rows->count, sizeof *rows->rows);
        rows->rows[rows->count++] = cm_row_copy(table, row);
    }
}

static void on_row(void *arg, enum cm_table table, const void *row, const char *error)
{
    struct gathering *gathering = arg;
    if (row) {
        take_row(&gathering->view, table, row);
        return;
    }
    if (error && !gathering->error) {
        gathering->error = cm_strdup(error);
    }
    if (--gathering->left == 0) {
        finish(gathering);
    }
}

void cm_view_job(struct cm_daemon *daemon, const char *job, int whole, cm_view_fn done, void *arg)
{
    /* The job first: which pipeline row counts depends on it. */
    static const enum cm_table tables[] = {CM_TABLE_JOB,      CM_TABLE_PIPELINE, CM_TABLE_TASK,    CM_TABLE_ATTEMPT,
                                           CM_TABLE_ARTIFACT, CM_TABLE_EFFECT,   CM_TABLE_LLM_CALL};
    size_t count = whole ? sizeof tables / sizeof *tables : 4;
    struct gathering *gathering = cm_alloc(sizeof *gathering);
    gathering->view.daemon = daemon;
    gathering->left = (int)count;
    gathering->done = done;
    gathering->arg = arg;
    struct cm_query queries[sizeof tables / sizeof *tables] = {0};
    for (size_t i = 0; i < count; i++) {
        queries[i] = (struct cm_query){.table = tables[i], .job = job};
    }
    cm_store_query_all(daemon->store, queries, count, on_row, gathering);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void put_text(struct json_object *object, const char *field, const char *text)
{
    json_object_object_add(object, field, json_object_new_string(text));
}

static void put_number(struct json_object *object, const char *field, int64_t number)
{
    json_object_object_add(object, field, json_object_new_int64(number));
}

static void put_real(struct json_object *object, const char *field, double value)
{
    char text[32];
    snprintf(text, sizeof text, "%.4f", value);
    json_object_object_add(object, field, json_object_new_double_s(value, text));
}

static const struct cm_task_row *task_at(const struct cm_view *view, size_t index)
{
    return view->tasks.rows[index];
}

/* ---- Steps ----------------------------------------------------------------------------------- */

struct tally {
    size_t total, by_state[CM_TASK_CANCELLED + 1];
    double partial; /* sum of how far the running ones are */
};

struct progress_search {
    const char *step;
    double sum;
};

static void on_progress(void *arg, const char *step, const char *item, double done)
{
    (void)item;
    struct progress_search *search = arg;
    search->sum += strcmp(search->step, step) ? 0 : done;
}

static struct tally tally_of(const struct cm_view *view, const char *step)
{
    struct tally tally = {0};
    for (size_t i = 0; i < view->tasks.count; i++) {
        const struct cm_task_row *task = task_at(view, i);
        if (!strcmp(task->step, step) && task->state >= CM_TASK_BLOCKED && task->state <= CM_TASK_CANCELLED) {
            tally.total++;
            tally.by_state[task->state]++;
        }
    }
    struct progress_search search = {step, 0};
    cm_attempts_progress(view->daemon->attempts, view->job->id, on_progress, &search);
    tally.partial =
        search.sum < (double)tally.by_state[CM_TASK_RUNNING] ? search.sum : (double)tally.by_state[CM_TASK_RUNNING];
    return tally;
}

/* The one word for a whole step: what is most worth saying comes first. */
static int state_of(const struct tally *tally)
{
    static const int open_states[] = {CM_TASK_RUNNING, CM_TASK_HELD, CM_TASK_BACKOFF, CM_TASK_READY, CM_TASK_SCHEDULED};
    static const int over_states[] = {CM_TASK_FAILED, CM_TASK_CANCELLED, CM_TASK_SUCCEEDED, CM_TASK_SKIPPED};
    for (size_t i = 0; i < sizeof open_states / sizeof *open_states; i++) {
        if (tally->by_state[open_states[i]]) {
            return open_states[i];
        }
    }
    if (tally->by_state[CM_TASK_BLOCKED] || !tally->total) {
        return CM_TASK_BLOCKED;
    }
    for (size_t i = 0; i < sizeof over_states / sizeof *over_states; i++) {
        if (tally->by_state[over_states[i]]) {
            return over_states[i];
        }
    }
    return CM_TASK_BLOCKED;
}

static double progress_of(const struct tally *tally)
{
    size_t over = tally->by_state[CM_TASK_SUCCEEDED] + tally->by_state[CM_TASK_SKIPPED] +
                  tally->by_state[CM_TASK_FAILED] + tally->by_state[CM_TASK_CANCELLED];
    return tally->total ? ((double)over + tally->partial) / (double)tally->total : 0;
}

/* Who did it last, or does it. */
static const char *by_of(const struct cm_view *view, const struct cm_step *step)
{
    const struct cm_attempt_row *last = NULL;
    for (size_t i = 0; i < view->attempts.count; i++) {
        const struct cm_attempt_row *one = view->attempts.rows[i];
        if (!strcmp(one->step, step->name) && (!last || one->started_ms >= last->started_ms)) {
            last = one;
        }
    }
    return !last ? "" : *last->instance ? last->instance : step->builtin;
}

/* About how long a step takes beside the others; only for the bar. */
static double weight_of(const struct cm_step *step)
{
    switch (step->stage) {
    case CM_STAGE_PREPARE:
        return 8;
    case CM_STAGE_STT:
        return 35;
    case CM_STAGE_RENDER:
        return 45;
    default:
        return 2;
    }
}

static struct json_object *step_summary(const struct cm_view *view, const struct cm_step *step,
                                        const struct tally *tally)
{
    struct json_object *object = json_object_new_object();
    put_text(object, "step", step->name);
    put_text(object, "state", cm_task_state_name(state_of(tally)));
    put_number(object, "total", (int64_t)tally->total);
    put_number(object, "done", (int64_t)(tally->by_state[CM_TASK_SUCCEEDED] + tally->by_state[CM_TASK_SKIPPED]));
    put_number(object, "failed", (int64_t)tally->by_state[CM_TASK_FAILED]);
    put_number(object, "running", (int64_t)tally->by_state[CM_TASK_RUNNING]);
    put_real(object, "progress", progress_of(tally));
    put_text(object, "by", by_of(view, step));
    return object;
}

static struct json_object *step_summaries(const struct cm_view *view, double *progress)
{
    struct json_object *steps = json_object_new_array();
    double done = 0, whole = 0;
    for (size_t i = 0; view->pipeline && i < view->pipeline->step_count; i++) {
        const struct cm_step *step = &view->pipeline->steps[i];
        struct tally tally = tally_of(view, step->name);
        json_object_array_add(steps, step_summary(view, step, &tally));
        whole += weight_of(step);
        done += weight_of(step) * progress_of(&tally);
    }
    *progress = whole > 0 ? done / whole : 0;
    return steps;
}

/* ---- The summary ----------------------------------------------------------------------------- */

static const struct cm_task_row *held_task(const struct cm_view *view)
{
    for (size_t i = 0; i < view->tasks.count; i++) {
        if (task_at(view, i)->state == CM_TASK_HELD) {
            return task_at(view, i);
        }
    }
    return NULL;
}

/* Why it failed, or why it waits. */
static void put_reason(struct json_object *object, const struct cm_view *view)
{
    int over = cm_job_is_over(view->job->state);
    const struct cm_task_row *held = over ? NULL : held_task(view);
    char *pause = over || held ? NULL : cm_daemon_pause_words(view->daemon);
    json_object_object_add(object, "held", json_object_new_boolean(held || pause));
    if (held) {
        put_text(object, "reason", cm_hold_name(held->held_by));
        json_object_object_add(object, "consent", json_object_new_boolean(!strcmp(held->reason, "consent")));
        put_text(object, "words", held->words);
    } else {
        put_text(object, "reason", pause ? cm_hold_name(CM_HELD_RESOURCE) : view->job->reason);
        put_text(object, "words", pause ? pause : view->job->words);
    }
    free(pause);
}

/* When the first post that waits for its time is due; 0: none does, or there is other work yet. */
static int64_t publish_at(const struct cm_view *view)
{
    int64_t first_ms = 0;
    for (size_t i = 0; i < view->tasks.count; i++) {
        const struct cm_task_row *task = task_at(view, i);
        if (task->state == CM_TASK_RUNNING || task->state == CM_TASK_READY) {
            return 0; /* that is what it does now */
        }
        if (task->state == CM_TASK_SCHEDULED && (!first_ms || task->due_ms < first_ms)) {
            first_ms = task->due_ms;
        }
    }
    return first_ms;
}

struct json_object *cm_view_summary(const struct cm_view *view)
{
    const struct cm_job_row *job = view->job;
    struct json_object *object = json_object_new_object();
    double progress = 0;
    struct json_object *steps = step_summaries(view, &progress);
    int done = job->state == CM_JOB_SUCCEEDED || job->state == CM_JOB_PARTIAL;
    put_text(object, "id", job->id);
    put_text(object, "state", cm_job_state_name(job->state));
    put_text(object, "source", job->source);
    put_text(object, "owner", job->owner);
    put_number(object, "priority", job->priority);
    put_number(object, "created_ms", job->created_ms);
    put_number(object, "finished_ms", job->finished_ms);
    put_reason(object, view);
    put_number(object, "publish_at_ms", publish_at(view));
    put_real(object, "progress", done ? 1 : progress);
    json_object_object_add(object, "steps", steps);
    return object;
}

/* ---- Everything ------------------------------------------------------------------------------ */

static struct json_object *row_array(const struct cm_view *view, enum cm_table table, const struct cm_view_rows *rows)
{
    struct json_object *array = json_object_new_array();
    for (size_t i = 0; i < rows->count; i++) {
        json_object_array_add(array, cm_row_json(table, rows->rows[i], view->daemon->state));
    }
    return array;
}

static struct json_object *costs_of(const struct cm_view *view)
{
    struct cm_costs *costs = cm_costs_new(CM_COSTS_BY_INSTANCE, 0);
    for (size_t i = 0; i < view->calls.count; i++) {
        cm_costs_add(costs, view->calls.rows[i]);
    }
    struct json_object *object = cm_costs_json(costs);
    cm_costs_free(costs);
    return object;
}

struct json_object *cm_view_show(const struct cm_view *view)
{
    struct json_object *object = json_object_new_object();
    struct json_object *summary = cm_view_summary(view);
    struct json_object *params = cm_json_parse(view->job->params, strlen(view->job->params), NULL);
    json_object_object_add(summary, "params", params ? params : json_object_new_object());
    json_object_object_add(object, "job", summary);
    json_object_object_add(object, "tasks", row_array(view, CM_TABLE_TASK, &view->tasks));
    json_object_object_add(object, "attempts", row_array(view, CM_TABLE_ATTEMPT, &view->attempts));
    json_object_object_add(object, "artifacts", row_array(view, CM_TABLE_ARTIFACT, &view->artifacts));
    json_object_object_add(object, "effects", row_array(view, CM_TABLE_EFFECT, &view->effects));
    json_object_object_add(object, "calls", row_array(view, CM_TABLE_LLM_CALL, &view->calls));
    json_object_object_add(object, "costs", costs_of(view));
    return object;
}
