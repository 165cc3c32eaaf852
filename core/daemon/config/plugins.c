/*
 * The `plugins` group: each instance is checked against what its plugin says of itself.
 */
#include <clipmaker/plugin.h>
#include <json-c/json.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/common/done.h"
#include "core/common/file.h"
#include "core/common/message.h"
#include "core/common/options.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/daemon/config/build.h"
#include "core/daemon/config/load.h"
#include "core/daemon/config/prices.h"
#include "core/daemon/registry.h"

#define NAME_MAX_BYTES 32
#define LIMIT_MAX 1024

/* ---- Finding it ------------------------------------------------------------------------------ */

static int is_name(const char *text)
{
    size_t bytes = strlen(text);
    return bytes > 0 && bytes <= NAME_MAX_BYTES && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-") == bytes;
}

/* The value of one key of the instance, or NULL. */
static const struct cm_conf_value *key_of(const struct cm_build *build, const char *instance, const char *key)
{
    char *path = cm_format("plugins.%s.%s", instance, key);
    const struct cm_conf_value *value = cm_conf_find(build->conf, path);
    free(path);
    return value;
}

static const char *string_of(const struct cm_conf_value *value)
{
    return value && config_setting_type(value->setting) == CONFIG_TYPE_STRING
               ? config_setting_get_string(value->setting)
               : NULL;
}

/* "stage_name" in the plugin folder, or an absolute path to any .so. */
static char *plugin_path(const struct cm_build *build, const char *plugin)
{
    if (*plugin == '/') {
        return cm_strdup(plugin);
    }
    return cm_format("%s/%s.so", build->config->plugin_folder, plugin);
}

/* ---- Its own keys ---------------------------------------------------------------------------- */

static void take_limit(struct cm_build *build, struct cm_plugin_use *use)
{
    const struct cm_conf_value *value = key_of(build, use->name, "limit");
    use->limit = use->stage == CM_STAGE_STT || use->stage == CM_STAGE_LLM ? 2 : 1;
    if (!value) {
        return;
    }
    int is_int = config_setting_type(value->setting) == CONFIG_TYPE_INT;
    use->limit = is_int ? config_setting_get_int(value->setting) : 0;
    if (use->limit < 1 || use->limit > LIMIT_MAX) {
        cm_complain(build->complaints, value->file, value->line,
                    "%s: limit must be a number from 1 to %d: how many attempts at once", value->path, LIMIT_MAX);
    }
}

static void take_rate(struct cm_build *build, struct cm_plugin_use *use)
{
    const struct cm_conf_value *value = key_of(build, use->name, "rate");
    if (!value) {
        return;
    }
    const char *text = string_of(value);
    char *error = NULL;
    if (!text || cm_parse_rate(text, &use->rate_us, &error) != 0) {
        cm_complain(build->complaints, value->file, value->line, "%s: %s", value->path,
                    error ? error : "a rate is written as text: \"5/s\"");
    }
    free(error);
}

static void take_account(struct cm_build *build, struct cm_plugin_use *use)
{
    const struct cm_conf_value *value = key_of(build, use->name, "account");
    const char *text = value ? string_of(value) : "";
    if (!text || (value && !*text)) {
        cm_complain(build->complaints, value->file, value->line,
                    "%s: account is a name in quotes, the same for all that share the account", value->path);
        text = "";
    }
    free(use->account);
    use->account = cm_strdup(text);
}

/* ---- Its prices ------------------------------------------------------------------------------ */

static const struct cm_price_list *list_read_before(const struct cm_config *config, const char *name)
{
    for (size_t i = 0; i < config->price_list_count; i++) {
        if (!strcmp(config->price_lists[i]->name, name)) {
            return config->price_lists[i];
        }
    }
    return NULL;
}

/* An operator's own list beside the config, else one that came along; or the absolute path of any. */
static char *list_path(const struct cm_config *config, const char *name)
{
    if (*name == '/') {
        return cm_strdup(name);
    }
    char *beside = cm_format("prices/%s.conf", name), *own = cm_conf_path(config->path, beside);
    free(beside);
    if (access(own, F_OK) == 0) {
        return own;
    }
    free(own);
    char *data = cm_place(CM_PLACE_DATA), *path = cm_format("%s/prices/%s.conf", data, name);
    free(data);
    return path;
}

