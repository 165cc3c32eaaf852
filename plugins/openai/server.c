/*
 * One exchange with a server that speaks OpenAI's protocol, and what its errors mean. The code in
 * the body decides; the status counts only where the body has none that is known.
 *
 * SPDX-License-Identifier: MIT
 */
#include "server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKENS_MAX INT64_C(1000000000000)
#define HEADERS_MAX 16
#define MESSAGE_SHOWN 300 /* bytes of what the server says that people get to see */

/* ---- Sending ------------------------------------------------------------------------------- */

/* The operator's lines, one a header, behind ours; at most HEADERS_MAX with the NULL. */
static void add_lines(struct cm_ctx *ctx, const char *lines, const char **headers, size_t count)
{
    char *rest = ctx->host->format(ctx, "%s", lines);
    for (char *line = strsep(&rest, "\r\n"); line && count < HEADERS_MAX - 1; line = strsep(&rest, "\r\n")) {
        if (strchr(line, ':')) {
            headers[count++] = line;
        }
    }
    headers[count] = NULL;
}

/* A code is a text at most servers, a number at some. */
static const char *code_of(struct cm_ctx *ctx, const struct cm_json *value)
{
    const struct cm_host *host = ctx->host;
    int64_t number = host->json_int(ctx, value, 0);
    return number >= 1 && number < 1000000 ? host->format(ctx, "%d", (int)number) : host->json_string(ctx, value, "");
}

static struct openai_error error_of(struct cm_ctx *ctx, const struct cm_json *json)
{
    const struct cm_host *host = ctx->host;
    const struct cm_json *error = host->json_at(ctx, json, "error");
    /* vLLM tells {"object":"error","message":…} without the envelope, some gateways {"error":"text"}. */
    const char *object = host->json_string(ctx, host->json_at(ctx, json, "object"), "");
    const struct cm_json *inside = strcmp(object, "error") == 0 ? json : error;
    const char *text = host->json_string(ctx, error, "");
    return (struct openai_error){
        .code = code_of(ctx, host->json_at(ctx, inside, "code")),
        .type = host->json_string(ctx, host->json_at(ctx, inside, "type"), ""),
        .param = host->json_string(ctx, host->json_at(ctx, inside, "param"), ""),
        .message = host->json_string(ctx, host->json_at(ctx, inside, "message"), text),
    };
}

static int is_told(const struct openai_error *error)
{
    return *error->code || *error->type || *error->message;
}

/* An error inside a 200, or no JSON at all: costs nothing, as far as one can know, and is not kept as the answer. */
static void drop_answer(struct cm_ctx *ctx, const struct cm_http_request *request)
{
    const struct cm_spending nothing = {.size = sizeof nothing, .model = request->paid->model, .useless = 1};
    ctx->host->spent(ctx, &nothing);
}

int openai_send(struct cm_ctx *ctx, const struct openai_server *server, const char *path,
                struct cm_http_request *request, struct openai_reply *reply)
{
    const struct cm_host *host = ctx->host;
    const char *headers[HEADERS_MAX] = {"Accept: application/json"};
    size_t count = 1, length = strlen(server->url);
    if (*server->key) {
        headers[count++] = host->format(ctx, "Authorization: Bearer %s", server->key);
    }
    if (request->body) {
        headers[count++] = "Content-Type: application/json";
    }
    add_lines(ctx, server->headers, headers, count);
    length -= length > 0 && server->url[length - 1] == '/';
    request->size = sizeof *request;
    request->url = host->format(ctx, "%.*s%s", (int)length, server->url, path);
    request->headers = headers;
    request->deadline_ms = server->deadline_ms;
    request->stall_ms = server->deadline_ms; /* a model that thinks sends nothing for minutes */
    request->allow_private = 1;              /* the operator named the server, no stranger */
    *reply = (struct openai_reply){.http.size = sizeof reply->http, .forbidden_is_key = server->forbidden_is_key};
    host->http(ctx, request, &reply->http);
    if (reply->http.outcome == CM_HTTP_ANSWERED) {
        reply->json = host->json_parse(ctx, reply->http.body, reply->http.body_bytes);
    }
    reply->error = error_of(ctx, reply->json);
    int is_good = reply->http.outcome == CM_HTTP_ANSWERED && reply->http.status / 100 == 2;
    int is_answer = is_good && reply->json && !is_told(&reply->error);
    if (is_good && !is_answer && request->paid) {
        drop_answer(ctx, request);
    }
    return is_answer;
}

