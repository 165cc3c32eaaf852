/*
 * Asking, reading the envelope, and the table of errors: error_code first, then a part of the description. The HTTP
 * status counts only for bodies that are not the Bot API's.
 *
 * SPDX-License-Identifier: MIT
 */
#include "api.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SHOWN_BYTES 200 /* of a description */

/* ---- Asking -------------------------------------------------------------------------------- */

/* "123456:AAH-…": whatever else there is would change the address. */
static int is_sound(const char *token)
{
    const char *colon = strchr(token, ':');
    for (const char *at = token; *at; at++) {
        if (!isalnum((unsigned char)*at) && !strchr(":_-", *at)) {
            return 0;
        }
    }
    return colon && colon > token && colon[1];
}

/* A number of theirs, as one that we can count on. */
static double clamped(double number, double most)
{
    return !(number > 0) ? 0 : number > most ? most : number;
}

static void read_envelope(struct cm_ctx *ctx, struct reply *reply)
{
    const struct cm_host *host = ctx->host;
    const struct cm_json *json = host->json_parse(ctx, reply->http.body, reply->http.body_bytes);
    const struct cm_json *ok = host->json_at(ctx, json, "ok"), *after;
    int64_t moved = host->json_int(ctx, host->json_at(ctx, json, "parameters.migrate_to_chat_id"), 0);
    int64_t code = host->json_int(ctx, host->json_at(ctx, json, "error_code"), 0);
    reply->is_json = ok != NULL;
    reply->result = host->json_bool(ctx, ok, 0) ? host->json_at(ctx, json, "result") : NULL;
    reply->code = code > 0 && code < 1000 ? (int)code : 0;
    reply->description = host->json_string(ctx, host->json_at(ctx, json, "description"), "");
    after = host->json_at(ctx, json, "parameters.retry_after");
    reply->retry_after_ms = (int64_t)(clamped(host->json_number(ctx, after, 0), 86400) * 1000);
    if (reply->retry_after_ms <= 0 && reply->http.retry_after_ms > 0) {
        reply->retry_after_ms = reply->http.retry_after_ms;
    }
    if (moved < 0) {
        reply->moved_to = host->format(ctx, "%lld", (long long)moved);
    }
    if (!reply->code && reply->http.status / 100 != 2) {
        reply->code = reply->http.status;
    }
}

int telegram_call(struct cm_ctx *ctx, const char *method, const struct cm_http_part *parts, const char *json,
                  struct reply *reply)
{
    const struct telegram *own = ctx->options;
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    size_t length = strlen(own->url);
    length -= length > 0 && own->url[length - 1] == '/';
    *reply = (struct reply){.http.size = sizeof reply->http, .description = "", .posts = parts != NULL};
    struct cm_http_request request = {
        .size = sizeof request,
        .method = "POST",
        .url = ctx->host->format(ctx, "%.*s/bot%s/%s", (int)length, own->url, own->token, method),
        .headers = json ? headers : NULL,
        .body = json,
        .body_bytes = json ? strlen(json) : 0,
        .parts = parts,
        .deadline_ms = own->deadline_ms,
        .stall_ms = own->deadline_ms, /* a server that hands a long clip on says nothing for minutes */
        .allow_private = 1,           /* the operator named the server, no stranger */
        .posts = parts != NULL,
    };
    if (!is_sound(own->token)) {
        return 0; /* telegram_fail says so */
    }
    if (ctx->host->http(ctx, &request, &reply->http) == CM_HTTP_ANSWERED) {
        read_envelope(ctx, reply);
    }
    return reply->result != NULL;
}

int telegram_says(const struct reply *reply, const char *words)
{
    size_t bytes = strlen(words);
    for (const char *at = reply->description; *at; at++) {
        if (strncasecmp(at, words, bytes) == 0) {
            return 1;
        }
    }
    return 0;
}

/* ---- What an error means ------------------------------------------------------------------- */

enum advice {
    ADVICE_NONE = 1,
    ADVICE_RIGHTS,
    ADVICE_CHAT,
    ADVICE_TOKEN,
    ADVICE_MOVED,
    ADVICE_TWICE,
    ADVICE_SIZE,
    ADVICE_REMOVED
};

struct meaning {
    int code;          /* 0: any */
    const char *words; /* a part of the description; NULL: any */
    enum cm_verdict verdict;
    enum cm_reason reason;
    enum cm_scope scope;
    enum advice advice;
};

