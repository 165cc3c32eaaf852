/*
 * source: an address becomes a media file, and the captions that came with it.
 */
#include <json-c/json.h>
#include <string.h>
#include <unistd.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/worker/call.h"
#include "core/worker/host.h"

static enum cm_verdict add_captions(struct cm_call *call, const char *file, const char *language, const char *origin)
{
    struct json_object *facts = json_object_new_object();
    json_object_object_add(facts, "language", json_object_new_string(language));
    json_object_object_add(facts, "origin", json_object_new_string(origin));
    enum cm_verdict verdict = cm_call_add_file(call, "captions", NULL, file, facts);
    json_object_put(facts);
    return verdict;
}

/* Captions that the user gave count even when the plugin did not mention them. */
static enum cm_verdict add_all_captions(struct cm_call *call, const char *given)
{
    int seen = 0;
    enum cm_verdict verdict = CM_OK;
    for (size_t i = 0; i < call->emitted->file_count && verdict == CM_OK; i++) {
        const struct cm_file *file = &call->emitted->files[i];
        if (!strcmp(file->role, "captions")) {
            int is_given = file->path && given && !strcmp(file->path, given);
            seen |= is_given;
            verdict =
                add_captions(call, file->file ? file->file : file->path, file->note, is_given ? "given" : "beside");
        }
    }
    if (verdict == CM_OK && given && !seen) {
        verdict = add_captions(call, given, "", "given");
    }
    return verdict;
}

enum cm_verdict cm_stage_source(struct cm_call *call)
{
    const struct cm_source_ops *ops = call->ops;
    const char *given = cm_call_param(call, "captions", "");
    struct cm_source_request request = {
        .size = sizeof request,
        .url = cm_json_text(call->begin, "source", ""),
        .captions_path = *given ? given : NULL,
    };
    if (request.captions_path && access(given, R_OK)) {
        return cm_call_fail(call, CM_REJECT, CM_REASON_NOT_FOUND,
                            N_("the captions file %s cannot be read: is the name right?"), given);
    }
    enum cm_verdict verdict = ops->fetch(&call->ctx, &request);
    if (verdict != CM_OK) {
        return verdict;
    }
    const char *media = cm_call_emitted_file(call, "media");
    if (!media) {
        return cm_call_fail(call, CM_CANNOT, CM_REASON_INTERNAL,
                            N_("the plugin of %s said that it fetched %s, and gave no file"), call->ctx.instance,
                            request.url);
    }
    verdict = cm_call_add_file(call, "media", NULL, media, call->facts);
    return verdict == CM_OK ? add_all_captions(call, request.captions_path) : verdict;
}