static struct cm_price_list *read_list(struct cm_build *build, const struct cm_conf_value *value, const char *name)
{
    struct cm_config *config = build->config;
    char *path = list_path(config, name);
    struct cm_price_list *list = NULL;
    if (access(path, R_OK) != 0) {
        cm_complain(build->complaints, value->file, value->line,
                    "%s: there is no price list %s; write one, or name another (clipmaker.conf(5), PRICES)",
                    value->path, path);
    } else {
        list = cm_prices_read(path, name, build->complaints);
    }
    free(path);
    if (list) {
        config->price_lists = cm_grow(config->price_lists, &config->price_list_room, config->price_list_count,
                                      sizeof *config->price_lists);
        config->price_lists[config->price_list_count++] = list;
        list->unit_micro = llround(config->settings.usd_roubles * 1e6);
    }
    return list;
}

static void take_prices(struct cm_build *build, struct cm_plugin_use *use)
{
    const struct cm_conf_value *value = key_of(build, use->name, "prices");
    const char *name = string_of(value);
    if (!value) {
        return;
    }
    if (!name || (*name != '/' && !is_name(name))) {
        cm_complain(build->complaints, value->file, value->line,
                    "%s: prices is the name of a price list in quotes, as \"openai\", or the absolute path of one",
                    value->path);
        return;
    }
    use->prices = list_read_before(build->config, name);
    use->prices = use->prices ? use->prices : read_list(build, value, name);
    if (use->prices && strcmp(use->prices->currency, "RUB") != 0 && use->prices->unit_micro <= 0) {
        cm_complain(build->complaints, value->file, value->line,
                    "%s: the prices of %s are in dollars; say what a dollar costs: usd: { roubles = …; as_of = "
                    "\"2026-11-20\"; };",
                    value->path, name);
    }
}

/* What its plugin takes, unless the operator knows better: a server of one's own may take more. */
static void take_clip_limit(struct cm_build *build, struct cm_plugin_use *use, const char *key,
                            int (*parse)(const char *text, int64_t *value, char **error), int64_t *limit)
{
    const struct cm_conf_value *value = key_of(build, use->name, key);
    if (!value) {
        return;
    }
    const char *text = string_of(value);
    char *error = NULL;
    if (use->stage != CM_STAGE_PUBLISH) {
        cm_complain(build->complaints, value->file, value->line, "%s: only what publishes has a %s", value->path, key);
    } else if (!text || parse(text, limit, &error) != 0 || *limit < 0) {
        cm_complain(build->complaints, value->file, value->line, "%s: %s", value->path,
                    error ? error : "is written as text: \"50MB\", \"10m\"; \"0\": any");
    }
    free(error);
}

static void take_clip_limits(struct cm_build *build, struct cm_plugin_use *use)
{
    struct json_object *facts = cm_json_object(use->described, "stage_facts");
    use->max_clip_bytes = cm_json_int(facts, "max_clip_bytes", 0);
    use->max_clip_ms = cm_json_int(facts, "max_clip_ms", 0);
    take_clip_limit(build, use, "max_clip", cm_parse_size, &use->max_clip_bytes);
    take_clip_limit(build, use, "max_clip_length", cm_parse_duration, &use->max_clip_ms);
}

/* What every instance has, beside its plugin's options. */
static const char *const ours[] = {"plugin", "limit",     "rate",     "account",        "prices",
                                   "data",   "recipient", "max_clip", "max_clip_length"};
#define OUR_COUNT (sizeof ours / sizeof *ours)

static int is_ours(const char *key)
{
    for (size_t i = 0; i < OUR_COUNT; i++) {
        if (!strcmp(ours[i], key)) {
            return 1;
        }
    }
    return 0;
}

/* ---- The plugin's options -------------------------------------------------------------------- */

static struct json_object *option_named(struct json_object *described, const char *name)
{
    struct json_object *options = cm_json_array(described, "options");
    for (size_t i = 0; options && i < json_object_array_length(options); i++) {
        struct json_object *one = json_object_array_get_idx(options, i);
        if (!strcmp(cm_json_text(one, "name", ""), name)) {
            return one;
        }
    }
    return NULL;
}

