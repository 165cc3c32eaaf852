/*
 * llm_cloudru: questions to the language models of Cloud.ru's Foundation Models. Its protocol is
 * OpenAI's; its models think at length unless told not to, which here only costs.
 *
 * SPDX-License-Identifier: MIT
 */
#include "../openai/chat.h"

#define NO_THINKING "\"chat_template_kwargs\":{\"enable_thinking\":false}"

struct options {
    struct openai_llm_options llm; /* first: what is shared takes it from there */
    int thinking;
};

static const struct cm_option options[] = {
    OPENAI_SERVER_OPTIONS(struct options, llm.server),
    OPENAI_CHAT_OPTIONS(struct options, llm.chat),
    CM_OPT_BOOL(struct options, thinking, "thinking", "no",
                "let the model think before it answers: three to five times the price and the wait"),
    CM_OPT_END,
};

static enum cm_verdict answer(struct cm_ctx *ctx, const struct cm_llm_request *request, struct cm_llm_answer *answer)
{
    const struct options *own = ctx->options;
    struct openai_chat chat = own->llm.chat;
    struct openai_server server = own->llm.server;
    server.forbidden_is_key = 1;
    chat.fixed = own->thinking ? NULL : NO_THINKING;
    return openai_chat_answer(ctx, &server, &chat, request, answer);
}

static const struct cm_llm_ops ops = {
    .size = sizeof ops,
    .answer = answer,
    .models = openai_chat_models,
    .context = openai_chat_context,
    .elsewhere = 1,
};

CM_PLUGIN(CM_STAGE_LLM, "llm_cloudru", "1.0", "Asks a language model of Cloud.ru's Foundation Models", options,
          struct options, ops);