/* The first that fits. All of them say that nothing is out. */
static const struct meaning meanings[] = {
    {429, NULL, CM_AGAIN, CM_REASON_RATE, CM_SCOPE_INSTANCE, ADVICE_NONE},
    {400, "upgraded to a supergroup", CM_HOLD, CM_REASON_OPERATOR, CM_SCOPE_INSTANCE, ADVICE_MOVED},
    {400, "chat not found", CM_HOLD, CM_REASON_OPERATOR, CM_SCOPE_INSTANCE, ADVICE_CHAT},
    {400, "chat_id is empty", CM_HOLD, CM_REASON_OPERATOR, CM_SCOPE_INSTANCE, ADVICE_CHAT},
    {400, "not enough rights", CM_HOLD, CM_REASON_AUTH, CM_SCOPE_INSTANCE, ADVICE_RIGHTS},
    {400, "administrator rights", CM_HOLD, CM_REASON_AUTH, CM_SCOPE_INSTANCE, ADVICE_RIGHTS},
    {400, "no rights", CM_HOLD, CM_REASON_AUTH, CM_SCOPE_INSTANCE, ADVICE_RIGHTS},
    {400, "CHAT_ADMIN_REQUIRED", CM_HOLD, CM_REASON_AUTH, CM_SCOPE_INSTANCE, ADVICE_RIGHTS},
    {400, "CHAT_WRITE_FORBIDDEN", CM_HOLD, CM_REASON_AUTH, CM_SCOPE_INSTANCE, ADVICE_RIGHTS},
    {400, "CHAT_SEND_", CM_HOLD, CM_REASON_AUTH, CM_SCOPE_INSTANCE, ADVICE_RIGHTS},
    {400, "Logged out", CM_HOLD, CM_REASON_OPERATOR, CM_SCOPE_INSTANCE, ADVICE_TWICE},
    {400, "too big", CM_CANNOT, CM_REASON_TOO_LARGE, CM_SCOPE_ITEM, ADVICE_SIZE},
    {400, "too large", CM_CANNOT, CM_REASON_TOO_LARGE, CM_SCOPE_ITEM, ADVICE_SIZE},
    {400, NULL, CM_CANNOT, CM_REASON_INPUT, CM_SCOPE_ITEM, ADVICE_NONE},
    {401, NULL, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_ACCOUNT, ADVICE_TOKEN},
    {403, NULL, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_INSTANCE, ADVICE_RIGHTS},
    {404, NULL, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_ACCOUNT, ADVICE_TOKEN},
    {409, NULL, CM_HOLD, CM_REASON_OPERATOR, CM_SCOPE_ACCOUNT, ADVICE_TWICE},
    {413, NULL, CM_CANNOT, CM_REASON_TOO_LARGE, CM_SCOPE_ITEM, ADVICE_SIZE},
    {500, "immediately deleted", CM_CANNOT, CM_REASON_CONTENT, CM_SCOPE_ITEM, ADVICE_REMOVED},
};

static const struct meaning in_trouble = {0, NULL, CM_AGAIN, CM_REASON_UNAVAILABLE, CM_SCOPE_ITEM, ADVICE_NONE};
static const struct meaning refused = {0, NULL, CM_CANNOT, CM_REASON_INPUT, CM_SCOPE_ITEM, ADVICE_NONE};
static const struct meaning nonsense = {0, NULL, CM_CANNOT, CM_REASON_MALFORMED, CM_SCOPE_ITEM, ADVICE_NONE};

static const struct meaning *meaning_of(const struct reply *reply)
{
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
        const struct meaning *one = &meanings[i];
        if (one->code == reply->code && (!one->words || telegram_says(reply, one->words))) {
            return one;
        }
    }
    return NULL;
}

/* One line of what it said; never an address, for there the token is. */
static const char *said(struct cm_ctx *ctx, const struct reply *reply)
{
    if (*reply->description == '\0') {
        return ctx->host->format(ctx, "status %d", (int)reply->http.status);
    }
    return ctx->host->format(ctx, "%.*s", SHOWN_BYTES, reply->description);
}

/* ---- Failing ------------------------------------------------------------------------------- */

