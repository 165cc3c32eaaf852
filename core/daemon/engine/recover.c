/*
 * Loading: rows become jobs again, and what an earlier daemon left is taken up.
 */
#include <clipmaker/plugin.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/text.h"
#include "core/daemon/engine/policy.h"
#include "core/daemon/engine/state.h"

/* ---- Rows ------------------------------------------------------------------------------------ */

/* A pipeline of before, or of another version of the program. */
static void load_pipeline(struct cm_engine *engine, const struct cm_pipeline_row *row)
{
    struct cm_pipeline *pipeline = cm_engine_pipeline(engine, row->id) ? NULL : cm_pipeline_parse(row->json, NULL);
    if (pipeline) {
        free(pipeline->id); /* under the id that its jobs know, whatever is canonical today */
        pipeline->id = cm_strdup(row->id);
        cm_engine_keep_pipeline(engine, pipeline);
    }
}

static struct cm_job *loading_job(const struct cm_engine *engine, const char *id)
{
    struct cm_job *job = cm_index_get(&engine->jobs, id);
    return job && job->loading ? job : NULL;
}

static struct cm_task *loading_task(const struct cm_engine *engine, const char *job_id, const char *step,
                                    const char *item)
{
    struct cm_job *job = loading_job(engine, job_id);
    return job && job->claimed ? cm_job_task(job, step, item) : NULL;
}

static void load_job(struct cm_engine *engine, const struct cm_job_row *row)
{
    if (!cm_index_get(&engine->jobs, row->id)) {
        struct cm_job *job = cm_job_new(engine, row);
        job->loading = 1;
        job->stored_state = row->state;
    }
}

static void load_task(struct cm_engine *engine, const struct cm_task_row *row)
{
    struct cm_job *job = loading_job(engine, row->job);
    if (!job || !job->claimed || cm_job_task(job, row->step, row->item)) {
        return;
    }
    struct cm_task *task = cm_task_new(job, row);
    task->stored_state = row->state;
    task->link_crashes = row->crashes < row->tries ? row->crashes : row->tries;
    job->loaded = cm_grow(job->loaded, &job->loaded_room, job->loaded_count, sizeof(struct cm_task *));
    job->loaded[job->loaded_count++] = task;
}

static void load_attempt(struct cm_engine *engine, const struct cm_attempt_row *row)
{
    struct cm_task *task = loading_task(engine, row->job, row->step, row->item);
    if (!task) {
        return;
    }
    if (!*row->verdict) {
        if (row->fence == task->row->fence && !task->attempt) {
            task->attempt = cm_row_copy(CM_TABLE_ATTEMPT, row);
        }
        return;
    }
    task->losses += !strcmp(row->verdict, cm_outcome_name(CM_OUTCOME_LOST));
    if (!strcmp(row->op, "publish") && !strcmp(row->verdict, cm_outcome_name(CM_CANNOT)) &&
        !strcmp(row->reason, cm_reason_name(CM_REASON_TOO_LARGE))) {
        cm_fit_refused(task, row->fence);
    }
    if (strcmp(row->verdict, cm_outcome_name(CM_OK))) {
        /* Its folder may have outlived the daemon that should have dropped it. */
        struct cm_action *action = cm_action_new(CM_ACTION_DROP_FOLDER, row->job);
        cm_row_text(&action->text, row->folder);
        cm_engine_push_action(engine, action);
    }
}

static void load_artifact(struct cm_engine *engine, const struct cm_artifact_row *row)
{
    struct cm_task *task = loading_task(engine, row->job, row->step, row->item);
    if (task) {
        cm_task_add_artifact(task, row);
    }
}

static void load_effect(struct cm_engine *engine, const struct cm_effect_row *row)
{
    struct cm_task *task = loading_task(engine, row->job, row->step, row->item);
    if (task && !task->effect) {
        task->effect = cm_row_copy(CM_TABLE_EFFECT, row);
        cm_index_put(&engine->effects, task->effect->key, task);
    }
}

