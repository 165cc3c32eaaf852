/*
 * The source's pictures by their time: exact from the first one asked for, in rising order, whatever
 * the timestamps do.
 */
#ifndef RENDER_PICTURES_H
#define RENDER_PICTURES_H

#include "../ffmpeg/input.h"
#include "render.h"

struct pictures {
    struct input *input;
    AVCodecContext *decoder;
    AVPacket *packet;
    AVFrame *now, *next; /* shown at the time asked for last; the one after it */
    int64_t now_us, next_us;
    int has_now, has_next, drained, ended;
    int64_t last_us;  /* position of the last one taken */
    int64_t quick_us; /* before it, pictures that no other needs are not decoded */
    int64_t count, bad;
};

/* Ready to give pictures from this media position on. pictures_close is needed in any case. */
enum cm_verdict pictures_open(struct pictures *pictures, struct input *input, int64_t from_us, int threads);
/* The picture that is on screen at this position (never before the last one asked for), or NULL when the
 * source has none at all. Borrowed until the next call. */
const AVFrame *pictures_at(struct pictures *pictures, int64_t at_us);
void pictures_close(struct pictures *pictures);

#endif
