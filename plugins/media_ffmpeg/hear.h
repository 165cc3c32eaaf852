/*
 * The one decode of the audio: speech samples at their true positions, and loudness.
 */
#ifndef MEDIA_HEAR_H
#define MEDIA_HEAR_H

#include <ebur128.h>

#include "../ffmpeg/input.h"
#include "resample.h"
#include "sound.h"

struct hear {
    struct input *input;
    AVCodecContext *decoder;
    AVFrame *frame;
    struct resample speech;
    struct sound sound;
    SwrContext *loud_swr; /* to the shape that the loudness meter was made for */
    AVFrame *loud_from;   /* shape of its input: a frame without data */
    float *loud_samples;
    int loud_room, loud_rate, loud_channels;
    ebur128_state *meter;
    int64_t anchor_us, since_anchor; /* where this unbroken run began, and its samples at the source's rate */
    int anchored;
    int strays; /* frames in a row that are stamped beyond the limit */
    int64_t frames, bad_packets, jumps, lost;
};

enum cm_verdict hear_open(struct hear *hear, struct input *input, int64_t limit_ms);
void hear_packet(struct hear *hear, const AVPacket *packet); /* NULL: the end */
/* Integrated loudness in LUFS; -HUGE_VAL when there was none. */
double hear_loudness(const struct hear *hear);
void hear_close(struct hear *hear);

#endif
