/*
 * Why is this not running? One line for people.
 */
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/daemon/engine/state.h"

static char *task_name(const struct cm_task *task)
{
    return *task->row->item ? cm_format("%s %s", task->row->step, task->row->item) : cm_strdup(task->row->step);
}

static char *in_words(int64_t ms)
{
    return cm_show_duration(ms > 1000 ? (ms + 999) / 1000 * 1000 : 1000);
}

/* The first step before it that is not met, with how far it is. */
static char *why_blocked(const struct cm_task *task)
{
    const struct cm_step_state *state = &task->job->steps[task->step];
    for (size_t i = 0; i < state->in_count; i++) {
        const struct cm_step_state *before = &task->job->steps[state->in[i]->from];
        if (task->in[i]->state != CM_GROUP_MET) {
            return cm_format(_("waits for step \"%s\" (%zu of %zu done)"),
                             task->job->pipeline->steps[state->in[i]->from].name, before->over, before->total);
        }
    }
    return cm_strdup(_("waits for a step before it"));
}

static char *why_queue(const struct cm_engine *engine, struct cm_now now, const struct cm_task *task)
{
    const struct cm_queue *queue = task->entry.queue;
    int64_t until = INT64_MAX;
    enum cm_queue_state state = queue ? cm_queue_look(queue, now.boot_ms, &until) : CM_QUEUE_OPEN;
    const char *name = queue && *cm_queue_name(queue) ? cm_queue_name(queue) : _("built-in steps");
    char *rest = in_words(until != INT64_MAX ? until - now.boot_ms : 0);
    char *line = NULL;
    if (!cm_sched_has_slot(engine->sched, queue)) {
        line = cm_format(_("all %d slots are busy; %zu others wait"), engine->slots,
                         cm_sched_waiting(engine->sched) - (queue != NULL));
    } else if (state == CM_QUEUE_FULL) {
        line = cm_format(_("%s is at its limit of %zu"), name, cm_queue_running(queue));
    } else if (state == CM_QUEUE_RATE) {
        line = cm_format(_("%s may be asked again in %s (its rate)"), name, rest);
    } else if (state == CM_QUEUE_WAITING) {
        line = cm_format(_("%s asked us to wait %s"), name, rest);
    } else if (state == CM_QUEUE_RESTING) {
        line = cm_format(_("%s failed too often and rests for %s"), name, rest);
    } else if (state == CM_QUEUE_PROBING) {
        line = cm_format(_("%s is being tried with one task after it failed"), name);
    } else {
        line = cm_strdup(_("starts as soon as it is its turn"));
    }
    free(rest);
    return line;
}

static char *why_held(const struct cm_task *task)
{
    const char *hold = cm_hold_name(task->row->held_by);
    char *line = cm_format(_("held (%s)%s%s"), hold, *task->row->words ? ": " : "", task->row->words);
    if (task->row->held_by != CM_HELD_UNCONFIRMED || !task->effect) {
        return line;
    }
    char *whole = cm_format("%s (clipmaker resolve %s --live URL|--absent)", line, task->effect->key);
    free(line);
    return whole;
}

static char *why_later(struct cm_now now, const struct cm_task *task)
{
    char *rest = in_words(task->row->due_ms - now.utc_ms);
    char *at = cm_show_time(task->row->due_ms);
    char *line = task->row->state == CM_TASK_SCHEDULED
                     ? cm_format(_("is due in %s, at %s"), rest, at)
                     : cm_format(_("tries again in %s%s%s"), rest, *task->row->words ? ": " : "", task->row->words);
    free(at);
    free(rest);
    return line;
}

static char *why_running(struct cm_now now, const struct cm_task *task)
{
    if (task->awaiting_gone || !task->attempt) {
        return cm_strdup(_("an attempt of an earlier daemon is being ended first"));
    }
    char *since = in_words(now.utc_ms - task->attempt->started_ms);
    if (cm_task_is_fitting(task)) {
        char *words = cm_format(_("%s has been making the clip smaller for %s, as its target takes no larger one"),
                                task->attempt->instance, since);
        free(since);
        return words;
    }
    const char *skipped = task->attempt->skipped;
    char *line = cm_format(_("is running on %s for %s (attempt %lld)"),
                           *task->attempt->instance ? task->attempt->instance : _("built-in steps"), since,
                           (long long)task->row->fence);
    char *whole = *skipped ? cm_format(_("%s; not asked: %s"), line, skipped) : cm_strdup(line);
    free(line);
    free(since);
    return whole;
}

static char *why_over(const struct cm_task *task)
{
    return cm_format("%s%s%s", cm_task_state_name(task->row->state), *task->row->words ? ": " : "", task->row->words);
}

static char *why_task(const struct cm_engine *engine, struct cm_now now, const struct cm_task *task)
{
    switch (task->row->state) {
    case CM_TASK_BLOCKED:
        return why_blocked(task);
    case CM_TASK_READY:
        return why_queue(engine, now, task);
    case CM_TASK_RUNNING:
        return why_running(now, task);
    case CM_TASK_HELD:
        return why_held(task);
    case CM_TASK_SCHEDULED:
    case CM_TASK_BACKOFF:
        return why_later(now, task);
    default:
        return why_over(task);
    }
}

/* The task that tells most about its job: what a person can change first. */
static const struct cm_task *telling_task(const struct cm_job *job)
{
    static const int order[] = {
        [CM_TASK_HELD] = 6,    [CM_TASK_RUNNING] = 5,   [CM_TASK_READY] = 4,
        [CM_TASK_BACKOFF] = 3, [CM_TASK_SCHEDULED] = 2, [CM_TASK_BLOCKED] = 1,
    };
    const struct cm_task *found = NULL;
    int best = 0;
    for (size_t i = 0; i < job->pipeline->step_count; i++) {
        for (size_t k = 0; k < job->steps[i].total; k++) {
            const struct cm_task *task = job->steps[i].tasks[k];
            int rank = cm_task_is_over(task->row->state) ? 0 : order[task->row->state];
            if (rank > best) {
                best = rank;
                found = task;
            }
        }
    }
    return found;
}

static char *why_job(const struct cm_engine *engine, struct cm_now now, const struct cm_job *job,
                     const struct cm_task *task)
{
    if (cm_job_is_over(job->row->state) || !task) {
        return cm_format("%s%s%s", cm_job_state_name(job->row->state), *job->row->words ? ": " : "", job->row->words);
    }
    char *name = task_name(task);
    char *why = why_task(engine, now, task);
    char *line = cm_format("%s: %s", name, why);
    free(name);
    free(why);
    return line;
}

char *cm_engine_why(const struct cm_engine *engine, struct cm_now now, const char *job_id, const char *step,
                    const char *item)
{
    struct cm_job *job = cm_engine_job(engine, job_id);
    int one = step && *step;
    if (!job || !job->pipeline) {
        return cm_strdup(_("there is no unfinished job of that id"));
    }
    const struct cm_task *task = one ? cm_job_task(job, step, item ? item : "") : telling_task(job);
    if (one && !task) {
        return cm_strdup(_("the job has no such task (yet)"));
    }
    if (engine->stalled) {
        return cm_strdup(_("the store is not available: nothing starts until it is"));
    }
    if (engine->paused && task && task->row->state != CM_TASK_RUNNING) {
        return cm_strdup(_("the daemon is paused or is stopping: nothing new starts"));
    }
    return one ? why_task(engine, now, task) : why_job(engine, now, job, task);
}
