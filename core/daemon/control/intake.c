/*
 * Checking a request for a job against the config.
 */
#include "core/daemon/control/intake.h"

#include <clipmaker/plugin.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/daemon/config/config.h"
#include "core/daemon/engine/pipeline.h"

#define CLIPS_MAX 50
#define LENGTH_MAX_MS (3600 * 1000LL)
#define OWNER_MAX_BYTES 64
#define KEY_MAX_BYTES 128
#define SOURCE_MAX_BYTES 8192
#define PRIORITY_MAX 100
#define LATEST_MS 253402300799000 /* the last second of the year 9999 */

struct check {
    const struct cm_config *config;
    struct json_object *given;  /* params of the request; may be NULL */
    struct json_object *params; /* complete ones, being made */
    const struct cm_pipeline *pipeline;
    int *status;
};

static char *refuse(struct check *check, int status, char *words)
{
    *check->status = status;
    return words;
}

static struct json_object *member(struct json_object *object, const char *name)
{
    struct json_object *value = NULL;
    return object && json_object_object_get_ex(object, name, &value) ? value : NULL;
}

static void put_text(struct check *check, const char *name, const char *text)
{
    json_object_object_add(check->params, name, json_object_new_string(text));
}

/* ---- Parameters ------------------------------------------------------------------------------ */

static char *check_language(struct check *check)
{
    struct json_object *value = member(check->given, "language");
    const char *text = value ? cm_json_text(check->given, "language", "") : check->config->settings.language;
    if (strcmp(text, "ru") != 0 && strcmp(text, "en") != 0 && strcmp(text, "auto") != 0) {
        return refuse(check, EX_USAGE, cm_format(_("language \"%.40s\": must be ru, en or auto"), text));
    }
    put_text(check, "language", text);
    return NULL;
}

static char *check_strategy(struct check *check)
{
    struct json_object *value = member(check->given, "strategy");
    const char *text = value ? cm_json_text(check->given, "strategy", "") : check->config->settings.strategy;
    if (strcmp(text, "ru") != 0 && strcmp(text, "global") != 0) {
        return refuse(check, EX_USAGE, cm_format(_("strategy \"%.40s\": must be ru or global"), text));
    }
    put_text(check, "strategy", text);
    return NULL;
}

/* Texts of an array into the complete parameters; NULL, or the line why not. */
static char *copy_names(struct check *check, const char *name, const struct cm_names *fallback)
{
    struct json_object *value = member(check->given, name), *names = json_object_new_array();
    json_object_object_add(check->params, name, names);
    if (!value) {
        for (size_t i = 0; i < fallback->count; i++) {
            json_object_array_add(names, json_object_new_string(fallback->items[i]));
        }
        return NULL;
    }
    if (!json_object_is_type(value, json_type_array)) {
        return refuse(check, EX_USAGE, cm_format(_("%s: must be a list of texts"), name));
    }
    for (size_t i = 0; i < json_object_array_length(value); i++) {
        struct json_object *one = json_object_array_get_idx(value, i);
        if (!json_object_is_type(one, json_type_string)) {
            return refuse(check, EX_USAGE, cm_format(_("%s: must be a list of texts"), name));
        }
        json_object_array_add(names, json_object_get(one));
    }
    return NULL;
}

static char *check_formats(struct check *check)
{
    char *error = copy_names(check, "formats", &check->config->formats);
    struct json_object *formats = cm_json_array(check->params, "formats");
    for (size_t i = 0; !error && i < json_object_array_length(formats); i++) {
        const char *text = json_object_get_string(json_object_array_get_idx(formats, i));
        if (strcmp(text, "9:16") != 0 && strcmp(text, "1:1") != 0 && strcmp(text, "16:9") != 0) {
            error = refuse(check, EX_USAGE, cm_format(_("format \"%.40s\": must be 9:16, 1:1 or 16:9"), text));
        }
    }
    if (!error && json_object_array_length(formats) == 0) {
        error = refuse(check, EX_USAGE, cm_strdup(_("formats: name at least one of 9:16, 1:1 and 16:9")));
    }
    return error;
}