static enum cm_verdict fail_by(struct cm_ctx *ctx, const struct reply *reply, const struct meaning *meaning)
{
    const struct cm_host *host = ctx->host;
    const struct telegram *own = ctx->options;
    const char *words = said(ctx, reply);
    int64_t delay_ms = meaning->verdict == CM_AGAIN ? reply->retry_after_ms : 0;
    const struct cm_failure failure = CM_FAILURE(meaning->verdict, meaning->reason, meaning->scope, delay_ms);
    switch (meaning->advice) {
    case ADVICE_RIGHTS:
        return host->fail(
            ctx, &failure,
            "Telegram does not let the bot post into %s: %s; make it an administrator there, with the right "
            "to post messages, then retry",
            own->chat, words);
    case ADVICE_CHAT:
        return host->fail(ctx, &failure, "Telegram knows no chat %s: %s; check `chat`, and add the bot to it",
                          own->chat, words);
    case ADVICE_TOKEN:
        return host->fail(ctx, &failure, "Telegram does not accept the bot's token: %s; put a valid one into `token`",
                          words);
    case ADVICE_MOVED:
        return host->fail(ctx, &failure, "the group %s has a new number now: %s; put it into `chat`", own->chat, words);
    case ADVICE_TWICE:
        return host->fail(ctx, &failure, "the bot is at work elsewhere: %s; let one server have it, and check `url`",
                          words);
    case ADVICE_SIZE:
        return host->fail(ctx, &failure, "Telegram does not take a clip of this size: %s", words);
    case ADVICE_REMOVED:
        return host->fail(ctx, &failure, "Telegram took the post away at once, for what it says or shows: %s", words);
    default:
        return host->fail(ctx, &failure, "Telegram: %s", words);
    }
}

/* No answer. What was cut off before its end is no post, however it ended. */
static enum cm_verdict fail_unanswered(struct cm_ctx *ctx, const struct reply *reply)
{
    const char *problem = reply->http.problem;
    if (reply->posts && !reply->http.body_cut) {
        return CM_FAIL(ctx, CM_UNSURE, CM_REASON_NETWORK, "the clip was sent to Telegram, and no answer came: %s",
                       problem);
    }
    switch (reply->http.outcome) {
    case CM_HTTP_STOPPED:
        return CM_FAIL(ctx, CM_AGAIN, CM_REASON_STOPPED, "stopped");
    case CM_HTTP_REFUSED:
        return CM_FAIL_FOR(ctx, CM_HOLD, CM_REASON_OPERATOR, CM_SCOPE_INSTANCE, 0, "%s: %s", ctx->instance, problem);
    case CM_HTTP_UNREACHED:
        return CM_FAIL_FOR(ctx, CM_AGAIN, CM_REASON_NETWORK, CM_SCOPE_INSTANCE, 0, "Telegram cannot be reached: %s",
                           problem);
    default:
        return CM_FAIL(ctx, CM_AGAIN, CM_REASON_NETWORK, "the connection to Telegram broke: %s", problem);
    }
}

/* A page of whatever stands before the server. Those of the fours never got further. */
static enum cm_verdict fail_with_page(struct cm_ctx *ctx, const struct reply *reply)
{
    int status = reply->http.status;
    if (status == 408 || status >= 500) {
        return CM_FAIL_FOR(ctx, CM_AGAIN, CM_REASON_UNAVAILABLE, CM_SCOPE_ITEM, reply->retry_after_ms,
                           "Telegram is out of order: status %d", status);
    }
    return CM_FAIL_FOR(ctx, CM_HOLD, CM_REASON_OPERATOR, CM_SCOPE_INSTANCE, 0,
                       "what answers is no Bot API server: status %d; check `url`", status);
}

enum cm_verdict telegram_fail(struct cm_ctx *ctx, const struct reply *reply)
{
    const struct telegram *own = ctx->options;
    const struct meaning *meaning = meaning_of(reply);
    if (!is_sound(own->token)) {
        return CM_FAIL_FOR(ctx, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_INSTANCE, 0,
                           "%s: `token` is no bot's token; one looks like 123456:AbC-dEf", ctx->instance);
    }
    if (reply->http.outcome != CM_HTTP_ANSWERED) {
        return fail_unanswered(ctx, reply);
    }
    int of_any_body = reply->code == 413 || reply->code == 429;
    if (meaning && (reply->is_json || of_any_body)) {
        return fail_by(ctx, reply, meaning);
    }
    int may_be_out = reply->code / 100 != 4 && reply->http.status / 100 != 3;
    if (reply->posts && may_be_out && !reply->http.body_cut) {
        return CM_FAIL(ctx, CM_UNSURE, CM_REASON_UNAVAILABLE,
                       "the clip was sent to Telegram, and the answer tells nothing: %s", said(ctx, reply));
    }
    if (!reply->is_json) {
        return fail_with_page(ctx, reply);
    }
    const struct meaning *rest = reply->code >= 500 ? &in_trouble : reply->code >= 400 ? &refused : &nonsense;
    return fail_by(ctx, reply, rest);
}
