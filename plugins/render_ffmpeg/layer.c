/*
 * Everything that is laid over the picture, put together once and kept until it changes.
 */
#include "layer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Life ------------------------------------------------------------------------------------- */

static const struct layer_rows *rows_of(const struct layer *layer, int plane)
{
    return &layer->rows[plane > 0];
}

static size_t samples_of(const struct layer_rows *rows)
{
    return (size_t)rows->blocks * LAYER_BLOCK * (size_t)rows->height;
}

int layer_make(struct layer *layer, int width, int height)
{
    int good = 1;
    memset(layer, 0, sizeof(*layer));
    for (int i = 0; i < 2; i++) {
        struct layer_rows *rows = &layer->rows[i];
        rows->width = width >> i;
        rows->height = height >> i;
        rows->blocks = (rows->width + LAYER_BLOCK - 1) / LAYER_BLOCK;
        rows->from = calloc((size_t)rows->height, sizeof(int));
        rows->to = calloc((size_t)rows->height, sizeof(int));
        good = good && rows->from != NULL && rows->to != NULL;
    }
    for (int i = 0; i < 3; i++) {
        size_t samples = samples_of(rows_of(layer, i));
        layer->plane[i].keep = malloc(samples);
        layer->plane[i].add = calloc(samples, sizeof(uint16_t));
        good = good && layer->plane[i].keep != NULL && layer->plane[i].add != NULL;
        if (layer->plane[i].keep != NULL)
            memset(layer->plane[i].keep, 255, samples);
    }
    return good ? 0 : -1;
}

void layer_free(struct layer *layer)
{
    for (int i = 0; i < 3; i++) {
        free(layer->plane[i].keep);
        free(layer->plane[i].add);
    }
    for (int i = 0; i < 2; i++) {
        free(layer->rows[i].from);
        free(layer->rows[i].to);
    }
    memset(layer, 0, sizeof(*layer));
}

static void clear_plane(struct layer *layer, int plane)
{
    const struct layer_rows *rows = rows_of(layer, plane);
    for (int y = 0; y < rows->height; y++) {
        size_t at = ((size_t)y * (size_t)rows->blocks + (size_t)rows->from[y]) * LAYER_BLOCK;
        size_t count = rows->to[y] > rows->from[y] ? (size_t)(rows->to[y] - rows->from[y]) * LAYER_BLOCK : 0;
        memset(layer->plane[plane].keep + at, 255, count);
        memset(layer->plane[plane].add + at, 0, count * sizeof(uint16_t));
    }
}

void layer_clear(struct layer *layer)
{
    for (int i = 0; i < 3; i++)
        clear_plane(layer, i);
    for (int i = 0; i < 2; i++) {
        memset(layer->rows[i].from, 0, (size_t)layer->rows[i].height * sizeof(int));
        memset(layer->rows[i].to, 0, (size_t)layer->rows[i].height * sizeof(int));
    }
}

/* ---- Into the layer ----------------------------------------------------------------------------- */

/* Samples from..to-1 of the row will not be what they were. */
static void touch(struct layer_rows *rows, int y, int from, int to)
{
    int first = from / LAYER_BLOCK, last = (to + LAYER_BLOCK - 1) / LAYER_BLOCK;
    if (rows->to[y] <= rows->from[y]) {
        rows->from[y] = first;
        rows->to[y] = last;
        return;
    }
    rows->from[y] = first < rows->from[y] ? first : rows->from[y];
    rows->to[y] = last > rows->to[y] ? last : rows->to[y];
}

static void cover(struct layer *layer, int plane, int x, int y, int value, int alpha)
{
    const struct layer_rows *rows = rows_of(layer, plane);
    size_t at = (size_t)y * (size_t)rows->blocks * LAYER_BLOCK + (size_t)x;
    uint8_t *keep = &layer->plane[plane].keep[at];
    uint16_t *add = &layer->plane[plane].add[at];
    *keep = (uint8_t)((*keep * (255 - alpha) + 127) / 255);
    /* Rounding must not make more than 255 of it. */
    int sum = (*add * (255 - alpha) + 127) / 255 + value * alpha, most = 255 * (255 - *keep);
    *add = (uint16_t)(sum < most ? sum : most);
}

struct range {
    int from, to;
};

