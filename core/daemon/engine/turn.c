/*
 * Turns: one event's changes, gathered for one guarded change set, and the actions that wait for it.
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
