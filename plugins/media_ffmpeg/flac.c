/*
 * A stretch of the sound as a FLAC file, whole or absent.
 */
#include "flac.h"

#include <errno.h>
#include <fcntl.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/channel_layout.h>
#include <libavutil/frame.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct flac {
    AVFormatContext *format;
    AVCodecContext *encoder;
    AVFrame *frame;
    AVPacket *packet;
};

static int open_encoder(struct flac *flac)
{
    const AVCodec *codec = avcodec_find_encoder(AV_CODEC_ID_FLAC);
    flac->encoder = codec == NULL ? NULL : avcodec_alloc_context3(codec);
    if (flac->encoder == NULL)
        return AVERROR_ENCODER_NOT_FOUND;
    flac->encoder->sample_fmt = AV_SAMPLE_FMT_S16;
    flac->encoder->sample_rate = MEDIA_RATE;
    flac->encoder->ch_layout = (AVChannelLayout)AV_CHANNEL_LAYOUT_MONO;
    flac->encoder->time_base = (AVRational){1, MEDIA_RATE};
    flac->encoder->thread_count = 1;
    return avcodec_open2(flac->encoder, codec, NULL);
}

static int open_frame(struct flac *flac)
{
    flac->packet = av_packet_alloc();
    flac->frame = av_frame_alloc();
    if (flac->frame == NULL || flac->packet == NULL)
        return AVERROR(ENOMEM);
    flac->frame->format = AV_SAMPLE_FMT_S16;
    flac->frame->sample_rate = MEDIA_RATE;
    flac->frame->ch_layout = (AVChannelLayout)AV_CHANNEL_LAYOUT_MONO;
    flac->frame->nb_samples = flac->encoder->frame_size > 0 ? flac->encoder->frame_size : 4096;
    return av_frame_get_buffer(flac->frame, 0);
}

static int open_file(struct flac *flac, const char *path)
{
    int bad = avformat_alloc_output_context2(&flac->format, NULL, "flac", path);
    if (bad < 0)
        return bad;
    AVStream *stream = avformat_new_stream(flac->format, NULL);
    if (stream == NULL)
        return AVERROR(ENOMEM);
    stream->time_base = flac->encoder->time_base;
    bad = avcodec_parameters_from_context(stream->codecpar, flac->encoder);
    if (bad >= 0)
        bad = avio_open(&flac->format->pb, path, AVIO_FLAG_WRITE);
    if (bad >= 0)
        bad = avformat_write_header(flac->format, NULL);
    return bad;
}

/* Sends one frame, or the end, and writes what comes out. */
static int encode(struct flac *flac, const AVFrame *frame)
{
    int bad = avcodec_send_frame(flac->encoder, frame);
    while (bad >= 0) {
        bad = avcodec_receive_packet(flac->encoder, flac->packet);
        if (bad == AVERROR(EAGAIN) || bad == AVERROR_EOF)
            return 0;
        if (bad >= 0)
            bad = av_write_frame(flac->format, flac->packet);
        av_packet_unref(flac->packet);
    }
    return bad;
}

static int encode_all(struct flac *flac, const struct sound *sound, int64_t from, int64_t to)
{
    int most = flac->frame->nb_samples;
    for (int64_t at = from; at < to; at += most) {
        int bad = av_frame_make_writable(flac->frame);
        if (bad < 0)
            return bad;
        int count = to - at < most ? (int)(to - at) : most;
        int error = sound_read(sound, at, (int16_t *)(void *)flac->frame->data[0], (size_t)count);
        if (error != 0)
            return AVERROR(error);
        flac->frame->nb_samples = count;
        flac->frame->pts = at - from;
        bad = encode(flac, flac->frame);
        if (bad < 0)
            return bad;
    }
    int bad = encode(flac, NULL);
    return bad < 0 ? bad : av_write_trailer(flac->format);
}

/* Closes what open_file opened; a write that failed late is told here. */
static int close_file(struct flac *flac)
{
    int bad = 0;
    if (flac->format != NULL && flac->format->pb != NULL) {
        avio_flush(flac->format->pb);
        bad = flac->format->pb->error;
        int closed = avio_closep(&flac->format->pb);
        bad = bad < 0 ? bad : closed;
    }
    avformat_free_context(flac->format);
    avcodec_free_context(&flac->encoder);
    av_frame_free(&flac->frame);
    av_packet_free(&flac->packet);
    return bad;
}

static int sync_rename(const char *part, const char *path)
{
    int fd = open(part, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return AVERROR(errno);
    int bad = fsync(fd) != 0 || rename(part, path) != 0 ? AVERROR(errno) : 0;
    close(fd);
    return bad;
}

enum cm_verdict flac_write(struct cm_ctx *ctx, const struct sound *sound, int64_t start_ms, int64_t end_ms,
                           const char *name)
{
    const char *path = ctx->host->output(ctx, name), *part = ctx->host->format(ctx, "%s.part", path);
    struct flac flac = {0};
    int bad = open_encoder(&flac);
    if (bad >= 0)
        bad = open_frame(&flac);
    if (bad >= 0)
        bad = open_file(&flac, part);
    if (bad >= 0)
        bad = encode_all(&flac, sound, start_ms * (MEDIA_RATE / 1000), end_ms * (MEDIA_RATE / 1000));
    int closed = close_file(&flac);
    if (bad >= 0)
        bad = closed < 0 ? closed : sync_rename(part, path);
    if (bad >= 0)
        return CM_OK;
    unlink(part);
    return bad == AVERROR_ENCODER_NOT_FOUND ? CM_FAIL(ctx, CM_CANNOT, CM_REASON_UNSUPPORTED,
                                                      "this FFmpeg has no FLAC encoder; install Debian's libavcodec")
                                            : media_write_failed(ctx, path, AVUNERROR(bad));
}