int64_t openai_tokens(struct cm_ctx *ctx, const struct cm_json *json, const char *path, int64_t untold)
{
    int64_t count = ctx->host->json_int(ctx, ctx->host->json_at(ctx, json, path), untold);
    return count >= 0 && count < TOKENS_MAX ? count : untold;
}

/* ---- What an error means ------------------------------------------------------------------- */

struct meaning {
    const char *name; /* of the body's code or type; NULL in the table of statuses */
    int status;
    enum cm_verdict verdict;
    enum cm_reason reason;
    enum cm_scope scope;
};

/* By the code in the body, then by its type. "server_error" is none of them: OpenAI says so of a 413, too. */
static const struct meaning by_name[] = {
    {"insufficient_quota", 0, CM_CANNOT, CM_REASON_QUOTA, CM_SCOPE_KEY},
    {"credit_balance_exhausted", 0, CM_CANNOT, CM_REASON_QUOTA, CM_SCOPE_KEY},
    {"billing_hard_limit_reached", 0, CM_CANNOT, CM_REASON_QUOTA, CM_SCOPE_KEY},
    {"rate_limit_exceeded", 0, CM_AGAIN, CM_REASON_RATE, CM_SCOPE_INSTANCE},
    {"slow_down", 0, CM_AGAIN, CM_REASON_RATE, CM_SCOPE_INSTANCE},
    {"invalid_api_key", 0, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_INSTANCE},
    {"account_deactivated", 0, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_INSTANCE},
    {"unsupported_country_region_territory", 0, CM_CANNOT, CM_REASON_POLICY, CM_SCOPE_INSTANCE},
    {"model_not_found", 0, CM_CANNOT, CM_REASON_UNSUPPORTED, CM_SCOPE_INSTANCE},
    {"context_length_exceeded", 0, CM_CANNOT, CM_REASON_TOO_LARGE, CM_SCOPE_ITEM},
    {"string_above_max_length", 0, CM_CANNOT, CM_REASON_TOO_LARGE, CM_SCOPE_ITEM},
    {"content_policy_violation", 0, CM_CANNOT, CM_REASON_CONTENT, CM_SCOPE_ITEM},
    {"content_filter", 0, CM_CANNOT, CM_REASON_CONTENT, CM_SCOPE_ITEM},
    {"moderation_blocked", 0, CM_CANNOT, CM_REASON_CONTENT, CM_SCOPE_ITEM},
    {"server_is_overloaded", 0, CM_AGAIN, CM_REASON_UNAVAILABLE, CM_SCOPE_INSTANCE},
    {"tokens", 429, CM_AGAIN, CM_REASON_RATE, CM_SCOPE_INSTANCE},
    {"requests", 429, CM_AGAIN, CM_REASON_RATE, CM_SCOPE_INSTANCE},
};

static const struct meaning by_status[] = {
    {NULL, 401, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_INSTANCE},
    {NULL, 402, CM_CANNOT, CM_REASON_QUOTA, CM_SCOPE_KEY},
    {NULL, 403, CM_CANNOT, CM_REASON_POLICY, CM_SCOPE_INSTANCE},
    {NULL, 404, CM_CANNOT, CM_REASON_UNSUPPORTED, CM_SCOPE_INSTANCE},
    {NULL, 408, CM_AGAIN, CM_REASON_UNAVAILABLE, CM_SCOPE_ITEM},
    {NULL, 409, CM_AGAIN, CM_REASON_UNAVAILABLE, CM_SCOPE_ITEM},
    {NULL, 413, CM_CANNOT, CM_REASON_TOO_LARGE, CM_SCOPE_ITEM},
    {NULL, 429, CM_AGAIN, CM_REASON_RATE, CM_SCOPE_INSTANCE},
};

/* Where a 403 is about the key, not about the country. */
static const struct meaning forbidden_key = {NULL, 403, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_INSTANCE};
static const struct meaning refused = {NULL, 0, CM_CANNOT, CM_REASON_INPUT, CM_SCOPE_ITEM};
static const struct meaning in_trouble = {NULL, 0, CM_AGAIN, CM_REASON_UNAVAILABLE, CM_SCOPE_ITEM};
static const struct meaning nonsense = {NULL, 0, CM_CANNOT, CM_REASON_MALFORMED, CM_SCOPE_ITEM};

