/*
 * A clip that must not be larger than so many bytes: what bitrates and which size of the picture that leaves. Pure.
 */
#ifndef RENDER_SQUEEZE_H
#define RENDER_SQUEEZE_H

#include "document.h"

#define SQUEEZE_TRIES 4 /* of the second pass, each with less than the one before */

struct squeeze {
    int64_t max_bytes;
    int64_t video_bitrate, audio_bitrate; /* bit/s */
    int width, height;
    double seconds;
};

/* From the document's own size, bitrate and length. 0, or -1: nothing worth watching is that small. */
int squeeze_plan(struct squeeze *squeeze, const struct document *document);
/* It came out with `bytes`, which is too many: less for the pictures. 0, or -1: there is nothing left to take. */
int squeeze_more(struct squeeze *squeeze, int64_t bytes);

#endif
