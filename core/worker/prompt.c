/*
 * Filling prompt templates.
 */
#include "core/worker/prompt.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"

#define TEMPLATE_MAX_BYTES (256 * 1024)
#define PARTING "\n---\n"
#define LONG_GAP_MS 1000 /* a pause worth telling */
#define CHARS_PER_TOKEN 2.5

/* ---- Template ---- */

char *cm_prompt_read(const char *folder, const char *language, const char *task, char **template_text)
{
    const char *languages[] = {language, "en"};
    char *error = NULL;
    for (size_t i = 0; i < 2; i++) {
        char *path = cm_format("%s/%.2s/%s.txt", folder, languages[i], task);
        size_t bytes = 0;
        char *text = strchr(languages[i], '/') ? NULL : cm_file_read(path, TEMPLATE_MAX_BYTES, &bytes);
        free(error);
        error = text ? NULL : cm_format(_("the prompt %s cannot be read: %s"), path, strerror(errno));
        free(path);
        if (text) {
            *template_text = text;
            return NULL;
        }
    }
    return error;
}

/* ---- Lists ---- */

static void add_time(struct cm_text *text, long long ms)
{
    cm_text_addf(text, "%lld:%02lld", ms / 60000, ms / 1000 % 60);
}

/* Whether a cue of this kind lies in the time. */
static int has_cue(struct json_object *input, const char *kind, long long start_ms, long long end_ms)
{
    struct json_object *list = cm_json_array(cm_json_object(input, "cues"), kind);
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        struct json_object *cue = json_object_array_get_idx(list, i);
        long long from = cm_json_ms_at(cue, 0);
        long long to = cm_json_ms_at(cue, 1);
        if (from >= start_ms && from <= end_ms && to > from) {
            return 1;
        }
    }
    return 0;
}

/* "[12] 3:05 S1 The text. (1.2 s) ^ *" */
static void add_sentence(struct cm_text *text, struct json_object *input, struct json_object *sentence)
{
    long long start_ms = cm_json_ms(sentence, "s", 0), end_ms = cm_json_ms(sentence, "e", 0);
    long long gap_ms = cm_json_int(sentence, "gap", 0), speaker = cm_json_int(sentence, "p", -1);
    cm_text_addf(text, "[%lld] ", cm_json_int(sentence, "id", 0));
    add_time(text, start_ms);
    if (speaker >= 0) {
        cm_text_addf(text, " S%lld", speaker + 1);
    }
    cm_text_addf(text, " %s", cm_json_text(sentence, "text", ""));
    if (gap_ms >= LONG_GAP_MS) {
        cm_text_addf(text, " (%lld.%lld s)", gap_ms / 1000, gap_ms / 100 % 10);
    }
    cm_text_add(text, has_cue(input, "loud", start_ms, end_ms) ? " ^" : "");
    cm_text_add(text, has_cue(input, "burst", end_ms, end_ms + gap_ms) ? " *" : "");
    cm_text_add(text, "\n");
}

static void add_sentences(struct cm_text *text, struct json_object *input)
{
    struct json_object *sentences = cm_json_array(input, "sentences");
    for (size_t i = 0; sentences && i < json_object_array_length(sentences); i++) {
        add_sentence(text, input, json_object_array_get_idx(sentences, i));
    }
}

/* What an item says: its sentences, without ids. */
static void add_words_of(struct cm_text *text, struct json_object *input, struct json_object *item)
{
    struct json_object *sentences = cm_json_array(input, "sentences");
    long long first = cm_json_int(item, "first", 0), last = cm_json_int(item, "last", -1);
    for (long long i = first; sentences && i <= last; i++) {
        struct json_object *sentence = json_object_array_get_idx(sentences, (size_t)i);
        cm_text_addf(text, "%s%s", i > first ? " " : "", cm_json_text(sentence, "text", ""));
    }
    cm_text_add(text, "\n");
}

