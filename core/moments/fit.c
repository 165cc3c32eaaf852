/*
 * Fitting a run of sentences into the limits: too long, sentences are taken away from its end; too
 * short, neighbours join it, then silence, then single words.
 */
#include "core/moments/fit.h"

#include "core/moments/transcript.h"

#define DEFAULT_MIN_MS 15000
#define DEFAULT_MAX_MS 60000
#define MOST_MS (1LL << 40) /* sums of times never overflow */
#define FAR_MS 2000         /* a neighbour behind such a pause belongs to something else */

struct cm_limits cm_limits_of(int64_t min_ms, int64_t max_ms)
{
    struct cm_limits limits = {min_ms > 0 ? min_ms : DEFAULT_MIN_MS, max_ms > 0 ? max_ms : DEFAULT_MAX_MS};
    limits.min_ms = limits.min_ms < MOST_MS ? limits.min_ms : MOST_MS;
    limits.max_ms = limits.max_ms < MOST_MS ? limits.max_ms : MOST_MS;
    limits.max_ms = limits.max_ms > limits.min_ms ? limits.max_ms : limits.min_ms;
    return limits;
}

static int64_t length_ms(const struct cm_span *span)
{
    return span->end_ms - span->start_ms;
}

static struct cm_span span_of(const struct cm_transcript *transcript, size_t first, size_t last)
{
    return cm_snap(transcript, transcript->sentences[first].first, transcript->sentences[last].last);
}

static void shrink(const struct cm_transcript *transcript, const struct cm_limits *limits, struct cm_moment *moment)
{
    while (length_ms(&moment->span) > limits->max_ms && moment->last > moment->first) {
        moment->last--;
        moment->span = span_of(transcript, moment->first, moment->last);
    }
    /* One sentence that is too long by itself loses its last words. */
    while (length_ms(&moment->span) > limits->max_ms && moment->span.last_word > moment->span.first_word) {
        moment->span = cm_snap(transcript, moment->span.first_word, moment->span.last_word - 1);
    }
}

/* The moment with the sentence behind it, or before it; 0 when there is none or it would be too long. */
static int joined(const struct cm_transcript *transcript, const struct cm_limits *limits,
                  const struct cm_moment *moment, int behind, struct cm_moment *more)
{
    if (behind ? moment->last + 1 >= transcript->sentence_count : moment->first == 0) {
        return 0;
    }
    *more = *moment;
    *(behind ? &more->last : &more->first) += behind ? 1 : (size_t)-1;
    more->span = span_of(transcript, more->first, more->last);
    return length_ms(&more->span) <= limits->max_ms;
}

/* What follows explains, what comes before introduces: behind first, unless it is far away. */
static int extend(const struct cm_transcript *transcript, const struct cm_limits *limits, struct cm_moment *moment)
{
    struct cm_moment behind, before;
    int can_behind = joined(transcript, limits, moment, 1, &behind);
    int can_before = joined(transcript, limits, moment, 0, &before);
    if (!can_behind && !can_before) {
        return 0;
    }
    int64_t gap_behind = cm_transcript_gap_ms(transcript, moment->span.last_word);
    int64_t gap_before = moment->first > 0 ? cm_transcript_gap_ms(transcript, moment->span.first_word - 1) : 0;
    int choose_before = can_before && (!can_behind || (gap_behind >= FAR_MS && gap_before < gap_behind));
    *moment = choose_before ? before : behind;
    return 1;
}

/* Takes up to `wanted` of the silence around the span, the end first. */
static void take_silence(const struct cm_transcript *transcript, struct cm_span *span, int64_t min_ms)
{
    size_t last = span->last_word, first = span->first_word;
    int64_t free_behind = transcript->words[last].end_ms + cm_transcript_gap_ms(transcript, last) - span->end_ms;
    int64_t free_before = span->start_ms - (first > 0 ? transcript->words[first - 1].end_ms : 0);
    int64_t wanted = min_ms - length_ms(span);
    int64_t behind = wanted < free_behind ? wanted : free_behind;
    int64_t before = wanted - behind < free_before ? wanted - behind : free_before;
    span->end_ms += behind > 0 ? behind : 0;
    span->start_ms -= before > 0 ? before : 0;
}

/* Where the limits leave less room than a word takes, the length wins: a word outside is cut. */
static void overrun(const struct cm_transcript *transcript, struct cm_span *span, int64_t min_ms)
{
    int64_t end_ms = span->start_ms + min_ms;
    span->end_ms = end_ms < transcript->duration_ms ? end_ms : transcript->duration_ms;
    span->start_ms = span->end_ms - min_ms;
}

/* The span with one more word, behind or else before; as it is when there is none. */
static struct cm_span one_more_word(const struct cm_transcript *transcript, const struct cm_span *span)
{
    if (span->last_word + 1 < transcript->word_count) {
        return cm_snap(transcript, span->first_word, span->last_word + 1);
    }
    return span->first_word > 0 ? cm_snap(transcript, span->first_word - 1, span->last_word) : *span;
}

/* The last resort: the silence around, and whole words of the neighbours. */
static void stretch(const struct cm_transcript *transcript, const struct cm_limits *limits, struct cm_moment *moment)
{
    struct cm_span *span = &moment->span;
    take_silence(transcript, span, limits->min_ms);
    while (length_ms(span) < limits->min_ms) {
        struct cm_span more = one_more_word(transcript, span);
        int none = more.first_word == span->first_word && more.last_word == span->last_word;
        if (none || length_ms(&more) > limits->max_ms) {
            overrun(transcript, span, limits->min_ms);
            return;
        }
        *span = more;
        take_silence(transcript, span, limits->min_ms);
    }
}

/* The sentences that the words lie in, after words were taken or given. */
static void settle_sentences(const struct cm_transcript *transcript, struct cm_moment *moment)
{
    while (transcript->sentences[moment->first].first > moment->span.first_word) {
        moment->first--;
    }
    while (transcript->sentences[moment->last].last < moment->span.last_word) {
        moment->last++;
    }
}

int cm_fit(const struct cm_transcript *transcript, const struct cm_limits *limits, size_t first, size_t last,
           struct cm_moment *moment)
{
    if (first > last || last >= transcript->sentence_count || transcript->duration_ms < limits->min_ms) {
        return 0;
    }
    struct cm_moment fitted = {.first = first, .last = last, .span = span_of(transcript, first, last)};
    shrink(transcript, limits, &fitted);
    while (length_ms(&fitted.span) < limits->min_ms && extend(transcript, limits, &fitted)) {
    }
    if (length_ms(&fitted.span) < limits->min_ms) {
        stretch(transcript, limits, &fitted);
        settle_sentences(transcript, &fitted);
    }
    if (length_ms(&fitted.span) < limits->min_ms || length_ms(&fitted.span) > limits->max_ms) {
        return 0;
    }
    *moment = fitted;
    return 1;
}
