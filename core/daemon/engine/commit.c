/*
 * From the end of a turn to the store's word on it.
 */
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/text.h"
#include "core/daemon/engine/state.h"

/* ---- The end of a job ------------------------------------------------------------------------ */

/* The first failure in the order of the pipeline: what to tell the user. */
static const struct cm_task *first_failure(const struct cm_job *job, int *cancelled)
{
    const struct cm_task *found = NULL;
    for (size_t i = 0; i < job->pipeline->step_count; i++) {
        for (size_t k = 0; k < job->steps[i].total; k++) {
            const struct cm_task *task = job->steps[i].tasks[k];
            int failed =
                task->row->state == CM_TASK_FAILED || (task->row->state == CM_TASK_SKIPPED && *task->row->reason);
            *cancelled |= task->row->state == CM_TASK_CANCELLED;
            if (failed && (!found || (found->row->state == CM_TASK_SKIPPED && task->row->state == CM_TASK_FAILED))) {
                found = task;
            }
        }
    }
    return found;
}

static int all_closed(const struct cm_job *job, int *bad)
{
    for (size_t i = 0; i < job->pipeline->step_count; i++) {
        if (!job->steps[i].closed) {
            return 0;
        }
        *bad |= job->steps[i].bad;
    }
    return 1;
}

static void end_job_if_over(struct cm_turn *turn)
{
    struct cm_job *job = turn->job;
    int bad = 0, cancelled = 0;
    if (!job->pipeline || cm_job_is_over(job->row->state) || !all_closed(job, &bad)) {
        return;
    }
    const struct cm_task *failure = first_failure(job, &cancelled);
    job->row->state = job->row->cancel && cancelled ? CM_JOB_CANCELLED
                      : bad                         ? CM_JOB_FAILED
                      : failure                     ? CM_JOB_PARTIAL
                                                    : CM_JOB_SUCCEEDED;
    job->row->finished_ms = turn->now.utc_ms;
    cm_row_text(&job->row->reason, failure ? failure->row->reason : "");
    cm_row_text(&job->row->words, failure ? failure->row->words : "");
    turn->engine->open_jobs--;
    cm_turn_touch_job(turn);
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
    end_job_if_over(turn);
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

void cm_pending_free(struct cm_pending *pending)
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
            cm_pending_free(pending);
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
    cm_pending_free(pending);
}
