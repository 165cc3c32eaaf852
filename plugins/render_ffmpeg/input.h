/*
 * The media file, opened as the hostile thing it may be: one descriptor, no other file that it
 * names, its streams chosen, its time line found.
 */
#ifndef RENDER_INPUT_H
#define RENDER_INPUT_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "render.h"

struct input {
    struct cm_ctx *ctx;
    const char *path;
    int fd;
    int64_t bytes, at_byte;
    AVIOContext *io;
    AVFormatContext *format;
    AVStream *video, *audio; /* audio NULL: there is none */
    int64_t start_us;        /* media position 0 in the container's own time */
    int64_t length_us;       /* as the container says; 0: it does not */
};

/* Opens, identifies, and chooses the streams; audio_track counts from 1, 0: the default one.
 * input_close is needed whatever it returns. */
enum cm_verdict input_open(struct input *input, struct cm_ctx *ctx, const char *path, int audio_track);
void input_close(struct input *input);

/* Only packets of this stream will be read. */
void input_only(struct input *input, const AVStream *stream);

/* A decoder for the stream, opened, or NULL. */
AVCodecContext *input_decoder(const AVStream *stream, int threads);

/* Position in the media of a timestamp of this stream; AV_NOPTS_VALUE stays. */
int64_t input_position_us(const struct input *input, const AVStream *stream, int64_t timestamp);

/* To the last key frame before this position, as far as the index knows. 0, or an AVERROR. */
int input_seek(struct input *input, const AVStream *stream, int64_t position_us);

#endif
