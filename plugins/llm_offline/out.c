/*
 * Text that grows.
 */
#include "out.h"

#include <clipmaker/plugin.h>
#include <string.h>

#define FIRST_ROOM 1024

struct out out_new(struct cm_ctx *ctx)
{
    return (struct out){.ctx = ctx, .text = ctx->host->alloc(ctx, FIRST_ROOM), .room = FIRST_ROOM};
}

void out_add(struct out *out, const char *more)
{
    size_t bytes = strlen(more);
    if (out->length + bytes + 1 > out->room) {
        out->room = 2 * (out->length + bytes + 1);
        char *text = out->ctx->host->alloc(out->ctx, out->room);
        memcpy(text, out->text, out->length);
        out->text = text;
    }
    memcpy(out->text + out->length, more, bytes + 1);
    out->length += bytes;
}
