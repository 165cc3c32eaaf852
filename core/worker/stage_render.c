/*
 * render: a moment in one format becomes a clip, with its thumbnail, its captions and the document that
 * it was made from.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/worker/call.h"
#include "core/worker/clip_document.h"

#define DEFAULT_FORMAT "9:16"

/* The part of the item that is a shape: "02/9:16". Owned by the caller. */
static char *format_of(const char *item)
{
    for (const char *part = item; *part != '\0';) {
        size_t length = strcspn(part, "/");
        if (memchr(part, ':', length) != NULL) {
            return cm_strndup(part, length);
        }
        part += length + (part[length] == '/');
    }
    return cm_strdup(DEFAULT_FORMAT);
}

/* An input that a step of the pipeline may leave out. */
static struct json_object *read_optional(struct cm_call *call, const char *role, enum cm_verdict *verdict)
{
    if (*verdict != CM_OK || cm_call_input(call, role, NULL) == NULL) {
        return NULL;
    }
    struct json_object *value = cm_call_read(call, role, NULL);
    *verdict = value ? CM_OK : CM_CANNOT;
    return value;
}

static struct json_object *read_needed(struct cm_call *call, const char *role, enum cm_verdict *verdict)
{
    struct json_object *value = *verdict == CM_OK ? cm_call_read(call, role, NULL) : NULL;
    *verdict = value ? CM_OK : *verdict == CM_OK ? CM_CANNOT : *verdict;
    return value;
}

static enum cm_verdict add_files(struct cm_call *call, struct json_object *facts)
{
    static const struct {
        const char *emitted, *role;
    } files[] = {{"clip", "clip"},
                 {"thumbnail", "thumbnail"},
                 {"thumbnail_small", "thumbnail_small"},
                 {"captions", "captions_srt"}};
    enum cm_verdict verdict = CM_OK;
    for (size_t i = 0; i < sizeof files / sizeof files[0] && verdict == CM_OK; i++) {
        const char *file = cm_call_emitted_file(call, files[i].emitted);
        if (file != NULL) {
            verdict = cm_call_add_file(call, files[i].role, NULL, file, i == 0 ? facts : NULL);
        }
    }
    return verdict;
}

/* What the renderer measured joins what was known before. */
static void add_measured(struct cm_call *call, struct json_object *facts)
{
    json_object_object_foreach(call->facts, name, value)
    {
        json_object_object_add(facts, name, json_object_get(value));
    }
    json_object_object_add(facts, "duration",
                           json_object_new_double((double)cm_json_int(call->facts, "duration_ms", 0) / 1000));
}

static enum cm_verdict render(struct cm_call *call, const struct cm_clip_source *source, struct json_object *document)
{
    const struct cm_render_ops *ops = call->ops;
    struct cm_render_request request = {
        .size = sizeof request,
        .media_path = cm_call_input_path(call, "media"),
        .document_json = json_object_to_json_string_ext(document, JSON_C_TO_STRING_PLAIN),
    };
    if (!request.media_path) {
        return cm_call_fail(call, CM_CANNOT, CM_REASON_INTERNAL, N_("the step before this one left no media"));
    }
    enum cm_verdict verdict = ops->render(&call->ctx, &request);
    if (verdict != CM_OK) {
        return verdict;
    }
    if (cm_call_emitted_file(call, "clip") == NULL) {
        return cm_call_fail(call, CM_CANNOT, CM_REASON_INTERNAL, N_("the plugin of %s made no clip"),
                            call->ctx.instance);
    }
    struct json_object *facts = cm_clip_facts(source);
    add_measured(call, facts);
    verdict = add_files(call, facts);
    json_object_put(facts);
    return verdict == CM_OK ? cm_call_write(call, "document", NULL, "document.json", document, NULL) : verdict;
}

static enum cm_verdict make_document(struct cm_call *call, const struct cm_clip_source *source)
{
    char *error = NULL;
    struct json_object *document = cm_clip_document(source, &error);
    if (document == NULL) {
        enum cm_verdict verdict = cm_call_fail(call, CM_CANNOT, CM_REASON_INTERNAL, "%s", error);
        free(error);
        return verdict;
    }
    enum cm_verdict verdict = render(call, source, document);
    json_object_put(document);
    return verdict;
}

/* ---- A smaller one ---------------------------------------------------------------------------- */

static void put_int(struct json_object *object, const char *name, int64_t value)
{
    json_object_object_add(object, name, json_object_new_int64(value));
}

static struct json_object *put_object(struct json_object *object, const char *name)
{
    struct json_object *part = json_object_new_object();
    json_object_object_add(object, name, part);
    return part;
}

