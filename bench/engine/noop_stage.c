/*
 * The worker's llm stage for the bench: everything around the call is the real worker (its loading,
 * options, lock, folder and messages), the call itself asks a plugin that does nothing. `ask` says
 * how many keys the task makes, or "clip": something to publish.
 */
#include <clipmaker/plugin.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/message.h"
#include "core/worker/call.h"

static enum cm_verdict write_clip(struct cm_call *call)
{
    struct json_object *clip = json_object_new_object();
    enum cm_verdict verdict = cm_call_write(call, "clip", NULL, "clip.json", clip, NULL);
    json_object_put(clip);
    return verdict;
}

enum cm_verdict cm_stage_llm(struct cm_call *call)
{
    const struct cm_llm_ops *ops = call->ops;
    struct cm_llm_request request = {.size = sizeof request, .task = "noop", .input_json = "{}", .schema_json = "{}"};
    struct cm_llm_answer answer = {.size = sizeof answer};
    enum cm_verdict verdict = ops->answer(&call->ctx, &request, &answer);
    const char *ask = cm_json_text(call->begin, "ask", "make0");
    if (verdict == CM_OK && !strcmp(ask, "clip")) {
        return write_clip(call);
    }
    long keys = strtol(ask + strcspn(ask, "0123456789"), NULL, 10);
    for (long i = 1; verdict == CM_OK && i <= keys; i++) {
        char key[24];
        snprintf(key, sizeof key, "%02ld", i);
        cm_done_add_child(call->done, key);
    }
    return verdict;
}
