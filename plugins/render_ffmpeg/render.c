/*
 * What the files of render_ffmpeg share: memory, and failures that every step can meet.
 */
#include "render.h"

#include <errno.h>
#include <libavutil/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *render_grow(void *items, size_t *room, size_t count, size_t item_bytes)
{
    if (count < *room)
        return items;
    size_t wanted = *room < 16 ? 16 : *room * 2;
    void *grown = wanted > SIZE_MAX / item_bytes ? NULL : realloc(items, wanted * item_bytes);
    if (grown == NULL) {
        fprintf(stderr, "render_ffmpeg: out of memory\n");
        abort();
    }
    *room = wanted;
    return grown;
}

enum cm_verdict render_write_failed(struct cm_ctx *ctx, const char *path, int error)
{
    if (error == ENOSPC || error == EDQUOT)
        return CM_FAIL(ctx, CM_HOLD, CM_REASON_RESOURCE, "no room left on the disk for %s: make room, then retry",
                       path);
    if (error == EROFS || error == EACCES || error == EPERM)
        return CM_FAIL(ctx, CM_HOLD, CM_REASON_RESOURCE, "%s cannot be written: %s", path, strerror(error));
    return CM_FAIL(ctx, CM_AGAIN, CM_REASON_RESOURCE, "writing %s failed: %s", path, strerror(error));
}

enum cm_verdict render_library_failed(struct cm_ctx *ctx, const char *doing, int error)
{
    char words[AV_ERROR_MAX_STRING_SIZE] = "";
    av_strerror(error, words, sizeof(words));
    if (error == AVERROR(ENOMEM))
        return CM_FAIL(ctx, CM_AGAIN, CM_REASON_RESOURCE, "out of memory while trying to %s", doing);
    return CM_FAIL(ctx, CM_CANNOT, CM_REASON_INTERNAL, "cannot %s: %s", doing, words);
}
