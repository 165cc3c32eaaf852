/*
 * A plugin to start from: publishes clips to an imaginary platform with an HTTP API. Copy the
 * folder, rename it, and change what the platform does otherwise. Everything that a plugin may use
 * is in <clipmaker/plugin.h>; how to try it is in docs/plugin-try.md.
 *
 * SPDX-License-Identifier: MIT
 */
#include <clipmaker/plugin.h>

#include <stddef.h>
#include <string.h>

/* 1. What the operator can set. The host parses, checks, fills and explains these; the compiler
 *    checks that each field has the type of its option. */
struct options {
    const char *url;
    const char *token;
    const char *channel;
    int64_t deadline_ms;
    int allow_private;
};

static const struct cm_option options[] = {
    CM_OPT_URL(struct options, url, "url", CM_OPTION_REQUIRED, NULL, "where the API of the platform is"),
    CM_OPT_SECRET(struct options, token, "token", CM_OPTION_REQUIRED, "the API token"),
    CM_OPT_STRING(struct options, channel, "channel", "main", "the channel to post into"),
    CM_OPT_TIME(struct options, deadline_ms, "deadline", "10m", 1000, 7200000, "how long one upload may take"),
    CM_OPT_BOOL(struct options, allow_private, "allow_private", "no", "the platform is on a private address"),
    CM_OPT_END,
};

/* 2. What may go wrong, in six words. This is the heart of a plugin: the host retries, waits, falls
 *    back or asks a person according to it, so say exactly what you know. */
static enum cm_verdict fail(struct cm_ctx *ctx, enum cm_verdict verdict, enum cm_reason reason, enum cm_scope scope,
                            int64_t delay_ms, const char *what)
{
    struct cm_failure failure = {
        .size = sizeof failure, .verdict = verdict, .reason = reason, .scope = scope, .delay_ms = delay_ms};
    return ctx->host->fail(ctx, &failure, "the platform: %s", what);
}

/* `sent` is true when the request was one that can post: then no answer means that nobody knows. */
static enum cm_verdict explain(struct cm_ctx *ctx, const struct cm_http_answer *answer, int sent)
{
    switch (answer->outcome) {
    case CM_HTTP_ANSWERED:
        break;
    case CM_HTTP_STOPPED:
        return fail(ctx, sent ? CM_UNSURE : CM_AGAIN, CM_REASON_STOPPED, CM_SCOPE_ITEM, 0, answer->problem);
    case CM_HTTP_UNREACHED: /* surely nothing was posted */
        return fail(ctx, CM_AGAIN, CM_REASON_NETWORK, CM_SCOPE_INSTANCE, 0, answer->problem);
    case CM_HTTP_REFUSED:
        return fail(ctx, sent ? CM_UNSURE : CM_CANNOT, CM_REASON_POLICY, CM_SCOPE_INSTANCE, 0, answer->problem);
    default:
        return fail(ctx, sent ? CM_UNSURE : CM_AGAIN, CM_REASON_NETWORK, CM_SCOPE_ITEM, 0, answer->problem);
    }
    const char *words = ctx->host->format(ctx, "it answered with status %d", answer->status);
    int64_t delay_ms = answer->retry_after_ms > 0 ? answer->retry_after_ms : 0;
    if (answer->status == 429) {
        return fail(ctx, CM_AGAIN, CM_REASON_RATE, CM_SCOPE_INSTANCE, delay_ms, words);
    }
    if (answer->status == 401 || answer->status == 403) {
        return fail(ctx, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_INSTANCE, 0, "it does not accept the token: set a new one");
    }
    if (answer->status >= 500) { /* some platforms post, and then fail to say so */
        return fail(ctx, sent ? CM_UNSURE : CM_AGAIN, CM_REASON_UNAVAILABLE, CM_SCOPE_INSTANCE, delay_ms, words);
    }
    return fail(ctx, CM_REJECT, CM_REASON_INPUT, CM_SCOPE_ITEM, 0, words);
}

/* 3. One request, the same way for all of them. */
static enum cm_http_outcome ask(struct cm_ctx *ctx, const char *path, const struct cm_http_part *parts,
                                struct cm_http_answer *answer)
{
    const struct options *own = ctx->options;
    const char *const headers[] = {ctx->host->format(ctx, "Authorization: Bearer %s", own->token), NULL};
    struct cm_http_request request = {
        .size = sizeof request,
        .url = ctx->host->format(ctx, "%s%s", own->url, path),
        .headers = headers,
        .parts = parts,
        .deadline_ms = own->deadline_ms,
        .allow_private = own->allow_private,
    };
    return ctx->host->http(ctx, &request, answer);
}

