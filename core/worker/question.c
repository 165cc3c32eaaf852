/*
 * The questions' inputs and schemas, and reading the answers.
 */
#include "core/worker/question.h"

#include <json-c/json.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/moments/fit.h"
#include "core/moments/transcript.h"
#include "core/worker/schema.h"

#define WANT_MIN 4
#define WANT_MAX 24
#define WANT_EACH_MS 60000 /* one proposal a minute, so that the scoring has a choice */
#define REASON_CHARS 400

static const struct cm_task tasks[] = {
    {"moment_selection", NULL, NULL, "moments", "candidates", "candidates.json", 120},
    {"virality_scoring", "candidates", "id", "scores", "scores", "scores.json", 150},
    {"title_generation", "moments", "key", "titles", "titles", "titles.json", 350},
    {"cta_suggestion", "moments", "key", "ctas", "ctas", "ctas.json", 80},
};

const struct cm_task *cm_task_find(const char *name)
{
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        if (!strcmp(tasks[i].name, name)) {
            return &tasks[i];
        }
    }
    return NULL;
}

static void put_text(struct json_object *object, const char *name, const char *value)
{
    json_object_object_add(object, name, json_object_new_string(value));
}

static void put_int(struct json_object *object, const char *name, int64_t value)
{
    json_object_object_add(object, name, json_object_new_int64(value));
}

/* ---- Input ---- */

/* How sure the recogniser was of these words on average; -1: it does not say. */
static double confidence_of(const struct cm_transcript *transcript, const struct cm_sentence *sentence)
{
    double sum = 0;
    for (size_t i = sentence->first; i <= sentence->last; i++) {
        if (transcript->words[i].confidence < 0) {
            return -1;
        }
        sum += transcript->words[i].confidence;
    }
    return sum / (double)(sentence->last - sentence->first + 1);
}

static struct json_object *write_sentence(const struct cm_transcript *transcript, size_t id)
{
    const struct cm_sentence *sentence = &transcript->sentences[id];
    struct json_object *one = json_object_new_object();
    char *text = cm_transcript_text(transcript, sentence->first, sentence->last);
    put_int(one, "id", (int64_t)id);
    put_int(one, "s", sentence->start_ms);
    put_int(one, "e", sentence->end_ms);
    put_int(one, "gap", cm_transcript_gap_ms(transcript, sentence->last));
    put_text(one, "end", cm_sentence_end_name(sentence->end));
    put_int(one, "p", transcript->words[sentence->first].speaker);
    /* Two digits say enough, and they are the same on every machine. */
    double confidence = confidence_of(transcript, sentence);
    json_object_object_add(one, "c", json_object_new_double(confidence < 0 ? -1 : round(confidence * 100) / 100));
    put_text(one, "text", text);
    free(text);
    return one;
}

/* Entries are [start,end,value] or [start,value]. */
static struct json_object *cues_between(struct json_object *list, int with_end, int64_t start_ms, int64_t end_ms)
{
    struct json_object *kept = json_object_new_array();
    size_t count = list ? json_object_array_length(list) : 0;
    for (size_t i = 0; i < count; i++) {
        struct json_object *cue = json_object_array_get_idx(list, i);
        if (!json_object_is_type(cue, json_type_array) || json_object_array_length(cue) < (with_end ? 3u : 2u)) {
            continue;
        }
        int64_t from = cm_json_ms_at(cue, 0);
        int64_t to = with_end ? cm_json_ms_at(cue, 1) : from;
        if (to >= start_ms && from <= end_ms) {
            json_object_array_add(kept, json_object_get(cue));
        }
    }
    return kept;
}

static struct json_object *write_cues(struct json_object *cues, int64_t start_ms, int64_t end_ms)
{
    static const struct {
        const char *name;
        int with_end;
    } kinds[] = {{"silence", 1}, {"loud", 1}, {"scene", 0}, {"level", 0}, {"burst", 1}};
    struct json_object *kept = json_object_new_object();
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct json_object *list = cues ? cm_json_array(cues, kinds[i].name) : NULL;
        json_object_object_add(kept, kinds[i].name, cues_between(list, kinds[i].with_end, start_ms, end_ms));
    }
    return kept;
}

