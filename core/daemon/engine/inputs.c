/*
 * What an attempt may read: the artifacts of the steps before it, as far as they share keys with it.
 */
#include <stdlib.h>
#include <string.h>

#include "core/common/text.h"
#include "core/daemon/engine/state.h"

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

void cm_task_inputs(const struct cm_task *task, struct cm_start *start)
{
    size_t room = 0;
    for (size_t i = 0; i < task->step; i++) {
        if (task->job->steps[task->step].before[i]) {
            add_inputs_from(start, &room, task, i);
        }
    }
}

struct cm_artifact_row *cm_task_given_clip(const struct cm_task *task)
{
    struct cm_start start = {0};
    struct cm_artifact_row *clip = NULL;
    cm_task_inputs(task, &start);
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
