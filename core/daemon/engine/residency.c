/*
 * Where a job's data may go: `ru` never leaves the country, `global` only with the consent of its owner. Asked on
 * every hop of a chain, before anything is queued.
 */
#include <clipmaker/plugin.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/text.h"
#include "core/daemon/engine/state.h"

/* ---- Consents -------------------------------------------------------------------------------- */

static char *consent_key(const char *owner, const char *recipient)
{
    return cm_format("%s\n%s", owner, recipient);
}

void cm_engine_consent(struct cm_engine *engine, const char *owner, const char *recipient, int given)
{
    char *key = consent_key(owner, recipient), *known = cm_index_get(&engine->consents, key);
    if (given && !known) {
        cm_index_put(&engine->consents, key, key);
        return;
    }
    if (!given && known) {
        cm_index_remove(&engine->consents, key);
        free(known);
    }
    free(key);
}

void cm_engine_consents_forget(struct cm_engine *engine)
{
    for (size_t i = 0; i < engine->consents.room; i++) {
        free(engine->consents.entries[i].value);
    }
    cm_index_free(&engine->consents);
    engine->consents = (struct cm_index){0};
}

void cm_engine_consents_changed(struct cm_engine *engine)
{
    engine->reroute = 1;
}

static int has_consent(const struct cm_engine *engine, const struct cm_job *job, const char *recipient)
{
    char *key = consent_key(job->row->owner, recipient);
    int found = cm_index_get(&engine->consents, key) != NULL;
    free(key);
    return found;
}

/* ---- One instance ---------------------------------------------------------------------------- */

static int is_abroad(const struct cm_instance *instance)
{
    return instance->recipient && *instance->recipient;
}

static int is_global(const struct cm_engine *engine, const struct cm_job *job)
{
    return (job->strategy ? job->strategy : engine->strategy) == CM_STRATEGY_GLOBAL;
}

int cm_residency_allows(const struct cm_engine *engine, const struct cm_job *job, const struct cm_instance *instance)
{
    return !is_abroad(instance) || (is_global(engine, job) && has_consent(engine, job, instance->recipient));
}

int cm_residency_holds(const struct cm_task *task)
{
    return task->row->state == CM_TASK_HELD && task->row->held_by == CM_HELD_POLICY &&
           (!strcmp(task->row->reason, CM_HELD_FOR_CONSENT) || !strcmp(task->row->reason, CM_HELD_FOR_RESIDENCY));
}

/* ---- What leaves ----------------------------------------------------------------------------- */

const char *cm_what_leaves(int stage)
{
    switch (stage) {
    case CM_STAGE_SOURCE:
        return _("the address of the video");
    case CM_STAGE_STT:
        return _("the sound of the speech");
    case CM_STAGE_LLM:
        return _("the text of the speech");
    case CM_STAGE_PUBLISH:
        return _("the clips with their titles and texts");
    default:
        return _("the video");
    }
}

struct leaving {
    const struct cm_engine *engine;
    const struct cm_job *job;
    cm_leaving_fn each;
    void *arg;
};

static void tell_instance(const struct leaving *leaving, const struct cm_instance *instance)
{
    if (is_abroad(instance)) {
        leaving->each(leaving->arg, instance->name, instance->stage, instance->recipient);
    }
}

static void tell_named(const struct leaving *leaving, const char *name)
{
    const struct cm_known_instance *known = cm_engine_instance(leaving->engine, name);
    if (known) {
        tell_instance(leaving, &known->instance);
    }
}

/* An llm step that names nobody may ask every llm instance. */
static void tell_any_llm(const struct leaving *leaving)
{
    for (size_t i = 0; i < leaving->engine->instance_count; i++) {
        const struct cm_instance *instance = &leaving->engine->instances[i].instance;
        if (instance->stage == CM_STAGE_LLM) {
            tell_instance(leaving, instance);
        }
    }
}

static void tell_step(const struct leaving *leaving, const struct cm_step *step)
{
    for (size_t i = 0; i < step->use_count; i++) {
        if (strcmp(step->use[i], "target") != 0) {
            tell_named(leaving, step->use[i]);
            continue;
        }
        for (size_t k = 0; k < leaving->job->target_count; k++) {
            tell_named(leaving, leaving->job->targets[k]);
        }
    }
    if (step->stage == CM_STAGE_LLM && !step->use_count) {
        tell_any_llm(leaving);
    }
}

static void tell_all(const struct leaving *leaving)
{
    for (size_t i = 0; i < leaving->job->pipeline->step_count; i++) {
        tell_step(leaving, &leaving->job->pipeline->steps[i]);
    }
}

void cm_engine_leaving(const struct cm_engine *engine, const char *job_id, cm_leaving_fn each, void *arg)
{
    const struct cm_job *job = cm_engine_job(engine, job_id);
    if (job && job->pipeline) {
        tell_all(&(const struct leaving){engine, job, each, arg});
    }
}

/* ---- Words ----------------------------------------------------------------------------------- */

char *cm_residency_refused_words(const struct cm_instance *instance)
{
    return cm_format(
        _("strategy ru: %s would send %s abroad (to %s), and nobody else is left to ask; add an instance in "
          "Russia, or submit with --strategy global"),
        instance->name, cm_what_leaves(instance->stage), instance->recipient);
}

struct lacking {
    const struct cm_engine *engine;
    const struct cm_job *job;
    struct cm_text text;
};

/* Each pair of what and to whom once. */
static void add_lacking(void *arg, const char *instance, int stage, const char *recipient)
{
    struct lacking *lacking = arg;
    (void)instance;
    if (has_consent(lacking->engine, lacking->job, recipient)) {
        return;
    }
    char *one = cm_format(_("%s to %s"), cm_what_leaves(stage), recipient);
    if (!lacking->text.bytes || !strstr(lacking->text.bytes, one)) {
        cm_text_addf(&lacking->text, "%s%s", lacking->text.length ? "; " : "", one);
    }
    free(one);
}

char *cm_residency_consent_words(const struct cm_engine *engine, const struct cm_job *job)
{
    struct lacking lacking = {.engine = engine, .job = job};
    if (!is_global(engine, job)) {
        return NULL;
    }
    tell_all(&(const struct leaving){engine, job, add_lacking, &lacking});
    if (!lacking.text.length) {
        return NULL;
    }
    char *what = cm_text_take(&lacking.text);
    char *words = cm_format(_("strategy global: this would leave Russia: %s; its owner has not consented (clipmaker "
                              "consent --owner %s --give)"),
                            what, job->row->owner);
    free(what);
    return words;
}
