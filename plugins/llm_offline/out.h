/*
 * Text that grows, in the call's memory.
 */
#ifndef LLM_OFFLINE_OUT_H
#define LLM_OFFLINE_OUT_H

#include <stddef.h>

struct cm_ctx;

struct out {
    struct cm_ctx *ctx;
    char *text;
    size_t length, room;
};

struct out out_new(struct cm_ctx *ctx);
void out_add(struct out *out, const char *more);

#endif