/* How many proposals are welcome: a choice for the scoring, twice its share of the clips asked for. */
static int64_t wanted(const struct cm_material *material, int64_t length_ms)
{
    int64_t want = 2 + length_ms / WANT_EACH_MS;
    int64_t duration_ms = material->transcript->duration_ms;
    if (material->clips > 0 && duration_ms > 0) {
        int64_t share = (2 * material->clips * length_ms + duration_ms - 1) / duration_ms;
        want = share > want ? share : want;
    }
    return want < WANT_MIN ? WANT_MIN : want > WANT_MAX ? WANT_MAX : want;
}

static void add_window(struct json_object *input, const struct cm_material *material)
{
    struct json_object *window = json_object_new_object();
    put_text(window, "key", material->window_key);
    put_int(window, "first", (int64_t)material->window_first);
    put_int(window, "last", (int64_t)material->window_last);
    json_object_object_add(input, "window", window);
}

static void add_items(struct json_object *input, const struct cm_task *task, const struct cm_material *material,
                      size_t from, size_t count)
{
    struct json_object *items = json_object_new_array();
    for (size_t i = from; i < from + count; i++) {
        json_object_array_add(items, json_object_get(json_object_array_get_idx(material->items, i)));
    }
    json_object_object_add(input, task->items, items);
}

struct json_object *cm_question_input(const struct cm_task *task, const struct cm_material *material, size_t from,
                                      size_t count)
{
    const struct cm_transcript *transcript = material->transcript;
    size_t first = task->items ? 0 : material->window_first;
    size_t last = task->items ? transcript->sentence_count - 1 : material->window_last;
    int64_t start_ms = transcript->sentences[first].start_ms, end_ms = transcript->sentences[last].end_ms;
    struct json_object *input = json_object_new_object(), *limits = json_object_new_object();
    struct json_object *sentences = json_object_new_array();
    put_text(input, "task", task->name);
    put_text(input, "language", transcript->language);
    put_int(input, "duration_ms", transcript->duration_ms);
    put_int(limits, "min_ms", material->limits->min_ms);
    put_int(limits, "max_ms", material->limits->max_ms);
    put_int(limits, "want", task->items ? 0 : wanted(material, end_ms - start_ms));
    json_object_object_add(input, "limits", limits);
    for (size_t i = first; i <= last; i++) {
        json_object_array_add(sentences, write_sentence(transcript, i));
    }
    json_object_object_add(input, "sentences", sentences);
    json_object_object_add(input, "cues", write_cues(material->cues, start_ms, end_ms));
    if (task->items) {
        add_items(input, task, material, from, count);
        put_text(input, "plan", material->plan ? material->plan : "");
    } else {
        add_window(input, material);
    }
    return input;
}

size_t cm_question_size(const struct cm_task *task, struct json_object *input)
{
    struct json_object *items = task->items ? cm_json_array(input, task->items) : NULL;
    return items ? json_object_array_length(items)
                 : (size_t)cm_json_int(cm_json_object(input, "limits"), "want", WANT_MIN);
}

/* ---- Schema ---- */

/* {"type":"integer","minimum":low,"maximum":high} */
static struct json_object *whole(int64_t low, int64_t high)
{
    struct json_object *type = json_object_new_object();
    put_text(type, "type", "integer");
    put_int(type, "minimum", low);
    put_int(type, "maximum", high);
    return type;
}

static struct json_object *text(int64_t shortest, int64_t longest)
{
    struct json_object *type = json_object_new_object();
    put_text(type, "type", "string");
    if (shortest > 0) {
        put_int(type, "minLength", shortest);
    }
    put_int(type, "maxLength", longest);
    return type;
}

static struct json_object *array_of(struct json_object *items, size_t fewest, size_t most)
{
    struct json_object *type = json_object_new_object();
    put_text(type, "type", "array");
    if (fewest > 0) {
        put_int(type, "minItems", (int64_t)fewest);
    }
    put_int(type, "maxItems", (int64_t)most);
    json_object_object_add(type, "items", items);
    return type;
}

/* The ids that were asked about. */
static struct json_object *one_of(const struct cm_task *task, struct json_object *input)
{
    struct json_object *type = json_object_new_object(), *names = json_object_new_array();
    struct json_object *items = cm_json_array(input, task->items);
    for (size_t i = 0; i < json_object_array_length(items); i++) {
        const char *name = cm_json_text(json_object_array_get_idx(items, i), task->item_id, "");
        json_object_array_add(names, json_object_new_string(name));
    }
    put_text(type, "type", "string");
    json_object_object_add(type, "enum", names);
    return type;
}

