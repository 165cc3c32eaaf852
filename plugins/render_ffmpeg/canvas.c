/*
 * A picture of our own: 8-bit planar 4:2:0, BT.709, limited range; and simple work on it.
 */
#include "canvas.h"

#include <libavutil/imgutils.h>
#include <libavutil/mem.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int canvas_make(struct canvas *canvas, int width, int height)
{
    memset(canvas, 0, sizeof(*canvas));
    canvas->width = width;
    canvas->height = height;
    if (av_image_alloc(canvas->plane, canvas->stride, width, height, AV_PIX_FMT_YUV420P, 64) < 0)
        return -1;
    canvas->memory = canvas->plane[0];
    return 0;
}

void canvas_free(struct canvas *canvas)
{
    av_freep(&canvas->memory);
    memset(canvas, 0, sizeof(*canvas));
}

static int even(int number, int most)
{
    number -= number % 2;
    return number < 0 ? 0 : number > most ? most : number;
}

struct canvas canvas_part(const struct canvas *canvas, int x, int y, int width, int height)
{
    struct canvas part = *canvas;
    x = even(x, canvas->width - 2);
    y = even(y, canvas->height - 2);
    part.memory = NULL;
    part.width = even(width < 2 ? 2 : width, canvas->width - x);
    part.height = even(height < 2 ? 2 : height, canvas->height - y);
    part.plane[0] += y * canvas->stride[0] + x;
    part.plane[1] += y / 2 * canvas->stride[1] + x / 2;
    part.plane[2] += y / 2 * canvas->stride[2] + x / 2;
    return part;
}

void canvas_copy(const struct canvas *to, const struct canvas *from)
{
    for (int i = 0; i < 3; i++)
        av_image_copy_plane(to->plane[i], to->stride[i], from->plane[i], from->stride[i],
                            i == 0 ? to->width : to->width / 2, i == 0 ? to->height : to->height / 2);
}

/* One line of samples, `step` bytes apart, averaged over 2 * radius + 1 neighbours. */
static void blur_line(uint8_t *line, int count, ptrdiff_t step, int radius, uint8_t *scratch)
{
    int across = 2 * radius + 1, sum = 0;
    for (int i = 0; i < count; i++)
        scratch[i] = line[i * step];
    for (int i = -radius; i <= radius; i++)
        sum += scratch[i < 0 ? 0 : i >= count ? count - 1 : i];
    for (int i = 0; i < count; i++) {
        int in = i + radius + 1, out = i - radius;
        line[i * step] = (uint8_t)((sum + radius) / across);
        sum += scratch[in >= count ? count - 1 : in] - scratch[out < 0 ? 0 : out];
    }
}

void canvas_blur(const struct canvas *canvas, int radius, uint8_t *scratch)
{
    for (int pass = 0; pass < 3; pass++) {
        for (int i = 0; i < 3; i++) {
            int width = i == 0 ? canvas->width : canvas->width / 2;
            int height = i == 0 ? canvas->height : canvas->height / 2;
            int reach = i == 0 ? radius : (radius + 1) / 2;
            for (int y = 0; y < height; y++)
                blur_line(canvas->plane[i] + y * canvas->stride[i], width, 1, reach, scratch);
            for (int x = 0; x < width; x++)
                blur_line(canvas->plane[i] + x, height, canvas->stride[i], reach, scratch);
        }
    }
}

void canvas_dim(const struct canvas *canvas, int share)
{
    for (int i = 0; i < 3; i++) {
        int width = i == 0 ? canvas->width : canvas->width / 2, height = i == 0 ? canvas->height : canvas->height / 2;
        int rest = i == 0 ? 16 : 128;
        for (int y = 0; y < height; y++) {
            uint8_t *line = canvas->plane[i] + y * canvas->stride[i];
            for (int x = 0; x < width; x++)
                line[x] = (uint8_t)(rest + (line[x] - rest) * share / 256);
        }
    }
}

/* ---- Laying over ------------------------------------------------------------------------------ */

static uint8_t blend(uint8_t under, int over, int alpha)
{
    return (uint8_t)((under * (255 - alpha) + over * alpha + 127) / 255);
}

/* BT.709, limited range. */
static void yuv_of(uint32_t rgb, int yuv[3])
{
    double r = (rgb >> 16 & 255) / 255.0, g = (rgb >> 8 & 255) / 255.0, b = (rgb & 255) / 255.0;
    double luma = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    yuv[0] = (int)lround(16 + 219 * luma);
    yuv[1] = (int)lround(128 + 224 * (b - luma) / 1.8556);
    yuv[2] = (int)lround(128 + 224 * (r - luma) / 1.5748);
}

