/*
 * What is decoded at a time: speech intervals packed into pieces, cut at pauses. Pure.
 */
#ifndef SPHINX_PIECES_H
#define SPHINX_PIECES_H

#include "wave.h"

struct piece {
    int64_t start_ms, end_ms; /* positions in the wave */
};

struct pieces {
    struct piece *items;
    size_t count, room;
};

/* Adds one speech interval, in order of time. It joins the piece before it when both fit into
 * longest_ms and the pause between them is short; a longer one is cut at its quietest places. */
void pieces_add(struct pieces *pieces, const struct wave *wave, int64_t start_ms, int64_t end_ms, int64_t longest_ms);
void pieces_free(struct pieces *pieces);

#endif
