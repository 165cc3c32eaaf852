/*
 * Artifacts: what an earlier step left, as each later one reads it, and what a plugin emits. The input
 * is {"run":"windows","item","op","params":{},"begin":{},"inputs":[{"role","key","item","facts","value"}…],
 * "emit":{"words":[[text,start,end,confidence,speaker]…],"segments":[as words],"speech":[[start,end,db]…],
 * "chunks":[[start,end]…],"cues":[[kind,start,end,value]…],"facts":{}}}.
 */
#include <json-c/json.h>
#include <string.h>

#include "core/common/message.h"
#include "core/common/text.h"
#include "core/moments/transcript.h"
#include "core/worker/host.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/step.h"

#define CHUNK_FILE "chunk.flac"
#define CLIP_FILE "clip.mp4"

/* ---- A plugin that emits what the input says --------------------------------------------------- */

static struct json_object *emit; /* of this input */

static struct json_object *element(struct json_object *list, size_t index)
{
    int is_list = json_object_is_type(list, json_type_array) && index < json_object_array_length(list);
    return is_list ? json_object_array_get_idx(list, index) : NULL;
}

static int64_t whole(struct json_object *list, size_t index)
{
    return json_object_get_int64(element(list, index));
}

static double real(struct json_object *list, size_t index)
{
    return json_object_get_double(element(list, index));
}

static const char *text(struct json_object *list, size_t index)
{
    struct json_object *value = element(list, index);
    return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

static void emit_word(struct cm_ctx *ctx, struct json_object *one)
{
    struct cm_word word = {sizeof word,   text(one, 0), whole(one, 1),
                           whole(one, 2), real(one, 3), (int32_t)whole(one, 4)};
    ctx->host->emit_word(ctx, &word);
}

static void emit_segment(struct cm_ctx *ctx, struct json_object *one)
{
    struct cm_segment segment = {sizeof segment, text(one, 0), whole(one, 1),
                                 whole(one, 2),  real(one, 3), (int32_t)whole(one, 4)};
    ctx->host->emit_segment(ctx, &segment);
}

static void emit_speech(struct cm_ctx *ctx, struct json_object *one)
{
    struct cm_interval interval = {sizeof interval, whole(one, 0), whole(one, 1), real(one, 2)};
    ctx->host->emit_speech(ctx, &interval);
}

static void emit_chunk(struct cm_ctx *ctx, struct json_object *one)
{
    struct cm_chunk chunk = {sizeof chunk, CHUNK_FILE, whole(one, 0), whole(one, 1)};
    ctx->host->emit_chunk(ctx, &chunk);
}

static void emit_cue(struct cm_ctx *ctx, struct json_object *one)
{
    struct cm_cue cue = {sizeof cue, (uint32_t)whole(one, 0), whole(one, 1), whole(one, 2), real(one, 3)};
    ctx->host->emit_cue(ctx, &cue);
}

static const struct {
    const char *field;
    void (*emit)(struct cm_ctx *ctx, struct json_object *one);
} lists[] = {
    {"words", emit_word},   {"segments", emit_segment}, {"speech", emit_speech},
    {"chunks", emit_chunk}, {"cues", emit_cue},
};

static void emit_all(struct cm_ctx *ctx)
{
    struct cm_interval speech = {.size = sizeof speech};
    for (size_t i = 0; ctx->host->speech(ctx, i, &speech); i++) {
        fuzz_promise(i < 100000);
    }
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct json_object *list = cm_json_array(emit, lists[i].field);
        for (size_t k = 0; list && k < json_object_array_length(list); k++) {
            lists[i].emit(ctx, json_object_array_get_idx(list, k));
        }
    }
    struct json_object *facts = cm_json_object(emit, "facts");
    if (facts) {
        json_object_object_foreach(facts, name, value)
        {
            ctx->host->emit_fact(ctx, name, json_object_to_json_string(value));
        }
    }
}

static enum cm_verdict transcribe(struct cm_ctx *ctx, const struct cm_stt_request *request)
{
    fuzz_promise(request->audio_path && request->start_ms < request->end_ms);
    emit_all(ctx);
    return CM_OK;
}

static enum cm_verdict prepare(struct cm_ctx *ctx, const struct cm_prepare_request *request)
{
    fuzz_promise(request->media_path);
    emit_all(ctx);
    return CM_OK;
}

static enum cm_verdict render(struct cm_ctx *ctx, const struct cm_render_request *request)
{
    fuzz_promise(request->media_path && request->document_json);
    emit_all(ctx);
    ctx->host->emit_file(ctx, &(struct cm_file){.size = sizeof(struct cm_file), .role = "clip", .file = CLIP_FILE});
    return CM_OK;
}

