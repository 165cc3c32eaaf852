/*
 * Choosing: which candidates become moments, in rank order, best first.
 */
#ifndef CM_MOMENTS_CHOOSE_H
#define CM_MOMENTS_CHOOSE_H

#include <stddef.h>
#include <stdint.h>

struct cm_candidates;
struct cm_limits;
struct cm_transcript;

struct cm_choice {
    size_t *list; /* indices into the candidates, best first; malloc'd */
    size_t count, room;
};

/*
 * Chooses `clips` of them (0: as many as the material carries), none saying or showing what another
 * does. Where they do not reach the floor, moments of dense speech are added to the candidates, by
 * "choose"; so there is one at least wherever there is a sentence and the media is long enough.
 */
struct cm_choice cm_choose(struct cm_candidates *candidates, const struct cm_transcript *transcript,
                           const struct cm_limits *limits, int64_t clips);

/* How many there should be at least, and at most. */
size_t cm_choose_floor(int64_t duration_ms, int64_t clips);
size_t cm_choose_ceiling(int64_t clips);

/* The share of the shorter one that both cover, 0..1. */
double cm_overlap(int64_t a_start_ms, int64_t a_end_ms, int64_t b_start_ms, int64_t b_end_ms);

#endif
