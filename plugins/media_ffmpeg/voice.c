/*
 * Where somebody speaks, and where to cut, from the levels alone. Pure: no file, no host.
 */
#include "voice.h"

#include <stdlib.h>
#include <string.h>

#include "media.h"

#define FRAME MEDIA_FRAME_MS
#define NOTHING_CDB (-8000)  /* below this it is digital silence and says nothing about the room */
#define INAUDIBLE_DB (-55.0) /* a 95th percentile below this: nobody speaks */
#define STEADY_DB 4.0        /* speech spreads over 15 dB and more; noise of one kind over 1 or 2 */
#define GATE_SHARE 0.3       /* of the way from floor to top: agrees with Silero on 91-98 % of frames */
#define CLOSE_GAP_FRAMES 25  /* shorter gaps are stops inside words */
#define SHORTEST_FRAMES 8    /* shorter sounds are clicks */
#define PAD_BEFORE_MS 60     /* onsets of consonants lie below the gate */
#define PAD_AFTER_MS 90
#define CHUNK_PAD_MS 200
#define FIRST_PAD_MS 1000
#define LONG_SILENCE_MS 15000
#define SILENCE_MS 300

void spans_add(struct spans *spans, int64_t start_ms, int64_t end_ms, double value)
{
    if (end_ms <= start_ms)
        return;
    spans->items = media_grow(spans->items, &spans->room, spans->count, sizeof(spans->items[0]));
    spans->items[spans->count++] = (struct span){start_ms, end_ms, value};
}

void spans_free(struct spans *spans)
{
    free(spans->items);
    *spans = (struct spans){0};
}

static double span_level(const struct levels *levels, int64_t start_ms, int64_t end_ms)
{
    return levels_mean_db(levels, (size_t)(start_ms / FRAME), (size_t)((end_ms + FRAME - 1) / FRAME));
}

static int64_t length_ms(const struct levels *levels)
{
    return (int64_t)levels->count * FRAME;
}

/* ---- The gate --------------------------------------------------------------------------------- */

#define BINS 101 /* one for each dB from -100 to 0 */

static double percentile(const size_t *bins, size_t total, double share)
{
    size_t wanted = (size_t)((double)total * share), seen = 0;
    for (int i = 0; i < BINS; i++) {
        seen += bins[i];
        if (seen > wanted)
            return i - 100;
    }
    return 0;
}

struct voice_gate voice_gate(const struct levels *levels)
{
    size_t bins[BINS] = {0}, total = 0;
    for (size_t i = 0; i < levels->count; i++) {
        if (levels->items[i].cdb <= NOTHING_CDB)
            continue;
        bins[100 + levels->items[i].cdb / 100]++;
        total++;
    }
    struct voice_gate gate = {.floor_db = -100, .top_db = -100, .threshold_db = 0, .finding = VOICE_SILENT};
    if (total * FRAME < 100)
        return gate;
    gate.floor_db = percentile(bins, total, 0.10);
    gate.top_db = percentile(bins, total, 0.95);
    gate.threshold_db = gate.floor_db + GATE_SHARE * (gate.top_db - gate.floor_db);
    if (gate.top_db < INAUDIBLE_DB)
        return gate;
    gate.finding =
        gate.top_db - gate.floor_db < STEADY_DB && total * 10 > levels->count * 8 ? VOICE_STEADY : VOICE_HEARD;
    return gate;
}

/* ---- Speech ----------------------------------------------------------------------------------- */

/* The mean of three frames: one loud frame is no voice, one quiet one no pause. */
static int is_voice(const struct levels *levels, const struct voice_gate *gate, size_t i)
{
    int before = levels->items[i > 0 ? i - 1 : 0].cdb, after = levels->items[i + 1 < levels->count ? i + 1 : i].cdb;
    return before + levels->items[i].cdb + after >= 300 * gate->threshold_db;
}

static void add_speech(const struct levels *levels, struct spans *speech, size_t first, size_t last)
{
    if (last - first < SHORTEST_FRAMES)
        return;
    int64_t start = (int64_t)first * FRAME - PAD_BEFORE_MS, end = (int64_t)last * FRAME + PAD_AFTER_MS;
    int64_t length = length_ms(levels);
    start = start < 0 ? 0 : start;
    end = end > length ? length : end;
    spans_add(speech, start, end, levels_mean_db(levels, first, last));
}

