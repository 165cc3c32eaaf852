/*
 * Pipelines: from libconfig to the JSON that pipeline.c checks, and from its complaints back to
 * file and line.
 */
#include <clipmaker/plugin.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/done.h"
#include "core/common/log.h"
#include "core/common/text.h"
#include "core/daemon/config/build.h"
#include "core/daemon/engine/pipeline.h"

/* What a step may say, and what its value must look like. */
enum shape {
    TEXT = 1,
    NAMES,
    FLAG,
    WHOLE,
    TEXT_OR_WHOLE,
    TEXT_OR_NAMES
};

static const char *const shape_words[] = {
    [TEXT] = "text in quotes",
    [NAMES] = "a list of names: [ \"a\", \"b\" ]",
    [FLAG] = "true or false, without quotes",
    [WHOLE] = "a whole number, without quotes",
    [TEXT_OR_WHOLE] = "\"all\", \"any\", \"80%\" or a number",
    [TEXT_OR_NAMES] = "a name or a list with one name",
};

static const char *const step_keys[] = {"step",  "stage", "builtin",  "use",   "ask",      "after", "each",
                                        "makes", "need",  "optional", "tries", "deadline", "warn",  "stall"};
static const enum shape step_shapes[] = {TEXT,          TEXT,          TEXT, NAMES, TEXT, NAMES, TEXT,
                                         TEXT_OR_NAMES, TEXT_OR_WHOLE, FLAG, WHOLE, TEXT, TEXT,  TEXT};
#define STEP_KEY_COUNT (sizeof step_keys / sizeof *step_keys)

/* ---- To JSON --------------------------------------------------------------------------------- */

static struct json_object *to_json(const config_setting_t *setting)
{
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_INT:
        return json_object_new_int(config_setting_get_int(setting));
    case CONFIG_TYPE_FLOAT:
        return json_object_new_double(config_setting_get_float(setting));
    case CONFIG_TYPE_BOOL:
        return json_object_new_boolean(config_setting_get_bool(setting));
    case CONFIG_TYPE_STRING:
        return json_object_new_string(config_setting_get_string(setting));
    case CONFIG_TYPE_GROUP: {
        struct json_object *object = json_object_new_object();
        for (int i = 0; i < config_setting_length(setting); i++) {
            config_setting_t *member = config_setting_get_elem(setting, (unsigned)i);
            json_object_object_add(object, config_setting_name(member), to_json(member));
        }
        return object;
    }
    default: {
        struct json_object *array = json_object_new_array();
        for (int i = 0; i < config_setting_length(setting); i++) {
            json_object_array_add(array, to_json(config_setting_get_elem(setting, (unsigned)i)));
        }
        return array;
    }
    }
}

static int has_only_text(const config_setting_t *list)
{
    for (int i = 0; i < config_setting_length(list); i++) {
        if (config_setting_type(config_setting_get_elem(list, (unsigned)i)) != CONFIG_TYPE_STRING) {
            return 0;
        }
    }
    return 1;
}

static int has_shape(const config_setting_t *setting, enum shape shape)
{
    int type = config_setting_type(setting);
    int is_text = type == CONFIG_TYPE_STRING, is_whole = type == CONFIG_TYPE_INT;
    int is_names = (type == CONFIG_TYPE_ARRAY || type == CONFIG_TYPE_LIST) && has_only_text(setting);
    switch (shape) {
    case TEXT:
        return is_text;
    case NAMES:
        return is_names;
    case FLAG:
        return type == CONFIG_TYPE_BOOL;
    case WHOLE:
        return is_whole;
    case TEXT_OR_WHOLE:
        return is_text || is_whole;
    case TEXT_OR_NAMES:
        return is_text || is_names;
    }
    return 0;
}

/* What stands in `chains` for this step, or NULL. */
static const struct cm_conf_value *chain_of(const struct cm_build *build, const char *step)
{
    char *path = cm_format("chains.%s", step);
    const struct cm_conf_value *chain = cm_conf_find(build->conf, path);
    free(path);
    return chain;
}

/* Puts the chains in the place of the steps' own `use`. */
static void take_chains(const struct cm_build *build, struct json_object *steps)
{
    for (size_t i = 0; i < json_object_array_length(steps); i++) {
        struct json_object *step = json_object_array_get_idx(steps, i), *name = json_object_object_get(step, "step");
        const struct cm_conf_value *chain = name ? chain_of(build, json_object_get_string(name)) : NULL;
        if (chain && has_shape(chain->setting, NAMES)) {
            json_object_object_add(step, "use", to_json(chain->setting));
        }
    }
}