/* "task JOB/STEP/ITEM" → the keys that it made, separated by spaces. */
static void load_note(struct cm_engine *engine, const struct cm_note_row *row)
{
    if (strcmp(row->name, CM_NOTE_CHILDREN) || !cm_starts_with(row->owner, "task ")) {
        return;
    }
    const char *id = row->owner + strlen("task ");
    const char *slash = strchr(id, '/');
    char *job_id = cm_strndup(id, slash ? (size_t)(slash - id) : 0);
    struct cm_job *job = loading_job(engine, job_id);
    struct cm_task *task = job ? cm_index_get(&job->tasks, slash + 1) : NULL;
    free(job_id);
    if (!task) {
        return;
    }
    char **keys = NULL;
    size_t count = 0, room = 0;
    char *list = cm_strdup(row->value), *rest = NULL;
    for (char *key = strtok_r(list, " ", &rest); key; key = strtok_r(NULL, " ", &rest)) {
        keys = cm_grow(keys, &room, count, sizeof(char *));
        keys[count++] = key;
    }
    cm_task_set_children(task, keys, count);
    free(keys);
    free(list);
}

static void load_claim(struct cm_engine *engine, const struct cm_claim_row *row)
{
    struct cm_job *job = loading_job(engine, row->job);
    if (job) {
        job->claimed = !strcmp(row->boot, engine->boot);
    }
}

void cm_engine_load(struct cm_engine *engine, enum cm_table table, const void *row)
{
    switch (table) {
    case CM_TABLE_PIPELINE:
        load_pipeline(engine, row);
        break;
    case CM_TABLE_JOB:
        load_job(engine, row);
        break;
    case CM_TABLE_TASK:
        load_task(engine, row);
        break;
    case CM_TABLE_ATTEMPT:
        load_attempt(engine, row);
        break;
    case CM_TABLE_ARTIFACT:
        load_artifact(engine, row);
        break;
    case CM_TABLE_EFFECT:
        load_effect(engine, row);
        break;
    case CM_TABLE_NOTE:
        load_note(engine, row);
        break;
    case CM_TABLE_CLAIM:
        load_claim(engine, row);
        break;
    default:
        break;
    }
}

/* ---- Taking up ------------------------------------------------------------------------------- */

/* Each task to its step; 0, or -1 when the rows do not fit the pipeline. */
static int place_tasks(struct cm_job *job)
{
    for (size_t i = 0; i < job->loaded_count; i++) {
        struct cm_task *task = job->loaded[i];
        const struct cm_step *step = cm_pipeline_step(job->pipeline, task->row->step);
        task->step = step ? (size_t)(step - job->pipeline->steps) : 0;
        if (!step || cm_task_split_item(task)) {
            return -1;
        }
    }
    for (size_t i = 0; i < job->loaded_count; i++) {
        struct cm_step_state *state = &job->steps[job->loaded[i]->step];
        state->tasks = cm_grow(state->tasks, &state->room, state->total, sizeof(struct cm_task *));
        state->tasks[state->total++] = job->loaded[i];
    }
    return 0;
}

static void await_gone(struct cm_engine *engine, struct cm_task *task);

/* Nobody will hear how it ended; and what it may have sent, only a person can look for. */
static void close_attempt(struct cm_turn *turn, struct cm_task *task)
{
    if (task->row->state == CM_TASK_RUNNING) {
        await_gone(turn->engine, task);
        task->attempt->ended_ms = turn->now.utc_ms;
        cm_row_text(&task->attempt->verdict, cm_outcome_name(CM_OUTCOME_LOST));
        cm_change_put(turn->set, CM_TABLE_ATTEMPT, task->attempt);
    }
    if (task->effect && task->effect->state == CM_EFFECT_SENDING) {
        task->effect->state = CM_EFFECT_UNCONFIRMED;
        cm_change_put(turn->set, CM_TABLE_EFFECT, task->effect);
    }
}

/* Its rows make no sense to this version: fail it with words rather than guess. */
static void give_up(struct cm_engine *engine, struct cm_now now, struct cm_job *job)
{
    struct cm_turn turn;
    cm_turn_begin(&turn, engine, job, now);
    cm_turn_guard_job(&turn);
    for (size_t i = 0; i < job->loaded_count; i++) {
        struct cm_task *task = job->loaded[i];
        if (!cm_task_is_over(task->row->state)) {
            close_attempt(&turn, task);
            task->row->state = CM_TASK_FAILED;
            cm_row_text(&task->row->boot, "");
            task->row->held_by = 0;
            task->row->due_ms = 0;
            cm_turn_touch(&turn, task);
        }
    }
    job->row->state = CM_JOB_FAILED;
    job->row->finished_ms = now.utc_ms;
    engine->open_jobs--;
    cm_row_text(&job->row->reason, cm_reason_name(CM_REASON_INTERNAL));
    cm_row_text(&job->row->words, _("this version cannot read the pipeline that the job began with: submit it again"));
    cm_turn_touch_job(&turn);
    cm_turn_end(&turn);
}

