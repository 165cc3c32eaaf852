/*
 * publish: a clip becomes a post; and what else can be asked about a post.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/worker/call.h"
#include "core/worker/host.h"

typedef enum cm_verdict (*asked_fn)(struct cm_call *call, const struct cm_publish_ops *ops,
                                    const struct cm_publish_request *request);

static void take_post(struct cm_call *call, const struct cm_post *post)
{
    cm_done_text(&call->done->post_id, post->id ? cm_host_clean(&call->ctx, post->id) : "");
    cm_done_text(&call->done->url, post->url ? cm_host_clean(&call->ctx, post->url) : "");
}

static enum cm_verdict too_large(struct cm_call *call, const char *what, long long is, long long limit)
{
    return cm_call_fail(call, CM_CANNOT, CM_REASON_TOO_LARGE,
                        N_("%s takes clips of at most %lld %s, this one has %lld"), call->ctx.instance, limit, what,
                        is);
}

static enum cm_verdict ask_publish(struct cm_call *call, const struct cm_publish_ops *ops,
                                   const struct cm_publish_request *request)
{
    struct json_object *clip = cm_call_input(call, "clip", NULL);
    if (!request->clip_path || !*request->key) {
        return cm_call_fail(call, CM_CANNOT, CM_REASON_INTERNAL,
                            N_("there is no clip to publish, or no key to publish it under"));
    }
    long long bytes = cm_json_int(clip, "bytes", 0);
    long long length_ms = cm_json_int(cm_json_object(clip, "facts"), "duration_ms", 0);
    long long max_bytes = cm_json_int(call->begin, "max_clip_bytes", ops->max_clip_bytes);
    long long max_ms = cm_json_int(call->begin, "max_clip_ms", ops->max_clip_ms);
    if (max_bytes > 0 && bytes > max_bytes) {
        return too_large(call, "bytes", bytes, max_bytes);
    }
    if (max_ms > 0 && length_ms > max_ms) {
        return too_large(call, "ms", length_ms, max_ms);
    }
    struct cm_post post = {.size = sizeof post};
    enum cm_verdict verdict = ops->publish(&call->ctx, request, &post);
    if (verdict != CM_OK) {
        return verdict;
    }
    take_post(call, &post);
    if (!call->host->sent) { /* right only when an earlier attempt had posted it already */
        cm_info("the plugin of %s published without asking sending() first", call->ctx.instance);
    }
    return CM_OK;
}

static enum cm_verdict ask_find(struct cm_call *call, const struct cm_publish_ops *ops,
                                const struct cm_publish_request *request)
{
    struct cm_post post = {.size = sizeof post};
    enum cm_found found = CM_UNKNOWN;
    if (!ops->find) {
        return cm_call_fail(call, CM_CANNOT, CM_REASON_UNSUPPORTED, N_("%s cannot be searched"), call->ctx.instance);
    }
    enum cm_verdict verdict = ops->find(&call->ctx, request, &found, &post);
    if (verdict != CM_OK) {
        return verdict;
    }
    call->done->found = found >= CM_FOUND && found <= CM_UNKNOWN ? (int)found : CM_UNKNOWN;
    if (call->done->found == CM_FOUND) {
        take_post(call, &post);
    }
    return CM_OK;
}

/* stats and remove: about a post that is there. What it says goes into facts.json. */
static enum cm_verdict ask_about(struct cm_call *call, const struct cm_publish_request *request,
                                 enum cm_verdict (*function)(struct cm_ctx *, const struct cm_publish_request *))
{
    if (!function) {
        return cm_call_fail(call, CM_CANNOT, CM_REASON_UNSUPPORTED, N_("%s cannot do \"%s\""), call->ctx.instance,
                            call->op);
    }
    return function(&call->ctx, request);
}