static int coverage_at(const struct stencil *stencil, int x, int y)
{
    if (x < 0 || y < 0 || x >= stencil->width || y >= stencil->height)
        return 0;
    return stencil->coverage[(ptrdiff_t)y * stencil->stride + x];
}

struct range {
    int from, to;
};

/* Which of the canvas's samples 0..limit the stretch at..at+length touches. */
static struct range clipped(int at, int length, int limit)
{
    struct range range = {at < 0 ? 0 : at, at > limit - length ? limit : at + length};
    return range;
}

static void paint_luma(const struct canvas *canvas, const struct stencil *stencil, int luma, int opacity)
{
    struct range across = clipped(stencil->x, stencil->width, canvas->width);
    struct range down = clipped(stencil->y, stencil->height, canvas->height);
    for (int y = down.from; y < down.to; y++) {
        const uint8_t *coverage = stencil->coverage + (ptrdiff_t)(y - stencil->y) * stencil->stride;
        uint8_t *line = canvas->plane[0] + (ptrdiff_t)y * canvas->stride[0];
        for (int x = across.from; x < across.to; x++)
            if (coverage[x - stencil->x] != 0)
                line[x] = blend(line[x], luma, coverage[x - stencil->x] * opacity / 255);
    }
}

/* Each chroma sample belongs to four pixels: their mean coverage. */
static void paint_chroma(const struct canvas *canvas, const struct stencil *stencil, const int yuv[3], int opacity)
{
    struct range across = clipped(stencil->x, stencil->width, canvas->width);
    struct range down = clipped(stencil->y, stencil->height, canvas->height);
    for (int y = down.from / 2; y < (down.to + 1) / 2; y++) {
        for (int x = across.from / 2; x < (across.to + 1) / 2; x++) {
            int left = 2 * x - stencil->x, top = 2 * y - stencil->y;
            int sum = coverage_at(stencil, left, top) + coverage_at(stencil, left + 1, top) +
                      coverage_at(stencil, left, top + 1) + coverage_at(stencil, left + 1, top + 1);
            if (sum == 0)
                continue;
            for (int i = 1; i < 3; i++) {
                uint8_t *sample = canvas->plane[i] + (ptrdiff_t)y * canvas->stride[i] + x;
                *sample = blend(*sample, yuv[i], (sum + 2) / 4 * opacity / 255);
            }
        }
    }
}

void canvas_paint(const struct canvas *canvas, const struct stencil *stencil, uint32_t rgb, int opacity)
{
    int yuv[3];
    yuv_of(rgb, yuv);
    paint_luma(canvas, stencil, yuv[0], opacity);
    paint_chroma(canvas, stencil, yuv, opacity);
}

void canvas_lay(const struct canvas *canvas, const uint8_t *const planes[4], const int strides[4], int width,
                int height, int x, int y, int opacity)
{
    struct range across = clipped(x, width, canvas->width), down = clipped(y, height, canvas->height);
    for (int row = down.from; row < down.to; row++) {
        for (int column = across.from; column < across.to; column++) {
            ptrdiff_t at[4];
            for (int i = 0; i < 4; i++)
                at[i] = (ptrdiff_t)(row - y) * strides[i] + (column - x);
            int alpha = planes[3][at[3]] * opacity / 255;
            uint8_t *luma = canvas->plane[0] + (ptrdiff_t)row * canvas->stride[0] + column;
            *luma = blend(*luma, planes[0][at[0]], alpha);
            if (row % 2 != 0 || column % 2 != 0)
                continue;
            for (int i = 1; i < 3; i++) {
                uint8_t *chroma = canvas->plane[i] + (ptrdiff_t)(row / 2) * canvas->stride[i] + column / 2;
                *chroma = blend(*chroma, planes[i][at[i]], alpha);
            }
        }
    }
}

double canvas_clarity(const struct canvas *canvas)
{
    double sum = 0, squares = 0, edges = 0;
    int count = 0;
    for (int y = 0; y + 8 < canvas->height; y += 8) {
        const uint8_t *line = canvas->plane[0] + (ptrdiff_t)y * canvas->stride[0];
        for (int x = 0; x + 8 < canvas->width; x += 8, count++) {
            sum += line[x];
            squares += (double)line[x] * line[x];
            edges += abs(line[x] - line[x + 2]);
        }
    }
    if (count == 0)
        return 0;
    double mean = sum / count, spread = squares / count - mean * mean;
    double light = mean < 40 ? (mean > 16 ? (mean - 16) / 24 : 0) : mean > 215 ? 0.5 : 1;
    return light * (sqrt(spread > 0 ? spread : 0) + 2 * edges / count);
}
