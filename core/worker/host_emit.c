/*
 * What a plugin emits, copied one item at a time. Nothing is judged here beyond what would make
 * no sense at all: the stages do that.
 */
#include <errno.h>
#include <json-c/json.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/worker/call.h"
#include "core/worker/host.h"

#define FACT_NAME_MAX_BYTES 64

/* Room for one more in a list of the emitted, zeroed by what is copied into it. */
#define APPEND(list, count, room) ((list) = cm_grow((list), &(room), (count), sizeof *(list)), &(list)[(count)++])

static struct cm_emitted *emitted_of(struct cm_ctx *ctx)
{
    return cm_host_of(ctx)->emitted;
}

static const char *text_or_empty(struct cm_ctx *ctx, const char *text)
{
    return text ? cm_host_clean(ctx, text) : "";
}

/* True for a regular, non-empty file; in the attempt folder no link is followed, or a plugin could
 * hand out files that it may read and nobody meant to give away. */
static int is_there(const char *path, int follow)
{
    struct stat info;
    int result = follow ? stat(path, &info) : lstat(path, &info);
    return result == 0 && S_ISREG(info.st_mode) && info.st_size > 0;
}

static int is_plain_name(const char *name)
{
    return *name && !strchr(name, '/') && strcmp(name, ".") && strcmp(name, "..");
}

int cm_host_emit_file(struct cm_ctx *ctx, const struct cm_file *file)
{
    struct cm_call *call = cm_host_of(ctx);
    struct cm_file taken;
    cm_host_take(&taken, sizeof taken, file);
    int outside = !taken.file && taken.path && *taken.path == '/';
    if (outside && strcmp(cm_json_text(call->begin, "stage", ""), "source")) {
        cm_error("the plugin named %s as a result: only a source may leave a file where it is", taken.path);
        return -1;
    }
    if (!taken.role || !*taken.role || (!outside && (!taken.file || !is_plain_name(taken.file)))) {
        cm_error("the plugin named a result without a role or a plain file name");
        return -1;
    }
    char *path = outside ? cm_strdup(taken.path) : cm_format("%s/%s", call->dir, taken.file);
    int there = is_there(path, outside);
    free(path);
    if (!there) {
        cm_warn("the plugin named %s as a result, and it is missing or empty", outside ? taken.path : taken.file);
        return -1;
    }
    struct cm_emitted *emitted = call->emitted;
    struct cm_file *kept = APPEND(emitted->files, emitted->file_count, emitted->file_room);
    *kept = taken;
    kept->role = text_or_empty(ctx, taken.role);
    kept->file = outside ? NULL : cm_host_copy(ctx, taken.file);
    kept->path = outside ? cm_host_copy(ctx, taken.path) : NULL;
    kept->note = text_or_empty(ctx, taken.note);
    return 0;
}

/* Sums of the times that are let in never overflow. */
static int is_time(const char *what, int64_t start_ms, int64_t end_ms)
{
    int good = start_ms >= -CM_JSON_MS_MAX && start_ms <= CM_JSON_MS_MAX && end_ms >= -CM_JSON_MS_MAX &&
               end_ms <= CM_JSON_MS_MAX;
    if (!good) {
        cm_warn("the plugin's %s is left out: no time is %lld to %lld ms", what, (long long)start_ms,
                (long long)end_ms);
    }
    return good;
}

void cm_host_emit_word(struct cm_ctx *ctx, const struct cm_word *word)
{
    struct cm_emitted *emitted = emitted_of(ctx);
    struct cm_word taken;
    cm_host_take(&taken, sizeof taken, word);
    if (is_time("word", taken.start_ms, taken.end_ms)) {
        taken.text = text_or_empty(ctx, taken.text);
        *APPEND(emitted->words, emitted->word_count, emitted->word_room) = taken;
    }
}

void cm_host_emit_segment(struct cm_ctx *ctx, const struct cm_segment *segment)
{
    struct cm_emitted *emitted = emitted_of(ctx);
    struct cm_segment taken;
    cm_host_take(&taken, sizeof taken, segment);
    if (is_time("segment", taken.start_ms, taken.end_ms)) {
        taken.text = text_or_empty(ctx, taken.text);
        *APPEND(emitted->segments, emitted->segment_count, emitted->segment_room) = taken;
    }
}

void cm_host_emit_speech(struct cm_ctx *ctx, const struct cm_interval *interval)
{
    struct cm_emitted *emitted = emitted_of(ctx);
    struct cm_interval taken;
    cm_host_take(&taken, sizeof taken, interval);
    if (taken.start_ms < taken.end_ms && isfinite(taken.level_db) && is_time("speech", taken.start_ms, taken.end_ms)) {
        *APPEND(emitted->speech, emitted->speech_count, emitted->speech_room) = taken;
    }
}

void cm_host_emit_chunk(struct cm_ctx *ctx, const struct cm_chunk *chunk)
{
    struct cm_emitted *emitted = emitted_of(ctx);
    size_t first = 0;
    if (emitted->chunk_count > 0) {
        const struct cm_emitted_chunk *last = &emitted->chunks[emitted->chunk_count - 1];
        first = last->first_speech + last->speech_count;
    }
    struct cm_emitted_chunk *kept = APPEND(emitted->chunks, emitted->chunk_count, emitted->chunk_room);
    cm_host_take(&kept->chunk, sizeof kept->chunk, chunk);
    kept->chunk.file = text_or_empty(ctx, kept->chunk.file);
    if (!is_time("chunk", kept->chunk.start_ms, kept->chunk.end_ms)) {
        kept->chunk.start_ms = kept->chunk.end_ms = -1; /* the stage refuses it: its file would be missing */
    }
    kept->first_speech = first;
    kept->speech_count = emitted->speech_count - first;
}

void cm_host_emit_cue(struct cm_ctx *ctx, const struct cm_cue *cue)
{
    struct cm_emitted *emitted = emitted_of(ctx);
    struct cm_cue taken;
    cm_host_take(&taken, sizeof taken, cue);
    if (isfinite(taken.value) && is_time("cue", taken.start_ms, taken.end_ms)) {
        *APPEND(emitted->cues, emitted->cue_count, emitted->cue_room) = taken;
    }
}

void cm_host_emit_fact(struct cm_ctx *ctx, const char *name, const char *json_value)
{
    char *error = NULL;
    size_t bytes = name ? strlen(name) : 0;
    int named =
        bytes > 0 && bytes <= FACT_NAME_MAX_BYTES && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == bytes;
    struct json_object *value = json_value ? cm_json_parse(json_value, strlen(json_value), &error) : NULL;
    if (named && value) {
        json_object_object_add(cm_host_of(ctx)->facts, name, value);
    } else {
        cm_warn("the plugin's fact \"%s\" is left out: %s", name ? name : "", error ? error : "a bad name");
        json_object_put(value);
    }
    free(error);
}
