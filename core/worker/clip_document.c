/*
 * The clip document (docs/artifacts.md) and what is told about the clip, from what the earlier steps
 * found out. Pure.
 */
#include "core/worker/clip_document.h"

#include <ctype.h>
#include <json-c/json.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"

#define SLUG_BYTES 60
#define TITLE_WORDS 8 /* of the speech, where nobody found a title */

/* ---- Slug ------------------------------------------------------------------------------------- */

/* U+0430..U+044F as Russian passports write them, but readable. */
static const char *const cyrillic[] = {"a", "b",  "v",  "g",   "d", "e", "zh", "z", "i",  "y", "k",
                                       "l", "m",  "n",  "o",   "p", "r", "s",  "t", "u",  "f", "h",
                                       "c", "ch", "sh", "sch", "",  "y", "",   "e", "yu", "ya"};
/* U+00E0..U+00FF without their marks. */
static const char latin[] = "aaaaaaaceeeeiiiidnooooo-ouuuuyty";

static uint32_t next_code(const char **text)
{
    const unsigned char *at = (const unsigned char *)*text;
    int more = at[0] < 0x80 ? 0 : at[0] >= 0xf0 ? 3 : at[0] >= 0xe0 ? 2 : at[0] >= 0xc0 ? 1 : 0;
    uint32_t code = more == 0 ? at[0] : at[0] & (0x3fu >> more);
    int taken = 1;
    for (; taken <= more && (at[taken] & 0xc0) == 0x80; taken++) {
        code = code << 6 | (at[taken] & 0x3f);
    }
    *text += taken;
    return code;
}

/* The letters for this character, "" for none, NULL where it separates words. */
static const char *letters_of(uint32_t code, char one[2])
{
    one[0] = one[1] = '\0';
    if (code < 0x80 && isalnum((int)code)) {
        one[0] = (char)tolower((int)code);
        return one;
    }
    if ((code >= 0xc0 && code <= 0xff) && latin[(code | 0x20) - 0xe0] != '-') {
        one[0] = latin[(code | 0x20) - 0xe0];
        return one;
    }
    if (code >= 0x410 && code <= 0x44f) {
        return cyrillic[(code - 0x410) % 0x20];
    }
    if (code == 0x401 || code == 0x451) {
        return "e";
    }
    return code == '\'' || code == 0x2019 ? "" : NULL;
}

char *cm_slug(const char *title)
{
    struct cm_text slug = {0};
    char one[2];
    int gap = 0;
    int cut_in_word = 0;
    while (*title != '\0') {
        const char *letters = letters_of(next_code(&title), one);
        if (letters == NULL) {
            gap = slug.length > 0;
            continue;
        }
        if (slug.length + (size_t)gap + strlen(letters) > SLUG_BYTES) {
            cut_in_word = !gap;
            break;
        }
        cm_text_add(&slug, gap && *letters != '\0' ? "-" : "");
        gap = gap && *letters == '\0';
        cm_text_add(&slug, letters);
    }
    if (cut_in_word) { /* rather a whole word less than half of one */
        char *dash = strrchr(slug.bytes, '-');
        if (dash != NULL && dash - slug.bytes > SLUG_BYTES / 2) {
            *dash = '\0';
            slug.length = (size_t)(dash - slug.bytes);
        }
    }
    if (slug.length == 0) {
        cm_text_add(&slug, "clip");
    }
    return cm_text_take(&slug);
}

/* ---- Words ------------------------------------------------------------------------------------ */

struct span {
    int64_t start_ms, end_ms;
    int64_t first, last; /* words, inclusive; last < first: none */
};

static int64_t middle_ms(struct json_object *word)
{
    return (cm_json_ms(word, "s", 0) + cm_json_ms(word, "e", 0)) / 2;
}

/* The moment's own words; where it names none, those whose middle lies inside. */
static struct span span_of(const struct cm_clip_source *source)
{
    struct json_object *words = cm_json_array(source->transcript, "words");
    int64_t count = words ? (int64_t)json_object_array_length(words) : 0;
    struct span span = {cm_json_ms(source->moment, "start_ms", -1), cm_json_ms(source->moment, "end_ms", -1),
                        cm_json_int(source->moment, "first_word", -1), cm_json_int(source->moment, "last_word", -1)};
    if (span.first >= 0 && span.last >= span.first && span.last < count) {
        return span;
    }
    span.first = 0;
    while (span.first < count && middle_ms(json_object_array_get_idx(words, (size_t)span.first)) < span.start_ms) {
        span.first++;
    }
    span.last = span.first - 1;
    while (span.last + 1 < count && middle_ms(json_object_array_get_idx(words, (size_t)span.last + 1)) < span.end_ms) {
        span.last++;
    }
    return span;
}

static void put_int(struct json_object *object, const char *field, int64_t value)
{
    json_object_object_add(object, field, json_object_new_int64(value));
}

static void put_text(struct json_object *object, const char *field, const char *text)
{
    json_object_object_add(object, field, json_object_new_string(text));
}

static struct json_object *words_of(const struct cm_clip_source *source, const struct span *span)
{
    struct json_object *all = cm_json_array(source->transcript, "words"), *words = json_object_new_array();
    for (int64_t i = span->first; i <= span->last; i++) {
        struct json_object *from = json_object_array_get_idx(all, (size_t)i), *word = json_object_new_object();
        int64_t start_ms = cm_json_ms(from, "s", 0), end_ms = cm_json_ms(from, "e", start_ms);
        put_text(word, "t", cm_json_text(from, "t", ""));
        put_int(word, "s", start_ms < 0 ? 0 : start_ms);
        put_int(word, "e", end_ms < start_ms ? start_ms : end_ms);
        json_object_array_add(words, word);
    }
    return words;
}

