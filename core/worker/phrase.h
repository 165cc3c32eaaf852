/*
 * Phrases: which words of a text are said in which stretch of speech, when only the text and the
 * stretches are known. Pure.
 *
 * Words never cross a pause, so each stretch holds a run of whole words, maybe none. Of all ways to
 * cut the text into such runs that one is taken whose runs last most nearly as long as their stretches, and
 * whose sentences end at pauses. Every mistake so stays where it was made, while words that are only
 * shared out by their letters drift for as long as the text lasts.
 */
#ifndef CM_WORKER_PHRASE_H
#define CM_WORKER_PHRASE_H

#include <stddef.h>

struct cm_interval;

/* What is heard after a word, by its punctuation. */
enum cm_stop {
    CM_STOP_NONE = 1,
    CM_STOP_COMMA,
    CM_STOP_SENTENCE
};

struct cm_phrase_word {
    double letters; /* how long it takes to say, in letters; above 0 */
    enum cm_stop stop;
    int leads_on; /* "the", "из": hardly ever stands before a pause */
    int begins;   /* "because", "который": what begins with it often stands behind one */
};

/* What one word of so many bytes is. Quotes and brackets around it do not count. English and Russian are known; of
 * words of other languages only the length and the stop. */
struct cm_phrase_word cm_phrase_word(const char *text, size_t bytes);

/* ends[i], for each of the stretches: one past the last word in it; ends[count - 1] is word_count.
 * The stretches are in order and not empty. New; NULL when the text is too long to try, or does not fit in any way. */
size_t *cm_phrase_cut(const struct cm_phrase_word *words, size_t word_count, const struct cm_interval *stretches,
                      size_t count);

#endif