/* The finished clip as media: all of it, and nothing laid over once more. */
static struct json_object *document_of_clip(struct json_object *facts, const char *format)
{
    struct json_object *document = json_object_new_object(), *part;
    put_int(document, "version", 1);
    part = put_object(document, "span");
    put_int(part, "start_ms", 0);
    put_int(part, "end_ms", cm_json_int(facts, "duration_ms", 0));
    part = put_object(document, "format");
    json_object_object_add(part, "name", json_object_new_string(format));
    if (cm_json_int(facts, "width", 0) > 0 && cm_json_int(facts, "height", 0) > 0) {
        put_int(part, "width", cm_json_int(facts, "width", 0));
        put_int(part, "height", cm_json_int(facts, "height", 0));
    }
    json_object_object_add(put_object(document, "captions"), "style", json_object_new_string("none"));
    json_object_object_add(put_object(document, "cta"), "mode", json_object_new_string("none"));
    json_object_object_add(document, "overlays", json_object_new_array());
    return document;
}

/* From the media where that is still there, as it was rendered before; else from the clip. NULL after a failure. */
static struct json_object *document_to_fit(struct cm_call *call, const char *format, const char **media)
{
    struct json_object *clip = cm_call_input(call, "clip", NULL), *facts = cm_json_object(clip, "facts");
    struct json_object *document = NULL;
    *media = cm_call_input_path(call, "media");
    if (*media && access(*media, R_OK) == 0 && cm_call_input(call, "document", NULL)) {
        return cm_call_read(call, "document", NULL);
    }
    *media = cm_call_input_path(call, "clip");
    if (*media && cm_json_int(facts, "duration_ms", 0) > 0) {
        document = document_of_clip(facts, cm_json_text(facts, "format", format));
    } else {
        cm_call_fail(
            call, CM_CANNOT, CM_REASON_TOO_LARGE,
            N_("the clip is too large for its target, and there is not enough known of it to make it smaller"));
    }
    return document;
}

/* The clip is that of before, in everything but what was measured anew. */
static enum cm_verdict add_fitted(struct cm_call *call, int64_t max_bytes)
{
    const char *file = cm_call_emitted_file(call, "clip");
    if (file == NULL) {
        return cm_call_fail(call, CM_CANNOT, CM_REASON_INTERNAL, N_("the plugin of %s made no clip"),
                            call->ctx.instance);
    }
    char *path = *file == '/' ? cm_strdup(file) : cm_path_join(call->dir, file);
    int64_t bytes = cm_file_bytes(path);
    free(path);
    if (bytes > max_bytes) {
        return cm_call_fail(call, CM_CANNOT, CM_REASON_TOO_LARGE,
                            N_("%s was to make a clip of at most %lld bytes and made one of %lld"), call->ctx.instance,
                            (long long)max_bytes, (long long)bytes);
    }
    struct json_object *facts = json_object_new_object();
    struct json_object *before = cm_json_object(cm_call_input(call, "clip", NULL), "facts");
    json_object_object_foreach(before, name, value)
    {
        json_object_object_add(facts, name, json_object_get(value));
    }
    add_measured(call, facts);
    enum cm_verdict verdict = cm_call_add_file(call, "clip", NULL, file, facts);
    json_object_put(facts);
    return verdict;
}

static enum cm_verdict fit(struct cm_call *call, const char *format)
{
    const struct cm_render_ops *ops = call->ops;
    int64_t max_bytes = cm_json_int(call->begin, "max_bytes", 0);
    const char *media = NULL;
    struct json_object *document = document_to_fit(call, format, &media);
    if (document == NULL) {
        return CM_CANNOT;
    }
    struct json_object *encoder = cm_json_object(document, "encoder");
    put_int(encoder ? encoder : put_object(document, "encoder"), "max_bytes", max_bytes);
    struct cm_render_request request = {
        .size = sizeof request,
        .media_path = media,
        .document_json = json_object_to_json_string_ext(document, JSON_C_TO_STRING_PLAIN),
    };
    enum cm_verdict verdict = ops->render(&call->ctx, &request);
    json_object_put(document);
    return verdict == CM_OK ? add_fitted(call, max_bytes) : verdict;
}

enum cm_verdict cm_stage_render(struct cm_call *call)
{
    enum cm_verdict verdict = CM_OK;
    char *format = format_of(call->item);
    if (!strcmp(call->op, "fit")) {
        verdict = fit(call, format);
        free(format);
        return verdict;
    }
    struct cm_clip_source source = {.format = format, .params = call->params};
    source.moment = read_needed(call, "moment", &verdict);
    source.transcript = read_needed(call, "transcript", &verdict);
    source.titles = read_optional(call, "titles", &verdict);
    source.ctas = read_optional(call, "ctas", &verdict);
    source.facts = read_optional(call, "facts", &verdict);
    source.moment_key = cm_json_text(cm_call_input(call, "moment", NULL), "key", "01");
    if (verdict == CM_OK) {
        verdict = make_document(call, &source);
    }
    json_object_put(source.moment);
    json_object_put(source.transcript);
    json_object_put(source.titles);
    json_object_put(source.ctas);
    json_object_put(source.facts);
    free(format);
    return verdict;
}
