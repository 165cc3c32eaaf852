/*
 * Posts clips on the wall of a VK community or user: the video is brought first, then one request posts it. What became
 * of that request, VK can be asked: the wall is searched for the video, and the same request with the same key is no
 * second post.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "video.h"

#define WALL_LOOK 100                       /* posts at once; VK gives no more */
#define WALL_PAGES 10                       /* so often, until what is older than ours is reached */
#define CLOCKS_MS (10 * 60 * INT64_C(1000)) /* VK's clock and ours may differ so much */
#define ABSENT_WAIT_MS 30000

struct options {
    struct video_options video; /* first: api.c and video.c read it */
    const char *expires;
    int64_t settle_ms, guid_ms;
    int close_comments, ads;
};

static const struct cm_option options[] = {
    CM_OPT_URL(struct options, video.vk.url, "url", CM_OPTION_REQUIRED, NULL,
               "address of VK's API, up to the method's name"),
    CM_OPT_SECRET(struct options, video.vk.token, "token", CM_OPTION_REQUIRED,
                  "the token of a user who may post there, with the rights video and wall"),
    CM_OPT_STRING(struct options, expires, "expires", "",
                  "when the token ends, as in 2026-12-01 or 2026-12-01T18:00 (UTC)"),
    CM_OPT_INT(struct options, video.group, "group", "0", 0, 4294967295.0,
               "the community's number, without a minus; 0: the user's own wall"),
    CM_OPT_STRING(struct options, video.vk.version, "v", "5.199", "version of VK's API"),
    CM_OPT_RATE(struct options, video.vk.call_interval_us, "calls", "3/s",
                "calls of the API, of each attempt that runs; VK lets a user make 3 a second"),
    CM_OPT_BOOL(struct options, video.wallpost, "wallpost", "no",
                "let the upload itself post (for tokens without the right wall); the post then has no text of its own"),
    CM_OPT_BOOL(struct options, video.is_private, "private", "no", "only the user sees the video (own wall only)"),
    CM_OPT_BOOL(struct options, video.no_comments, "no_comments", "no", "nobody may comment on the video"),
    CM_OPT_BOOL(struct options, close_comments, "close_comments", "no", "nobody may comment on the post"),
    CM_OPT_BOOL(struct options, video.repeat, "repeat", "no", "the video plays in a loop"),
    CM_OPT_BOOL(struct options, ads, "mark_as_ads", "no", "mark the post as advertising"),
    CM_OPT_TIME(struct options, video.vk.flood_ms, "flood_rest", "1h", 1000, 86400000,
                "how long the account rests when VK speaks of flood"),
    CM_OPT_TIME(struct options, video.upload_ms, "timeout", "30m", 1000, 7200000, "how long one upload may take"),
    CM_OPT_TIME(struct options, settle_ms, "settle", "2m", 0, 86400000,
                "so long after a post in doubt, a wall that does not show it counts"),
    CM_OPT_TIME(struct options, guid_ms, "guid_lives", "0s", 0, 86400000,
                "how long VK surely takes a post with the same guid for the same post; 0: that is not relied on"),
    CM_OPT_TIME(struct options, video.processing_ms, "processing", "30m", 1000, 86400000,
                "how long VK may work on a video before a person should look"),
    CM_OPT_END,
};

/* ---- The token's time ---------------------------------------------------------------------- */

/* UTC; 0: none, -1: not a time. */
static int64_t expiry_ms(const char *text)
{
    struct tm when = {0};
    const char *end = strptime(text, "%Y-%m-%d", &when);
    if (*text == '\0') {
        return 0;
    }
    if (end && *end) {
        end = strptime(end, "T%H:%M", &when);
    }
    return end && *end == '\0' ? (int64_t)timegm(&when) * 1000 : -1;
}

