/*
 * What people ask for: submit, cancel, retry, resolve, remove.
 */
#include <clipmaker/plugin.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/text.h"
#include "core/daemon/engine/state.h"

/* ---- Submit ---------------------------------------------------------------------------------- */

char *cm_submit_hash(const char *source, const char *params, const char *pipeline)
{
    char hash[65];
    char *text = cm_format("%s\n%s\n%s", source, params, pipeline);
    cm_sha256(text, strlen(text), hash);
    free(text);
    return cm_strdup(hash);
}

static void reply(struct cm_engine *engine, const struct cm_submit *submit, const char *job, int ok, const char *text)
{
    struct cm_action *action = cm_action_new(CM_ACTION_SUBMITTED, job);
    action->number = submit->number;
    action->ok = ok;
    cm_row_text(&action->text, text);
    cm_engine_push_action(engine, action);
}

static struct cm_job *find_request(const struct cm_engine *engine, const struct cm_submit *submit)
{
    for (size_t i = 0; *submit->request_key && i < engine->jobs.room; i++) {
        struct cm_job *job = engine->jobs.entries[i].value;
        if (job && !strcmp(job->row->request_key, submit->request_key) && !strcmp(job->row->owner, submit->owner)) {
            return job;
        }
    }
    return NULL;
}

/* The answer waits until the job that it names is durable. */
static void reply_existing(struct cm_engine *engine, const struct cm_submit *submit, const struct cm_job *job)
{
    char *hash = cm_submit_hash(submit->source, submit->params, submit->pipeline);
    int same = !strcmp(hash, job->row->request_hash);
    free(hash);
    if (!same) {
        reply(engine, submit, job->row->id, 0, CM_SUBMIT_CONFLICT);
        return;
    }
    for (size_t i = engine->pending_count; i-- > 0;) {
        struct cm_pending *pending = engine->pending[i];
        if (pending->generation == job->generation) {
            struct cm_action *action = cm_action_new(CM_ACTION_SUBMITTED, job->row->id);
            action->number = submit->number;
            action->ok = 1;
            cm_row_text(&action->text, CM_SUBMIT_EXISTS);
            pending->actions =
                cm_grow(pending->actions, &pending->action_room, pending->action_count, sizeof(struct cm_action *));
            pending->actions[pending->action_count++] = action;
            return;
        }
    }
    reply(engine, submit, job->row->id, 1, CM_SUBMIT_EXISTS);
}

static struct cm_job *new_job(struct cm_engine *engine, struct cm_now now, const struct cm_submit *submit,
                              const char *pipeline_id)
{
    struct cm_job_row *row = cm_row_new(CM_TABLE_JOB);
    char *hash = cm_submit_hash(submit->source, submit->params, submit->pipeline);
    cm_row_text(&row->id, submit->id);
    cm_row_text(&row->owner, submit->owner);
    cm_row_text(&row->request_key, submit->request_key);
    cm_row_text(&row->request_hash, hash);
    cm_row_text(&row->pipeline, pipeline_id);
    cm_row_text(&row->source, submit->source);
    cm_row_text(&row->params, submit->params);
    row->state = CM_JOB_QUEUED;
    row->priority = submit->priority < -100 ? -100 : submit->priority > 100 ? 100 : submit->priority;
    row->created_ms = now.utc_ms;
    struct cm_job *job = cm_job_new(engine, row);
    cm_row_free(CM_TABLE_JOB, row);
    free(hash);
    return job;
}

static const struct cm_pipeline *current_pipeline(const struct cm_engine *engine, const char *name)
{
    for (size_t i = 0; i < engine->pipeline_count; i++) {
        for (size_t k = 0; k < engine->current_count; k++) {
            if (!strcmp(engine->pipelines[i]->id, engine->current[k]) && !strcmp(engine->pipelines[i]->name, name)) {
                return engine->pipelines[i];
            }
        }
    }
    return NULL;
}

static void put_pipeline(struct cm_turn *turn, const struct cm_pipeline *pipeline)
{
    struct cm_pipeline_row *row = cm_row_new(CM_TABLE_PIPELINE);
    cm_row_text(&row->id, pipeline->id);
    cm_row_text(&row->name, pipeline->name);
    cm_row_text(&row->json, pipeline->json);
    row->created_ms = turn->now.utc_ms;
    cm_change_put(turn->set, CM_TABLE_PIPELINE, row);
    cm_row_free(CM_TABLE_PIPELINE, row);
}

