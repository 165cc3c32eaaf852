/*
 * The media file, opened as the hostile thing it may be: one descriptor, no other file or network
 * address that it names, its streams chosen, its time line found.
 */
#ifndef MEDIA_INPUT_H
#define MEDIA_INPUT_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "media.h"

struct input {
    struct cm_ctx *ctx;
    const char *path;
    int fd;
    int64_t bytes, at_byte;
    AVIOContext *io;
    AVFormatContext *format;
    AVStream *video, *audio; /* the chosen ones; audio may be NULL until input_choose_audio */
    int audio_track;         /* number of `audio` among the audio streams, from 1 */
    int64_t start_us;        /* media position 0 in the container's own time */
};

/* Opens, identifies, and finds the picture. input_close is needed whatever it returns. */
enum cm_verdict input_open(struct input *input, struct cm_ctx *ctx, const char *path);
void input_close(struct input *input);

/* A decoder for the stream, opened, or NULL. */
AVCodecContext *input_decoder(AVStream *stream, int key_frames_only);

/* Position in the media of a timestamp of this stream; AV_NOPTS_VALUE stays. */
int64_t input_position_us(const struct input *input, const AVStream *stream, int64_t timestamp);

/* Back to the beginning, as freshly opened (not every container can seek); streams are new ones. */
enum cm_verdict input_reopen(struct input *input);

/* The name that people know the stream's codec by. */
const char *input_codec_name(struct cm_ctx *ctx, const AVStream *stream);

#endif
