/*
 * Calls that cost money: each is on record before it is sent, and its answer on the disk before the
 * plugin sees it, so that nothing that was answered is ever paid for again.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/worker/call.h"
#include "core/worker/host.h"
#include "core/worker/link.h"

#define ANSWER_MAX_BYTES (64 << 20)

/* ---- Which request it is ------------------------------------------------------------------- */

static void add_line(struct cm_text *text, const char *name, const char *value)
{
    cm_text_add(text, name);
    cm_text_add(text, "=");
    cm_text_add(text, value ? value : "");
    cm_text_add(text, "\n");
}

/* A file by what is in it. */
static void add_file(struct cm_text *text, const char *name, const char *path)
{
    char sha256[65] = "";
    if (cm_file_sha256(path, sha256)) {
        cm_debug("%s cannot be read: %s", path, strerror(errno)); /* the exchange will say so */
    }
    add_line(text, name, sha256);
}

/* One request among all of a job: everything that is sent, but no header, for there the keys are. */
static void fingerprint(const struct cm_http_request *request, char hex[65])
{
    struct cm_text text = {0};
    add_line(&text, "method", request->method);
    add_line(&text, "url", request->url);
    if (request->body) {
        cm_sha256(request->body, request->body_bytes, hex);
        add_line(&text, "body", hex);
    }
    if (request->body_path) {
        add_file(&text, "body", request->body_path);
    }
    for (const struct cm_http_part *theirs = request->parts; theirs; theirs = theirs->next) {
        struct cm_http_part part;
        cm_host_take(&part, sizeof part, theirs);
        add_line(&text, "part", part.name);
        if (part.path) {
            add_file(&text, "file", part.path);
        } else {
            add_line(&text, "text", part.text);
        }
    }
    cm_sha256(text.bytes, text.length, hex);
    cm_text_free(&text);
}

/* ---- What was answered before -------------------------------------------------------------- */

/* Where the answer of a call is kept; malloc'd, or NULL when nothing is kept. */
static char *path_of(struct cm_ctx *ctx, const char *paid)
{
    const char *folder = cm_json_text(cm_host_of(ctx)->begin, "answers", "");
    return *folder && *paid ? cm_path_join(folder, paid) : NULL;
}

static char *answer_path(struct cm_ctx *ctx)
{
    return path_of(ctx, cm_host_of(ctx)->host->paid);
}

/* True when the same request was answered before: *answer is that. */
static int answer_from_disk(struct cm_ctx *ctx, struct cm_http_answer *answer)
{
    char *path = answer_path(ctx);
    size_t count = 0;
    char *body = path ? cm_file_read(path, ANSWER_MAX_BYTES, &count) : NULL;
    free(path);
    if (!body) {
        return 0;
    }
    char *copy = cm_host_alloc(ctx, count + 1);
    memcpy(copy, body, count);
    free(body);
    cm_host_of(ctx)->host->header_count = 0;
    struct cm_http_answer ours = {
        .size = sizeof ours,
        .outcome = CM_HTTP_ANSWERED,
        .status = 200,
        .body = copy,
        .body_bytes = count,
        .retry_after_ms = -1,
        .problem = "",
        .final_url = "",
    };
    cm_host_give(answer, &ours, sizeof ours);
    cm_info("this was answered and paid before; the answer is read from the disk");
    return 1;
}

/* By way of the attempt's own folder, which goes with the attempt: a kill leaves no half of an answer. */
static void keep_answer(struct cm_ctx *ctx, const struct cm_http_answer *answer)
{
    struct cm_call *call = cm_host_of(ctx);
    char *path = answer_path(ctx);
    if (!path) {
        return;
    }
    char *temporary = cm_path_join(call->dir, ".answer");
    if (cm_call_folder(call) || cm_folder_make(cm_json_text(call->begin, "answers", "")) ||
        cm_file_write_via(temporary, path, answer->body, answer->body_bytes)) {
        cm_call_note_disk(call, path, errno);
        cm_warn("a paid answer could not be kept: %s: %s", path, strerror(errno));
    }
    free(temporary);
    free(path);
}