/* CM_OK, or a hold before VK has to say it. */
static enum cm_verdict check_expiry(struct cm_ctx *ctx)
{
    const struct options *own = ctx->options;
    int64_t ends_ms = expiry_ms(own->expires), left_ms = ends_ms - vk_now_ms();
    if (ends_ms < 0) {
        return CM_FAIL_FOR(ctx, CM_HOLD, CM_REASON_OPERATOR, CM_SCOPE_INSTANCE, 0,
                           "%s: `expires` is \"%s\"; write it as 2026-12-01 or 2026-12-01T18:00", ctx->instance,
                           own->expires);
    }
    if (ends_ms > 0 && left_ms <= 0) {
        return CM_FAIL_FOR(
            ctx, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_ACCOUNT, 0,
            "VK's token ended at %s: get a new one, put it into `token`, mend `expires`, reload, then retry",
            own->expires);
    }
    if (ends_ms > 0 && left_ms < 24 * 3600 * INT64_C(1000)) {
        ctx->host->log(ctx, CM_LOG_WARN, "VK's token ends at %s (UTC)", own->expires);
    }
    return CM_OK;
}

/* ---- The wall ------------------------------------------------------------------------------ */

static int shows(struct cm_ctx *ctx, const struct cm_json *post, const struct video *video)
{
    const struct cm_host *host = ctx->host;
    const struct cm_json *attached = host->json_at(ctx, post, "attachments");
    size_t count = host->json_count(ctx, attached);
    for (size_t i = 0; i < count; i++) {
        const struct cm_json *one = host->json_at(ctx, attached, host->format(ctx, "%zu.video", i));
        if (host->json_int(ctx, host->json_at(ctx, one, "id"), 0) == video->id &&
            host->json_int(ctx, host->json_at(ctx, one, "owner_id"), 0) == video->owner) {
            return 1;
        }
    }
    return 0;
}

/*
 * Saved with the task, each a time in UTC ms, "" or absent: none.
 * "posting": when the request that posts went out last, and nobody knows what became of it;
 * "keyed": when that key was sent first; "absent": when the wall did not show the post, not too early;
 * "sent": when the upload began (video.c).
 */
static int64_t saved_ms(struct cm_ctx *ctx, const char *name)
{
    const char *text = ctx->host->saved(ctx, name);
    return strtoll(text ? text : "", NULL, 10);
}

static int save_now(struct cm_ctx *ctx, const char *name)
{
    return ctx->host->save(ctx, name, ctx->host->format(ctx, "%lld", (long long)vk_now_ms())) == 0;
}

/* True when no post of ours can lie behind what the wall showed: that was all of it, or its last is older. */
static int reaches_back(struct cm_ctx *ctx, const struct cm_json *items)
{
    const struct cm_host *host = ctx->host;
    size_t count = host->json_count(ctx, items);
    if (count < WALL_LOOK) {
        return 1;
    }
    const struct cm_json *date = host->json_at(ctx, items, host->format(ctx, "%zu.date", count - 1));
    int64_t keyed_ms = saved_ms(ctx, "keyed");
    int64_t since_ms = keyed_ms ? keyed_ms : saved_ms(ctx, "sent"); /* with `wallpost`, the upload posts */
    return since_ms > 0 && host->json_number(ctx, date, 1e15) * 1000 < (double)(since_ms - CLOCKS_MS);
}

/* Looks at WALL_LOOK posts, from number `offset` on. CM_OK: *found and, when found, *number are set. */
static enum cm_verdict look_at_wall(struct cm_ctx *ctx, const struct video *video, int offset, enum cm_found *found,
                                    long long *number)
{
    const struct cm_host *host = ctx->host;
    const struct field fields[] = {
        {"owner_id", video_owner_text(ctx)},
        {"count", host->format(ctx, "%d", WALL_LOOK)},
        {"offset", offset ? host->format(ctx, "%d", offset) : NULL},
        {NULL, NULL},
    };
    struct reply reply;
    if (!vk_call(ctx, "wall.get", fields, 0, &reply)) {
        return vk_fail(ctx, &reply);
    }
    const struct cm_json *items = host->json_at(ctx, reply.result, "items");
    if (!items) {
        return CM_FAIL(ctx, CM_AGAIN, CM_REASON_MALFORMED, "VK was asked for the wall, and says nothing of posts");
    }
    size_t count = host->json_count(ctx, items);
    for (size_t i = 0; i < count; i++) {
        const struct cm_json *post = host->json_at(ctx, items, host->format(ctx, "%zu", i));
        if (shows(ctx, post, video)) {
            *found = CM_FOUND;
            *number = host->json_int(ctx, host->json_at(ctx, post, "id"), 0);
            return CM_OK;
        }
    }
    *found = reaches_back(ctx, items) ? CM_ABSENT : CM_UNKNOWN;
    return CM_OK;
}

