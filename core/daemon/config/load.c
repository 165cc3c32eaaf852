/*
 * From the values read to a checked config: settings by the schema, then plugins, pipelines, and
 * what must hold between them.
 */
#include "core/daemon/config/load.h"

#include <clipmaker/plugin.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/message.h"
#include "core/common/options.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/daemon/config/build.h"

#define OWNER_WEIGHT_MAX 1000
#define PRIVATE_MIN_FREE_BYTES (64LL * 1024 * 1024)

/* ---- Settings -------------------------------------------------------------------------------- */

static const struct cm_option *setting_named(const char *path)
{
    for (const struct cm_option *one = cm_settings_table(); one->name; one++) {
        if (!strcmp(one->name, path)) {
            return one;
        }
    }
    return NULL;
}

/* What the value must look like in the file. NULL when it does. */
static const char *wrong_type(const struct cm_option *option, const config_setting_t *setting)
{
    int type = config_setting_type(setting);
    switch (option->type) {
    case CM_TYPE_INT:
        return type == CONFIG_TYPE_INT ? NULL : "must be a whole number, without quotes";
    case CM_TYPE_REAL:
        return type == CONFIG_TYPE_INT || type == CONFIG_TYPE_FLOAT ? NULL : "must be a number, without quotes";
    case CM_TYPE_BOOL:
        return type == CONFIG_TYPE_BOOL ? NULL : "must be true or false, without quotes";
    case CM_TYPE_TIME:
        return type == CONFIG_TYPE_STRING ? NULL : "must be a duration in quotes: \"90s\", \"10m\", \"1h30m\"";
    case CM_TYPE_SIZE:
        return type == CONFIG_TYPE_STRING ? NULL : "must be a size in quotes: \"512MiB\", \"4GiB\"";
    default:
        return type == CONFIG_TYPE_STRING ? NULL : "must be text in quotes";
    }
}

static void take_setting(struct cm_build *build, struct json_object *values, struct json_object *described,
                         const struct cm_option *option, const struct cm_conf_value *value)
{
    const char *slip = wrong_type(option, value->setting);
    if (slip) {
        cm_complain(build->complaints, value->file, value->line, "%s %s", value->path, slip);
        return;
    }
    char *text = cm_conf_text(value->setting);
    char *error = cm_option_check(described, text);
    if (error) {
        cm_complain(build->complaints, value->file, value->line, "%s", error);
        free(error);
        free(text);
        return;
    }
    char *absolute = option->type == CM_TYPE_PATH ? cm_conf_path(value->file, text) : NULL;
    json_object_object_add(values, option->name, json_object_new_string(absolute ? absolute : text));
    free(absolute);
    free(text);
}

static void complain_unknown(struct cm_build *build, const struct cm_conf_value *value)
{
    static const char *const others[] = {"clips.formats", "targets", "plugins", "pipeline",
                                         "pipelines",     "owners",  "chains"};
    const size_t other_count = sizeof others / sizeof *others;
    size_t count = 0, room = 0;
    const char **names = NULL;
    for (const struct cm_option *one = cm_settings_table(); one->name; one++) {
        names = cm_grow(names, &room, count, sizeof *names);
        names[count++] = one->name;
    }
    for (size_t i = 0; i < other_count; i++) {
        names = cm_grow(names, &room, count, sizeof *names);
        names[count++] = others[i];
    }
    char *hint = cm_did_you_mean(value->path, names, count);
    cm_complain(build->complaints, value->file, value->line, "unknown setting %s%s", value->path, hint);
    free(hint);
    free(names);
}

static int is_elsewhere(const char *path)
{
    return cm_starts_with(path, "plugins.") || cm_starts_with(path, "pipelines.") || cm_starts_with(path, "owners.") ||
           cm_starts_with(path, "chains.") || !strcmp(path, "clips.formats") || !strcmp(path, "targets");
}

static void build_settings(struct cm_build *build)
{
    struct json_object *values = json_object_new_object();
    struct json_object *described = cm_options_describe(cm_settings_table());
    for (size_t i = 0; i < build->conf->value_count; i++) {
        const struct cm_conf_value *value = &build->conf->values[i];
        const struct cm_option *option = setting_named(value->path);
        if (option) {
            size_t index = (size_t)(option - cm_settings_table());
            take_setting(build, values, json_object_array_get_idx(described, index), option, value);
        } else if (!is_elsewhere(value->path)) {
            complain_unknown(build, value);
        }
    }
    char *error = cm_options_fill(cm_settings_table(), &build->config->settings, values);
    if (error) {
        cm_complain(build->complaints, NULL, 0, "%s", error);
        free(error);
    }
    json_object_put(described);
    json_object_put(values);
}

static void build_list(struct cm_build *build, const char *path, struct cm_names *names)
{
    const struct cm_conf_value *value = cm_conf_find(build->conf, path);
    if (!value) {
        return;
    }
    int is_list = config_setting_is_list(value->setting) || config_setting_is_array(value->setting);
    for (int i = 0; is_list && i < config_setting_length(value->setting); i++) {
        const char *text = config_setting_get_string_elem(value->setting, i);
        if (text && !cm_names_has(names, text)) {
            cm_names_add(names, text);
        }
        is_list = text != NULL;
    }
    if (!is_list) {
        cm_complain(build->complaints, value->file, value->line, "%s must be a list of texts: [ \"a\", \"b\" ]", path);
    }
}