static void begin_job(struct cm_engine *engine, struct cm_now now, const struct cm_submit *submit,
                      const struct cm_pipeline *pipeline)
{
    struct cm_job *job = new_job(engine, now, submit, pipeline->id);
    char *problem = cm_job_read_params(job);
    struct cm_turn turn;
    if (problem) {
        reply(engine, submit, submit->id, 0, problem);
        free(problem);
        cm_job_free(engine, job);
        return;
    }
    cm_job_build(job, pipeline);
    cm_turn_begin(&turn, engine, job, now);
    if (*submit->request_key) {
        cm_change_guard(turn.set, CM_GUARD_NO_JOB, "", submit->request_key, submit->owner, 0, 0);
    }
    put_pipeline(&turn, pipeline);
    cm_change_put(turn.set, CM_TABLE_CLAIM, &(struct cm_claim_row){job->row->id, engine->boot});
    cm_turn_touch_job(&turn);
    cm_graph_rebuild(&turn);
    struct cm_action *action = cm_turn_action(&turn, CM_ACTION_SUBMITTED, NULL);
    action->number = submit->number;
    action->ok = 1;
    cm_turn_end(&turn);
}

/* The dear count is made only where the cheap one leaves a doubt. */
static int is_full(const struct cm_engine *engine, const struct cm_submit *submit)
{
    size_t most = engine->max_jobs > 0 ? (size_t)engine->max_jobs : SIZE_MAX;
    return engine->open_jobs >= most && !cm_starts_with(submit->source, CM_POST_SOURCE) &&
           cm_engine_video_count(engine) >= most;
}

void cm_engine_submit(struct cm_engine *engine, struct cm_now now, const struct cm_submit *submit)
{
    const struct cm_job *existing = find_request(engine, submit);
    const struct cm_pipeline *pipeline = current_pipeline(engine, submit->pipeline);
    if (existing) {
        reply_existing(engine, submit, existing);
    } else if (!*submit->source) {
        reply(engine, submit, "", 0, _("a job needs a video: a path or an address"));
    } else if (!pipeline) {
        reply(engine, submit, "", 0, _("there is no pipeline of that name in the configuration"));
    } else if (cm_index_get(&engine->jobs, submit->id)) {
        reply(engine, submit, "", 0, _("there is a job with this id already"));
    } else if (is_full(engine, submit)) {
        reply(engine, submit, "", 0, _("too many jobs are waiting already (max_jobs): try again later"));
    } else {
        begin_job(engine, now, submit, pipeline);
    }
}

/* ---- Cancel ---------------------------------------------------------------------------------- */

static void cancel_task(struct cm_turn *turn, struct cm_task *task)
{
    if (cm_task_is_over(task->row->state) || cm_task_is_ambiguous(task)) {
        return; /* what may be out is settled first */
    }
    if (task->row->state != CM_TASK_RUNNING) {
        cm_task_finish(turn, task, CM_TASK_CANCELLED, "", "");
    } else if (!task->awaiting_gone) {
        cm_row_text(&cm_turn_action(turn, CM_ACTION_KILL, task)->text, _("the job is cancelled"));
    }
}

const char *cm_engine_cancel(struct cm_engine *engine, struct cm_now now, const char *job_id)
{
    struct cm_job *job = cm_engine_job(engine, job_id);
    struct cm_turn turn;
    if (!job) {
        return _("there is no unfinished job of that id");
    }
    if (cm_job_is_over(job->row->state)) {
        return _("the job is over already");
    }
    if (job->row->cancel) {
        return NULL;
    }
    cm_turn_begin(&turn, engine, job, now);
    cm_turn_guard_job(&turn);
    job->row->cancel = 1;
    cm_turn_touch_job(&turn);
    for (size_t i = 0; i < job->pipeline->step_count; i++) {
        for (size_t k = 0; k < job->steps[i].total; k++) {
            cancel_task(&turn, job->steps[i].tasks[k]);
        }
    }
    cm_turn_end(&turn);
    return NULL;
}

/* ---- Retry ----------------------------------------------------------------------------------- */

