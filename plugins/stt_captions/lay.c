/*
 * The words of a cue laid over the speech in it, and which of them belong to a chunk. Pure.
 */
#include "lay.h"

#include <stdlib.h>

#define LETTER_MS 25        /* speech shorter than this for each letter cannot hold the text */
#define TIMED_LETTER_MS 120 /* a word with its own start lasts no longer than this for each letter */
#define SHORTEST_WORD_MS 40

struct placed {
    int64_t start_ms, end_ms;
    int weight; /* letters and the space */
    int mine;
};

static int letters(const char *text)
{
    int count = 0;
    for (; *text != '\0'; text++)
        count += (*text & 0xc0) != 0x80;
    return count;
}

static int weight_of(const struct placed *placed, size_t first, size_t last)
{
    int sum = 0;
    for (size_t i = first; i < last; i++)
        sum += placed[i].weight;
    return sum;
}

/* ---- Plain spreading by letters ------------------------------------------------------------------- */

/* A group is a run of words up to the next one that has a time of its own. */
static size_t group_end(const struct cue *cue, size_t first)
{
    size_t last = first + 1;
    while (last < cue->count && cue->words[last].start_ms < 0)
        last++;
    return last;
}

/* Where a group begins: at its time tag, if that lies in the cue. */
static int64_t group_start_ms(const struct cue *cue, size_t first, int64_t from_ms)
{
    if (first >= cue->count)
        return cue->end_ms;
    int64_t told = cue->words[first].start_ms;
    return told > from_ms && told < cue->end_ms ? told : from_ms;
}

static void spread(struct placed *placed, size_t first, size_t last, int64_t start_ms, int64_t end_ms)
{
    int total = weight_of(placed, first, last), before = 0;
    for (size_t i = first; i < last; i++) {
        placed[i].start_ms = start_ms + (end_ms - start_ms) * before / total;
        before += placed[i].weight;
        placed[i].end_ms = start_ms + (end_ms - start_ms) * before / total;
    }
}

static void place_plainly(const struct cue *cue, struct placed *placed)
{
    int64_t from_ms = cue->start_ms;
    for (size_t first = 0; first < cue->count;) {
        size_t last = group_end(cue, first);
        int64_t start_ms = group_start_ms(cue, first, from_ms), end_ms = group_start_ms(cue, last, start_ms);
        int64_t most_ms = (int64_t)weight_of(placed, first, last) * TIMED_LETTER_MS;
        if (cue->words[first].start_ms >= 0 && end_ms - start_ms > most_ms)
            end_ms = start_ms + most_ms;
        spread(placed, first, last, start_ms, end_ms);
        from_ms = end_ms;
        first = last;
    }
}

/* ---- Over speech ---------------------------------------------------------------------------------- */

static struct lay_span overlap(struct lay_span a, struct lay_span b)
{
    return (struct lay_span){a.start_ms > b.start_ms ? a.start_ms : b.start_ms,
                             a.end_ms < b.end_ms ? a.end_ms : b.end_ms};
}

static int64_t speech_in(const struct lay_chunk *chunk, struct lay_span span)
{
    int64_t sum = 0;
    for (size_t i = 0; i < chunk->count; i++) {
        struct lay_span part = overlap(chunk->speech[i], span);
        if (part.end_ms > part.start_ms)
            sum += part.end_ms - part.start_ms;
    }
    return sum;
}

/* The stretch from..to of the span's speech time, put back into media time; never across a pause:
 * it goes where its middle is. */
static struct lay_span unfold(const struct lay_chunk *chunk, struct lay_span span, int64_t from, int64_t to)
{
    int64_t before = 0, middle = (from + to) / 2;
    struct lay_span part = span;
    for (size_t i = 0; i < chunk->count; i++) {
        struct lay_span next = overlap(chunk->speech[i], span);
        if (next.end_ms <= next.start_ms)
            continue;
        part = next;
        if (middle < before + next.end_ms - next.start_ms)
            break;
        before += next.end_ms - next.start_ms;
    }
    struct lay_span word = {part.start_ms + from - before, part.start_ms + to - before};
    return overlap(word, part);
}

/* Lays words first..last-1, all mine, over the speech in their span. */
static void place_over_speech(const struct lay_chunk *chunk, struct placed *placed, size_t first, size_t last,
                              struct lay_span span)
{
    int total = weight_of(placed, first, last), before = 0;
    int64_t speech_ms = speech_in(chunk, span);
    if (speech_ms < (int64_t)total * LETTER_MS)
        return;
    for (size_t i = first; i < last; i++) {
        int64_t from = speech_ms * before / total;
        before += placed[i].weight;
        struct lay_span word = unfold(chunk, span, from, speech_ms * before / total);
        if (word.end_ms > word.start_ms) {
            placed[i].start_ms = word.start_ms;
            placed[i].end_ms = word.end_ms;
        }
    }
}

/* The cue's own span where the whole of it is mine; else what my words cover. */
static struct lay_span span_of(const struct cue *cue, const struct placed *placed, size_t first, size_t last)
{
    int64_t start = first == 0 ? cue->start_ms : placed[first].start_ms;
    int64_t end = last == cue->count ? cue->end_ms : placed[last - 1].end_ms;
    return (struct lay_span){start, end};
}

static int is_timed(const struct cue *cue)
{
    for (size_t i = 0; i < cue->count; i++)
        if (cue->words[i].start_ms >= 0)
            return 1;
    return 0;
}

/* The run of words that are mine; they follow each other, as times only grow. */
static size_t find_mine(const struct cue *cue, const struct lay_chunk *chunk, struct placed *placed, size_t *first)
{
    size_t count = 0;
    for (size_t i = 0; i < cue->count; i++) {
        int64_t middle = (placed[i].start_ms + placed[i].end_ms) / 2;
        placed[i].mine = middle >= chunk->start_ms && middle < chunk->end_ms;
        if (placed[i].mine && count++ == 0)
            *first = i;
    }
    return count;
}

void lay_cue(const struct cue *cue, const struct lay_chunk *chunk, lay_emit emit, void *to)
{
    size_t first = 0;
    if (cue->count == 0 || cue->end_ms <= chunk->start_ms || cue->start_ms >= chunk->end_ms)
        return;
    struct placed *placed = calloc(cue->count, sizeof(*placed));
    if (placed == NULL)
        abort();
    for (size_t i = 0; i < cue->count; i++)
        placed[i].weight = letters(cue->words[i].text) + 1;
    place_plainly(cue, placed);
    size_t count = find_mine(cue, chunk, placed, &first);
    if (count > 0 && !is_timed(cue)) {
        struct lay_span whole = {chunk->start_ms, chunk->end_ms};
        place_over_speech(chunk, placed, first, first + count,
                          overlap(span_of(cue, placed, first, first + count), whole));
    }
    for (size_t i = first; i < first + count; i++) {
        int64_t least = placed[i].start_ms + SHORTEST_WORD_MS;
        emit(to, cue->words[i].text, placed[i].start_ms, placed[i].end_ms > least ? placed[i].end_ms : least,
             cue->speaker);
    }
    free(placed);
}
