/*
 * Checking an answer against its schema.
 */
#include "core/worker/schema.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"

static char *check_at(struct json_object *schema, struct json_object *value, const char *place);

static const struct {
    const char *name;
    json_type type;
} types[] = {
    {"object", json_type_object}, {"array", json_type_array},     {"string", json_type_string},
    {"integer", json_type_int},   {"boolean", json_type_boolean},
};

static const char *shown(const char *place)
{
    return *place ? place : _("the answer");
}

static char *check_type(const char *name, struct json_object *value, const char *place)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (!strcmp(types[i].name, name) && !json_object_is_type(value, types[i].type)) {
            return cm_format(_("%s: must be of type %s"), shown(place), name);
        }
    }
    return NULL;
}

static char *check_number(struct json_object *schema, struct json_object *value, const char *place)
{
    struct json_object *limit;
    int64_t number = json_object_get_int64(value);
    if (json_object_object_get_ex(schema, "minimum", &limit) && number < json_object_get_int64(limit)) {
        return cm_format(_("%s: %lld is less than %lld"), shown(place), (long long)number,
                         (long long)json_object_get_int64(limit));
    }
    if (json_object_object_get_ex(schema, "maximum", &limit) && number > json_object_get_int64(limit)) {
        return cm_format(_("%s: %lld is more than %lld"), shown(place), (long long)number,
                         (long long)json_object_get_int64(limit));
    }
    return NULL;
}

static size_t characters(const char *text)
{
    size_t count = 0;
    for (; *text; text++) {
        count += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return count;
}

static int is_listed(struct json_object *list, const char *text)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        if (!strcmp(json_object_get_string(json_object_array_get_idx(list, i)), text)) {
            return 1;
        }
    }
    return 0;
}

static char *check_string(struct json_object *schema, struct json_object *value, const char *place)
{
    const char *text = json_object_get_string(value);
    struct json_object *list = cm_json_array(schema, "enum");
    long long length = (long long)characters(text);
    if (list && !is_listed(list, text)) {
        return cm_format(_("%s: \"%.40s\" was not asked for"), shown(place), text);
    }
    if (length < cm_json_int(schema, "minLength", 0)) {
        return cm_format(_("%s: too short"), shown(place));
    }
    if (length > cm_json_int(schema, "maxLength", length)) {
        return cm_format(_("%s: longer than %lld characters"), shown(place), cm_json_int(schema, "maxLength", 0));
    }
    return NULL;
}

static char *check_array(struct json_object *schema, struct json_object *value, const char *place)
{
    struct json_object *items = cm_json_object(schema, "items");
    long long count = (long long)json_object_array_length(value);
    if (count < cm_json_int(schema, "minItems", 0) || count > cm_json_int(schema, "maxItems", count)) {
        return cm_format(_("%s: %lld entries, wanted %lld to %lld"), shown(place), count,
                         cm_json_int(schema, "minItems", 0), cm_json_int(schema, "maxItems", count));
    }
    char *error = NULL;
    for (long long i = 0; items && i < count && !error; i++) {
        char *inner = cm_format("%s[%lld]", place, i);
        error = check_at(items, json_object_array_get_idx(value, (size_t)i), inner);
        free(inner);
    }
    return error;
}

static char *check_required(struct json_object *schema, struct json_object *value, const char *place)
{
    struct json_object *required = cm_json_array(schema, "required");
    for (size_t i = 0; required && i < json_object_array_length(required); i++) {
        const char *name = json_object_get_string(json_object_array_get_idx(required, i));
        if (!json_object_object_get_ex(value, name, NULL)) {
            return cm_format(_("%s: \"%s\" is missing"), shown(place), name);
        }
    }
    return NULL;
}

static char *check_object(struct json_object *schema, struct json_object *value, const char *place)
{
    struct json_object *properties = cm_json_object(schema, "properties");
    char *error = check_required(schema, value, place);
    json_object_object_foreach(value, name, field)
    {
        struct json_object *inner = properties ? cm_json_object(properties, name) : NULL;
        if (error) {
            break;
        }
        if (inner) {
            char *at = cm_format("%s%s%s", place, *place ? "." : "", name);
            error = check_at(inner, field, at);
            free(at);
        } else if (!cm_json_flag(schema, "additionalProperties", 1)) {
            error = cm_format(_("%s: \"%.40s\" does not belong there"), shown(place), name);
        }
    }
    return error;
}

static char *check_at(struct json_object *schema, struct json_object *value, const char *place)
{
    const char *type = cm_json_text(schema, "type", "");
    char *error = check_type(type, value, place);
    if (error) {
        return error;
    }
    switch (json_object_get_type(value)) {
    case json_type_object:
        return check_object(schema, value, place);
    case json_type_array:
        return check_array(schema, value, place);
    case json_type_string:
        return check_string(schema, value, place);
    case json_type_int:
        return check_number(schema, value, place);
    default:
        return NULL;
    }
}

char *cm_schema_check(struct json_object *schema, struct json_object *value)
{
    return check_at(schema, value, "");
}
