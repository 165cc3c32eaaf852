/*
 * A stretch of the sound as a FLAC file, whole or absent.
 */
#ifndef MEDIA_FLAC_H
#define MEDIA_FLAC_H

#include "sound.h"

/* Writes start_ms..end_ms to NAME in the attempt folder. */
enum cm_verdict flac_write(struct cm_ctx *ctx, const struct sound *sound, int64_t start_ms, int64_t end_ms,
                           const char *name);

#endif
