/*
 * One call of the Bot API, and what its errors mean. The address of every call has the token in it: no address is ever
 * shown.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TELEGRAM_API_H
#define TELEGRAM_API_H

#include <clipmaker/plugin.h>

struct telegram {
    const char *url; /* of the server, without "/bot…" */
    const char *token;
    const char *chat;    /* "@name" or a number, as the operator wrote it */
    int64_t deadline_ms; /* of one call, an upload included */
};

struct reply {
    struct cm_http_answer http;
    const struct cm_json *result; /* NULL unless it said yes */
    int code;                     /* error_code of the body; else the status when that is an error; else 0 */
    int is_json;                  /* the body is the Bot API's own, not some gateway's page */
    const char *description;
    int64_t retry_after_ms;
    const char *moved_to; /* the chat's new id, or NULL */
    int posts;            /* the call was one that posts */
};

/* Calls with parts (then it posts: host->http asks sending()), or with a JSON body, or with neither (both NULL). True
 * when it said yes. */
int telegram_call(struct cm_ctx *ctx, const char *method, const struct cm_http_part *parts, const char *json,
                  struct reply *reply);

/* Anything but a yes, as a verdict. */
enum cm_verdict telegram_fail(struct cm_ctx *ctx, const struct reply *reply);

/* True when the description has these words, whatever their case. */
int telegram_says(const struct reply *reply, const char *words);

#endif