/* Looks for the post that shows this video. CM_OK, or why VK could not be asked: then it is unknown, too. */
static enum cm_verdict find_on_wall(struct cm_ctx *ctx, const struct video *video, enum cm_found *found,
                                    long long *number)
{
    enum cm_verdict verdict = CM_OK;
    *found = CM_UNKNOWN;
    *number = 0;
    for (int page = 0; page < WALL_PAGES && verdict == CM_OK && *found == CM_UNKNOWN; page++) {
        verdict = look_at_wall(ctx, video, page * WALL_LOOK, found, number);
    }
    return verdict;
}

/* "OWNER_POST/OWNER_VIDEO"; a video that VK posted by itself may have no number of a post that we know. */
static void say_post(struct cm_ctx *ctx, const struct video *video, long long number, struct cm_post *post)
{
    const struct cm_host *host = ctx->host;
    const char *name = video_name(ctx, video, 0);
    post->id =
        number > 0 ? host->format(ctx, "%lld_%lld/%s", video->owner, number, name) : host->format(ctx, "/%s", name);
    post->url = number > 0 ? host->format(ctx, "https://vk.com/wall%lld_%lld", video->owner, number)
                           : host->format(ctx, "https://vk.com/video%s", name);
}

/* ---- publish ------------------------------------------------------------------------------- */

/* Before each request that posts: from now on, the wall's silence means nothing for a while. */
static int note_posting(struct cm_ctx *ctx)
{
    int has_key = saved_ms(ctx, "keyed") || save_now(ctx, "keyed");
    return has_key && ctx->host->save(ctx, "absent", "") == 0 && save_now(ctx, "posting");
}

/* `in_doubt`: an earlier request may have posted, too; a no to this one leaves that open. */
static enum cm_verdict post_video(struct cm_ctx *ctx, const struct cm_publish_request *request,
                                  const struct video *video, int in_doubt, struct cm_post *post)
{
    const struct cm_host *host = ctx->host;
    const struct options *own = ctx->options;
    const struct field fields[] = {
        {"owner_id", video_owner_text(ctx)},
        {"from_group", own->video.group > 0 ? "1" : NULL},
        {"message", *request->text ? request->text : request->title},
        {"attachments", host->format(ctx, "video%s", video_name(ctx, video, 1))},
        {"guid", request->key},
        {"mark_as_ads", own->ads ? "1" : NULL},
        {"close_comments", own->close_comments ? "1" : NULL},
        {NULL, NULL},
    };
    struct reply reply;
    if (!note_posting(ctx)) {
        return CM_FAIL(ctx, CM_AGAIN, CM_REASON_STOPPED, "stopped");
    }
    if (!vk_call(ctx, "wall.post", fields, 1, &reply)) {
        enum cm_verdict verdict = vk_fail(ctx, &reply);
        if (verdict != CM_UNSURE && !in_doubt) {
            host->save(ctx, "posting", ""); /* where that is not kept, the wall is asked for nothing */
        }
        return verdict;
    }
    long long number = host->json_int(ctx, host->json_at(ctx, reply.result, "post_id"), 0);
    if (number <= 0) {
        return CM_FAIL(ctx, CM_UNSURE, CM_REASON_MALFORMED, "VK posted the clip and does not say which post it is");
    }
    say_post(ctx, video, number, post);
    return CM_OK;
}

/* The wall does not show it: believed when that was said twice, and not too early. CM_OK: believed. */
static enum cm_verdict doubt_absence(struct cm_ctx *ctx, int64_t since_ms)
{
    const struct options *own = ctx->options;
    int64_t early_ms = own->settle_ms - since_ms, wait_ms = ABSENT_WAIT_MS;
    if (early_ms <= 0 && saved_ms(ctx, "absent")) {
        return CM_OK;
    }
    if (early_ms <= 0 && !save_now(ctx, "absent")) {
        return CM_FAIL(ctx, CM_AGAIN, CM_REASON_STOPPED, "stopped");
    }
    if (wait_ms > own->settle_ms / 4) {
        wait_ms = own->settle_ms / 4;
    }
    return CM_FAIL_FOR(ctx, CM_AGAIN, CM_REASON_PROCESSING, CM_SCOPE_ITEM, early_ms > wait_ms ? early_ms : wait_ms + 1,
                       "the wall does not show the post; it is looked for once more");
}

