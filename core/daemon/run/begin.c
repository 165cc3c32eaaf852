/*
 * Making the begin message from what the engine decided and the config says.
 */
#include "core/daemon/run/begin.h"

#include <clipmaker/plugin.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/done.h"
#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/options.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/daemon/config/config.h"
#include "core/daemon/engine/engine.h"

/* Nothing is the same as "" to whoever reads it. */
static void put_text(struct json_object *object, const char *field, const char *text)
{
    if (text && *text) {
        json_object_object_add(object, field, json_object_new_string(text));
    }
}

static void put_number(struct json_object *object, const char *field, int64_t number)
{
    json_object_object_add(object, field, json_object_new_int64(number));
}

/* JSON text as an object; {} when it is none. */
static struct json_object *object_of(const char *text)
{
    struct json_object *object = text && *text ? cm_json_parse(text, strlen(text), NULL) : NULL;
    if (object && json_object_is_type(object, json_type_object)) {
        return object;
    }
    json_object_put(object);
    return json_object_new_object();
}

/* Parameters of a job: all its tasks have the same, so the last ones are kept. */
static struct json_object *params_of(const char *text)
{
    static char *kept_text;
    static struct json_object *kept;
    if (!kept_text || strcmp(kept_text, text) != 0) {
        json_object_put(kept);
        free(kept_text);
        kept_text = cm_strdup(text);
        kept = object_of(text);
    }
    return json_object_get(kept);
}

/* ---- Inputs ---------------------------------------------------------------------------------- */

static struct json_object *input_of(const struct cm_begin *begin, const struct cm_artifact_row *row)
{
    struct json_object *input = json_object_new_object();
    char *path = *row->path == '/' ? cm_strdup(row->path) : cm_path_join(begin->state, row->path);
    put_text(input, "role", row->role);
    put_text(input, "key", row->key);
    put_text(input, "step", row->step);
    put_text(input, "item", row->item);
    put_text(input, "path", path);
    put_number(input, "bytes", row->bytes);
    json_object_object_add(input, "facts", object_of(row->facts));
    free(path);
    return input;
}

static struct json_object *inputs_of(const struct cm_begin *begin)
{
    struct json_object *inputs = json_object_new_array();
    for (size_t i = 0; i < begin->start->input_count; i++) {
        json_object_array_add(inputs, input_of(begin, begin->start->inputs[i]));
    }
    return inputs;
}

char *cm_begin_shorten(const struct cm_begin *begin, struct json_object *message)
{
    struct json_object *inputs = cm_json_array(message, "inputs");
    char *path = cm_path_join(begin->folder, "inputs.json"), *error = NULL;
    size_t bytes;
    const char *text = json_object_to_json_string_length(inputs, JSON_C_TO_STRING_PLAIN, &bytes);
    FILE *file = cm_folder_make(begin->folder) == 0 ? fopen(path, "we") : NULL;
    int failed = !file || fwrite(text, 1, bytes, file) != bytes;
    failed |= file && fclose(file) != 0;
    if (failed) {
        error = cm_format(_("cannot write %s: %s"), path, strerror(errno));
    }
    json_object_object_del(message, "inputs");
    put_text(message, "inputs_file", "inputs.json");
    free(path);
    return error;
}

/* ---- Options --------------------------------------------------------------------------------- */

/* One option as the worker gets it: secrets resolved, paths opened. NULL, or why not. */
static char *put_option(struct json_object *message, const struct cm_plugin_use *use, struct json_object *option)
{
    const char *name = cm_json_text(option, "name", ""), *type = cm_json_text(option, "type", "");
    const char *text = cm_json_text(use->options, name, NULL);
    if (!text) {
        return NULL;
    }
    struct json_object *options = cm_json_object(message, "options");
    if (!strcmp(type, "secret") && *text) {
        char *why = NULL, *secret = cm_secret_resolve(text, &why);
        if (!secret) {
            char *error = cm_format("%s: %s: %s: %s", cm_json_text(use->lines, name, use->file), use->name, name, why);
            free(why);
            return error;
        }
        cm_log_secret(secret);
        put_text(options, name, secret);
        json_object_array_add(cm_json_array(message, "secrets"), json_object_new_string(name));
        cm_wipe(secret, strlen(secret));
        free(secret);
        return NULL;
    }
    put_text(options, name, text);
    if (!strcmp(type, "path") && *text) {
        const char *set = cm_json_flag(option, "writable", 0) ? "write" : "read";
        json_object_array_add(cm_json_array(message, set), json_object_new_string(text));
    }
    return NULL;
}