/* ---- Places ---------------------------------------------------------------------------------- */

static int line_of(const config_setting_t *setting)
{
    return (int)config_setting_source_line(setting);
}

static const char *step_name(const config_setting_t *step)
{
    const char *name = NULL;
    config_setting_lookup_string(step, "step", &name);
    return name ? name : "";
}

static config_setting_t *step_named(const struct cm_conf_value *value, const char *name)
{
    for (int i = 0; i < config_setting_length(value->setting); i++) {
        config_setting_t *step = config_setting_get_elem(value->setting, (unsigned)i);
        if (config_setting_is_group(step) && !strcmp(step_name(step), name)) {
            return step;
        }
    }
    return NULL;
}

/* The line of the step that a complaint quotes first, else of the pipeline itself. */
static int line_of_complaint(const struct cm_conf_value *value, const char *words)
{
    const char *first = NULL;
    int line = value->line;
    for (int i = 0; i < config_setting_length(value->setting); i++) {
        config_setting_t *step = config_setting_get_elem(value->setting, (unsigned)i);
        if (!config_setting_is_group(step) || !*step_name(step)) {
            continue;
        }
        char *quoted = cm_format("\"%s\"", step_name(step));
        const char *at = strstr(words, quoted);
        free(quoted);
        if (at && (!first || at < first)) {
            first = at;
            line = line_of(step);
        }
    }
    return line;
}

/* ---- Checks before and after ----------------------------------------------------------------- */

static void check_member(struct cm_build *build, const struct cm_conf_value *value, const config_setting_t *member)
{
    const char *key = config_setting_name(member);
    for (size_t i = 0; i < STEP_KEY_COUNT; i++) {
        if (strcmp(step_keys[i], key) != 0) {
            continue;
        }
        if (!has_shape(member, step_shapes[i])) {
            cm_complain(build->complaints, value->file, line_of(member), "%s of a step must be %s", key,
                        shape_words[step_shapes[i]]);
        }
        return;
    }
    char *hint = cm_did_you_mean(key, step_keys, STEP_KEY_COUNT);
    cm_complain(build->complaints, value->file, line_of(member), "unknown setting %s of a step%s", key, hint);
    free(hint);
}

/* The shape that can be judged without knowing what a step means. Returns how many complaints. */
static size_t check_shape(struct cm_build *build, const struct cm_conf_value *value)
{
    size_t before = build->complaints->count;
    if (!config_setting_is_list(value->setting) || config_setting_length(value->setting) == 0) {
        cm_complain(build->complaints, value->file, value->line,
                    "%s must be a list of steps: ( { step = \"…\"; … }, … )", value->path);
        return 1;
    }
    for (int i = 0; i < config_setting_length(value->setting); i++) {
        config_setting_t *step = config_setting_get_elem(value->setting, (unsigned)i);
        if (!config_setting_is_group(step)) {
            cm_complain(build->complaints, value->file, line_of(step),
                        "%s: a step must be a group: { step = \"…\"; … }", value->path);
            continue;
        }
        for (int k = 0; k < config_setting_length(step); k++) {
            check_member(build, value, config_setting_get_elem(step, (unsigned)k));
        }
    }
    return build->complaints->count - before;
}

static void complain_instance(struct cm_build *build, const char *file, int line, const struct cm_step *step,
                              const char *name)
{
    const struct cm_config *config = build->config;
    const char **names = cm_alloc((config->use_count + 1) * sizeof *names);
    for (size_t i = 0; i < config->use_count; i++) {
        names[i] = config->uses[i].name;
    }
    char *hint = cm_did_you_mean(name, names, config->use_count);
    cm_complain(build->complaints, file, line, "step \"%s\" uses \"%s\", which is not in plugins%s", step->name, name,
                hint);
    free(hint);
    free(names);
}

/* Every name in `use` is an instance of the step's stage; "target" is the item's own. */
static void check_use(struct cm_build *build, const struct cm_conf_value *value, const struct cm_step *step)
{
    const config_setting_t *source = step_named(value, step->name);
    const struct cm_conf_value *chain = chain_of(build, step->name);
    const char *file = chain ? chain->file : value->file;
    int line = chain ? chain->line : source ? line_of(source) : value->line;
    for (size_t i = 0; i < step->use_count; i++) {
        const struct cm_plugin_use *use = cm_config_use(build->config, step->use[i]);
        if (!strcmp(step->use[i], "target")) {
            if (step->stage != CM_STAGE_PUBLISH) {
                cm_complain(build->complaints, file, line, "step \"%s\" uses \"target\", which only publish can",
                            step->name);
            }
        } else if (!use) {
            complain_instance(build, file, line, step, step->use[i]);
        } else if (use->stage && use->stage != step->stage) {
            cm_complain(build->complaints, file, line, "step \"%s\" is of stage %s, but %s (plugin %s) is for %s",
                        step->name, cm_stage_name(step->stage), use->name, use->plugin, cm_stage_name(use->stage));
        }
    }
}

