/*
 * Deciding which language was spoken, from what the recognisers of all chunks say.
 */
#ifndef CM_MOMENTS_LANGUAGE_H
#define CM_MOMENTS_LANGUAGE_H

#include <stddef.h>

#define CM_LANGUAGE_SURE 0.6 /* below it a person must say */

struct cm_language_vote {
    char name[16];
    double weight; /* words × confidence */
};

struct cm_language_votes {
    struct cm_language_vote list[8]; /* more languages in one video are noise */
    size_t count;
    double words;
};

/* What one chunk says; confidence below 0: it cannot show one. */
void cm_language_add(struct cm_language_votes *votes, const char *language, double confidence, size_t words);
/* The language with most weight and its share of all words, 0..1; "" when nobody named one. */
const char *cm_language_best(const struct cm_language_votes *votes, double *share);

#endif