static int has_target_dimension(const struct cm_pipeline *pipeline)
{
    for (size_t i = 0; i < pipeline->step_count; i++) {
        for (size_t k = 0; k < pipeline->steps[i].each_count; k++) {
            if (!strcmp(pipeline->steps[i].each[k], "target")) {
                return 1;
            }
        }
    }
    return 0;
}

/* Where clips go when the job does not say: `targets`, else what `run` publishes with, else the
 * only instance that publishes. */
static void default_targets(const struct cm_config *config, struct cm_names *names)
{
    for (size_t i = 0; i < config->targets.count; i++) {
        cm_names_add(names, config->targets.items[i]);
    }
    if (names->count == 0 && *config->settings.run_target) {
        cm_names_add(names, config->settings.run_target);
    }
    const struct cm_plugin_use *only = NULL;
    size_t publishers = 0;
    for (size_t i = 0; i < config->use_count; i++) {
        if (config->uses[i].stage == CM_STAGE_PUBLISH) {
            publishers++;
            only = &config->uses[i];
        }
    }
    if (names->count == 0 && publishers == 1) {
        cm_names_add(names, only->name);
    }
}

char *cm_intake_no_target(const struct cm_config *config, const char *name)
{
    const char **names = cm_alloc((config->use_count + 1) * sizeof *names);
    struct cm_text all = {0};
    size_t count = 0;
    for (size_t i = 0; i < config->use_count; i++) {
        if (config->uses[i].stage == CM_STAGE_PUBLISH) {
            cm_text_addf(&all, "%s%s", count ? ", " : "", config->uses[i].name);
            names[count++] = config->uses[i].name;
        }
    }
    const char *near = cm_nearest(name, names, count);
    char *list = cm_text_take(&all), *words;
    if (near) {
        words = cm_format(_("target \"%.80s\": there is none of that name; did you mean %s?"), name, near);
    } else if (count) {
        words = cm_format(_("target \"%.80s\": there is none of that name; there are %s"), name, list);
    } else {
        words = cm_format(_("target \"%.80s\": the config has no instance that publishes"), name);
    }
    free(list);
    free(names);
    return words;
}

static char *check_targets(struct check *check)
{
    struct cm_names fallback = {0};
    default_targets(check->config, &fallback);
    char *error = copy_names(check, "targets", &fallback);
    for (size_t i = 0; i < fallback.count; i++) {
        free(fallback.items[i]);
    }
    free(fallback.items);
    struct json_object *targets = cm_json_array(check->params, "targets");
    for (size_t i = 0; !error && i < json_object_array_length(targets); i++) {
        const char *text = json_object_get_string(json_object_array_get_idx(targets, i));
        const struct cm_plugin_use *use = cm_config_use(check->config, text);
        if (!use || use->stage != CM_STAGE_PUBLISH) {
            error = refuse(check, EX_USAGE, cm_intake_no_target(check->config, text));
        }
    }
    if (!error && json_object_array_length(targets) == 0 && has_target_dimension(check->pipeline)) {
        error =
            refuse(check, EX_USAGE, cm_strdup(_("no target: say where the clips go, or set targets in the config")));
    }
    return error;
}

/* An integer parameter from the request or the config. */
static char *check_number(struct check *check, const char *name, int64_t fallback, int64_t low, int64_t high,
                          int64_t *number)
{
    struct json_object *value = member(check->given, name);
    *number = value ? cm_json_int(check->given, name, low - 1) : fallback;
    if (*number < low || *number > high) {
        return refuse(
            check, EX_USAGE,
            cm_format(_("%s: must be a whole number from %lld to %lld"), name, (long long)low, (long long)high));
    }
    json_object_object_add(check->params, name, json_object_new_int64(*number));
    return NULL;
}