/* ---- The record ---------------------------------------------------------------------------- */

static struct json_object *message_of(struct cm_ctx *ctx, const char *type, const struct cm_spending *theirs)
{
    struct cm_spending spending;
    cm_host_take(&spending, sizeof spending, theirs);
    struct json_object *message = cm_message_new(type);
    json_object_object_add(message, "call", json_object_new_string(cm_host_of(ctx)->host->paid));
    json_object_object_add(message, "model",
                           json_object_new_string(cm_host_clean(ctx, spending.model ? spending.model : "")));
    json_object_object_add(message, "tokens_in", json_object_new_int64(spending.tokens_in));
    json_object_object_add(message, "tokens_out", json_object_new_int64(spending.tokens_out));
    json_object_object_add(message, "audio_ms", json_object_new_int64(spending.audio_ms));
    return message;
}

/* How it ended, as the record has it. An answer with an error status costs nothing, as far as one can know. */
static const char *end_of(const struct cm_http_answer *answer)
{
    if (answer->outcome == CM_HTTP_ANSWERED) {
        return answer->status / 100 == 2 ? "answered" : "refused";
    }
    return answer->outcome == CM_HTTP_UNREACHED ? "unsent" : "unknown";
}

static void record_end(struct cm_ctx *ctx, const struct cm_http_answer *answer)
{
    struct json_object *message = cm_message_new("paid");
    json_object_object_add(message, "call", json_object_new_string(cm_host_of(ctx)->host->paid));
    json_object_object_add(message, "end", json_object_new_string(end_of(answer)));
    cm_link_say(message);
}

/* ---- Host services ------------------------------------------------------------------------- */

static enum cm_http_outcome not_wanted(struct cm_http_answer *answer)
{
    struct cm_http_answer ours = {.size = sizeof ours,
                                  .outcome = CM_HTTP_STOPPED,
                                  .body = "",
                                  .retry_after_ms = -1,
                                  .problem = _("this attempt is not wanted any more"),
                                  .final_url = ""};
    cm_host_give(answer, &ours, sizeof ours);
    return CM_HTTP_STOPPED;
}

enum cm_http_outcome cm_host_http_paid(struct cm_ctx *ctx, const struct cm_http_request *theirs,
                                       struct cm_http_answer *answer)
{
    struct cm_http_request request;
    struct cm_http_answer ours = {.size = sizeof ours};
    cm_host_take(&request, sizeof request, theirs);
    if (!request.paid) {
        return cm_host_http(ctx, &request, answer);
    }
    fingerprint(&request, cm_host_of(ctx)->host->paid);
    if (answer_from_disk(ctx, answer)) {
        return CM_HTTP_ANSWERED;
    }
    if (!cm_link_ask(message_of(ctx, "paying", request.paid))) {
        return not_wanted(answer);
    }
    cm_host_http(ctx, &request, &ours);
    if (ours.outcome == CM_HTTP_ANSWERED && ours.status / 100 == 2) {
        keep_answer(ctx, &ours);
    }
    record_end(ctx, &ours);
    cm_host_give(answer, &ours, sizeof ours);
    return (enum cm_http_outcome)ours.outcome;
}

void cm_host_drop_answer(struct cm_ctx *ctx, const char *paid)
{
    char *path = path_of(ctx, paid);
    if (path && unlink(path) && errno != ENOENT) {
        cm_warn("%s could not be removed: %s", path, strerror(errno));
    }
    free(path);
}

void cm_host_spent(struct cm_ctx *ctx, const struct cm_spending *used)
{
    struct cm_spending spending;
    cm_host_take(&spending, sizeof spending, used);
    if (*cm_host_of(ctx)->host->paid == '\0') {
        cm_warn("the plugin told what a call cost, but made none that is paid");
        return;
    }
    if (spending.useless) {
        cm_host_drop_answer(ctx, cm_host_of(ctx)->host->paid);
    }
    cm_link_say(message_of(ctx, "spent", &spending));
}
