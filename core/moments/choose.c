/*
 * Choosing moments: greedily by score, first without overlap, then with a little, and filling up.
 */
#include "core/moments/choose.h"

#include <stdlib.h>

#include "core/common/text.h"
#include "core/moments/candidates.h"
#include "core/moments/fill.h"
#include "core/moments/terms.h"
#include "core/moments/transcript.h"

#define FLOOR 3
#define FLOOR_EACH_MS (10 * 60 * 1000) /* one clip for so much material at least */
#define CEILING 12
#define CLIPS_MAX 100
#define OVERLAP_SLIGHT 0.10 /* a shared breath or sentence */
#define OVERLAP_MOST 0.40   /* of the shorter: more is the same moment */
#define SAME_TEXT 0.70      /* cosine of the terms */
#define GOOD_SHARE 0.60     /* of the best total: worth a clip of its own beyond the floor */
#define SPOKEN_SHARE 0.4    /* of the time: with fewer words a clip nobody asked for is no clip */
#define ZONES 10            /* the timeline in tenths … */
#define ZONE_CLIPS 2        /* … that should not hold more than so many clips */
#define ZONE_PENALTY 0.85

struct chooser {
    struct cm_candidates *candidates;
    const struct cm_transcript *transcript;
    const struct cm_limits *limits;
    struct cm_terms *terms; /* of each candidate */
    size_t terms_count;
    struct cm_choice choice;
};

double cm_overlap(int64_t a_start_ms, int64_t a_end_ms, int64_t b_start_ms, int64_t b_end_ms)
{
    int64_t start_ms = a_start_ms > b_start_ms ? a_start_ms : b_start_ms;
    int64_t end_ms = a_end_ms < b_end_ms ? a_end_ms : b_end_ms;
    int64_t a_ms = a_end_ms - a_start_ms, b_ms = b_end_ms - b_start_ms;
    int64_t shorter_ms = a_ms < b_ms ? a_ms : b_ms;
    return end_ms > start_ms && shorter_ms > 0 ? (double)(end_ms - start_ms) / (double)shorter_ms : 0;
}

size_t cm_choose_ceiling(int64_t clips)
{
    return clips <= 0 ? CEILING : clips < CLIPS_MAX ? (size_t)clips : CLIPS_MAX;
}

size_t cm_choose_floor(int64_t duration_ms, int64_t clips)
{
    if (clips > 0) {
        return cm_choose_ceiling(clips);
    }
    int64_t by_length = duration_ms / FLOOR_EACH_MS;
    return by_length <= FLOOR ? FLOOR : by_length < CEILING ? (size_t)by_length : CEILING;
}

static const struct cm_span *span_of(const struct chooser *chooser, size_t index)
{
    return &chooser->candidates->list[index].moment.span;
}

static void know_terms(struct chooser *chooser)
{
    size_t count = chooser->candidates->count;
    chooser->terms = cm_realloc(chooser->terms, (count + 1) * sizeof *chooser->terms);
    for (; chooser->terms_count < count; chooser->terms_count++) {
        const struct cm_span *span = span_of(chooser, chooser->terms_count);
        char *text = cm_transcript_text(chooser->transcript, span->first_word, span->last_word);
        struct cm_terms terms = {0};
        cm_terms_add(&terms, text);
        cm_terms_finish(&terms);
        chooser->terms[chooser->terms_count] = terms;
        free(text);
    }
}

/* Whether it may stand beside what is chosen already. */
static int is_new(const struct chooser *chooser, size_t index, double overlap_most)
{
    const struct cm_span *span = span_of(chooser, index);
    for (size_t i = 0; i < chooser->choice.count; i++) {
        size_t other = chooser->choice.list[i];
        const struct cm_span *chosen = span_of(chooser, other);
        if (other == index ||
            cm_overlap(span->start_ms, span->end_ms, chosen->start_ms, chosen->end_ms) > overlap_most ||
            cm_terms_cosine(&chooser->terms[index], &chooser->terms[other]) > SAME_TEXT) {
            return 0;
        }
    }
    return 1;
}

static int64_t zone_of(const struct chooser *chooser, size_t index)
{
    const struct cm_span *span = span_of(chooser, index);
    int64_t duration_ms = chooser->transcript->duration_ms;
    return duration_ms > 0 ? (span->start_ms + span->end_ms) / 2 * ZONES / duration_ms : 0;
}

