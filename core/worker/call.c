/*
 * What the stages share: reading the call's inputs and parameters, writing its artifacts, failing.
 */
#include "core/worker/call.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/worker/kept.h"

#define ARTIFACT_MAX_BYTES (256 * 1024 * 1024)
#define DELAY_MAX_MS (24 * 3600 * 1000LL)
#define WORDS_MAX_BYTES 1000

static int in_range(uint32_t value, int first, int last, int fallback)
{
    return value >= (uint32_t)first && value <= (uint32_t)last ? (int)value : fallback;
}

void cm_call_record(struct cm_call *call, const struct cm_failure *failure, const char *words)
{
    struct cm_host_call *host = call->host;
    host->verdict = (enum cm_verdict)in_range(failure->verdict, CM_AGAIN, CM_UNSURE, CM_CANNOT);
    host->reason = (enum cm_reason)in_range(failure->reason, CM_REASON_NETWORK, CM_REASON_INTERNAL, CM_REASON_INTERNAL);
    host->scope = (enum cm_scope)in_range(failure->scope, CM_SCOPE_ITEM, CM_SCOPE_INSTANCE, CM_SCOPE_ITEM);
    host->delay_ms = failure->delay_ms < 0 ? 0 : failure->delay_ms > DELAY_MAX_MS ? DELAY_MAX_MS : failure->delay_ms;
    free(host->words);
    host->words = cm_log_clean(words);
    size_t bytes = strlen(host->words);
    if (bytes > WORDS_MAX_BYTES) {
        bytes = WORDS_MAX_BYTES;
        while (bytes > 0 && ((unsigned char)host->words[bytes] & 0xc0) == 0x80) {
            bytes--;
        }
        host->words[bytes] = '\0';
    }
}

void cm_call_note_disk(struct cm_call *call, const char *path, int error)
{
    if (call->host->disk_words || (error != ENOSPC && error != EDQUOT && error != EROFS && error != EACCES)) {
        return;
    }
    const char *slash = strrchr(path, '/');
    char *folder = slash && slash > path ? cm_strndup(path, (size_t)(slash - path)) : cm_strdup("/");
    const char *format = error == EROFS || error == EACCES
                             ? _("cannot write into the folder %s: %s; make it writable and it goes on")
                             : _("cannot write into the folder %s: %s; make room and it goes on");
    call->host->disk_words = cm_format(format, folder, strerror(error));
    free(folder);
}

enum cm_verdict cm_call_fail(struct cm_call *call, enum cm_verdict verdict, enum cm_reason reason, const char *format,
                             ...)
{
    struct cm_failure failure = {.verdict = (uint32_t)verdict, .reason = (uint32_t)reason};
    va_list arguments;
    va_start(arguments, format);
    char *words = cm_vformat(cm_words(format), arguments);
    va_end(arguments);
    cm_call_record(call, &failure, words);
    free(words);
    return verdict;
}

enum cm_verdict cm_call_fail_write(struct cm_call *call, const char *path, int error)
{
    cm_call_note_disk(call, path, error);
    if (call->host->disk_words) {
        return cm_call_fail(call, CM_HOLD, CM_REASON_RESOURCE, "%s", call->host->disk_words);
    }
    return cm_call_fail(call, CM_AGAIN, CM_REASON_RESOURCE, N_("cannot write %s: %s"), path, strerror(error));
}

int cm_call_folder(struct cm_call *call)
{
    call->has_folder = call->has_folder || cm_folder_make(call->dir) == 0;
    return call->has_folder ? 0 : -1;
}

struct json_object *cm_call_input(struct cm_call *call, const char *role, const char *key)
{
    size_t count = call->inputs ? json_object_array_length(call->inputs) : 0;
    for (size_t i = 0; i < count; i++) {
        struct json_object *input = json_object_array_get_idx(call->inputs, i);
        if (!strcmp(cm_json_text(input, "role", ""), role) && (!key || !strcmp(cm_json_text(input, "key", ""), key))) {
            return input;
        }
    }
    return NULL;
}

