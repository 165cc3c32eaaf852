/*
 * A plugin that does nothing, well.
 *
 * SPDX-License-Identifier: MIT
 */
#include <clipmaker/plugin.h>

struct options {
    const char *comment;
};

static const struct cm_option options[] = {
    CM_OPT_STRING(struct options, comment, "comment", "", "read by nobody"),
    CM_OPT_END,
};

static enum cm_verdict answer(struct cm_ctx *ctx, const struct cm_llm_request *request, struct cm_llm_answer *answer)
{
    (void)ctx;
    (void)request;
    answer->json = "{}";
    return CM_OK;
}

static const struct cm_llm_ops ops = {.size = sizeof ops, .needs_no_prompt = 1, .answer = answer};

CM_PLUGIN_LOCAL(CM_STAGE_LLM, "noop", "1.0", "For measuring only: does nothing", options, struct options, ops);
