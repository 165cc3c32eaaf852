/*
 * The table of services that a plugin gets, and those of them that concern the call itself:
 * memory, log, failure, progress, and what the daemon must have committed.
 */
#include "core/worker/host.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/common/done.h"
#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/worker/call.h"
#include "core/worker/link.h"

#define PROGRESS_EVERY_MS 250
#define NAME_MAX_BYTES 64
#define VALUE_MAX_BYTES 4096

struct cm_host_memory {
    struct cm_host_memory *next;
    max_align_t bytes[];
};

struct cm_call *cm_host_of(struct cm_ctx *ctx)
{
    return (struct cm_call *)ctx; /* ctx is the first member */
}

void cm_host_take(void *ours, size_t our_bytes, const void *theirs)
{
    uint32_t size;
    memcpy(&size, theirs, sizeof size);
    /* 0: forgotten. Whoever can call us was compiled with at least the first version. */
    size_t bytes = size && size < our_bytes ? size : our_bytes;
    memset(ours, 0, our_bytes);
    memcpy(ours, theirs, bytes);
    uint32_t our_size = (uint32_t)our_bytes;
    memcpy(ours, &our_size, sizeof our_size);
}

void cm_host_give(void *theirs, const void *ours, size_t our_bytes)
{
    uint32_t size;
    memcpy(&size, theirs, sizeof size);
    size_t bytes = size && size < our_bytes ? size : our_bytes;
    memcpy((char *)theirs + sizeof size, (const char *)ours + sizeof size, bytes - sizeof size);
}

void *cm_host_alloc(struct cm_ctx *ctx, size_t bytes)
{
    struct cm_host_call *host = cm_host_of(ctx)->host;
    struct cm_host_memory *block = cm_alloc(sizeof *block + (bytes > 0 ? bytes : 1));
    block->next = host->memory;
    host->memory = block;
    return block->bytes;
}

char *cm_host_copy(struct cm_ctx *ctx, const char *text)
{
    size_t bytes = strlen(text) + 1;
    return memcpy(cm_host_alloc(ctx, bytes), text, bytes);
}

char *cm_host_clean(struct cm_ctx *ctx, const char *text)
{
    char *copy = cm_host_copy(ctx, text);
    if (cm_is_utf8(copy, strlen(copy))) {
        return copy;
    }
    for (char *at = copy; *at;) {
        size_t left = strlen(at), bytes = 1;
        while (bytes <= 4 && bytes <= left && !cm_is_utf8(at, bytes)) {
            bytes++;
        }
        if (bytes > 4 || bytes > left) {
            *at = '?';
            bytes = 1;
        }
        at += bytes;
    }
    return copy;
}

static void host_log(struct cm_ctx *ctx, enum cm_log_level level, const char *format, ...)
{
    (void)ctx;
    va_list arguments;
    va_start(arguments, format);
    char *text = cm_vformat(format, arguments);
    va_end(arguments);
    cm_log_at((int)level, "%s", text);
    free(text);
}

static char *host_format(struct cm_ctx *ctx, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = cm_vformat(format, arguments);
    va_end(arguments);
    char *copy = cm_host_copy(ctx, text);
    free(text);
    return copy;
}

