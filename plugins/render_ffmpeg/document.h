/*
 * The clip document (docs/artifacts.md) as a struct: read strictly, what is absent filled in from
 * the options. Pure.
 */
#ifndef RENDER_DOCUMENT_H
#define RENDER_DOCUMENT_H

#include "render.h"

struct json_object;

enum document_framing {
    FRAMING_CROP = 1,
    FRAMING_FIT
};
enum document_place {
    PLACE_TOP = 1,
    PLACE_MIDDLE,
    PLACE_BOTTOM
};
enum document_corner {
    CORNER_TOP_LEFT = 1,
    CORNER_TOP_RIGHT,
    CORNER_BOTTOM_LEFT,
    CORNER_BOTTOM_RIGHT,
    CORNER_FREE
};
enum document_overlay_kind {
    OVERLAY_TEXT = 1,
    OVERLAY_IMAGE
};
enum document_cta {
    CTA_NONE = 1,
    CTA_OVERLAY,
    CTA_ENDCARD
};

struct document_word {
    const char *text;
    int64_t start_ms, end_ms; /* positions in the media */
};

struct document_camera {
    int64_t at_ms; /* position in the media */
    double x, y, zoom;
};

struct document_overlay {
    enum document_overlay_kind kind;
    const char *content; /* the text, or the path */
    enum document_corner corner;
    double x, y, size, opacity;
    int64_t from_ms, to_ms; /* from the clip's beginning; to_ms -1: to its end */
};

struct document {
    struct json_object *root; /* owns the texts */
    int64_t start_ms, end_ms;
    char format[16];
    int width, height;
    double fps; /* 0: the source's */
    enum document_framing framing;
    struct document_camera *camera;
    size_t camera_count;
    const char *style;
    enum document_place place;
    int max_chars, max_lines; /* 0: the style's */
    int highlight, uppercase; /* uppercase -1: the style's */
    struct document_word *words;
    size_t word_count;
    struct document_overlay *overlays;
    size_t overlay_count;
    enum document_cta cta;
    const char *cta_text;
    int64_t cta_from_ms, cta_to_ms; /* -1: chosen by the clip's length */
    int64_t endcard_ms;             /* 0 unless CTA_ENDCARD */
    int audio_track;                /* 0: the container's default */
    double target_lufs, true_peak_db;
    int64_t fade_ms;
    int64_t thumbnail_ms; /* -1: choose */
    const char *preset;
    int crf;
    int64_t audio_bitrate;
    int64_t max_bytes;     /* of the clip's file; 0: any */
    int64_t video_bitrate; /* bit/s, in two passes; 0: by crf */
    int pass;              /* 1 or 2, with video_bitrate */
    const char *stats;     /* file between the passes */
};

/* NULL, or one line that names the field (malloc'd). document_free is needed in both cases. */
char *document_read(struct document *document, const char *json, const struct render_options *options);
void document_free(struct document *document);

#endif