static const struct meaning *meaning_of_name(const char *name, int status)
{
    for (size_t i = 0; i < sizeof by_name / sizeof *by_name; i++) {
        int fits = by_name[i].status == 0 || by_name[i].status == status;
        if (fits && strcmp(by_name[i].name, name) == 0) {
            return &by_name[i];
        }
    }
    return NULL;
}

/* The status that counts: an error inside a 200 brings its own, as a number in `code`, or none. */
static int status_of(const struct openai_reply *reply)
{
    int inside = atoi(reply->error.code);
    return reply->http.status / 100 == 2 && inside >= 400 ? inside : (int)reply->http.status;
}

static const struct meaning *meaning_of_status(struct cm_ctx *ctx, const struct openai_reply *reply)
{
    int status = status_of(reply);
    const char *retry = ctx->host->http_header(ctx, "x-should-retry");
    if (status == 403 && reply->forbidden_is_key) {
        return &forbidden_key;
    }
    for (size_t i = 0; i < sizeof by_status / sizeof *by_status; i++) {
        if (by_status[i].status == status) {
            return &by_status[i];
        }
    }
    if (retry && strcmp(retry, "true") == 0) {
        return &in_trouble;
    }
    if (retry && strcmp(retry, "false") == 0) {
        return &refused;
    }
    if (status / 100 == 2) {
        return is_told(&reply->error) ? &in_trouble : &nonsense;
    }
    return status >= 500 ? &in_trouble : &refused;
}

static const struct meaning *meaning_of(struct cm_ctx *ctx, const struct openai_reply *reply)
{
    int status = status_of(reply);
    const struct meaning *meaning = meaning_of_name(reply->error.code, status);
    meaning = meaning ? meaning : meaning_of_name(reply->error.type, status);
    return meaning ? meaning : meaning_of_status(ctx, reply);
}

/* ---- How long to wait ---------------------------------------------------------------------- */

/* "1m30.5s", "120ms": how the reset headers are written; 0 when it is something else. */
static int64_t reset_ms(const char *text)
{
    static const struct {
        const char *name;
        double ms;
    } units[] = {{"ms", 1}, {"h", 3600e3}, {"m", 60e3}, {"s", 1e3}};
    double total = 0;
    while (text && *text) {
        char *end = NULL;
        double number = strtod(text, &end);
        size_t unit = 0, count = sizeof units / sizeof *units;
        while (unit < count && strncmp(end, units[unit].name, strlen(units[unit].name)) != 0) {
            unit++;
        }
        if (end == text || unit == count || !(number >= 0 && number < 1e6)) {
            return 0;
        }
        total += number * units[unit].ms;
        text = end + strlen(units[unit].name);
    }
    return total < 86400e3 ? (int64_t)total : 86400000;
}

/* The header's time, when what it counts is used up. */
static int64_t used_up_ms(struct cm_ctx *ctx, const char *remaining, const char *reset)
{
    const char *left = ctx->host->http_header(ctx, remaining);
    return left && strcmp(left, "0") == 0 ? reset_ms(ctx->host->http_header(ctx, reset)) : 0;
}

/* As the server asks; 0: it does not say. */
static int64_t delay_ms(struct cm_ctx *ctx, const struct openai_reply *reply)
{
    const char *exact = ctx->host->http_header(ctx, "retry-after-ms");
    char *end = NULL;
    double ms = exact ? strtod(exact, &end) : 0;
    if (exact && end != exact && *end == '\0' && ms > 0 && ms <= 86400e3) {
        return (int64_t)ms;
    }
    if (reply->http.retry_after_ms > 0) {
        return reply->http.retry_after_ms;
    }
    int64_t requests_ms = used_up_ms(ctx, "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests");
    int64_t tokens_ms = used_up_ms(ctx, "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens");
    return requests_ms > tokens_ms ? requests_ms : tokens_ms;
}

/* ---- Failing ------------------------------------------------------------------------------- */

