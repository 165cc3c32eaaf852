/*
 * Random pipelines, instances and jobs.
 */
#include "tests/sim/plan.h"

#include <clipmaker/plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/text.h"

static const struct cm_instance instances[] = {
    {.name = "file", .stage = CM_STAGE_SOURCE, .limit = 2, .schemes = "file"},
    {.name = "http", .stage = CM_STAGE_SOURCE, .limit = 2, .schemes = "http https"},
    {.name = "media", .stage = CM_STAGE_PREPARE, .limit = 2},
    {.name = "captions", .stage = CM_STAGE_STT, .limit = 3, .languages = "*", .needs_captions = 1},
    {.name = "stt1", .stage = CM_STAGE_STT, .limit = 2, .languages = "ru en"},
    {.name = "stt2", .stage = CM_STAGE_STT, .limit = 2, .languages = "*", .elsewhere = 1},
    {.name = "llm1", .stage = CM_STAGE_LLM, .limit = 2},
    {.name = "llm2", .stage = CM_STAGE_LLM, .limit = 2, .elsewhere = 1},
    {.name = "cut", .stage = CM_STAGE_RENDER, .limit = 2},
    {.name = "spare", .stage = CM_STAGE_RENDER, .limit = 1},
    {.name = "native",
     .stage = CM_STAGE_PUBLISH,
     .limit = 2,
     .settle = CM_SETTLE_NATIVE_KEY,
     .account = "shop",
     .max_clip_bytes = 60},
    {.name = "phased", .stage = CM_STAGE_PUBLISH, .limit = 2, .settle = CM_SETTLE_PHASES, .account = "shop"},
    {.name = "search",
     .stage = CM_STAGE_PUBLISH,
     .limit = 2,
     .settle = CM_SETTLE_SEARCH,
     .settle_ms = 60000,
     .can_find = 1},
    {.name = "blind", .stage = CM_STAGE_PUBLISH, .limit = 2, .elsewhere = 1, .max_clip_bytes = 40},
};

static const char *pick(struct sim_random *random, const char *const *choices, int count)
{
    return choices[sim_below(random, count)];
}

static void add_common(struct cm_text *text, struct sim_random *random, const char *need)
{
    static const char *const needs[] = {"all", "all", "any", "2", "50%"};
    int tries = 1 + sim_below(random, 4);
    cm_text_addf(text, ",\"tries\":%d,\"need\":\"%s\"", tries, need ? need : pick(random, needs, 5));
    if (sim_chance(random, 100)) {
        cm_text_add(text, ",\"optional\":true");
    }
    cm_text_add(text, "}");
}

static char *pipeline_text(struct sim_random *random)
{
    static const char *const stt[] = {"\"stt1\"", "\"captions\",\"stt1\",\"stt2\"", "\"stt1\",\"stt2\"",
                                      "\"captions\",\"stt2\""};
    static const char *const cut[] = {"\"cut\"", "\"cut\",\"spare\""};
    static const char *const llm[] = {"", ",\"use\":[\"llm1\"]", ",\"use\":[\"llm2\",\"llm1\"]"};
    struct cm_text text = {0};
    int windows = sim_chance(random, 700), pieces = sim_chance(random, 200), cta = sim_chance(random, 500);
    int early = sim_chance(random, 200);
    cm_text_add(&text,
                "{\"name\":\"p\",\"steps\":[{\"step\":\"fetch\",\"stage\":\"source\",\"use\":[\"http\",\"file\"]");
    add_common(&text, random, "all");
    cm_text_add(
        &text,
        ",{\"step\":\"prepare\",\"stage\":\"prepare\",\"use\":[\"media\"],\"after\":[\"fetch\"],\"makes\":\"chunk\"");
    add_common(&text, random, "all");
    cm_text_addf(&text,
                 ",{\"step\":\"words\",\"stage\":\"stt\",\"use\":[%s],\"after\":[\"prepare\"],\"each\":\"chunk\"%s",
                 pick(random, stt, 4), pieces ? ",\"makes\":\"piece\"" : "");
    add_common(&text, random, NULL);
    if (pieces) {
        cm_text_add(&text, ",{\"step\":\"tidy\",\"builtin\":\"tidy\",\"after\":[\"words\"],\"each\":\"chunk*piece\"");
        add_common(&text, random, NULL);
    }
    cm_text_addf(&text, ",{\"step\":\"windows\",\"builtin\":\"windows\",\"after\":[\"words\"%s]%s",
                 pieces ? ",\"tidy\"" : "", windows ? ",\"makes\":\"window\"" : "");
    add_common(&text, random, "all");
    cm_text_addf(&text, ",{\"step\":\"moments\",\"stage\":\"llm\",\"ask\":\"q\",\"after\":[\"windows\"]%s%s",
                 windows ? ",\"each\":\"window\"" : "", pick(random, llm, 3));
    add_common(&text, random, NULL);
    cm_text_add(&text, ",{\"step\":\"choose\",\"builtin\":\"choose\",\"after\":[\"moments\"],\"makes\":\"moment\"");
    add_common(&text, random, "all");
    if (cta) {
        cm_text_addf(&text, ",{\"step\":\"cta\",\"stage\":\"llm\",\"ask\":\"q\",\"after\":[\"choose\"]%s",
                     sim_chance(random, 500) ? ",\"each\":\"moment\"" : "");
        add_common(&text, random, NULL);
    }
    if (sim_chance(random, 150)) { /* keys of two makers: the earlier one's must be remembered */
        cm_text_add(&text, ",{\"step\":\"both\",\"builtin\":\"both\",\"after\":[\"choose\"],\"each\":\"moment*chunk\"");
        add_common(&text, random, NULL);
    }
    cm_text_addf(
        &text,
        ",{\"step\":\"clip\",\"stage\":\"render\",\"use\":[%s],\"after\":[\"choose\"%s],\"each\":\"moment*format\"",
        pick(random, cut, 2), cta ? ",\"cta\"" : "");
    add_common(&text, random, NULL);
    cm_text_addf(&text, ",{\"step\":\"publish\",\"stage\":\"publish\",\"use\":[\"target\"],\"after\":[\"clip\"],"
                        "\"each\":\"moment*format*target\"");
    add_common(&text, random, NULL);
    if (early) {
        cm_text_add(&text, ",{\"step\":\"teaser\",\"stage\":\"publish\",\"use\":[\"target\"],\"after\":[\"fetch\"],"
                           "\"each\":\"target\"");
        add_common(&text, random, NULL);
    }
    cm_text_add(&text, "]}");
    return cm_text_take(&text);
}

