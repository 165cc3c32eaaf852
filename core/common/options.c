/*
 * A plugin's options outside the plugin: described as JSON, checked and filled by that table.
 */
#include "core/common/options.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/common/log.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/include/clipmaker/plugin.h"

/* A parsed value; which field counts depends on the type. */
struct value {
    int64_t number;
    double real;
    int flag;
};

/* What one option asks of a value, whether it came from a table in C or from JSON. */
struct rule {
    const char *name;
    uint32_t type;
    const char *fallback; /* or NULL */
    int required;
    const char *choices; /* "a|b" or NULL */
    double min, max;
};

typedef char *(*parse_fn)(const struct rule *rule, const char *text, struct value *value);

static char *parse_string(const struct rule *rule, const char *text, struct value *value);
static char *parse_int(const struct rule *rule, const char *text, struct value *value);
static char *parse_real(const struct rule *rule, const char *text, struct value *value);
static char *parse_bool(const struct rule *rule, const char *text, struct value *value);
static char *parse_time(const struct rule *rule, const char *text, struct value *value);
static char *parse_size(const struct rule *rule, const char *text, struct value *value);
static char *parse_rate(const struct rule *rule, const char *text, struct value *value);
static char *parse_choice(const struct rule *rule, const char *text, struct value *value);
static char *parse_url(const struct rule *rule, const char *text, struct value *value);

/* The C field behind each type. */
enum field {
    FIELD_TEXT = 1,
    FIELD_INT64,
    FIELD_DOUBLE,
    FIELD_INT
};

static const struct kind {
    const char *name;
    enum field field;
    parse_fn parse;
} kinds[] = {
    [CM_TYPE_STRING] = {"string", FIELD_TEXT, parse_string}, [CM_TYPE_SECRET] = {"secret", FIELD_TEXT, parse_string},
    [CM_TYPE_INT] = {"int", FIELD_INT64, parse_int},         [CM_TYPE_REAL] = {"real", FIELD_DOUBLE, parse_real},
    [CM_TYPE_BOOL] = {"bool", FIELD_INT, parse_bool},        [CM_TYPE_TIME] = {"time", FIELD_INT64, parse_time},
    [CM_TYPE_SIZE] = {"size", FIELD_INT64, parse_size},      [CM_TYPE_RATE] = {"rate", FIELD_INT64, parse_rate},
    [CM_TYPE_CHOICE] = {"choice", FIELD_TEXT, parse_choice}, [CM_TYPE_URL] = {"url", FIELD_TEXT, parse_url},
    [CM_TYPE_PATH] = {"path", FIELD_TEXT, parse_string},
};

static const size_t kind_count = sizeof kinds / sizeof kinds[0];

static const struct kind *kind_of(uint32_t type)
{
    return type > 0 && type < kind_count ? &kinds[type] : NULL;
}

static uint32_t type_from_name(const char *name)
{
    for (uint32_t type = 1; type < kind_count; type++)
        if (strcmp(kinds[type].name, name) == 0)
            return type;
    return 0;
}

/* ---- Values ---------------------------------------------------------------------------------- */

/* A bound as the user would write it: "10m", not 600000. */
static char *show_bound(const struct rule *rule, double bound)
{
    if (rule->type == CM_TYPE_TIME && bound >= 0 && bound < 9e18)
        return cm_show_duration((int64_t)bound);
    if (rule->type == CM_TYPE_SIZE && bound >= 0 && bound < 9e18)
        return cm_show_size((int64_t)bound);
    if (bound > -9e15 && bound < 9e15 && bound == (double)(int64_t)bound)
        return cm_format("%lld", (long long)bound);
    struct json_object *number = json_object_new_double(bound); /* prints a point in every locale */
    char *text = cm_strdup(json_object_to_json_string(number));
    json_object_put(number);
    return text;
}

static char *check_range(const struct rule *rule, double number, const char *what)
{
    if ((rule->min == 0 && rule->max == 0) || (number >= rule->min && number <= rule->max))
        return NULL;
    char *low = show_bound(rule, rule->min), *high = show_bound(rule, rule->max);
    char *error = cm_format(_("%s must be from %s to %s"), _(what), low, high);
    free(low);
    free(high);
    return error;
}

static char *parse_string(const struct rule *rule, const char *text, struct value *value)
{
    (void)value;
    size_t length = strlen(text);
    if (!cm_is_utf8(text, length))
        return cm_strdup(_("the text is not valid UTF-8"));
    if (rule->type != CM_TYPE_STRING)
        return NULL;
    return check_range(rule, (double)length, N_("the length in bytes"));
}

