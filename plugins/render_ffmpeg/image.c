/*
 * Picture files laid over the clip: a logo as the watermark.
 */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <libavcodec/avcodec.h>
#include <libavutil/imgutils.h>
#include <libswscale/swscale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "safe.h"

#define IMAGE_BYTES (64l << 20)
#define IMAGE_PIXELS (8192LL * 8192)

/* ---- The file --------------------------------------------------------------------------------- */

static enum AVCodecID codec_of(const uint8_t *bytes, int count)
{
    if (count >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0)
        return AV_CODEC_ID_PNG;
    if (count >= 3 && memcmp(bytes, "\xff\xd8\xff", 3) == 0)
        return AV_CODEC_ID_MJPEG;
    if (count >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0)
        return AV_CODEC_ID_WEBP;
    return AV_CODEC_ID_NONE;
}

static enum cm_verdict read_file(struct cm_ctx *ctx, const char *path, AVPacket *packet)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return CM_FAIL(ctx, CM_HOLD, CM_REASON_OPERATOR, "the overlay %s cannot be read: %s", path, strerror(errno));
    int good = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0 &&
               status.st_size <= IMAGE_BYTES && av_new_packet(packet, (int)status.st_size) == 0;
    for (int at = 0; good && at < packet->size;) {
        ssize_t got = read(fd, packet->data + at, (size_t)(packet->size - at));
        good = got > 0;
        at += (int)got;
    }
    close(fd);
    if (!good || codec_of(packet->data, packet->size) == AV_CODEC_ID_NONE)
        return CM_FAIL(ctx, CM_HOLD, CM_REASON_OPERATOR,
                       "the overlay %s is not a PNG, JPEG or WebP file of at most 64 MiB", path);
    return CM_OK;
}

static int decode(const AVPacket *packet, AVFrame *frame)
{
    const AVCodec *codec = avcodec_find_decoder(codec_of(packet->data, packet->size));
    AVCodecContext *decoder = codec == NULL ? NULL : avcodec_alloc_context3(codec);
    if (decoder == NULL)
        return -1;
    decoder->thread_count = 1;
    decoder->max_pixels = IMAGE_PIXELS;
    int good = avcodec_open2(decoder, codec, NULL) >= 0 && avcodec_send_packet(decoder, packet) >= 0 &&
               avcodec_send_packet(decoder, NULL) >= 0 && avcodec_receive_frame(decoder, frame) >= 0;
    avcodec_free_context(&decoder);
    return good ? 0 : -1;
}

/* ---- At its size ------------------------------------------------------------------------------ */

static int convert(struct image *image, const AVFrame *frame)
{
    int full = frame->color_range == AVCOL_RANGE_JPEG;
    struct SwsContext *sws =
        sws_getContext(frame->width, frame->height, (enum AVPixelFormat)frame->format, image->width, image->height,
                       AV_PIX_FMT_YUVA444P, SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INP, NULL, NULL, NULL);
    if (sws == NULL ||
        av_image_alloc(image->plane, image->stride, image->width, image->height, AV_PIX_FMT_YUVA444P, 32) < 0) {
        sws_freeContext(sws);
        return -1;
    }
    sws_setColorspaceDetails(sws, sws_getCoefficients(SWS_CS_ITU601), full, sws_getCoefficients(SWS_CS_ITU709), 0, 0,
                             1 << 16, 1 << 16);
    sws_scale(sws, (const uint8_t *const *)frame->data, frame->linesize, 0, frame->height, image->plane, image->stride);
    sws_freeContext(sws);
    return 0;
}

static void place(struct image *image, const struct document_overlay *overlay, const struct document *document)
{
    struct safe safe = safe_area(document->width, document->height);
    int right = overlay->corner == CORNER_TOP_RIGHT || overlay->corner == CORNER_BOTTOM_RIGHT;
    int low = overlay->corner == CORNER_BOTTOM_LEFT || overlay->corner == CORNER_BOTTOM_RIGHT;
    double x = right ? safe.right - image->width : 0.05 * document->width;
    double y = low ? 0.84 * document->height - image->height : safe.top;
    if (overlay->corner == CORNER_FREE) {
        x = overlay->x * document->width - image->width / 2.0;
        y = overlay->y * document->height - image->height / 2.0;
    }
    image->x = (int)lround(x);
    image->y = (int)lround(y);
}

static enum cm_verdict load(struct image *image, struct cm_ctx *ctx, const struct document_overlay *overlay,
                            const struct document *document, int64_t length_ms)
{
    AVPacket *packet = av_packet_alloc();
    AVFrame *frame = av_frame_alloc();
    enum cm_verdict verdict = packet == NULL || frame == NULL
                                  ? CM_FAIL(ctx, CM_AGAIN, CM_REASON_RESOURCE, "out of memory")
                                  : read_file(ctx, overlay->content, packet);
    if (verdict == CM_OK && decode(packet, frame) != 0)
        verdict = CM_FAIL(ctx, CM_HOLD, CM_REASON_OPERATOR, "the overlay %s is a damaged picture", overlay->content);
    if (verdict == CM_OK) {
        double width = overlay->size * document->width, height = width * frame->height / frame->width;
        double shrink = height > document->height ? document->height / height : 1;
        image->width = (int)fmax(2, lround(width * shrink));
        image->height = (int)fmax(2, lround(height * shrink));
        image->opacity = (int)lround(overlay->opacity * 255);
        image->from_ms = overlay->from_ms;
        image->to_ms = overlay->to_ms < 0 ? length_ms : overlay->to_ms;
        place(image, overlay, document);
        if (convert(image, frame) != 0)
            verdict = CM_FAIL(ctx, CM_HOLD, CM_REASON_OPERATOR, "the overlay %s cannot be scaled", overlay->content);
    }
    av_packet_free(&packet);
    av_frame_free(&frame);
    return verdict;
}

/* ---- All of them ------------------------------------------------------------------------------ */

enum cm_verdict images_open(struct images *images, struct cm_ctx *ctx, const struct document *document,
                            int64_t length_ms)
{
    size_t room = 0;
    memset(images, 0, sizeof(*images));
    for (size_t i = 0; i < document->overlay_count; i++) {
        if (document->overlays[i].kind != OVERLAY_IMAGE)
            continue;
        images->image = render_grow(images->image, &room, images->count, sizeof(*images->image));
        struct image *image = &images->image[images->count++];
        memset(image, 0, sizeof(*image));
        enum cm_verdict verdict = load(image, ctx, &document->overlays[i], document, length_ms);
        if (verdict != CM_OK)
            return verdict;
    }
    return CM_OK;
}

static int is_shown(const struct image *image, int64_t at_ms)
{
    return at_ms >= image->from_ms && at_ms < image->to_ms;
}

int images_differ(const struct images *images, int64_t one_ms, int64_t other_ms)
{
    for (size_t i = 0; i < images->count; i++)
        if (is_shown(&images->image[i], one_ms) != is_shown(&images->image[i], other_ms))
            return 1;
    return 0;
}

void images_paint(const struct images *images, int64_t at_ms, struct layer *layer)
{
    for (size_t i = 0; i < images->count; i++) {
        const struct image *image = &images->image[i];
        if (is_shown(image, at_ms))
            layer_add(layer, (const uint8_t *const *)image->plane, image->stride, image->width, image->height, image->x,
                      image->y, image->opacity);
    }
}

void images_close(struct images *images)
{
    for (size_t i = 0; i < images->count; i++)
        av_freep(&images->image[i].plane[0]);
    free(images->image);
    memset(images, 0, sizeof(*images));
}
