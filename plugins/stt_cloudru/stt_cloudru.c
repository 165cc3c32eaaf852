/*
 * stt_cloudru: Whisper in Cloud.ru's Foundation Models. It gives no word times; its segments come
 * from some endpoints, while others fall silent over them, so they are tried once on a short chunk
 * with a deadline of its own. Long answers may lose half minutes: that is noticed and asked again.
 *
 * SPDX-License-Identifier: MIT
 */
#include "../openai/speech.h"

static const struct cm_option options[] = {
    OPENAI_SERVER_OPTIONS(struct openai_stt_options, server),
    OPENAI_SPEECH_OPTIONS(struct openai_stt_options, speech),
    CM_OPT_CHOICE(struct openai_stt_options, speech.times, "times", "segments", "segments|none",
                  "what times are asked for, at most"),
    CM_OPT_TIME(struct openai_stt_options, speech.trial_ms, "trial", "90s", 1000, 600000,
                "how long the server gets for the first answer with times; silent till then, it is asked for text"),
    CM_OPT_TIME(struct openai_stt_options, speech.trial_speech_ms, "trial_chunk", "1m", 1000, 3600000,
                "the longest chunk that this first answer is tried with"),
    CM_OPT_END,
};

static enum cm_verdict transcribe(struct cm_ctx *ctx, const struct cm_stt_request *request)
{
    const struct openai_stt_options *own = ctx->options;
    struct openai_server server = own->server;
    server.forbidden_is_key = 1;
    return openai_transcribe(ctx, &server, &own->speech, request);
}

static const struct cm_stt_ops ops = {
    .size = sizeof ops,
    .languages = "*",
    .transcribe = transcribe,
    .elsewhere = 1,
    .models = openai_speech_models,
};

CM_PLUGIN(CM_STAGE_STT, "stt_cloudru", "1.0", "Recognises speech with Whisper of Cloud.ru's Foundation Models", options,
          struct openai_stt_options, ops);