static void build_owners(struct cm_build *build)
{
    struct cm_config *config = build->config;
    for (size_t i = 0; i < build->conf->value_count; i++) {
        const struct cm_conf_value *value = &build->conf->values[i];
        if (!cm_starts_with(value->path, "owners.")) {
            continue;
        }
        int is_int = config_setting_type(value->setting) == CONFIG_TYPE_INT;
        int weight = is_int ? config_setting_get_int(value->setting) : 0;
        if (weight < 1 || weight > OWNER_WEIGHT_MAX) {
            cm_complain(build->complaints, value->file, value->line, "%s must be a weight from 1 to %d", value->path,
                        OWNER_WEIGHT_MAX);
            continue;
        }
        config->owners = cm_grow(config->owners, &config->owner_room, config->owner_count, sizeof *config->owners);
        config->owners[config->owner_count++] =
            (struct cm_owner_weight){cm_strdup(value->path + strlen("owners.")), weight};
    }
}

/* ---- Places ---------------------------------------------------------------------------------- */

/* Beside this program when it runs from where it was built, else where it was installed. */
static char *beside_program(const char *name)
{
    char program[4096];
    ssize_t bytes = readlink("/proc/self/exe", program, sizeof program - 1);
    if (bytes <= 0) {
        return NULL;
    }
    program[bytes] = '\0';
    char *slash = strrchr(program, '/');
    char *path = cm_format("%.*s/%s", (int)(slash - program), program, name);
    if (access(path, F_OK) == 0) {
        return path;
    }
    free(path);
    return NULL;
}

static char *installed(enum cm_place place, const char *name)
{
    char *folder = cm_place(place);
    char *path = name ? cm_path_join(folder, name) : cm_strdup(folder);
    free(folder);
    return path;
}

static char *place_of(const char *setting, const char *beside, enum cm_place place, const char *name)
{
    if (*setting) {
        return cm_strdup(setting);
    }
    char *near = beside ? beside_program(beside) : NULL;
    return near ? near : installed(place, name);
}

/* As set, else `prompts` beside the config (an operator's own), else those that came along. */
static char *prompts_of(const struct cm_config *config)
{
    char *beside = cm_conf_path(config->path, "prompts");
    if (!*config->settings.prompts && access(beside, F_OK) == 0) {
        return beside;
    }
    free(beside);
    return place_of(config->settings.prompts, NULL, CM_PLACE_DATA, "prompts");
}

static void complain_at(struct cm_build *build, const char *path, char *words)
{
    const struct cm_conf_value *value = cm_conf_find(build->conf, path);
    cm_complain(build->complaints, value ? value->file : build->config->path, value ? value->line : 0, "%s", words);
    free(words);
}

/* The address of the store; where it has a password it stands as a reference, like every secret. A private run has all
 * of its own in its own folder, whatever the service has. */
static char *store_of(struct cm_build *build)
{
    const char *given = build->config->settings.store;
    char *error = NULL, *store = NULL;
    if (build->overrides->is_private || !strcmp(given, "sqlite:")) {
        return cm_format("sqlite:%s/store.sqlite", build->config->state);
    }
    if (!cm_secret_is_reference(given)) {
        return cm_strdup(given);
    }
    store = cm_secret_resolve(given, &error);
    if (!store) {
        complain_at(build, "store", cm_format("store: %s", error));
        free(error);
    }
    return store ? store : cm_strdup("memory:");
}

static void build_places(struct cm_build *build)
{
    struct cm_config *config = build->config;
    const struct cm_settings *settings = &config->settings;
    config->worker = place_of(settings->worker, "clipmaker-worker", CM_PLACE_LIBEXEC, "clipmaker-worker");
    config->plugin_folder = place_of(settings->plugin_folder, "plugins", CM_PLACE_PLUGINS, NULL);
    config->prompts = prompts_of(config);
    const char *state = build->overrides->state ? build->overrides->state : settings->state;
    config->state = *state ? cm_path_absolute(state) : cm_place(CM_PLACE_STATE);
    config->store = store_of(build);
}

/* ---- What must hold between settings --------------------------------------------------------- */

/* Whether a password stands in the address: "…//user:password@…". */
static int has_password(const char *store)
{
    const char *user = strstr(store, "://");
    size_t length = user ? strcspn(user + 3, "/?#") : 0;
    const char *at = user ? memchr(user + 3, '@', length) : NULL;
    return (at && memchr(user + 3, ':', (size_t)(at - user - 3))) || strstr(store, "password=");
}

