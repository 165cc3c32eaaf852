/*
 * Pipelines: parsed from JSON by one table of fields, checked, ordered, and written back as the
 * canonical text whose hash is their id.
 */
#include "core/daemon/pipeline.h"

#include <clipmaker/plugin.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/done.h"
#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/common/units.h"

#define NAME_MAX_BYTES 40
#define TRIES_MAX 100
#define TRIES_DEFAULT 3
#define MINUTE_MS (60 * 1000LL)

/* A step while it is being read: its names are not yet looked up. */
struct draft {
    struct cm_step step;
    char **after_names;
    size_t after_name_count;
    struct json_object *json;
};

struct reader {
    const char *pipeline;
    struct draft *drafts;
    size_t count;
    char **error;
};

/* ---- Complaints ------------------------------------------------------------------------------ */

static int complain(char **error, char *words)
{
    if (error) {
        *error = words;
    } else {
        free(words);
    }
    return -1;
}

static int step_error(const struct reader *reader, const struct draft *draft, char *words)
{
    char *line = cm_format(_("pipeline \"%s\", step \"%s\": %s"), reader->pipeline,
                           draft->step.name ? draft->step.name : "?", words);
    free(words);
    return complain(reader->error, line);
}

static char *did_you_mean(const char *wrong, const char *const *names, size_t count)
{
    const char *near = cm_nearest(wrong, names, count);
    return near ? cm_format(_("; did you mean \"%s\"?"), near) : cm_strdup("");
}

/* ---- Fields ---------------------------------------------------------------------------------- */

static int is_name(const char *text)
{
    size_t bytes = strlen(text);
    return bytes > 0 && bytes <= NAME_MAX_BYTES &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == bytes;
}

typedef char *(*field_fn)(struct draft *draft, struct json_object *value);

