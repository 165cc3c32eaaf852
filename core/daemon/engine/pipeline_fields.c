/*
 * The fields of a step: read by one table, with defaults, and checked one step at a time.
 */
#include <clipmaker/plugin.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/done.h"
#include "core/common/log.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/daemon/engine/pipeline_read.h"

#define NAME_MAX_BYTES 40
#define TRIES_MAX 100
#define TRIES_DEFAULT 3
#define MINUTE_MS (60 * 1000LL)

char *cm_pipeline_hint(const char *wrong, const char *const *names, size_t count)
{
    const char *near = cm_nearest(wrong, names, count);
    return near ? cm_format(_("; did you mean \"%s\"?"), near) : cm_strdup("");
}

int cm_pipeline_is_name(const char *text)
{
    size_t bytes = strlen(text);
    return bytes > 0 && bytes <= NAME_MAX_BYTES &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == bytes;
}

typedef char *(*field_fn)(struct cm_step_draft *draft, struct json_object *value);

static const char *text_of(struct json_object *value)
{
    return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

static char *read_name(char **field, struct json_object *value)
{
    const char *text = text_of(value);
    if (!text || !cm_pipeline_is_name(text)) {
        return cm_format(_("must be a name of letters, digits, - and _, at most %d bytes"), NAME_MAX_BYTES);
    }
    *field = cm_strdup(text);
    return NULL;
}

static char *read_step(struct cm_step_draft *draft, struct json_object *value)
{
    return read_name(&draft->step.name, value);
}

static char *read_stage(struct cm_step_draft *draft, struct json_object *value)
{
    static const char *const names[] = {"source", "prepare", "stt", "llm", "render", "publish"};
    const char *text = text_of(value);
    draft->step.stage = text ? cm_stage_from_name(text) : 0;
    if (draft->step.stage) {
        return NULL;
    }
    char *hint = cm_pipeline_hint(text ? text : "", names, sizeof names / sizeof *names);
    char *words = cm_format(_("must be source, prepare, stt, llm, render or publish%s"), hint);
    free(hint);
    return words;
}

static char *read_builtin(struct cm_step_draft *draft, struct json_object *value)
{
    return read_name(&draft->step.builtin, value);
}

static char *read_ask(struct cm_step_draft *draft, struct json_object *value)
{
    return read_name(&draft->step.ask, value);
}

static char *read_names(char ***names, size_t *count, struct json_object *value)
{
    size_t length = json_object_is_type(value, json_type_array) ? json_object_array_length(value) : 0;
    *names = cm_alloc((length + 1) * sizeof **names);
    for (size_t i = 0; i < length; i++) {
        char *problem = read_name(&(*names)[i], json_object_array_get_idx(value, i));
        if (problem) {
            return problem;
        }
        *count = i + 1;
    }
    return length ? NULL : cm_strdup(_("must be a list of names, not empty"));
}

static char *read_use(struct cm_step_draft *draft, struct json_object *value)
{
    return read_names(&draft->step.use, &draft->step.use_count, value);
}

static char *read_after(struct cm_step_draft *draft, struct json_object *value)
{
    if (json_object_is_type(value, json_type_array) && !json_object_array_length(value)) {
        return NULL;
    }
    return read_names(&draft->after_names, &draft->after_name_count, value);
}

static char *read_each(struct cm_step_draft *draft, struct json_object *value)
{
    struct cm_step *step = &draft->step;
    const char *at = text_of(value);
    while (at && step->each_count < CM_MAX_DIMENSIONS) {
        size_t bytes = strcspn(at, "*");
        char *name = cm_strndup(at, bytes);
        if (!cm_pipeline_is_name(name)) {
            free(name);
            break;
        }
        for (size_t i = 0; i < step->each_count; i++) {
            if (!strcmp(step->each[i], name)) {
                free(name);
                return cm_strdup(_("names one dimension twice"));
            }
        }
        step->each[step->each_count++] = name;
        if (!at[bytes]) {
            return NULL;
        }
        at += bytes + 1;
    }
    return cm_format(_("must be at most %d dimensions joined by *, as in \"moment*format\""), CM_MAX_DIMENSIONS);
}

static char *read_makes(struct cm_step_draft *draft, struct json_object *value)
{
    if (json_object_is_type(value, json_type_array)) {
        if (json_object_array_length(value) != 1) {
            return cm_strdup(_("a step makes one dimension"));
        }
        value = json_object_array_get_idx(value, 0);
    }
    char *problem = read_name(&draft->step.makes, value);
    if (!problem && (!strcmp(draft->step.makes, "format") || !strcmp(draft->step.makes, "target"))) {
        return cm_strdup(_("\"format\" and \"target\" come from the job, no step makes them"));
    }
    return problem;
}

static char *read_need(struct cm_step_draft *draft, struct json_object *value)
{
    struct cm_need *need = &draft->step.need;
    const char *text = json_object_get_string(value);
    char *end = NULL;
    if (text && !strcmp(text, "all")) {
        need->kind = CM_NEED_ALL;
        return NULL;
    }
    if (text && !strcmp(text, "any")) {
        need->kind = CM_NEED_ANY;
        return NULL;
    }
    need->number = text && *text >= '0' && *text <= '9' ? strtoll(text, &end, 10) : 0;
    need->kind = end && !strcmp(end, "%") ? CM_NEED_PERCENT : CM_NEED_COUNT;
    if (need->number < 1 || (*end && need->kind == CM_NEED_COUNT) || need->number > 1000000 ||
        (need->kind == CM_NEED_PERCENT && need->number > 100)) {
        return cm_strdup(_("must be \"all\", \"any\", a number, or a percentage such as \"80%\""));
    }
    return NULL;
}

static char *read_optional(struct cm_step_draft *draft, struct json_object *value)
{
    draft->step.optional = json_object_get_boolean(value);
    return json_object_is_type(value, json_type_boolean) ? NULL : cm_strdup(_("must be true or false"));
}

static char *read_tries(struct cm_step_draft *draft, struct json_object *value)
{
    draft->step.tries = json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : 0;
    return draft->step.tries >= 1 && draft->step.tries <= TRIES_MAX
               ? NULL
               : cm_format(_("must be a whole number from 1 to %d"), TRIES_MAX);
}

static char *read_duration(int64_t *ms, struct json_object *value)
{
    char *problem = NULL;
    const char *text = text_of(value);
    if (!text || cm_parse_duration(text, ms, &problem) || *ms <= 0) {
        free(problem);
        return cm_strdup(_("must be a duration above zero such as \"10m\""));
    }
    return NULL;
}

static char *read_deadline(struct cm_step_draft *draft, struct json_object *value)
{
    return read_duration(&draft->step.deadline_ms, value);
}

static char *read_warn(struct cm_step_draft *draft, struct json_object *value)
{
    return read_duration(&draft->step.warn_ms, value);
}

static char *read_stall(struct cm_step_draft *draft, struct json_object *value)
{
    return read_duration(&draft->step.stall_ms, value);
}

static const struct {
    const char *name;
    field_fn read;
} fields[] = {
    {"step", read_step}, {"stage", read_stage},       {"builtin", read_builtin}, {"ask", read_ask},
    {"use", read_use},   {"after", read_after},       {"each", read_each},       {"makes", read_makes},
    {"need", read_need}, {"optional", read_optional}, {"tries", read_tries},     {"deadline", read_deadline},
    {"warn", read_warn}, {"stall", read_stall},
};

enum {
    FIELD_COUNT = sizeof fields / sizeof *fields
};

static char *unknown_field(const char *name)
{
    const char *names[FIELD_COUNT];
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        names[i] = fields[i].name;
    }
    char *hint = cm_pipeline_hint(name, names, FIELD_COUNT);
    char *words = cm_format(_("there is no field \"%s\"%s"), name, hint);
    free(hint);
    return words;
}

