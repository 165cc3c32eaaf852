/*
 * The clip document (docs/artifacts.md) as a struct: read strictly, what is absent filled in from
 * the options. Pure.
 */
#include "document.h"

#include <json-c/json.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOCUMENT_BYTES (32u << 20)
#define MOST_MS (INT64_C(1) << 40)

/* Reads fields of one object; the first complaint is kept, and later reads change nothing of it. */
struct reader {
    char **error;
    struct json_object *object; /* NULL: everything is absent */
    char where[80];             /* "captions.words[3]" */
};

static void complain(struct reader *reader, const char *field, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void complain(struct reader *reader, const char *field, const char *format, ...)
{
    char what[256];
    va_list arguments;
    if (*reader->error != NULL)
        return;
    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    const char *dot = reader->where[0] == '\0' || field[0] == '\0' ? "" : ".";
    size_t room = sizeof(what) + sizeof(reader->where) + strlen(field) + 32;
    *reader->error = render_grow(NULL, &(size_t){room}, room, 1);
    const char *colon = reader->where[0] == '\0' && field[0] == '\0' ? "" : ": ";
    snprintf(*reader->error, room, "%s%s%s%s%s", reader->where, dot, field, colon, what);
}

/* The field, or NULL when absent (or null); complains about another type than wanted. */
static struct json_object *field_of(struct reader *reader, const char *field, enum json_type type, const char *words)
{
    struct json_object *value = NULL;
    if (reader->object == NULL || !json_object_object_get_ex(reader->object, field, &value) || value == NULL)
        return NULL;
    enum json_type found = json_object_get_type(value);
    if (found == type || (type == json_type_double && found == json_type_int))
        return value;
    complain(reader, field, "must be %s", words);
    return NULL;
}

static double read_number(struct reader *reader, const char *field, double min, double max, double fallback)
{
    struct json_object *value = field_of(reader, field, json_type_double, "a number");
    if (value == NULL)
        return fallback;
    double number = json_object_get_double(value);
    if (isfinite(number) && number >= min && number <= max)
        return number;
    complain(reader, field, "must be %g to %g, not %g", min, max, number);
    return fallback;
}

static int64_t read_ms(struct reader *reader, const char *field, int64_t fallback)
{
    struct json_object *value = field_of(reader, field, json_type_double, "a number of milliseconds");
    if (value == NULL)
        return fallback;
    double number = json_object_get_double(value);
    if (isfinite(number) && number >= 0 && number <= (double)MOST_MS)
        return llround(number);
    complain(reader, field, "must be a number of milliseconds, 0 or more, not %g", number);
    return fallback;
}

static int read_flag(struct reader *reader, const char *field, int fallback)
{
    struct json_object *value = field_of(reader, field, json_type_boolean, "true or false");
    return value == NULL ? fallback : json_object_get_boolean(value);
}

static const char *read_text(struct reader *reader, const char *field, const char *fallback)
{
    struct json_object *value = field_of(reader, field, json_type_string, "a text");
    return value == NULL ? fallback : json_object_get_string(value);
}

/* The number (from 1) of one of `choices`, which are separated by '|'. */
static int read_choice(struct reader *reader, const char *field, const char *choices, const char *fallback)
{
    const char *text = read_text(reader, field, fallback);
    int number = 1;
    for (const char *choice = choices; *choice != '\0'; number++) {
        size_t length = strcspn(choice, "|");
        if (strlen(text) == length && memcmp(text, choice, length) == 0)
            return number;
        choice += length + (choice[length] == '|');
    }
    complain(reader, field, "must be one of %s, not \"%.40s\"", choices, text);
    return 1;
}

static struct reader below(const struct reader *reader, const char *field)
{
    struct reader inner = {.error = reader->error};
    inner.object = field_of(&(struct reader){.error = reader->error, .object = reader->object}, field, json_type_object,
                            "an object");
    snprintf(inner.where, sizeof(inner.where), "%s", field);
    return inner;
}

static struct json_object *list_of(struct reader *reader, const char *field, size_t most, size_t *count)
{
    struct json_object *list = field_of(reader, field, json_type_array, "a list");
    *count = list == NULL ? 0 : json_object_array_length(list);
    if (*count > most) {
        complain(reader, field, "has more than %zu entries", most);
        *count = 0;
    }
    return list;
}

static struct reader entry(const struct reader *reader, const char *list_name, struct json_object *list, size_t index)
{
    struct reader inner = {.error = reader->error, .object = json_object_array_get_idx(list, index)};
    const char *dot = reader->where[0] == '\0' ? "" : ".";
    snprintf(inner.where, sizeof(inner.where), "%.30s%s%.20s[%zu]", reader->where, dot, list_name, index);
    if (!json_object_is_type(inner.object, json_type_object)) {
        complain(&inner, "", "must be an object");
        inner.object = NULL;
    }
    return inner;
}

static void *list_room(size_t count, size_t item_bytes)
{
    size_t room = 0;
    void *items = render_grow(NULL, &room, 0, item_bytes);
    while (room < count)
        items = render_grow(items, &room, room, item_bytes);
    memset(items, 0, room * item_bytes);
    return items;
}

static void read_span(struct document *document, struct reader *root, const struct render_options *options)
{
    struct reader reader = below(root, "span");
    if (reader.object == NULL)
        complain(&reader, "", "is missing");
    document->start_ms = read_ms(&reader, "start_ms", -1);
    document->end_ms = read_ms(&reader, "end_ms", -1);
    if (document->start_ms < 0)
        complain(&reader, "start_ms", "is missing");
    if (document->end_ms <= document->start_ms)
        complain(&reader, "end_ms", "must be a time behind start_ms");
    if (document->end_ms - document->start_ms > options->max_length_ms)
        complain(&reader, "end_ms", "the clip would be longer than max_length, %lld s",
                 (long long)(options->max_length_ms / 1000));
}

/* The size that a shape alone gets: its short side has base_px. */
static void size_of_shape(struct document *document, struct reader *reader, const struct render_options *options)
{
    int across = 0, down = 0, read = 0;
    if (sscanf(document->format, "%4d:%4d%n", &across, &down, &read) != 2 || document->format[read] != '\0' ||
        across < 1 || down < 1 || across > 10 * down || down > 10 * across) {
        complain(reader, "name", "must be a shape such as 9:16, not \"%s\"", document->format);
        return;
    }
    double base = (double)options->base_px;
    document->width = across <= down ? (int)base : (int)lround(base * across / down);
    document->height = across <= down ? (int)lround(base * down / across) : (int)base;
}

static void read_format(struct document *document, struct reader *root, const struct render_options *options)
{
    struct reader reader = below(root, "format");
    snprintf(document->format, sizeof(document->format), "%.15s", read_text(&reader, "name", "9:16"));
    document->width = (int)read_number(&reader, "width", 16, 4320, 0);
    document->height = (int)read_number(&reader, "height", 16, 4320, 0);
    if ((document->width == 0) != (document->height == 0))
        complain(&reader, document->width == 0 ? "width" : "height", "is missing; give both or none");
    if (document->width == 0)
        size_of_shape(document, &reader, options);
    document->width += document->width % 2;
    document->height += document->height % 2;
    document->fps = read_number(&reader, "fps", 0, 60, 0);
    if (document->fps != 0 && document->fps < 1)
        complain(&reader, "fps", "must be 1 to 60");
}

static void read_framing(struct document *document, struct reader *root, const struct render_options *options)
{
    struct reader reader = below(root, "framing");
    document->framing = (enum document_framing)read_choice(&reader, "mode", "crop|fit", options->framing);
    struct json_object *list = list_of(&reader, "path", 100000, &document->camera_count);
    document->camera = list_room(document->camera_count, sizeof(*document->camera));
    for (size_t i = 0; i < document->camera_count; i++) {
        struct reader point = entry(&reader, "path", list, i);
        document->camera[i] =
            (struct document_camera){read_ms(&point, "t_ms", -1), read_number(&point, "x", 0, 1, 0.5),
                                     read_number(&point, "y", 0, 1, 0.5), read_number(&point, "zoom", 1, 20, 1)};
        if (document->camera[i].at_ms < 0)
            complain(&point, "t_ms", "is missing");
        if (i > 0 && document->camera[i].at_ms < document->camera[i - 1].at_ms)
            complain(&point, "t_ms", "is before the point in front of it");
    }
}

static void read_words(struct document *document, struct reader *reader)
{
    size_t count;
    struct json_object *list = list_of(reader, "words", 100000, &count);
    document->words = list_room(count, sizeof(*document->words));
    for (size_t i = 0; i < count; i++) {
        struct reader word = entry(reader, "words", list, i);
        struct document_word read = {read_text(&word, "t", NULL), read_ms(&word, "s", -1), read_ms(&word, "e", -1)};
        if (read.text == NULL)
            complain(&word, "t", "is missing");
        if (read.start_ms < 0 || read.end_ms < 0)
            complain(&word, read.start_ms < 0 ? "s" : "e", "is missing");
        if (read.end_ms < read.start_ms)
            complain(&word, "e", "is before s");
        if (*reader->error != NULL)
            return;
        if (read.end_ms > document->start_ms && read.start_ms < document->end_ms)
            document->words[document->word_count++] = read;
    }
}

static void read_captions(struct document *document, struct reader *root, const struct render_options *options)
{
    static const char styles[] = "classic|karaoke|minimal|big|none";
    struct reader reader = below(root, "captions");
    read_choice(&reader, "style", styles, options->style);
    document->style = read_text(&reader, "style", options->style);
    document->place = (enum document_place)read_choice(&reader, "position", "top|middle|bottom", options->position);
    document->max_chars = (int)read_number(&reader, "max_chars", 6, 60, 0);
    document->max_lines = (int)read_number(&reader, "max_lines", 1, 3, 0);
    document->highlight = read_flag(&reader, "highlight", options->highlight);
    document->uppercase = read_flag(&reader, "uppercase", -1);
    read_words(document, &reader);
}

static struct document_overlay read_overlay(struct reader *reader)
{
    struct document_overlay overlay = {.corner = CORNER_FREE, .to_ms = -1};
    overlay.kind = (enum document_overlay_kind)read_choice(reader, "kind", "text|image", "");
    const char *content = overlay.kind == OVERLAY_TEXT ? "text" : "path";
    overlay.content = read_text(reader, content, "");
    if (overlay.content[0] == '\0')
        complain(reader, content, "is missing");
    overlay.x = read_number(reader, "x", 0, 1, -1);
    overlay.y = read_number(reader, "y", 0, 1, -1);
    if (overlay.x < 0 || overlay.y < 0)
        overlay.corner = (enum document_corner)read_choice(reader, "corner",
                                                           "top-left|top-right|bottom-left|bottom-right", "top-left");
    overlay.size = read_number(reader, "size", 0.005, 1, overlay.kind == OVERLAY_TEXT ? 0.022 : 0.18);
    overlay.opacity = read_number(reader, "opacity", 0, 1, 1);
    overlay.from_ms = read_ms(reader, "from_ms", 0);
    overlay.to_ms = read_ms(reader, "to_ms", -1);
    if (overlay.to_ms >= 0 && overlay.to_ms < overlay.from_ms)
        complain(reader, "to_ms", "is before from_ms");
    return overlay;
}

static void add_watermark(struct document *document, const struct render_options *options)
{
    struct reader corner = {.error = &(char *){NULL}};
    struct document_overlay mark = {.to_ms = -1, .opacity = options->watermark_opacity};
    mark.corner = (enum document_corner)read_choice(&corner, "", "top-left|top-right|bottom-left|bottom-right",
                                                    options->watermark_corner);
    if (options->watermark_image[0] != '\0') {
        mark.kind = OVERLAY_IMAGE;
        mark.content = options->watermark_image;
        mark.size = options->watermark_size;
        document->overlays[document->overlay_count++] = mark;
    }
    if (options->watermark_text[0] != '\0') {
        mark.kind = OVERLAY_TEXT;
        mark.content = options->watermark_text;
        mark.size = 0.022;
        document->overlays[document->overlay_count++] = mark;
    }
}

/* Overlays of the document replace the operator's watermark; an empty list says: none. */
static void read_overlays(struct document *document, struct reader *root, const struct render_options *options)
{
    size_t count;
    struct json_object *list = list_of(root, "overlays", 100, &count);
    document->overlays = list_room(count + 2, sizeof(*document->overlays));
    for (size_t i = 0; i < count; i++) {
        struct reader reader = entry(root, "overlays", list, i);
        document->overlays[document->overlay_count++] = read_overlay(&reader);
    }
    if (list == NULL)
        add_watermark(document, options);
}

static void read_cta(struct document *document, struct reader *root, const struct render_options *options)
{
    struct reader reader = below(root, "cta");
    document->cta = (enum document_cta)read_choice(&reader, "mode", "none|overlay|endcard", options->cta);
    document->cta_text = read_text(&reader, "text", "");
    if (document->cta_text[0] == '\0')
        document->cta = CTA_NONE;
    document->cta_from_ms = read_ms(&reader, "from_ms", -1);
    document->cta_to_ms = read_ms(&reader, "to_ms", -1);
    if (document->cta_to_ms >= 0 && document->cta_to_ms < document->cta_from_ms)
        complain(&reader, "to_ms", "is before from_ms");
    int64_t length_ms = read_ms(&reader, "length_ms", options->endcard_ms);
    if (length_ms > 30000)
        complain(&reader, "length_ms", "an end card lasts at most 30 s");
    document->endcard_ms = document->cta == CTA_ENDCARD ? length_ms : 0;
    int64_t length = document->end_ms - document->start_ms;
    if (document->cta_to_ms < 0)
        document->cta_to_ms = length;
    if (document->cta_from_ms < 0)
        document->cta_from_ms = length > options->cta_ms ? length - options->cta_ms : 0;
}

static void read_sound(struct document *document, struct reader *root, const struct render_options *options)
{
    struct reader reader = below(root, "audio");
    document->audio_track = (int)read_number(&reader, "track", 0, 1000, 0);
    document->target_lufs = read_number(&reader, "target_lufs", -40, -5, options->target_lufs);
    document->true_peak_db = read_number(&reader, "true_peak_db", -12, 0, options->true_peak_db);
    document->fade_ms = (int64_t)read_number(&reader, "fade_ms", 0, 1000, 8);
}

static void read_encoder(struct document *document, struct reader *root, const struct render_options *options)
{
    static const char presets[] = "ultrafast|superfast|veryfast|faster|fast|medium|slow|slower|veryslow";
    struct reader reader = below(root, "encoder");
    read_choice(&reader, "preset", presets, options->preset);
    document->preset = read_text(&reader, "preset", options->preset);
    document->crf = (int)read_number(&reader, "crf", 0, 51, (double)options->crf);
    document->audio_bitrate =
        (int64_t)read_number(&reader, "audio_bitrate", 32000, 320000, (double)options->audio_bitrate);
    document->max_bytes = (int64_t)read_number(&reader, "max_bytes", 0, 1e15, 0);
}

static void read_root(struct document *document, struct reader *root, const struct render_options *options)
{
    if (read_number(root, "version", 0, 1e9, 0) != 1)
        complain(root, "version", "must be 1: this renderer knows no other");
    read_span(document, root, options);
    read_format(document, root, options);
    read_framing(document, root, options);
    read_captions(document, root, options);
    read_overlays(document, root, options);
    read_cta(document, root, options);
    read_sound(document, root, options);
    read_encoder(document, root, options);
    struct reader thumbnail = below(root, "thumbnail");
    document->thumbnail_ms = read_ms(&thumbnail, "at_ms", -1);
}

static struct json_object *parse(const char *json, struct reader *root)
{
    size_t bytes = strlen(json);
    if (bytes > DOCUMENT_BYTES) {
        complain(root, "", "the clip document is larger than 32 MiB");
        return NULL;
    }
    struct json_tokener *tokener = json_tokener_new_ex(16);
    struct json_object *parsed = json_tokener_parse_ex(tokener, json, (int)bytes + 1);
    if (parsed == NULL || !json_object_is_type(parsed, json_type_object)) {
        complain(root, "", "the clip document is not a JSON object (%s)",
                 json_tokener_error_desc(json_tokener_get_error(tokener)));
        json_object_put(parsed);
        parsed = NULL;
    }
    json_tokener_free(tokener);
    return parsed;
}

char *document_read(struct document *document, const char *json, const struct render_options *options)
{
    char *error = NULL;
    struct reader root = {.error = &error};
    memset(document, 0, sizeof(*document));
    document->root = root.object = parse(json, &root);
    if (root.object != NULL)
        read_root(document, &root, options);
    return error;
}

void document_free(struct document *document)
{
    json_object_put(document->root);
    free(document->camera);
    free(document->words);
    free(document->overlays);
    memset(document, 0, sizeof(*document));
}
