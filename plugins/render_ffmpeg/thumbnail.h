/*
 * The clip's still picture: the one asked for, or the clearest of those that come by.
 */
#ifndef RENDER_THUMBNAIL_H
#define RENDER_THUMBNAIL_H

#include "canvas.h"
#include "render.h"

struct thumbnail {
    struct canvas best;
    double clarity;
    int64_t wanted; /* number of a picture; -1: choose */
    int64_t every;  /* look at each so many */
    int has;
};

/* 0, or -1 when memory is out. */
int thumbnail_open(struct thumbnail *thumbnail, int width, int height, int64_t wanted, int64_t every);
void thumbnail_consider(struct thumbnail *thumbnail, const struct canvas *canvas, int64_t number);
/* longest_px: what its longer side has at most; 0: as large as the clip. */
enum cm_verdict thumbnail_write(const struct thumbnail *thumbnail, struct cm_ctx *ctx, const char *path,
                                int longest_px);
void thumbnail_close(struct thumbnail *thumbnail);

#endif