/* An earlier attempt may have posted: the wall is asked before anything is sent again. */
static enum cm_verdict post_again(struct cm_ctx *ctx, const struct cm_publish_request *request,
                                  const struct video *video, struct cm_post *post)
{
    const struct options *own = ctx->options;
    int64_t since_ms = vk_now_ms() - saved_ms(ctx, "posting"), keyed_ms = vk_now_ms() - saved_ms(ctx, "keyed");
    enum cm_found found;
    long long number;
    enum cm_verdict verdict = find_on_wall(ctx, video, &found, &number);
    if (found == CM_FOUND) {
        say_post(ctx, video, number, post);
        return CM_OK;
    }
    if (keyed_ms >= 0 && keyed_ms < own->guid_ms) {
        return post_video(ctx, request, video, 1, post); /* the key makes it the same post */
    }
    if (verdict == CM_OK && found == CM_UNKNOWN) {
        return CM_FAIL(
            ctx, CM_HOLD, CM_REASON_OPERATOR,
            "whether the clip was posted is not known, and the wall has too many newer posts: is it there, say "
            "`clipmaker resolve --live` with its address; is it not, publish the clip anew");
    }
    if (verdict == CM_OK) {
        verdict = doubt_absence(ctx, since_ms);
    }
    return verdict == CM_OK ? post_video(ctx, request, video, 0, post) : verdict;
}

/* The upload has posted; where on the wall is good to know, and no more. */
static void say_posted(struct cm_ctx *ctx, const struct video *video, struct cm_post *post)
{
    enum cm_found found;
    long long number;
    find_on_wall(ctx, video, &found, &number);
    say_post(ctx, video, number, post);
}

static enum cm_verdict publish(struct cm_ctx *ctx, const struct cm_publish_request *request, struct cm_post *post)
{
    const struct options *own = ctx->options;
    struct video video;
    enum cm_verdict verdict = check_expiry(ctx);
    if (verdict == CM_OK) {
        verdict = video_bring(ctx, request, &video);
    }
    if (verdict != CM_OK) {
        return verdict;
    }
    if (own->video.wallpost) {
        say_posted(ctx, &video, post);
        return CM_OK;
    }
    return saved_ms(ctx, "posting") ? post_again(ctx, request, &video, post)
                                    : post_video(ctx, request, &video, 0, post);
}

/* ---- find ---------------------------------------------------------------------------------- */

static enum cm_verdict find(struct cm_ctx *ctx, const struct cm_publish_request *request, enum cm_found *found,
                            struct cm_post *post)
{
    struct video video;
    long long number;
    (void)request;
    *found = CM_ABSENT;
    if (!video_read(ctx, ctx->host->saved(ctx, "video"), &video)) {
        return CM_OK; /* without a video there was nothing to post */
    }
    enum cm_verdict verdict = find_on_wall(ctx, &video, found, &number);
    if (*found == CM_FOUND) {
        say_post(ctx, &video, number, post);
    }
    return verdict;
}

/* ---- stats and remove ---------------------------------------------------------------------- */

/* "OWNER_POST/OWNER_VIDEO" or "/OWNER_VIDEO". */
static int read_post(struct cm_ctx *ctx, const char *text, struct video *wall, struct video *video)
{
    const char *slash = text ? strchr(text, '/') : NULL;
    *wall = (struct video){.access_key = ""};
    if (!slash || !video_read(ctx, slash + 1, video)) {
        return 0;
    }
    return slash == text || video_read(ctx, ctx->host->format(ctx, "%.*s", (int)(slash - text), text), wall);
}

static enum cm_verdict no_post(struct cm_ctx *ctx, const char *id)
{
    return CM_FAIL(ctx, CM_CANNOT, CM_REASON_INPUT, "not the id of a VK post: %s", id ? id : "");
}