static char *params_text(struct sim_random *random, int64_t start_ms)
{
    static const char *const languages[] = {"ru", "en", "auto", "de"};
    static const char *const targets[] = {"native", "phased", "search", "blind"};
    struct cm_text text = {0};
    int count = 0;
    cm_text_addf(&text, "{\"language\":\"%s\",\"formats\":[\"9:16\"%s],\"targets\":[", pick(random, languages, 4),
                 sim_chance(random, 300) ? ",\"1:1\"" : "");
    for (int i = 0; i < 4; i++) {
        if (sim_chance(random, 450)) {
            cm_text_addf(&text, "%s\"%s\"", count++ ? "," : "", targets[i]);
        }
    }
    cm_text_add(&text, "]");
    if (sim_chance(random, 300)) {
        cm_text_add(&text, ",\"captions\":\"/c.srt\"");
    }
    if (sim_chance(random, 200)) {
        cm_text_addf(&text, ",\"publish_at_ms\":%lld", (long long)start_ms + sim_below(random, 3600000));
    }
    cm_text_add(&text, "}");
    return cm_text_take(&text);
}

static void plan_jobs(struct sim_plan *plan, struct sim_random *random)
{
    int64_t start_ms = 1700000000000;
    plan->job_count = (size_t)(1 + sim_below(random, SIM_JOBS_MAX));
    for (size_t i = 0; i < plan->job_count; i++) {
        struct sim_job *job = &plan->jobs[i];
        snprintf(job->id, sizeof job->id, "01890000-0000-7000-8000-%012d", (int)i + 1);
        snprintf(job->owner, sizeof job->owner, "o%d", sim_below(random, 2));
        snprintf(job->key, sizeof job->key, "key%d", (int)i);
        job->source = cm_strdup(sim_chance(random, 500) ? "/v.mp4" : "https://x/v.mp4");
        job->params = params_text(random, start_ms);
        job->priority = sim_below(random, 21) - 10;
        job->submit_ms = sim_below(random, 60000);
    }
}

struct sim_plan *sim_plan_new(struct sim_random *random)
{
    struct sim_plan *plan = cm_alloc(sizeof *plan);
    char *text = pipeline_text(random), *error = NULL;
    plan->pipeline = cm_pipeline_parse(text, &error);
    if (!plan->pipeline) {
        fprintf(stderr, "the simulator made a bad pipeline: %s\n%s\n", error, text);
        abort();
    }
    free(text);
    plan->instances = cm_alloc(sizeof instances);
    sim_plan_shake(plan, random, 1);
    plan->slots = 1 + sim_below(random, 6);
    plan_jobs(plan, random);
    return plan;
}

void sim_plan_shake(struct sim_plan *plan, struct sim_random *random, int restore)
{
    static const int64_t rates[] = {0, 0, 200000, 1500000};
    plan->instance_count = 0;
    for (size_t i = 0; i < sizeof instances / sizeof *instances; i++) {
        struct cm_instance *instance = &plan->instances[plan->instance_count];
        *instance = instances[i];
        instance->limit = 1 + sim_below(random, 3);
        instance->rate_us = rates[sim_below(random, 4)];
        plan->instance_count += restore || !sim_chance(random, 80);
    }
}

void sim_plan_free(struct sim_plan *plan)
{
    for (size_t i = 0; i < plan->job_count; i++) {
        free(plan->jobs[i].source);
        free(plan->jobs[i].params);
    }
    cm_pipeline_free(plan->pipeline);
    free(plan->instances);
    free(plan);
}

const struct cm_instance *sim_plan_instance(const struct sim_plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->instance_count; i++) {
        if (!strcmp(plan->instances[i].name, name)) {
            return &plan->instances[i];
        }
    }
    return NULL;
}

size_t sim_plan_job(const struct sim_plan *plan, const char *id)
{
    size_t index = 0;
    while (strcmp(plan->jobs[index].id, id)) {
        index++;
    }
    return index;
}
