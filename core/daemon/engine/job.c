/*
 * A job's memory: its parameters, steps and edges.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/daemon/engine/state.h"

#define KEY_MAX_BYTES 64

/* ---- Pipelines that jobs began with ---------------------------------------------------------- */

/* ---- Parameters ------------------------------------------------------------------------------ */

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(names[i]);
    }
    free(names);
}

static int is_key(const char *text)
{
    size_t bytes = strlen(text);
    return bytes > 0 && bytes <= KEY_MAX_BYTES && !strpbrk(text, "/+ \t\n\"\\");
}

/* Keys of a dimension that the job gives; NULL or what is wrong. */
static char *read_keys(struct json_object *params, const char *name, const char *fallback, char ***keys, size_t *count)
{
    struct json_object *array = cm_json_array(params, name);
    size_t length = array ? json_object_array_length(array) : 0;
    *keys = cm_alloc((length + 1) * sizeof **keys);
    *count = 0;
    for (size_t i = 0; i < length; i++) {
        struct json_object *value = json_object_array_get_idx(array, i);
        const char *text = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
        size_t seen = 0;
        if (!is_key(text)) {
            return cm_format(_("%s: \"%s\" is not a name"), name, text);
        }
        while (seen < *count && strcmp((*keys)[seen], text)) {
            seen++;
        }
        if (seen == *count) {
            (*keys)[(*count)++] = cm_strdup(text);
        }
    }
    if (!*count && fallback) {
        (*keys)[(*count)++] = cm_strdup(fallback);
    }
    return NULL;
}

static void forget_params(struct cm_job *job)
{
    free_names(job->formats, job->format_count);
    free_names(job->targets, job->target_count);
    free(job->language);
    job->formats = job->targets = NULL;
    job->format_count = job->target_count = 0;
    job->language = NULL;
}

char *cm_job_read_params(struct cm_job *job)
{
    char *problem = NULL;
    const char *text = *job->row->params ? job->row->params : "{}";
    struct json_object *params = cm_json_parse(text, strlen(text), &problem);
    forget_params(job);
    if (!problem && !json_object_is_type(params, json_type_object)) {
        problem = cm_strdup(_("the parameters are not a JSON object"));
    }
    char *formats = read_keys(params, "formats", "9:16", &job->formats, &job->format_count);
    char *targets = read_keys(params, "targets", NULL, &job->targets, &job->target_count);
    job->language = cm_strdup(cm_json_text(params, "language", "auto"));
    const char *strategy = cm_json_text(params, "strategy", "");
    job->strategy = !strcmp(strategy, "global") ? CM_STRATEGY_GLOBAL : *strategy ? CM_STRATEGY_RU : 0;
    job->publish_at_ms = cm_json_int(params, "publish_at_ms", 0);
    job->has_captions = job->has_captions || *cm_json_text(params, "captions", "");
    json_object_put(params);
    char *first = problem ? problem : formats ? formats : targets;
    char *all[] = {problem, formats, targets};
    for (size_t i = 0; i < 3; i++) {
        if (all[i] != first) {
            free(all[i]);
        }
    }
    return first;
}

/* ---- Steps and edges ------------------------------------------------------------------------- */

static int find_dimension(const struct cm_step *step, const char *dimension, size_t *place)
{
    for (*place = 0; *place < step->each_count; (*place)++) {
        if (!strcmp(step->each[*place], dimension)) {
            return 1;
        }
    }
    return 0;
}

static void build_edge(struct cm_job *job, struct cm_edge *edge, size_t from, size_t to)
{
    const struct cm_step *before = &job->pipeline->steps[from], *after = &job->pipeline->steps[to];
    struct cm_step_state *source = &job->steps[from], *target = &job->steps[to];
    size_t place;
    edge->from = from;
    edge->to = to;
    for (size_t i = 0; i < after->each_count; i++) {
        if (find_dimension(before, after->each[i], &place)) {
            edge->from_places[edge->shared_count] = place;
            edge->to_places[edge->shared_count++] = i;
        }
    }
    source->out = cm_realloc(source->out, (source->out_count + 1) * sizeof(struct cm_edge *));
    source->out[source->out_count++] = edge;
    target->in = cm_realloc(target->in, (target->in_count + 1) * sizeof(struct cm_edge *));
    target->in[target->in_count++] = edge;
}

