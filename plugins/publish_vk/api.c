/*
 * Asking in time, reading the envelope, and the table of errors.
 *
 * SPDX-License-Identifier: MIT
 */
#include "api.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SHOWN_BYTES 200 /* of a message */
#define CALL_DEADLINE_MS 60000
#define SLICE_US 100000 /* between two looks whether the call should end */
#define SECOND_MS 1000
#define HOUR_MS (60 * 60 * INT64_C(1000))

/* ---- In time ------------------------------------------------------------------------------- */

struct pace {
    int64_t last_us; /* when the last call was over; CLOCK_BOOTTIME */
};

static int64_t now_us(clockid_t clock)
{
    struct timespec now = {0};
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t vk_now_ms(void)
{
    return now_us(CLOCK_REALTIME) / 1000;
}

/* A new process does not know when the one before it called last: so it begins with a pause. */
enum cm_verdict vk_open(struct cm_ctx *ctx)
{
    struct pace *pace = calloc(1, sizeof *pace);
    if (!pace) {
        return CM_FAIL(ctx, CM_AGAIN, CM_REASON_RESOURCE, "out of memory");
    }
    pace->last_us = now_us(CLOCK_BOOTTIME);
    ctx->state = pace;
    return CM_OK;
}

void vk_close(struct cm_ctx *ctx)
{
    free(ctx->state);
}

/* Waits until the next call may be made. 0: the attempt should end instead. */
static int wait_for_turn(struct cm_ctx *ctx)
{
    const struct vk *own = ctx->options;
    struct pace *pace = ctx->state;
    for (;;) {
        int64_t left_us = pace->last_us + own->call_interval_us - now_us(CLOCK_BOOTTIME);
        if (left_us <= 0) {
            return 1;
        }
        if (ctx->host->stopping(ctx)) {
            return 0;
        }
        int64_t pause_us = left_us < SLICE_US ? left_us : SLICE_US;
        nanosleep(&(struct timespec){.tv_nsec = (long)pause_us * 1000}, NULL);
    }
}

/* ---- Asking -------------------------------------------------------------------------------- */

static size_t encode(char *to, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t count = 0;
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if ((*at < 128 && isalnum(*at)) || strchr("-._~", *at)) {
            to[count++] = (char)*at;
            continue;
        }
        to[count++] = '%';
        to[count++] = hex[*at >> 4];
        to[count++] = hex[*at & 15];
    }
    return count;
}

/* "name=value&…", with what each call has. The token stands in the body, never in the address. */
static const char *form(struct cm_ctx *ctx, const struct field *fields)
{
    const struct vk *own = ctx->options;
    const struct field common[] = {{"access_token", own->token}, {"v", own->version}, {NULL, NULL}};
    const struct field *const parts[] = {common, fields};
    size_t room = 1, count = 0;
    for (size_t i = 0; i < 2; i++) {
        for (const struct field *one = parts[i]; one->name; one++) {
            room += one->value ? strlen(one->name) + 3 * strlen(one->value) + 2 : 0;
        }
    }
    char *body = ctx->host->alloc(ctx, room);
    for (size_t i = 0; i < 2; i++) {
        for (const struct field *one = parts[i]; one->name; one++) {
            if (one->value) {
                count += encode(body + count, one->name);
                body[count++] = '=';
                count += encode(body + count, one->value);
                body[count++] = '&';
            }
        }
    }
    body[count ? count - 1 : 0] = '\0';
    return body;
}

static void read_envelope(struct cm_ctx *ctx, struct reply *reply)
{
    const struct cm_host *host = ctx->host;
    const struct cm_json *json = host->json_parse(ctx, reply->http.body, reply->http.body_bytes);
    const struct cm_json *error = host->json_at(ctx, json, "error");
    int64_t code = host->json_int(ctx, host->json_at(ctx, error, "error_code"), 0);
    reply->result = error ? NULL : host->json_at(ctx, json, "response");
    reply->code = code > 0 && code < 100000 ? (int)code : 0;
    reply->message = host->json_string(ctx, host->json_at(ctx, error, "error_msg"), "");
    reply->open = host->json_string(ctx, host->json_at(ctx, error, "redirect_uri"),
                                    host->json_string(ctx, host->json_at(ctx, error, "captcha_img"), ""));
}

