/*
 * A task's memory, its moves from state to state, and its way along the fallback chain.
 */
#include <clipmaker/plugin.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/text.h"
#include "core/daemon/engine/route.h"
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

/* ---- The chain ------------------------------------------------------------------------------- */

const struct cm_known_instance *cm_engine_instance(const struct cm_engine *engine, const char *name)
{
    for (size_t i = 0; i < engine->instance_count; i++) {
        if (!strcmp(engine->instances[i].instance.name, name)) {
            return &engine->instances[i];
        }
    }
    return NULL;
}

/* An llm step that names nobody may ask every llm instance, in the order of the configuration. */
static const char *any_llm(const struct cm_engine *engine, size_t link, size_t *count)
{
    *count = 0;
    for (size_t i = 0; i < engine->instance_count; i++) {
        if (engine->instances[i].instance.stage == CM_STAGE_LLM && (*count)++ == link) {
            return engine->instances[i].instance.name;
        }
    }
    return "";
}

size_t cm_task_chain_length(const struct cm_engine *engine, const struct cm_task *task)
{
    const struct cm_step *step = cm_task_step(task);
    size_t count = 1;
    if (cm_task_is_fitting(task)) {
        cm_fit_chain_name(engine, task, 0, &count);
        return count;
    }
    if (step->stage == CM_STAGE_LLM && !step->use_count) {
        any_llm(engine, SIZE_MAX, &count);
        return count;
    }
    return step->stage ? step->use_count : 1;
}

const char *cm_publish_chain_name(const struct cm_task *task, size_t link)
{
    const struct cm_step *step = cm_task_step(task);
    if (link >= step->use_count || strcmp(step->use[link], "target")) {
        return link < step->use_count ? step->use[link] : "";
    }
    for (size_t i = 0; i < step->each_count; i++) {
        if (!strcmp(step->each[i], "target")) {
            return task->keys[i];
        }
    }
    return "";
}

const char *cm_task_chain_name(const struct cm_engine *engine, const struct cm_task *task, size_t link)
{
    const struct cm_step *step = cm_task_step(task);
    size_t count;
    if (!step->stage || link >= cm_task_chain_length(engine, task)) {
        return "";
    }
    if (cm_task_is_fitting(task)) {
        return cm_fit_chain_name(engine, task, link, &count);
    }
    return step->use_count ? cm_publish_chain_name(task, link) : any_llm(engine, link, &count);
}

int64_t *cm_task_link(struct cm_task *task)
{
    return cm_task_is_fitting(task) ? &task->fit_link : &task->row->link;
}

static int64_t no_link(const struct cm_task *task, const struct cm_route_case *about, int answer, const char *lacking,
                       int *reason, char **words)
{
    int unused = 0;
    char *line = lacking ? cm_format(_("step \"%s\" asks for \"%s\", which the configuration does not have (now)"),
                                     task->row->step, lacking)
                         : cm_route_words(about, answer, reason ? reason : &unused);
    if (lacking && reason) {
        *reason = CM_REASON_UNSUPPORTED;
    }
    if (words) {
        *words = line;
    } else {
        free(line);
    }
    return -1;
}

/* Takes the line. */
static int64_t not_allowed(char *line, int *hold, int *reason, char **words)
{
    *hold = CM_HELD_POLICY;
    if (reason) {
        *reason = CM_REASON_POLICY;
    }
    if (words) {
        *words = line;
    } else {
        free(line);
    }
    return -1;
}