static enum cm_verdict ask_stats(struct cm_call *call, const struct cm_publish_ops *ops,
                                 const struct cm_publish_request *request)
{
    enum cm_verdict verdict = ask_about(call, request, ops->stats);
    return verdict == CM_OK ? cm_call_write(call, "stats", NULL, "stats.json", call->facts, NULL) : verdict;
}

static enum cm_verdict ask_remove(struct cm_call *call, const struct cm_publish_ops *ops,
                                  const struct cm_publish_request *request)
{
    return ask_about(call, request, ops->remove);
}

static enum cm_verdict ask_account(struct cm_call *call, enum cm_verdict (*function)(struct cm_ctx *))
{
    if (!function) {
        return cm_call_fail(call, CM_CANNOT, CM_REASON_UNSUPPORTED, N_("%s cannot do \"%s\""), call->ctx.instance,
                            call->op);
    }
    return function(&call->ctx);
}

static enum cm_verdict ask_check(struct cm_call *call, const struct cm_publish_ops *ops,
                                 const struct cm_publish_request *request)
{
    (void)request;
    return ask_account(call, ops->check);
}

static enum cm_verdict ask_refresh(struct cm_call *call, const struct cm_publish_ops *ops,
                                   const struct cm_publish_request *request)
{
    (void)request;
    return ask_account(call, ops->refresh);
}

static const struct {
    const char *op;
    asked_fn ask;
} operations[] = {
    {"publish", ask_publish}, {"find", ask_find},   {"stats", ask_stats},
    {"remove", ask_remove},   {"check", ask_check}, {"refresh", ask_refresh},
};

static int starts_character(char byte)
{
    return ((unsigned char)byte & 0xc0) != 0x80;
}

/* The text, cut at a word to what the platform takes. */
static const char *cut_text(struct cm_call *call, const char *text, int64_t max_chars)
{
    int64_t count = 0;
    size_t room = 0, space = 0; /* where one character less than the limit ends; the last space before */
    for (size_t at = 0; text[at]; at++) {
        if (starts_character(text[at]) && count++ == max_chars - 1) {
            room = at;
        }
        space = room == 0 && (text[at] == ' ' || text[at] == '\n') ? at : space;
    }
    if (max_chars <= 0 || count <= max_chars) {
        return text;
    }
    size_t bytes = space > room / 2 ? space : room;
    char *cut = cm_host_alloc(&call->ctx, bytes + sizeof "…");
    memcpy(cut, text, bytes);
    memcpy(cut + bytes, "…", sizeof "…");
    return cut;
}

enum cm_verdict cm_stage_publish(struct cm_call *call)
{
    const struct cm_publish_ops *ops = call->ops;
    struct json_object *clip = cm_call_input(call, "clip", NULL);
    struct json_object *facts = clip ? cm_json_object(clip, "facts") : NULL;
    const char *post_id = cm_json_text(call->begin, "post_id", "");
    struct cm_publish_request request = {
        .size = sizeof request,
        .key = cm_json_text(call->begin, "effect_key", ""),
        .clip_path = cm_call_input_path(call, "clip"),
        .thumbnail_path = cm_call_input_path(call, "thumbnail"),
        .captions_path = cm_call_input_path(call, "captions_srt"),
        .name = cm_json_text(facts, "name", "clip"),
        .title = cm_json_text(facts, "title", ""),
        .text = cut_text(call, cm_json_text(facts, "text", ""), ops->max_text_chars),
        .post_id = *post_id ? post_id : NULL,
        .duration_ms = cm_json_int(facts, "duration_ms", 0),
        .width = (int32_t)cm_json_int(facts, "width", 0),
        .height = (int32_t)cm_json_int(facts, "height", 0),
        .small_thumbnail_path = cm_call_input_path(call, "thumbnail_small"),
    };
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        if (!strcmp(operations[i].op, call->op)) {
            return operations[i].ask(call, ops, &request);
        }
    }
    return cm_call_fail(call, CM_CANNOT, CM_REASON_INTERNAL, N_("publish has no operation \"%s\""), call->op);
}