void voice_find(const struct levels *levels, const struct voice_gate *gate, struct spans *speech)
{
    size_t first = 0, last = 0; /* of the voiced run so far; empty when equal */
    if (gate->finding != VOICE_HEARD)
        return;
    for (size_t i = 0; i < levels->count; i++) {
        if (!is_voice(levels, gate, i))
            continue;
        if (last > first && i - last >= CLOSE_GAP_FRAMES)
            add_speech(levels, speech, first, last);
        if (last == first || i - last >= CLOSE_GAP_FRAMES)
            first = i;
        last = i + 1;
    }
    if (last > first)
        add_speech(levels, speech, first, last);
}

/* ---- Chunks ----------------------------------------------------------------------------------- */

static int64_t quietest_ms(const struct levels *levels, int64_t from_ms, int64_t to_ms)
{
    int64_t best = to_ms, best_sum = INT64_MAX;
    for (int64_t i = from_ms / FRAME + 1; i + 1 < to_ms / FRAME && i + 1 < (int64_t)levels->count; i++) {
        int64_t sum = levels->items[i - 1].cdb + levels->items[i].cdb + levels->items[i + 1].cdb;
        if (sum < best_sum) {
            best_sum = sum;
            best = i * FRAME + FRAME / 2;
        }
    }
    return best;
}

/* Splits interval `i` at the position, which lies inside it. */
static void split(struct spans *speech, size_t i, int64_t at_ms)
{
    struct span *item = &speech->items[i];
    spans_add(speech, at_ms, item->end_ms, item->value);
    struct span second = speech->items[speech->count - 1];
    memmove(&speech->items[i + 2], &speech->items[i + 1], (speech->count - i - 2) * sizeof(second));
    speech->items[i + 1] = second;
    speech->items[i].end_ms = at_ms;
}

static int64_t gap_after(const struct spans *speech, size_t i)
{
    return i + 1 < speech->count ? speech->items[i + 1].start_ms - speech->items[i].end_ms : INT64_MAX;
}

/* The last interval of the chunk that starts at start_ms with interval `first`. */
static size_t last_of_chunk(const struct spans *speech, size_t first, int64_t start_ms, int64_t max_ms)
{
    size_t last = first;
    while (last + 1 < speech->count && gap_after(speech, last) < LONG_SILENCE_MS &&
           speech->items[last + 1].end_ms - start_ms <= max_ms)
        last++;
    if (gap_after(speech, last) >= LONG_SILENCE_MS)
        return last;
    /* Of the pauses in the last quarter, the longest: it is likeliest to end a sentence. */
    size_t best = last;
    for (size_t i = last; i > first && speech->items[i].end_ms - start_ms > max_ms * 3 / 4; i--)
        if (gap_after(speech, i) > gap_after(speech, best))
            best = i;
    return best;
}

/* Before the first, more room: captions are often early. */
static int64_t padded_start(const struct spans *speech, size_t first)
{
    int64_t gap = first > 0 ? gap_after(speech, first - 1) / 2 : speech->items[first].start_ms;
    int64_t most = first > 0 ? CHUNK_PAD_MS : FIRST_PAD_MS;
    return speech->items[first].start_ms - (gap < most ? gap : most);
}

static int64_t padded_end(const struct levels *levels, const struct spans *speech, size_t last)
{
    int64_t gap = gap_after(speech, last) / 2;
    int64_t end = speech->items[last].end_ms + (gap < CHUNK_PAD_MS ? gap : CHUNK_PAD_MS), most = length_ms(levels);
    return end > most ? most : end;
}

void voice_chunks(const struct levels *levels, int64_t max_ms, struct spans *speech, struct spans *chunks)
{
    for (size_t first = 0; first < speech->count;) {
        int64_t start = padded_start(speech, first), room_ms = max_ms - CHUNK_PAD_MS;
        if (speech->items[first].end_ms - start > room_ms)
            split(speech, first, quietest_ms(levels, start + room_ms / 2, start + room_ms));
        size_t last = last_of_chunk(speech, first, start, room_ms);
        first = last + 1;
        int64_t end = first < speech->count ? padded_start(speech, first) : length_ms(levels);
        spans_add(chunks, start, end, (double)padded_end(levels, speech, last));
    }
}

