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