static void add_items(struct cm_text *text, struct json_object *input, const char *field, const char *id)
{
    struct json_object *items = cm_json_array(input, field);
    for (size_t i = 0; items && i < json_object_array_length(items); i++) {
        struct json_object *item = json_object_array_get_idx(items, i);
        long long start_ms = cm_json_ms(item, "start_ms", 0), end_ms = cm_json_ms(item, "end_ms", 0);
        cm_text_addf(text, "%s=%s (", id, cm_json_text(item, id, ""));
        add_time(text, start_ms);
        cm_text_addf(text, ", %lld s)\n", (end_ms - start_ms + 500) / 1000);
        add_words_of(text, input, item);
        cm_text_add(text, "\n");
    }
}

static void add_candidates(struct cm_text *text, struct json_object *input)
{
    add_items(text, input, "candidates", "id");
}

static void add_moments(struct cm_text *text, struct json_object *input)
{
    add_items(text, input, "moments", "key");
}

static void add_min(struct cm_text *text, struct json_object *input)
{
    cm_text_addf(text, "%lld", (cm_json_int(cm_json_object(input, "limits"), "min_ms", 0) + 999) / 1000);
}

static void add_max(struct cm_text *text, struct json_object *input)
{
    cm_text_addf(text, "%lld", cm_json_int(cm_json_object(input, "limits"), "max_ms", 0) / 1000);
}

static void add_want(struct cm_text *text, struct json_object *input)
{
    cm_text_addf(text, "%lld", cm_json_int(cm_json_object(input, "limits"), "want", 0));
}

static void add_language(struct cm_text *text, struct json_object *input)
{
    cm_text_add(text, cm_json_text(input, "language", ""));
}

static void add_plan(struct cm_text *text, struct json_object *input)
{
    cm_text_add(text, cm_json_text(input, "plan", ""));
}

/* ---- Filling ---- */

static const struct {
    const char *name;
    void (*add)(struct cm_text *text, struct json_object *input);
} placeholders[] = {
    {"sentences", add_sentences}, {"candidates", add_candidates},
    {"moments", add_moments},     {"min_s", add_min},
    {"max_s", add_max},           {"want", add_want},
    {"language", add_language},   {"plan", add_plan},
};

/* The length of "{name}" at this place, or 0: a brace of JSON. */
static size_t placeholder_at(const char *at)
{
    size_t letters = strspn(at + 1, "abcdefghijklmnopqrstuvwxyz_");
    return letters > 0 && at[letters + 1] == '}' ? letters + 2 : 0;
}

static char *fill_one(struct cm_text *text, const char *name, size_t letters, struct json_object *input)
{
    for (size_t i = 0; i < sizeof placeholders / sizeof *placeholders; i++) {
        if (strlen(placeholders[i].name) == letters && !strncmp(placeholders[i].name, name, letters)) {
            placeholders[i].add(text, input);
            return NULL;
        }
    }
    return cm_format(_("the prompt for %s names {%.*s}, which does not exist"), cm_json_text(input, "task", ""),
                     (int)letters, name);
}

static char *fill(const char *template_text, size_t bytes, struct json_object *input, char **filled)
{
    struct cm_text text = {0};
    char *error = NULL;
    for (const char *at = template_text, *end = template_text + bytes; at < end && !error;) {
        size_t length = *at == '{' ? placeholder_at(at) : 0;
        if (length > 0) {
            error = fill_one(&text, at + 1, length - 2, input);
            at += length;
        } else {
            cm_text_add_bytes(&text, at++, 1);
        }
    }
    *filled = cm_text_take(&text);
    return error;
}

char *cm_prompt_render(const char *template_text, struct json_object *input, struct cm_prompt *prompt)
{
    const char *parting = strstr(template_text, PARTING);
    size_t system_bytes = parting ? (size_t)(parting - template_text) : 0;
    const char *question = parting ? parting + strlen(PARTING) : template_text;
    char *error = fill(template_text, system_bytes, input, &prompt->system);
    char *other = fill(question, strlen(question), input, &prompt->question);
    if (error || other) {
        cm_prompt_free(prompt);
    }
    if (error) {
        free(other);
        return error;
    }
    return other;
}

void cm_prompt_free(struct cm_prompt *prompt)
{
    free(prompt->system);
    free(prompt->question);
    *prompt = (struct cm_prompt){0};
}

int64_t cm_prompt_tokens(const char *text)
{
    double characters = 0;
    for (; *text; text++) {
        characters += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return (int64_t)(characters / CHARS_PER_TOKEN) + 1;
}
