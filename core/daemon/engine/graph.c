/*
 * The graph of a job's tasks: what the end of one starts, or makes pointless, for the others. Joins are counted, so
 * that the end of a task costs the same however many siblings it has, and a join fires once.
 */
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/text.h"
#include "core/daemon/engine/state.h"

static void check_group(struct cm_turn *turn, const struct cm_edge *edge, struct cm_group *group);

size_t cm_need_required(const struct cm_need *need, size_t total)
{
    switch (need->kind) {
    case CM_NEED_ANY:
        return total ? 1 : 0;
    case CM_NEED_COUNT:
        return (size_t)need->number < total ? (size_t)need->number : total;
    case CM_NEED_PERCENT:
        return (total * (size_t)need->number + 99) / 100;
    case CM_NEED_ALL:
        break;
    }
    return total;
}

static const struct cm_step *step_at(const struct cm_job *job, size_t index)
{
    return &job->pipeline->steps[index];
}

static int is_good(const struct cm_task *task)
{
    return task->row->state == CM_TASK_SUCCEEDED ||
           (task->row->state == CM_TASK_SKIPPED && cm_task_step(task)->optional);
}

/* It did not fail by itself: something that it needed did. "Optional" does not cover that. */
static int is_abandoned(const struct cm_task *task)
{
    return task->row->state == CM_TASK_SKIPPED && !*task->row->reason;
}

/* ---- Groups ---------------------------------------------------------------------------------- */

static struct cm_group *group_of(struct cm_edge *edge, const struct cm_task *task, const size_t *places)
{
    struct cm_text key = {0};
    for (size_t i = 0; i < edge->shared_count; i++) {
        cm_text_addf(&key, "%s/", task->keys[places[i]]);
    }
    char *text = cm_text_take(&key);
    struct cm_group *group = cm_index_get(&edge->groups, text);
    if (group) {
        free(text);
        return group;
    }
    group = cm_alloc(sizeof *group);
    group->key = text;
    cm_index_put(&edge->groups, group->key, group);
    return group;
}

static void depend(struct cm_group *group, struct cm_task *task)
{
    group->dependents =
        cm_grow(group->dependents, &group->dependent_room, group->dependent_count, sizeof(struct cm_task *));
    group->dependents[group->dependent_count++] = task;
}

/* Its place among the tasks of its step, and in its groups; decides nothing. */
static void attach(struct cm_task *task)
{
    struct cm_step_state *state = &task->job->steps[task->step];
    state->tasks = cm_grow(state->tasks, &state->room, state->total, sizeof(struct cm_task *));
    state->tasks[state->total++] = task;
    task->in = cm_realloc(task->in, (state->in_count + 1) * sizeof(struct cm_group *));
    task->out = cm_realloc(task->out, (state->out_count + 1) * sizeof(struct cm_group *));
    for (size_t i = 0; i < state->in_count; i++) {
        task->in[i] = group_of(state->in[i], task, state->in[i]->to_places);
        depend(task->in[i], task);
    }
    for (size_t i = 0; i < state->out_count; i++) {
        task->out[i] = group_of(state->out[i], task, state->out[i]->from_places);
        task->out[i]->total++;
    }
    task->waiting = 0;
    task->dead = 0;
}

/* ---- Steps ----------------------------------------------------------------------------------- */

/* It has no tasks because those who should have made them failed. */
static int is_starved(const struct cm_job *job, size_t step)
{
    const struct cm_step_state *state = &job->steps[step];
    for (size_t i = 0; i < state->maker_count; i++) {
        if (job->steps[state->makers[i]].bad) {
            return state->total == 0;
        }
    }
    return 0;
}

static int step_is_bad(const struct cm_job *job, size_t step)
{
    const struct cm_step_state *state = &job->steps[step];
    if (step_at(job, step)->optional) {
        return 0;
    }
    return is_starved(job, step) || state->good < cm_need_required(&step_at(job, step)->need, state->total);
}

static int makers_closed(const struct cm_job *job, size_t step)
{
    for (size_t i = 0; i < job->steps[step].maker_count; i++) {
        if (!job->steps[job->steps[step].makers[i]].closed) {
            return 0;
        }
    }
    return 1;
}

static void close_if_over(struct cm_turn *turn, size_t step);