static char *check_lengths(struct check *check)
{
    const struct cm_settings *settings = &check->config->settings;
    int64_t clips, min_ms, max_ms;
    char *error = check_number(check, "clips", settings->clips_count, 0, CLIPS_MAX, &clips);
    error = error ? error : check_number(check, "min_ms", settings->clips_min_ms, 1000, LENGTH_MAX_MS, &min_ms);
    error = error ? error : check_number(check, "max_ms", settings->clips_max_ms, 1000, LENGTH_MAX_MS, &max_ms);
    if (error || min_ms <= max_ms) {
        return error;
    }
    char *low = cm_show_duration(min_ms), *high = cm_show_duration(max_ms);
    error = refuse(check, EX_USAGE, cm_format(_("the shortest clip (%s) is longer than the longest (%s)"), low, high));
    free(low);
    free(high);
    return error;
}

/* ---- Files ----------------------------------------------------------------------------------- */

static char *check_file(struct check *check, const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0 || access(path, R_OK) != 0) {
        return refuse(check, EX_NOINPUT, cm_format(_("cannot read %s: %s"), path, strerror(errno)));
    }
    if (S_ISDIR(info.st_mode)) {
        return refuse(check, EX_DATAERR, cm_format(_("%s is a folder: name the file in it"), path));
    }
    if (!S_ISREG(info.st_mode)) {
        return refuse(check, EX_DATAERR, cm_format(_("%s is not a regular file"), path));
    }
    return NULL;
}

static char *check_captions(struct check *check)
{
    const char *path = cm_json_text(check->given, "captions", "");
    put_text(check, "captions", path);
    if (!*path) {
        return NULL;
    }
    if (*path != '/') {
        return refuse(check, EX_USAGE, cm_format(_("captions \"%.200s\": must be an absolute path"), path));
    }
    return check_file(check, path);
}

/* Whether a source instance of the pipeline takes such addresses; one that fetches nothing takes
 * any. */
static int takes_scheme(const struct check *check, const char *scheme, size_t bytes)
{
    int fetches = 0;
    for (size_t i = 0; i < check->pipeline->step_count; i++) {
        const struct cm_step *step = &check->pipeline->steps[i];
        fetches |= step->stage == CM_STAGE_SOURCE;
        for (size_t k = 0; step->stage == CM_STAGE_SOURCE && k < step->use_count; k++) {
            const struct cm_plugin_use *use = cm_config_use(check->config, step->use[k]);
            const char *schemes = use ? cm_json_text(cm_json_object(use->described, "stage_facts"), "schemes", "") : "";
            for (const char *at = schemes; *at; at += strspn(at, " ")) {
                size_t length = strcspn(at, " ");
                if (length == bytes && !strncmp(at, scheme, bytes)) {
                    return 1;
                }
                at += length;
            }
        }
    }
    return !fetches;
}

static char *check_source(struct check *check, const char *source)
{
    size_t scheme = strspn(source, "abcdefghijklmnopqrstuvwxyz0123456789+.-");
    if (!*source || strlen(source) > SOURCE_MAX_BYTES) {
        return refuse(check, EX_USAGE, cm_strdup(_("source: name a video file or its address")));
    }
    if (*source == '/') {
        char *error = check_file(check, source);
        return error || takes_scheme(check, "file", 4)
                   ? error
                   : refuse(check, EX_UNAVAILABLE, cm_strdup(_("no plugin of the pipeline takes files")));
    }
    if (scheme == 0 || source[scheme] != ':') {
        return refuse(check, EX_USAGE,
                      cm_format(_("source \"%.200s\": must be an absolute path or an address"), source));
    }
    if (!takes_scheme(check, source, scheme)) {
        return refuse(
            check, EX_UNAVAILABLE,
            cm_format(_("no plugin of the pipeline takes %.*s: addresses"), scheme > 20 ? 20 : (int)scheme, source));
    }
    return NULL;
}

/* ---- The request ----------------------------------------------------------------------------- */