int vk_call(struct cm_ctx *ctx, const char *method, const struct field *fields, int posts, struct reply *reply)
{
    const struct vk *own = ctx->options;
    static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded", NULL};
    size_t length = strlen(own->url);
    length -= length > 0 && own->url[length - 1] == '/';
    *reply = (struct reply){.http.size = sizeof reply->http, .message = "", .open = ""};
    if (!wait_for_turn(ctx) || (posts && ctx->host->sending(ctx))) {
        reply->http.outcome = CM_HTTP_STOPPED;
        return 0;
    }
    const char *body = form(ctx, fields);
    struct cm_http_request request = {
        .size = sizeof request,
        .method = "POST",
        .url = ctx->host->format(ctx, "%.*s/%s", (int)length, own->url, method),
        .headers = headers,
        .body = body,
        .body_bytes = strlen(body),
        .deadline_ms = CALL_DEADLINE_MS,
        .allow_private = 1, /* the operator named the server, no stranger */
    };
    reply->posts = posts;
    struct pace *pace = ctx->state;
    enum cm_http_outcome outcome = ctx->host->http(ctx, &request, &reply->http);
    pace->last_us = now_us(CLOCK_BOOTTIME); /* not the beginning: on the way, requests can come closer together */
    if (outcome == CM_HTTP_ANSWERED) {
        read_envelope(ctx, reply);
    }
    return reply->result != NULL;
}

/* ---- What an error means ------------------------------------------------------------------- */

enum advice {
    ADVICE_NONE = 1,
    ADVICE_TOKEN,
    ADVICE_RIGHTS,
    ADVICE_CAPTCHA,
    ADVICE_CONFIRM,
    ADVICE_FLOOD,
    ADVICE_ALLOWANCE,
    ADVICE_VERSION,
    ADVICE_BLOCKED
};

struct meaning {
    int code;
    enum cm_verdict verdict;
    enum cm_reason reason;
    enum cm_scope scope;
    enum advice advice;
    int64_t delay_ms; /* 0: the host chooses */
};