static void complain_unknown(struct cm_build *build, const struct cm_plugin_use *use, const struct cm_conf_value *value,
                             const char *key)
{
    struct json_object *options = cm_json_array(use->described, "options");
    size_t count = options ? json_object_array_length(options) : 0;
    const char **names = cm_alloc((count + OUR_COUNT) * sizeof *names);
    for (size_t i = 0; i < count; i++) {
        names[i] = cm_json_text(json_object_array_get_idx(options, i), "name", "");
    }
    for (size_t i = 0; i < OUR_COUNT; i++) {
        names[count++] = ours[i];
    }
    char *hint = cm_did_you_mean(key, names, count);
    cm_complain(build->complaints, value->file, value->line, "unknown option %s of plugin %s%s", key, use->plugin,
                hint);
    free(hint);
    free(names);
}

/* A duration, size or rate given as a bare number, or a number given as text, is a slip that
 * should be told and not guessed at. */
static const char *wrong_kind(const char *type, int kind)
{
    int is_number = kind == CONFIG_TYPE_INT || kind == CONFIG_TYPE_FLOAT;
    if (!strcmp(type, "int")) {
        return kind == CONFIG_TYPE_INT ? NULL : "must be a whole number, without quotes";
    }
    if (!strcmp(type, "real")) {
        return is_number ? NULL : "must be a number, without quotes";
    }
    if (!strcmp(type, "bool")) {
        return kind == CONFIG_TYPE_BOOL ? NULL : "must be true or false, without quotes";
    }
    return kind == CONFIG_TYPE_STRING ? NULL : "must be text in quotes";
}

static void take_option(struct cm_build *build, struct cm_plugin_use *use, const struct cm_conf_value *value,
                        const char *key)
{
    struct json_object *option = option_named(use->described, key);
    if (!option) {
        complain_unknown(build, use, value, key);
        return;
    }
    const char *type = cm_json_text(option, "type", "");
    const char *slip = wrong_kind(type, config_setting_type(value->setting));
    if (slip) {
        cm_complain(build->complaints, value->file, value->line, "%s (%s) %s", value->path, type, slip);
        return;
    }
    char *text = cm_conf_text(value->setting);
    char *error = cm_option_check(option, text);
    if (error) {
        cm_complain(build->complaints, value->file, value->line, "%s: %s", use->name, error);
        free(error);
    }
    if (!strcmp(type, "path")) {
        char *absolute = cm_conf_path(value->file, text);
        free(text);
        text = absolute;
    }
    char *place = cm_format("%s:%d", value->file, value->line);
    json_object_object_add(use->options, key, json_object_new_string(text));
    json_object_object_add(use->lines, key, json_object_new_string(place));
    free(place);
    free(text);
}

static void take_options(struct cm_build *build, struct cm_plugin_use *use)
{
    char *prefix = cm_format("plugins.%s.", use->name);
    for (size_t i = 0; i < build->conf->value_count; i++) {
        const struct cm_conf_value *value = &build->conf->values[i];
        const char *key = value->path + strlen(prefix);
        if (cm_starts_with(value->path, prefix) && !is_ours(key)) {
            take_option(build, use, value, key);
        }
    }
    free(prefix);
}

/* The folder of `--output` goes into the option that `run` names. */
static void take_output(struct cm_build *build, struct cm_plugin_use *use)
{
    const struct cm_settings *settings = &build->config->settings;
    if (!build->overrides->output || strcmp(settings->run_target, use->name) != 0) {
        return;
    }
    if (!option_named(use->described, settings->run_option)) {
        return; /* the complaint comes with the other checks of `run` */
    }
    char *folder = cm_path_absolute(build->overrides->output);
    json_object_object_add(use->options, settings->run_option, json_object_new_string(folder));
    free(folder);
}

static void check_required(struct cm_build *build, const struct cm_plugin_use *use)
{
    struct json_object *options = cm_json_array(use->described, "options");
    for (size_t i = 0; options && i < json_object_array_length(options); i++) {
        struct json_object *option = json_object_array_get_idx(options, i);
        const char *name = cm_json_text(option, "name", "");
        if (cm_json_flag(option, "required", 0) && !*cm_json_text(use->options, name, "")) {
            cm_complain(build->complaints, use->file, use->line, "%s: plugin %s needs the option %s: %s", use->name,
                        use->plugin, name, cm_json_text(option, "help", ""));
        }
    }
}

