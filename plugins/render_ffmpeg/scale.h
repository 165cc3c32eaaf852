/*
 * A decoded picture of any size, format, colour and orientation → a part of it on a canvas.
 */
#ifndef RENDER_SCALE_H
#define RENDER_SCALE_H

#include <libavutil/frame.h>
#include <libswscale/swscale.h>

#include "canvas.h"
#include "window.h"

/* What a converter was made for. */
struct scale_key {
    int width, height, to_width, to_height, format, space, full_range, method;
};

struct scale {
    struct SwsContext *sws;
    struct scale_key key;
    struct canvas between; /* where it scales to, when that is not yet the target */
    AVFrame *part;
    int still; /* set by the owner: the window does not move, so the nearest whole source samples are its border */
};

/* Shape of the picture as shown: with its pixels' shape and its turn. */
double scale_aspect(const AVFrame *frame, AVRational stream_pixel, struct turn turn);

/* The shown `window` of the frame, filling the canvas. `method` is an SWS_ flag. 0, or an AVERROR. */
int scale_frame(struct scale *scale, const AVFrame *frame, struct turn turn, struct window window, int method,
                const struct canvas *to);
/* A whole canvas onto another of any size. */
int scale_canvas(struct scale *scale, const struct canvas *from, int method, const struct canvas *to);
void scale_free(struct scale *scale);

#endif