static char *parse_int(const struct rule *rule, const char *text, struct value *value)
{
    char *error = NULL;
    if (cm_parse_int(text, &value->number, &error) != 0)
        return error;
    return check_range(rule, (double)value->number, N_("the number"));
}

static char *parse_real(const struct rule *rule, const char *text, struct value *value)
{
    char *error = NULL;
    if (cm_parse_real(text, &value->real, &error) != 0)
        return error;
    return check_range(rule, value->real, N_("the number"));
}

static char *parse_bool(const struct rule *rule, const char *text, struct value *value)
{
    (void)rule;
    char *error = NULL;
    cm_parse_bool(text, &value->flag, &error);
    return error;
}

static char *parse_time(const struct rule *rule, const char *text, struct value *value)
{
    char *error = NULL;
    if (cm_parse_duration(text, &value->number, &error) != 0)
        return error;
    return check_range(rule, (double)value->number, N_("the duration"));
}

static char *parse_size(const struct rule *rule, const char *text, struct value *value)
{
    char *error = NULL;
    if (cm_parse_size(text, &value->number, &error) != 0)
        return error;
    return check_range(rule, (double)value->number, N_("the size"));
}

static char *parse_rate(const struct rule *rule, const char *text, struct value *value)
{
    (void)rule;
    char *error = NULL;
    cm_parse_rate(text, &value->number, &error);
    return error;
}

/* Whether text is one of "one|two|three". */
static int is_choice(const char *choices, const char *text)
{
    size_t length = strlen(text);
    for (const char *at = choices; at && *at;) {
        size_t width = strcspn(at, "|");
        if (width == length && strncmp(at, text, width) == 0)
            return 1;
        at += width + (at[width] == '|');
    }
    return 0;
}

static char *parse_choice(const struct rule *rule, const char *text, struct value *value)
{
    (void)value;
    if (is_choice(rule->choices, text))
        return NULL;
    return cm_format(_("\"%.80s\" is not one of %s"), text, rule->choices ? rule->choices : "(nothing)");
}

static char *parse_url(const struct rule *rule, const char *text, struct value *value)
{
    char *error = parse_string(rule, text, value);
    if (error || text[0] == '\0')
        return error;
    int known = cm_starts_with(text, "http://") || cm_starts_with(text, "https://");
    const char *host = known ? strstr(text, "://") + 3 : "";
    if (host[0] == '\0' || host[0] == '/' || host[0] == '?' || host[0] == '#')
        return cm_format(_("\"%.80s\" is not an http:// or https:// address"), text);
    for (const char *at = text; *at; at++)
        if ((unsigned char)*at <= ' ' || *at == 0x7f)
            return cm_format(_("\"%.80s\" has a space or control character in it"), text);
    return NULL;
}

static char *parse_value(const struct rule *rule, const char *text, struct value *value)
{
    const struct kind *kind = kind_of(rule->type);
    if (!kind)
        return cm_format(_("type %u is newer than this program"), rule->type);
    return kind->parse(rule, text, value);
}

/* ---- Describing ------------------------------------------------------------------------------ */

static struct json_object *describe_choices(const char *choices)
{
    struct json_object *list = json_object_new_array();
    for (const char *at = choices; at && *at;) {
        size_t width = strcspn(at, "|");
        json_object_array_add(list, json_object_new_string_len(at, (int)width));
        at += width + (at[width] == '|');
    }
    return list;
}

static struct json_object *describe_one(const struct cm_option *option)
{
    const struct kind *kind = kind_of(option->type);
    struct json_object *object = json_object_new_object();
    json_object_object_add(object, "name", json_object_new_string(option->name));
    json_object_object_add(object, "type", json_object_new_string(kind ? kind->name : "unknown"));
    json_object_object_add(object, "required", json_object_new_boolean((option->flags & CM_OPTION_REQUIRED) != 0));
    json_object_object_add(object, "writable", json_object_new_boolean((option->flags & CM_OPTION_WRITABLE) != 0));
    json_object_object_add(object, "default", option->fallback ? json_object_new_string(option->fallback) : NULL);
    if (option->choices)
        json_object_object_add(object, "choices", describe_choices(option->choices));
    if (option->min != 0 || option->max != 0) {
        json_object_object_add(object, "min", json_object_new_double(option->min));
        json_object_object_add(object, "max", json_object_new_double(option->max));
    }
    json_object_object_add(object, "help", json_object_new_string(option->help ? option->help : ""));
    return object;
}

struct json_object *cm_options_describe(const struct cm_option *options)
{
    struct json_object *list = json_object_new_array();
    for (; options && options->name; options++)
        json_object_array_add(list, describe_one(options));
    return list;
}

