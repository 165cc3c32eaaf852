/*
 * Everything that is laid over the picture, put together once and kept until it changes: then a picture
 * costs one pass over the touched rows, however many glyphs, outlines and shadows there are.
 */
#ifndef RENDER_LAYER_H
#define RENDER_LAYER_H

#include "canvas.h"

/* What comes of a sample is (under * keep + add) / 255. Rows are whole blocks of LAYER_BLOCK samples. */
#define LAYER_BLOCK 16
struct layer_plane {
    uint8_t *keep;
    uint16_t *add;
};
struct layer_rows {
    int *from, *to; /* touched blocks of a row; from >= to: none */
    int width, height, blocks;
};
struct layer {
    struct layer_plane plane[3];
    struct layer_rows rows[2]; /* of brightness; of both colours, which are half as wide and high */
};

/* A coverage map (0..255 a pixel) in one colour, at x, y. */
struct stencil {
    const uint8_t *coverage;
    int stride, width, height, x, y;
};

/* For canvases of this size; 0, or -1 when memory is out. */
int layer_make(struct layer *layer, int width, int height);
void layer_free(struct layer *layer);

/* Nothing lies over the picture any more. */
void layer_clear(struct layer *layer);
/* Over what is there already, clipped; opacity 0..255. */
void layer_paint(struct layer *layer, const struct stencil *stencil, uint32_t rgb, int opacity);
/* The same with a picture: Y, U, V, A planes of 4:4:4. */
void layer_add(struct layer *layer, const uint8_t *const planes[4], const int strides[4], int width, int height, int x,
               int y, int opacity);
/* All of it onto a canvas of the layer's size, whose strides hold whole blocks. */
void layer_lay(const struct layer *layer, const struct canvas *canvas);

#endif