/* ---- Cues ------------------------------------------------------------------------------------- */

void voice_silences(const struct levels *levels, const struct spans *speech, int64_t duration_ms, struct spans *found)
{
    int64_t from = 0;
    for (size_t i = 0; i <= speech->count; i++) {
        int64_t to = i < speech->count ? speech->items[i].start_ms : duration_ms;
        if (to - from >= SILENCE_MS)
            spans_add(found, from, to, span_level(levels, from, to));
        if (i < speech->count)
            from = speech->items[i].end_ms;
    }
}

#define LOUD_MS 250
#define LOUD_DB 6.0
#define LOUD_AROUND 60 /* windows on each side: 30 s in all */
#define LOUD_LEAST 12  /* with fewer heard windows around, nothing can stick out */

static int median_bin(const int *bins, int total)
{
    int seen = 0;
    for (int i = 0; i < BINS; i++) {
        seen += bins[i];
        if (seen * 2 >= total && total > 0)
            return i;
    }
    return BINS;
}

/* Joins windows that follow each other into one span with the greatest value. */
static void extend(struct spans *found, int64_t start_ms, int64_t end_ms, int64_t gap_ms, double value)
{
    struct span *last = found->count > 0 ? &found->items[found->count - 1] : NULL;
    if (last == NULL || start_ms - last->end_ms > gap_ms) {
        spans_add(found, start_ms, end_ms, value);
        return;
    }
    last->end_ms = end_ms;
    last->value = value > last->value ? value : last->value;
}

void voice_loud(const struct levels *levels, const struct voice_gate *gate, struct spans *found)
{
    size_t count = (size_t)(length_ms(levels) / LOUD_MS), step = LOUD_MS / FRAME;
    double *window = calloc(count + 1, sizeof(double));
    int bins[BINS] = {0}, heard = 0;
    if (window == NULL)
        abort();
    for (size_t i = 0; i < count; i++)
        window[i] = levels_mean_db(levels, i * step, (i + 1) * step);
    for (size_t i = 0; i < count + LOUD_AROUND; i++) {
        if (i < count && window[i] > gate->threshold_db) {
            bins[100 + (int)window[i]]++;
            heard++;
        }
        if (i < LOUD_AROUND)
            continue;
        size_t at = i - LOUD_AROUND;
        double over = window[at] - (median_bin(bins, heard) - 100);
        if (over >= LOUD_DB && heard >= LOUD_LEAST)
            extend(found, (int64_t)at * LOUD_MS, (int64_t)(at + 1) * LOUD_MS, 0, over);
        if (at >= LOUD_AROUND && window[at - LOUD_AROUND] > gate->threshold_db) {
            bins[100 + (int)window[at - LOUD_AROUND]]--;
            heard--;
        }
    }
    free(window);
}

#define BURST_FRAMES 10  /* windows of 100 ms */
#define BURST_NOISE 40.0 /* mean of level.noise; voice stays near 5, consonants are shorter */
#define BURST_SHORTEST_MS 900

static double window_noise(const struct levels *levels, size_t first)
{
    double sum = 0;
    for (size_t i = first; i < first + BURST_FRAMES; i++)
        sum += levels->items[i].noise;
    return sum / BURST_FRAMES;
}

void voice_bursts(const struct levels *levels, const struct voice_gate *gate, struct spans *found)
{
    struct spans runs = {0};
    for (size_t i = 0; i + BURST_FRAMES <= levels->count; i += BURST_FRAMES) {
        double noise = window_noise(levels, i);
        if (noise < BURST_NOISE || levels_mean_db(levels, i, i + BURST_FRAMES) <= gate->threshold_db)
            continue;
        extend(&runs, (int64_t)i * FRAME, (int64_t)(i + BURST_FRAMES) * FRAME, BURST_FRAMES * FRAME, noise / 128);
    }
    for (size_t i = 0; i < runs.count; i++)
        if (runs.items[i].end_ms - runs.items[i].start_ms >= BURST_SHORTEST_MS)
            spans_add(found, runs.items[i].start_ms, runs.items[i].end_ms,
                      runs.items[i].value > 1 ? 1 : runs.items[i].value);
    spans_free(&runs);
}
