/*
 * The clip's captions as an SRT file, times from the clip's beginning.
 */
#ifndef RENDER_SRT_H
#define RENDER_SRT_H

#include "captions.h"

enum cm_verdict srt_write(struct cm_ctx *ctx, const char *path, const struct captions *captions);

#endif
