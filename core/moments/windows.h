/*
 * Windows: a long transcript in pieces of whole sentences that a language model can read at once.
 */
#ifndef CM_MOMENTS_WINDOWS_H
#define CM_MOMENTS_WINDOWS_H

#include <stddef.h>
#include <stdint.h>

struct cm_transcript;

struct cm_window {
    size_t first, last; /* sentences, inclusive */
};

/* Windows in order, malloc'd; none only where there are no sentences. Any run of sentences not
 * longer than max_clip_ms lies whole in one of them. */
struct cm_window *cm_windows_cut(const struct cm_transcript *transcript, int64_t max_clip_ms, size_t *count);

#endif
