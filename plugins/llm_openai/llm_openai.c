/*
 * llm_openai: questions to a language model behind any server that speaks OpenAI's protocol:
 * OpenAI, OpenRouter, Ollama, vLLM, llama.cpp.
 *
 * SPDX-License-Identifier: MIT
 */
#include "../openai/chat.h"

static const struct cm_option options[] = {
    OPENAI_SERVER_OPTIONS(struct openai_llm_options, server),
    OPENAI_CHAT_OPTIONS(struct openai_llm_options, chat),
    CM_OPT_END,
};

static enum cm_verdict answer(struct cm_ctx *ctx, const struct cm_llm_request *request, struct cm_llm_answer *answer)
{
    const struct openai_llm_options *own = ctx->options;
    return openai_chat_answer(ctx, &own->server, &own->chat, request, answer);
}

static const struct cm_llm_ops ops = {
    .size = sizeof ops,
    .answer = answer,
    .models = openai_chat_models,
    .context = openai_chat_context,
    .elsewhere = 1,
};

CM_PLUGIN(CM_STAGE_LLM, "llm_openai", "1.0", "Asks a language model at any server that speaks OpenAI's protocol",
          options, struct openai_llm_options, ops);
