/*
 * Posts clips into a Telegram channel or group through a bot. Telegram has no key against a second post, and a bot
 * cannot look for its posts: what became of a clip that was sent whole and not answered, only a person can say.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "api.h"
#include "caption.h"

#define UPLOAD_MAX_BYTES 50000000 /* of Telegram's own server; the config says it when another one takes more */
#define THUMBNAIL_MAX_BYTES 200000

struct options {
    struct telegram telegram; /* first: api.c reads it */
    int title, silent, protect;
};

static const struct cm_option options[] = {
    CM_OPT_URL(struct options, telegram.url, "url", CM_OPTION_REQUIRED, NULL,
               "address of the Bot API server, Telegram's or your own"),
    CM_OPT_SECRET(struct options, telegram.token, "token", CM_OPTION_REQUIRED, "the bot's token, as BotFather gave it"),
    CM_OPT_STRING_REQUIRED(struct options, telegram.chat, "chat",
                           "the channel or group: \"@name\", or its number -100…"),
    CM_OPT_BOOL(struct options, title, "title", "yes", "begin the caption with the clip's title, in bold"),
    CM_OPT_BOOL(struct options, silent, "disable_notification", "no", "post without a sound"),
    CM_OPT_BOOL(struct options, protect, "protect_content", "no", "nobody may forward or save the post"),
    CM_OPT_TIME(struct options, telegram.deadline_ms, "timeout", "10m", 1000, 7200000,
                "how long one upload may take, with Telegram's work on it"),
    CM_OPT_END,
};

/* ---- Where to ------------------------------------------------------------------------------ */

/* A group that became a supergroup has a new number, which is remembered under the one in the config. */
static const char *moved_name(struct cm_ctx *ctx)
{
    const struct telegram *own = ctx->options;
    return ctx->host->format(ctx, "moved %.50s", own->chat);
}

static const char *chat_of(struct cm_ctx *ctx)
{
    const struct telegram *own = ctx->options;
    const char *moved = ctx->host->recall(ctx, NULL, moved_name(ctx));
    return moved ? moved : own->chat;
}

/* True when the answer was a certain no, for the chat is elsewhere now: worth one more call. */
static int follow_chat(struct cm_ctx *ctx, const struct reply *reply)
{
    const struct cm_host *host = ctx->host;
    const char *name = moved_name(ctx);
    if (reply->code != 400 || !reply->moved_to || strcmp(reply->moved_to, chat_of(ctx)) == 0) {
        return 0;
    }
    host->log(ctx, CM_LOG_WARN, "the group moved: its number is %s from now on; put it into `chat`", reply->moved_to);
    return host->remember(ctx, NULL, name, host->recall(ctx, NULL, name), reply->moved_to) == 0;
}

/* ---- publish ------------------------------------------------------------------------------- */

/* The parts of sendVideo; one without text or path is left out. */
enum part {
    PART_CHAT,
    PART_CAPTION,
    PART_ENTITIES,
    PART_DURATION,
    PART_WIDTH,
    PART_HEIGHT,
    PART_STREAMING,
    PART_SILENT,
    PART_PROTECT,
    PART_THUMBNAIL,
    PART_VIDEO, /* last: with its end the post is out */
    PART_COUNT
};

static const char *number_text(struct cm_ctx *ctx, int64_t number)
{
    return number > 0 ? ctx->host->format(ctx, "%lld", (long long)number) : NULL;
}

static const char *small_enough(const char *path)
{
    struct stat info;
    return path && stat(path, &info) == 0 && info.st_size <= THUMBNAIL_MAX_BYTES ? path : NULL;
}

