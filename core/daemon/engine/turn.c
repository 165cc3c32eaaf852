/*
 * Turns: one event's changes, as one guarded change set with the actions that wait for it.
 */
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/text.h"
#include "core/daemon/engine/state.h"

void cm_turn_begin(struct cm_turn *turn, struct cm_engine *engine, struct cm_job *job, struct cm_now now)
{
    *turn = (struct cm_turn){.engine = engine, .job = job, .now = now};
    turn->set = cm_change_set_new(++engine->set_serial);
}

void cm_turn_guard_task(struct cm_turn *turn, const struct cm_task *task)
{
    cm_change_guard(turn->set, CM_GUARD_TASK, task->row->job, task->row->step, task->row->item, task->stored_state,
                    task->row->fence);
    cm_change_claimed(turn->set, task->row->job, turn->engine->boot);
}

void cm_turn_guard_job(struct cm_turn *turn)
{
    cm_change_guard(turn->set, CM_GUARD_JOB, turn->job->row->id, "", "", turn->job->stored_state, 0);
    cm_change_claimed(turn->set, turn->job->row->id, turn->engine->boot);
}

void cm_turn_touch(struct cm_turn *turn, struct cm_task *task)
{
    if (!task->dirty) {
        task->dirty = 1;
        turn->dirty = cm_grow(turn->dirty, &turn->dirty_room, turn->dirty_count, sizeof(struct cm_task *));
        turn->dirty[turn->dirty_count++] = task;
    }
}

void cm_turn_touch_job(struct cm_turn *turn)
{
    turn->job->dirty = 1;
}

/* ---- Actions --------------------------------------------------------------------------------- */

struct cm_action *cm_action_new(enum cm_action_kind kind, const char *job)
{
    struct cm_action *action = cm_alloc(sizeof *action);
    action->kind = kind;
    action->job = cm_strdup(job);
    action->step = cm_strdup("");
    action->item = cm_strdup("");
    action->text = cm_strdup("");
    return action;
}

static void free_start(struct cm_start *start)
{
    if (!start) {
        return;
    }
    char *texts[] = {start->job, start->step,       start->item,    start->instance, start->builtin,
                     start->op,  start->folder,     start->params,  start->source,   start->language,
                     start->ask, start->effect_key, start->post_id, start->owner};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        free(texts[i]);
    }
    for (size_t i = 0; i < start->input_count; i++) {
        cm_row_free(CM_TABLE_ARTIFACT, start->inputs[i]);
    }
    free(start->inputs);
    free(start);
}

void cm_action_free(struct cm_action *action)
{
    if (!action) {
        return;
    }
    free_start(action->start);
    free(action->job);
    free(action->step);
    free(action->item);
    free(action->text);
    free(action);
}

struct cm_action *cm_turn_action(struct cm_turn *turn, enum cm_action_kind kind, const struct cm_task *task)
{
    struct cm_action *action = cm_action_new(kind, turn->job->row->id);
    if (task) {
        cm_row_text(&action->step, task->row->step);
        cm_row_text(&action->item, task->row->item);
        action->fence = task->row->fence;
    }
    turn->actions = cm_grow(turn->actions, &turn->action_room, turn->action_count, sizeof(struct cm_action *));
    turn->actions[turn->action_count++] = action;
    return action;
}

void cm_engine_push_action(struct cm_engine *engine, struct cm_action *action)
{
    if (engine->action_first > 0 && engine->action_count == engine->action_room) {
        memmove(engine->actions, engine->actions + engine->action_first,
                (engine->action_count - engine->action_first) * sizeof *engine->actions);
        engine->action_count -= engine->action_first;
        engine->action_first = 0;
    }
    engine->actions = cm_grow(engine->actions, &engine->action_room, engine->action_count, sizeof(struct cm_action *));
    engine->actions[engine->action_count++] = action;
}

struct cm_action *cm_engine_take_action(struct cm_engine *engine)
{
    if (engine->action_first == engine->action_count) {
        engine->action_first = engine->action_count = 0;
        return NULL;
    }
    return engine->actions[engine->action_first++];
}

/* ---- The end of a turn ----------------------------------------------------------------------- */