static void add_pipeline(struct cm_build *build, const struct cm_conf_value *value)
{
    if (check_shape(build, value) > 0) {
        return;
    }
    struct json_object *whole = json_object_new_object(), *steps = to_json(value->setting);
    take_chains(build, steps);
    json_object_object_add(whole, "name", json_object_new_string(value->path + strlen("pipelines.")));
    json_object_object_add(whole, "steps", steps);
    char *error = NULL;
    struct cm_pipeline *pipeline =
        cm_pipeline_parse(json_object_to_json_string_ext(whole, JSON_C_TO_STRING_PLAIN), &error);
    json_object_put(whole);
    if (!pipeline) {
        char *rest = error, *line;
        while ((line = strsep(&rest, "\n"))) {
            cm_complain(build->complaints, value->file, line_of_complaint(value, line), "%s", line);
        }
        free(error);
        return;
    }
    struct cm_config *config = build->config;
    config->pipelines =
        cm_grow(config->pipelines, &config->pipeline_room, config->pipeline_count, sizeof *config->pipelines);
    config->pipelines[config->pipeline_count++] = pipeline;
    for (size_t i = 0; i < pipeline->step_count; i++) {
        check_use(build, value, &pipeline->steps[i]);
    }
}

/* A chain is a list of names, for a step that some pipeline has. */
static void check_chain(struct cm_build *build, const struct cm_conf_value *chain)
{
    const char *step = chain->path + strlen("chains.");
    const char **names = NULL;
    size_t count = 0, room = 0;
    int is_known = 0;
    if (!has_shape(chain->setting, NAMES) || config_setting_length(chain->setting) == 0) {
        cm_complain(build->complaints, chain->file, chain->line, "%s must be %s", chain->path, shape_words[NAMES]);
        return;
    }
    for (size_t i = 0; i < build->config->pipeline_count; i++) {
        const struct cm_pipeline *pipeline = build->config->pipelines[i];
        for (size_t k = 0; k < pipeline->step_count; k++) {
            names = cm_grow(names, &room, count, sizeof *names);
            names[count++] = pipeline->steps[k].name;
            is_known = is_known || !strcmp(pipeline->steps[k].name, step);
        }
    }
    if (!is_known) {
        char *hint = cm_did_you_mean(step, names, count);
        cm_complain(build->complaints, chain->file, chain->line, "%s: no pipeline has a step \"%s\"%s", chain->path,
                    step, hint);
        free(hint);
    }
    free(names);
}

/* How `clipmaker publish` posts one clip, unless the configuration says it otherwise. */
static const char own_pipeline[] =
    "{\"name\":\"publish\",\"steps\":["
    "{\"step\":\"clip\",\"builtin\":\"take\"},"
    "{\"step\":\"publish\",\"stage\":\"publish\",\"use\":[\"target\"],\"after\":[\"clip\"],"
    "\"each\":\"target\",\"tries\":5}]}";

static void add_own_pipeline(struct cm_build *build)
{
    struct cm_config *config = build->config;
    if (cm_config_pipeline(config, "publish") || cm_conf_find(build->conf, "pipelines.publish")) {
        return;
    }
    config->pipelines =
        cm_grow(config->pipelines, &config->pipeline_room, config->pipeline_count, sizeof *config->pipelines);
    config->pipelines[config->pipeline_count] = cm_pipeline_parse(own_pipeline, NULL);
    cm_assert(config->pipelines[config->pipeline_count]);
    config->pipeline_count++;
}

void cm_build_pipelines(struct cm_build *build)
{
    for (size_t i = 0; i < build->conf->value_count; i++) {
        if (cm_starts_with(build->conf->values[i].path, "pipelines.")) {
            add_pipeline(build, &build->conf->values[i]);
        }
    }
    add_own_pipeline(build);
    for (size_t i = 0; i < build->conf->value_count; i++) {
        if (cm_starts_with(build->conf->values[i].path, "chains.")) {
            check_chain(build, &build->conf->values[i]);
        }
    }
}