static void await_gone(struct cm_engine *engine, struct cm_task *task)
{
    struct cm_action *action = cm_action_new(CM_ACTION_AWAIT_GONE, task->row->job);
    char *folder = cm_task_folder(task, task->row->fence);
    if (!task->attempt) {
        task->attempt = cm_row_new(CM_TABLE_ATTEMPT);
        cm_row_text(&task->attempt->job, task->row->job);
        cm_row_text(&task->attempt->step, task->row->step);
        cm_row_text(&task->attempt->item, task->row->item);
        task->attempt->fence = task->row->fence;
        cm_row_text(&task->attempt->folder, folder);
    }
    task->awaiting_gone = 1;
    cm_row_text(&action->step, task->row->step);
    cm_row_text(&action->item, task->row->item);
    cm_row_text(&action->text, folder);
    action->fence = task->row->fence;
    cm_engine_push_action(engine, action);
    free(folder);
}

/* A due time from a broken clock or a later config must not keep a task for ever. */
static int64_t clamp_due(const struct cm_task *task, struct cm_now now)
{
    int64_t latest = now.utc_ms + CM_POLICY_DELAY_MAX_MS;
    return task->row->state == CM_TASK_BACKOFF && task->row->due_ms > latest ? latest : task->row->due_ms;
}

static void take_up(struct cm_turn *turn, struct cm_task *task)
{
    struct cm_engine *engine = turn->engine;
    switch (task->row->state) {
    case CM_TASK_RUNNING:
        await_gone(engine, task);
        break;
    case CM_TASK_READY:
        if (!task->entry.queue && cm_task_enqueue(engine, turn->now, task)) {
            cm_task_ready(turn, task);
        }
        break;
    case CM_TASK_BACKOFF:
    case CM_TASK_SCHEDULED:
        if (!task->due.place) {
            task->due.key = clamp_due(task, turn->now);
            task->due.tie = (int64_t)++engine->due_serial;
            cm_heap_add(&engine->due, &task->due);
        }
        break;
    default:
        break;
    }
}

/* Without steps nothing else looks into the job. */
static void forget_steps(struct cm_job *job)
{
    for (size_t i = 0; i < job->loaded_count; i++) {
        job->loaded[i]->step = 0;
    }
    cm_job_unbuild(job);
}

static void recover_job(struct cm_engine *engine, struct cm_now now, struct cm_job *job)
{
    struct cm_turn turn;
    const struct cm_pipeline *pipeline = cm_engine_pipeline(engine, job->row->pipeline);
    job->loading = 0;
    free(cm_job_read_params(job));
    if (pipeline) {
        cm_job_build(job, pipeline);
    }
    if (!pipeline || place_tasks(job)) {
        forget_steps(job);
        job->failing = 0;
        engine->visitors += cm_job_is_over(job->row->state);
        if (!cm_job_is_over(job->row->state)) {
            give_up(engine, now, job);
        }
        return;
    }
    int unfinished = 0;
    for (size_t i = 0; i < job->loaded_count; i++) {
        unfinished |= !cm_task_is_over(job->loaded[i]->row->state);
    }
    if (cm_job_is_over(job->row->state) && !unfinished) {
        engine->visitors++;
        return;
    }
    cm_turn_begin(&turn, engine, job, now);
    cm_turn_guard_job(&turn);
    if (cm_job_is_over(job->row->state)) {
        job->row->state = CM_JOB_RUNNING; /* it was ended by somebody who knew less */
        job->row->finished_ms = 0;
        engine->open_jobs++;
        cm_turn_touch_job(&turn);
    }
    cm_graph_rebuild(&turn);
    for (size_t i = 0; i < job->loaded_count; i++) {
        take_up(&turn, job->loaded[i]);
    }
    cm_turn_end(&turn);
}

void cm_engine_recover(struct cm_engine *engine, struct cm_now now)
{
    for (size_t i = 0; i < engine->jobs.room;) {
        struct cm_job *job = engine->jobs.entries[i].value;
        if (job && job->loading && !job->claimed) {
            cm_job_free(engine, job); /* another may move here */
            continue;
        }
        if (job && job->loading) {
            recover_job(engine, now, job);
        }
        i++;
    }
}