/* Which of the samples 0..limit the stretch at..at+length touches. */
static struct range clipped(int at, int length, int limit)
{
    struct range range = {at < 0 ? 0 : at, at > limit - length ? limit : at + length};
    return range;
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

static void paint_luma(struct layer *layer, const struct stencil *stencil, struct range across, struct range down,
                       int luma, int opacity)
{
    for (int y = down.from; y < down.to; y++) {
        const uint8_t *coverage = stencil->coverage + (ptrdiff_t)(y - stencil->y) * stencil->stride;
        touch(&layer->rows[0], y, across.from, across.to);
        for (int x = across.from; x < across.to; x++)
            if (coverage[x - stencil->x] != 0)
                cover(layer, 0, x, y, luma, coverage[x - stencil->x] * opacity / 255);
    }
}

/* Each chroma sample belongs to four pixels: their mean coverage. */
static void paint_chroma(struct layer *layer, const struct stencil *stencil, struct range across, struct range down,
                         const int yuv[3], int opacity)
{
    for (int y = down.from / 2; y < (down.to + 1) / 2; y++) {
        touch(&layer->rows[1], y, across.from / 2, (across.to + 1) / 2);
        for (int x = across.from / 2; x < (across.to + 1) / 2; x++) {
            int left = 2 * x - stencil->x, top = 2 * y - stencil->y;
            int sum = coverage_at(stencil, left, top) + coverage_at(stencil, left + 1, top) +
                      coverage_at(stencil, left, top + 1) + coverage_at(stencil, left + 1, top + 1);
            for (int i = 1; i < 3 && sum > 0; i++)
                cover(layer, i, x, y, yuv[i], (sum + 2) / 4 * opacity / 255);
        }
    }
}

void layer_paint(struct layer *layer, const struct stencil *stencil, uint32_t rgb, int opacity)
{
    struct range across = clipped(stencil->x, stencil->width, layer->rows[0].width);
    struct range down = clipped(stencil->y, stencil->height, layer->rows[0].height);
    int yuv[3];
    if (across.from >= across.to || down.from >= down.to)
        return;
    yuv_of(rgb, yuv);
    paint_luma(layer, stencil, across, down, yuv[0], opacity);
    paint_chroma(layer, stencil, across, down, yuv, opacity);
}

/* A picture with transparency, 4:4:4, and where its corner lies. */
struct sheet {
    const uint8_t *const *planes;
    const int *strides;
    int width, height, x, y, opacity;
};

static int sheet_at(const struct sheet *sheet, int plane, int x, int y)
{
    return sheet->planes[plane][(ptrdiff_t)(y - sheet->y) * sheet->strides[plane] + x - sheet->x];
}

static void add_luma(struct layer *layer, const struct sheet *sheet, struct range across, int y)
{
    touch(&layer->rows[0], y, across.from, across.to);
    for (int x = across.from; x < across.to; x++)
        cover(layer, 0, x, y, sheet_at(sheet, 0, x, y), sheet_at(sheet, 3, x, y) * sheet->opacity / 255);
}

/* The mean of the four pixels that a chroma sample belongs to, each weighing as much as it covers. */
static void add_chroma_sample(struct layer *layer, const struct sheet *sheet, struct range across, struct range down,
                              int x, int y)
{
    int covered = 0, sum[3] = {0};
    for (int i = 0; i < 4; i++) {
        int column = 2 * x + i % 2, row = 2 * y + i / 2;
        if (column < across.from || column >= across.to || row < down.from || row >= down.to)
            continue;
        int alpha = sheet_at(sheet, 3, column, row);
        covered += alpha;
        for (int plane = 1; plane < 3; plane++)
            sum[plane] += alpha * sheet_at(sheet, plane, column, row);
    }
    for (int plane = 1; plane < 3 && covered > 0; plane++)
        cover(layer, plane, x, y, (sum[plane] + covered / 2) / covered, (covered + 2) / 4 * sheet->opacity / 255);
}

void layer_add(struct layer *layer, const uint8_t *const planes[4], const int strides[4], int width, int height, int x,
               int y, int opacity)
{
    const struct sheet sheet = {planes, strides, width, height, x, y, opacity};
    struct range across = clipped(x, width, layer->rows[0].width), down = clipped(y, height, layer->rows[0].height);
    if (across.from >= across.to)
        return;
    for (int row = down.from; row < down.to; row++)
        add_luma(layer, &sheet, across, row);
    for (int row = down.from / 2; row < (down.to + 1) / 2; row++) {
        touch(&layer->rows[1], row, across.from / 2, (across.to + 1) / 2);
        for (int column = across.from / 2; column < (across.to + 1) / 2; column++)
            add_chroma_sample(layer, &sheet, across, down, column, row);
    }
}

/* ---- Onto the picture --------------------------------------------------------------------------- */

/* Of a known length, so that the compiler makes vectors of it. x / 255, rounded, for x below 65408. */
static void lay_block(uint8_t *restrict under, const uint8_t *restrict keep, const uint16_t *restrict add)
{
    for (int i = 0; i < LAYER_BLOCK; i++) {
        uint16_t sum = (uint16_t)(under[i] * keep[i] + add[i] + 128);
        under[i] = (uint8_t)((uint16_t)(sum + (sum >> 8)) >> 8);
    }
}

void layer_lay(const struct layer *layer, const struct canvas *canvas)
{
    for (int i = 0; i < 3; i++) {
        const struct layer_rows *rows = rows_of(layer, i);
        for (int y = 0; y < rows->height; y++) {
            uint8_t *line = canvas->plane[i] + (ptrdiff_t)y * canvas->stride[i];
            size_t start = (size_t)y * (size_t)rows->blocks * LAYER_BLOCK;
            for (int block = rows->from[y]; block < rows->to[y]; block++) {
                size_t at = (size_t)block * LAYER_BLOCK;
                lay_block(line + at, layer->plane[i].keep + start + at, layer->plane[i].add + start + at);
            }
        }
    }
}