/* One more line; takes both. */
static char *add_line(char *lines, char *line)
{
    if (!lines) {
        return line;
    }
    char *both = cm_format("%s\n%s", lines, line);
    free(lines);
    free(line);
    return both;
}

/* NULL, or a line for each problem. */
static char *read_fields(struct cm_step_draft *draft)
{
    char *lines = NULL;
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        struct json_object *value = NULL;
        if (!json_object_object_get_ex(draft->json, fields[i].name, &value)) {
            continue;
        }
        char *problem = value ? fields[i].read(draft, value) : cm_strdup(_("has no value"));
        if (problem) {
            lines = add_line(lines, cm_format("%s: %s", fields[i].name, problem));
            free(problem);
        }
    }
    json_object_object_foreach(draft->json, name, unused)
    {
        size_t i = 0;
        (void)unused;
        while (i < FIELD_COUNT && strcmp(fields[i].name, name)) {
            i++;
        }
        if (i == FIELD_COUNT) {
            lines = add_line(lines, unknown_field(name));
        }
    }
    return lines;
}

static void fill_text(char **field)
{
    if (!*field) {
        *field = cm_strdup("");
    }
}

static void fill_defaults(struct cm_step *step)
{
    static const int64_t deadline_minutes[] = {
        [0] = 10,           [CM_STAGE_SOURCE] = 120, [CM_STAGE_PREPARE] = 120, [CM_STAGE_STT] = 30,
        [CM_STAGE_LLM] = 5, [CM_STAGE_RENDER] = 60,  [CM_STAGE_PUBLISH] = 15,
    };
    fill_text(&step->name);
    fill_text(&step->builtin);
    fill_text(&step->ask);
    fill_text(&step->makes);
    if (!step->need.kind) {
        step->need.kind = CM_NEED_ALL;
    }
    if (!step->tries) {
        step->tries = TRIES_DEFAULT;
    }
    if (!step->deadline_ms) {
        step->deadline_ms = deadline_minutes[step->stage] * MINUTE_MS;
    }
    if (!step->warn_ms) {
        step->warn_ms = step->deadline_ms / 2;
    }
}

static char *check_step(const struct cm_step *step)
{
    int builtin = *step->builtin != 0;
    if (!*step->name) {
        return cm_strdup(_("it has no name: give it step = \"NAME\""));
    }
    if ((step->stage != 0) == builtin) {
        return cm_strdup(_("give it either a stage or a builtin"));
    }
    if ((step->stage == CM_STAGE_LLM) != (*step->ask != 0)) {
        return cm_strdup(step->stage == CM_STAGE_LLM ? _("an llm step needs ask = \"QUESTION\"")
                                                     : _("ask belongs to llm steps only"));
    }
    if (builtin && step->use_count) {
        return cm_strdup(_("a builtin step uses no plugin"));
    }
    if (step->stage && step->stage != CM_STAGE_LLM && !step->use_count) {
        return cm_strdup(_("needs use = [ \"INSTANCE\", … ]"));
    }
    if (step->warn_ms > step->deadline_ms) {
        return cm_strdup(_("warn is later than deadline"));
    }
    return NULL;
}

char *cm_step_read(struct cm_step_draft *draft)
{
    if (!json_object_is_type(draft->json, json_type_object)) {
        return cm_strdup(_("a step must be a group of fields"));
    }
    char *problem = read_fields(draft);
    if (problem) {
        return problem;
    }
    fill_defaults(&draft->step);
    return check_step(&draft->step);
}
