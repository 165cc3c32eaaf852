/*
 * The clip's still picture: the one asked for, or the clearest of those that come by.
 */
#include "thumbnail.h"

#include <errno.h>
#include <libavcodec/avcodec.h>
#include <libswscale/swscale.h>
#include <stdio.h>
#include <string.h>

#define QUALITY 3 /* 2 the best, 31 the worst */
#define BLACK 2.0 /* less clarity than this shows nothing */

int thumbnail_open(struct thumbnail *thumbnail, int width, int height, int64_t wanted, int64_t every)
{
    memset(thumbnail, 0, sizeof(*thumbnail));
    thumbnail->wanted = wanted;
    thumbnail->every = every < 1 ? 1 : every;
    return canvas_make(&thumbnail->best, width, height);
}

void thumbnail_close(struct thumbnail *thumbnail)
{
    canvas_free(&thumbnail->best);
}

/* The wanted one wins unless it is black; of the others the clearest, the earlier of two alike. */
void thumbnail_consider(struct thumbnail *thumbnail, const struct canvas *canvas, int64_t number)
{
    int asked = number == thumbnail->wanted;
    if (!asked && number % thumbnail->every != 0)
        return;
    double clarity = canvas_clarity(canvas);
    if (asked && clarity > BLACK)
        clarity = 1e9;
    if (thumbnail->has && clarity <= thumbnail->clarity * 1.02)
        return;
    thumbnail->has = 1;
    thumbnail->clarity = clarity;
    canvas_copy(&thumbnail->best, canvas);
}

/* A side of the picture made smaller, even. */
static int shrunk(int side, int longest, int longest_px)
{
    int now = (int)((int64_t)side * longest_px / longest);
    return now < 2 ? 2 : now - now % 2;
}

/* JPEG has its own matrix and the full range. */
static int convert(const struct canvas *canvas, int longest_px, AVFrame *frame)
{
    int longest = canvas->width > canvas->height ? canvas->width : canvas->height;
    int small = longest_px > 0 && longest > longest_px;
    frame->format = AV_PIX_FMT_YUVJ420P;
    frame->width = small ? shrunk(canvas->width, longest, longest_px) : canvas->width;
    frame->height = small ? shrunk(canvas->height, longest, longest_px) : canvas->height;
    frame->color_range = AVCOL_RANGE_JPEG;
    frame->quality = FF_QP2LAMBDA * QUALITY;
    if (av_frame_get_buffer(frame, 0) < 0)
        return -1;
    struct SwsContext *sws =
        sws_getContext(canvas->width, canvas->height, AV_PIX_FMT_YUV420P, frame->width, frame->height,
                       AV_PIX_FMT_YUVJ420P, small ? SWS_AREA : SWS_BICUBIC, NULL, NULL, NULL);
    if (sws == NULL)
        return -1;
    sws_setColorspaceDetails(sws, sws_getCoefficients(SWS_CS_ITU709), 0, sws_getCoefficients(SWS_CS_ITU601), 1, 0,
                             1 << 16, 1 << 16);
    int lines = sws_scale(sws, (const uint8_t *const *)canvas->plane, canvas->stride, 0, canvas->height, frame->data,
                          frame->linesize);
    sws_freeContext(sws);
    return lines > 0 ? 0 : -1;
}

static int encode(const AVFrame *frame, AVPacket *packet)
{
    const AVCodec *codec = avcodec_find_encoder(AV_CODEC_ID_MJPEG);
    AVCodecContext *encoder = codec == NULL ? NULL : avcodec_alloc_context3(codec);
    if (encoder == NULL)
        return -1;
    encoder->width = frame->width;
    encoder->height = frame->height;
    encoder->pix_fmt = AV_PIX_FMT_YUVJ420P;
    encoder->color_range = AVCOL_RANGE_JPEG;
    encoder->time_base = (AVRational){1, 25};
    encoder->flags |= AV_CODEC_FLAG_QSCALE | AV_CODEC_FLAG_BITEXACT;
    encoder->global_quality = FF_QP2LAMBDA * QUALITY;
    encoder->thread_count = 1;
    int good = avcodec_open2(encoder, codec, NULL) >= 0 && avcodec_send_frame(encoder, frame) >= 0 &&
               avcodec_send_frame(encoder, NULL) >= 0 && avcodec_receive_packet(encoder, packet) >= 0;
    avcodec_free_context(&encoder);
    return good ? 0 : -1;
}

static enum cm_verdict write_file(struct cm_ctx *ctx, const char *path, const AVPacket *packet)
{
    FILE *file = fopen(path, "wbe");
    if (file == NULL)
        return render_write_failed(ctx, path, errno);
    int whole = fwrite(packet->data, 1, (size_t)packet->size, file) == (size_t)packet->size;
    int error = errno;
    if (fclose(file) != 0 && whole) {
        whole = 0;
        error = errno;
    }
    return whole ? CM_OK : render_write_failed(ctx, path, error);
}

enum cm_verdict thumbnail_write(const struct thumbnail *thumbnail, struct cm_ctx *ctx, const char *path, int longest_px)
{
    AVFrame *frame = av_frame_alloc();
    AVPacket *packet = av_packet_alloc();
    enum cm_verdict verdict;
    if (frame == NULL || packet == NULL || convert(&thumbnail->best, longest_px, frame) != 0 ||
        encode(frame, packet) != 0)
        verdict = CM_FAIL(ctx, CM_AGAIN, CM_REASON_INTERNAL, "the thumbnail cannot be made");
    else
        verdict = write_file(ctx, path, packet);
    av_frame_free(&frame);
    av_packet_free(&packet);
    return verdict;
}
