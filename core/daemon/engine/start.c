/*
 * Claims: a ready task becomes a running attempt, with all that the attempt may read.
 */
#include <clipmaker/plugin.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/text.h"
#include "core/daemon/engine/state.h"

#define EFFECT_KEY_BYTES 40

const char *cm_task_plain_op(const struct cm_task *task)
{
    static const char *const ops[] = {
        [CM_STAGE_SOURCE] = "fetch", [CM_STAGE_PREPARE] = "prepare", [CM_STAGE_STT] = "transcribe",
        [CM_STAGE_LLM] = "answer",   [CM_STAGE_RENDER] = "render",   [CM_STAGE_PUBLISH] = "publish",
    };
    const struct cm_step *step = cm_task_step(task);
    return step->stage ? ops[step->stage] : step->builtin;
}

/* ---- Inputs ---------------------------------------------------------------------------------- */

/* The place in `to` of each dimension of `from`; -1 where it has none. */
static void match_places(const struct cm_step *from, const struct cm_step *to, int *places)
{
    for (size_t i = 0; i < from->each_count; i++) {
        places[i] = -1;
        for (size_t k = 0; k < to->each_count; k++) {
            if (!strcmp(from->each[i], to->each[k])) {
                places[i] = (int)k;
            }
        }
    }
}

/* They agree on every dimension that both have. */
static int agree(const struct cm_task *earlier, const struct cm_task *task, const int *places)
{
    for (size_t i = 0; i < cm_task_step(earlier)->each_count; i++) {
        if (places[i] >= 0 && strcmp(earlier->keys[i], task->keys[places[i]])) {
            return 0;
        }
    }
    return 1;
}

/* An artifact made for one key of a dimension is seen by that key's tasks only. */
static int may_see(const struct cm_task *task, const struct cm_step *maker, const struct cm_artifact_row *artifact)
{
    const struct cm_step *step = cm_task_step(task);
    for (size_t i = 0; *artifact->key && i < step->each_count; i++) {
        if (!strcmp(step->each[i], maker->makes) || !strcmp(step->each[i], artifact->role)) {
            return !strcmp(artifact->key, task->keys[i]);
        }
    }
    return 1;
}

static void add_inputs_of(struct cm_start *start, size_t *room, const struct cm_task *task,
                          const struct cm_task *earlier)
{
    for (size_t i = 0; i < earlier->artifact_count; i++) {
        if (may_see(task, cm_task_step(earlier), earlier->artifacts[i])) {
            start->inputs = cm_grow(start->inputs, room, start->input_count, sizeof(struct cm_artifact_row *));
            start->inputs[start->input_count++] = cm_row_pack(CM_TABLE_ARTIFACT, earlier->artifacts[i]);
        }
    }
}

/* The one task of an earlier step whose dimensions are all ours too. */
static const struct cm_task *find_by_keys(const struct cm_task *task, const struct cm_step *from, const int *places)
{
    struct cm_text item = {0};
    for (size_t i = 0; i < from->each_count; i++) {
        cm_text_add(&item, i ? "/" : "");
        cm_text_add(&item, task->keys[places[i]]);
    }
    char *text = cm_text_take(&item);
    const struct cm_task *found = cm_job_task(task->job, from->name, text);
    free(text);
    return found;
}

static void add_inputs_from(struct cm_start *start, size_t *room, const struct cm_task *task, size_t index)
{
    const struct cm_step *from = &task->job->pipeline->steps[index];
    const struct cm_step_state *state = &task->job->steps[index];
    int places[CM_MAX_DIMENSIONS] = {0}, all_ours = 1;
    match_places(from, cm_task_step(task), places);
    for (size_t i = 0; i < from->each_count; i++) {
        all_ours &= places[i] >= 0;
    }
    if (all_ours) {
        const struct cm_task *earlier = find_by_keys(task, from, places);
        if (earlier) {
            add_inputs_of(start, room, task, earlier);
        }
        return;
    }
    for (size_t i = 0; i < state->total; i++) {
        if (agree(state->tasks[i], task, places)) {
            add_inputs_of(start, room, task, state->tasks[i]);
        }
    }
}

static void add_all_inputs(struct cm_start *start, size_t *room, const struct cm_task *task)
{
    for (size_t i = 0; i < task->step; i++) {
        if (task->job->steps[task->step].before[i]) {
            add_inputs_from(start, room, task, i);
        }
    }
}

struct cm_artifact_row *cm_task_given_clip(const struct cm_task *task)
{
    struct cm_start start = {0};
    struct cm_artifact_row *clip = NULL;
    size_t room = 0;
    add_all_inputs(&start, &room, task);
    for (size_t i = 0; i < start.input_count; i++) {
        if (!clip && !strcmp(start.inputs[i]->role, "clip")) {
            clip = start.inputs[i];
        } else {
            cm_row_free(CM_TABLE_ARTIFACT, start.inputs[i]);
        }
    }
    free(start.inputs);
    return clip;
}

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
    size_t room = 0;
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
    add_all_inputs(start, &room, task);
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
