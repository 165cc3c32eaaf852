/*
 * What is told about the media: its picture, as displayed, and its streams.
 */
#ifndef MEDIA_FACTS_H
#define MEDIA_FACTS_H

#include "../ffmpeg/input.h"

/* The picture's packets, as they pass: where it ends and how often it changes. */
struct timing {
    int64_t count, first_us, last_us, end_us;
};

void timing_packet(struct timing *timing, const struct input *input, const AVPacket *packet, int64_t limit_us);

struct shape {
    int width_px, height_px; /* as displayed: pixels made square, then turned */
    int rotation;            /* clockwise degrees that the player turns the stored picture: 0, 90, 180, 270 */
};

struct shape facts_shape(const struct input *input);
/* For the picture: width, height, rotation, fps, vfr, video_codec, video_stream. */
void facts_picture(const struct input *input, const struct timing *timing);
/* For the sound: audio_codec, audio_stream, audio_track, audio_tracks. */
void facts_sound(const struct input *input);

void facts_int(struct cm_ctx *ctx, const char *name, int64_t value);
void facts_real(struct cm_ctx *ctx, const char *name, double value);
void facts_bool(struct cm_ctx *ctx, const char *name, int value);
void facts_text(struct cm_ctx *ctx, const char *name, const char *value);

#endif
