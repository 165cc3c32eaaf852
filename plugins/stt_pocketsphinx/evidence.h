/*
 * Was it English at all? What the words' confidences say about the language. Pure.
 */
#ifndef SPHINX_EVIDENCE_H
#define SPHINX_EVIDENCE_H

#include <stdint.h>

struct evidence {
    double sum, count;           /* of confidences, each word the same */
    double by_letters, letters;  /* weighted by the square of the letters */
    double by_length, length_ms; /* weighted by how long it is spoken */
    int64_t speech_ms;           /* that was decoded; the caller counts it */
};

void evidence_add(struct evidence *evidence, const char *word, int64_t length_ms, double confidence);
/* 0..1; above 0.6: English. */
double evidence_confidence(const struct evidence *evidence);

#endif
