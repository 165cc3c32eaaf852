/*
 * Proposed moments and their JSON.
 */
#include "core/moments/candidates.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/message.h"
#include "core/common/text.h"
#include "core/moments/transcript.h"

struct cm_candidate *cm_candidates_add(struct cm_candidates *candidates, const char *id, const char *by,
                                       const struct cm_moment *moment, const char *reason)
{
    candidates->list = cm_grow(candidates->list, &candidates->room, candidates->count, sizeof *candidates->list);
    struct cm_candidate *candidate = &candidates->list[candidates->count++];
    *candidate =
        (struct cm_candidate){.id = cm_strdup(id), .by = cm_strdup(by), .moment = *moment, .reason = cm_strdup(reason)};
    return candidate;
}

static void free_candidate(struct cm_candidate *candidate)
{
    free(candidate->id);
    free(candidate->by);
    free(candidate->reason);
}

void cm_candidates_free(struct cm_candidates *candidates)
{
    for (size_t i = 0; i < candidates->count; i++) {
        free_candidate(&candidates->list[i]);
    }
    free(candidates->list);
    *candidates = (struct cm_candidates){0};
}

static int same_words(const struct cm_moment *a, const struct cm_moment *b)
{
    return a->span.first_word == b->span.first_word && a->span.last_word == b->span.last_word;
}

static int is_there(const struct cm_candidates *candidates, const struct cm_moment *moment, size_t before)
{
    for (size_t i = 0; i < before; i++) {
        if (same_words(&candidates->list[i].moment, moment)) {
            return 1;
        }
    }
    return 0;
}

size_t cm_candidates_propose(struct cm_candidates *candidates, const struct cm_transcript *transcript,
                             const struct cm_limits *limits, const char *window, const char *by,
                             struct json_object *answer)
{
    struct json_object *list = cm_json_array(answer, "moments");
    size_t count = list ? json_object_array_length(list) : 0, left_out = 0;
    for (size_t i = 0; i < count; i++) {
        struct json_object *one = json_object_array_get_idx(list, i);
        long long first = cm_json_int(one, "first", -1), last = cm_json_int(one, "last", -1);
        struct cm_moment moment;
        if (first < 0 || last < first || !cm_fit(transcript, limits, (size_t)first, (size_t)last, &moment) ||
            is_there(candidates, &moment, candidates->count)) {
            left_out++;
            continue;
        }
        char *id = cm_format("%s.%zu", window, i + 1);
        cm_candidates_add(candidates, id, by, &moment, cm_json_text(one, "reason", ""));
        free(id);
    }
    return left_out;
}

/* ---- JSON ---- */

static void put_int(struct json_object *object, const char *name, int64_t value)
{
    json_object_object_add(object, name, json_object_new_int64(value));
}

struct json_object *cm_score_write(const struct cm_score *score)
{
    struct json_object *json = json_object_new_object();
    put_int(json, "total", score->total);
    put_int(json, "hook", score->hook);
    put_int(json, "engagement", score->engagement);
    put_int(json, "flow", score->flow);
    put_int(json, "trend", score->trend);
    return json;
}

struct json_object *cm_candidates_write(const struct cm_candidates *candidates)
{
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < candidates->count; i++) {
        const struct cm_candidate *candidate = &candidates->list[i];
        struct json_object *one = json_object_new_object();
        json_object_object_add(one, "id", json_object_new_string(candidate->id));
        put_int(one, "first", (int64_t)candidate->moment.first);
        put_int(one, "last", (int64_t)candidate->moment.last);
        put_int(one, "first_word", (int64_t)candidate->moment.span.first_word);
        put_int(one, "last_word", (int64_t)candidate->moment.span.last_word);
        put_int(one, "start_ms", candidate->moment.span.start_ms);
        put_int(one, "end_ms", candidate->moment.span.end_ms);
        json_object_object_add(one, "reason", json_object_new_string(candidate->reason));
        json_object_array_add(list, one);
    }
    return list;
}

static int fits(const struct cm_transcript *transcript, const struct cm_moment *moment)
{
    return moment->first <= moment->last && moment->last < transcript->sentence_count &&
           moment->span.first_word <= moment->span.last_word && moment->span.last_word < transcript->word_count &&
           moment->span.start_ms >= 0 && moment->span.start_ms < moment->span.end_ms &&
           moment->span.end_ms <= transcript->duration_ms;
}

void cm_candidates_read(struct cm_candidates *candidates, const struct cm_transcript *transcript, const char *by,
                        struct json_object *list)
{
    size_t count = list ? json_object_array_length(list) : 0;
    for (size_t i = 0; i < count; i++) {
        struct json_object *one = json_object_array_get_idx(list, i);
        struct cm_moment moment = {
            .first = (size_t)cm_json_int(one, "first", -1),
            .last = (size_t)cm_json_int(one, "last", -1),
            .span = {.first_word = (size_t)cm_json_int(one, "first_word", -1),
                     .last_word = (size_t)cm_json_int(one, "last_word", -1),
                     .start_ms = cm_json_ms(one, "start_ms", -1),
                     .end_ms = cm_json_ms(one, "end_ms", -1)},
        };
        if (fits(transcript, &moment)) {
            cm_candidates_add(candidates, cm_json_text(one, "id", ""), by, &moment, cm_json_text(one, "reason", ""));
        }
    }
}

static int quarter(struct json_object *score, const char *name)
{
    long long value = cm_json_int(score, name, 0);
    return value < 0 ? 0 : value > 25 ? 25 : (int)value;
}

static void score_one(struct cm_candidate *candidate, struct json_object *score)
{
    candidate->score = (struct cm_score){
        .hook = quarter(score, "hook"),
        .engagement = quarter(score, "engagement"),
        .flow = quarter(score, "flow"),
        .trend = quarter(score, "trend"),
    };
    candidate->score.total =
        candidate->score.hook + candidate->score.engagement + candidate->score.flow + candidate->score.trend;
    candidate->scored = 1;
    const char *reason = cm_json_text(score, "reason", "");
    if (*reason) {
        free(candidate->reason);
        candidate->reason = cm_strdup(reason);
    }
}

void cm_candidates_score(struct cm_candidates *candidates, struct json_object *scores)
{
    size_t count = scores ? json_object_array_length(scores) : 0;
    for (size_t i = 0; i < count; i++) {
        struct json_object *score = json_object_array_get_idx(scores, i);
        const char *id = cm_json_text(score, "id", "");
        for (size_t k = 0; k < candidates->count; k++) {
            if (!strcmp(candidates->list[k].id, id)) {
                score_one(&candidates->list[k], score);
            }
        }
    }
}

void cm_candidates_unite(struct cm_candidates *candidates)
{
    size_t kept = 0;
    for (size_t i = 0; i < candidates->count; i++) {
        if (is_there(candidates, &candidates->list[i].moment, kept)) {
            free_candidate(&candidates->list[i]);
        } else {
            candidates->list[kept++] = candidates->list[i];
        }
    }
    candidates->count = kept;
}
