/*
 * The worker's llm stage for the bench: everything around the call is the real worker (its loading,
 * options, lock, folder and messages), the call itself asks a plugin that does nothing. `ask` says
 * how many keys the task makes.
 */
#include <clipmaker/plugin.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/common/message.h"
#include "core/worker/call.h"

enum cm_verdict cm_stage_llm(struct cm_call *call)
{
    const struct cm_llm_ops *ops = call->ops;
    struct cm_llm_request request = {.size = sizeof request, .task = "noop", .input_json = "{}", .schema_json = "{}"};
    struct cm_llm_answer answer = {.size = sizeof answer};
    enum cm_verdict verdict = ops->answer(&call->ctx, &request, &answer);
    long keys = strtol(cm_json_text(call->begin, "ask", "make0") + sizeof "make" - 1, NULL, 10);
    for (long i = 1; verdict == CM_OK && i <= keys; i++) {
        char key[24];
        snprintf(key, sizeof key, "%02ld", i);
        cm_done_add_child(call->done, key);
    }
    return verdict;
}
