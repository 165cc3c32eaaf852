/*
 * How an attempt ended, its message, and the names of verdicts, reasons, scopes and stages.
 */
#include "core/common/done.h"

#include <clipmaker/plugin.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/message.h"
#include "core/common/text.h"

#define DELAY_MAX_MS (24 * 3600 * 1000LL)
#define KEY_MAX_BYTES 64

struct name {
    int number;
    const char *text;
};

static const struct name outcome_names[] = {
    {CM_OK, "ok"},
    {CM_AGAIN, "again"},
    {CM_CANNOT, "cannot"},
    {CM_HOLD, "hold"},
    {CM_REJECT, "reject"},
    {CM_UNSURE, "unsure"},
    {CM_OUTCOME_CRASHED, "crashed"},
    {CM_OUTCOME_TIMEOUT, "timeout"},
    {CM_OUTCOME_NOSTART, "nostart"},
    {CM_OUTCOME_LOST, "lost"},
    {CM_OUTCOME_CANCELLED, "cancelled"},
    {CM_OUTCOME_INTERRUPTED, "interrupted"},
    {0, NULL},
};

static const struct name reason_names[] = {
    {CM_REASON_NETWORK, "network"},     {CM_REASON_UNAVAILABLE, "unavailable"},
    {CM_REASON_RATE, "rate"},           {CM_REASON_PROCESSING, "processing"},
    {CM_REASON_QUOTA, "quota"},         {CM_REASON_AUTH, "auth"},
    {CM_REASON_OPERATOR, "operator"},   {CM_REASON_POLICY, "policy"},
    {CM_REASON_RESOURCE, "resource"},   {CM_REASON_UNSUPPORTED, "unsupported"},
    {CM_REASON_LANGUAGE, "language"},   {CM_REASON_TOO_LARGE, "too_large"},
    {CM_REASON_MALFORMED, "malformed"}, {CM_REASON_NOT_FOUND, "not_found"},
    {CM_REASON_NOT_MEDIA, "not_media"}, {CM_REASON_NO_SPEECH, "no_speech"},
    {CM_REASON_TOO_SHORT, "too_short"}, {CM_REASON_CONTENT, "content"},
    {CM_REASON_INPUT, "input"},         {CM_REASON_STOPPED, "stopped"},
    {CM_REASON_INTERNAL, "internal"},   {0, NULL},
};

static const struct name scope_names[] = {
    {CM_SCOPE_ITEM, "item"},
    {CM_SCOPE_KEY, "key"},
    {CM_SCOPE_ACCOUNT, "account"},
    {CM_SCOPE_INSTANCE, "instance"},
    {0, NULL},
};

static const struct name stage_names[] = {
    {CM_STAGE_SOURCE, "source"},
    {CM_STAGE_PREPARE, "prepare"},
    {CM_STAGE_STT, "stt"},
    {CM_STAGE_LLM, "llm"},
    {CM_STAGE_RENDER, "render"},
    {CM_STAGE_PUBLISH, "publish"},
    {0, NULL},
};

static const struct name found_names[] = {
    {CM_FOUND, "found"},
    {CM_ABSENT, "absent"},
    {CM_UNKNOWN, "unknown"},
    {0, NULL},
};

static const char *name_of(const struct name *names, int number)
{
    for (; names->text; names++) {
        if (names->number == number) {
            return names->text;
        }
    }
    return "";
}

static int number_of(const struct name *names, const char *text)
{
    for (; names->text; names++) {
        if (!strcmp(names->text, text)) {
            return names->number;
        }
    }
    return 0;
}

const char *cm_outcome_name(int outcome)
{
    return name_of(outcome_names, outcome);
}

int cm_outcome_from_name(const char *name)
{
    return number_of(outcome_names, name);
}

const char *cm_reason_name(int reason)
{
    return name_of(reason_names, reason);
}

int cm_reason_from_name(const char *name)
{
    return number_of(reason_names, name);
}

const char *cm_scope_name(int scope)
{
    return name_of(scope_names, scope);
}

int cm_scope_from_name(const char *name)
{
    return number_of(scope_names, name);
}

const char *cm_stage_name(int stage)
{
    return name_of(stage_names, stage);
}

int cm_stage_from_name(const char *name)
{
    return number_of(stage_names, name);
}

struct cm_done *cm_done_new(int outcome)
{
    struct cm_done *done = cm_alloc(sizeof *done);
    done->outcome = outcome;
    done->words = cm_strdup("");
    done->dimension = cm_strdup("");
    done->post_id = cm_strdup("");
    done->url = cm_strdup("");
    return done;
}

