/*
 * Pipelines: parsed from JSON, put in order, checked, and written back as their canonical text.
 */
#include "core/daemon/engine/pipeline.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/daemon/engine/pipeline_read.h"

struct reader {
    const char *pipeline;
    struct cm_step_draft *drafts;
    size_t count;
    char **error;
};

/* ---- Complaints ------------------------------------------------------------------------------ */

/* One more line. */
static int complain(char **error, char *words)
{
    char *before = error ? *error : NULL;
    if (before) {
        *error = cm_format("%s\n%s", before, words);
        free(before);
        free(words);
    } else if (error) {
        *error = words;
    } else {
        free(words);
    }
    return -1;
}

/* words: a line for each problem. */
static int step_error(const struct reader *reader, const struct cm_step_draft *draft, char *words)
{
    char *rest = words, *problem;
    while ((problem = strsep(&rest, "\n"))) {
        complain(reader->error, cm_format(_("pipeline \"%s\", step \"%s\": %s"), reader->pipeline,
                                          draft->step.name ? draft->step.name : "?", problem));
    }
    free(words);
    return -1;
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

static int unknown_step(const struct reader *reader, const struct cm_step_draft *draft, const char *name)
{
    const char **names = cm_alloc(reader->count * sizeof *names);
    for (size_t i = 0; i < reader->count; i++) {
        names[i] = reader->drafts[i].step.name;
    }
    char *hint = cm_pipeline_hint(name, names, reader->count);
    char *words = cm_format(_("after: there is no step \"%s\"%s"), name, hint);
    free(hint);
    free(names);
    return step_error(reader, draft, words);
}

static int check_names(const struct reader *reader)
{
    int result = 0;
    for (size_t i = 0; i < reader->count; i++) {
        const struct cm_step_draft *draft = &reader->drafts[i];
        if (find_draft(reader, draft->step.name) != i) {
            result = step_error(reader, draft, cm_strdup(_("there are two steps of that name")));
        }
        for (size_t k = 0; k < draft->after_name_count; k++) {
            if (find_draft(reader, draft->after_names[k]) == reader->count) {
                result = unknown_step(reader, draft, draft->after_names[k]);
            }
        }
    }
    return result;
}

/* All that it comes after are placed (order[] holds place + 1). */
static int may_place(const struct reader *reader, const size_t *order, size_t index)
{
    const struct cm_step_draft *draft = &reader->drafts[index];
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
        struct cm_step_draft *draft = &reader->drafts[i];
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

static int check_pipeline(const struct reader *reader, const struct cm_pipeline *pipeline)
{
    int result = 0;
    for (size_t i = 0; i < pipeline->step_count; i++) {
        char *problem = cm_step_check_dimensions(pipeline, i);
        if (problem) {
            struct cm_step_draft named = {.step.name = pipeline->steps[i].name};
            result = step_error(reader, &named, problem);
        }
    }
    return result;
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
    if (!pipeline || --pipeline->users) {
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

struct cm_pipeline *cm_pipeline_share(struct cm_pipeline *pipeline)
{
    pipeline->users++;
    return pipeline;
}

static void free_drafts(struct reader *reader)
{
    for (size_t i = 0; i < reader->count; i++) {
        free_step(&reader->drafts[i].step);
        free_names(reader->drafts[i].after_names, reader->drafts[i].after_name_count);
    }
    free(reader->drafts);
}

static int read_drafts(struct reader *reader, struct json_object *steps)
{
    int result = 0;
    for (size_t i = 0; i < reader->count; i++) {
        reader->drafts[i].json = json_object_array_get_idx(steps, i);
        char *problem = cm_step_read(&reader->drafts[i]);
        if (problem) {
            result = step_error(reader, &reader->drafts[i], problem);
        }
    }
    return result;
}

static int read_steps(struct reader *reader, struct json_object *steps, struct cm_pipeline *pipeline)
{
    reader->count = json_object_array_length(steps);
    reader->drafts = cm_alloc(reader->count * sizeof *reader->drafts);
    if (read_drafts(reader, steps)) {
        return -1;
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
    if (!cm_pipeline_is_name(pipeline->name)) {
        return complain(reader->error, cm_strdup(_("a pipeline needs a name of letters, digits, - and _")));
    }
    json_object_object_foreach(top, field, unused)
    {
        (void)unused;
        if (strcmp(field, names[0]) && strcmp(field, names[1])) {
            char *hint = cm_pipeline_hint(field, names, 2);
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
    struct cm_pipeline *pipeline = cm_pipeline_share(cm_alloc(sizeof *pipeline));
    struct reader reader = {.error = error};
    int result = read_top(&reader, top, pipeline);
    free_drafts(&reader);
    json_object_put(top);
    if (result) {
        cm_pipeline_free(pipeline);
        return NULL;
    }
    cm_pipeline_write(pipeline);
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
