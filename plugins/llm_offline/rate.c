/*
 * Rating a run of sentences. The weights are those of the README; each part is 0..25.
 */
#include "rate.h"

#include <clipmaker/plugin.h>
#include <math.h>
#include <string.h>

#include "video.h"

#define OPENING_MS 4000 /* who is not caught by then scrolls on */
#define LOUD_DB 3.0     /* over the surroundings: a spike worth telling */
#define PAUSE_MS 350    /* behind a finished thought */
#define LONG_SILENCE_MS 4000
#define EDGE_MS 5000 /* housekeeping so near an edge spoils the clip */
#define FILLERS_MANY 0.25
#define REASONS 4

static double clamp01(double value)
{
    return value < 0 ? 0 : value > 1 ? 1 : value;
}

static double curve(double value)
{
    return 1 / (1 + exp(-value));
}

static double some(unsigned hits)
{
    return hits > 2 ? 1 : hits / 2.0;
}

/* ---- Sums over the run ---- */

struct sums {
    double seconds;
    size_t sentences, words;
    unsigned hits[KIND_COUNT];
    unsigned names, turns, scenes, reactions;
    double level_rank, density_rank, rate, rate_squares, loud_db, depth;
    int answered, heard; /* a question that is answered inside; levels were measured */
};

static void add(const struct video *video, size_t i, size_t first, size_t last, struct sums *sums)
{
    const struct sentence *sentence = &video->sentences[i];
    for (int kind = 1; kind < KIND_COUNT; kind++) {
        sums->hits[kind] += sentence->hits[kind];
    }
    sums->sentences++;
    sums->words += sentence->word_count;
    sums->names += sentence->names;
    sums->scenes += sentence->scenes;
    sums->reactions += sentence->reaction && i < last;
    sums->level_rank += sentence->level_rank;
    sums->density_rank += sentence->density_rank;
    sums->rate += sentence->rate;
    sums->rate_squares += sentence->rate * sentence->rate;
    sums->loud_db = fmax(sums->loud_db, sentence->loud_db);
    sums->answered |= sentence->asks && i < last;
    if (i > first) {
        const struct sentence *before = sentence - 1;
        sums->turns += before->speaker >= 0 && sentence->speaker >= 0 && before->speaker != sentence->speaker;
        sums->depth = fmax(sums->depth, sentence->depth);
    }
}

static struct sums sum_up(const struct video *video, size_t first, size_t last)
{
    struct sums sums = {.heard = video->level.count > 0 || video->loud.count > 0};
    for (size_t i = first; i <= last; i++) {
        add(video, i, first, last, &sums);
    }
    sums.seconds = (double)(video->sentences[last].end_ms - video->sentences[first].start_ms) / 1000;
    return sums;
}

/* ---- The four parts ---- */

/* The first sentence, and the next when it begins soon enough. */
static double rate_hook(const struct video *video, size_t first, size_t last, struct rating *rating)
{
    double value = -1.0;
    for (size_t i = first; i <= last; i++) {
        const struct sentence *sentence = &video->sentences[i];
        if (i > first && sentence->start_ms - video->sentences[first].start_ms > OPENING_MS) {
            break;
        }
        double share = i == first ? 1 : 0.6;
        value += share * (1.2 * sentence->asks + 1.0 * (sentence->hits[KIND_NUMBER] > 0) +
                          0.8 * (sentence->hits[KIND_CONTRAST] > 0) + 0.8 * (sentence->hits[KIND_YOU] > 0) +
                          0.8 * (sentence->hits[KIND_SUPERLATIVE] > 0) + 0.8 * (sentence->hits[KIND_STORY] > 0) +
                          1.0 * (sentence->hits[KIND_HOOK] > 0) + 0.7 * (sentence->hits[KIND_AROUSAL] > 0) +
                          0.7 * clamp01(sentence->loud_db / 10) - 2.0 * (sentence->hits[KIND_HOUSEKEEPING] > 0));
        value -= i == first ? 1.5 * (sentence->opens_badly && !sentence->asks) + 0.5 * (sentence->word_count < 3) : 0;
        rating->why[WHY_QUESTION] |= sentence->asks;
        rating->why[WHY_NUMBER] |= sentence->hits[KIND_NUMBER] > 0;
        rating->why[WHY_STORY] |= sentence->hits[KIND_STORY] > 0;
        rating->caught = rating->caught ? rating->caught : sentence->caught;
    }
    if (first > 0 && video->sentences[first - 1].cut) {
        value -= 1.5; /* it begins inside a sentence */
    }
    rating->why[WHY_CAUGHT] = rating->caught != NULL;
    return 25 * curve(value);
}