static void set_expanded(struct cm_turn *turn, size_t step)
{
    struct cm_step_state *state = &turn->job->steps[step];
    state->expanded = 1;
    close_if_over(turn, step);
    for (size_t i = 0; i < state->out_count; i++) {
        struct cm_index *groups = &state->out[i]->groups;
        for (size_t k = 0; k < groups->room; k++) {
            if (groups->entries[k].value) {
                check_group(turn, state->out[i], groups->entries[k].value);
            }
        }
    }
}

static void close_if_over(struct cm_turn *turn, size_t step)
{
    struct cm_job *job = turn->job;
    struct cm_step_state *state = &job->steps[step];
    if (!state->expanded || state->closed || state->over < state->total) {
        return;
    }
    state->closed = 1;
    state->bad = step_is_bad(job, step);
    for (size_t i = step + 1; *step_at(job, step)->makes && i < job->pipeline->step_count; i++) {
        if (!job->steps[i].expanded && makers_closed(job, i)) {
            set_expanded(turn, i);
        }
    }
}

/* ---- Joins ----------------------------------------------------------------------------------- */

static int judge_group(const struct cm_job *job, size_t from, const struct cm_group *group)
{
    const struct cm_step *step = step_at(job, from);
    const struct cm_step_state *state = &job->steps[from];
    size_t bad = group->over - group->good;
    if (step->optional) {
        int none_left = group->total ? group->abandoned == group->total : is_starved(job, from);
        return !state->expanded || group->over < group->total ? 0 : none_left ? CM_GROUP_UNMET : CM_GROUP_MET;
    }
    if (step->need.kind == CM_NEED_ALL && bad) {
        return CM_GROUP_UNMET;
    }
    if (!state->expanded) {
        return 0;
    }
    if (is_starved(job, from) || group->total - bad < cm_need_required(&step->need, group->total)) {
        return CM_GROUP_UNMET;
    }
    return group->over == group->total ? CM_GROUP_MET : 0;
}

static void release_dependent(struct cm_turn *turn, struct cm_task *task, int state)
{
    if (task->row->state != CM_TASK_BLOCKED) {
        return;
    }
    if (state == CM_GROUP_UNMET) {
        task->dead = 1;
        cm_task_abandon(turn, task);
    } else if (--task->waiting == 0) {
        cm_task_ready(turn, task);
    }
}

static void check_group(struct cm_turn *turn, const struct cm_edge *edge, struct cm_group *group)
{
    if (group->state) {
        return;
    }
    group->state = judge_group(turn->job, edge->from, group);
    for (size_t i = 0; group->state && i < group->dependent_count; i++) {
        release_dependent(turn, group->dependents[i], group->state);
    }
}

static void count_over(struct cm_turn *turn, struct cm_task *task)
{
    struct cm_step_state *state = &turn->job->steps[task->step];
    int good = is_good(task);
    state->over++;
    state->good += (size_t)good;
    for (size_t i = 0; i < state->out_count; i++) {
        task->out[i]->over++;
        task->out[i]->good += (size_t)good;
        task->out[i]->abandoned += (size_t)is_abandoned(task);
    }
    close_if_over(turn, task->step);
    for (size_t i = 0; i < state->out_count; i++) {
        check_group(turn, state->out[i], task->out[i]);
    }
}

/* How many groups before it are not met, and whether one of them never will be. */
static void count_waiting(struct cm_task *task)
{
    const struct cm_step_state *state = &task->job->steps[task->step];
    task->waiting = 0;
    task->dead = 0;
    for (size_t i = 0; i < state->in_count; i++) {
        struct cm_group *group = task->in[i];
        if (!group->state) {
            group->state = judge_group(task->job, state->in[i]->from, group);
        }
        task->waiting += group->state != CM_GROUP_MET;
        task->dead |= group->state == CM_GROUP_UNMET;
    }
    for (size_t i = 0; i < state->out_count; i++) {
        if (!task->out[i]->state) {
            task->out[i]->state = judge_group(task->job, task->step, task->out[i]);
        }
    }
}

/* May make it ready or abandon it at once. */
static void add(struct cm_turn *turn, struct cm_task *task)
{
    attach(task);
    if (task->job->rebuilding) {
        return; /* looked at when everything is in its place */
    }
    count_waiting(task);
    if (task->dead) {
        cm_task_abandon(turn, task);
    } else if (!task->waiting) {
        cm_task_ready(turn, task);
    }
}

/* ---- Fan-out --------------------------------------------------------------------------------- */

