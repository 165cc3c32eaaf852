/*
 * Words in time: text without times laid over the speech that is known, and words with times made
 * to agree with the chunk and with each other. Pure.
 */
#ifndef CM_WORKER_LAY_H
#define CM_WORKER_LAY_H

#include <stddef.h>
#include <stdint.h>

struct cm_interval;

struct cm_lay_word {
    char *text; /* owned */
    int64_t start_ms, end_ms;
    double confidence;
    int32_t speaker;
};

struct cm_lay {
    int64_t start_ms, end_ms; /* of the chunk */
    const struct cm_interval *speech;
    size_t speech_count;
    struct cm_lay_word *words;
    size_t count, room;
};

/* Adds a word that has times. Text with spaces inside is spread over its own span. */
void cm_lay_word(struct cm_lay *lay, const char *text, int64_t start_ms, int64_t end_ms, double confidence,
                 int32_t speaker);
/* Adds text that has only a span (-1, -1: the whole chunk): its words are laid over the speech in
 * the span, phrase by phrase, in a phrase in proportion to their letters, never across a pause. */
void cm_lay_text(struct cm_lay *lay, const char *text, int64_t start_ms, int64_t end_ms, double confidence,
                 int32_t speaker);
/* Sorts, keeps what lies in the chunk, ends overlaps, drops what recognisers make up on silence. */
void cm_lay_finish(struct cm_lay *lay);
void cm_lay_free(struct cm_lay *lay);

#endif