/* ---- Checking by the description ------------------------------------------------------------- */

static const char *text_of(struct json_object *object, const char *field)
{
    struct json_object *member;
    if (!json_object_object_get_ex(object, field, &member) || !json_object_is_type(member, json_type_string))
        return NULL;
    return json_object_get_string(member);
}

static double number_of(struct json_object *object, const char *field)
{
    struct json_object *member;
    return json_object_object_get_ex(object, field, &member) ? json_object_get_double(member) : 0;
}

/* The choices joined again with '|'; NULL when there are none. */
static char *choices_of(struct json_object *described)
{
    struct json_object *list;
    if (!json_object_object_get_ex(described, "choices", &list) || !json_object_is_type(list, json_type_array))
        return NULL;
    struct cm_text text = {0};
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        const char *choice = json_object_get_string(json_object_array_get_idx(list, i));
        cm_text_addf(&text, "%s%s", i > 0 ? "|" : "", choice ? choice : "");
    }
    return cm_text_take(&text);
}

/* A reference says where the secret is; the secret itself is checked by whoever resolves it. */
int cm_secret_is_reference(const char *text)
{
    return cm_starts_with(text, "file:") || cm_starts_with(text, "env:") || cm_starts_with(text, "credential:");
}

static const char not_a_reference[] =
    N_("a secret does not stand in the config: write file:/path, env:NAME or credential:NAME");

char *cm_option_check(struct json_object *described, const char *text)
{
    const char *name = text_of(described, "name"), *type = text_of(described, "type");
    struct rule rule = {.name = name ? name : "", .type = type ? type_from_name(type) : 0};
    if (rule.type == 0)
        return cm_format(_("%s: its type \"%s\" is not known to this program"), rule.name, type ? type : "");
    if (rule.type == CM_TYPE_SECRET && text[0] != '\0' && !cm_secret_is_reference(text))
        return cm_format(_("%s (secret): %s"), rule.name, _(not_a_reference));
    rule.min = number_of(described, "min");
    rule.max = number_of(described, "max");
    char *choices = choices_of(described);
    rule.choices = choices;
    struct value value = {0};
    char *problem = parse_value(&rule, text, &value);
    char *error = problem ? cm_format("%s (%s): %s", rule.name, type, problem) : NULL;
    free(problem);
    free(choices);
    return error;
}

/* ---- Filling a block ------------------------------------------------------------------------- */

static void store(const struct cm_option *option, void *block, const char *text, const struct value *value)
{
    char *field = (char *)block + option->offset;
    char *copy;
    switch (kinds[option->type].field) {
    case FIELD_TEXT:
        copy = cm_strdup(text);
        memcpy(field, &copy, sizeof copy);
        break;
    case FIELD_INT64:
        memcpy(field, &value->number, sizeof value->number);
        break;
    case FIELD_DOUBLE:
        memcpy(field, &value->real, sizeof value->real);
        break;
    case FIELD_INT:
        memcpy(field, &value->flag, sizeof value->flag);
        break;
    }
}

static char *fill_one(const struct cm_option *option, void *block, struct json_object *values)
{
    const struct kind *kind = kind_of(option->type);
    if (!kind)
        return cm_format(_("%s: its type %u is newer than this program"), option->name, option->type);
    struct rule rule = {option->name,    option->type, option->fallback, (option->flags & CM_OPTION_REQUIRED) != 0,
                        option->choices, option->min,  option->max};
    const char *given = values ? text_of(values, option->name) : NULL;
    if (rule.required && (!given || given[0] == '\0'))
        return cm_format(_("%s (%s) is required"), rule.name, kind->name);
    const char *text = given ? given : rule.fallback ? rule.fallback : "";
    struct value value = {0};
    char *problem = parse_value(&rule, text, &value);
    if (problem) {
        /* The value of a secret stays out of the words. */
        char *error = cm_format("%s (%s): %s", rule.name, kind->name, problem);
        free(problem);
        return error;
    }
    store(option, block, text, &value);
    return NULL;
}

/* A value for an option that is not there, or that is not a text: the line why not. */
static char *check_names(const struct cm_option *options, struct json_object *values)
{
    size_t count = 0, room = 0;
    const char **names = NULL;
    for (const struct cm_option *option = options; option && option->name; option++) {
        names = cm_grow(names, &room, count, sizeof *names);
        names[count++] = option->name;
    }
    char *error = NULL;
    json_object_object_foreach(values, name, member)
    {
        size_t i = 0;
        while (i < count && strcmp(names[i], name) != 0)
            i++;
        const char *near = i == count ? cm_nearest(name, names, count) : NULL;
        if (near)
            error = cm_format(_("unknown option \"%.80s\"; did you mean \"%s\"?"), name, near);
        else if (i == count)
            error = cm_format(_("unknown option \"%.80s\""), name);
        else if (!json_object_is_type(member, json_type_string))
            error = cm_format(_("%s: its value must be given as text"), name);
        if (error)
            break;
    }
    free(names);
    return error;
}

