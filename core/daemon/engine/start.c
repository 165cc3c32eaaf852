/*
 * Claims: a ready task becomes a running attempt.
 */
#include <clipmaker/plugin.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/text.h"
#include "core/daemon/engine/state.h"

#define EFFECT_KEY_BYTES 40

/* What is published is the clip that was made to fit, if there is one. */
static void replace_clip(struct cm_start *start, const struct cm_task *task)
{
    const struct cm_artifact_row *own = cm_task_is_publish(task) ? cm_fit_own_clip(task) : NULL;
    for (size_t i = 0; own && i < start->input_count; i++) {
        if (!strcmp(start->inputs[i]->role, "clip")) {
            cm_row_free(CM_TABLE_ARTIFACT, start->inputs[i]);
            start->inputs[i] = cm_row_pack(CM_TABLE_ARTIFACT, own);
        }
    }
}

/* ---- The attempt ----------------------------------------------------------------------------- */

static void new_attempt(struct cm_turn *turn, struct cm_task *task, const char *instance)
{
    struct cm_attempt_row *attempt = cm_row_new(CM_TABLE_ATTEMPT);
    char *folder = cm_task_folder(task, task->row->fence);
    cm_row_text(&attempt->job, task->row->job);
    cm_row_text(&attempt->step, task->row->step);
    cm_row_text(&attempt->item, task->row->item);
    attempt->fence = task->row->fence;
    cm_row_text(&attempt->instance, instance);
    cm_row_text(&attempt->op, task->row->op);
    cm_row_text(&attempt->boot, turn->engine->boot);
    cm_row_text(&attempt->folder, folder);
    attempt->started_ms = turn->now.utc_ms;
    if (task->row->link > 0) {
        char *skipped = cm_task_skipped(turn->engine, task);
        cm_row_text(&attempt->skipped, skipped);
        free(skipped);
    }
    free(folder);
    if (task->attempt) {
        cm_row_free(CM_TABLE_ATTEMPT, task->attempt);
    }
    task->attempt = attempt;
    cm_change_put(turn->set, CM_TABLE_ATTEMPT, attempt);
}

static char *effect_key(const struct cm_task *task)
{
    char hash[65];
    char *name = cm_format("%s/%s", task->row->job, task->name);
    cm_sha256(name, strlen(name), hash);
    free(name);
    return cm_strndup(hash, EFFECT_KEY_BYTES);
}

/* The ledger says what is about to happen before anything does. What may be out stays so. */
static void intend(struct cm_turn *turn, struct cm_task *task, const char *instance)
{
    if (cm_task_is_ambiguous(task)) {
        return;
    }
    if (!task->effect) {
        char *key = effect_key(task);
        task->effect = cm_row_new(CM_TABLE_EFFECT);
        cm_row_text(&task->effect->key, key);
        cm_row_text(&task->effect->job, task->row->job);
        cm_row_text(&task->effect->step, task->row->step);
        cm_row_text(&task->effect->item, task->row->item);
        cm_index_put(&turn->engine->effects, task->effect->key, task);
        free(key);
    }
    task->effect->state = CM_EFFECT_INTENT;
    task->effect->fence = task->row->fence;
    task->effect->absent = 0;
    task->effect->sent_ms = 0;
    cm_row_text(&task->effect->instance, instance);
    cm_change_put(turn->set, CM_TABLE_EFFECT, task->effect);
}

static struct cm_start *new_start(const struct cm_engine *engine, const struct cm_task *task, const char *instance)
{
    const struct cm_step *step = cm_task_step(task);
    struct cm_start *start = cm_alloc(sizeof *start);
    start->job = cm_strdup(task->row->job);
    start->step = cm_strdup(task->row->step);
    start->item = cm_strdup(task->row->item);
    start->fence = task->row->fence;
    start->instance = cm_strdup(instance);
    start->builtin = cm_strdup(step->builtin);
    start->op = cm_strdup(task->row->op);
    start->warn_ms = step->warn_ms;
    start->deadline_ms = step->deadline_ms;
    start->stall_ms = step->stall_ms;
    start->folder = cm_strdup(task->attempt->folder);
    start->params = cm_strdup(task->job->row->params);
    start->source = cm_strdup(task->job->row->source);
    start->language = cm_strdup(task->job->language);
    start->ask = cm_strdup(step->ask);
    const struct cm_effect_row *effect = cm_task_is_fitting(task) ? NULL : task->effect;
    start->effect_key = cm_strdup(effect ? effect->key : "");
    start->post_id = cm_strdup(effect ? effect->post_id : "");
    start->late_ms = task->late_ms;
    start->owner = cm_strdup(task->job->row->owner);
    cm_task_inputs(task, start);
    if (cm_task_is_fitting(task)) {
        cm_fit_times(task, start);
        start->max_bytes = cm_fit_limit(engine, task);
    } else {
        replace_clip(start, task);
    }
    return start;
}

void cm_task_claim(struct cm_engine *engine, struct cm_now now, struct cm_task *task)
{
    struct cm_turn turn;
    const char *instance = cm_task_chain_name(engine, task, (size_t)*cm_task_link(task));
    cm_turn_begin(&turn, engine, task->job, now);
    cm_turn_guard_task(&turn, task);
    cm_task_move(&turn, task, CM_TASK_RUNNING);
    task->row->fence++;
    cm_row_text(&task->row->boot, engine->boot);
    if (!cm_task_is_ambiguous(task) && !cm_task_is_fitting(task)) {
        cm_row_text(&task->row->op, cm_task_plain_op(task));
    }
    if (cm_task_is_publish(task) && !cm_task_is_fitting(task)) {
        intend(&turn, task, instance);
    }
    if (task->job->row->state == CM_JOB_QUEUED) {
        task->job->row->state = CM_JOB_RUNNING;
        cm_turn_touch_job(&turn);
    }
    new_attempt(&turn, task, instance);
    cm_turn_action(&turn, CM_ACTION_START, task)->start = new_start(engine, task, instance);
    task->late_ms = 0;
    cm_turn_end(&turn);
}
