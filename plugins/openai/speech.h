/*
 * A piece of speech, sent to audio/transcriptions, becomes words, segments or plain text: the best
 * that the server gives.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef OPENAI_SPEECH_H
#define OPENAI_SPEECH_H

#include "server.h"

struct openai_speech {
    const char *model;
    const char *times;  /* "words", "segments" or "none": the most that is asked for */
    double temperature; /* below 0: left to the server */
    int64_t max_bytes;  /* of one audio file */
    int64_t lost_ms;    /* speech without a word for so long means that a part was lost; 0: never */
    int64_t trial_ms;   /* how long a server whose times are unproved gets for the first try; 0: as long as always */
    int64_t trial_speech_ms; /* the longest chunk that the first try is made with; 0: any */
};

/* The options of every plugin that recognises speech this way; ctx->options points to it. */
struct openai_stt_options {
    struct openai_server server;
    struct openai_speech speech;
};

#define OPENAI_SPEECH_OPTIONS(type, member)                                                                            \
    CM_OPT_STRING_REQUIRED(type, member.model, "model", "the model's id, exactly as the server lists it"),             \
        CM_OPT_REAL(type, member.temperature, "temperature", "-1", -1, 1, "how freely it hears; -1: as it likes"),     \
        CM_OPT_SIZE(type, member.max_bytes, "max_audio", "25MB", 1000, 1e12, "largest audio file that it takes"),      \
        CM_OPT_TIME(type, member.lost_ms, "lost", "20s", 0, 3600000,                                                   \
                    "speech that long without a single word means that the server lost a part; 0: never")

/*
 * Asks for the times that the server was seen to give, at most for `speech->times`, and emits what
 * comes. A server that refuses them, or falls silent over the first try, is asked for less, and that
 * is remembered.
 */
enum cm_verdict openai_transcribe(struct cm_ctx *ctx, const struct openai_server *server,
                                  const struct openai_speech *speech, const struct cm_stt_request *request);
enum cm_verdict openai_speech_models(struct cm_ctx *ctx);

#endif