/* By code. None of these has posted, but for the first three when they answer the request that posts. */
static const struct meaning meanings[] = {
    {1, CM_AGAIN, CM_REASON_UNAVAILABLE, CM_SCOPE_ITEM, ADVICE_NONE, 0},
    {10, CM_AGAIN, CM_REASON_UNAVAILABLE, CM_SCOPE_ITEM, ADVICE_NONE, 0},
    {36, CM_AGAIN, CM_REASON_UNAVAILABLE, CM_SCOPE_ITEM, ADVICE_NONE, 0},
    {32, CM_AGAIN, CM_REASON_UNAVAILABLE, CM_SCOPE_ITEM, ADVICE_NONE, 0},
    {43, CM_AGAIN, CM_REASON_UNAVAILABLE, CM_SCOPE_ITEM, ADVICE_NONE, 0},
    {22, CM_AGAIN, CM_REASON_UNAVAILABLE, CM_SCOPE_ITEM, ADVICE_NONE, 0},
    {105, CM_AGAIN, CM_REASON_UNAVAILABLE, CM_SCOPE_ITEM, ADVICE_NONE, 0},
    {6, CM_AGAIN, CM_REASON_RATE, CM_SCOPE_ACCOUNT, ADVICE_NONE, SECOND_MS + SECOND_MS / 5},
    {9, CM_AGAIN, CM_REASON_RATE, CM_SCOPE_ACCOUNT, ADVICE_FLOOD, 0}, /* its delay is an option */
    {29, CM_AGAIN, CM_REASON_RATE, CM_SCOPE_ACCOUNT, ADVICE_FLOOD, 4 * HOUR_MS},
    {103, CM_HOLD, CM_REASON_QUOTA, CM_SCOPE_ITEM, ADVICE_ALLOWANCE, 0},
    {219, CM_HOLD, CM_REASON_QUOTA, CM_SCOPE_ITEM, ADVICE_ALLOWANCE, 0},
    {224, CM_HOLD, CM_REASON_QUOTA, CM_SCOPE_ITEM, ADVICE_ALLOWANCE, 0},
    {4, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_ACCOUNT, ADVICE_TOKEN, 0},
    {5, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_ACCOUNT, ADVICE_TOKEN, 0},
    {27, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_ACCOUNT, ADVICE_TOKEN, 0},
    {28, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_ACCOUNT, ADVICE_TOKEN, 0},
    {3609, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_ACCOUNT, ADVICE_TOKEN, 0},
    {14, CM_HOLD, CM_REASON_OPERATOR, CM_SCOPE_ACCOUNT, ADVICE_CAPTCHA, 0},
    {3300, CM_HOLD, CM_REASON_OPERATOR, CM_SCOPE_ACCOUNT, ADVICE_CAPTCHA, 0},
    {17, CM_HOLD, CM_REASON_OPERATOR, CM_SCOPE_ACCOUNT, ADVICE_CONFIRM, 0},
    {24, CM_HOLD, CM_REASON_OPERATOR, CM_SCOPE_ACCOUNT, ADVICE_CONFIRM, 0},
    {25, CM_HOLD, CM_REASON_OPERATOR, CM_SCOPE_ACCOUNT, ADVICE_CONFIRM, 0},
    {3301, CM_HOLD, CM_REASON_OPERATOR, CM_SCOPE_ACCOUNT, ADVICE_CONFIRM, 0},
    {3302, CM_HOLD, CM_REASON_OPERATOR, CM_SCOPE_ACCOUNT, ADVICE_CONFIRM, 0},
    {3303, CM_HOLD, CM_REASON_OPERATOR, CM_SCOPE_ACCOUNT, ADVICE_CONFIRM, 0},
    {3304, CM_HOLD, CM_REASON_OPERATOR, CM_SCOPE_ACCOUNT, ADVICE_CONFIRM, 0},
    {7, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_INSTANCE, ADVICE_RIGHTS, 0},
    {15, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_INSTANCE, ADVICE_RIGHTS, 0},
    {20, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_INSTANCE, ADVICE_RIGHTS, 0},
    {21, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_INSTANCE, ADVICE_RIGHTS, 0},
    {23, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_INSTANCE, ADVICE_RIGHTS, 0},
    {200, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_INSTANCE, ADVICE_RIGHTS, 0},
    {203, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_INSTANCE, ADVICE_RIGHTS, 0},
    {204, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_INSTANCE, ADVICE_RIGHTS, 0},
    {214, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_INSTANCE, ADVICE_RIGHTS, 0},
    {600, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_INSTANCE, ADVICE_RIGHTS, 0},
    {18, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_ACCOUNT, ADVICE_BLOCKED, 0},
    {37, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_ACCOUNT, ADVICE_BLOCKED, 0},
    {3610, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_ACCOUNT, ADVICE_BLOCKED, 0},
    {19, CM_CANNOT, CM_REASON_CONTENT, CM_SCOPE_ITEM, ADVICE_NONE, 0},
    {222, CM_CANNOT, CM_REASON_CONTENT, CM_SCOPE_ITEM, ADVICE_NONE, 0},
    {34, CM_HOLD, CM_REASON_OPERATOR, CM_SCOPE_INSTANCE, ADVICE_VERSION, 0},
    {35, CM_HOLD, CM_REASON_OPERATOR, CM_SCOPE_INSTANCE, ADVICE_VERSION, 0},
};

/* 3, 8, 100, 113, 125 and whatever else there will be. */
static const struct meaning refused = {0, CM_CANNOT, CM_REASON_INPUT, CM_SCOPE_ITEM, ADVICE_NONE, 0};

static const struct meaning *meaning_of(int code)
{
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
        if (meanings[i].code == code) {
            return &meanings[i];
        }
    }
    return &refused;
}

/* VK itself does not know how these ended. */
static int tells_nothing(int code)
{
    return code == 1 || code == 10 || code == 36;
}

/* ---- Failing ------------------------------------------------------------------------------- */

