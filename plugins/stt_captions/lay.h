/*
 * The words of a cue laid over the speech in it, and which of them belong to a chunk. Pure.
 */
#ifndef CAPTIONS_LAY_H
#define CAPTIONS_LAY_H

#include "cues.h"

struct lay_span {
    int64_t start_ms, end_ms;
};

struct lay_chunk {
    int64_t start_ms, end_ms;
    const struct lay_span *speech; /* in order, without overlap */
    size_t count;
};

typedef void (*lay_emit)(void *to, const char *text, int64_t start_ms, int64_t end_ms, int32_t speaker);

/*
 * Emits those words of the cue that belong to the chunk: whose middle lies in it when the words are
 * spread over the cue by their letters. That does not depend on the chunk, so two chunks never
 * both take a word, and none is lost between chunks that touch.
 */
void lay_cue(const struct cue *cue, const struct lay_chunk *chunk, lay_emit emit, void *to);

#endif
