/*
 * A place, the upload, the wait.
 *
 * Saved with the task: "video" (OWNER_ID_KEY), "upload" (the address), "sent" (when the upload began, UTC ms),
 * "uploaded" (when it was done, UTC ms). An empty text is none.
 *
 * SPDX-License-Identifier: MIT
 */
#include "video.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UPLOAD_MAX_BYTES 4096 /* what host->save() takes */
#define ACCESS_KEY_MAX_BYTES 256
#define POLL_MIN_MS 5000
#define POLL_MAX_MS 60000
#define DOUBT_MS 120000 /* so long after an upload in doubt, a video that VK does not show is not there */

/* ---- Names --------------------------------------------------------------------------------- */

int video_read(struct cm_ctx *ctx, const char *text, struct video *video)
{
    char *end = NULL;
    *video = (struct video){.access_key = ""};
    video->owner = strtoll(text ? text : "", &end, 10);
    if (video->owner == 0 || *end != '_') {
        return 0;
    }
    video->id = strtoll(end + 1, &end, 10);
    if (*end == '_') {
        video->access_key = ctx->host->format(ctx, "%s", end + 1);
        return video->id > 0;
    }
    return video->id > 0 && *end == '\0';
}

const char *video_name(struct cm_ctx *ctx, const struct video *video, int with_key)
{
    int has_key = with_key && *video->access_key;
    return ctx->host->format(ctx, "%lld_%lld%s%s", video->owner, video->id, has_key ? "_" : "",
                             has_key ? video->access_key : "");
}

const char *video_owner_text(struct cm_ctx *ctx)
{
    const struct video_options *own = ctx->options;
    return own->group > 0 ? ctx->host->format(ctx, "-%lld", (long long)own->group) : NULL;
}

const char *video_cut(struct cm_ctx *ctx, const char *text, size_t most)
{
    size_t count = 0, end = 0, space = 0;
    for (size_t at = 0; text[at]; at++) {
        if (((unsigned char)text[at] & 0xc0) != 0x80 && count++ == most - 1) {
            end = at; /* room for the ellipsis */
        }
        if (!end && text[at] == ' ') {
            space = at;
        }
    }
    if (count <= most) {
        return text;
    }
    return ctx->host->format(ctx, "%.*s…", (int)(space > end / 2 ? space : end), text);
}

static const char *saved(struct cm_ctx *ctx, const char *name)
{
    const char *text = ctx->host->saved(ctx, name);
    return text ? text : "";
}

static enum cm_verdict stopped(struct cm_ctx *ctx)
{
    return CM_FAIL(ctx, CM_AGAIN, CM_REASON_STOPPED, "stopped");
}

/* ---- A place ------------------------------------------------------------------------------- */

static const char *flag(int is_set)
{
    return is_set ? "1" : "0";
}

static int keep_place(struct cm_ctx *ctx, const struct video *video, const char *upload)
{
    const struct cm_host *host = ctx->host;
    return host->save(ctx, "sent", "") == 0 && host->save(ctx, "uploaded", "") == 0 &&
           host->save(ctx, "upload", upload) == 0 && host->save(ctx, "video", video_name(ctx, video, 1)) == 0;
}

/* A later attempt needs all of it. */
static int can_be_kept(const char *upload, const struct video *video)
{
    return *upload && strlen(upload) <= UPLOAD_MAX_BYTES && video->owner != 0 && video->id > 0 &&
           strlen(video->access_key) <= ACCESS_KEY_MAX_BYTES;
}