/* A closed object: every property is required. Takes `properties`. */
static struct json_object *closed(struct json_object *properties)
{
    struct json_object *type = json_object_new_object(), *required = json_object_new_array();
    json_object_object_foreach(properties, name, property)
    {
        (void)property;
        json_object_array_add(required, json_object_new_string(name));
    }
    put_text(type, "type", "object");
    json_object_object_add(type, "additionalProperties", json_object_new_boolean(0));
    json_object_object_add(type, "required", required);
    json_object_object_add(type, "properties", properties);
    return type;
}

static void add_moment_fields(struct json_object *fields, struct json_object *input)
{
    struct json_object *window = cm_json_object(input, "window");
    int64_t first = cm_json_int(window, "first", 0), last = cm_json_int(window, "last", 0);
    json_object_object_add(fields, "first", whole(first, last));
    json_object_object_add(fields, "last", whole(first, last));
    json_object_object_add(fields, "reason", text(0, REASON_CHARS));
}

static void add_score_fields(struct json_object *fields)
{
    static const char *const parts[] = {"hook", "engagement", "flow", "trend"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        json_object_object_add(fields, parts[i], whole(0, 25));
    }
    json_object_object_add(fields, "reason", text(0, REASON_CHARS));
}

static void add_title_fields(struct json_object *fields)
{
    json_object_object_add(fields, "title", text(1, 120));
    json_object_object_add(fields, "text", text(0, 1000));
    json_object_object_add(fields, "hashtags", array_of(text(2, 50), 0, 8));
}

struct json_object *cm_question_schema(const struct cm_task *task, struct json_object *input)
{
    struct json_object *fields = json_object_new_object(), *outer = json_object_new_object();
    size_t count = cm_question_size(task, input);
    if (task->items) {
        json_object_object_add(fields, task->item_id, one_of(task, input));
    }
    if (!strcmp(task->answers, "moments")) {
        add_moment_fields(fields, input);
    } else if (!strcmp(task->answers, "scores")) {
        add_score_fields(fields);
    } else if (!strcmp(task->answers, "titles")) {
        add_title_fields(fields);
    } else {
        json_object_object_add(fields, "text", text(1, 120));
    }
    json_object_object_add(outer, task->answers,
                           array_of(closed(fields), task->items ? count : 0, task->items ? count : WANT_MAX));
    return closed(outer);
}

/* ---- Answer ---- */

/* The JSON in what a model wrote: from its first brace to its last. */
static struct json_object *parse(const char *text, char **error)
{
    const char *first = strchr(text, '{'), *last = strrchr(text, '}');
    if (!first || !last || last < first) {
        *error = cm_strdup(_("there is no JSON object in the answer"));
        return NULL;
    }
    return cm_json_parse(first, (size_t)(last - first) + 1, error);
}

static char *check_once(const struct cm_task *task, struct json_object *list)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        const char *name = cm_json_text(json_object_array_get_idx(list, i), task->item_id, "");
        for (size_t k = 0; k < i; k++) {
            if (!strcmp(cm_json_text(json_object_array_get_idx(list, k), task->item_id, ""), name)) {
                return cm_format(_("%s: \"%s\" is answered twice"), task->answers, name);
            }
        }
    }
    return NULL;
}

static char *check_order(const struct cm_task *task, struct json_object *list)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *one = json_object_array_get_idx(list, i);
        if (cm_json_int(one, "first", 0) > cm_json_int(one, "last", 0)) {
            return cm_format(_("%s[%zu]: \"first\" is behind \"last\""), task->answers, i);
        }
    }
    return NULL;
}

struct json_object *cm_answer_read(const struct cm_task *task, struct json_object *schema, const char *text,
                                   char **error)
{
    struct json_object *answer = parse(text, error);
    if (!answer) {
        return NULL;
    }
    *error = cm_schema_check(schema, answer);
    if (!*error) {
        struct json_object *list = cm_json_array(answer, task->answers);
        *error = task->items ? check_once(task, list) : check_order(task, list);
    }
    if (*error) {
        json_object_put(answer);
        return NULL;
    }
    return answer;
}
