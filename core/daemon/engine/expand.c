/*
 * Fan-out: which items a step has, by the keys that other steps made and the job gives.
 */
#include <stdlib.h>
#include <string.h>

#include "core/common/text.h"
#include "core/daemon/engine/state.h"

/* A partly filled item: keys of a step's dimensions, NULL where not yet chosen. Borrowed. */
struct item {
    size_t step;
    const char *keys[CM_MAX_DIMENSIONS];
};

static const struct cm_step *step_at(const struct cm_job *job, size_t index)
{
    return &job->pipeline->steps[index];
}

static size_t place_of(const struct cm_step *step, const char *dimension)
{
    size_t place = 0;
    while (place < step->each_count && strcmp(step->each[place], dimension)) {
        place++;
    }
    return place;
}

static void tell(struct cm_turn *turn, const struct item *item, cm_expand_fn each)
{
    struct cm_text text = {0};
    for (size_t i = 0; i < step_at(turn->job, item->step)->each_count; i++) {
        cm_text_add(&text, i ? "/" : "");
        cm_text_add(&text, item->keys[i]);
    }
    char *name = cm_text_take(&text);
    each(turn, item->step, name);
    free(name);
}

/* The keys of one dimension under what is chosen so far. 0 when they are not known yet: the task
 * that makes them is not done, or a dimension that it needs is not chosen (*later). */
static int keys_of(const struct cm_job *job, const struct item *item, size_t place, char ***keys, size_t *count,
                   int *later)
{
    const struct cm_step *step = step_at(job, item->step);
    const char *dimension = step->each[place];
    if (!strcmp(dimension, "format") || !strcmp(dimension, "target")) {
        *keys = *dimension == 'f' ? job->formats : job->targets;
        *count = *dimension == 'f' ? job->format_count : job->target_count;
        return 1;
    }
    size_t maker = 0;
    while (strcmp(step_at(job, maker)->makes, dimension)) {
        maker++;
    }
    struct cm_text text = {0};
    for (size_t i = 0; i < step_at(job, maker)->each_count; i++) {
        const char *key = item->keys[place_of(step, step_at(job, maker)->each[i])];
        *later |= !key;
        cm_text_add(&text, i ? "/" : "");
        cm_text_add(&text, key ? key : "");
    }
    char *name = cm_text_take(&text);
    const struct cm_task *task = *later ? NULL : cm_job_task(job, step_at(job, maker)->name, name);
    free(name);
    if (!task || task->row->state != CM_TASK_SUCCEEDED) {
        return 0;
    }
    *keys = task->children;
    *count = task->child_count;
    return 1;
}

/* Chooses the first open dimension whose keys can be known, and goes on with each of them. */
static void fill(struct cm_turn *turn, struct item *item, cm_expand_fn each)
{
    const struct cm_step *step = step_at(turn->job, item->step);
    int open = 0;
    for (size_t place = 0; place < step->each_count; place++) {
        char **keys = NULL;
        size_t count = 0;
        int later = 0;
        if (item->keys[place]) {
            continue;
        }
        open = 1;
        if (!keys_of(turn->job, item, place, &keys, &count, &later)) {
            if (later) {
                continue;
            }
            return;
        }
        for (size_t i = 0; i < count; i++) {
            item->keys[place] = keys[i];
            fill(turn, item, each);
        }
        item->keys[place] = NULL;
        return;
    }
    if (!open) {
        tell(turn, item, each);
    }
}

void cm_expand_step(struct cm_turn *turn, size_t step, const struct cm_task *maker, cm_expand_fn each)
{
    struct item item = {.step = step};
    const struct cm_step *target = step_at(turn->job, step);
    for (size_t i = 0; maker && i < cm_task_step(maker)->each_count; i++) {
        item.keys[place_of(target, cm_task_step(maker)->each[i])] = maker->keys[i];
    }
    fill(turn, &item, each);
}

void cm_expand_from(struct cm_turn *turn, const struct cm_task *maker, cm_expand_fn each)
{
    const char *makes = cm_task_step(maker)->makes;
    struct cm_job *job = turn->job;
    for (size_t i = 0; *makes && i < job->pipeline->step_count; i++) {
        if (place_of(step_at(job, i), makes) < step_at(job, i)->each_count) {
            cm_expand_step(turn, i, maker, each);
        }
    }
}