/* ---- Title, post, call to action ---------------------------------------------------------------- */

static struct json_object *title_of(const struct cm_clip_source *source)
{
    return cm_json_object(cm_json_object(source->titles, "titles"), source->moment_key);
}

static const char *cta_of(const struct cm_clip_source *source)
{
    return cm_json_text(cm_json_object(source->ctas, "ctas"), source->moment_key, "");
}

static char *first_words(const struct cm_clip_source *source)
{
    struct span span = span_of(source);
    struct json_object *words = cm_json_array(source->transcript, "words");
    struct cm_text text = {0};
    for (int64_t i = span.first; i <= span.last && i < span.first + TITLE_WORDS; i++) {
        cm_text_add(&text, i > span.first ? " " : "");
        cm_text_add(&text, cm_json_text(json_object_array_get_idx(words, (size_t)i), "t", ""));
    }
    return cm_text_take(&text);
}

static char *title_text(const struct cm_clip_source *source)
{
    const char *title = cm_json_text(title_of(source), "title", "");
    if (*title == '\0') {
        title = cm_json_text(source->moment, "title", "");
    }
    return *title == '\0' ? first_words(source) : cm_strdup(title);
}

/* The text, an empty line, the hashtags. */
static char *post_text(const struct cm_clip_source *source, const char *title)
{
    struct json_object *named = title_of(source), *tags = cm_json_array(named, "hashtags");
    const char *words = cm_json_text(named, "text", "");
    struct cm_text text = {0};
    cm_text_add(&text, *words == '\0' ? title : words);
    size_t count = tags ? json_object_array_length(tags) : 0, added = 0;
    for (size_t i = 0; i < count; i++) {
        struct json_object *tag = json_object_array_get_idx(tags, i);
        const char *name = json_object_is_type(tag, json_type_string) ? json_object_get_string(tag) : "";
        if (*name != '\0' && strstr(words, name) == NULL) {
            cm_text_addf(&text, "%s%s%s", added++ == 0 ? "\n\n" : " ", *name == '#' ? "" : "#", name);
        }
    }
    return cm_text_take(&text);
}

/* ---- The document ----------------------------------------------------------------------------- */

struct json_object *cm_clip_document(const struct cm_clip_source *source, char **error)
{
    struct span span = span_of(source);
    if (span.start_ms < 0 || span.end_ms <= span.start_ms) {
        *error = cm_format(_("moment %s has no length: start_ms %lld, end_ms %lld"), source->moment_key,
                           (long long)span.start_ms, (long long)span.end_ms);
        return NULL;
    }
    struct json_object *document = json_object_new_object(), *part = json_object_new_object();
    put_int(document, "version", 1);
    put_int(part, "start_ms", span.start_ms);
    put_int(part, "end_ms", span.end_ms);
    json_object_object_add(document, "span", part);
    part = json_object_new_object();
    put_text(part, "name", source->format);
    json_object_object_add(document, "format", part);
    part = json_object_new_object();
    json_object_object_add(part, "words", words_of(source, &span));
    json_object_object_add(document, "captions", part);
    if (*cta_of(source) != '\0') {
        part = json_object_new_object();
        put_text(part, "text", cta_of(source));
        json_object_object_add(document, "cta", part);
    }
    int64_t track = cm_json_int(source->facts, "audio_track", 0);
    if (track > 0) {
        part = json_object_new_object();
        put_int(part, "track", track);
        json_object_object_add(document, "audio", part);
    }
    return document;
}

/* ---- What clips.json says ----------------------------------------------------------------------- */

/* The first format of the job has the plain name, the others say theirs: "01-slug-1x1". */
static char *name_of(const struct cm_clip_source *source, const char *title)
{
    struct json_object *formats = cm_json_array(source->params, "formats");
    struct json_object *first = formats ? json_object_array_get_idx(formats, 0) : NULL;
    char *slug = cm_slug(title), *name;
    if (first == NULL || strcmp(json_object_get_string(first), source->format) == 0) {
        name = cm_format("%s-%s", source->moment_key, slug);
    } else {
        char *shape = cm_strdup(source->format);
        for (char *at = shape; *at != '\0'; at++) {
            *at = *at == ':' ? 'x' : *at;
        }
        name = cm_format("%s-%s-%s", source->moment_key, slug, shape);
        free(shape);
    }
    free(slug);
    return name;
}

struct json_object *cm_clip_facts(const struct cm_clip_source *source)
{
    struct json_object *facts = json_object_new_object(), *score = cm_json_object(source->moment, "score");
    char *title = title_text(source), *name = name_of(source, title), *text = post_text(source, title);
    put_text(facts, "name", name);
    put_text(facts, "title", title);
    put_text(facts, "text", text);
    put_text(facts, "reason", cm_json_text(source->moment, "reason", ""));
    put_text(facts, "format", source->format);
    put_text(facts, "cta", cta_of(source));
    put_text(facts, "selected_by", cm_json_text(source->moment, "selected_by", ""));
    json_object_object_add(facts, "start_s",
                           json_object_new_double((double)cm_json_ms(source->moment, "start_ms", 0) / 1000));
    json_object_object_add(facts, "end_s",
                           json_object_new_double((double)cm_json_ms(source->moment, "end_ms", 0) / 1000));
    json_object_object_add(facts, "score", score ? json_object_get(score) : json_object_new_object());
    free(title);
    free(name);
    free(text);
    return facts;
}