void cm_done_free(struct cm_done *done)
{
    if (!done) {
        return;
    }
    for (size_t i = 0; i < done->artifact_count; i++) {
        struct cm_done_artifact *one = &done->artifacts[i];
        free(one->role);
        free(one->key);
        free(one->file);
        free(one->sha256);
        free(one->facts);
    }
    for (size_t i = 0; i < done->child_count; i++) {
        free(done->children[i]);
    }
    free(done->artifacts);
    free(done->children);
    free(done->words);
    free(done->dimension);
    free(done->post_id);
    free(done->url);
    free(done);
}

void cm_done_text(char **field, const char *text)
{
    char *copy = cm_strdup(text ? text : "");
    free(*field);
    *field = copy;
}

/* The struct has counts but no room, so lists grow by doubling at powers of two. */
static void *room_for_one(void *items, size_t count, size_t item_bytes)
{
    int full = (count & (count - 1)) == 0; /* 0, 1, 2, 4, … */
    return full ? cm_realloc(items, (count ? 2 * count : 1) * item_bytes) : items;
}

void cm_done_add_artifact(struct cm_done *done, const char *role, const char *key, const char *file, int64_t bytes,
                          const char *sha256, const char *facts)
{
    done->artifacts = room_for_one(done->artifacts, done->artifact_count, sizeof *done->artifacts);
    struct cm_done_artifact *one = &done->artifacts[done->artifact_count++];
    one->role = cm_strdup(role);
    one->key = cm_strdup(key ? key : "");
    one->file = cm_strdup(file);
    one->bytes = bytes;
    one->sha256 = cm_strdup(sha256 ? sha256 : "");
    one->facts = cm_strdup(facts && *facts ? facts : "{}");
}

void cm_done_add_child(struct cm_done *done, const char *key)
{
    done->children = room_for_one(done->children, done->child_count, sizeof *done->children);
    done->children[done->child_count++] = cm_strdup(key);
}

struct cm_done *cm_done_copy(const struct cm_done *done)
{
    struct cm_done *copy = cm_done_new(done->outcome);
    copy->reason = done->reason;
    copy->scope = done->scope;
    copy->delay_ms = done->delay_ms;
    copy->found = done->found;
    cm_done_text(&copy->words, done->words);
    cm_done_text(&copy->dimension, done->dimension);
    cm_done_text(&copy->post_id, done->post_id);
    cm_done_text(&copy->url, done->url);
    for (size_t i = 0; i < done->artifact_count; i++) {
        const struct cm_done_artifact *one = &done->artifacts[i];
        cm_done_add_artifact(copy, one->role, one->key, one->file, one->bytes, one->sha256, one->facts);
    }
    for (size_t i = 0; i < done->child_count; i++) {
        cm_done_add_child(copy, done->children[i]);
    }
    return copy;
}

static void put_text(struct json_object *object, const char *field, const char *text)
{
    json_object_object_add(object, field, json_object_new_string(text));
}

static struct json_object *encode_artifact(const struct cm_done_artifact *one)
{
    struct json_object *object = json_object_new_object();
    struct json_object *facts = cm_json_parse(one->facts, strlen(one->facts), NULL);
    put_text(object, "role", one->role);
    put_text(object, "key", one->key);
    put_text(object, "file", one->file);
    json_object_object_add(object, "bytes", json_object_new_int64(one->bytes));
    put_text(object, "sha256", one->sha256);
    json_object_object_add(object, "facts", facts ? facts : json_object_new_object());
    return object;
}

static struct json_object *encode_artifacts(const struct cm_done *done)
{
    struct json_object *artifacts = json_object_new_array();
    for (size_t i = 0; i < done->artifact_count; i++) {
        json_object_array_add(artifacts, encode_artifact(&done->artifacts[i]));
    }
    return artifacts;
}

static struct json_object *encode_children(const struct cm_done *done)
{
    struct json_object *children = json_object_new_array();
    for (size_t i = 0; i < done->child_count; i++) {
        json_object_array_add(children, json_object_new_string(done->children[i]));
    }
    return children;
}

static struct json_object *encode(const struct cm_done *done, int whole)
{
    const struct {
        const char *field, *text;
    } texts[] = {
        {"verdict", cm_outcome_name(done->outcome)},
        {"reason", cm_reason_name(done->reason)},
        {"scope", cm_scope_name(done->scope)},
        {"words", done->words},
        {"dimension", done->dimension},
        {"post_id", done->post_id},
        {"url", done->url},
        {"found", name_of(found_names, done->found)},
    };
    struct json_object *message = cm_message_new("done");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (whole || *texts[i].text) {
            put_text(message, texts[i].field, texts[i].text);
        }
    }
    if (whole || done->delay_ms) {
        json_object_object_add(message, "delay_ms", json_object_new_int64(done->delay_ms));
    }
    if (whole || done->artifact_count) {
        json_object_object_add(message, "artifacts", encode_artifacts(done));
    }
    if (whole || done->child_count) {
        json_object_object_add(message, "children", encode_children(done));
    }
    return message;
}