char *cm_options_fill(const struct cm_option *options, void *block, struct json_object *values)
{
    char *error = values ? check_names(options, values) : NULL;
    for (const struct cm_option *option = options; !error && option && option->name; option++)
        error = fill_one(option, block, values);
    if (error)
        cm_options_release(options, block);
    return error;
}

void cm_options_release(const struct cm_option *options, void *block)
{
    for (; options && options->name; options++) {
        const struct kind *kind = kind_of(options->type);
        if (!kind || kind->field != FIELD_TEXT)
            continue;
        char *text, *field = (char *)block + options->offset;
        memcpy(&text, field, sizeof text);
        if (text && options->type == CM_TYPE_SECRET)
            cm_wipe(text, strlen(text));
        free(text);
        text = NULL;
        memcpy(field, &text, sizeof text);
    }
}

/* ---- Secrets --------------------------------------------------------------------------------- */

enum {
    SECRET_MAX = 64 * 1024
};

/* Reads at most SECRET_MAX bytes of fd; the count, or -1 with errno. */
static ssize_t read_all(int fd, char *bytes)
{
    ssize_t total = 0;
    while (total <= SECRET_MAX) {
        ssize_t got = read(fd, bytes + total, (size_t)(SECRET_MAX + 1 - total));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -1 : total;
        total += got;
    }
    errno = EFBIG;
    return -1;
}

/* One secret out of what a file held; the buffer is wiped by the caller. */
static char *take_secret(const char *path, char *bytes, ssize_t count, char **error)
{
    if (count < 0) {
        *error = cm_format(_("cannot read the secret in %s: %s"), path, strerror(errno));
        return NULL;
    }
    while (count > 0 && (bytes[count - 1] == '\n' || bytes[count - 1] == '\r'))
        count--;
    if (count == 0)
        *error = cm_format(_("the secret in %s is empty"), path);
    else if (memchr(bytes, '\0', (size_t)count) || memchr(bytes, '\n', (size_t)count))
        *error = cm_format(_("the secret in %s must be one line of text"), path);
    else
        return cm_strndup(bytes, (size_t)count);
    return NULL;
}

static char *read_secret(const char *path, char **error)
{
    /* O_NONBLOCK: a FIFO by mistake must not stop the start. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat facts;
    if (fd < 0 || fstat(fd, &facts) != 0) {
        *error = cm_format(_("cannot read the secret in %s: %s"), path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    if (!S_ISREG(facts.st_mode)) {
        *error = cm_format(_("the secret in %s cannot be read: it is not a regular file"), path);
        close(fd);
        return NULL;
    }
    char *bytes = cm_alloc(SECRET_MAX + 1);
    ssize_t count = read_all(fd, bytes);
    char *secret = take_secret(path, bytes, count, error);
    cm_wipe(bytes, SECRET_MAX + 1);
    free(bytes);
    close(fd);
    return secret;
}

static char *credential(const char *name, char **error)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (!folder || folder[0] == '\0') {
        *error = cm_format(_("credential:%.80s: no CREDENTIALS_DIRECTORY; set LoadCredential= in the unit"), name);
        return NULL;
    }
    if (name[0] == '\0' || name[0] == '.' || strchr(name, '/')) {
        *error = cm_format(_("credential:%.80s: a credential's name has no '/' and does not begin with '.'"), name);
        return NULL;
    }
    char *path = cm_format("%s/%s", folder, name);
    char *secret = read_secret(path, error);
    free(path);
    return secret;
}

char *cm_secret_resolve(const char *reference, char **error)
{
    if (cm_starts_with(reference, "credential:"))
        return credential(reference + strlen("credential:"), error);
    if (cm_starts_with(reference, "env:")) {
        const char *name = reference + strlen("env:"), *value = getenv(name);
        if (value && value[0] != '\0')
            return cm_strdup(value);
        *error = cm_format(_("env:%.80s: the environment has no such variable, or it is empty"), name);
        return NULL;
    }
    if (cm_starts_with(reference, "file:/"))
        return read_secret(reference + strlen("file:"), error);
    if (cm_starts_with(reference, "file:"))
        *error = cm_format(_("%.200s: the path must be absolute"), reference);
    else
        *error = cm_strdup(_(not_a_reference));
    return NULL;
}