static void insert(struct cm_turn *turn, size_t step, const char *item)
{
    struct cm_job *job = turn->job;
    if (cm_job_task(job, step_at(job, step)->name, item)) {
        return;
    }
    struct cm_task_row row = {.job = job->row->id, .state = CM_TASK_BLOCKED};
    row.step = step_at(job, step)->name;
    row.item = (char *)item;
    struct cm_task *task = cm_task_new(job, &row);
    task->step = step;
    cm_task_split_item(task);
    cm_row_text(&task->row->op, cm_task_plain_op(task));
    cm_turn_touch(turn, task);
    add(turn, task);
}

/* ---- A task goes on, or ends ----------------------------------------------------------------- */

/* Whether it is the owner or the operator who can help. */
static const char *policy_reason(const struct cm_turn *turn, const struct cm_task *task)
{
    char *words = cm_residency_consent_words(turn->engine, task->job);
    const char *reason = words ? CM_HELD_FOR_CONSENT : CM_HELD_FOR_RESIDENCY;
    free(words);
    return reason;
}

/* From its link on the first that may be asked; else it is held or fails. */
static void queue_at_next_link(struct cm_turn *turn, struct cm_task *task)
{
    int hold = 0, reason = 0;
    char *words = NULL;
    int64_t link = cm_task_choose_link(turn->engine, turn->now, task, *cm_task_link(task), &hold, &reason, &words);
    if (link >= 0) {
        cm_task_move(turn, task, CM_TASK_READY);
        cm_task_queue(turn->engine, turn->now, task, link);
    } else if (hold) {
        cm_task_hold(turn, task, hold, hold == CM_HELD_POLICY ? policy_reason(turn, task) : cm_reason_name(reason),
                     words);
    } else {
        cm_task_finish(turn, task, CM_TASK_FAILED, cm_reason_name(reason), words);
    }
    free(words);
}

void cm_task_ready(struct cm_turn *turn, struct cm_task *task)
{
    struct cm_job *job = task->job;
    int ambiguous = cm_task_is_ambiguous(task);
    if (job->row->cancel && !ambiguous) {
        cm_task_finish(turn, task, CM_TASK_CANCELLED, "", "");
        return;
    }
    if (task->effect && task->effect->state == CM_EFFECT_CONFIRMED) {
        cm_task_move(turn, task, CM_TASK_READY);
        cm_task_finish(turn, task, CM_TASK_SUCCEEDED, "", "");
        return;
    }
    if (cm_task_is_publish(task) && !ambiguous) {
        cm_fit_prepare(turn, task);
    }
    if (cm_task_is_publish(task) && job->publish_at_ms > turn->now.utc_ms && !ambiguous && !cm_task_is_fitting(task)) {
        cm_task_wait_until(turn, task, CM_TASK_SCHEDULED, job->publish_at_ms);
        return;
    }
    queue_at_next_link(turn, task);
}

void cm_task_finish(struct cm_turn *turn, struct cm_task *task, int64_t state, const char *reason, const char *words)
{
    if (state == CM_TASK_FAILED && cm_task_step(task)->optional) {
        state = CM_TASK_SKIPPED;
    }
    cm_task_move(turn, task, state);
    cm_row_text(&task->row->reason, reason);
    cm_row_text(&task->row->words, words);
    task->job->failing |= state != CM_TASK_SUCCEEDED;
    if (state == CM_TASK_SUCCEEDED) {
        cm_expand_from(turn, task, insert); /* before its end is counted: a join must see them */
    }
    count_over(turn, task);
}

void cm_task_abandon(struct cm_turn *turn, struct cm_task *task)
{
    int64_t state = task->job->row->cancel ? CM_TASK_CANCELLED : CM_TASK_SKIPPED;
    cm_task_finish(turn, task, state, "", _("something before it did not succeed"));
}

/* ---- Afresh ---------------------------------------------------------------------------------- */

static void recount_step(struct cm_turn *turn, size_t index)
{
    struct cm_job *job = turn->job;
    struct cm_step_state *state = &job->steps[index];
    if (makers_closed(job, index)) {
        cm_expand_step(turn, index, NULL, insert);
        state->expanded = 1;
    }
    for (size_t i = 0; i < state->total; i++) {
        struct cm_task *task = state->tasks[i];
        int good = is_good(task);
        if (!cm_task_is_over(task->row->state)) {
            continue;
        }
        state->over++;
        state->good += (size_t)good;
        for (size_t k = 0; k < state->out_count; k++) {
            task->out[k]->over++;
            task->out[k]->good += (size_t)good;
            task->out[k]->abandoned += (size_t)is_abandoned(task);
        }
    }
    state->closed = state->expanded && state->over == state->total;
    state->bad = state->closed && step_is_bad(job, index);
}