int64_t cm_task_choose_link(const struct cm_engine *engine, struct cm_now now, const struct cm_task *task, int64_t from,
                            int *hold, int *reason, char **words)
{
    const struct cm_step *step = cm_task_step(task);
    const struct cm_instance *refused = NULL;
    int ambiguous = cm_task_is_ambiguous(task);
    int stage = cm_task_is_fitting(task) ? CM_STAGE_RENDER : step->stage;
    struct cm_route_case about = {stage, task->job->language, task->job->row->source, task->job->has_captions};
    int64_t away = -1, end = (int64_t)cm_task_chain_length(engine, task);
    enum cm_route_answer answer = CM_ROUTE_STAGE;
    const char *lacking = NULL;
    *hold = 0;
    char *consent = ambiguous ? NULL : cm_residency_consent_words(engine, task->job);
    if (consent) {
        return not_allowed(consent, hold, reason, words);
    }
    if (!step->stage) {
        return from == 0 ? 0 : -1;
    }
    if (ambiguous) {
        end = from + 1; /* only who sent it can tell */
    }
    for (int64_t link = from; link < end; link++) {
        const char *name = cm_task_chain_name(engine, task, (size_t)link);
        const struct cm_known_instance *known = cm_engine_instance(engine, name);
        if (!known) {
            lacking = lacking ? lacking : name;
            continue;
        }
        if (!ambiguous && !cm_residency_allows(engine, task->job, &known->instance)) {
            refused = refused ? refused : &known->instance;
            continue;
        }
        answer = cm_route_ask(&about, &known->instance);
        if (answer == CM_ROUTE_YES && !cm_queue_is_away(known->queue, now.boot_ms)) {
            return link;
        }
        away = answer == CM_ROUTE_YES && away < 0 ? link : away;
    }
    if (away >= 0) {
        return away;
    }
    if (refused) {
        return not_allowed(cm_residency_refused_words(refused), hold, reason, words);
    }
    *hold = lacking ? CM_HELD_PLUGIN : 0;
    return no_link(task, &about, (int)answer, lacking, reason, words);
}

char *cm_task_skipped(const struct cm_engine *engine, const struct cm_task *task)
{
    struct cm_route_case about = {cm_task_step(task)->stage, task->job->language, task->job->row->source,
                                  task->job->has_captions};
    struct cm_text text = {0};
    for (int64_t link = 0; link < task->row->link; link++) {
        const char *name = cm_task_chain_name(engine, task, (size_t)link), *why = "";
        const struct cm_known_instance *known = cm_engine_instance(engine, name);
        if (!known) {
            why = "not configured";
        } else {
            why = cm_residency_allows(engine, task->job, &known->instance)
                      ? cm_route_name(cm_route_ask(&about, &known->instance))
                      : "abroad";
        }
        if (*why) {
            cm_text_addf(&text, "%s%s (%s)", text.length ? ", " : "", name, why);
        }
    }
    return cm_text_take(&text);
}

/* ---- Moves ----------------------------------------------------------------------------------- */

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

static void enqueue(struct cm_engine *engine, struct cm_now now, struct cm_task *task, int64_t link)
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
    enqueue(engine, now, task, link);
    return 0;
}

/* Whether it is the owner or the operator who can help. */
static const char *policy_reason(const struct cm_turn *turn, const struct cm_task *task)
{
    char *words = cm_residency_consent_words(turn->engine, task->job);
    const char *reason = words ? CM_HELD_FOR_CONSENT : CM_HELD_FOR_RESIDENCY;
    free(words);
    return reason;
}

void cm_task_ready(struct cm_turn *turn, struct cm_task *task)
{
    int hold = 0, reason = 0;
    char *words = NULL;
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
    int64_t link = cm_task_choose_link(turn->engine, turn->now, task, *cm_task_link(task), &hold, &reason, &words);
    if (link >= 0) {
        cm_task_move(turn, task, CM_TASK_READY);
        enqueue(turn->engine, turn->now, task, link);
    } else if (hold) {
        cm_task_hold(turn, task, hold, hold == CM_HELD_POLICY ? policy_reason(turn, task) : cm_reason_name(reason),
                     words);
    } else {
        cm_task_finish(turn, task, CM_TASK_FAILED, cm_reason_name(reason), words);
    }
    free(words);
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
        cm_expand_from(turn, task); /* before its end is counted: a join must see them */
    }
    cm_graph_over(turn, task);
}

void cm_task_abandon(struct cm_turn *turn, struct cm_task *task)
{
    int64_t state = task->job->row->cancel ? CM_TASK_CANCELLED : CM_TASK_SKIPPED;
    cm_task_finish(turn, task, state, "", _("something before it did not succeed"));
}
