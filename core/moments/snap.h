/*
 * Snapping: where exactly a clip of whole words begins and ends, inside the pauses around it.
 */
#ifndef CM_MOMENTS_SNAP_H
#define CM_MOMENTS_SNAP_H

#include <stddef.h>
#include <stdint.h>

struct cm_transcript;

struct cm_span {
    size_t first_word, last_word; /* inclusive */
    int64_t start_ms, end_ms;     /* no word is cut; inside the media */
};

/* The span of these words with a breath of silence on both sides. */
struct cm_span cm_snap(const struct cm_transcript *transcript, size_t first_word, size_t last_word);

#endif
