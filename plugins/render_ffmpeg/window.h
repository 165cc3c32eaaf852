/*
 * Which part of the source's picture is shown: the shape's largest window, moved by the camera, and
 * the way a turned or mirrored picture is stored. Pure.
 */
#ifndef RENDER_WINDOW_H
#define RENDER_WINDOW_H

#include <stdint.h>

#include "document.h"

/* A part of a picture, in shares of it: 0..1. */
struct window {
    double x, y, width, height;
};

/* How the stored picture becomes the shown one: transposed first, then mirrored. */
struct turn {
    int transpose, mirror_x, mirror_y;
};

/* From a display matrix (nine 16.16 numbers) or NULL; a slanted one becomes the nearest right angle. */
struct turn turn_of_matrix(const int32_t *matrix);

/* The same part in the stored picture. */
struct window window_stored(struct window shown, struct turn turn);

/* The largest window of shape `aspect` (width / height) in a picture of shape `source_aspect`, around
 * the camera's centre at this media position; never leaves the picture. */
struct window window_at(const struct document_camera *camera, size_t count, int64_t at_us, double source_aspect,
                        double aspect);

#endif
