/*
 * Snapping to words and pauses.
 */
#include "core/moments/snap.h"

#include "core/moments/transcript.h"

#define LEAD_MS 350 /* silence wanted before the first word */
#define TAIL_MS 450 /* and behind the last */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The first measured stretch of speech that ends behind a time; they are in order. */
static size_t speech_behind(const struct cm_transcript *transcript, int64_t at_ms)
{
    size_t low = 0, high = transcript->speech_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (transcript->speech[middle].end_ms > at_ms) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

/* Recognisers note a word a little late; where the speech measurably began before it, that counts. */
static int64_t onset(const struct cm_transcript *transcript, int64_t earliest_ms, int64_t word_ms)
{
    for (size_t i = speech_behind(transcript, earliest_ms); i < transcript->speech_count; i++) {
        int64_t start_ms = transcript->speech[i].start_ms;
        if (start_ms >= word_ms) {
            break;
        }
        if (start_ms >= earliest_ms && word_ms - start_ms <= LEAD_MS) {
            return start_ms;
        }
    }
    return word_ms;
}

static int64_t offset(const struct cm_transcript *transcript, int64_t word_ms, int64_t latest_ms)
{
    size_t i = speech_behind(transcript, word_ms);
    int64_t end_ms = i < transcript->speech_count ? transcript->speech[i].end_ms : word_ms;
    return end_ms <= latest_ms && end_ms - word_ms <= TAIL_MS ? end_ms : word_ms;
}

struct cm_span cm_snap(const struct cm_transcript *transcript, size_t first_word, size_t last_word)
{
    const struct cm_spoken *words = transcript->words;
    int64_t before_ms = first_word > 0 ? words[first_word - 1].end_ms : 0;
    int64_t after_ms = last_word + 1 < transcript->word_count ? words[last_word + 1].start_ms : transcript->duration_ms;
    int64_t start_ms = onset(transcript, before_ms, words[first_word].start_ms);
    int64_t end_ms = offset(transcript, words[last_word].end_ms, after_ms);
    /* Half of a pause belongs to the neighbour; at the ends of the media there is none. */
    int64_t lead_ms = first_word > 0 ? (start_ms - before_ms) / 2 : start_ms;
    int64_t tail_ms = last_word + 1 < transcript->word_count ? (after_ms - end_ms) / 2 : after_ms - end_ms;
    return (struct cm_span){
        .first_word = first_word,
        .last_word = last_word,
        .start_ms = start_ms - most(0, least(LEAD_MS, lead_ms)),
        .end_ms = end_ms + most(0, least(TAIL_MS, tail_ms)),
    };
}