struct json_object *cm_done_encode(const struct cm_done *done)
{
    return encode(done, 1);
}

struct json_object *cm_done_encode_short(const struct cm_done *done)
{
    return encode(done, 0);
}

static char *wrong(const char *field, const char *value)
{
    return cm_format("\"done\": the field %s cannot be \"%s\"", field, value);
}

/* Keys become parts of file and item names. */
static int is_key(const char *text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-";
    size_t bytes = strlen(text);
    return bytes > 0 && bytes <= KEY_MAX_BYTES && strspn(text, allowed) == bytes && *text != '.';
}

/* A plain name in the attempt folder, or an absolute path. */
static int is_file(const char *text)
{
    return *text == '/' || (*text && !strchr(text, '/') && strcmp(text, ".") && strcmp(text, ".."));
}

static int is_hash(const char *text)
{
    return !*text || (strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64);
}

/* Takes one artifact of the message; NULL or what is wrong. */
static char *decode_artifact(struct cm_done *done, struct json_object *object)
{
    const char *role = cm_json_text(object, "role", "");
    const char *key = cm_json_text(object, "key", "");
    const char *file = cm_json_text(object, "file", "");
    const char *sha256 = cm_json_text(object, "sha256", "");
    long long bytes = cm_json_int(object, "bytes", -1);
    struct json_object *facts = cm_json_object(object, "facts");
    if (!is_key(role)) {
        return wrong("artifacts.role", role);
    }
    if (*key && !is_key(key)) {
        return wrong("artifacts.key", key);
    }
    if (!is_file(file)) {
        return wrong("artifacts.file", file);
    }
    if (!is_hash(sha256)) {
        return wrong("artifacts.sha256", sha256);
    }
    if (bytes < 0) {
        return cm_strdup("\"done\": an artifact without its size in bytes");
    }
    cm_done_add_artifact(done, role, key, file, bytes, sha256,
                         facts ? json_object_to_json_string_ext(facts, JSON_C_TO_STRING_PLAIN) : "{}");
    return NULL;
}

static char *decode_lists(struct cm_done *done, struct json_object *message)
{
    struct json_object *artifacts = cm_json_array(message, "artifacts");
    struct json_object *children = cm_json_array(message, "children");
    char *error = NULL;
    for (size_t i = 0; artifacts && !error && i < json_object_array_length(artifacts); i++) {
        error = decode_artifact(done, json_object_array_get_idx(artifacts, i));
    }
    for (size_t i = 0; children && !error && i < json_object_array_length(children); i++) {
        struct json_object *child = json_object_array_get_idx(children, i);
        const char *key = json_object_is_type(child, json_type_string) ? json_object_get_string(child) : "";
        if (is_key(key)) {
            cm_done_add_child(done, key);
        } else {
            error = wrong("children", key);
        }
    }
    return error;
}

/* A field that names one of a table, "" for none; NULL or what is wrong. */
static char *decode_name(struct json_object *message, const char *field, const struct name *names, int *number)
{
    const char *text = cm_json_text(message, field, "");
    *number = number_of(names, text);
    return *text && !*number ? wrong(field, text) : NULL;
}

static char *decode_fields(struct cm_done *done, struct json_object *message)
{
    const struct {
        const char *field;
        const struct name *names;
        int *number;
    } named[] = {
        {"verdict", outcome_names, &done->outcome},
        {"reason", reason_names, &done->reason},
        {"scope", scope_names, &done->scope},
        {"found", found_names, &done->found},
    };
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        char *error = decode_name(message, named[i].field, named[i].names, named[i].number);
        if (error) {
            return error;
        }
    }
    if (!done->outcome) {
        return cm_strdup("\"done\" without a verdict");
    }
    long long delay_ms = cm_json_int(message, "delay_ms", 0);
    done->delay_ms = delay_ms < 0 ? 0 : delay_ms > DELAY_MAX_MS ? DELAY_MAX_MS : delay_ms;
    cm_done_text(&done->words, cm_json_text(message, "words", ""));
    cm_done_text(&done->post_id, cm_json_text(message, "post_id", ""));
    cm_done_text(&done->url, cm_json_text(message, "url", ""));
    const char *dimension = cm_json_text(message, "dimension", "");
    if (*dimension && !is_key(dimension)) {
        return wrong("dimension", dimension);
    }
    cm_done_text(&done->dimension, dimension);
    return decode_lists(done, message);
}

struct cm_done *cm_done_decode(struct json_object *message, char **error)
{
    struct cm_done *done = cm_done_new(0);
    char *why = decode_fields(done, message);
    if (!why) {
        return done;
    }
    if (error) {
        *error = why;
    } else {
        free(why);
    }
    cm_done_free(done);
    return NULL;
}
