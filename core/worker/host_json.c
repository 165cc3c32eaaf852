/*
 * JSON for plugins: an opaque value that lives as long as the call.
 */
#include <json-c/json.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/worker/call.h"
#include "core/worker/host.h"

static struct json_object *inside(const struct cm_json *value)
{
    return (struct json_object *)(uintptr_t)value;
}

const struct cm_json *cm_host_json_parse(struct cm_ctx *ctx, const char *text, size_t bytes)
{
    struct cm_host_call *host = cm_host_of(ctx)->host;
    char *error = NULL;
    struct json_object *value = text ? cm_json_parse(text, bytes, &error) : NULL;
    if (!value) {
        cm_debug("the plugin read no JSON: %s", error ? error : "no text");
        free(error);
        return NULL;
    }
    host->parsed = cm_grow(host->parsed, &host->parsed_room, host->parsed_count, sizeof *host->parsed);
    host->parsed[host->parsed_count++] = value;
    return (const struct cm_json *)value;
}

/* One step of a path: a field of an object, or a number into an array. */
static struct json_object *step_into(struct json_object *value, const char *name)
{
    struct json_object *next = NULL;
    if (json_object_is_type(value, json_type_array) && *name && strspn(name, "0123456789") == strlen(name)) {
        unsigned long index = strtoul(name, NULL, 10);
        return index < json_object_array_length(value) ? json_object_array_get_idx(value, index) : NULL;
    }
    if (json_object_is_type(value, json_type_object)) {
        json_object_object_get_ex(value, name, &next);
    }
    return next;
}

const struct cm_json *cm_host_json_at(struct cm_ctx *ctx, const struct cm_json *value, const char *path)
{
    struct json_object *at = inside(value);
    char *rest = cm_host_copy(ctx, path);
    while (at && rest && *rest) {
        char *name = strsep(&rest, ".");
        at = step_into(at, name);
    }
    return (const struct cm_json *)at;
}

const char *cm_host_json_string(struct cm_ctx *ctx, const struct cm_json *value, const char *fallback)
{
    (void)ctx;
    struct json_object *text = inside(value);
    return text && json_object_is_type(text, json_type_string) ? json_object_get_string(text) : fallback;
}

double cm_host_json_number(struct cm_ctx *ctx, const struct cm_json *value, double fallback)
{
    (void)ctx;
    struct json_object *number = inside(value);
    if (!number || !(json_object_is_type(number, json_type_int) || json_object_is_type(number, json_type_double))) {
        return fallback;
    }
    double real = json_object_get_double(number);
    return isfinite(real) ? real : fallback;
}

/* json-c reads what is beyond 64 bits as the outermost number there is. */
static int fits(int64_t number)
{
    return number != INT64_MAX && number != INT64_MIN;
}

int64_t cm_host_json_int(struct cm_ctx *ctx, const struct cm_json *value, int64_t fallback)
{
    (void)ctx;
    struct json_object *number = inside(value);
    if (!number || !(json_object_is_type(number, json_type_int) || json_object_is_type(number, json_type_double))) {
        return fallback;
    }
    int64_t whole = isfinite(json_object_get_double(number)) ? json_object_get_int64(number) : INT64_MAX;
    return fits(whole) ? whole : fallback;
}

int cm_host_json_bool(struct cm_ctx *ctx, const struct cm_json *value, int fallback)
{
    (void)ctx;
    struct json_object *flag = inside(value);
    return flag && json_object_is_type(flag, json_type_boolean) ? json_object_get_boolean(flag) : fallback;
}

size_t cm_host_json_count(struct cm_ctx *ctx, const struct cm_json *value)
{
    (void)ctx;
    struct json_object *array = inside(value);
    return array && json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

const char *cm_host_json_text(struct cm_ctx *ctx, const struct cm_json *value)
{
    return cm_host_copy(ctx, json_object_to_json_string_ext(inside(value), JSON_C_TO_STRING_PLAIN));
}

const char *cm_host_json_quote(struct cm_ctx *ctx, const char *text)
{
    struct json_object *value = json_object_new_string(cm_host_clean(ctx, text));
    int flags = JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE;
    char *quoted = cm_host_copy(ctx, json_object_to_json_string_ext(value, flags));
    json_object_put(value);
    return quoted;
}
