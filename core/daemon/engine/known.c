/*
 * What the engine knows of the configuration: instances, and pipelines of every version that a job may need.
 */
#include <string.h>

#include "core/common/text.h"
#include "core/daemon/engine/state.h"

const struct cm_known_instance *cm_engine_instance(const struct cm_engine *engine, const char *name)
{
    for (size_t i = 0; i < engine->instance_count; i++) {
        if (!strcmp(engine->instances[i].instance.name, name)) {
            return &engine->instances[i];
        }
    }
    return NULL;
}

const struct cm_pipeline *cm_engine_pipeline(const struct cm_engine *engine, const char *id)
{
    for (size_t i = 0; i < engine->pipeline_count; i++) {
        if (!strcmp(engine->pipelines[i]->id, id)) {
            return engine->pipelines[i];
        }
    }
    return NULL;
}

void cm_engine_keep_pipeline(struct cm_engine *engine, struct cm_pipeline *pipeline)
{
    engine->pipelines =
        cm_grow(engine->pipelines, &engine->pipeline_room, engine->pipeline_count, sizeof(struct cm_pipeline *));
    engine->pipelines[engine->pipeline_count++] = pipeline;
}
