/*
 * What the files of render_ffmpeg share: the options, the call's failure in one line, memory.
 */
#ifndef RENDER_H
#define RENDER_H

#include <clipmaker/plugin.h>
#include <stddef.h>
#include <stdint.h>

#define RENDER_RATE 48000 /* Hz of the clip's sound, two channels */

struct render_options {
    const char *preset;
    int64_t crf, threads, base_px;
    const char *framing;
    const char *style, *position;
    int highlight;
    const char *font, *fonts;
    const char *watermark_text, *watermark_image, *watermark_corner;
    double watermark_opacity, watermark_size;
    const char *cta;
    int64_t cta_ms, endcard_ms;
    double target_lufs, true_peak_db;
    int64_t audio_bitrate;
    int64_t max_length_ms;
};

/* How they are named, their ranges and defaults. */
extern const struct cm_option render_option_table[];

/* Room for `count` items and one more; ends the process when memory is out. */
void *render_grow(void *items, size_t *room, size_t count, size_t item_bytes);

/* A write to this file went wrong with this errno: a full or read-only disk waits for a person. */
enum cm_verdict render_write_failed(struct cm_ctx *ctx, const char *path, int error);

/* A library said no (an AVERROR): memory, disk, or a bug; `doing` is "encode the picture". */
enum cm_verdict render_library_failed(struct cm_ctx *ctx, const char *doing, int error);

#endif