static void put_changes(struct cm_turn *turn)
{
    struct cm_job *job = turn->job;
    if (job->dirty) {
        job->dirty = 0;
        job->stored_state = job->row->state;
        cm_change_put(turn->set, CM_TABLE_JOB, job->row);
    }
    for (size_t i = 0; i < turn->dirty_count; i++) {
        struct cm_task *task = turn->dirty[i];
        task->dirty = 0;
        task->stored_state = task->row->state;
        cm_change_put(turn->set, CM_TABLE_TASK, task->row);
    }
    free(turn->dirty);
    turn->dirty = NULL;
}

static void queue_set(struct cm_turn *turn)
{
    struct cm_engine *engine = turn->engine;
    struct cm_pending *pending = cm_alloc(sizeof *pending);
    cm_turn_action(turn, CM_ACTION_JOB_CHANGED, NULL);
    pending->id = turn->set->id;
    pending->set = turn->set;
    pending->job = cm_strdup(turn->job->row->id);
    pending->generation = turn->job->generation;
    pending->actions = turn->actions;
    pending->action_count = turn->action_count;
    turn->job->in_flight++;
    engine->pending =
        cm_grow(engine->pending, &engine->pending_room, engine->pending_count, sizeof(struct cm_pending *));
    engine->pending[engine->pending_count++] = pending;
}

void cm_turn_end(struct cm_turn *turn)
{
    cm_graph_prune(turn);
    cm_job_end_if_over(turn);
    put_changes(turn);
    if (!turn->set->count && !turn->action_count) {
        cm_change_set_free(turn->set);
        free(turn->actions);
        return;
    }
    queue_set(turn);
}

size_t cm_engine_take_sets(struct cm_engine *engine, struct cm_change_set **sets, size_t room)
{
    size_t count = 0;
    for (size_t i = 0; i < engine->pending_count && count < room; i++) {
        if (engine->pending[i]->set) {
            sets[count++] = engine->pending[i]->set;
            engine->pending[i]->set = NULL;
        }
    }
    return count;
}

/* ---- The store's word ------------------------------------------------------------------------ */

static void free_pending(struct cm_pending *pending)
{
    for (size_t i = 0; i < pending->action_count; i++) {
        cm_action_free(pending->actions[i]);
    }
    cm_change_set_free(pending->set);
    free(pending->actions);
    free(pending->job);
    free(pending);
}

/* What was asked for is answered even when the set came to nothing. */
static void refuse_actions(struct cm_engine *engine, struct cm_pending *pending)
{
    for (size_t i = 0; i < pending->action_count; i++) {
        struct cm_action *action = pending->actions[i];
        if (action->kind == CM_ACTION_ANSWER || action->kind == CM_ACTION_SUBMITTED) {
            if (action->kind == CM_ACTION_SUBMITTED) {
                cm_row_text(&action->text, CM_SUBMIT_EXISTS);
            }
            action->ok = 0;
            cm_engine_push_action(engine, action);
        } else if (action->kind == CM_ACTION_KILL) {
            cm_engine_push_action(engine, action);
        } else {
            cm_action_free(action);
        }
    }
    pending->action_count = 0;
}

static void note_start(struct cm_engine *engine, struct cm_now now, const struct cm_job *job,
                       const struct cm_action *action)
{
    struct cm_task *task = cm_job_task(job, action->step, action->item);
    if (task && task->row->fence == action->fence) {
        cm_sched_released(engine->sched, &task->entry, now.boot_ms);
    }
}

static void release_actions(struct cm_engine *engine, struct cm_now now, struct cm_pending *pending,
                            const struct cm_job *job)
{
    int stale = !job;
    for (size_t i = 0; i < pending->action_count; i++) {
        struct cm_action *action = pending->actions[i];
        if (stale && action->kind == CM_ACTION_START) {
            cm_action_free(action); /* the job is being loaded again, and will find it running */
            continue;
        }
        if (stale && action->kind == CM_ACTION_ANSWER) {
            action->ok = 0;
        }
        if (!stale && action->kind == CM_ACTION_START) {
            note_start(engine, now, job, action);
        }
        cm_engine_push_action(engine, action);
    }
    pending->action_count = 0;
}

static void remove_pending(struct cm_engine *engine, size_t index)
{
    memmove(engine->pending + index, engine->pending + index + 1,
            (engine->pending_count - index - 1) * sizeof *engine->pending);
    engine->pending_count--;
}