static enum cm_verdict fail_by(struct cm_ctx *ctx, const struct reply *reply, const struct meaning *meaning)
{
    const struct cm_host *host = ctx->host;
    const struct vk *own = ctx->options;
    const char *words = host->format(ctx, "%.*s (%d)", SHOWN_BYTES, reply->message, reply->code);
    const struct cm_failure failure = CM_FAILURE(meaning->verdict, meaning->reason, meaning->scope,
                                                 reply->code == 9 ? own->flood_ms : meaning->delay_ms);
    switch (meaning->advice) {
    case ADVICE_TOKEN:
        return host->fail(ctx, &failure,
                          "VK does not accept the token: %s; get a new one, put it into `token`, reload, then retry",
                          words);
    case ADVICE_RIGHTS:
        return host->fail(
            ctx, &failure,
            "VK does not let this token do that: %s; its user must be an editor of the community, and the "
            "token must have the rights video and wall",
            words);
    case ADVICE_CAPTCHA:
        return host->fail(
            ctx, &failure,
            "VK asks for a captcha: %s; sign in to vk.com as the token's user, solve it there (%s), then retry", words,
            reply->open);
    case ADVICE_CONFIRM:
        return host->fail(
            ctx, &failure,
            "VK wants a confirmation: %s; sign in to vk.com as the token's user, confirm there (%s), then retry", words,
            reply->open);
    case ADVICE_FLOOD:
        return host->fail(ctx, &failure, "VK says that this account does too much: %s; it rests for a while", words);
    case ADVICE_ALLOWANCE:
        return host->fail(ctx, &failure, "an allowance of VK is used up: %s; retry tomorrow", words);
    case ADVICE_VERSION:
        return host->fail(ctx, &failure, "VK does not speak version %s of its API any more: %s; change `v`",
                          own->version, words);
    case ADVICE_BLOCKED:
        return host->fail(ctx, &failure, "VK has blocked the token's user: %s; sign in to vk.com as that user", words);
    default:
        return host->fail(ctx, &failure, "VK: %s", words);
    }
}

/* No answer. */
static enum cm_verdict fail_unanswered(struct cm_ctx *ctx, const struct reply *reply)
{
    const char *problem = reply->http.problem;
    int is_out = reply->http.outcome == CM_HTTP_BROKEN || reply->http.outcome == CM_HTTP_STOPPED;
    if (reply->posts && is_out && !reply->http.body_cut) {
        return CM_FAIL(ctx, CM_UNSURE, CM_REASON_NETWORK, "VK was told to post, and no answer came: %s",
                       problem ? problem : "");
    }
    switch (reply->http.outcome) {
    case CM_HTTP_STOPPED:
        return CM_FAIL(ctx, CM_AGAIN, CM_REASON_STOPPED, "stopped");
    case CM_HTTP_REFUSED:
        return CM_FAIL_FOR(ctx, CM_HOLD, CM_REASON_OPERATOR, CM_SCOPE_INSTANCE, 0, "%s: %s", ctx->instance, problem);
    case CM_HTTP_UNREACHED:
        return CM_FAIL_FOR(ctx, CM_AGAIN, CM_REASON_NETWORK, CM_SCOPE_INSTANCE, 0, "VK cannot be reached: %s", problem);
    default:
        return CM_FAIL(ctx, CM_AGAIN, CM_REASON_NETWORK, "the connection to VK broke: %s", problem);
    }
}

/* A body that is not the API's: a gateway's page, an answer cut short. */
static enum cm_verdict fail_with_page(struct cm_ctx *ctx, const struct reply *reply)
{
    int status = reply->http.status;
    int64_t delay_ms = reply->http.retry_after_ms > 0 ? reply->http.retry_after_ms : 0;
    if (status == 429) {
        return CM_FAIL_FOR(ctx, CM_AGAIN, CM_REASON_RATE, CM_SCOPE_ACCOUNT, delay_ms, "VK: status %d", status);
    }
    if (reply->posts && (status == 408 || (status / 100 != 4 && status / 100 != 3))) {
        return CM_FAIL(ctx, CM_UNSURE, CM_REASON_UNAVAILABLE,
                       "VK was told to post, and the answer tells nothing: status %d", status);
    }
    if (status == 408 || status >= 500 || status / 100 == 2) {
        return CM_FAIL_FOR(ctx, CM_AGAIN, CM_REASON_UNAVAILABLE, CM_SCOPE_ITEM, delay_ms,
                           "VK is out of order: status %d, and no answer of its API", status);
    }
    return CM_FAIL_FOR(ctx, CM_HOLD, CM_REASON_OPERATOR, CM_SCOPE_INSTANCE, 0,
                       "what answers is not VK's API: status %d; check `url`", status);
}

enum cm_verdict vk_fail(struct cm_ctx *ctx, const struct reply *reply)
{
    if (reply->http.outcome != CM_HTTP_ANSWERED) {
        return fail_unanswered(ctx, reply);
    }
    if (reply->code == 0) {
        return fail_with_page(ctx, reply);
    }
    if (reply->posts && tells_nothing(reply->code)) {
        return CM_FAIL(ctx, CM_UNSURE, CM_REASON_UNAVAILABLE,
                       "VK was told to post, and does not know how that ended: %.*s (%d)", SHOWN_BYTES, reply->message,
                       reply->code);
    }
    return fail_by(ctx, reply, meaning_of(reply->code));
}
