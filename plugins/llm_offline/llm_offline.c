/*
 * llm_offline: answers the four questions without a language model, from the words and the sound.
 */
#include <clipmaker/plugin.h>

#include <string.h>

#include "answers.h"
#include "video.h"

#define MODEL "heuristics"

static const struct {
    const char *task;
    const char *(*answer)(struct video *video, const struct cm_json *input);
} tasks[] = {
    {"moment_selection", answer_moments},
    {"virality_scoring", answer_scores},
    {"title_generation", answer_titles},
    {"cta_suggestion", answer_ctas},
};

static const struct cm_failure unsupported = {
    .size = sizeof unsupported, .verdict = CM_CANNOT, .reason = CM_REASON_UNSUPPORTED};
static const struct cm_failure internal = {.size = sizeof internal, .verdict = CM_CANNOT, .reason = CM_REASON_INTERNAL};

static enum cm_verdict answer(struct cm_ctx *ctx, const struct cm_llm_request *request, struct cm_llm_answer *answer)
{
    const struct cm_json *input = ctx->host->json_parse(ctx, request->input_json, strlen(request->input_json));
    if (!input) {
        return ctx->host->fail(ctx, &internal, "the question's input is not JSON");
    }
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        if (!strcmp(tasks[i].task, request->task)) {
            answer->json = tasks[i].answer(video_read(ctx, input), input);
            answer->model = MODEL;
            answer->tokens_in = answer->tokens_out = 0;
            return CM_OK;
        }
    }
    return ctx->host->fail(ctx, &unsupported, "without a language model there is no answer to \"%s\"", request->task);
}

static enum cm_verdict models(struct cm_ctx *ctx)
{
    ctx->host->emit_fact(ctx, "models", "[\"" MODEL "\"]");
    return CM_OK;
}

struct options {
    int none;
};

static const struct cm_option options[] = {CM_OPT_END};

static const struct cm_llm_ops ops = {
    .size = sizeof ops,
    .needs_no_prompt = 1,
    .answer = answer,
    .models = models,
};

CM_PLUGIN_LOCAL(CM_STAGE_LLM, "llm_offline", "1.0",
                "Chooses, scores and names moments by rules, without a language model", options, struct options, ops);