/* video.save: an empty video, and where its bytes go. */
static enum cm_verdict take_place(struct cm_ctx *ctx, const struct cm_publish_request *request, struct video *video,
                                  const char **upload)
{
    const struct cm_host *host = ctx->host;
    const struct video_options *own = ctx->options;
    const char *title = *request->title ? request->title : request->name;
    const struct field fields[] = {
        {"name", video_cut(ctx, title, VK_TITLE_CHARS)},
        {"description", video_cut(ctx, request->text, VK_DESCRIPTION_CHARS)},
        {"group_id", own->group > 0 ? host->format(ctx, "%lld", (long long)own->group) : NULL},
        {"wallpost", flag(own->wallpost)},
        {"is_private", own->group > 0 ? NULL : flag(own->is_private)},
        {"no_comments", flag(own->no_comments)},
        {"repeat", flag(own->repeat)},
        {NULL, NULL},
    };
    struct reply reply;
    if (!vk_call(ctx, "video.save", fields, 0, &reply)) {
        return vk_fail(ctx, &reply);
    }
    const struct cm_json *result = reply.result;
    *upload = host->json_string(ctx, host->json_at(ctx, result, "upload_url"), "");
    *video = (struct video){
        .owner = host->json_int(ctx, host->json_at(ctx, result, "owner_id"), 0),
        .id = host->json_int(ctx, host->json_at(ctx, result, "video_id"), 0),
        .access_key = host->json_string(ctx, host->json_at(ctx, result, "access_key"), ""),
    };
    if (!can_be_kept(*upload, video)) {
        return CM_FAIL(ctx, CM_AGAIN, CM_REASON_MALFORMED, "VK gave a place for the video, and does not say where");
    }
    return keep_place(ctx, video, *upload) ? CM_OK : stopped(ctx);
}

/* A video that nothing more will come into. 1: it is gone. */
static int drop_place(struct cm_ctx *ctx, const struct video *video)
{
    const struct cm_host *host = ctx->host;
    struct reply reply;
    const struct field fields[] = {
        {"owner_id", host->format(ctx, "%lld", video->owner)},
        {"video_id", host->format(ctx, "%lld", video->id)},
        {NULL, NULL},
    };
    if (vk_call(ctx, "video.delete", fields, 0, &reply) || reply.code == 104) {
        return 1;
    }
    host->log(ctx, CM_LOG_WARN, "the empty video %s could not be removed", video_name(ctx, video, 0));
    return 0;
}

static int forget_place(struct cm_ctx *ctx)
{
    return ctx->host->save(ctx, "video", "") == 0;
}

/* ---- What VK has --------------------------------------------------------------------------- */

const struct cm_json *video_look(struct cm_ctx *ctx, const struct video *video, struct reply *reply)
{
    const struct field fields[] = {{"videos", video_name(ctx, video, 1)}, {NULL, NULL}};
    if (!vk_call(ctx, "video.get", fields, 0, reply)) {
        return NULL;
    }
    return ctx->host->json_at(ctx, reply->result, "items.0");
}

static int says(struct cm_ctx *ctx, const struct cm_json *entry, const char *name)
{
    const struct cm_json *value = ctx->host->json_at(ctx, entry, name);
    return ctx->host->json_number(ctx, value, 0) > 0 || ctx->host->json_bool(ctx, value, 0);
}

static int is_at_work(struct cm_ctx *ctx, const struct cm_json *entry)
{
    return says(ctx, entry, "processing") || says(ctx, entry, "converting");
}

static int is_ready(struct cm_ctx *ctx, const struct cm_json *entry)
{
    return entry && !is_at_work(ctx, entry) && says(ctx, entry, "duration");
}

/* As long again as it took so far: 5 s, 10 s, … 60 s. */
static int64_t next_look_ms(int64_t waited_ms)
{
    return waited_ms < POLL_MIN_MS ? POLL_MIN_MS : waited_ms > POLL_MAX_MS ? POLL_MAX_MS : waited_ms;
}