/* The first of the linked parts. */
static struct cm_http_part *fill_parts(struct cm_ctx *ctx, const struct cm_publish_request *request,
                                       struct cm_http_part parts[PART_COUNT])
{
    const struct options *own = ctx->options;
    struct caption caption = caption_make(ctx, own->title ? request->title : "", request->text);
    const struct cm_http_part all[PART_COUNT] = {
        [PART_CHAT] = {.name = "chat_id", .text = chat_of(ctx)},
        [PART_CAPTION] = {.name = "caption", .text = *caption.text ? caption.text : NULL},
        [PART_ENTITIES] = {.name = "caption_entities", .text = caption.entities},
        [PART_DURATION] = {.name = "duration", .text = number_text(ctx, (request->duration_ms + 999) / 1000)},
        [PART_WIDTH] = {.name = "width", .text = number_text(ctx, request->width)},
        [PART_HEIGHT] = {.name = "height", .text = number_text(ctx, request->height)},
        [PART_STREAMING] = {.name = "supports_streaming", .text = "true"},
        [PART_SILENT] = {.name = "disable_notification", .text = own->silent ? "true" : NULL},
        [PART_PROTECT] = {.name = "protect_content", .text = own->protect ? "true" : NULL},
        [PART_THUMBNAIL] = {.name = "thumbnail",
                            .path = small_enough(request->small_thumbnail_path),
                            .file_name = "thumbnail.jpg",
                            .content_type = "image/jpeg"},
        [PART_VIDEO] = {.name = "video",
                        .path = request->clip_path,
                        .file_name = ctx->host->format(ctx, "%s.mp4", request->name),
                        .content_type = "video/mp4"},
    };
    struct cm_http_part *next = NULL;
    for (int i = PART_COUNT - 1; i >= 0; i--) {
        if (all[i].text || all[i].path) {
            parts[i] = all[i];
            parts[i].size = sizeof parts[i];
            parts[i].next = next;
            next = &parts[i];
        }
    }
    return next;
}

static int send_video(struct cm_ctx *ctx, const struct cm_publish_request *request, struct reply *reply)
{
    struct cm_http_part parts[PART_COUNT];
    return telegram_call(ctx, "sendVideo", fill_parts(ctx, request, parts), NULL, reply);
}

/* t.me/name/42, or t.me/c/1234567890/42 where the chat has no name; "" in a group of the old kind. */
static const char *post_url(struct cm_ctx *ctx, const char *username, int64_t chat, int64_t message)
{
    const char *number = ctx->host->format(ctx, "%lld", (long long)chat);
    if (*username) {
        return ctx->host->format(ctx, "https://t.me/%s/%lld", username, (long long)message);
    }
    if (strncmp(number, "-100", 4) == 0) {
        return ctx->host->format(ctx, "https://t.me/c/%s/%lld", number + 4, (long long)message);
    }
    return "";
}

/* 0: a yes that does not say which post. */
static int read_post(struct cm_ctx *ctx, const struct cm_json *message, struct cm_post *post)
{
    const struct cm_host *host = ctx->host;
    int64_t number = host->json_int(ctx, host->json_at(ctx, message, "message_id"), 0);
    int64_t chat = host->json_int(ctx, host->json_at(ctx, message, "chat.id"), 0);
    const char *username = host->json_string(ctx, host->json_at(ctx, message, "chat.username"), "");
    if (number < 1 || chat == 0) {
        return 0;
    }
    post->id = host->format(ctx, "%lld/%lld", (long long)chat, (long long)number);
    post->url = post_url(ctx, username, chat, number);
    return 1;
}

static enum cm_verdict publish(struct cm_ctx *ctx, const struct cm_publish_request *request, struct cm_post *post)
{
    struct reply reply;
    int is_out = send_video(ctx, request, &reply);
    if (!is_out && follow_chat(ctx, &reply)) {
        is_out = send_video(ctx, request, &reply);
    }
    if (!is_out) {
        return telegram_fail(ctx, &reply);
    }
    if (!read_post(ctx, reply.result, post)) {
        return CM_FAIL(ctx, CM_UNSURE, CM_REASON_MALFORMED, "Telegram took the clip and does not say which post it is");
    }
    return CM_OK;
}

/* ---- remove -------------------------------------------------------------------------------- */

