/*
 * What is decoded at a time: speech intervals packed into pieces, cut at pauses. Pure.
 */
#include "pieces.h"

#include <stdlib.h>

#define JOIN_PAUSE_MS 5000
#define SHORTEST_MS 100

static void push(struct pieces *pieces, int64_t start_ms, int64_t end_ms)
{
    if (end_ms - start_ms < SHORTEST_MS)
        return;
    if (pieces->count == pieces->room) {
        pieces->room = pieces->room * 2 + 16;
        pieces->items = realloc(pieces->items, pieces->room * sizeof(pieces->items[0]));
        if (pieces->items == NULL)
            abort();
    }
    pieces->items[pieces->count++] = (struct piece){start_ms, end_ms};
}

void pieces_add(struct pieces *pieces, const struct wave *wave, int64_t start_ms, int64_t end_ms, int64_t longest_ms)
{
    struct piece *last = pieces->count > 0 ? &pieces->items[pieces->count - 1] : NULL;
    int64_t length_ms = (int64_t)(wave->count / WAVE_PER_MS);
    if (last != NULL && start_ms < last->end_ms)
        start_ms = last->end_ms;
    start_ms = start_ms < 0 ? 0 : start_ms;
    end_ms = end_ms > length_ms ? length_ms : end_ms;
    if (last != NULL && end_ms - last->start_ms <= longest_ms && start_ms - last->end_ms <= JOIN_PAUSE_MS &&
        end_ms > last->end_ms) {
        last->end_ms = end_ms;
        return;
    }
    while (end_ms - start_ms > longest_ms) {
        int64_t cut = wave_quietest_ms(wave, start_ms + longest_ms / 2, start_ms + longest_ms);
        push(pieces, start_ms, cut);
        start_ms = cut;
    }
    push(pieces, start_ms, end_ms);
}

void pieces_free(struct pieces *pieces)
{
    free(pieces->items);
    *pieces = (struct pieces){0};
}
