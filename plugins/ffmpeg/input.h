/*
 * The media file, opened as the hostile thing it may be: one descriptor, no other file or network
 * address that it names, its streams chosen, its time line found. Shared by the plugins that read
 * media: what one prepared, the other finds again.
 */
#ifndef FFMPEG_INPUT_H
#define FFMPEG_INPUT_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include <clipmaker/plugin.h>

struct input {
    struct cm_ctx *ctx;
    const char *path;
    int fd;
    int64_t bytes, at_byte;
    AVIOContext *io;
    AVFormatContext *format;
    AVStream *video, *audio; /* the chosen ones; audio NULL until chosen, or where there is none */
    int audio_track;         /* number of `audio` among the audio streams, from 1 */
    int64_t start_us;        /* media position 0 in the container's own time */
    int64_t length_us;       /* as the container says; 0: it does not */
};

/* Opens, identifies, and finds the picture. input_close is needed whatever it returns. */
enum cm_verdict input_open(struct input *input, struct cm_ctx *ctx, const char *path);
void input_close(struct input *input);

/* Takes this audio track (from 1) if it can be decoded, else the default one; 0: the default one. */
void input_choose_audio(struct input *input, int number);

/* Only packets of this stream will be read. */
void input_only(struct input *input, const AVStream *stream);

/* A decoder for the stream, opened, or NULL; one for key frames only. */
AVCodecContext *input_decoder(const AVStream *stream, int threads);
AVCodecContext *input_key_frame_decoder(const AVStream *stream);

/* Position in the media of a timestamp of this stream; AV_NOPTS_VALUE stays. */
int64_t input_position_us(const struct input *input, const AVStream *stream, int64_t timestamp);

/* Back to the beginning, as freshly opened (not every container can seek); streams are new ones. */
enum cm_verdict input_reopen(struct input *input);

/* To the last key frame before this position, as far as the index knows. 0, or an AVERROR. */
int input_seek(struct input *input, const AVStream *stream, int64_t position_us);

/* The name that people know the stream's codec by. */
const char *input_codec_name(struct cm_ctx *ctx, const AVStream *stream);

#endif
