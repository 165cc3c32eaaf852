/*
 * Reading what the moments steps share.
 */
#include "core/worker/material.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/moments/transcript.h"
#include "core/worker/call.h"

#define ARTIFACT_MAX_BYTES (256 * 1024 * 1024)

struct cm_limits cm_material_limits(struct cm_call *call)
{
    return cm_limits_of(cm_call_param_int(call, "min_ms", 0), cm_call_param_int(call, "max_ms", 0));
}

struct cm_transcript *cm_material_transcript(struct cm_call *call)
{
    struct json_object *json = cm_call_read(call, "transcript", NULL);
    char *error = NULL;
    if (!json) {
        return NULL;
    }
    struct cm_transcript *transcript = cm_transcript_read(json, &error);
    json_object_put(json);
    if (transcript && transcript->sentence_count == 0) {
        cm_transcript_free(transcript);
        transcript = NULL;
        error = cm_strdup(_("it has no sentences"));
    }
    if (!transcript) {
        cm_call_fail(call, CM_CANNOT, CM_REASON_INTERNAL, N_("the %s of an earlier step cannot be read: %s"),
                     "transcript", error);
        free(error);
    }
    return transcript;
}

/* ---- Several of one role ---- */

static int by_item_and_key(const void *a, const void *b)
{
    struct json_object *one = *(struct json_object *const *)a, *two = *(struct json_object *const *)b;
    int order = strcmp(cm_json_text(one, "item", ""), cm_json_text(two, "item", ""));
    return order ? order : strcmp(cm_json_text(one, "key", ""), cm_json_text(two, "key", ""));
}

static size_t collect(struct cm_call *call, const char *role, struct json_object **list)
{
    size_t count = 0, all = call->inputs ? json_object_array_length(call->inputs) : 0;
    for (size_t i = 0; i < all; i++) {
        struct json_object *input = json_object_array_get_idx(call->inputs, i);
        if (!strcmp(cm_json_text(input, "role", ""), role)) {
            list[count++] = input;
        }
    }
    if (count > 1) {
        qsort(list, count, sizeof *list, by_item_and_key);
    }
    return count;
}

int cm_material_each(struct cm_call *call, const char *role,
                     int (*use)(struct cm_call *call, struct json_object *input, struct json_object *value, void *with),
                     void *with)
{
    size_t all = call->inputs ? json_object_array_length(call->inputs) : 0;
    struct json_object **list = cm_alloc((all + 1) * sizeof(struct json_object *));
    size_t count = collect(call, role, list);
    int verdict = CM_OK;
    for (size_t i = 0; i < count && verdict == CM_OK; i++) {
        char *error = NULL;
        struct json_object *value = cm_json_read(cm_json_text(list[i], "path", ""), ARTIFACT_MAX_BYTES, &error);
        if (value) {
            verdict = use(call, list[i], value, with);
        } else {
            verdict = cm_call_fail(call, CM_CANNOT, CM_REASON_INTERNAL,
                                   N_("the %s of an earlier step cannot be read: %s"), role, error);
        }
        free(error);
        json_object_put(value);
    }
    free(list);
    return verdict;
}

struct gather {
    const struct cm_transcript *transcript;
    struct cm_candidates *candidates;
};

static int gather_candidates(struct cm_call *call, struct json_object *input, struct json_object *value, void *with)
{
    struct gather *gather = with;
    (void)call;
    (void)input;
    cm_candidates_read(gather->candidates, gather->transcript, cm_json_text(value, "by", ""),
                       cm_json_array(value, "candidates"));
    return CM_OK;
}

int cm_material_candidates(struct cm_call *call, const struct cm_transcript *transcript,
                           struct cm_candidates *candidates)
{
    struct gather gather = {transcript, candidates};
    int verdict = cm_material_each(call, "candidates", gather_candidates, &gather);
    cm_candidates_unite(candidates);
    return verdict;
}
