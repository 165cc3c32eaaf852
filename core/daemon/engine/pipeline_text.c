/*
 * The canonical text of a pipeline: the same however it was written, so that its hash is its id.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/done.h"
#include "core/common/file.h"
#include "core/common/text.h"
#include "core/daemon/engine/pipeline_read.h"

static void put_text(struct json_object *object, const char *name, const char *text)
{
    if (*text) {
        json_object_object_add(object, name, json_object_new_string(text));
    }
}

static void put_format(struct json_object *object, const char *name, char *text)
{
    put_text(object, name, text);
    free(text);
}

static void put_lists(struct json_object *object, const struct cm_pipeline *pipeline, const struct cm_step *step)
{
    if (step->use_count) {
        struct json_object *use = json_object_new_array();
        for (size_t i = 0; i < step->use_count; i++) {
            json_object_array_add(use, json_object_new_string(step->use[i]));
        }
        json_object_object_add(object, "use", use);
    }
    if (step->after_count) {
        struct json_object *after = json_object_new_array();
        for (size_t i = 0; i < step->after_count; i++) {
            json_object_array_add(after, json_object_new_string(pipeline->steps[step->after[i]].name));
        }
        json_object_object_add(object, "after", after);
    }
    struct cm_text each = {0};
    for (size_t i = 0; i < step->each_count; i++) {
        cm_text_addf(&each, "%s%s", i ? "*" : "", step->each[i]);
    }
    put_format(object, "each", cm_text_take(&each));
}

static char *need_text(const struct cm_need *need)
{
    switch (need->kind) {
    case CM_NEED_ANY:
        return cm_strdup("any");
    case CM_NEED_COUNT:
        return cm_format("%lld", (long long)need->number);
    case CM_NEED_PERCENT:
        return cm_format("%lld%%", (long long)need->number);
    case CM_NEED_ALL:
        break;
    }
    return cm_strdup("all");
}

static struct json_object *canonical_step(const struct cm_pipeline *pipeline, const struct cm_step *step)
{
    struct json_object *object = json_object_new_object();
    put_text(object, "step", step->name);
    put_text(object, "stage", cm_stage_name(step->stage));
    put_text(object, "builtin", step->builtin);
    put_text(object, "ask", step->ask);
    put_lists(object, pipeline, step);
    put_text(object, "makes", step->makes);
    put_format(object, "need", need_text(&step->need));
    if (step->optional) {
        json_object_object_add(object, "optional", json_object_new_boolean(1));
    }
    json_object_object_add(object, "tries", json_object_new_int64(step->tries));
    put_format(object, "deadline", cm_format("%lldms", (long long)step->deadline_ms));
    put_format(object, "warn", cm_format("%lldms", (long long)step->warn_ms));
    if (step->stall_ms) {
        put_format(object, "stall", cm_format("%lldms", (long long)step->stall_ms));
    }
    return object;
}

void cm_pipeline_write(struct cm_pipeline *pipeline)
{
    struct json_object *object = json_object_new_object();
    struct json_object *steps = json_object_new_array();
    char hash[65];
    for (size_t i = 0; i < pipeline->step_count; i++) {
        json_object_array_add(steps, canonical_step(pipeline, &pipeline->steps[i]));
    }
    json_object_object_add(object, "name", json_object_new_string(pipeline->name));
    json_object_object_add(object, "steps", steps);
    pipeline->json =
        cm_strdup(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(object);
    cm_sha256(pipeline->json, strlen(pipeline->json), hash);
    pipeline->id = cm_strdup(hash);
}
