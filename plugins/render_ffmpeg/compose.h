/*
 * One source picture → the clip's picture without texts: cropped by the camera, or fitted over a blurred
 * copy of itself.
 */
#ifndef RENDER_COMPOSE_H
#define RENDER_COMPOSE_H

#include "scale.h"

struct compose {
    const struct document *document;
    AVRational pixel; /* of the stream */
    struct turn turn;
    struct scale front, back, upwards;
    struct canvas small;
    uint8_t *scratch;
};

/* 0, or -1 when memory is out; compose_close in any case. */
int compose_open(struct compose *compose, const struct document *document, AVRational pixel, struct turn turn);
/* 0, or an AVERROR (ENOSYS: a pixel format that nobody knows). */
int compose_picture(struct compose *compose, const AVFrame *frame, int64_t at_us, const struct canvas *to);
/* The end card's ground: the picture blurred and darkened. */
int compose_card(struct compose *compose, const struct canvas *from, const struct canvas *to);
void compose_close(struct compose *compose);

#endif
