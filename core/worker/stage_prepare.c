/*
 * prepare: the media becomes facts, cues, and chunks of speech, one child of the dimension "chunk"
 * for each.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/worker/call.h"
#include "core/worker/host.h"

#define MIN_CLIP_MS 15000

static void add_int(struct json_object *array, int64_t value)
{
    json_object_array_add(array, json_object_new_int64(value));
}

static void add_real(struct json_object *array, double value)
{
    json_object_array_add(array, json_object_new_double(value));
}

/* [start,end,value], [start,value] where the kind has no end. */
static struct json_object *encode_cue(const struct cm_cue *cue)
{
    struct json_object *array = json_object_new_array();
    add_int(array, cue->start_ms);
    if (cue->kind != CM_CUE_SCENE && cue->kind != CM_CUE_LEVEL) {
        add_int(array, cue->end_ms);
    }
    add_real(array, cue->value);
    return array;
}

static enum cm_verdict write_cues(struct cm_call *call)
{
    static const char *const names[] = {[CM_CUE_SILENCE] = "silence",
                                        [CM_CUE_LOUD] = "loud",
                                        [CM_CUE_SCENE] = "scene",
                                        [CM_CUE_LEVEL] = "level",
                                        [CM_CUE_BURST] = "burst"};
    struct json_object *cues = json_object_new_object();
    struct json_object *lists[CM_CUE_BURST + 1] = {0};
    for (int kind = CM_CUE_SILENCE; kind <= CM_CUE_BURST; kind++) {
        lists[kind] = json_object_new_array();
        json_object_object_add(cues, names[kind], lists[kind]);
    }
    for (size_t i = 0; i < call->emitted->cue_count; i++) {
        const struct cm_cue *cue = &call->emitted->cues[i];
        if (cue->kind >= CM_CUE_SILENCE && cue->kind <= CM_CUE_BURST) {
            json_object_array_add(lists[cue->kind], encode_cue(cue));
        }
    }
    enum cm_verdict verdict = cm_call_write(call, "cues", NULL, "cues.json", cues, NULL);
    json_object_put(cues);
    return verdict;
}

/* The chunk's speech, cut to the chunk and in order: [[start,end,db]…]. */
static struct json_object *encode_speech(struct cm_call *call, const struct cm_emitted_chunk *emitted,
                                         int64_t *speech_ms)
{
    struct json_object *list = json_object_new_array();
    int64_t after = emitted->chunk.start_ms;
    for (size_t i = 0; i < emitted->speech_count; i++) {
        const struct cm_interval *one = &call->emitted->speech[emitted->first_speech + i];
        int64_t start = one->start_ms > after ? one->start_ms : after;
        int64_t end = one->end_ms < emitted->chunk.end_ms ? one->end_ms : emitted->chunk.end_ms;
        if (start >= end) {
            continue;
        }
        struct json_object *interval = json_object_new_array();
        add_int(interval, start);
        add_int(interval, end);
        add_real(interval, one->level_db);
        json_object_array_add(list, interval);
        *speech_ms += end - start;
        after = end;
    }
    return list;
}

static enum cm_verdict add_chunk(struct cm_call *call, const struct cm_emitted_chunk *emitted, const char *key,
                                 int64_t *speech_ms)
{
    const struct cm_chunk *chunk = &emitted->chunk;
    if (chunk->start_ms < 0 || chunk->start_ms >= chunk->end_ms || !*chunk->file || strchr(chunk->file, '/')) {
        return cm_call_fail(call, CM_CANNOT, CM_REASON_INTERNAL,
                            N_("the plugin of %s made a chunk without a span or a file"), call->ctx.instance);
    }
    char name[64];
    snprintf(name, sizeof name, "speech-%s.json", key);
    struct json_object *facts = json_object_new_object();
    json_object_object_add(facts, "start_ms", json_object_new_int64(chunk->start_ms));
    json_object_object_add(facts, "end_ms", json_object_new_int64(chunk->end_ms));
    struct json_object *speech = json_object_new_object();
    json_object_object_add(speech, "start_ms", json_object_new_int64(chunk->start_ms));
    json_object_object_add(speech, "end_ms", json_object_new_int64(chunk->end_ms));
    json_object_object_add(speech, "speech", encode_speech(call, emitted, speech_ms));
    enum cm_verdict verdict = cm_call_add_file(call, "chunk", key, chunk->file, facts);
    if (verdict == CM_OK) {
        verdict = cm_call_write(call, "speech", key, name, speech, facts);
    }
    json_object_put(speech);
    json_object_put(facts);
    cm_done_add_child(call->done, key);
    return verdict;
}

static enum cm_verdict add_chunks(struct cm_call *call)
{
    enum cm_verdict verdict = CM_OK;
    int64_t speech_ms = 0;
    cm_done_text(&call->done->dimension, "chunk");
    for (size_t i = 0; i < call->emitted->chunk_count && verdict == CM_OK; i++) {
        char key[24];
        snprintf(key, sizeof key, "%04zu", i + 1);
        verdict = add_chunk(call, &call->emitted->chunks[i], key, &speech_ms);
    }
    if (!json_object_object_get_ex(call->facts, "speech_ms", NULL)) {
        json_object_object_add(call->facts, "speech_ms", json_object_new_int64(speech_ms));
    }
    return verdict;
}

static enum cm_verdict add_captions(struct cm_call *call)
{
    enum cm_verdict verdict = CM_OK;
    for (size_t i = 0; i < call->emitted->file_count && verdict == CM_OK; i++) {
        const struct cm_file *file = &call->emitted->files[i];
        if (strcmp(file->role, "captions")) {
            continue;
        }
        struct json_object *facts = json_object_new_object();
        json_object_object_add(facts, "language", json_object_new_string(file->note));
        json_object_object_add(facts, "origin", json_object_new_string("inside"));
        verdict = cm_call_add_file(call, "captions", NULL, file->file, facts);
        json_object_put(facts);
    }
    return verdict;
}

enum cm_verdict cm_stage_prepare(struct cm_call *call)
{
    const struct cm_prepare_ops *ops = call->ops;
    struct cm_prepare_request request = {
        .size = sizeof request,
        .media_path = cm_call_input_path(call, "media"),
        .min_clip_ms = cm_call_param_int(call, "min_ms", MIN_CLIP_MS),
    };
    if (!request.media_path) {
        return cm_call_fail(call, CM_CANNOT, CM_REASON_INTERNAL, N_("the step before this one left no media"));
    }
    enum cm_verdict verdict = ops->prepare(&call->ctx, &request);
    if (verdict != CM_OK) {
        return verdict;
    }
    if (call->emitted->chunk_count == 0) {
        return cm_call_fail(call, CM_REJECT, CM_REASON_NO_SPEECH,
                            N_("nobody speaks in it: no clip can be made from silence"));
    }
    verdict = add_chunks(call);
    verdict = verdict == CM_OK ? add_captions(call) : verdict;
    verdict = verdict == CM_OK ? write_cues(call) : verdict;
    return verdict == CM_OK ? cm_call_write(call, "facts", NULL, "facts.json", call->facts, NULL) : verdict;
}
