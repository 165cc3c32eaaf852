/*
 * What is asked of a job on the command line.
 */
#include "core/ctl/order.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/text.h"
#include "core/common/units.h"

#define CLIPS_MAX 50
#define CLIP_MIN_MS 1000
#define CLIP_MAX_MS 1800000

static const char *const languages[] = {"ru", "en", "auto"};
static const char *const strategies[] = {"ru", "global"};
static const char *const formats[] = {"9:16", "1:1", "16:9"};
#define COUNT(array) (sizeof(array) / sizeof *(array))

static int is_one_of(const char *text, const char *const *all, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(text, all[i])) {
            return 1;
        }
    }
    return 0;
}

/* ---- The video ----------------------------------------------------------------------------- */

static int hex_value(char digit)
{
    const char *digits = "0123456789abcdef", *at = digit ? strchr(digits, digit | 0x20) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* "file:///a%20b" → "/a b"; malloc'd. */
static char *path_of_file_url(const char *url)
{
    struct cm_text path = {0};
    const char *at = url + strlen("file://");
    at += cm_starts_with(at, "localhost/") ? strlen("localhost") : 0;
    while (*at) {
        if (*at == '%' && hex_value(at[1]) >= 0 && hex_value(at[2]) >= 0) {
            char byte = (char)(hex_value(at[1]) * 16 + hex_value(at[2]));
            cm_text_add_bytes(&path, &byte, 1);
            at += 3;
        } else {
            cm_text_add_bytes(&path, at++, 1);
        }
    }
    return cm_text_take(&path);
}

static int is_address(const char *given)
{
    size_t scheme = strspn(given, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");
    return scheme > 0 && cm_starts_with(given + scheme, "://");
}

static int check_file(const char *path)
{
    struct stat info;
    if (!cm_is_utf8(path, strlen(path))) {
        return cm_ctl_fail(EX_DATAERR, _("%s: its name is not in UTF-8; rename it"), path);
    }
    if (stat(path, &info)) {
        return cm_ctl_fail(EX_NOINPUT,
                           errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG
                               ? _("%s: no such file; check the name")
                               : _("%s: cannot be looked at; check its rights"),
                           path);
    }
    if (S_ISDIR(info.st_mode)) {
        return cm_ctl_fail(EX_DATAERR, _("%s: is a folder; name one file in it"), path);
    }
    if (!S_ISREG(info.st_mode)) {
        return cm_ctl_fail(EX_DATAERR, _("%s: is not a file; save it as a file first"), path);
    }
    if (access(path, R_OK)) {
        return cm_ctl_fail(EX_NOINPUT, _("%s: may not be read; give this user the right to read it"), path);
    }
    if (info.st_size == 0) {
        return cm_ctl_fail(EX_DATAERR, _("%s: is empty; copy or download it again"), path);
    }
    return 0;
}

int cm_order_source(const char *given, char **source, int *is_url)
{
    *is_url = is_address(given) && !cm_starts_with(given, "file://");
    if (*is_url) {
        *source = cm_strdup(given);
        return 0;
    }
    if (!*given) {
        return cm_ctl_fail(EX_NOINPUT, _("the name of the video is empty; name a file or an address"));
    }
    char *path = cm_starts_with(given, "file://") ? path_of_file_url(given) : cm_strdup(given);
    *source = cm_path_absolute(path);
    free(path);
    return check_file(*source);
}

/* ---- The parameters ------------------------------------------------------------------------ */

static void add_text(struct json_object *params, const char *name, const char *text)
{
    json_object_object_add(params, name, json_object_new_string(text));
}

static int add_language(const struct cm_asked *asked, struct json_object *params)
{
    if (asked->language && !is_one_of(asked->language, languages, COUNT(languages))) {
        return cm_ctl_fail(EX_USAGE, _("--lang %s: must be ru, en or auto"), asked->language);
    }
    if (asked->language) {
        add_text(params, "language", asked->language);
    }
    return 0;
}

static int add_strategy(const struct cm_asked *asked, struct json_object *params)
{
    if (asked->strategy && !is_one_of(asked->strategy, strategies, COUNT(strategies))) {
        return cm_ctl_fail(EX_USAGE, _("--strategy %s: must be ru or global"), asked->strategy);
    }
    if (asked->strategy) {
        add_text(params, "strategy", asked->strategy);
    }
    return 0;
}

static int add_formats(const struct cm_asked *asked, struct json_object *params)
{
    struct json_object *list = json_object_new_array();
    int status = 0;
    for (size_t i = 0; i < asked->formats.count && status == 0; i++) {
        const char *format = asked->formats.items[i];
        if (!is_one_of(format, formats, COUNT(formats))) {
            status = cm_ctl_fail(EX_USAGE, _("--format %s: must be 9:16, 1:1 or 16:9"), format);
        } else if (!is_one_of(format, asked->formats.items, i)) {
            json_object_array_add(list, json_object_new_string(format));
        }
    }
    if (status == 0 && json_object_array_length(list) > 0) {
        json_object_object_add(params, "formats", json_object_get(list));
    }
    json_object_put(list);
    return status;
}

static int add_clips(const struct cm_asked *asked, struct json_object *params)
{
    int64_t clips = 0;
    char *error = NULL;
    if (!asked->clips) {
        return 0;
    }
    if (cm_parse_int(asked->clips, &clips, &error) || clips < 1 || clips > CLIPS_MAX) {
        free(error);
        return cm_ctl_fail(EX_USAGE, _("--clips %s: must be a number from 1 to %d"), asked->clips, CLIPS_MAX);
    }
    json_object_object_add(params, "clips", json_object_new_int64(clips));
    return 0;
}

/* -1: not asked for. */
static int read_length(const char *flag, const char *text, int64_t *ms)
{
    char *error = NULL;
    *ms = -1;
    if (text && (cm_parse_duration(text, ms, &error) || *ms < CLIP_MIN_MS || *ms > CLIP_MAX_MS)) {
        free(error);
        return cm_ctl_fail(EX_USAGE, _("--%s %s: must be a time from 1s to 30m, like 15s or 1m30s"), flag, text);
    }
    return 0;
}

static int add_lengths(const struct cm_asked *asked, struct json_object *params)
{
    int64_t min_ms, max_ms;
    int status = read_length("min", asked->min, &min_ms);
    status = status ? status : read_length("max", asked->max, &max_ms);
    if (status) {
        return status;
    }
    if (min_ms >= 0 && max_ms >= 0 && min_ms > max_ms) {
        return cm_ctl_fail(EX_USAGE, _("--min %s is longer than --max %s; swap them"), asked->min, asked->max);
    }
    if (min_ms >= 0) {
        json_object_object_add(params, "min_ms", json_object_new_int64(min_ms));
    }
    if (max_ms >= 0) {
        json_object_object_add(params, "max_ms", json_object_new_int64(max_ms));
    }
    return 0;
}

static int add_captions(const struct cm_asked *asked, struct json_object *params)
{
    if (!asked->captions) {
        return 0;
    }
    char *path = cm_path_absolute(asked->captions);
    int status = check_file(path);
    if (status == 0) {
        add_text(params, "captions", path);
    }
    free(path);
    return status;
}

int cm_order_params(const struct cm_asked *asked, struct json_object **params)
{
    static int (*const readers[])(const struct cm_asked *, struct json_object *) = {
        add_language, add_strategy, add_formats, add_clips, add_lengths, add_captions,
    };
    *params = json_object_new_object();
    int status = 0;
    for (size_t i = 0; i < COUNT(readers) && status == 0; i++) {
        status = readers[i](asked, *params);
    }
    if (status) {
        json_object_put(*params);
        *params = NULL;
    }
    return status;
}

int cm_order_priority(struct json_object *request, const char *text)
{
    int64_t priority = 0;
    char *error = NULL;
    if (text && (cm_parse_int(text, &priority, &error) || priority < -100 || priority > 100)) {
        free(error);
        return cm_ctl_fail(EX_USAGE, _("--priority %s: must be a number from -100 to 100"), text);
    }
    json_object_object_add(request, "priority", json_object_new_int64(priority));
    return 0;
}
