/*
 * Candidates: the moments that were proposed, each checked, and later scored.
 */
#ifndef CM_MOMENTS_CANDIDATES_H
#define CM_MOMENTS_CANDIDATES_H

#include <stddef.h>
#include <stdint.h>

#include "core/moments/fit.h"

struct cm_transcript;
struct json_object;

struct cm_score {
    int total; /* 0..100, the sum */
    int hook, engagement, flow, trend;
};

struct cm_candidate {
    char *id; /* "01.3": the third of window 01 */
    char *by; /* the instance that proposed it */
    struct cm_moment moment;
    char *reason;
    struct cm_score score;
    int scored;
};

struct cm_candidates {
    struct cm_candidate *list;
    size_t count, room;
};

/* Takes what was proposed for one window ({"moments":[{first,last,reason}…]}): fits each into the
 * limits, leaves out what cannot be mended and what is there already. How many were left out. */
size_t cm_candidates_propose(struct cm_candidates *candidates, const struct cm_transcript *transcript,
                             const struct cm_limits *limits, const char *window, const char *by,
                             struct json_object *answer);
/* The artifact's list, and back: spans that do not fit the transcript are left out. */
struct json_object *cm_candidates_write(const struct cm_candidates *candidates);
void cm_candidates_read(struct cm_candidates *candidates, const struct cm_transcript *transcript, const char *by,
                        struct json_object *list);
/* Notes a score; the list is that of the artifact `scores`. */
void cm_candidates_score(struct cm_candidates *candidates, struct json_object *scores);
/* Drops the later of two with the same words. */
void cm_candidates_unite(struct cm_candidates *candidates);
struct json_object *cm_score_write(const struct cm_score *score);
void cm_candidates_free(struct cm_candidates *candidates);

/* Adds one; the strings are copied. It is valid until the next is added. */
struct cm_candidate *cm_candidates_add(struct cm_candidates *candidates, const char *id, const char *by,
                                       const struct cm_moment *moment, const char *reason);

#endif