const char *cm_call_input_path(struct cm_call *call, const char *role)
{
    struct json_object *input = cm_call_input(call, role, NULL);
    return input ? cm_json_text(input, "path", NULL) : NULL;
}

struct json_object *cm_call_read(struct cm_call *call, const char *role, const char *key)
{
    struct json_object *input = cm_call_input(call, role, key);
    const char *path = input ? cm_json_text(input, "path", NULL) : NULL;
    if (!path) {
        cm_call_fail(call, CM_CANNOT, CM_REASON_INTERNAL, N_("the step before this one left no %s%s%s"), role,
                     key ? " " : "", key ? key : "");
        return NULL;
    }
    char *error = NULL;
    struct json_object *value = cm_json_read(path, ARTIFACT_MAX_BYTES, &error);
    if (!value) {
        cm_call_fail(call, CM_CANNOT, CM_REASON_INTERNAL, N_("the %s of an earlier step cannot be read: %s"), role,
                     error);
        free(error);
    }
    return value;
}

/* Where FILE of an artifact lies: a name in the attempt folder, or an absolute path. */
static char *place_of(struct cm_call *call, const char *file)
{
    return *file == '/' ? cm_strdup(file) : cm_path_join(call->dir, file);
}

static const char *facts_text(struct json_object *facts)
{
    return facts ? json_object_to_json_string_ext(facts, JSON_C_TO_STRING_PLAIN) : "{}";
}

enum cm_verdict cm_call_write(struct cm_call *call, const char *role, const char *key, const char *file,
                              struct json_object *value, struct json_object *facts)
{
    size_t count;
    int flags = JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE;
    const char *text = json_object_to_json_string_length(value, flags, &count);
    char *path = place_of(call, file);
    enum cm_verdict verdict = CM_OK;
    if ((*file != '/' && cm_call_folder(call)) || cm_file_write(path, text, count)) {
        verdict = cm_call_fail_write(call, path, errno);
    } else {
        char sha256[65];
        cm_sha256(text, count, sha256);
        cm_done_add_artifact(call->done, role, key ? key : "", file, (int64_t)count, sha256, facts_text(facts));
    }
    free(path);
    return verdict;
}

enum cm_verdict cm_call_add_file(struct cm_call *call, const char *role, const char *key, const char *file,
                                 struct json_object *facts)
{
    char *path = place_of(call, file);
    char sha256[65];
    enum cm_verdict verdict = CM_OK;
    int ours = *file != '/'; /* what lies elsewhere is not ours to sync */
    if (ours && (cm_file_sync(path) || cm_file_sync(call->dir))) {
        verdict = cm_call_fail_write(call, path, errno);
    } else if (cm_file_sha256(path, sha256)) {
        verdict = cm_call_fail(call, CM_AGAIN, CM_REASON_RESOURCE, N_("cannot read %s: %s"), path, strerror(errno));
    } else {
        cm_done_add_artifact(call->done, role, key ? key : "", file, cm_file_bytes(path), sha256, facts_text(facts));
    }
    free(path);
    return verdict;
}

const char *cm_call_emitted_file(struct cm_call *call, const char *role)
{
    for (size_t i = 0; i < call->emitted->file_count; i++) {
        const struct cm_file *file = &call->emitted->files[i];
        if (!strcmp(file->role, role)) {
            return file->file ? file->file : file->path;
        }
    }
    return NULL;
}

const char *cm_call_param(struct cm_call *call, const char *name, const char *fallback)
{
    return cm_json_text(call->params, name, fallback);
}

int64_t cm_call_param_int(struct cm_call *call, const char *name, int64_t fallback)
{
    return cm_json_int(call->params, name, fallback);
}

enum cm_verdict cm_call_models(struct cm_call *call, enum cm_verdict (*models)(struct cm_ctx *ctx))
{
    if (!models) {
        return cm_call_fail(call, CM_CANNOT, CM_REASON_UNSUPPORTED, N_("the plugin of %s cannot list its models"),
                            call->ctx.instance);
    }
    enum cm_verdict verdict = models(&call->ctx);
    return verdict == CM_OK ? cm_call_write(call, "models", NULL, "models.json", call->facts, NULL) : verdict;
}