/* {"id":"…","url":"…"} → the post. 0 when the answer has no id. */
static int read_post(struct cm_ctx *ctx, const struct cm_http_answer *answer, struct cm_post *post)
{
    const struct cm_host *host = ctx->host;
    const struct cm_json *json = host->json_parse(ctx, answer->body, answer->body_bytes);
    const char *id = host->json_string(ctx, host->json_at(ctx, json, "id"), "");
    if (!*id) {
        return 0;
    }
    post->id = id;
    post->url = host->json_string(ctx, host->json_at(ctx, json, "url"), "");
    return 1;
}

/* 4. The operations. publish: first what may be repeated without harm (the upload), then sending(),
 *    then the one request that posts. What the upload gave is saved: a later attempt need not send
 *    the whole clip again. */
static enum cm_verdict upload(struct cm_ctx *ctx, const struct cm_publish_request *request, const char **upload_id)
{
    struct cm_http_answer answer = {.size = sizeof answer};
    struct cm_http_part clip = {
        .size = sizeof clip, .name = "clip", .path = request->clip_path, .content_type = "video/mp4"};
    const char *saved = ctx->host->saved(ctx, "upload");
    if (saved) {
        *upload_id = saved;
        return CM_OK;
    }
    struct cm_post uploaded = {.size = sizeof uploaded};
    if (ask(ctx, "/uploads", &clip, &answer) != CM_HTTP_ANSWERED || answer.status / 100 != 2) {
        return explain(ctx, &answer, 0);
    }
    if (!read_post(ctx, &answer, &uploaded)) {
        return fail(ctx, CM_CANNOT, CM_REASON_MALFORMED, CM_SCOPE_ITEM, 0, "it took the clip and gave no id");
    }
    *upload_id = uploaded.id;
    if (ctx->host->save(ctx, "upload", uploaded.id)) {
        return fail(ctx, CM_AGAIN, CM_REASON_STOPPED, CM_SCOPE_ITEM, 0, "not wanted any more");
    }
    return CM_OK;
}

static enum cm_verdict publish(struct cm_ctx *ctx, const struct cm_publish_request *request, struct cm_post *post)
{
    const struct options *own = ctx->options;
    const char *upload_id = "";
    enum cm_verdict verdict = upload(ctx, request, &upload_id);
    if (verdict != CM_OK) {
        return verdict;
    }
    struct cm_http_part key = {.size = sizeof key, .name = "key", .text = request->key};
    struct cm_http_part text = {.size = sizeof text, .name = "text", .text = request->text, .next = &key};
    struct cm_http_part title = {.size = sizeof title, .name = "title", .text = request->title, .next = &text};
    struct cm_http_part channel = {.size = sizeof channel, .name = "channel", .text = own->channel, .next = &title};
    struct cm_http_part clip = {.size = sizeof clip, .name = "upload", .text = upload_id, .next = &channel};
    struct cm_http_answer answer = {.size = sizeof answer};
    if (ctx->host->sending(ctx)) { /* from here on it may be out */
        return fail(ctx, CM_AGAIN, CM_REASON_STOPPED, CM_SCOPE_ITEM, 0, "not wanted any more");
    }
    if (ask(ctx, "/posts", &clip, &answer) != CM_HTTP_ANSWERED || answer.status / 100 != 2) {
        return explain(ctx, &answer, 1);
    }
    if (!read_post(ctx, &answer, post)) {
        return fail(ctx, CM_UNSURE, CM_REASON_MALFORMED, CM_SCOPE_ITEM, 0, "it said yes and gave no id");
    }
    return CM_OK;
}

/* find: is there a post under this key? The host asks after an unknown outcome. */
static enum cm_verdict find(struct cm_ctx *ctx, const struct cm_publish_request *request, enum cm_found *found,
                            struct cm_post *post)
{
    struct cm_http_answer answer = {.size = sizeof answer};
    if (ask(ctx, ctx->host->format(ctx, "/posts/by-key/%s", request->key), NULL, &answer) != CM_HTTP_ANSWERED) {
        return explain(ctx, &answer, 0);
    }
    if (answer.status == 404) {
        *found = CM_ABSENT;
        return CM_OK;
    }
    if (answer.status != 200) {
        return explain(ctx, &answer, 0);
    }
    *found = read_post(ctx, &answer, post) ? CM_FOUND : CM_UNKNOWN;
    return CM_OK;
}

/* 5. What the plugin can do, and its name: the file must be called template.so. */
static const struct cm_publish_ops ops = {
    .size = sizeof ops,
    .settle = CM_SETTLE_SEARCH,
    .settle_ms = 60000, /* a post may take this long to be found */
    .max_clip_bytes = 2147483648,
    .max_clip_ms = 600000,
    .max_text_chars = 2000,
    .publish = publish,
    .find = find,
};

CM_PLUGIN(CM_STAGE_PUBLISH, "template", "1.0", "A plugin to start from: an imaginary platform", options, struct options,
          ops);
