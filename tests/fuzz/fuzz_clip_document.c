/*
 * Clip document: made by the worker from the artifacts of earlier steps, and read by the renderer,
 * whoever wrote it. The input is {"document":{…}} for the reader alone, or {"key","format","moment",
 * "transcript","titles","ctas","facts","params"} for the road through both.
 */
#include <json-c/json.h>
#include <string.h>

#include "core/common/message.h"
#include "core/common/options.h"
#include "core/common/text.h"
#include "core/worker/clip_document.h"
#include "plugins/render_ffmpeg/document.h"
#include "tests/fuzz/fuzz.h"

static struct render_options options;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    struct json_object *set = json_tokener_parse("{\"watermark_text\":\"@me\",\"watermark_corner\":\"top-right\"}");
    char *error = cm_options_fill(render_option_table, &options, set);
    fuzz_promise(!error);
    json_object_put(set);
    return 0;
}

static int is_share(double value)
{
    return value >= 0 && value <= 1;
}

static void check_overlays(const struct document *document)
{
    for (size_t i = 0; i < document->overlay_count; i++) {
        const struct document_overlay *overlay = &document->overlays[i];
        fuzz_promise(overlay->content && *overlay->content && overlay->size > 0 && overlay->size <= 1);
        fuzz_promise(is_share(overlay->opacity) && (overlay->to_ms < 0 || overlay->to_ms >= overlay->from_ms));
        fuzz_promise(overlay->corner != CORNER_FREE || (is_share(overlay->x) && is_share(overlay->y)));
    }
}

/* What the rest of the renderer counts on. */
static void check(const struct document *document)
{
    fuzz_promise(document->start_ms >= 0 && document->end_ms > document->start_ms);
    fuzz_promise(document->end_ms - document->start_ms <= options.max_length_ms);
    fuzz_promise(document->width >= 16 && document->width <= 10800 && document->width % 2 == 0);
    fuzz_promise(document->height >= 16 && document->height <= 10800 && document->height % 2 == 0);
    fuzz_promise(document->fps == 0 || (document->fps >= 1 && document->fps <= 60));
    for (size_t i = 0; i < document->camera_count; i++) {
        const struct document_camera *at = &document->camera[i];
        fuzz_promise(at->at_ms >= 0 && is_share(at->x) && is_share(at->y) && at->zoom >= 1 && at->zoom <= 20);
    }
    for (size_t i = 0; i < document->word_count; i++) {
        fuzz_promise(document->words[i].text && document->words[i].end_ms >= document->words[i].start_ms);
    }
    check_overlays(document);
    fuzz_promise(document->cta == CTA_NONE || *document->cta_text);
    fuzz_promise(document->endcard_ms >= 0 && document->endcard_ms <= 30000);
    fuzz_promise(document->crf >= 0 && document->crf <= 51 && document->audio_bitrate >= 32000);
}

static void read_document(const char *text)
{
    struct document document;
    char *error = document_read(&document, text, &options);
    if (!error) {
        check(&document);
    } else {
        fuzz_promise(*error);
    }
    free(error);
    document_free(&document);
}

static void make_and_read(struct json_object *root)
{
    struct cm_clip_source source = {
        .moment_key = cm_json_text(root, "key", "01"),
        .format = cm_json_text(root, "format", "9:16"),
        .moment = json_object_object_get(root, "moment"),
        .transcript = json_object_object_get(root, "transcript"),
        .titles = json_object_object_get(root, "titles"),
        .ctas = json_object_object_get(root, "ctas"),
        .facts = json_object_object_get(root, "facts"),
        .params = json_object_object_get(root, "params"),
    };
    char *error = NULL;
    struct json_object *facts = cm_clip_facts(&source);
    struct json_object *document = cm_clip_document(&source, &error);
    fuzz_promise(document || (error && *error));
    const char *name = cm_json_text(facts, "name", "");
    fuzz_promise(*name);
    if (document) {
        read_document(json_object_to_json_string_ext(document, JSON_C_TO_STRING_PLAIN));
    }
    json_object_put(document);
    json_object_put(facts);
    free(error);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct json_object *root = cm_json_parse((const char *)bytes, count, NULL);
    struct json_object *document = NULL;
    if (json_object_is_type(root, json_type_object) && json_object_object_get_ex(root, "document", &document)) {
        read_document(json_object_to_json_string_ext(document, JSON_C_TO_STRING_PLAIN));
    } else if (json_object_is_type(root, json_type_object)) {
        make_and_read(root);
    } else {
        char *text = cm_strndup((const char *)bytes, count);
        read_document(text);
        free(text);
    }
    json_object_put(root);
    return 0;
}