static double rate_engagement(const struct sums *sums, struct rating *rating)
{
    double count = (double)sums->sentences, mean = sums->rate / count;
    double variance = fmax(0, sums->rate_squares / count - mean * mean);
    double liveliness = mean > 0 ? clamp01(2 * sqrt(variance) / mean) : 0;
    double loudness = 0.6 * sums->level_rank / count + 0.4 * clamp01(sums->loud_db / 10);
    double reaction = sums->reactions > 0;
    double talk = clamp01(sums->turns / 3.0 + some(sums->hits[KIND_YOU]) / 2);
    double motion = clamp01(sums->scenes / 4.0);
    rating->loud_db = sums->loud_db;
    rating->why[WHY_LOUD] = sums->loud_db >= LOUD_DB;
    rating->why[WHY_REACTION] = sums->reactions > 0;
    rating->why[WHY_TURNS] = sums->turns >= 2;
    rating->why[WHY_YOU] = sums->hits[KIND_YOU] >= 2;
    if (!sums->heard) { /* the text must say it alone */
        return 25 * (0.4 * liveliness + 0.4 * talk + 0.2 * clamp01(sums->hits[KIND_AROUSAL] / 2.0));
    }
    return 25 * (0.30 * loudness + 0.25 * reaction + 0.20 * liveliness + 0.15 * talk + 0.10 * motion);
}

/* It begins with an answer, or behind the "Yes." of one. */
static int leaves_question_out(const struct video *video, size_t first)
{
    const struct sentence *begin = &video->sentences[first];
    return (first > 0 && begin[-1].asks) || (first > 1 && begin[-1].word_count <= 2 && begin[-2].asks);
}

/* Whether the thought is finished at the end and needs nothing from before, 0..1. */
static double completeness(const struct video *video, size_t first, size_t last, struct rating *rating)
{
    const struct sentence *begin = &video->sentences[first], *end = &video->sentences[last];
    int is_end = last + 1 == video->count;
    int stops = end->marked || end->turned || end->final || (!end->cut && end->gap_ms >= 2 * PAUSE_MS);
    int rests = is_end || end->gap_ms >= PAUSE_MS || end->turned || video->sentences[last + 1].new_topic;
    double value = 0.5 * stops + 0.3 * rests + 0.2 * !begin->opens_badly;
    value -= 0.5 * end->dangles + 0.6 * end->asks; /* nobody answers any more */
    value -= 0.5 * leaves_question_out(video, first);
    rating->why[WHY_WHOLE] = stops && rests && !end->asks && !end->dangles;
    return clamp01(value);
}

static double rate_flow(const struct video *video, size_t first, size_t last, const struct sums *sums,
                        struct rating *rating)
{
    double length_ms = 1000 * sums->seconds;
    double doublings = length_ms > 0 ? fabs(log2(length_ms / (double)video->preferred_ms)) : 4;
    double density = sums->density_rank / (double)sums->sentences;
    rating->why[WHY_DENSE] = density > 0.65;
    return 25 * (0.50 * completeness(video, first, last, rating) + 0.20 * (1 - clamp01(sums->depth)) + 0.15 * density +
                 0.15 * clamp01(1 - doublings / 2));
}

/* A short, strong last sentence is what people quote. */
static double quotable(const struct sentence *sentence)
{
    int short_enough = sentence->word_count >= 4 && sentence->word_count <= 12;
    int strong = sentence->hits[KIND_HOOK] || sentence->hits[KIND_SUPERLATIVE] || sentence->hits[KIND_CONTRAST] ||
                 sentence->hits[KIND_AROUSAL] || sentence->hits[KIND_NUMBER];
    return short_enough && !sentence->asks ? (strong ? 1 : 0.6) : 0;
}

static double rate_trend(const struct video *video, size_t last, const struct sums *sums, struct rating *rating)
{
    double arousal = some(sums->hits[KIND_AROUSAL] + sums->hits[KIND_HOOK]);
    double advice = some(sums->hits[KIND_ADVICE]);
    double facts = clamp01((sums->hits[KIND_NUMBER] + 0.5 * sums->names) / 3);
    double ending = quotable(&video->sentences[last]);
    rating->why[WHY_AROUSAL] = sums->hits[KIND_AROUSAL] > 0;
    rating->why[WHY_ADVICE] = sums->hits[KIND_ADVICE] >= 2;
    rating->why[WHY_CONTRAST] = sums->hits[KIND_CONTRAST] > 0;
    rating->why[WHY_ANSWER] = sums->answered;
    rating->why[WHY_ENDING] = ending >= 1;
    return 25 * (0.30 * arousal + 0.20 * ending + 0.20 * advice + 0.15 * facts + 0.15 * sums->answered);
}

