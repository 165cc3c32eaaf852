/*
 * The fallback chain: who may do a task, and who of them is asked next.
 */
#include <clipmaker/plugin.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/text.h"
#include "core/daemon/engine/route.h"
#include "core/daemon/engine/state.h"

/* ---- Who is in it ---------------------------------------------------------------------------- */

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

/* The render step that its clips come from: the last one before it, or NULL. */
const struct cm_step *cm_chain_render_step(const struct cm_task *task)
{
    const struct cm_step *found = NULL;
    for (size_t i = 0; i < task->step; i++) {
        const struct cm_step *step = &task->job->pipeline->steps[i];
        if (task->job->steps[task->step].before[i] && step->stage == CM_STAGE_RENDER) {
            found = step;
        }
    }
    return found;
}

/* Those of the step that rendered the clip; where none did, every render instance of the configuration. */
const char *cm_chain_renderer(const struct cm_engine *engine, const struct cm_task *task, size_t link, size_t *count)
{
    const struct cm_step *step = cm_chain_render_step(task);
    const char *name = "";
    if (step) {
        *count = step->use_count;
        return link < step->use_count ? step->use[link] : "";
    }
    *count = 0;
    for (size_t i = 0; i < engine->instance_count; i++) {
        const struct cm_instance *instance = &engine->instances[i].instance;
        if (instance->stage == CM_STAGE_RENDER && (*count)++ == link) {
            name = instance->name;
        }
    }
    return name;
}

size_t cm_task_chain_length(const struct cm_engine *engine, const struct cm_task *task)
{
    const struct cm_step *step = cm_task_step(task);
    size_t count = 1;
    if (cm_task_is_fitting(task)) {
        cm_chain_renderer(engine, task, 0, &count);
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
        return cm_chain_renderer(engine, task, link, &count);
    }
    return step->use_count ? cm_publish_chain_name(task, link) : any_llm(engine, link, &count);
}

int64_t *cm_task_link(struct cm_task *task)
{
    return cm_task_is_fitting(task) ? &task->fit_link : &task->row->link;
}

/* ---- Who is asked next ------------------------------------------------------------------------ */

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
