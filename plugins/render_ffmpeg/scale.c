/*
 * A decoded picture of any size, format, colour and orientation → a part of it on a canvas.
 *
 * A moving window would jerk if it were cut at whole source pixels: they become several pixels of the
 * clip. So a little more than the window is scaled, and cut to the exact place afterwards. One that stands
 * still may as well stand on whole pixels: then it is scaled right to where it belongs.
 */
#include "scale.h"

#include <libavutil/pixdesc.h>
#include <math.h>
#include <string.h>

#define MOST_PIXEL_RATIO 16
#define MOST_STRETCH 0.004 /* of a window that is put on whole samples: nobody sees it */

double scale_aspect(const AVFrame *frame, AVRational stream_pixel, struct turn turn)
{
    AVRational pixel = frame->sample_aspect_ratio.num > 0 ? frame->sample_aspect_ratio : stream_pixel;
    double ratio = pixel.num > 0 && pixel.den > 0 ? (double)pixel.num / pixel.den : 1;
    if (ratio > MOST_PIXEL_RATIO || ratio < 1.0 / MOST_PIXEL_RATIO)
        ratio = 1;
    double aspect = ratio * frame->width / frame->height;
    return turn.transpose ? 1 / aspect : aspect;
}

/* ---- Colour ----------------------------------------------------------------------------------- */

/* The matrix that a picture without a word about it was most likely made with. */
static int space_of(const AVFrame *frame)
{
    switch (frame->colorspace) {
    case AVCOL_SPC_BT709:
        return SWS_CS_ITU709;
    case AVCOL_SPC_FCC:
        return SWS_CS_FCC;
    case AVCOL_SPC_BT470BG:
    case AVCOL_SPC_SMPTE170M:
        return SWS_CS_ITU601;
    case AVCOL_SPC_SMPTE240M:
        return SWS_CS_SMPTE240M;
    case AVCOL_SPC_BT2020_NCL:
    case AVCOL_SPC_BT2020_CL:
        return SWS_CS_BT2020;
    default:
        return frame->width < 1280 && frame->height <= 576 ? SWS_CS_ITU601 : SWS_CS_ITU709;
    }
}

static int is_full_range(const AVFrame *frame, const AVPixFmtDescriptor *format)
{
    if (strncmp(format->name, "yuvj", 4) == 0 || frame->color_range == AVCOL_RANGE_JPEG)
        return 1;
    return format->nb_components <= 2 && frame->color_range != AVCOL_RANGE_MPEG; /* gray */
}

/* ---- The converter ---------------------------------------------------------------------------- */

static int prepare(struct scale *scale, const struct scale_key *key)
{
    if (scale->sws != NULL && memcmp(&scale->key, key, sizeof(*key)) == 0)
        return 0;
    sws_freeContext(scale->sws);
    scale->sws = sws_getContext(key->width, key->height, (enum AVPixelFormat)key->format, key->to_width, key->to_height,
                                AV_PIX_FMT_YUV420P, key->method | SWS_ACCURATE_RND, NULL, NULL, NULL);
    if (scale->sws == NULL)
        return AVERROR(EINVAL);
    scale->key = *key;
    sws_setColorspaceDetails(scale->sws, sws_getCoefficients(key->space), key->full_range,
                             sws_getCoefficients(SWS_CS_ITU709), 0, 0, 1 << 16, 1 << 16);
    return 0;
}

static int between_of(struct scale *scale, int width, int height)
{
    if (scale->between.memory != NULL && scale->between.width == width && scale->between.height == height)
        return 0;
    canvas_free(&scale->between);
    return canvas_make(&scale->between, width, height) == 0 ? 0 : AVERROR(ENOMEM);
}

/* ---- Turning ---------------------------------------------------------------------------------- */

/* One plane of the result: from `from` at (x, y) of the stored orientation. */
static void turn_plane(uint8_t *to, int to_stride, int width, int height, const uint8_t *from, int from_stride,
                       struct turn turn)
{
    for (int y = 0; y < height; y++) {
        uint8_t *line = to + (ptrdiff_t)y * to_stride;
        int source_y = turn.mirror_y ? height - 1 - y : y;
        ptrdiff_t step = turn.transpose ? from_stride : 1;
        const uint8_t *source = from + (turn.transpose ? source_y : (ptrdiff_t)source_y * from_stride);
        if (!turn.transpose && !turn.mirror_x) {
            memcpy(line, source, (size_t)width);
            continue;
        }
        if (turn.mirror_x)
            source += (width - 1) * step;
        for (int x = 0; x < width; x++)
            line[x] = source[(turn.mirror_x ? -x : x) * step];
    }
}

/* Cuts the place at (x, y) out of what was scaled and turns it upright. */
static void place(const struct canvas *from, int x, int y, struct turn turn, const struct canvas *to)
{
    for (int i = 0; i < 3; i++) {
        int half = i == 0 ? 1 : 2;
        const uint8_t *start = from->plane[i] + (ptrdiff_t)(y / half) * from->stride[i] + x / half;
        turn_plane(to->plane[i], to->stride[i], to->width / half, to->height / half, start, from->stride[i], turn);
    }
}

/* ---- Cutting ---------------------------------------------------------------------------------- */