/* A post that may be out is never simply made again: what can tell is asked once more. */
static int retry_ambiguous(struct cm_turn *turn, struct cm_task *task)
{
    const struct cm_known_instance *known = cm_engine_instance(turn->engine, task->effect->instance);
    uint32_t settle = known ? known->instance.settle : 0;
    int resend = (settle & (CM_SETTLE_NATIVE_KEY | CM_SETTLE_PHASES)) != 0;
    int search = known && (settle & CM_SETTLE_SEARCH) && known->instance.can_find;
    if (!resend && !search) {
        return 0;
    }
    task->row->tries = 0;
    task->effect->state = CM_EFFECT_SENDING;
    cm_change_put(turn->set, CM_TABLE_EFFECT, task->effect);
    cm_row_text(&task->row->op, resend ? "publish" : "find");
    cm_task_ready(turn, task);
    return 1;
}

/* 1 when it goes again. */
static int retry_task(struct cm_turn *turn, struct cm_task *task)
{
    switch (task->row->state) {
    case CM_TASK_HELD:
    case CM_TASK_BACKOFF:
    case CM_TASK_FAILED:
    case CM_TASK_CANCELLED:
    case CM_TASK_SKIPPED:
        break;
    default:
        return 0;
    }
    if (cm_task_is_ambiguous(task)) {
        return retry_ambiguous(turn, task);
    }
    cm_task_move(turn, task, CM_TASK_BLOCKED);
    task->row->tries = 0;
    task->row->crashes = 0;
    task->row->link = 0;
    task->fit_link = 0;
    task->row->ready_ms = 0;
    task->link_crashes = 0;
    task->losses = 0;
    task->waits = 0;
    cm_row_text(&task->row->reason, "");
    cm_row_text(&task->row->words, "");
    return 1;
}

/* Skipped or cancelled because of others, not for a reason of its own. */
static int is_abandoned(const struct cm_task *task)
{
    return (task->row->state == CM_TASK_SKIPPED || task->row->state == CM_TASK_CANCELLED) && !*task->row->reason;
}

static int retry_tasks(struct cm_turn *turn, const struct cm_task *only)
{
    struct cm_job *job = turn->job;
    int count = 0;
    for (size_t i = 0; i < job->pipeline->step_count; i++) {
        for (size_t k = 0; k < job->steps[i].total; k++) {
            struct cm_task *task = job->steps[i].tasks[k];
            if (!only || task == only) {
                count += retry_task(turn, task);
            } else if (is_abandoned(task)) {
                retry_task(turn, task); /* it may have waited for that one; if not, it is skipped again */
            }
        }
    }
    return count;
}

static void reopen(struct cm_turn *turn)
{
    struct cm_job *job = turn->job;
    if (cm_job_is_over(job->row->state)) {
        turn->engine->open_jobs++;
        turn->engine->visitors -= turn->engine->visitors > 0;
        job->row->state = CM_JOB_RUNNING;
        job->row->finished_ms = 0;
        job->row->cancel = 0;
        cm_row_text(&job->row->reason, "");
        cm_row_text(&job->row->words, "");
    }
    cm_turn_touch_job(turn);
}

static int may_retry(const struct cm_task *task)
{
    if (task->job->row->cancel && !cm_job_is_over(task->job->row->state) && !cm_task_is_ambiguous(task)) {
        return 0; /* while it is being cancelled, only what may be out is still looked into */
    }
    switch (task->row->state) {
    case CM_TASK_HELD:
    case CM_TASK_BACKOFF:
    case CM_TASK_FAILED:
    case CM_TASK_CANCELLED:
        return 1;
    case CM_TASK_SKIPPED:
        return *task->row->reason != 0;
    default:
        return 0;
    }
}

static const char *retry_refused(const struct cm_job *job, const struct cm_task *only)
{
    size_t candidates = 0;
    for (size_t i = 0; i < job->pipeline->step_count; i++) {
        for (size_t k = 0; k < job->steps[i].total; k++) {
            const struct cm_task *task = job->steps[i].tasks[k];
            candidates += (!only || task == only) && may_retry(task);
        }
    }
    return candidates ? NULL : _("there is nothing to try again");
}