static enum cm_verdict host_fail(struct cm_ctx *ctx, const struct cm_failure *failure, const char *format, ...)
{
    struct cm_failure taken;
    cm_host_take(&taken, sizeof taken, failure);
    va_list arguments;
    va_start(arguments, format);
    char *words = cm_vformat(cm_words(format), arguments);
    va_end(arguments);
    cm_call_record(cm_host_of(ctx), &taken, words);
    free(words);
    return (enum cm_verdict)taken.verdict;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

void cm_host_alive(struct cm_ctx *ctx)
{
    struct cm_host_call *host = cm_host_of(ctx)->host;
    int64_t now = now_ms();
    if (host->progress_ms && now - host->progress_ms < PROGRESS_EVERY_MS) {
        return;
    }
    host->progress_ms = now;
    struct json_object *message = cm_message_new("progress");
    json_object_object_add(message, "done", json_object_new_double(host->progress));
    cm_link_tell(message);
}

static void host_progress(struct cm_ctx *ctx, double done)
{
    if (done >= 0) {
        cm_host_of(ctx)->host->progress = done > 1 ? 1 : done;
        cm_host_alive(ctx);
    }
}

int cm_host_stopping(struct cm_ctx *ctx)
{
    int64_t deadline_ms = cm_host_of(ctx)->host->deadline_ms;
    return cm_link_stopping() || (deadline_ms > 0 && now_ms() >= deadline_ms);
}

static const char *host_output(struct cm_ctx *ctx, const char *name)
{
    struct cm_call *call = cm_host_of(ctx);
    if (!*name || strchr(name, '/') || !strcmp(name, "..") || !strcmp(name, ".")) {
        cm_error("the plugin asked for an output named \"%s\": a plain file name is needed", name);
        return ""; /* opening it fails with "no such file" */
    }
    if (cm_call_folder(call)) {
        cm_call_note_disk(call, call->dir, errno);
    }
    return host_format(ctx, "%s/%s", call->dir, name);
}

static int host_speech(struct cm_ctx *ctx, size_t index, struct cm_interval *interval)
{
    struct cm_host_call *host = cm_host_of(ctx)->host;
    if (index >= host->chunk_speech_count) {
        return 0;
    }
    cm_host_give(interval, &host->chunk_speech[index], sizeof *interval);
    return 1;
}

static char *slot(const char *account, const char *name)
{
    return cm_format("%s|%s", account ? account : "", name);
}

static const char *host_recall(struct cm_ctx *ctx, const char *account, const char *name)
{
    char *key = slot(account, name);
    const char *value = cm_json_text(cm_host_of(ctx)->host->recalled, key, NULL);
    free(key);
    return value ? cm_host_copy(ctx, value) : NULL;
}

/* Names and values go into a message and into the store: short, and text. */
static int can_be_kept(const char *name, const char *value)
{
    if (!*name || strlen(name) > NAME_MAX_BYTES || strlen(value) > VALUE_MAX_BYTES) {
        cm_error("the plugin wants to keep \"%.80s\" with %zu bytes: at most %d for a name and %d for a value", name,
                 strlen(value), NAME_MAX_BYTES, VALUE_MAX_BYTES);
        return 0;
    }
    if (!cm_is_utf8(name, strlen(name)) || !cm_is_utf8(value, strlen(value))) {
        cm_error("the plugin wants to keep \"%s\" with bytes that are not UTF-8", name);
        return 0;
    }
    return 1;
}

static void keep(struct json_object *object, const char *name, const char *value)
{
    if (value) {
        json_object_object_add(object, name, json_object_new_string(value));
    } else {
        json_object_object_del(object, name);
    }
}

static int host_remember(struct cm_ctx *ctx, const char *account, const char *name, const char *expected,
                         const char *value)
{
    if (!can_be_kept(name, value ? value : "") || !can_be_kept(name, expected ? expected : "")) {
        return -1;
    }
    struct json_object *message = cm_message_new("remember");
    keep(message, "account", account ? account : "");
    keep(message, "name", name);
    keep(message, "expected", expected ? expected : "");
    json_object_object_add(message, "had", json_object_new_boolean(expected != NULL));
    keep(message, "value", value ? value : "");
    json_object_object_add(message, "keep", json_object_new_boolean(value != NULL));
    if (!cm_link_ask(message)) {
        return -1;
    }
    char *key = slot(account, name);
    keep(cm_host_of(ctx)->host->recalled, key, value);
    free(key);
    return 0;
}

static const char *host_saved(struct cm_ctx *ctx, const char *name)
{
    const char *value = cm_json_text(cm_host_of(ctx)->host->saved, name, NULL);
    return value ? cm_host_copy(ctx, value) : NULL;
}

static int host_save(struct cm_ctx *ctx, const char *name, const char *value)
{
    if (!can_be_kept(name, value)) {
        return -1;
    }
    struct json_object *message = cm_message_new("save");
    keep(message, "name", name);
    keep(message, "value", value);
    if (!cm_link_ask(message)) {
        return -1;
    }
    keep(cm_host_of(ctx)->host->saved, name, value);
    return 0;
}

int cm_host_sending(struct cm_ctx *ctx)
{
    struct cm_call *call = cm_host_of(ctx);
    if (strcmp(cm_json_text(call->begin, "stage", ""), "publish")) {
        cm_error("the plugin called sending(), which is for publish plugins only");
        return -1;
    }
    if (!cm_link_ask(cm_message_new("sending"))) {
        return -1;
    }
    call->host->sent = 1;
    return 0;
}

static const struct cm_host services = {
    .size = sizeof(struct cm_host),
    .log = host_log,
    .alloc = cm_host_alloc,
    .format = host_format,
    .fail = host_fail,
    .progress = host_progress,
    .stopping = cm_host_stopping,
    .output = host_output,
    .emit_file = cm_host_emit_file,
    .emit_word = cm_host_emit_word,
    .emit_segment = cm_host_emit_segment,
    .emit_speech = cm_host_emit_speech,
    .emit_chunk = cm_host_emit_chunk,
    .emit_cue = cm_host_emit_cue,
    .emit_fact = cm_host_emit_fact,
    .speech = host_speech,
    .http = cm_host_http_paid,
    .http_header = cm_host_http_header,
    .json_parse = cm_host_json_parse,
    .json_at = cm_host_json_at,
    .json_string = cm_host_json_string,
    .json_number = cm_host_json_number,
    .json_bool = cm_host_json_bool,
    .json_count = cm_host_json_count,
    .json_text = cm_host_json_text,
    .json_quote = cm_host_json_quote,
    .run = cm_host_run,
    .recall = host_recall,
    .remember = host_remember,
    .saved = host_saved,
    .save = host_save,
    .sending = cm_host_sending,
    .spent = cm_host_spent,
    .json_int = cm_host_json_int,
};

/* The object in the begin message, made when it is missing, so that it can be written to. */
static struct json_object *object_in(struct json_object *begin, const char *field)
{
    struct json_object *object = cm_json_object(begin, field);
    if (!object) {
        object = json_object_new_object();
        json_object_object_add(begin, field, object);
    }
    return object;
}

void cm_host_open(struct cm_call *call)
{
    call->host = cm_alloc(sizeof *call->host);
    call->emitted = cm_alloc(sizeof *call->emitted);
    call->facts = json_object_new_object();
    call->host->saved = object_in(call->begin, "saved");
    call->host->recalled = object_in(call->begin, "recalled");
    call->ctx.size = sizeof call->ctx;
    call->ctx.host = &services;
    call->ctx.instance = cm_json_text(call->begin, "instance", "");
    call->ctx.language = cm_json_text(call->begin, "language", "auto");
    int64_t deadline_ms = cm_json_int(call->begin, "deadline_ms", 0);
    call->ctx.deadline_utc_ms = deadline_ms > 0 ? cm_utc_ms() + deadline_ms : 0;
    call->host->deadline_ms = deadline_ms > 0 ? now_ms() + deadline_ms : 0;
}

void cm_host_close(struct cm_call *call)
{
    struct cm_host_call *host = call->host;
    while (host->memory) {
        struct cm_host_memory *next = host->memory->next;
        free(host->memory);
        host->memory = next;
    }
    for (size_t i = 0; i < host->parsed_count; i++) {
        json_object_put(host->parsed[i]);
    }
    free(host->parsed);
    free(host->words);
    free(host->disk_words);
    free(host->chunk_speech);
    free(host->headers);
    free(host);
    struct cm_emitted *emitted = call->emitted;
    free(emitted->words);
    free(emitted->segments);
    free(emitted->speech);
    free(emitted->chunks);
    free(emitted->cues);
    free(emitted->files);
    free(emitted);
    json_object_put(call->facts);
    call->host = NULL;
    call->emitted = NULL;
    call->facts = NULL;
}

/* A plugin that returned a verdict without saying why. */
static void record_silent(struct cm_call *call, enum cm_verdict returned)
{
    struct cm_failure failure = {.verdict = (uint32_t)returned, .reason = CM_REASON_INTERNAL};
    if (returned < CM_OK || returned > CM_UNSURE) {
        failure.verdict = CM_CANNOT;
    }
    char *words = cm_format(_("the plugin of %s gave no reason for its verdict %d: a bug in it"), call->ctx.instance,
                            (int)returned);
    cm_call_record(call, &failure, words);
    free(words);
}

/* Whoever must make room has to know where. */
static void name_the_folder(struct cm_call *call)
{
    struct cm_host_call *host = call->host;
    if (host->verdict == CM_HOLD && host->reason == CM_REASON_RESOURCE && !strchr(host->words, '/')) {
        char *longer = cm_format("%s (%s)", host->words, call->dir);
        free(host->words);
        host->words = longer;
    }
}

enum cm_verdict cm_host_judge(struct cm_call *call, enum cm_verdict returned)
{
    struct cm_host_call *host = call->host;
    struct cm_done *done = call->done;
    if (returned != CM_OK && (!host->verdict || host->verdict != returned)) {
        record_silent(call, returned);
    }
    if (returned != CM_OK && host->disk_words && !host->sent) {
        struct cm_failure failure = {.verdict = CM_HOLD, .reason = CM_REASON_RESOURCE};
        cm_call_record(call, &failure, host->disk_words);
    }
    if (returned == CM_OK) {
        done->outcome = CM_OK;
        return CM_OK;
    }
    name_the_folder(call);
    done->outcome = host->verdict;
    done->reason = host->reason;
    done->scope = host->scope;
    done->delay_ms = host->delay_ms;
    cm_done_text(&done->words, host->words);
    return host->verdict;
}
