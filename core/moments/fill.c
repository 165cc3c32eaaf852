/*
 * Filling up with dense speech.
 */
#include "core/moments/fill.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/text.h"
#include "core/moments/candidates.h"
#include "core/moments/transcript.h"

#define PREFERRED_MS 35000
#define FLOW_MAX 15   /* of 25: it is only dense, nobody judged it */
#define WHOLE_BONUS 3 /* it ends where a thought ends */
#define BY "choose"

static const struct {
    const char *language, *reason;
} reasons[] = {
    {"ru", "плотный отрезок речи"},
    {"en", "a dense stretch of speech"},
};

/* In the language of the speech, like every reason; English where there is no other. */
static const char *reason_in(const char *language)
{
    size_t count = sizeof reasons / sizeof *reasons;
    for (size_t i = 0; i < count; i++) {
        if (!strncmp(reasons[i].language, language, 2)) {
            return reasons[i].reason;
        }
    }
    return reasons[count - 1].reason;
}

static int64_t preferred_ms(const struct cm_limits *limits)
{
    return PREFERRED_MS < limits->min_ms   ? limits->min_ms
           : PREFERRED_MS > limits->max_ms ? limits->max_ms
                                           : PREFERRED_MS;
}

/* How much of the time words take. */
static double spoken_share(const struct cm_transcript *transcript, const struct cm_moment *moment)
{
    int64_t spoken_ms = 0;
    for (size_t i = moment->span.first_word; i <= moment->span.last_word; i++) {
        spoken_ms += transcript->words[i].end_ms - transcript->words[i].start_ms;
    }
    return (double)spoken_ms / (double)(moment->span.end_ms - moment->span.start_ms);
}

static struct cm_score judge(const struct cm_transcript *transcript, const struct cm_moment *moment, double share)
{
    enum cm_sentence_end end = transcript->sentences[moment->last].end;
    int whole = end == CM_END_MARK || end == CM_END_TURN || end == CM_END_LAST;
    int flow = (int)(FLOW_MAX * share) + (whole ? WHOLE_BONUS : 0);
    return (struct cm_score){.total = flow, .flow = flow};
}

/* The sentence up to which a moment from `first` has about the preferred length. */
static size_t last_near(const struct cm_transcript *transcript, size_t first, int64_t length_ms)
{
    const struct cm_sentence *sentences = transcript->sentences;
    size_t last = first;
    while (last + 1 < transcript->sentence_count &&
           sentences[last + 1].end_ms - sentences[first].start_ms <= length_ms) {
        last++;
    }
    return last;
}

/* From every sentence one of the preferred and one of the shortest length: the choice sorts them out. */
void cm_fill(struct cm_candidates *candidates, const struct cm_transcript *transcript, const struct cm_limits *limits,
             double least_share)
{
    int64_t lengths_ms[] = {preferred_ms(limits), limits->min_ms};
    const char *reason = reason_in(transcript->language);
    for (size_t first = 0; first < transcript->sentence_count; first++) {
        for (size_t i = 0; i < sizeof lengths_ms / sizeof *lengths_ms; i++) {
            struct cm_moment moment;
            size_t last = last_near(transcript, first, lengths_ms[i]);
            double share = cm_fit(transcript, limits, first, last, &moment) ? spoken_share(transcript, &moment) : -1;
            if (share < least_share) {
                continue;
            }
            char *id = cm_format(BY ".%zu.%zu", first, i + 1);
            struct cm_candidate *candidate = cm_candidates_add(candidates, id, BY, &moment, reason);
            candidate->score = judge(transcript, &moment, share);
            candidate->scored = 1;
            free(id);
        }
    }
    cm_candidates_unite(candidates);
}
