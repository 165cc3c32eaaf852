/*
 * Picture files laid over the clip: a logo as the watermark.
 */
#ifndef RENDER_IMAGE_H
#define RENDER_IMAGE_H

#include "document.h"
#include "layer.h"

struct image {
    uint8_t *plane[4]; /* Y U V A, 4:4:4 */
    int stride[4];
    int width, height, x, y, opacity;
    int64_t from_ms, to_ms;
};

struct images {
    struct image *image;
    size_t count;
};

/* Reads and places the document's images. images_close is needed whatever it returns. */
enum cm_verdict images_open(struct images *images, struct cm_ctx *ctx, const struct document *document,
                            int64_t length_ms);
/* True when other images are shown at the one time than at the other. */
int images_differ(const struct images *images, int64_t one_ms, int64_t other_ms);
void images_paint(const struct images *images, int64_t at_ms, struct layer *layer);
void images_close(struct images *images);

#endif