static char *check_names(struct check *check)
{
    static const char *const names[] = {"language", "formats",  "clips", "min_ms",        "max_ms",
                                        "targets",  "captions", "plan",  "publish_at_ms", "strategy"};
    const size_t count = sizeof names / sizeof *names;
    if (!check->given) {
        return NULL;
    }
    json_object_object_foreach(check->given, name, value)
    {
        (void)value;
        size_t i = 0;
        while (i < count && strcmp(names[i], name) != 0) {
            i++;
        }
        if (i == count) {
            const char *near = cm_nearest(name, names, count);
            return refuse(check, EX_USAGE,
                          near ? cm_format(_("unknown parameter \"%.80s\"; did you mean \"%s\"?"), name, near)
                               : cm_format(_("unknown parameter \"%.80s\""), name));
        }
    }
    return NULL;
}

static char *check_pipeline(struct check *check, const char *name)
{
    check->pipeline = cm_config_pipeline(check->config, name);
    if (check->pipeline) {
        return NULL;
    }
    return refuse(check, EX_USAGE, cm_format(_("pipeline \"%.80s\": the config has none of that name"), name));
}

char *cm_intake_sender(struct json_object *request, int *status)
{
    long long priority = cm_json_int(request, "priority", 0);
    *status = EX_USAGE;
    if (strlen(cm_json_text(request, "owner", "")) > OWNER_MAX_BYTES ||
        strlen(cm_json_text(request, "request_key", "")) > KEY_MAX_BYTES) {
        return cm_format(_("owner and request_key: at most %d and %d bytes"), OWNER_MAX_BYTES, KEY_MAX_BYTES);
    }
    if (priority < -PRIORITY_MAX || priority > PRIORITY_MAX) {
        return cm_format(_("priority: must be from %d to %d"), -PRIORITY_MAX, PRIORITY_MAX);
    }
    return NULL;
}

static char *check_params(struct check *check)
{
    static char *(*const checks[])(struct check *) = {check_names,   check_language, check_formats, check_targets,
                                                      check_lengths, check_captions, check_strategy};
    char *error = NULL;
    for (size_t i = 0; !error && i < sizeof checks / sizeof *checks; i++) {
        error = checks[i](check);
    }
    put_text(check, "plan", cm_json_text(check->given, "plan", ""));
    int64_t at_ms;
    if (!error && member(check->given, "publish_at_ms")) {
        error = check_number(check, "publish_at_ms", 0, 0, LATEST_MS, &at_ms);
    }
    return error;
}

char *cm_intake_check(const struct cm_config *config, struct json_object *request, struct cm_order *order, int *status)
{
    struct check check = {.config = config, .status = status, .params = json_object_new_object()};
    const char *pipeline = cm_json_text(request, "pipeline", "");
    const char *source = cm_json_text(request, "source", "");
    char *error = NULL;
    if (member(request, "params") && !cm_json_object(request, "params")) {
        error = refuse(&check, EX_USAGE, cm_strdup(_("params: must be an object")));
    }
    check.given = cm_json_object(request, "params");
    error = error ? error : check_pipeline(&check, *pipeline ? pipeline : "default");
    error = error ? error : cm_intake_sender(request, status);
    error = error ? error : check_params(&check);
    error = error ? error : check_source(&check, source);
    const char *owner = cm_json_text(request, "owner", "");
    *order = (struct cm_order){
        .owner = cm_strdup(*owner ? owner : "default"),
        .request_key = cm_strdup(cm_json_text(request, "request_key", "")),
        .pipeline = cm_strdup(*pipeline ? pipeline : "default"),
        .source = cm_strdup(source),
        .params = cm_strdup(
            json_object_to_json_string_ext(check.params, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)),
        .priority = cm_json_int(request, "priority", 0),
    };
    json_object_put(check.params);
    return error;
}

void cm_order_free(struct cm_order *order)
{
    free(order->owner);
    free(order->request_key);
    free(order->pipeline);
    free(order->source);
    free(order->params);
    *order = (struct cm_order){0};
}