/* The total, less where the clips already crowd; short videos may crowd. */
static double worth_of(const struct chooser *chooser, size_t index)
{
    double total = chooser->candidates->list[index].score.total;
    size_t neighbours = 0;
    for (size_t i = 0; i < chooser->choice.count; i++) {
        neighbours += zone_of(chooser, chooser->choice.list[i]) == zone_of(chooser, index);
    }
    int crowded = chooser->transcript->duration_ms >= FLOOR_EACH_MS && neighbours >= ZONE_CLIPS;
    return crowded ? total * ZONE_PENALTY : total;
}

/* Of two equal ones the earlier in the video wins. */
static int is_better(const struct chooser *chooser, size_t index, size_t than)
{
    double worth = worth_of(chooser, index), other = worth_of(chooser, than);
    return worth > other || (worth == other && span_of(chooser, index)->start_ms < span_of(chooser, than)->start_ms);
}

static void take(struct chooser *chooser, size_t index)
{
    struct cm_choice *choice = &chooser->choice;
    choice->list = cm_grow(choice->list, &choice->room, choice->count, sizeof *choice->list);
    choice->list[choice->count++] = index;
}

/* Takes candidates until there are `wanted`; only scored ones. */
static void take_best(struct chooser *chooser, size_t wanted, double overlap_most)
{
    while (chooser->choice.count < wanted) {
        size_t best = chooser->candidates->count;
        for (size_t i = 0; i < chooser->candidates->count; i++) {
            if (chooser->candidates->list[i].scored && is_new(chooser, i, overlap_most) &&
                (best == chooser->candidates->count || is_better(chooser, i, best))) {
                best = i;
            }
        }
        if (best == chooser->candidates->count) {
            return;
        }
        take(chooser, best);
    }
}

/* Adds moments of dense speech where nothing is chosen yet, and takes them. */
static void take_dense(struct chooser *chooser, size_t wanted, double least_share)
{
    if (chooser->choice.count >= wanted) {
        return;
    }
    cm_fill(chooser->candidates, chooser->transcript, chooser->limits, least_share);
    know_terms(chooser);
    take_best(chooser, wanted, OVERLAP_SLIGHT);
}

/* How many are good enough: all that come near the best. */
static size_t count_good(const struct chooser *chooser)
{
    int best = 0;
    size_t good = 0;
    for (size_t i = 0; i < chooser->candidates->count; i++) {
        const struct cm_candidate *candidate = &chooser->candidates->list[i];
        best = candidate->scored && candidate->score.total > best ? candidate->score.total : best;
    }
    for (size_t i = 0; i < chooser->candidates->count; i++) {
        const struct cm_candidate *candidate = &chooser->candidates->list[i];
        good += candidate->scored && candidate->score.total >= GOOD_SHARE * best;
    }
    return good;
}

/* Best first by total; of equals the earlier. Insertion keeps it simple: there are a dozen. */
static void rank(struct chooser *chooser)
{
    size_t *list = chooser->choice.list;
    for (size_t i = 1; i < chooser->choice.count; i++) {
        for (size_t k = i; k > 0; k--) {
            const struct cm_candidate *a = &chooser->candidates->list[list[k - 1]];
            const struct cm_candidate *b = &chooser->candidates->list[list[k]];
            if (a->score.total > b->score.total ||
                (a->score.total == b->score.total && a->moment.span.start_ms <= b->moment.span.start_ms)) {
                break;
            }
            size_t swap = list[k];
            list[k] = list[k - 1];
            list[k - 1] = swap;
        }
    }
}

struct cm_choice cm_choose(struct cm_candidates *candidates, const struct cm_transcript *transcript,
                           const struct cm_limits *limits, int64_t clips)
{
    struct chooser chooser = {.candidates = candidates, .transcript = transcript, .limits = limits};
    cm_candidates_unite(candidates);
    know_terms(&chooser);
    size_t floor = cm_choose_floor(transcript->duration_ms, clips), ceiling = cm_choose_ceiling(clips);
    size_t good = count_good(&chooser);
    take_best(&chooser, good < floor ? floor : good < ceiling ? good : ceiling, OVERLAP_SLIGHT);
    take_dense(&chooser, floor, SPOKEN_SHARE);
    take_best(&chooser, floor, OVERLAP_MOST);
    take_dense(&chooser, 1, 0); /* rather a silent one than none */
    rank(&chooser);
    for (size_t i = 0; i < chooser.terms_count; i++) {
        cm_terms_free(&chooser.terms[i]);
    }
    free(chooser.terms);
    return chooser.choice;
}
