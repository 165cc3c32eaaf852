/*
 * The clip's sound: the source's samples at their true positions, as 48 kHz stereo in memory.
 */
#ifndef RENDER_SOUND_H
#define RENDER_SOUND_H

#include "../ffmpeg/input.h"
#include "render.h"

struct sound {
    float *samples; /* left, right, left, … */
    int64_t count;  /* of pairs */
    int heard;      /* anything was decoded into it */
};

/* Fills `spoken` pairs from media position from_us on; silence follows, up to `count`. A source
 * without sound gives silence. sound_free is needed whatever it returns. */
enum cm_verdict sound_read(struct sound *sound, struct input *input, int64_t from_us, int64_t spoken, int64_t count);
void sound_free(struct sound *sound);

#endif
