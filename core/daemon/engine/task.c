/*
 * A task's memory.
 */
#include <clipmaker/plugin.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/text.h"
#include "core/daemon/engine/state.h"

/* ---- Birth and death ------------------------------------------------------------------------- */

struct cm_task *cm_task_new(struct cm_job *job, const struct cm_task_row *row)
{
    struct cm_task *task = cm_alloc(sizeof *task);
    task->row = cm_row_copy(CM_TABLE_TASK, row);
    task->job = job;
    task->name = cm_format("%s/%s", row->step, row->item);
    task->entry.task = task;
    task->due.owner = task;
    cm_index_put(&job->tasks, task->name, task);
    return task;
}

static void free_children(struct cm_task *task)
{
    for (size_t i = 0; i < task->child_count; i++) {
        free(task->children[i]);
    }
    free(task->children);
}

void cm_task_free(struct cm_engine *engine, struct cm_task *task)
{
    cm_sched_remove(engine->sched, &task->entry);
    cm_heap_remove(&engine->due, &task->due);
    if (task->effect) {
        cm_index_remove(&engine->effects, task->effect->key);
        cm_row_free(CM_TABLE_EFFECT, task->effect);
    }
    for (size_t i = 0; i < task->artifact_count; i++) {
        cm_row_free(CM_TABLE_ARTIFACT, task->artifacts[i]);
    }
    for (size_t i = 0; i < CM_MAX_DIMENSIONS; i++) {
        free(task->keys[i]);
    }
    if (task->attempt) {
        cm_row_free(CM_TABLE_ATTEMPT, task->attempt);
    }
    free_children(task);
    free(task->artifacts);
    free(task->in);
    free(task->out);
    free(task->name);
    cm_row_free(CM_TABLE_TASK, task->row);
    free(task);
}

const struct cm_step *cm_task_step(const struct cm_task *task)
{
    return &task->job->pipeline->steps[task->step];
}

int cm_task_is_publish(const struct cm_task *task)
{
    return cm_task_step(task)->stage == CM_STAGE_PUBLISH;
}

int cm_task_split_item(struct cm_task *task)
{
    const struct cm_step *step = cm_task_step(task);
    const char *at = task->row->item;
    for (size_t i = 0; i < step->each_count; i++) {
        size_t bytes = strcspn(at, "/");
        if (!bytes || (at[bytes] != '/' && i + 1 < step->each_count)) {
            return -1;
        }
        task->keys[i] = cm_strndup(at, bytes);
        at += bytes + (at[bytes] == '/');
    }
    return *at ? -1 : 0;
}

void cm_task_add_artifact(struct cm_task *task, const struct cm_artifact_row *row)
{
    task->artifacts =
        cm_grow(task->artifacts, &task->artifact_room, task->artifact_count, sizeof(struct cm_artifact_row *));
    task->artifacts[task->artifact_count++] = cm_row_pack(CM_TABLE_ARTIFACT, row);
    task->job->has_captions |= !strcmp(row->role, "captions");
}

void cm_task_set_children(struct cm_task *task, char **children, size_t count)
{
    free_children(task);
    task->children = cm_alloc((count + 1) * sizeof *task->children);
    for (size_t i = 0; i < count; i++) {
        task->children[i] = cm_strdup(children[i]);
    }
    task->child_count = count;
    task->children_known = 1;
}

char *cm_task_folder(const struct cm_task *task, int64_t fence)
{
    char *folder = cm_format("jobs/%s/%s.%s.%lld", task->row->job, task->row->step, task->row->item, (long long)fence);
    for (char *at = folder + strlen("jobs/") + strlen(task->row->job) + 1; *at; at++) {
        *at = *at == '/' ? '+' : *at == ':' ? 'x' : *at;
    }
    return folder;
}

int cm_task_is_ambiguous(const struct cm_task *task)
{
    return task->effect && (task->effect->state == CM_EFFECT_SENDING || task->effect->state == CM_EFFECT_UNCONFIRMED);
}

/* ---- What it does ---------------------------------------------------------------------------- */

const char *cm_task_plain_op(const struct cm_task *task)
{
    static const char *const ops[] = {
        [CM_STAGE_SOURCE] = "fetch", [CM_STAGE_PREPARE] = "prepare", [CM_STAGE_STT] = "transcribe",
        [CM_STAGE_LLM] = "answer",   [CM_STAGE_RENDER] = "render",   [CM_STAGE_PUBLISH] = "publish",
    };
    const struct cm_step *step = cm_task_step(task);
    return step->stage ? ops[step->stage] : step->builtin;
}

int cm_task_is_fitting(const struct cm_task *task)
{
    return cm_task_is_publish(task) && !strcmp(task->row->op, CM_OP_FIT);
}