/* The steps that make the dimensions of step `index`. */
static void find_makers(struct cm_job *job, size_t index)
{
    const struct cm_step *step = &job->pipeline->steps[index];
    struct cm_step_state *state = &job->steps[index];
    size_t place;
    state->makers = cm_alloc((step->each_count + 1) * sizeof *state->makers);
    for (size_t i = 0; i < job->pipeline->step_count; i++) {
        const char *makes = job->pipeline->steps[i].makes;
        if (*makes && find_dimension(step, makes, &place)) {
            state->makers[state->maker_count++] = i;
        }
    }
}

static void find_ancestors(struct cm_job *job, size_t index)
{
    const struct cm_step *step = &job->pipeline->steps[index];
    struct cm_step_state *state = &job->steps[index];
    size_t count = job->pipeline->step_count;
    state->before = cm_alloc(count);
    for (size_t i = 0; i < step->after_count; i++) {
        const char *theirs = job->steps[step->after[i]].before;
        state->before[step->after[i]] = 1;
        for (size_t k = 0; k < count; k++) {
            state->before[k] |= theirs[k];
        }
    }
}

void cm_job_build(struct cm_job *job, const struct cm_pipeline *pipeline)
{
    size_t count = 0;
    job->pipeline = pipeline;
    job->steps = cm_alloc(pipeline->step_count * sizeof *job->steps);
    for (size_t i = 0; i < pipeline->step_count; i++) {
        count += pipeline->steps[i].after_count;
    }
    job->edges = cm_alloc(count * sizeof *job->edges);
    for (size_t i = 0; i < pipeline->step_count; i++) {
        for (size_t k = 0; k < pipeline->steps[i].after_count; k++) {
            build_edge(job, &job->edges[job->edge_count++], pipeline->steps[i].after[k], i);
        }
        find_makers(job, i);
        find_ancestors(job, i);
    }
}

/* ---- Birth and death ------------------------------------------------------------------------- */

struct cm_job *cm_job_new(struct cm_engine *engine, const struct cm_job_row *row)
{
    struct cm_job *job = cm_alloc(sizeof *job);
    job->row = cm_row_copy(CM_TABLE_JOB, row);
    job->language = cm_strdup("auto");
    job->generation = ++engine->generation;
    cm_index_put(&engine->jobs, job->row->id, job);
    engine->open_jobs += !cm_job_is_over(row->state);
    return job;
}

void cm_job_drop_groups(struct cm_job *job)
{
    for (size_t i = 0; i < job->edge_count; i++) {
        struct cm_index *groups = &job->edges[i].groups;
        for (size_t k = 0; k < groups->room; k++) {
            struct cm_group *group = groups->entries[k].value;
            if (group) {
                free(group->dependents);
                free(group->key);
                free(group);
            }
        }
        cm_index_free(groups);
    }
}

void cm_job_unbuild(struct cm_job *job)
{
    cm_job_drop_groups(job);
    for (size_t i = 0; job->steps && i < job->pipeline->step_count; i++) {
        struct cm_step_state *state = &job->steps[i];
        free(state->tasks);
        free(state->makers);
        free(state->in);
        free(state->out);
        free(state->before);
    }
    free(job->steps);
    free(job->edges);
    job->steps = NULL;
    job->edges = NULL;
    job->edge_count = 0;
    job->pipeline = NULL;
}

void cm_job_free(struct cm_engine *engine, struct cm_job *job)
{
    struct cm_job *known = cm_index_get(&engine->jobs, job->row->id);
    if (known == job) {
        cm_index_remove(&engine->jobs, job->row->id);
    }
    engine->open_jobs -= !cm_job_is_over(job->row->state);
    for (size_t i = 0; i < job->tasks.room; i++) {
        if (job->tasks.entries[i].value) {
            cm_task_free(engine, job->tasks.entries[i].value);
        }
    }
    cm_index_free(&job->tasks);
    cm_job_unbuild(job);
    forget_params(job);
    free(job->loaded);
    cm_row_free(CM_TABLE_JOB, job->row);
    free(job);
}

struct cm_job *cm_engine_job(const struct cm_engine *engine, const char *id)
{
    struct cm_job *job = cm_index_get(&engine->jobs, id);
    return job && !job->loading ? job : NULL;
}

struct cm_task *cm_job_task(const struct cm_job *job, const char *step, const char *item)
{
    char most[128]; /* asked for more often than anything else: no memory of its own if it fits */
    size_t step_bytes = strlen(step), bytes = step_bytes + strlen(item) + 2;
    char *name = bytes <= sizeof most ? most : cm_alloc(bytes);
    memcpy(name, step, step_bytes);
    name[step_bytes] = '/';
    memcpy(name + step_bytes + 1, item, bytes - step_bytes - 1);
    struct cm_task *task = cm_index_get(&job->tasks, name);
    if (name != most) {
        free(name);
    }
    return task;
}