const char *cm_engine_retry(struct cm_engine *engine, struct cm_now now, const char *job_id, const char *step,
                            const char *item)
{
    struct cm_job *job = cm_engine_job(engine, job_id);
    struct cm_turn turn;
    if (!job || !job->pipeline) {
        return _("there is no job of that id");
    }
    struct cm_task *only = step && *step ? cm_job_task(job, step, item ? item : "") : NULL;
    if (step && *step && !only) {
        return _("the job has no such task");
    }
    const char *refused = retry_refused(job, only);
    if (refused) {
        return refused;
    }
    cm_turn_begin(&turn, engine, job, now);
    cm_turn_guard_job(&turn);
    reopen(&turn);
    int count = retry_tasks(&turn, only);
    cm_graph_rebuild(&turn);
    cm_turn_end(&turn);
    return count ? NULL : _("that post may be out already: look on the platform and say so with \"clipmaker resolve\"");
}

/* ---- Resolve, remove, room again ------------------------------------------------------------- */

const char *cm_engine_resolve(struct cm_engine *engine, struct cm_now now, const char *effect_key, const char *url)
{
    struct cm_task *task = cm_index_get(&engine->effects, effect_key);
    struct cm_turn turn;
    if (!task || task->job->loading || !task->job->pipeline) {
        return _("no unfinished job has a post of that key");
    }
    if (task->effect->state != CM_EFFECT_UNCONFIRMED || task->row->state != CM_TASK_HELD) {
        return _("that post is not in doubt");
    }
    cm_turn_begin(&turn, engine, task->job, now);
    cm_turn_guard_task(&turn, task);
    task->effect->state = url ? CM_EFFECT_CONFIRMED : CM_EFFECT_ABSENT;
    cm_row_text(&task->effect->url, url ? url : "");
    cm_row_text(&task->effect->post_id, url && !*url ? effect_key : "");
    cm_change_put(turn.set, CM_TABLE_EFFECT, task->effect);
    task->row->tries = 0;
    cm_row_text(&task->row->op, cm_task_plain_op(task));
    if (url) {
        cm_task_finish(&turn, task, CM_TASK_SUCCEEDED, "", "");
    } else {
        cm_task_ready(&turn, task);
    }
    cm_turn_end(&turn);
    return NULL;
}

const char *cm_engine_remove(struct cm_engine *engine, struct cm_now now, const char *job_id)
{
    struct cm_job *job = cm_engine_job(engine, job_id);
    struct cm_turn turn;
    if (job && (!cm_job_is_over(job->row->state) || job->in_flight)) {
        return _("the job is not over: cancel it first");
    }
    if (!job && cm_index_get(&engine->jobs, job_id)) {
        return _("the job is being loaded: try again");
    }
    struct cm_job_row *row = cm_row_new(CM_TABLE_JOB);
    cm_row_text(&row->id, job_id);
    row->state = CM_JOB_CANCELLED;
    struct cm_job *gone = job ? job : cm_job_new(engine, row);
    cm_turn_begin(&turn, engine, gone, now);
    cm_change_delete(turn.set, CM_TABLE_JOB, row);
    struct cm_action *action = cm_turn_action(&turn, CM_ACTION_DROP_FOLDER, NULL);
    char *folder = cm_format("jobs/%s", job_id);
    cm_row_text(&action->text, folder);
    cm_turn_end(&turn);
    cm_row_free(CM_TABLE_JOB, row);
    free(folder);
    return NULL;
}

static void release_held(struct cm_engine *engine, struct cm_now now, struct cm_job *job)
{
    struct cm_turn turn;
    int begun = 0;
    for (size_t i = 0; i < job->pipeline->step_count; i++) {
        for (size_t k = 0; k < job->steps[i].total; k++) {
            struct cm_task *task = job->steps[i].tasks[k];
            if (task->row->state != CM_TASK_HELD || task->row->held_by != CM_HELD_RESOURCE) {
                continue;
            }
            if (!begun) {
                cm_turn_begin(&turn, engine, job, now);
                cm_turn_guard_job(&turn);
                begun = 1;
            }
            cm_task_ready(&turn, task);
        }
    }
    if (begun) {
        cm_turn_end(&turn);
    }
}

void cm_engine_resource_back(struct cm_engine *engine, struct cm_now now)
{
    for (size_t i = 0; i < engine->jobs.room; i++) {
        struct cm_job *job = engine->jobs.entries[i].value;
        if (job && !job->loading && job->pipeline && !cm_job_is_over(job->row->state)) {
            release_held(engine, now, job);
        }
    }
}
