/*
 * stt: one chunk of speech becomes words with times, whatever of words, segments or plain text the
 * recogniser gives.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/moments/transcript.h"
#include "core/worker/call.h"
#include "core/worker/host.h"
#include "core/worker/lay.h"

static int64_t element(struct json_object *array, size_t index)
{
    return cm_json_ms_at(array, index);
}

/* {"start_ms","end_ms","speech":[[start,end,db]…]} → the intervals that host->speech() gives. */
static void take_speech(struct cm_call *call, struct json_object *speech)
{
    struct json_object *list = cm_json_array(speech, "speech");
    size_t count = list ? json_object_array_length(list) : 0;
    struct cm_host_call *host = call->host;
    host->chunk_speech = cm_alloc(count * sizeof *host->chunk_speech);
    for (size_t i = 0; i < count; i++) {
        struct json_object *one = json_object_array_get_idx(list, i);
        if (!json_object_is_type(one, json_type_array) || json_object_array_length(one) < 2) {
            continue;
        }
        struct cm_interval *interval = &host->chunk_speech[host->chunk_speech_count++];
        interval->size = sizeof *interval;
        interval->start_ms = element(one, 0);
        interval->end_ms = element(one, 1);
        interval->level_db =
            json_object_array_length(one) > 2 ? json_object_get_double(json_object_array_get_idx(one, 2)) : 0;
    }
}

/* The best captions there are: given wins over beside wins over inside. */
static struct json_object *choose_captions(struct cm_call *call)
{
    static const char *const origins[] = {"given", "beside", "inside"};
    size_t count = call->inputs ? json_object_array_length(call->inputs) : 0;
    for (size_t rank = 0; rank < sizeof origins / sizeof *origins; rank++) {
        for (size_t i = 0; i < count; i++) {
            struct json_object *input = json_object_array_get_idx(call->inputs, i);
            const char *origin = cm_json_text(cm_json_object(input, "facts"), "origin", "inside");
            if (!strcmp(cm_json_text(input, "role", ""), "captions") && !strcmp(origin, origins[rank])) {
                return input;
            }
        }
    }
    return NULL;
}

static struct json_object *encode_words(const struct cm_lay *lay)
{
    struct json_object *words = json_object_new_array();
    for (size_t i = 0; i < lay->count; i++) {
        const struct cm_lay_word *word = &lay->words[i];
        struct cm_spoken spoken = {word->text, word->start_ms, word->end_ms, word->confidence, word->speaker};
        json_object_array_add(words, cm_spoken_write(&spoken));
    }
    return words;
}

/* What was spoken: the recogniser's word, else what was asked for, "" when nobody knows. */
static const char *language_of(struct cm_call *call)
{
    const char *asked = strcmp(call->ctx.language, "auto") ? call->ctx.language : "";
    return cm_json_text(call->facts, "language", asked);
}

static enum cm_verdict write_words(struct cm_call *call, const struct cm_lay *lay)
{
    double confidence = cm_json_real(call->facts, "language_confidence", -1);
    struct json_object *words = json_object_new_object();
    json_object_object_add(words, "start_ms", json_object_new_int64(lay->start_ms));
    json_object_object_add(words, "end_ms", json_object_new_int64(lay->end_ms));
    json_object_object_add(words, "language", json_object_new_string(language_of(call)));
    json_object_object_add(words, "language_confidence",
                           confidence >= 0 && confidence <= 1 ? json_object_new_double(confidence) : NULL);
    json_object_object_add(words, "draft", json_object_new_boolean(cm_json_flag(call->facts, "draft", 0)));
    json_object_object_add(words, "by", json_object_new_string(call->ctx.instance));
    json_object_object_add(words, "words", encode_words(lay));
    enum cm_verdict verdict = cm_call_write(call, "words", NULL, "words.json", words, NULL);
    json_object_put(words);
    return verdict;
}

static enum cm_verdict lay_and_write(struct cm_call *call, int64_t start_ms, int64_t end_ms)
{
    struct cm_lay lay = {
        .start_ms = start_ms,
        .end_ms = end_ms,
        .speech = call->host->chunk_speech,
        .speech_count = call->host->chunk_speech_count,
    };
    for (size_t i = 0; i < call->emitted->word_count; i++) {
        const struct cm_word *word = &call->emitted->words[i];
        cm_lay_word(&lay, word->text, word->start_ms, word->end_ms, word->confidence, word->speaker);
    }
    for (size_t i = 0; i < call->emitted->segment_count; i++) {
        const struct cm_segment *segment = &call->emitted->segments[i];
        cm_lay_text(&lay, segment->text, segment->start_ms, segment->end_ms, segment->confidence, segment->speaker);
    }
    size_t before = lay.count;
    cm_lay_finish(&lay);
    if (lay.count < before) {
        cm_info("%zu of %zu words are left out: outside of the chunk, or made up where nobody speaks",
                before - lay.count, before);
    }
    enum cm_verdict verdict = write_words(call, &lay);
    cm_lay_free(&lay);
    return verdict;
}

/* Captions that the user gave and that cannot be read are the user's to mend; those that were only
 * found are passed over, and the next one in the chain listens instead. */
static enum cm_verdict forgive_found_captions(struct cm_call *call, struct json_object *captions)
{
    if (!strcmp(cm_json_text(cm_json_object(captions, "facts"), "origin", ""), "given")) {
        return CM_REJECT;
    }
    char *words = cm_strdup(call->done->words);
    enum cm_verdict verdict = cm_call_fail(call, CM_CANNOT, CM_REASON_UNSUPPORTED,
                                           N_("captions found with the video are left aside: %s"), words);
    free(words);
    return verdict;
}

enum cm_verdict cm_stage_stt(struct cm_call *call)
{
    const struct cm_stt_ops *ops = call->ops;
    if (!strcmp(call->op, "models")) {
        return cm_call_models(call, ops->models);
    }
    struct json_object *captions = choose_captions(call);
    if (ops->needs_captions && !captions) {
        return cm_call_fail(call, CM_CANNOT, CM_REASON_UNSUPPORTED, N_("there are no captions to read"));
    }
    struct json_object *speech = cm_call_read(call, "speech", NULL);
    if (!speech) {
        return CM_CANNOT;
    }
    take_speech(call, speech);
    struct cm_stt_request request = {
        .size = sizeof request,
        .audio_path = cm_call_input_path(call, "chunk"),
        .start_ms = cm_json_ms(speech, "start_ms", 0),
        .end_ms = cm_json_ms(speech, "end_ms", 0),
        .captions_path = captions ? cm_json_text(captions, "path", NULL) : NULL,
        .captions_language = captions ? cm_json_text(cm_json_object(captions, "facts"), "language", "") : "",
        .prompt = cm_call_param(call, "prompt", ""),
    };
    json_object_put(speech);
    if (!request.audio_path || request.start_ms >= request.end_ms) {
        return cm_call_fail(call, CM_CANNOT, CM_REASON_INTERNAL,
                            N_("the step before this one left no chunk of speech"));
    }
    enum cm_verdict verdict = ops->transcribe(&call->ctx, &request);
    if (verdict == CM_REJECT && ops->needs_captions) {
        return forgive_found_captions(call, captions);
    }
    return verdict == CM_OK ? lay_and_write(call, request.start_ms, request.end_ms) : verdict;
}
