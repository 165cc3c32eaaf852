/*
 * stt_openai: speech recognition at any server that speaks OpenAI's protocol.
 *
 * SPDX-License-Identifier: MIT
 */
#include "../openai/speech.h"

static const struct cm_option options[] = {
    OPENAI_SERVER_OPTIONS(struct openai_stt_options, server),
    OPENAI_SPEECH_OPTIONS(struct openai_stt_options, speech),
    CM_OPT_CHOICE(struct openai_stt_options, speech.times, "times", "words", "words|segments|none",
                  "what times the model gives, at most; what it refuses is asked for simpler"),
    CM_OPT_END,
};

static enum cm_verdict transcribe(struct cm_ctx *ctx, const struct cm_stt_request *request)
{
    const struct openai_stt_options *own = ctx->options;
    return openai_transcribe(ctx, &own->server, &own->speech, request);
}

static const struct cm_stt_ops ops = {
    .size = sizeof ops,
    .languages = "*",
    .transcribe = transcribe,
    .elsewhere = 1,
    .models = openai_speech_models,
};

CM_PLUGIN(CM_STAGE_STT, "stt_openai", "1.0", "Recognises speech at any server that speaks OpenAI's protocol", options,
          struct openai_stt_options, ops);
