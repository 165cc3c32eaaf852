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

/* The pause between two neighbouring words, the ends of the media counting as words. Both clips that meet in it see the
 * same one, so each takes its half and they never share a moment. */
struct pause {
    int64_t start_ms, end_ms; /* from where the voice ends to where it begins again */
};

static struct pause pause_before(const struct cm_transcript *transcript, size_t word)
{
    const struct cm_spoken *words = transcript->words;
    struct pause pause = {0, transcript->duration_ms};
    int64_t next_ms = word < transcript->word_count ? words[word].start_ms : transcript->duration_ms;
    if (word > 0) {
        pause.start_ms = offset(transcript, words[word - 1].end_ms, next_ms);
    }
    if (word < transcript->word_count) {
        pause.end_ms = onset(transcript, pause.start_ms, next_ms);
    }
    return pause;
}

struct cm_span cm_snap(const struct cm_transcript *transcript, size_t first_word, size_t last_word)
{
    struct pause before = pause_before(transcript, first_word), after = pause_before(transcript, last_word + 1);
    /* Half of a pause belongs to the neighbour; at the ends of the media there is none. */
    int64_t lead_ms = (before.end_ms - before.start_ms) / (first_word > 0 ? 2 : 1);
    int64_t tail_ms = (after.end_ms - after.start_ms) / (last_word + 1 < transcript->word_count ? 2 : 1);
    return (struct cm_span){
        .first_word = first_word,
        .last_word = last_word,
        .start_ms = before.end_ms - most(0, least(LEAD_MS, lead_ms)),
        .end_ms = after.start_ms + most(0, least(TAIL_MS, tail_ms)),
    };
}