static enum cm_verdict fail_unanswered(struct cm_ctx *ctx, const struct cm_http_answer *answer)
{
    switch (answer->outcome) {
    case CM_HTTP_STOPPED:
        return CM_FAIL(ctx, CM_AGAIN, CM_REASON_STOPPED, "stopped");
    case CM_HTTP_REFUSED:
        return CM_FAIL(ctx, CM_CANNOT, CM_REASON_MALFORMED, "%s: %s", ctx->instance, answer->problem);
    case CM_HTTP_UNREACHED:
        return CM_FAIL_FOR(ctx, CM_AGAIN, CM_REASON_NETWORK, CM_SCOPE_INSTANCE, 0, "%s cannot be reached: %s",
                           ctx->instance, answer->problem);
    default:
        return CM_FAIL(ctx, CM_AGAIN, CM_REASON_NETWORK, "%s gave no complete answer: %s", ctx->instance,
                       answer->problem);
    }
}

/* One line of what the server said. */
static const char *said(struct cm_ctx *ctx, const struct openai_reply *reply)
{
    if (*reply->error.message == '\0') {
        return ctx->host->format(ctx, "status %d", (int)reply->http.status);
    }
    char *text = ctx->host->format(ctx, "%.*s", MESSAGE_SHOWN, reply->error.message);
    for (char *c = text; *c; c++) {
        *c = (unsigned char)*c < ' ' ? ' ' : *c;
    }
    return text;
}

enum cm_verdict openai_fail(struct cm_ctx *ctx, const struct openai_reply *reply)
{
    if (reply->http.outcome != CM_HTTP_ANSWERED) {
        return fail_unanswered(ctx, &reply->http);
    }
    const struct meaning *meaning = meaning_of(ctx, reply);
    const char *words = said(ctx, reply);
    int64_t wait_ms = meaning->verdict == CM_AGAIN ? delay_ms(ctx, reply) : 0;
    const struct cm_failure failure = CM_FAILURE(meaning->verdict, meaning->reason, meaning->scope, wait_ms);
    switch (meaning->reason) {
    case CM_REASON_AUTH:
        return ctx->host->fail(ctx, &failure, "%s does not accept the key: %s; put a valid one into `key`",
                               ctx->instance, words);
    case CM_REASON_QUOTA:
        return ctx->host->fail(ctx, &failure, "%s: the money or the allowance of this key is used up: %s",
                               ctx->instance, words);
    case CM_REASON_RATE:
        return ctx->host->fail(ctx, &failure, "%s asks to come more slowly: %s", ctx->instance, words);
    case CM_REASON_MALFORMED:
        return ctx->host->fail(ctx, &failure, "%s answered something that is no JSON; check `url`", ctx->instance);
    case CM_REASON_UNSUPPORTED:
        return ctx->host->fail(ctx, &failure, "%s: no such model or address: %s; check `model` and `url`",
                               ctx->instance, words);
    case CM_REASON_CONTENT:
        return ctx->host->fail(ctx, &failure, "%s refuses this content: %s", ctx->instance, words);
    default:
        return ctx->host->fail(ctx, &failure, "%s: %s", ctx->instance, words);
    }
}

/* ---- What is remembered -------------------------------------------------------------------- */

/* FNV-1a: names are short, and addresses are not. */
static uint64_t hash_of(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *text; text++) {
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    }
    return hash;
}

const char *openai_memory_name(struct cm_ctx *ctx, const struct openai_server *server, const char *what,
                               const char *model)
{
    const char *whole = ctx->host->format(ctx, "%s %s", server->url, model);
    return ctx->host->format(ctx, "%s %.32s %016llx", what, model, (unsigned long long)hash_of(whole));
}

/* ---- Models -------------------------------------------------------------------------------- */

enum cm_verdict openai_models(struct cm_ctx *ctx, const struct openai_server *server)
{
    const struct cm_host *host = ctx->host;
    struct cm_http_request request = {0};
    struct openai_reply reply;
    if (!openai_send(ctx, server, "/models", &request, &reply)) {
        return openai_fail(ctx, &reply);
    }
    const struct cm_json *data = host->json_at(ctx, reply.json, "data");
    const char *names = "";
    for (size_t i = 0; i < host->json_count(ctx, data); i++) {
        const char *id = host->json_string(ctx, host->json_at(ctx, data, host->format(ctx, "%zu.id", i)), NULL);
        if (id) {
            names = host->format(ctx, "%s%s%s", names, *names ? "," : "", host->json_quote(ctx, id));
        }
    }
    host->emit_fact(ctx, "models", host->format(ctx, "[%s]", names));
    return CM_OK;
}
