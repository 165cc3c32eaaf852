/*
 * Decoded audio of any shape as mono 16 kHz samples.
 */
#ifndef MEDIA_RESAMPLE_H
#define MEDIA_RESAMPLE_H

#include <libavutil/frame.h>
#include <libswresample/swresample.h>
#include <stddef.h>
#include <stdint.h>

struct resample {
    SwrContext *swr;
    int rate, format, channels; /* of the input that swr was made for */
    int16_t *samples;
    int room;
};

typedef void (*resample_to)(void *to, const int16_t *samples, size_t count);

/* Gives what comes out of this frame to `put`. 0, or -1 when it cannot be converted. A frame of another
 * shape than the last ends the conversion of that one first. */
int resample_frame(struct resample *resample, const AVFrame *frame, resample_to put, void *to);
/* What is still inside the converter; the next frame starts afresh. */
void resample_drain(struct resample *resample, resample_to put, void *to);
void resample_free(struct resample *resample);

#endif
