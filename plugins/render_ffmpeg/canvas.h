/*
 * A picture of our own: 8-bit planar 4:2:0, BT.709, limited range; and simple work on it.
 */
#ifndef RENDER_CANVAS_H
#define RENDER_CANVAS_H

#include <stddef.h>
#include <stdint.h>

struct canvas {
    uint8_t *plane[4];
    int stride[4];
    int width, height; /* even */
    uint8_t *memory;   /* NULL: a view into another */
};

/* An owned canvas; 0, or -1 when memory is out. */
int canvas_make(struct canvas *canvas, int width, int height);
void canvas_free(struct canvas *canvas);

/* A part of the canvas as a canvas; all four numbers are made even and kept inside. */
struct canvas canvas_part(const struct canvas *canvas, int x, int y, int width, int height);
/* Same sizes. */
void canvas_copy(const struct canvas *to, const struct canvas *from);
/* Three box blurs: near enough to a Gaussian. `scratch` has room for the longer side. */
void canvas_blur(const struct canvas *canvas, int radius, uint8_t *scratch);
/* Brightness times share/256; colours fade with it. */
void canvas_dim(const struct canvas *canvas, int share);

/* How much a viewer sees in it: 0 for one flat or black area. For choosing a thumbnail. */
double canvas_clarity(const struct canvas *canvas);

#endif