/* Sets of that job which the store has not seen never will. */
static void drop_untaken(struct cm_engine *engine, uint64_t generation)
{
    size_t kept = 0;
    for (size_t i = 0; i < engine->pending_count; i++) {
        struct cm_pending *pending = engine->pending[i];
        if (pending->set && pending->generation == generation) {
            refuse_actions(engine, pending);
            free_pending(pending);
        } else {
            engine->pending[kept++] = pending;
        }
    }
    engine->pending_count = kept;
}

void cm_engine_forget(struct cm_engine *engine, struct cm_now now, struct cm_job *job, int reload)
{
    drop_untaken(engine, job->generation);
    for (size_t i = 0; i < job->tasks.room; i++) {
        struct cm_task *task = job->tasks.entries[i].value;
        if (task && task->entry.running) {
            struct cm_action *action = cm_action_new(CM_ACTION_KILL, job->row->id);
            cm_row_text(&action->step, task->row->step);
            cm_row_text(&action->item, task->row->item);
            cm_row_text(&action->text, _("another daemon has this job now"));
            action->fence = task->row->fence;
            cm_engine_push_action(engine, action);
            cm_sched_ended(engine->sched, &task->entry, now.boot_ms, &(struct cm_run_end){.how = CM_RUN_NEUTRAL});
        }
    }
    if (reload) {
        cm_engine_push_action(engine, cm_action_new(CM_ACTION_RELOAD, job->row->id));
    }
    cm_job_free(engine, job);
}

/* What was decided and not yet done: a start, or a worker's leave to go on. */
static void revoke_actions(struct cm_engine *engine)
{
    size_t kept = engine->action_first;
    for (size_t i = engine->action_first; i < engine->action_count; i++) {
        struct cm_action *action = engine->actions[i];
        if (action->kind == CM_ACTION_START || action->kind == CM_ACTION_AWAIT_GONE ||
            action->kind == CM_ACTION_RELOAD || action->kind == CM_ACTION_DROP_FOLDER) {
            cm_action_free(action);
            continue;
        }
        action->ok = action->kind == CM_ACTION_ANSWER ? 0 : action->ok;
        engine->actions[kept++] = action;
    }
    engine->action_count = kept;
}

void cm_engine_forget_job(struct cm_engine *engine, struct cm_now now, const char *id)
{
    struct cm_job *job = cm_index_get(&engine->jobs, id);
    if (job) {
        cm_engine_forget(engine, now, job, 0);
    }
}

void cm_engine_fence(struct cm_engine *engine, struct cm_now now, const char *boot)
{
    revoke_actions(engine);
    for (size_t i = 0; i < engine->jobs.room;) {
        struct cm_job *job = engine->jobs.entries[i].value;
        if (job) {
            cm_engine_forget(engine, now, job, 0); /* another may move here */
        } else {
            i++;
        }
    }
    engine->visitors = 0;
    free(engine->boot);
    engine->boot = cm_strdup(boot);
}

static void finish_pending(struct cm_engine *engine, struct cm_now now, struct cm_pending *pending, enum cm_applied how)
{
    struct cm_job *job = cm_index_get(&engine->jobs, pending->job);
    int stale = !job || job->generation != pending->generation;
    if (how == CM_APPLIED) {
        release_actions(engine, now, pending, stale ? NULL : job);
        if (!stale && --job->in_flight == 0 && cm_job_is_over(job->row->state) && !job->loading) {
            cm_job_free(engine, job);
        }
        return;
    }
    refuse_actions(engine, pending);
    /* A refused submit is looked up, too: the same id may be here already, taken over from another daemon. */
    if (!stale) {
        cm_engine_forget(engine, now, job, 1);
    }
}

void cm_engine_applied(struct cm_engine *engine, struct cm_now now, uint64_t set_id, enum cm_applied how)
{
    size_t index = 0;
    if (how == CM_APPLIED_UNAVAILABLE) {
        engine->stalled = 1;
        return;
    }
    engine->stalled = 0;
    while (index < engine->pending_count && engine->pending[index]->id != set_id) {
        index++;
    }
    if (index == engine->pending_count) {
        return;
    }
    struct cm_pending *pending = engine->pending[index];
    remove_pending(engine, index);
    finish_pending(engine, now, pending, how);
    free_pending(pending);
}
