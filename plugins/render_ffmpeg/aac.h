/*
 * Sound → AAC packets in memory, and back again to hear what became of it.
 */
#ifndef RENDER_AAC_H
#define RENDER_AAC_H

#include <libavcodec/avcodec.h>

#include "sound.h"

struct aac {
    AVCodecContext *encoder; /* flushed; its parameters are the stream's */
    AVPacket **packet;
    size_t count;
};

/* 0, or an AVERROR. aac_free is needed in any case. */
int aac_encode(struct aac *aac, const float *pairs, int64_t count, int64_t bitrate);
/* The packets decoded into `pairs`, as a player would hear them. 0, or an AVERROR. */
int aac_decode(const struct aac *aac, float *pairs, int64_t count);
void aac_free(struct aac *aac);

#endif
