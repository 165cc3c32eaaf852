/*
 * One source picture → the clip's picture without texts: cropped by the camera, or fitted over a blurred
 * copy of itself.
 *
 * Blurring at an eighth of the size looks the same and costs a seventeenth.
 */
#include "compose.h"

#include <libavutil/error.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SMALLER 8
#define NEARLY_SAME 0.01 /* shapes so close need no border */
#define DIMMED 150       /* of 256 */

int compose_open(struct compose *compose, const struct document *document, AVRational pixel, struct turn turn)
{
    memset(compose, 0, sizeof(*compose));
    compose->document = document;
    compose->pixel = pixel;
    compose->turn = turn;
    compose->front.still = document->camera_count <= 1;
    int width = (document->width / SMALLER + 1) / 2 * 2, height = (document->height / SMALLER + 1) / 2 * 2;
    int longer = width > height ? width : height;
    compose->scratch = malloc((size_t)longer);
    if (compose->scratch == NULL)
        return -1;
    return canvas_make(&compose->small, width < 2 ? 2 : width, height < 2 ? 2 : height);
}

static int blur_up(struct compose *compose, const struct canvas *to)
{
    int shorter = compose->small.width < compose->small.height ? compose->small.width : compose->small.height;
    canvas_blur(&compose->small, shorter / 24 + 1, compose->scratch);
    canvas_dim(&compose->small, DIMMED);
    return scale_canvas(&compose->upwards, &compose->small, SWS_BICUBIC, to);
}

/* The whole picture, as large as it fits, in the middle. */
static struct canvas middle_part(const struct canvas *to, double aspect)
{
    double shape = (double)to->width / to->height;
    int width = aspect > shape ? to->width : (int)lround(to->height * aspect / 2) * 2;
    int height = aspect > shape ? (int)lround(to->width / aspect / 2) * 2 : to->height;
    return canvas_part(to, (to->width - width) / 2, (to->height - height) / 2, width, height);
}

static int fit(struct compose *compose, const AVFrame *frame, double aspect, double shape, const struct canvas *to)
{
    struct window all = {0, 0, 1, 1}, cover = window_at(NULL, 0, 0, aspect, shape);
    int error = scale_frame(&compose->back, frame, compose->turn, cover, SWS_AREA, &compose->small);
    if (error == 0)
        error = blur_up(compose, to);
    struct canvas middle = middle_part(to, aspect);
    return error < 0 ? error : scale_frame(&compose->front, frame, compose->turn, all, SWS_BICUBIC, &middle);
}

int compose_picture(struct compose *compose, const AVFrame *frame, int64_t at_us, const struct canvas *to)
{
    const struct document *document = compose->document;
    double aspect = scale_aspect(frame, compose->pixel, compose->turn), shape = (double)to->width / to->height;
    if (document->framing == FRAMING_FIT && fabs(aspect / shape - 1) > NEARLY_SAME)
        return fit(compose, frame, aspect, shape, to);
    struct window window = window_at(document->camera, document->camera_count, at_us, aspect, shape);
    return scale_frame(&compose->front, frame, compose->turn, window, SWS_BICUBIC, to);
}

int compose_card(struct compose *compose, const struct canvas *from, const struct canvas *to)
{
    int error = scale_canvas(&compose->back, from, SWS_AREA, &compose->small);
    return error < 0 ? error : blur_up(compose, to);
}

void compose_close(struct compose *compose)
{
    scale_free(&compose->front);
    scale_free(&compose->back);
    scale_free(&compose->upwards);
    canvas_free(&compose->small);
    free(compose->scratch);
    memset(compose, 0, sizeof(*compose));
}
