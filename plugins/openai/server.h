/*
 * A server that speaks OpenAI's protocol: its address and key, one exchange with it, and what its
 * errors mean. Shared by all plugins that speak it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef OPENAI_SERVER_H
#define OPENAI_SERVER_H

#include <clipmaker/plugin.h>

struct openai_server {
    const char *url;      /* up to and with "/v1" */
    const char *key;      /* "": none is sent (Ollama) */
    const char *headers;  /* more of them, one a line, or "" */
    int64_t deadline_ms;  /* of one exchange */
    int forbidden_is_key; /* of a dialect: a 403 without a known code says that the key is not accepted */
};

#define OPENAI_SERVER_OPTIONS(type, member)                                                                            \
    CM_OPT_URL(type, member.url, "url", CM_OPTION_REQUIRED, NULL,                                                      \
               "base address of the API, up to and with its version: https://host/v1"),                                \
        CM_OPT_SECRET(type, member.key, "key", 0, "the API key; a server of your own may need none"),                  \
        CM_OPT_STRING(type, member.headers, "headers", "", "more request headers, one a line"),                        \
        CM_OPT_TIME(type, member.deadline_ms, "timeout", "2m", 1000, 3600000, "longest time for one call")

/* An error that the server told, whatever its shape; what it did not tell is "". */
struct openai_error {
    const char *code, *type, *param, *message;
};

/* What came back. */
struct openai_reply {
    struct cm_http_answer http;
    const struct cm_json *json; /* the body; NULL when it is none */
    struct openai_error error;
    int forbidden_is_key; /* as the server's */
};

/*
 * One exchange with `path` ("/models"). The caller fills body, parts, paid and max_bytes of
 * `request`; the rest is set here. True when a 2xx answer with JSON and without an error came;
 * otherwise openai_fail() says what it means.
 */
int openai_send(struct cm_ctx *ctx, const struct openai_server *server, const char *path,
                struct cm_http_request *request, struct openai_reply *reply);
enum cm_verdict openai_fail(struct cm_ctx *ctx, const struct openai_reply *reply);

/* A count of tokens in the answer; `untold` where there is none, or none that can be. */
int64_t openai_tokens(struct cm_ctx *ctx, const struct cm_json *json, const char *path, int64_t untold);

/* The name under which `what` is remembered of a model at this address: elsewhere it may be otherwise. */
const char *openai_memory_name(struct cm_ctx *ctx, const struct openai_server *server, const char *what,
                               const char *model);

/* Emits the fact "models": the ids that the server lists. */
enum cm_verdict openai_models(struct cm_ctx *ctx, const struct openai_server *server);

#endif
