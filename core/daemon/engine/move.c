/*
 * A task's moves from state to state: in memory, in the queues, and in the turn's change set.
 */
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/text.h"
#include "core/daemon/engine/state.h"

void cm_task_move(struct cm_turn *turn, struct cm_task *task, int64_t state)
{
    struct cm_task_row *row = task->row;
    cm_assert(cm_task_may_move(row->state, state));
    cm_assert(!task->entry.running || state == CM_TASK_RUNNING);
    if (state != CM_TASK_RUNNING) {
        cm_sched_remove(turn->engine->sched, &task->entry);
        cm_row_text(&row->boot, "");
        task->awaiting_gone = 0;
    }
    cm_heap_remove(&turn->engine->due, &task->due);
    if (state != CM_TASK_HELD) {
        row->held_by = 0;
    }
    if (state != CM_TASK_BACKOFF && state != CM_TASK_SCHEDULED) {
        row->due_ms = 0;
    }
    row->state = state;
    cm_turn_touch(turn, task);
}

void cm_task_wait_until(struct cm_turn *turn, struct cm_task *task, int64_t state, int64_t due_ms)
{
    cm_task_move(turn, task, state);
    task->row->due_ms = due_ms;
    task->due.key = due_ms;
    task->due.tie = (int64_t)++turn->engine->due_serial;
    cm_heap_add(&turn->engine->due, &task->due);
}

void cm_task_hold(struct cm_turn *turn, struct cm_task *task, int held_by, const char *reason, const char *words)
{
    cm_task_move(turn, task, CM_TASK_HELD);
    task->row->held_by = held_by;
    cm_row_text(&task->row->reason, reason);
    cm_row_text(&task->row->words, words);
}

static double job_done(const struct cm_task *task)
{
    return (double)task->step / (double)task->job->pipeline->step_count;
}

void cm_task_queue(struct cm_engine *engine, struct cm_now now, struct cm_task *task, int64_t link)
{
    const char *name = cm_task_chain_name(engine, task, (size_t)link);
    struct cm_queue *queue = cm_sched_queue(engine->sched, name);
    if (link != *cm_task_link(task)) {
        *cm_task_link(task) = link;
        task->row->tries = 0;
        task->link_crashes = 0;
    }
    if (!task->row->ready_ms) {
        task->row->ready_ms = now.utc_ms;
    }
    cm_sched_add(engine->sched, queue, &task->entry, task->job->row->owner,
                 cm_sched_key(task->row->ready_ms, task->job->row->priority, job_done(task)));
}

int cm_task_enqueue(struct cm_engine *engine, struct cm_now now, struct cm_task *task)
{
    int hold;
    int64_t link = cm_task_choose_link(engine, now, task, *cm_task_link(task), &hold, NULL, NULL);
    if (link < 0 || (cm_task_is_fitting(task) && !cm_fit_is_needed(engine, task))) {
        return -1; /* as the configuration is now */
    }
    cm_heap_remove(&engine->due, &task->due);
    task->row->state = CM_TASK_READY;
    task->row->due_ms = 0;
    cm_task_queue(engine, now, task, link);
    return 0;
}