/* What its groups say now, of a task that is neither over nor running. */
static void reconsider(struct cm_turn *turn, struct cm_task *task)
{
    int64_t state = task->row->state;
    if (cm_task_is_over(state) || state == CM_TASK_RUNNING || cm_task_is_ambiguous(task)) {
        return;
    }
    if (task->waiting && state != CM_TASK_BLOCKED) {
        cm_task_move(turn, task, CM_TASK_BLOCKED);
    }
    if (task->dead) {
        cm_task_abandon(turn, task);
    } else if (!task->waiting && task->row->state == CM_TASK_BLOCKED) {
        cm_task_ready(turn, task);
    }
}

static void start_afresh(struct cm_job *job)
{
    cm_job_drop_groups(job);
    for (size_t i = 0; i < job->pipeline->step_count; i++) {
        struct cm_step_state *state = &job->steps[i];
        size_t total = state->total;
        state->total = state->over = state->good = 0;
        state->expanded = state->closed = state->bad = 0;
        for (size_t k = 0; k < total; k++) {
            attach(state->tasks[k]);
        }
    }
}

void cm_graph_rebuild(struct cm_turn *turn)
{
    struct cm_job *job = turn->job;
    start_afresh(job);
    job->rebuilding = 1;
    for (size_t i = 0; i < job->pipeline->step_count; i++) {
        recount_step(turn, i);
    }
    job->rebuilding = 0;
    for (size_t i = 0; i < job->pipeline->step_count; i++) {
        for (size_t k = 0; k < job->steps[i].total; k++) {
            count_waiting(job->steps[i].tasks[k]);
        }
    }
    job->failing = 1;
    for (size_t i = 0; i < job->pipeline->step_count; i++) {
        for (size_t k = 0; k < job->steps[i].total; k++) {
            reconsider(turn, job->steps[i].tasks[k]);
        }
    }
}

/* ---- What became pointless ------------------------------------------------------------------- */

/* None of its tasks can ever run: one whole step before it failed for good. */
static int is_hopeless(const struct cm_job *job, size_t step, const char *hopeless)
{
    const struct cm_step_state *state = &job->steps[step];
    for (size_t i = 0; i < state->in_count; i++) {
        const struct cm_edge *edge = state->in[i];
        const struct cm_group *group = edge->shared_count ? NULL : cm_index_get(&edge->groups, "");
        int unmet = (group && group->state == CM_GROUP_UNMET) || job->steps[edge->from].bad;
        if (hopeless[edge->from] || (unmet && !edge->shared_count)) {
            return 1;
        }
    }
    return 0;
}

/* Its tasks could run, but nobody is left who would use what they make. */
static int is_pointless(const struct cm_job *job, size_t step, const char *useless)
{
    const struct cm_step_state *state = &job->steps[step];
    for (size_t i = 0; i < state->out_count; i++) {
        if (!useless[state->out[i]->to]) {
            return 0;
        }
    }
    return state->out_count > 0;
}

static void abandon_step(struct cm_turn *turn, struct cm_step_state *state)
{
    for (size_t i = 0; i < state->total; i++) {
        struct cm_task *task = state->tasks[i];
        if (!cm_task_is_over(task->row->state) && task->row->state != CM_TASK_RUNNING && !cm_task_is_ambiguous(task)) {
            cm_task_abandon(turn, task);
        }
    }
}

void cm_graph_prune(struct cm_turn *turn)
{
    struct cm_job *job = turn->job;
    if (!job->failing || !job->pipeline || cm_job_is_over(job->row->state)) {
        return;
    }
    size_t count = job->pipeline->step_count;
    char *useless = cm_alloc(count);
    for (size_t i = 0; i < count; i++) {
        useless[i] = (char)is_hopeless(job, i, useless);
    }
    for (size_t i = count; i-- > 0;) {
        useless[i] = (char)(useless[i] || is_pointless(job, i, useless));
    }
    for (size_t i = 0; i < count; i++) {
        if (useless[i]) {
            abandon_step(turn, &job->steps[i]);
        }
    }
    free(useless);
}