/* One direction of the cut: whole source samples from..from+length, scaled to `scaled`, of which
 * `offset` is where the target begins. */
struct cut {
    int from, length, scaled, offset;
};

static struct cut cut_of(double start, double share, int size, int align, int target)
{
    struct cut cut;
    double wanted = share * size, at = start * size;
    double ratio = target / wanted;
    cut.length = (int)ceil(wanted) + align + 1;
    if (cut.length > size)
        cut.length = size;
    cut.from = (int)floor(at) / align * align;
    if (cut.from > size - cut.length)
        cut.from = (size - cut.length) / align * align;
    if (cut.from < 0)
        cut.from = 0;
    cut.scaled = (int)lround(cut.length * ratio / 2) * 2;
    if (cut.scaled < target)
        cut.scaled = target;
    cut.offset = (int)lround((at - cut.from) * ratio);
    if (cut.offset > cut.scaled - target)
        cut.offset = cut.scaled - target;
    if (cut.offset < 0)
        cut.offset = 0;
    return cut;
}

/* The nearest whole samples instead, where that hardly changes the window's shape. */
static void put_on_samples(struct cut *cut, double start, double share, int size, int align, int target)
{
    int length = (int)lround(share * size / align) * align, most = size / align * align;
    if (share >= 1 || length < align || length > most || fabs(length / (share * size) - 1) > MOST_STRETCH)
        return;
    int from = (int)lround(start * size / align) * align;
    *cut = (struct cut){from > most - length ? most - length : from, length, target, 0};
}

/* The frame's part as a frame of its own that shares the data. Formats of less than a byte a pixel
 * cannot be cut. */
static int take_part(struct scale *scale, const AVFrame *frame, const struct cut *x, const struct cut *y)
{
    if (scale->part == NULL)
        scale->part = av_frame_alloc();
    if (scale->part == NULL)
        return AVERROR(ENOMEM);
    av_frame_unref(scale->part);
    int error = av_frame_ref(scale->part, frame);
    if (error < 0)
        return error;
    scale->part->crop_left = (size_t)x->from;
    scale->part->crop_top = (size_t)y->from;
    scale->part->crop_right = (size_t)(frame->width - x->from - x->length);
    scale->part->crop_bottom = (size_t)(frame->height - y->from - y->length);
    return av_frame_apply_cropping(scale->part, AV_FRAME_CROP_UNALIGNED);
}

static int run(struct scale *scale, const struct scale_key *key, const uint8_t *const data[], const int strides[],
               const struct canvas *to)
{
    int error = prepare(scale, key);
    if (error < 0)
        return error;
    error = sws_scale(scale->sws, data, strides, 0, key->height, to->plane, to->stride);
    return error < 0 ? error : 0;
}

int scale_frame(struct scale *scale, const AVFrame *frame, struct turn turn, struct window window, int method,
                const struct canvas *to)
{
    const AVPixFmtDescriptor *format = av_pix_fmt_desc_get((enum AVPixelFormat)frame->format);
    if (format == NULL || !sws_isSupportedInput((enum AVPixelFormat)frame->format))
        return AVERROR(ENOSYS);
    struct window stored = window_stored(window, turn);
    int whole = (format->flags & AV_PIX_FMT_FLAG_BITSTREAM) != 0;
    int align_x = whole ? frame->width : 1 << format->log2_chroma_w;
    int align_y = whole ? frame->height : 1 << format->log2_chroma_h;
    struct cut x = cut_of(stored.x, stored.width, frame->width, align_x, turn.transpose ? to->height : to->width);
    struct cut y = cut_of(stored.y, stored.height, frame->height, align_y, turn.transpose ? to->width : to->height);
    if (scale->still) {
        put_on_samples(&x, stored.x, stored.width, frame->width, align_x, turn.transpose ? to->height : to->width);
        put_on_samples(&y, stored.y, stored.height, frame->height, align_y, turn.transpose ? to->width : to->height);
    }
    int error = take_part(scale, frame, &x, &y);
    if (error < 0)
        return error;
    struct scale_key key = {
        x.length, y.length, x.scaled, y.scaled, frame->format, space_of(frame), is_full_range(frame, format), method};
    int direct = !turn.transpose && !turn.mirror_x && !turn.mirror_y && x.scaled == to->width && y.scaled == to->height;
    if (!direct)
        error = between_of(scale, x.scaled, y.scaled);
    if (error < 0)
        return error;
    const struct canvas *target = direct ? to : &scale->between;
    error = run(scale, &key, (const uint8_t *const *)scale->part->data, scale->part->linesize, target);
    if (error == 0 && !direct)
        place(&scale->between, x.offset, y.offset, turn, to);
    av_frame_unref(scale->part);
    return error;
}

int scale_canvas(struct scale *scale, const struct canvas *from, int method, const struct canvas *to)
{
    struct scale_key key = {from->width,        from->height,  to->width, to->height,
                            AV_PIX_FMT_YUV420P, SWS_CS_ITU709, 0,         method};
    return run(scale, &key, (const uint8_t *const *)from->plane, from->stride, to);
}

void scale_free(struct scale *scale)
{
    sws_freeContext(scale->sws);
    canvas_free(&scale->between);
    av_frame_free(&scale->part);
    memset(scale, 0, sizeof(*scale));
}