static char *put_options(struct json_object *message, const struct cm_plugin_use *use)
{
    struct json_object *described = cm_json_array(use->described, "options");
    char *error = NULL;
    for (size_t i = 0; described && !error && i < json_object_array_length(described); i++) {
        error = put_option(message, use, json_object_array_get_idx(described, i));
    }
    return error;
}

/* ---- The message ----------------------------------------------------------------------------- */

int cm_begin_is_confined(int stage)
{
    return stage == CM_STAGE_SOURCE || stage == CM_STAGE_PREPARE || stage == CM_STAGE_RENDER;
}

/* Where paid answers of the job are kept. */
static void put_answers(struct json_object *message, const struct cm_begin *begin, int stage)
{
    const char *job = begin->start->job;
    if (job && (stage == CM_STAGE_STT || stage == CM_STAGE_LLM)) {
        char *folder = cm_format("%s/jobs/%s/" CM_ANSWERS_FOLDER, begin->state, job);
        put_text(message, "answers", folder);
        free(folder);
    }
}

static void put_task(struct json_object *message, const struct cm_begin *begin, int stage)
{
    const struct cm_start *start = begin->start;
    put_text(message, "attempt", begin->name);
    put_text(message, "job", start->job);
    put_text(message, "step", start->step);
    put_text(message, "item", start->item);
    put_number(message, "fence", start->fence);
    put_text(message, "stage", stage ? cm_stage_name(stage) : "");
    put_text(message, "op", start->op);
    put_text(message, "builtin", start->builtin);
    put_text(message, "instance", start->instance);
    put_text(message, "language", start->language);
    put_number(message, "warn_ms", start->warn_ms);
    put_number(message, "deadline_ms", start->deadline_ms);
    put_text(message, "dir", begin->folder);
    put_text(message, "source", start->source);
    put_answers(message, begin, stage);
    json_object_object_add(message, "params", params_of(start->params ? start->params : ""));
    put_text(message, "ask", start->ask);
    put_text(message, "effect_key", start->effect_key);
    put_text(message, "post_id", start->post_id);
    if (start->max_bytes > 0) {
        put_number(message, "max_bytes", start->max_bytes);
    }
    put_text(message, "prompts", begin->config->prompts);
    put_number(message, "memory_bytes", cm_config_memory(begin->config, stage));
    json_object_object_add(message, "confine", json_object_new_boolean(cm_begin_is_confined(stage)));
}

struct json_object *cm_begin_make(const struct cm_begin *begin, char **error)
{
    const char *instance = begin->start->instance;
    const struct cm_plugin_use *use = *instance ? cm_config_use(begin->config, instance) : NULL;
    struct json_object *message = cm_message_new("begin");
    put_task(message, begin, use ? use->stage : 0);
    put_text(message, "plugin", use ? use->path : "");
    if (use && use->stage == CM_STAGE_PUBLISH) {
        put_number(message, "max_clip_bytes", use->max_clip_bytes);
        put_number(message, "max_clip_ms", use->max_clip_ms);
    }
    static const char *const lists[] = {"secrets", "read", "write"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        json_object_object_add(message, lists[i], json_object_new_array());
    }
    json_object_object_add(message, "options", json_object_new_object());
    json_object_object_add(message, "saved", begin->saved);
    json_object_object_add(message, "recalled", begin->recalled);
    json_object_object_add(message, "inputs", inputs_of(begin));
    if (*instance && !use) {
        *error = cm_format(_("the plugin instance %s is not in the config any more"), instance);
    } else {
        *error = use ? put_options(message, use) : NULL;
    }
    if (!*error) {
        return message;
    }
    json_object_put(message);
    return NULL;
}
