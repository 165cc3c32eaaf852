/*
 * choose: the scored candidates become moments, one child of the dimension "moment" for each, in
 * rank order.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/moments/candidates.h"
#include "core/moments/choose.h"
#include "core/moments/transcript.h"
#include "core/worker/call.h"
#include "core/worker/material.h"

#define UNSCORED_BEST 60 /* without a scoring step the order of the proposals is all there is */
#define UNSCORED_STEP 2

static int take_scores(struct cm_call *call, struct json_object *input, struct json_object *value, void *with)
{
    (void)call;
    (void)input;
    cm_candidates_score(with, cm_json_array(value, "scores"));
    return CM_OK;
}

/* A pipeline may leave the scoring out; then the first of each window counts most. */
static void score_by_order(struct cm_candidates *candidates)
{
    for (size_t i = 0; i < candidates->count; i++) {
        const char *dot = candidates->list[i].id;
        for (const char *at = dot; *at; at++) {
            dot = *at == '.' ? at + 1 : dot;
        }
        int place = atoi(dot), total = UNSCORED_BEST - UNSCORED_STEP * place;
        candidates->list[i].score = (struct cm_score){.total = total > 0 ? total : 0};
        candidates->list[i].scored = 1;
    }
}

static void put_int(struct json_object *object, const char *name, int64_t value)
{
    json_object_object_add(object, name, json_object_new_int64(value));
}

static struct json_object *write_moment(const struct cm_candidate *candidate, size_t rank)
{
    struct json_object *json = json_object_new_object();
    put_int(json, "rank", (int64_t)rank);
    put_int(json, "start_ms", candidate->moment.span.start_ms);
    put_int(json, "end_ms", candidate->moment.span.end_ms);
    put_int(json, "first", (int64_t)candidate->moment.first);
    put_int(json, "last", (int64_t)candidate->moment.last);
    put_int(json, "first_word", (int64_t)candidate->moment.span.first_word);
    put_int(json, "last_word", (int64_t)candidate->moment.span.last_word);
    json_object_object_add(json, "reason", json_object_new_string(candidate->reason));
    json_object_object_add(json, "score", cm_score_write(&candidate->score));
    json_object_object_add(json, "selected_by", json_object_new_string(candidate->by));
    return json;
}

static enum cm_verdict write_moments(struct cm_call *call, const struct cm_candidates *candidates,
                                     const struct cm_choice *choice)
{
    enum cm_verdict verdict = CM_OK;
    cm_done_text(&call->done->dimension, "moment");
    for (size_t i = 0; i < choice->count && verdict == CM_OK; i++) {
        char key[24], name[48];
        snprintf(key, sizeof key, "%02zu", i + 1);
        snprintf(name, sizeof name, "moment-%s.json", key);
        struct json_object *json = write_moment(&candidates->list[choice->list[i]], i + 1);
        verdict = cm_call_write(call, "moment", key, name, json, NULL);
        cm_done_add_child(call->done, key);
        json_object_put(json);
    }
    return verdict;
}

static enum cm_verdict choose(struct cm_call *call, const struct cm_transcript *transcript,
                              struct cm_candidates *candidates)
{
    struct cm_limits limits = cm_material_limits(call);
    struct cm_choice choice = cm_choose(candidates, transcript, &limits, cm_call_param_int(call, "clips", 0));
    enum cm_verdict verdict =
        choice.count > 0 ? write_moments(call, candidates, &choice)
                         : cm_call_fail(call, CM_REJECT, CM_REASON_TOO_SHORT,
                                        N_("no clip of %.1f s fits into %.1f s: ask for a shorter one with --min"),
                                        (double)limits.min_ms / 1000, (double)transcript->duration_ms / 1000);
    free(choice.list);
    return verdict;
}

enum cm_verdict cm_builtin_choose(struct cm_call *call)
{
    struct cm_candidates candidates = {0};
    struct cm_transcript *transcript = cm_material_transcript(call);
    if (!transcript) {
        return CM_CANNOT;
    }
    int verdict = cm_material_candidates(call, transcript, &candidates);
    if (verdict == CM_OK && !cm_call_input(call, "scores", NULL)) {
        score_by_order(&candidates);
    } else if (verdict == CM_OK) {
        verdict = cm_material_each(call, "scores", take_scores, &candidates);
    }
    if (verdict == CM_OK) {
        verdict = choose(call, transcript, &candidates);
    }
    cm_candidates_free(&candidates);
    cm_transcript_free(transcript);
    return (enum cm_verdict)verdict;
}
