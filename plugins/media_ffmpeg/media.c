/*
 * What the files of media_ffmpeg share.
 */
#include "media.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void *media_grow(void *items, size_t *room, size_t count, size_t item_bytes)
{
    if (count < *room)
        return items;
    *room = *room < 64 ? 64 : *room * 2;
    void *grown = *room < SIZE_MAX / item_bytes ? realloc(items, *room * item_bytes) : NULL;
    if (grown == NULL)
        abort(); /* costs one attempt */
    return grown;
}

enum cm_verdict media_write_failed(struct cm_ctx *ctx, const char *what, int error)
{
    if (error == ENOSPC || error == EDQUOT)
        return CM_FAIL(ctx, CM_HOLD, CM_REASON_RESOURCE, "the disk is full: %s cannot be written; make room there",
                       what);
    return CM_FAIL(ctx, CM_HOLD, CM_REASON_RESOURCE, "%s cannot be written: %s", what, strerror(error));
}
