/*
 * A config once it is built: looking things up in it, and its end.
 */
#include "core/daemon/config/config.h"

#include <clipmaker/plugin.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/common/options.h"
#include "core/common/text.h"
#include "core/daemon/config/prices.h"

/* ---- Names ----------------------------------------------------------------------------------- */

int cm_names_has(const struct cm_names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (!strcmp(names->items[i], name)) {
            return 1;
        }
    }
    return 0;
}

void cm_names_add(struct cm_names *names, const char *name)
{
    names->items = cm_grow(names->items, &names->room, names->count, sizeof *names->items);
    names->items[names->count++] = cm_strdup(name);
}

static void free_names(struct cm_names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        free(names->items[i]);
    }
    free(names->items);
}

/* ---- Reading it ------------------------------------------------------------------------------ */

const struct cm_plugin_use *cm_config_use(const struct cm_config *config, const char *name)
{
    for (size_t i = 0; i < config->use_count; i++) {
        if (!strcmp(config->uses[i].name, name)) {
            return &config->uses[i];
        }
    }
    return NULL;
}

const struct cm_pipeline *cm_config_pipeline(const struct cm_config *config, const char *name)
{
    for (size_t i = 0; i < config->pipeline_count; i++) {
        if (!strcmp(config->pipelines[i]->name, name)) {
            return config->pipelines[i];
        }
    }
    return NULL;
}

int64_t cm_config_memory(const struct cm_config *config, int stage)
{
    const struct cm_settings *settings = &config->settings;
    switch (stage) {
    case CM_STAGE_SOURCE:
        return settings->memory_source_bytes;
    case CM_STAGE_PREPARE:
        return settings->memory_prepare_bytes;
    case CM_STAGE_STT:
        return settings->memory_stt_bytes;
    case CM_STAGE_LLM:
        return settings->memory_llm_bytes;
    case CM_STAGE_RENDER:
        return settings->memory_render_bytes;
    case CM_STAGE_PUBLISH:
        return settings->memory_publish_bytes;
    default:
        return settings->memory_builtin_bytes;
    }
}

struct cm_engine_config cm_config_engine(const struct cm_config *config, const char *boot, uint64_t seed)
{
    const struct cm_settings *settings = &config->settings;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return (struct cm_engine_config){
        .boot = boot,
        .seed = seed,
        .slots = settings->slots ? (int)settings->slots
                 : cores > 0     ? (int)cores
                                 : 1,
        .max_jobs = (int)settings->max_jobs,
        .instances = config->instances,
        .instance_count = config->use_count,
        .pipelines = config->pipelines,
        .pipeline_count = config->pipeline_count,
        .backoff_base_ms = settings->backoff_base_ms,
        .backoff_max_ms = settings->backoff_max_ms,
        .breaker_failures = (int)settings->breaker_failures,
        .breaker_rest_ms = settings->breaker_rest_ms,
        .strategy = !strcmp(settings->strategy, "global") ? CM_STRATEGY_GLOBAL : CM_STRATEGY_RU,
        .owners = config->owners,
        .owner_count = config->owner_count,
    };
}

/* ---- Its end --------------------------------------------------------------------------------- */

void cm_config_free(struct cm_config *config)
{
    if (!config) {
        return;
    }
    for (size_t i = 0; i < config->use_count; i++) {
        struct cm_plugin_use *use = &config->uses[i];
        free(use->name);
        free(use->plugin);
        free(use->path);
        free(use->file);
        free(use->account);
        free(use->recipient);
        json_object_put(use->options);
        json_object_put(use->lines);
        json_object_put(use->described);
    }
    for (size_t i = 0; i < config->owner_count; i++) {
        free((char *)config->owners[i].name);
    }
    for (size_t i = 0; i < config->pipeline_count; i++) {
        cm_pipeline_free(config->pipelines[i]);
    }
    cm_options_release(cm_settings_table(), &config->settings);
    for (size_t i = 0; i < config->price_list_count; i++) {
        cm_prices_free(config->price_lists[i]);
    }
    free_names(&config->formats);
    free_names(&config->targets);
    free(config->price_lists);
    free(config->uses);
    free(config->owners);
    free(config->pipelines);
    free(config->instances);
    free(config->state);
    free(config->store);
    free(config->prompts);
    free(config->worker);
    free(config->plugin_folder);
    free(config->path);
    free(config);
}