/* ---- One instance ---------------------------------------------------------------------------- */

static struct cm_plugin_use *add_use(struct cm_build *build, const char *name, const struct cm_conf_value *value,
                                     const char *plugin)
{
    struct cm_config *config = build->config;
    config->uses = cm_grow(config->uses, &config->use_room, config->use_count, sizeof *config->uses);
    struct cm_plugin_use *use = &config->uses[config->use_count++];
    *use = (struct cm_plugin_use){
        .name = cm_strdup(name),
        .plugin = cm_strdup(plugin),
        .path = plugin_path(build, plugin),
        .file = cm_strdup(value->file),
        .line = value->line,
        .limit = 1,
        .options = json_object_new_object(),
        .lines = json_object_new_object(),
    };
    return use;
}

static void add_instance(struct cm_build *build, const struct cm_conf_value *group)
{
    const char *name = group->path + strlen("plugins.");
    if (!is_name(name) || !strcmp(name, "target")) {
        cm_complain(build->complaints, group->file, group->line,
                    "\"%s\" is no name for an instance: a-z, 0-9, _ and -, at most %d, and not \"target\"", name,
                    NAME_MAX_BYTES);
        return;
    }
    const char *plugin = string_of(key_of(build, name, "plugin"));
    if (!plugin || !*plugin || (*plugin != '/' && strchr(plugin, '/'))) {
        cm_complain(build->complaints, group->file, group->line,
                    "%s: plugin = \"…\" must name a plugin, or the absolute path of one", group->path);
        return;
    }
    struct cm_plugin_use *use = add_use(build, name, group, plugin);
    char *error = NULL;
    use->described = cm_registry_describe(build->registry, build->config->worker, use->path, &error);
    if (!use->described) {
        cm_complain(build->complaints, group->file, group->line, "%s: plugin %s cannot be used: %s", name, plugin,
                    error);
        free(error);
        return;
    }
    use->stage = cm_stage_from_name(cm_json_text(use->described, "stage", ""));
    take_limit(build, use);
    take_rate(build, use);
    take_account(build, use);
    take_prices(build, use);
    take_clip_limits(build, use);
    cm_take_residency(build, use, key_of(build, name, "data"), key_of(build, name, "recipient"));
    take_options(build, use);
    take_output(build, use);
    check_required(build, use);
}

/* The engine's view of an instance; its strings live in the description. */
static struct cm_instance facts_of(const struct cm_plugin_use *use)
{
    struct json_object *facts = cm_json_object(use->described, "stage_facts");
    long long settle = cm_json_int(facts, "settle", 0);
    return (struct cm_instance){
        .name = use->name,
        .stage = use->stage,
        .limit = (int)use->limit,
        .rate_us = use->rate_us,
        .account = use->account,
        .recipient = use->recipient,
        .languages = cm_json_text(facts, "languages", ""),
        .needs_captions = cm_json_flag(facts, "needs_captions", 0) || cm_json_int(facts, "needs_captions", 0) > 0,
        .settle = (uint32_t)settle,
        .settle_ms = cm_json_int(facts, "settle_ms", 0),
        .schemes = cm_json_text(facts, "schemes", ""),
        .elsewhere = cm_json_flag(facts, "elsewhere", 0),
        .max_clip_bytes = use->max_clip_bytes,
        .max_clip_ms = use->max_clip_ms,
        .can_find = cm_json_flag(facts, "can_find", 0) || cm_json_int(facts, "can_find", 0) > 0,
    };
}

void cm_build_plugins(struct cm_build *build)
{
    for (size_t i = 0; i < build->conf->value_count; i++) {
        const struct cm_conf_value *value = &build->conf->values[i];
        if (cm_starts_with(value->path, "plugins.") && !strchr(value->path + strlen("plugins."), '.')) {
            add_instance(build, value);
        }
    }
    struct cm_config *config = build->config;
    config->instances = cm_alloc((config->use_count + 1) * sizeof *config->instances);
    for (size_t i = 0; i < config->use_count; i++) {
        config->instances[i] = facts_of(&config->uses[i]);
    }
}
