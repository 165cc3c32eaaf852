/*
 * A question to a language model over chat/completions, with the schema of its answer.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef OPENAI_CHAT_H
#define OPENAI_CHAT_H

#include "server.h"

struct openai_chat {
    const char *model;
    const char *structure;   /* "json_schema", "json_object" or "none": the most that the server can */
    const char *limit_field; /* how it calls the limit of the answer: max_tokens, max_completion_tokens */
    const char *extra;       /* JSON object whose members are added to each request, or "" */
    const char *fixed;       /* `"name":value` members of a dialect, or NULL */
    double temperature;      /* below 0: left to the server */
    int64_t context_tokens;  /* what fits, question and answer; 0: any */
};

/* The beginning of the options of every plugin that asks models: what stands below takes it from ctx->options. */
struct openai_llm_options {
    struct openai_server server;
    struct openai_chat chat;
};

#define OPENAI_CHAT_OPTIONS(type, member)                                                                              \
    CM_OPT_STRING_REQUIRED(type, member.model, "model", "the model's id, exactly as the server lists it"),             \
        CM_OPT_CHOICE(type, member.structure, "structure", "json_schema", "json_schema|json_object|none",              \
                      "how the form of the answer is asked for, at most; what a server refuses is tried simpler"),     \
        CM_OPT_CHOICE(type, member.limit_field, "limit_field", "max_tokens", "max_tokens|max_completion_tokens",       \
                      "how the server calls the limit of an answer"),                                                  \
        CM_OPT_STRING(type, member.extra, "extra", "", "JSON object, its members are added to every request"),         \
        CM_OPT_REAL(type, member.temperature, "temperature", "0.3", -1, 2, "how freely it answers; -1: as it likes"),  \
        CM_OPT_INT(type, member.context_tokens, "context", "0", 0, 100e6,                                              \
                   "tokens that fit into the model, question and answer together; 0: not known")

enum cm_verdict openai_chat_answer(struct cm_ctx *ctx, const struct openai_server *server,
                                   const struct openai_chat *chat, const struct cm_llm_request *request,
                                   struct cm_llm_answer *answer);
enum cm_verdict openai_chat_models(struct cm_ctx *ctx);
int64_t openai_chat_context(struct cm_ctx *ctx);

#endif