static enum cm_verdict wait_until_ready(struct cm_ctx *ctx, const struct video *video)
{
    const struct video_options *own = ctx->options;
    struct reply reply;
    int64_t waited_ms = vk_now_ms() - strtoll(saved(ctx, "uploaded"), NULL, 10);
    const struct cm_json *entry = video_look(ctx, video, &reply);
    if (!reply.result) {
        return vk_fail(ctx, &reply);
    }
    if (is_ready(ctx, entry)) {
        return CM_OK;
    }
    if (waited_ms > own->processing_ms && !entry && !*saved(ctx, "posting") && drop_place(ctx, video)) {
        return !forget_place(ctx) ? stopped(ctx)
                                  : CM_FAIL(ctx, CM_HOLD, CM_REASON_OPERATOR,
                                            "VK took the video and does not show it: retry uploads it once more");
    }
    if (waited_ms > own->processing_ms) {
        return CM_FAIL(ctx, CM_HOLD, CM_REASON_OPERATOR,
                       "VK has not made the video %s ready for %lld minutes: look at it there, then retry",
                       video_name(ctx, video, 0), (long long)(waited_ms / 60000));
    }
    return CM_FAIL_FOR(ctx, CM_AGAIN, CM_REASON_PROCESSING, CM_SCOPE_ITEM, next_look_ms(waited_ms),
                       "VK is still at work on the video");
}

/* ---- The upload ---------------------------------------------------------------------------- */

/* Refused or cut off: nothing is there, and an address takes one upload only. */
static enum cm_verdict begin_anew(struct cm_ctx *ctx, const struct video *video, const char *why)
{
    drop_place(ctx, video);
    if (!forget_place(ctx)) {
        return stopped(ctx);
    }
    return CM_FAIL(ctx, CM_AGAIN, CM_REASON_UNAVAILABLE, "VK did not take the video's bytes: %.200s", why);
}

static enum cm_verdict judge_upload(struct cm_ctx *ctx, const struct video *video, const struct cm_http_answer *answer)
{
    const struct cm_host *host = ctx->host;
    const struct video_options *own = ctx->options;
    const struct cm_json *json = host->json_parse(ctx, answer->body, answer->body_bytes);
    const char *error = host->json_string(ctx, host->json_at(ctx, json, "error_descr"),
                                          host->json_string(ctx, host->json_at(ctx, json, "error"), ""));
    if (answer->status == 413) {
        return CM_FAIL(ctx, CM_CANNOT, CM_REASON_TOO_LARGE, "VK does not take a clip of this size: status 413");
    }
    if (answer->status / 100 == 2 && host->json_at(ctx, json, "video_id")) {
        const char *now = host->format(ctx, "%lld", (long long)vk_now_ms());
        return host->save(ctx, "uploaded", now) == 0 ? CM_OK : stopped(ctx);
    }
    if (*error || answer->status / 100 == 4) {
        return begin_anew(ctx, video, *error ? error : host->format(ctx, "status %d", (int)answer->status));
    }
    return CM_FAIL(ctx, own->wallpost ? CM_UNSURE : CM_AGAIN, CM_REASON_UNAVAILABLE,
                   "the video was sent to VK, and the answer tells nothing: status %d", (int)answer->status);
}

static enum cm_verdict judge_broken(struct cm_ctx *ctx, const struct video *video, const struct cm_http_answer *answer)
{
    const struct video_options *own = ctx->options;
    if (answer->outcome == CM_HTTP_STOPPED && answer->body_cut) {
        forget_place(ctx); /* where that is not kept, the next attempt looks */
        return stopped(ctx);
    }
    if (answer->body_cut || answer->outcome == CM_HTTP_UNREACHED) {
        return begin_anew(ctx, video, answer->problem);
    }
    if (answer->outcome == CM_HTTP_REFUSED) {
        return CM_FAIL(ctx, CM_CANNOT, CM_REASON_POLICY, "VK gave an address for the upload that is not asked: %s",
                       answer->problem);
    }
    return CM_FAIL(ctx, own->wallpost ? CM_UNSURE : CM_AGAIN, CM_REASON_NETWORK,
                   "the video was sent to VK, and no answer came: %s", answer->problem);
}

/* A server with plain http is one's own; VK's never leads to private addresses. */
static int is_own_server(const struct video_options *own)
{
    return strncmp(own->vk.url, "https:", 6) != 0;
}