static enum cm_verdict publish(struct cm_ctx *ctx, const struct cm_publish_request *request, struct cm_post *post)
{
    (void)ctx;
    fuzz_promise(request->key && request->clip_path && request->name && request->title && request->text);
    post->id = request->name;
    post->url = request->title;
    return CM_OK;
}

static const struct cm_stt_ops stt_ops = {.size = sizeof stt_ops, .languages = "*", .transcribe = transcribe};
static const struct cm_prepare_ops prepare_ops = {.size = sizeof prepare_ops, .prepare = prepare};
static const struct cm_render_ops render_ops = {.size = sizeof render_ops, .render = render};
static const struct cm_publish_ops publish_ops = {
    .size = sizeof publish_ops, .max_clip_ms = 60000, .max_clip_bytes = 1000000, .publish = publish};

/* ---- Promises ---------------------------------------------------------------------------------- */

static void check_words(const struct cm_done *done)
{
    struct json_object *words = step_artifact(done, "words", 0), *list = cm_json_array(words, "words");
    long long start_ms = cm_json_int(words, "start_ms", -1), end_ms = cm_json_int(words, "end_ms", -1);
    fuzz_promise(list && start_ms < end_ms);
    long long after_ms = start_ms;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *word = json_object_array_get_idx(list, i);
        long long s = cm_json_int(word, "s", -1), e = cm_json_int(word, "e", -1);
        fuzz_promise(*cm_json_text(word, "t", "") && s >= after_ms && e >= s && e <= end_ms);
        after_ms = e;
    }
    json_object_put(words);
}

/* What was written can be read, and its windows fit it. */
static void check_windows(const struct cm_done *done)
{
    char *error = NULL;
    struct json_object *json = step_artifact(done, "transcript", 0);
    struct cm_transcript *transcript = cm_transcript_read(json, &error);
    if (!transcript) {
        fprintf(stderr, "%s\n", error);
    }
    fuzz_promise(transcript && transcript->word_count > 0 && transcript->sentence_count > 0);
    fuzz_promise(done->child_count > 0);
    for (size_t i = 0; i < done->child_count; i++) {
        struct json_object *window = step_artifact(done, "window", i);
        long long first = cm_json_int(window, "first", -1), last = cm_json_int(window, "last", -1);
        fuzz_promise(first >= 0 && last >= first && last < (long long)transcript->sentence_count);
        json_object_put(window);
    }
    cm_transcript_free(transcript);
    json_object_put(json);
}

static void check_moments(const struct cm_done *done)
{
    fuzz_promise(done->child_count > 0);
    for (size_t i = 0; i < done->child_count; i++) {
        struct json_object *moment = step_artifact(done, "moment", i);
        long long start_ms = cm_json_int(moment, "start_ms", -1), end_ms = cm_json_int(moment, "end_ms", -1);
        fuzz_promise(start_ms >= 0 && end_ms > start_ms); /* the limits were kept when it was proposed */
        json_object_put(moment);
    }
}

static void check_nothing(const struct cm_done *done)
{
    (void)done;
}

static const struct {
    const char *name;
    cm_stage_fn run;
    const void *ops;
    void (*check)(const struct cm_done *done);
} runs[] = {
    {"stt", cm_stage_stt, &stt_ops, check_words},
    {"windows", cm_builtin_windows, NULL, check_windows},
    {"choose", cm_builtin_choose, NULL, check_moments},
    {"prepare", cm_stage_prepare, &prepare_ops, check_nothing},
    {"render", cm_stage_render, &render_ops, check_nothing},
    {"publish", cm_stage_publish, &publish_ops, check_nothing},
};

/* ---- One input --------------------------------------------------------------------------------- */

static void run(struct json_object *root, size_t which)
{
    struct step step = {
        .run = runs[which].run,
        .ops = runs[which].ops,
        .item = cm_json_text(root, "item", ""),
        .op = cm_json_text(root, "op", runs[which].name),
        .begin = cm_json_object(root, "begin"),
        .params = cm_json_object(root, "params"),
        .inputs = step_inputs(cm_json_array(root, "inputs")),
    };
    emit = cm_json_object(root, "emit");
    struct cm_done *done = step_run(&step);
    if (done->outcome == CM_OK) {
        runs[which].check(done);
    }
    cm_done_free(done);
    json_object_put(step.inputs);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    step_write(CHUNK_FILE, "x", 1);
    step_write(CLIP_FILE, "x", 1);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct json_object *root = cm_json_parse((const char *)bytes, count, NULL);
    for (size_t i = 0; root && i < sizeof runs / sizeof *runs; i++) {
        if (!strcmp(cm_json_text(root, "run", ""), runs[i].name)) {
            run(root, i);
        }
    }
    json_object_put(root);
    return 0;
}
