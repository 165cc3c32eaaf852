/*
 * What the files of media_ffmpeg share: the options, the call's failure in one line, and memory.
 */
#ifndef MEDIA_H
#define MEDIA_H

#include <clipmaker/plugin.h>
#include <stddef.h>
#include <stdint.h>

#define MEDIA_RATE 16000 /* Hz of the speech audio */
#define MEDIA_FRAME_MS 10
#define MEDIA_FRAME_SAMPLES (MEDIA_RATE * MEDIA_FRAME_MS / 1000)

struct media_options {
    const char *audio_track; /* "auto" or a number from 1 */
    int64_t chunk_ms;
    int64_t max_length_ms;
};

/* Room for `count` items and one more; ends the process when memory is out. */
void *media_grow(void *items, size_t *room, size_t count, size_t item_bytes);

/* A write went wrong with this errno: a full or read-only disk waits for a person. */
enum cm_verdict media_write_failed(struct cm_ctx *ctx, const char *what, int error);

#endif