static enum cm_verdict upload_bytes(struct cm_ctx *ctx, const struct cm_publish_request *request,
                                    const struct video *video, const char *address)
{
    const struct video_options *own = ctx->options;
    struct cm_http_answer answer = {.size = sizeof answer};
    const struct cm_http_part part = {
        .size = sizeof part,
        .name = "video_file",
        .path = request->clip_path,
        .file_name = ctx->host->format(ctx, "%s.mp4", request->name),
        .content_type = "video/mp4",
    };
    const struct cm_http_request http = {
        .size = sizeof http,
        .method = "POST",
        .url = address,
        .parts = &part,
        .deadline_ms = own->upload_ms,
        .stall_ms = own->upload_ms, /* VK says nothing while it stores the bytes */
        .allow_private = is_own_server(own),
        .posts = own->wallpost,
    };
    if (ctx->host->save(ctx, "sent", ctx->host->format(ctx, "%lld", (long long)vk_now_ms()))) {
        return stopped(ctx);
    }
    if (ctx->host->http(ctx, &http, &answer) == CM_HTTP_ANSWERED) {
        return judge_upload(ctx, video, &answer);
    }
    return judge_broken(ctx, video, &answer);
}

/* An earlier attempt began to send, and nobody knows how far it came. CM_OK: it is there. *again: it is not, and
 * the bytes may be sent anew. */
static enum cm_verdict settle_upload(struct cm_ctx *ctx, const struct video *video, int *again)
{
    struct reply reply;
    int64_t waited_ms = vk_now_ms() - strtoll(saved(ctx, "sent"), NULL, 10);
    const struct cm_json *entry = video_look(ctx, video, &reply);
    *again = 0;
    if (!reply.result) {
        return vk_fail(ctx, &reply);
    }
    if (is_ready(ctx, entry) || is_at_work(ctx, entry)) {
        return ctx->host->save(ctx, "uploaded", ctx->host->format(ctx, "%lld", (long long)vk_now_ms())) ? stopped(ctx)
                                                                                                        : CM_OK;
    }
    const struct video_options *own = ctx->options;
    if (own->wallpost && waited_ms < DOUBT_MS) { /* such a video would be a post */
        return CM_FAIL_FOR(ctx, CM_AGAIN, CM_REASON_PROCESSING, CM_SCOPE_ITEM, next_look_ms(waited_ms),
                           "whether VK has the video is not known yet");
    }
    if (!drop_place(ctx, video) && own->wallpost) {
        return CM_FAIL_FOR(ctx, CM_AGAIN, CM_REASON_UNAVAILABLE, CM_SCOPE_ITEM, POLL_MAX_MS,
                           "whether VK has the video is not known, and it cannot be removed");
    }
    *again = 1;
    return CM_OK;
}

/* ---- All of it ----------------------------------------------------------------------------- */

static enum cm_verdict bring_anew(struct cm_ctx *ctx, const struct cm_publish_request *request, struct video *video)
{
    const char *address = "";
    enum cm_verdict verdict = take_place(ctx, request, video, &address);
    return verdict == CM_OK ? upload_bytes(ctx, request, video, address) : verdict;
}

/* The bytes are at VK when this says CM_OK. */
static enum cm_verdict bring_bytes(struct cm_ctx *ctx, const struct cm_publish_request *request, struct video *video)
{
    int again = 0;
    if (!video_read(ctx, saved(ctx, "video"), video)) {
        return bring_anew(ctx, request, video);
    }
    if (*saved(ctx, "uploaded")) {
        return CM_OK;
    }
    if (!*saved(ctx, "sent")) {
        return upload_bytes(ctx, request, video, saved(ctx, "upload"));
    }
    enum cm_verdict verdict = settle_upload(ctx, video, &again);
    return again ? bring_anew(ctx, request, video) : verdict;
}

enum cm_verdict video_bring(struct cm_ctx *ctx, const struct cm_publish_request *request, struct video *video)
{
    const struct video_options *own = ctx->options;
    enum cm_verdict verdict = bring_bytes(ctx, request, video);
    if (verdict != CM_OK || own->wallpost) { /* what is out does not wait */
        return verdict;
    }
    return wait_until_ready(ctx, video);
}
