/*
 * Which part of the source's picture is shown: the shape's largest window, moved by the camera, and
 * the way a turned or mirrored picture is stored. Pure.
 */
#include "window.h"

#include <math.h>
#include <stdlib.h>

struct turn turn_of_matrix(const int32_t *matrix)
{
    struct turn turn = {0};
    if (matrix == NULL)
        return turn;
    int64_t a = matrix[0], b = matrix[1], c = matrix[3], d = matrix[4];
    turn.transpose = llabs(b) + llabs(c) > llabs(a) + llabs(d);
    turn.mirror_x = (turn.transpose ? c : a) < 0;
    turn.mirror_y = (turn.transpose ? b : d) < 0;
    return turn;
}

struct window window_stored(struct window shown, struct turn turn)
{
    if (turn.mirror_x)
        shown.x = 1 - shown.x - shown.width;
    if (turn.mirror_y)
        shown.y = 1 - shown.y - shown.height;
    if (!turn.transpose)
        return shown;
    return (struct window){shown.y, shown.x, shown.height, shown.width};
}

static struct document_camera camera_at(const struct document_camera *camera, size_t count, double at_ms)
{
    if (count == 0)
        return (struct document_camera){0, 0.5, 0.5, 1};
    size_t after = 0;
    while (after < count && (double)camera[after].at_ms <= at_ms)
        after++;
    if (after == 0 || after == count)
        return camera[after == 0 ? 0 : count - 1];
    const struct document_camera *from = &camera[after - 1], *to = &camera[after];
    double share = (at_ms - (double)from->at_ms) / (double)(to->at_ms - from->at_ms);
    return (struct document_camera){0, from->x + (to->x - from->x) * share, from->y + (to->y - from->y) * share,
                                    from->zoom + (to->zoom - from->zoom) * share};
}

static double inside(double centre, double length)
{
    double start = centre - length / 2;
    return start < 0 ? 0 : start > 1 - length ? 1 - length : start;
}

struct window window_at(const struct document_camera *camera, size_t count, int64_t at_us, double source_aspect,
                        double aspect)
{
    struct document_camera view = camera_at(camera, count, (double)at_us / 1000);
    struct window window = {.width = 1, .height = 1};
    if (aspect < source_aspect)
        window.width = aspect / source_aspect;
    else
        window.height = source_aspect / aspect;
    window.width /= view.zoom;
    window.height /= view.zoom;
    window.x = inside(view.x, window.width);
    window.y = inside(view.y, window.height);
    return window;
}