static enum cm_verdict stats(struct cm_ctx *ctx, const struct cm_publish_request *request)
{
    static const struct {
        const char *fact, *path;
    } numbers[] = {
        {"views", "views"}, {"likes", "likes.count"}, {"reposts", "reposts.count"}, {"comments", "comments"}};
    const struct cm_host *host = ctx->host;
    struct video wall, video;
    struct reply reply;
    if (!read_post(ctx, request->post_id, &wall, &video)) {
        return no_post(ctx, request->post_id);
    }
    const struct cm_json *entry = video_look(ctx, &video, &reply);
    if (!reply.result) {
        return vk_fail(ctx, &reply);
    }
    if (!entry) {
        return CM_FAIL(ctx, CM_CANNOT, CM_REASON_NOT_FOUND, "VK shows no video %s any more",
                       video_name(ctx, &video, 0));
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        int64_t count = host->json_int(ctx, host->json_at(ctx, entry, numbers[i].path), -1);
        if (count >= 0) {
            host->emit_fact(ctx, numbers[i].fact, host->format(ctx, "%lld", (long long)count));
        }
    }
    return CM_OK;
}

/* True when it is gone, now or before. */
static int delete_one(struct cm_ctx *ctx, const char *method, const char *name, const struct video *what,
                      struct reply *reply)
{
    const struct cm_host *host = ctx->host;
    const struct field fields[] = {
        {"owner_id", host->format(ctx, "%lld", what->owner)},
        {name, host->format(ctx, "%lld", what->id)},
        {NULL, NULL},
    };
    return vk_call(ctx, method, fields, 0, reply) || reply->code == 104;
}

static enum cm_verdict remove_post(struct cm_ctx *ctx, const struct cm_publish_request *request)
{
    struct video wall, video;
    struct reply reply;
    if (!read_post(ctx, request->post_id, &wall, &video)) {
        return no_post(ctx, request->post_id);
    }
    if (wall.id > 0 && !delete_one(ctx, "wall.delete", "post_id", &wall, &reply)) {
        return vk_fail(ctx, &reply);
    }
    return delete_one(ctx, "video.delete", "video_id", &video, &reply) ? CM_OK : vk_fail(ctx, &reply);
}

/* ---- check --------------------------------------------------------------------------------- */

static int is_among(struct cm_ctx *ctx, const struct cm_json *items, long long group)
{
    size_t count = ctx->host->json_count(ctx, items);
    for (size_t i = 0; i < count; i++) {
        const struct cm_json *one = ctx->host->json_at(ctx, items, ctx->host->format(ctx, "%zu", i));
        if (ctx->host->json_int(ctx, one, 0) == group) {
            return 1;
        }
    }
    return 0;
}

/* The first problem, in words. Whether the token has the rights video and wall, only their use tells. */
static enum cm_verdict check(struct cm_ctx *ctx)
{
    const struct options *own = ctx->options;
    static const struct field nothing[] = {{NULL, NULL}};
    static const struct field editor[] = {{"filter", "editor"}, {"count", "1000"}, {NULL, NULL}};
    struct reply reply;
    enum cm_verdict verdict = check_expiry(ctx);
    if (verdict != CM_OK) {
        return verdict;
    }
    if (!vk_call(ctx, "users.get", nothing, 0, &reply)) {
        return vk_fail(ctx, &reply);
    }
    if (own->video.group == 0) {
        return CM_OK;
    }
    if (!vk_call(ctx, "groups.get", editor, 0, &reply)) {
        return vk_fail(ctx, &reply);
    }
    if (!is_among(ctx, ctx->host->json_at(ctx, reply.result, "items"), own->video.group)) {
        return CM_FAIL_FOR(
            ctx, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_INSTANCE, 0,
            "the token's user is no editor of the community %lld: check `group`, or give that user the role",
            (long long)own->video.group);
    }
    return CM_OK;
}

static const struct cm_publish_ops ops = {
    .size = sizeof ops,
    .settle = CM_SETTLE_PHASES | CM_SETTLE_NATIVE_KEY | CM_SETTLE_SEARCH,
    .settle_ms = 120000,
    .open = vk_open,
    .close = vk_close,
    .publish = publish,
    .find = find,
    .stats = stats,
    .remove = remove_post,
    .check = check,
    .elsewhere = 1,
};

CM_PLUGIN(CM_STAGE_PUBLISH, "publish_vk", "1.0", "Posts clips on the wall of a VK community or user", options,
          struct options, ops);