/* "CHAT/MESSAGE", as publish gave it. */
static enum cm_verdict remove_post(struct cm_ctx *ctx, const struct cm_publish_request *request)
{
    const struct cm_host *host = ctx->host;
    struct reply reply;
    long long chat = 0, message = 0;
    char *end = NULL;
    chat = strtoll(request->post_id ? request->post_id : "", &end, 10);
    message = *end == '/' ? strtoll(end + 1, &end, 10) : 0;
    if (chat == 0 || message < 1 || *end) {
        return CM_FAIL(ctx, CM_CANNOT, CM_REASON_INPUT, "not the id of a Telegram post: %s; delete it by hand",
                       request->post_id ? request->post_id : "");
    }
    if (telegram_call(ctx, "deleteMessage", NULL,
                      host->format(ctx, "{\"chat_id\":%lld,\"message_id\":%lld}", chat, message), &reply) ||
        (reply.code == 400 && telegram_says(&reply, "message to delete not found"))) {
        return CM_OK;
    }
    if (reply.code == 400 && telegram_says(&reply, "message can't be deleted")) {
        return CM_FAIL(ctx, CM_HOLD, CM_REASON_OPERATOR,
                       "Telegram does not let the bot delete this post; delete it by hand");
    }
    return telegram_fail(ctx, &reply);
}

/* ---- check --------------------------------------------------------------------------------- */

/* Whether a member of that status may post there. In channels administrators only, and with the right to. */
static int may_post(struct cm_ctx *ctx, const struct cm_json *member, int is_channel)
{
    const struct cm_host *host = ctx->host;
    const char *status = host->json_string(ctx, host->json_at(ctx, member, "status"), "");
    if (strcmp(status, "creator") == 0) {
        return 1;
    }
    if (is_channel) {
        return strcmp(status, "administrator") == 0 &&
               host->json_bool(ctx, host->json_at(ctx, member, "can_post_messages"), 0);
    }
    if (strcmp(status, "restricted") == 0) {
        return host->json_bool(ctx, host->json_at(ctx, member, "can_send_videos"), 0);
    }
    return strcmp(status, "administrator") == 0 || strcmp(status, "member") == 0;
}

/* The first problem, in words. */
static enum cm_verdict check(struct cm_ctx *ctx)
{
    const struct cm_host *host = ctx->host;
    const struct telegram *own = ctx->options;
    struct reply reply;
    if (!telegram_call(ctx, "getMe", NULL, NULL, &reply)) {
        return telegram_fail(ctx, &reply);
    }
    int64_t bot = host->json_int(ctx, host->json_at(ctx, reply.result, "id"), 0);
    const char *chat = host->json_quote(ctx, chat_of(ctx));
    if (!telegram_call(ctx, "getChat", NULL, host->format(ctx, "{\"chat_id\":%s}", chat), &reply)) {
        return telegram_fail(ctx, &reply);
    }
    const char *type = host->json_string(ctx, host->json_at(ctx, reply.result, "type"), "");
    if (strcmp(type, "private") == 0) {
        return CM_OK; /* one's own chat with the bot: there are no members */
    }
    const char *body = host->format(ctx, "{\"chat_id\":%s,\"user_id\":%lld}", chat, (long long)bot);
    if (!telegram_call(ctx, "getChatMember", NULL, body, &reply)) {
        return telegram_fail(ctx, &reply);
    }
    if (!may_post(ctx, reply.result, strcmp(type, "channel") == 0)) {
        return CM_FAIL_FOR(
            ctx, CM_HOLD, CM_REASON_AUTH, CM_SCOPE_INSTANCE, 0,
            "the bot may not post into %s: make it an administrator there, with the right to post messages", own->chat);
    }
    return CM_OK;
}

static const struct cm_publish_ops ops = {
    .size = sizeof ops,
    .settle = 0,
    .max_clip_bytes = UPLOAD_MAX_BYTES,
    .publish = publish,
    .remove = remove_post,
    .check = check,
    .elsewhere = 1,
};

CM_PLUGIN(CM_STAGE_PUBLISH, "publish_telegram", "1.0", "Posts clips into a Telegram channel or group", options,
          struct options, ops);