static const char *text_of(struct json_object *value)
{
    return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

static char *read_name(char **field, struct json_object *value)
{
    const char *text = text_of(value);
    if (!text || !is_name(text)) {
        return cm_format(_("must be a name of letters, digits, - and _, at most %d bytes"), NAME_MAX_BYTES);
    }
    *field = cm_strdup(text);
    return NULL;
}

static char *read_step(struct draft *draft, struct json_object *value)
{
    return read_name(&draft->step.name, value);
}

static char *read_stage(struct draft *draft, struct json_object *value)
{
    static const char *const names[] = {"source", "prepare", "stt", "llm", "render", "publish"};
    const char *text = text_of(value);
    draft->step.stage = text ? cm_stage_from_name(text) : 0;
    if (draft->step.stage) {
        return NULL;
    }
    char *hint = did_you_mean(text ? text : "", names, sizeof names / sizeof *names);
    char *words = cm_format(_("must be source, prepare, stt, llm, render or publish%s"), hint);
    free(hint);
    return words;
}

static char *read_builtin(struct draft *draft, struct json_object *value)
{
    return read_name(&draft->step.builtin, value);
}

static char *read_ask(struct draft *draft, struct json_object *value)
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

static char *read_use(struct draft *draft, struct json_object *value)
{
    return read_names(&draft->step.use, &draft->step.use_count, value);
}

static char *read_after(struct draft *draft, struct json_object *value)
{
    if (json_object_is_type(value, json_type_array) && !json_object_array_length(value)) {
        return NULL;
    }
    return read_names(&draft->after_names, &draft->after_name_count, value);
}

static char *read_each(struct draft *draft, struct json_object *value)
{
    struct cm_step *step = &draft->step;
    const char *at = text_of(value);
    while (at && step->each_count < CM_MAX_DIMENSIONS) {
        size_t bytes = strcspn(at, "*");
        char *name = cm_strndup(at, bytes);
        if (!is_name(name)) {
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

static char *read_makes(struct draft *draft, struct json_object *value)
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

static char *read_need(struct draft *draft, struct json_object *value)
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

static char *read_optional(struct draft *draft, struct json_object *value)
{
    draft->step.optional = json_object_get_boolean(value);
    return json_object_is_type(value, json_type_boolean) ? NULL : cm_strdup(_("must be true or false"));
}

static char *read_tries(struct draft *draft, struct json_object *value)
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

static char *read_deadline(struct draft *draft, struct json_object *value)
{
    return read_duration(&draft->step.deadline_ms, value);
}

static char *read_warn(struct draft *draft, struct json_object *value)
{
    return read_duration(&draft->step.warn_ms, value);
}

static const struct {
    const char *name;
    field_fn read;
} fields[] = {
    {"step", read_step}, {"stage", read_stage},       {"builtin", read_builtin}, {"ask", read_ask},
    {"use", read_use},   {"after", read_after},       {"each", read_each},       {"makes", read_makes},
    {"need", read_need}, {"optional", read_optional}, {"tries", read_tries},     {"deadline", read_deadline},
    {"warn", read_warn},
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
    char *hint = did_you_mean(name, names, FIELD_COUNT);
    char *words = cm_format(_("there is no field \"%s\"%s"), name, hint);
    free(hint);
    return words;
}

static int read_fields(struct reader *reader, struct draft *draft)
{
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        struct json_object *value = NULL;
        if (!json_object_object_get_ex(draft->json, fields[i].name, &value)) {
            continue;
        }
        char *problem = value ? fields[i].read(draft, value) : cm_strdup(_("has no value"));
        if (problem) {
            char *words = cm_format("%s: %s", fields[i].name, problem);
            free(problem);
            return step_error(reader, draft, words);
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
            return step_error(reader, draft, unknown_field(name));
        }
    }
    return 0;
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

static int check_step(const struct reader *reader, const struct draft *draft)
{
    const struct cm_step *step = &draft->step;
    int builtin = *step->builtin != 0;
    if (!*step->name) {
        return step_error(reader, draft, cm_strdup(_("it has no name: give it step = \"NAME\"")));
    }
    if ((step->stage != 0) == builtin) {
        return step_error(reader, draft, cm_strdup(_("give it either a stage or a builtin")));
    }
    if ((step->stage == CM_STAGE_LLM) != (*step->ask != 0)) {
        return step_error(reader, draft,
                          cm_strdup(step->stage == CM_STAGE_LLM ? _("an llm step needs ask = \"QUESTION\"")
                                                                : _("ask belongs to llm steps only")));
    }
    if (builtin && step->use_count) {
        return step_error(reader, draft, cm_strdup(_("a builtin step uses no plugin")));
    }
    if (step->stage && step->stage != CM_STAGE_LLM && !step->use_count) {
        return step_error(reader, draft, cm_strdup(_("needs use = [ \"INSTANCE\", … ]")));
    }
    if (step->warn_ms > step->deadline_ms) {
        return step_error(reader, draft, cm_strdup(_("warn is later than deadline")));
    }
    return 0;
}

static int read_step_object(struct reader *reader, struct draft *draft)
{
    if (!json_object_is_type(draft->json, json_type_object)) {
        return step_error(reader, draft, cm_strdup(_("a step must be a group of fields")));
    }
    if (read_fields(reader, draft)) {
        return -1;
    }
    fill_defaults(&draft->step);
    return check_step(reader, draft);
}

/* ---- Order ----------------------------------------------------------------------------------- */

static size_t find_draft(const struct reader *reader, const char *name)
{
    size_t i = 0;
    while (i < reader->count && strcmp(reader->drafts[i].step.name, name)) {
        i++;
    }
    return i;
}

static int unknown_step(const struct reader *reader, const struct draft *draft, const char *name)
{
    const char **names = cm_alloc(reader->count * sizeof *names);
    for (size_t i = 0; i < reader->count; i++) {
        names[i] = reader->drafts[i].step.name;
    }
    char *hint = did_you_mean(name, names, reader->count);
    char *words = cm_format(_("after: there is no step \"%s\"%s"), name, hint);
    free(hint);
    free(names);
    return step_error(reader, draft, words);
}

static int check_names(const struct reader *reader)
{
    for (size_t i = 0; i < reader->count; i++) {
        const struct draft *draft = &reader->drafts[i];
        if (find_draft(reader, draft->step.name) != i) {
            return step_error(reader, draft, cm_strdup(_("there are two steps of that name")));
        }
        for (size_t k = 0; k < draft->after_name_count; k++) {
            if (find_draft(reader, draft->after_names[k]) == reader->count) {
                return unknown_step(reader, draft, draft->after_names[k]);
            }
        }
    }
    return 0;
}

/* All that it comes after are placed (order[] holds place + 1). */
static int may_place(const struct reader *reader, const size_t *order, size_t index)
{
    const struct draft *draft = &reader->drafts[index];
    for (size_t k = 0; k < draft->after_name_count; k++) {
        if (!order[find_draft(reader, draft->after_names[k])]) {
            return 0;
        }
    }
    return !order[index];
}

/* Gives each draft its place in topological order, keeping the written order where it can. */
static int place_steps(const struct reader *reader, size_t *order)
{
    for (size_t place = 0; place < reader->count; place++) {
        size_t next = 0;
        while (next < reader->count && !may_place(reader, order, next)) {
            next++;
        }
        if (next == reader->count) {
            for (next = 0; order[next];) {
                next++;
            }
            return step_error(reader, &reader->drafts[next],
                              cm_strdup(_("it waits for itself: its \"after\" goes in a circle")));
        }
        order[next] = place + 1;
    }
    return 0;
}

static int compare_index(const void *a, const void *b)
{
    size_t left = *(const size_t *)a, right = *(const size_t *)b;
    return left < right ? -1 : left > right;
}

static void take_steps(struct reader *reader, const size_t *order, struct cm_pipeline *pipeline)
{
    pipeline->steps = cm_alloc(reader->count * sizeof *pipeline->steps);
    pipeline->step_count = reader->count;
    for (size_t i = 0; i < reader->count; i++) {
        struct draft *draft = &reader->drafts[i];
        struct cm_step *step = &pipeline->steps[order[i] - 1];
        *step = draft->step;
        step->after = cm_alloc((draft->after_name_count + 1) * sizeof *step->after);
        for (size_t k = 0; k < draft->after_name_count; k++) {
            size_t index = order[find_draft(reader, draft->after_names[k])] - 1;
            size_t seen = 0;
            while (seen < step->after_count && step->after[seen] != index) {
                seen++;
            }
            step->after[seen] = index;
            step->after_count += seen == step->after_count;
        }
        qsort(step->after, step->after_count, sizeof *step->after, compare_index);
    }
    for (size_t i = 0; i < reader->count; i++) { /* their names were needed until here */
        memset(&reader->drafts[i].step, 0, sizeof reader->drafts[i].step);
    }
}

/* ---- Dimensions ------------------------------------------------------------------------------ */

static int comes_after(const struct cm_pipeline *pipeline, size_t step, size_t earlier)
{
    for (size_t k = 0; k < pipeline->steps[step].after_count; k++) {
        size_t before = pipeline->steps[step].after[k];
        if (before == earlier || comes_after(pipeline, before, earlier)) {
            return 1;
        }
    }
    return 0;
}

static int has_dimension(const struct cm_step *step, const char *dimension)
{
    for (size_t i = 0; i < step->each_count; i++) {
        if (!strcmp(step->each[i], dimension)) {
            return 1;
        }
    }
    return 0;
}

static char *check_maker(const struct cm_pipeline *pipeline, size_t index, const char *dimension)
{
    const struct cm_step *step = &pipeline->steps[index];
    if (!strcmp(dimension, "format") || !strcmp(dimension, "target")) {
        return NULL;
    }
    for (size_t i = 0; i < pipeline->step_count; i++) {
        const struct cm_step *maker = &pipeline->steps[i];
        if (strcmp(maker->makes, dimension)) {
            continue;
        }
        if (!comes_after(pipeline, index, i)) {
            return cm_format(_("each: \"%s\" is made by step \"%s\", which does not come before"), dimension,
                             maker->name);
        }
        for (size_t k = 0; k < maker->each_count; k++) {
            if (!has_dimension(step, maker->each[k])) {
                return cm_format(_("each: \"%s\" is made for each \"%s\": name that too"), dimension, maker->each[k]);
            }
        }
        return NULL;
    }
    return cm_format(_("each: no step makes \"%s\""), dimension);
}

static char *check_dimensions(const struct cm_pipeline *pipeline, size_t index)
{
    const struct cm_step *step = &pipeline->steps[index];
    for (size_t i = 0; i < step->each_count; i++) {
        char *problem = check_maker(pipeline, index, step->each[i]);
        if (problem) {
            return problem;
        }
    }
    for (size_t i = 0; *step->makes && i < index; i++) {
        if (!strcmp(pipeline->steps[i].makes, step->makes)) {
            return cm_format(_("makes: step \"%s\" makes \"%s\" already"), pipeline->steps[i].name, step->makes);
        }
    }
    for (size_t i = 0; i < step->use_count; i++) {
        if (!strcmp(step->use[i], "target") && !has_dimension(step, "target")) {
            return cm_strdup(_("use: \"target\" needs a \"target\" in each"));
        }
    }
    return NULL;
}

static int check_pipeline(const struct reader *reader, const struct cm_pipeline *pipeline)
{
    for (size_t i = 0; i < pipeline->step_count; i++) {
        char *problem = check_dimensions(pipeline, i);
        if (problem) {
            struct draft named = {.step.name = pipeline->steps[i].name};
            return step_error(reader, &named, problem);
        }
    }
    return 0;
}

/* ---- The canonical text ---------------------------------------------------------------------- */

static void put_text(struct json_object *object, const char *name, const char *text)
{
    if (*text) {
        json_object_object_add(object, name, json_object_new_string(text));
    }
}

static void put_format(struct json_object *object, const char *name, char *text)
{
    put_text(object, name, text);
    free(text);
}

static void put_lists(struct json_object *object, const struct cm_pipeline *pipeline, const struct cm_step *step)
{
    if (step->use_count) {
        struct json_object *use = json_object_new_array();
        for (size_t i = 0; i < step->use_count; i++) {
            json_object_array_add(use, json_object_new_string(step->use[i]));
        }
        json_object_object_add(object, "use", use);
    }
    if (step->after_count) {
        struct json_object *after = json_object_new_array();
        for (size_t i = 0; i < step->after_count; i++) {
            json_object_array_add(after, json_object_new_string(pipeline->steps[step->after[i]].name));
        }
        json_object_object_add(object, "after", after);
    }
    struct cm_text each = {0};
    for (size_t i = 0; i < step->each_count; i++) {
        cm_text_addf(&each, "%s%s", i ? "*" : "", step->each[i]);
    }
    put_format(object, "each", cm_text_take(&each));
}

static char *need_text(const struct cm_need *need)
{
    switch (need->kind) {
    case CM_NEED_ANY:
        return cm_strdup("any");
    case CM_NEED_COUNT:
        return cm_format("%lld", (long long)need->number);
    case CM_NEED_PERCENT:
        return cm_format("%lld%%", (long long)need->number);
    case CM_NEED_ALL:
        break;
    }
    return cm_strdup("all");
}

static struct json_object *canonical_step(const struct cm_pipeline *pipeline, const struct cm_step *step)
{
    struct json_object *object = json_object_new_object();
    put_text(object, "step", step->name);
    put_text(object, "stage", cm_stage_name(step->stage));
    put_text(object, "builtin", step->builtin);
    put_text(object, "ask", step->ask);
    put_lists(object, pipeline, step);
    put_text(object, "makes", step->makes);
    put_format(object, "need", need_text(&step->need));
    if (step->optional) {
        json_object_object_add(object, "optional", json_object_new_boolean(1));
    }
    json_object_object_add(object, "tries", json_object_new_int64(step->tries));
    put_format(object, "deadline", cm_format("%lldms", (long long)step->deadline_ms));
    put_format(object, "warn", cm_format("%lldms", (long long)step->warn_ms));
    return object;
}

static void write_canonical(struct cm_pipeline *pipeline)
{
    struct json_object *object = json_object_new_object();
    struct json_object *steps = json_object_new_array();
    char hash[65];
    for (size_t i = 0; i < pipeline->step_count; i++) {
        json_object_array_add(steps, canonical_step(pipeline, &pipeline->steps[i]));
    }
    json_object_object_add(object, "name", json_object_new_string(pipeline->name));
    json_object_object_add(object, "steps", steps);
    pipeline->json =
        cm_strdup(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(object);
    cm_sha256(pipeline->json, strlen(pipeline->json), hash);
    pipeline->id = cm_strdup(hash);
}

/* ---- All together ---------------------------------------------------------------------------- */

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(names[i]);
    }
    free(names);
}

static void free_step(struct cm_step *step)
{
    free(step->name);
    free(step->builtin);
    free(step->ask);
    free(step->makes);
    free(step->after);
    free_names(step->use, step->use_count);
    for (size_t i = 0; i < step->each_count; i++) {
        free(step->each[i]);
    }
}

void cm_pipeline_free(struct cm_pipeline *pipeline)
{
    if (!pipeline) {
        return;
    }
    for (size_t i = 0; i < pipeline->step_count; i++) {
        free_step(&pipeline->steps[i]);
    }
    free(pipeline->steps);
    free(pipeline->id);
    free(pipeline->name);
    free(pipeline->json);
    free(pipeline);
}

static void free_drafts(struct reader *reader)
{
    for (size_t i = 0; i < reader->count; i++) {
        free_step(&reader->drafts[i].step);
        free_names(reader->drafts[i].after_names, reader->drafts[i].after_name_count);
    }
    free(reader->drafts);
}

static int read_steps(struct reader *reader, struct json_object *steps, struct cm_pipeline *pipeline)
{
    reader->count = json_object_array_length(steps);
    reader->drafts = cm_alloc(reader->count * sizeof *reader->drafts);
    for (size_t i = 0; i < reader->count; i++) {
        reader->drafts[i].json = json_object_array_get_idx(steps, i);
        if (read_step_object(reader, &reader->drafts[i])) {
            return -1;
        }
    }
    size_t *order = cm_alloc(reader->count * sizeof *order);
    int result = check_names(reader);
    result = result ? result : place_steps(reader, order);
    if (!result) {
        take_steps(reader, order, pipeline);
        result = check_pipeline(reader, pipeline);
    }
    free(order);
    return result;
}

static int read_top(struct reader *reader, struct json_object *top, struct cm_pipeline *pipeline)
{
    static const char *const names[] = {"name", "steps"};
    struct json_object *steps = cm_json_array(top, "steps");
    pipeline->name = cm_strdup(cm_json_text(top, "name", ""));
    reader->pipeline = pipeline->name;
    if (!is_name(pipeline->name)) {
        return complain(reader->error, cm_strdup(_("a pipeline needs a name of letters, digits, - and _")));
    }
    json_object_object_foreach(top, field, unused)
    {
        (void)unused;
        if (strcmp(field, names[0]) && strcmp(field, names[1])) {
            char *hint = did_you_mean(field, names, 2);
            int result = complain(reader->error, cm_format(_("pipeline \"%s\": there is no field \"%s\"%s"),
                                                           pipeline->name, field, hint));
            free(hint);
            return result;
        }
    }
    if (!steps || !json_object_array_length(steps)) {
        return complain(reader->error, cm_format(_("pipeline \"%s\": it has no steps"), pipeline->name));
    }
    return read_steps(reader, steps, pipeline);
}

struct cm_pipeline *cm_pipeline_parse(const char *json, char **error)
{
    char *why = NULL;
    struct json_object *top = cm_json_parse(json, strlen(json), &why);
    if (!top || !json_object_is_type(top, json_type_object)) {
        complain(error, cm_format(_("a pipeline must be a JSON object%s%s"), why ? ": " : "", why ? why : ""));
        json_object_put(top);
        free(why);
        return NULL;
    }
    struct cm_pipeline *pipeline = cm_alloc(sizeof *pipeline);
    struct reader reader = {.error = error};
    int result = read_top(&reader, top, pipeline);
    free_drafts(&reader);
    json_object_put(top);
    if (result) {
        cm_pipeline_free(pipeline);
        return NULL;
    }
    write_canonical(pipeline);
    return pipeline;
}

const struct cm_step *cm_pipeline_step(const struct cm_pipeline *pipeline, const char *name)
{
    for (size_t i = 0; i < pipeline->step_count; i++) {
        if (!strcmp(pipeline->steps[i].name, name)) {
            return &pipeline->steps[i];
        }
    }
    return NULL;
}