/* ---- What speaks against it ---- */

static int has_housekeeping_at_edge(const struct video *video, size_t first, size_t last)
{
    for (size_t i = first; i <= last; i++) {
        const struct sentence *sentence = &video->sentences[i];
        int near_edge = sentence->start_ms - video->sentences[first].start_ms < EDGE_MS ||
                        video->sentences[last].end_ms - sentence->end_ms < EDGE_MS;
        if (near_edge && sentence->hits[KIND_HOUSEKEEPING]) {
            return 1;
        }
    }
    return 0;
}

/* A question that nobody answers, half a sentence, or a mere "Yes." */
static int loose_end(const struct video *video, size_t first, size_t last)
{
    const struct sentence *end = &video->sentences[last];
    int mere = last > first && end[-1].asks && end->word_count <= 2;
    return end->asks || end->dangles || mere;
}

static double against(const struct video *video, size_t first, size_t last, const struct sums *sums)
{
    double factor = 1;
    factor *= has_housekeeping_at_edge(video, first, last) ? 0.7 : 1;
    factor *= sums->words > 0 && (double)sums->hits[KIND_FILLER] / (double)sums->words > FILLERS_MANY ? 0.8 : 1;
    factor *= loose_end(video, first, last) ? 0.85 : 1;
    for (size_t i = first; i < last; i++) {
        factor *= video->sentences[i].gap_ms > LONG_SILENCE_MS ? 0.85 : 1;
    }
    return factor;
}

struct rating rate(const struct video *video, size_t first, size_t last)
{
    struct rating rating = {0};
    struct sums sums = sum_up(video, first, last);
    double factor = against(video, first, last, &sums);
    rating.hook = factor * rate_hook(video, first, last, &rating);
    rating.engagement = factor * rate_engagement(&sums, &rating);
    rating.flow = factor * rate_flow(video, first, last, &sums, &rating);
    rating.trend = factor * rate_trend(video, last, &sums, &rating);
    rating.total = rating.hook + rating.engagement + rating.flow + rating.trend;
    return rating;
}

/* ---- Reasons ---- */

/* All but those with a value in them. */
static const struct {
    const char *russian, *english;
} reasons[WHY_COUNT] = {
    [WHY_QUESTION] = {"вопрос в начале", "a question at the start"},
    [WHY_REACTION] = {"смех или аплодисменты", "laughter or applause"},
    [WHY_NUMBER] = {"число в начале", "a number at the start"},
    [WHY_STORY] = {"начало истории", "a story begins"},
    [WHY_ADVICE] = {"практический совет", "practical advice"},
    [WHY_AROUSAL] = {"сильные эмоции", "strong feelings"},
    [WHY_CONTRAST] = {"противопоставление", "a contrast"},
    [WHY_ANSWER] = {"есть вопрос и ответ", "a question and its answer"},
    [WHY_ENDING] = {"яркая последняя фраза", "a strong last line"},
    [WHY_WHOLE] = {"законченная мысль", "a finished thought"},
    [WHY_TURNS] = {"живой диалог", "a lively dialogue"},
    [WHY_YOU] = {"обращение к зрителю", "speaks to the viewer"},
    [WHY_DENSE] = {"плотная речь", "dense speech"},
};

static const char *reason_text(const struct video *video, const struct rating *rating, int why)
{
    struct cm_ctx *ctx = video->ctx;
    if (why == WHY_CAUGHT) {
        return video->russian ? ctx->host->format(ctx, "сильное слово в начале: «%s»", rating->caught)
                              : ctx->host->format(ctx, "a strong word at the start: \"%s\"", rating->caught);
    }
    if (why == WHY_LOUD) {
        return video->russian ? ctx->host->format(ctx, "всплеск громкости +%.0f дБ", rating->loud_db)
                              : ctx->host->format(ctx, "a peak of loudness, +%.0f dB", rating->loud_db);
    }
    return video->russian ? reasons[why].russian : reasons[why].english;
}

const char *rate_reason(const struct video *video, const struct rating *rating)
{
    struct cm_ctx *ctx = video->ctx;
    const char *text = "";
    int told = 0;
    for (int why = 0; why < WHY_COUNT && told < REASONS; why++) {
        int whole_comes = rating->why[WHY_WHOLE] && why < WHY_WHOLE && told == REASONS - 1;
        if (rating->why[why] && !whole_comes) { /* that it is whole is always worth telling */
            text = ctx->host->format(ctx, "%s%s%s", text, told++ ? "; " : "", reason_text(video, rating, why));
        }
    }
    return told ? text : video->russian ? "связный отрезок речи" : "a coherent stretch of speech";
}
