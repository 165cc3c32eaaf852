/*
 * Terms: what a text is about, as a bag of word stems, to tell whether two texts say the same.
 */
#ifndef CM_MOMENTS_TERMS_H
#define CM_MOMENTS_TERMS_H

#include <stddef.h>
#include <stdint.h>

struct cm_term {
    uint64_t hash; /* of the stem */
    unsigned count;
};

struct cm_terms {
    struct cm_term *list; /* by hash */
    size_t count, room;
};

void cm_terms_add(struct cm_terms *terms, const char *text);
void cm_terms_finish(struct cm_terms *terms);
void cm_terms_free(struct cm_terms *terms);
/* 0..1; 0 where one of them has no terms. Both finished. */
double cm_terms_cosine(const struct cm_terms *a, const struct cm_terms *b);

#endif