static void check_store(struct cm_build *build)
{
    const char *given = build->config->settings.store, *store = build->config->store;
    int is_database = cm_starts_with(store, "postgresql://") || cm_starts_with(store, "postgres://");
    if (strcmp(store, "memory:") != 0 && !cm_starts_with(store, "sqlite:/") && !is_database) {
        complain_at(build, "store",
                    cm_strdup("store must be \"sqlite:\", \"sqlite:/path/to/file\", \"postgresql://host/database\" or "
                              "\"memory:\""));
    }
    if (is_database && !strcmp(store, given) && has_password(given)) {
        complain_at(build, "store",
                    cm_strdup("a password does not stand in the config: put the whole address into a file and write "
                              "store = \"file:/path\", or use ~/.pgpass"));
    }
}

static int is_day(const char *text)
{
    static const char pattern[] = "dddd-dd-dd";
    for (size_t i = 0; i < sizeof pattern; i++) {
        if (pattern[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != pattern[i]) {
            return 0;
        }
    }
    return 1;
}

/* A rate without its day would be taken for today's for ever. */
static void check_dollar(struct cm_build *build)
{
    const struct cm_settings *settings = &build->config->settings;
    if (settings->usd_roubles > 0 && !is_day(settings->usd_as_of)) {
        complain_at(build, "usd.as_of",
                    cm_strdup("usd: say of which day the rate is: usd: { roubles = …; as_of = \"2026-11-20\"; };"));
    }
}

static void check_numbers(struct cm_build *build)
{
    struct cm_settings *settings = &build->config->settings;
    if (settings->clips_min_ms > settings->clips_max_ms) {
        complain_at(build, "clips.min", cm_strdup("clips.min is longer than clips.max"));
    }
    if (settings->backoff_base_ms > settings->backoff_max_ms) {
        complain_at(build, "backoff.base", cm_strdup("backoff.base is longer than backoff.max"));
    }
    check_store(build);
    check_dollar(build);
    for (size_t i = 0; i < build->config->formats.count; i++) {
        const char *format = build->config->formats.items[i];
        if (strcmp(format, "9:16") != 0 && strcmp(format, "1:1") != 0 && strcmp(format, "16:9") != 0) {
            complain_at(build, "clips.formats", cm_format("\"%.40s\" is not one of 9:16, 1:1, 16:9", format));
        }
    }
    if (build->config->formats.count == 0) {
        cm_names_add(&build->config->formats, "9:16");
    }
    if (build->overrides->is_private && settings->min_free_bytes > PRIVATE_MIN_FREE_BYTES) {
        settings->min_free_bytes = PRIVATE_MIN_FREE_BYTES;
    }
}

static void check_targets(struct cm_build *build)
{
    struct cm_config *config = build->config;
    for (size_t i = 0; i < config->targets.count; i++) {
        const struct cm_plugin_use *use = cm_config_use(config, config->targets.items[i]);
        if (!use || (use->stage && use->stage != CM_STAGE_PUBLISH)) {
            complain_at(build, "targets",
                        cm_format("\"%.80s\" is no instance that publishes", config->targets.items[i]));
        }
    }
    const char *target = config->settings.run_target;
    const struct cm_plugin_use *use = *target ? cm_config_use(config, target) : NULL;
    if (*target && (!use || (use->stage && use->stage != CM_STAGE_PUBLISH))) {
        complain_at(build, "run.target", cm_format("run.target: \"%.80s\" is no instance that publishes", target));
        return;
    }
    struct json_object *options = use ? cm_json_array(use->described, "options") : NULL;
    int found = 0;
    for (size_t i = 0; options && i < json_object_array_length(options); i++) {
        const char *name = cm_json_text(json_object_array_get_idx(options, i), "name", "");
        found |= !strcmp(name, config->settings.run_option);
    }
    if (options && !found) {
        complain_at(
            build, "run.option",
            cm_format("run.option: plugin %s has no option \"%.80s\"", use->plugin, config->settings.run_option));
    }
    if (build->overrides->output && !*target) {
        complain_at(build, "run.target", cm_strdup("run = { target = \"…\"; option = \"…\"; } is needed for --output"));
    }
}

static void check_whole(struct cm_build *build)
{
    if (!cm_config_pipeline(build->config, "default") && !cm_conf_find(build->conf, "pipelines.default")) {
        cm_complain(build->complaints, build->config->path, 0, "there is no pipeline: write pipeline = ( { … }, … );");
    }
    check_targets(build);
    cm_check_residency(build);
}

/* ---- All of it ------------------------------------------------------------------------------- */

struct cm_config *cm_config_load(const char *path, const struct cm_overrides *overrides, struct cm_registry *registry,
                                 struct cm_complaints *complaints)
{
    struct cm_conf *conf = cm_conf_read(path, cm_settings_is_group, complaints);
    struct cm_config *config = cm_alloc(sizeof *config);
    config->path = cm_strdup(path);
    struct cm_build build = {config, conf, overrides, registry, complaints};
    build_settings(&build);
    build_list(&build, "clips.formats", &config->formats);
    build_list(&build, "targets", &config->targets);
    build_owners(&build);
    build_places(&build);
    check_numbers(&build);
    cm_build_plugins(&build);
    if (!conf->broken) { /* half a config would complain of what the other half says */
        cm_build_pipelines(&build);
        check_whole(&build);
    }
    cm_conf_free(conf);
    if (complaints->count == 0) {
        return config;
    }
    cm_config_free(config);
    return NULL;
}
