/*
 * Words of a sentence: in lower case without punctuation, each with the number of its stem.
 */
#ifndef LLM_OFFLINE_WORDS_H
#define LLM_OFFLINE_WORDS_H

#include <stddef.h>
#include <stdint.h>

struct cm_ctx;

struct word {
    const char *folded;  /* lower case, ё as е */
    const char *surface; /* as it was said, without punctuation around it */
    const char *at;      /* where it begins in the text */
    unsigned stem;       /* index into the stems */
    unsigned letters;
    unsigned vowels;
    int capital; /* begins with a capital letter */
    int number;  /* has a digit */
};

/* All stems of the video, by number. */
struct stem {
    uint64_t hash;
    unsigned sentences; /* in how many it occurs */
    size_t last_seen;   /* the last of them + 1 */
    int content;        /* says what it is about: no grammar, no filler */
};

struct stems {
    struct cm_ctx *ctx;
    struct stem *list;
    size_t count, room;
    unsigned *slots; /* hash table: number + 1, 0 for free */
    size_t slot_count;
};

/* Splits the text; the words live as long as the call. */
struct word *words_split(struct cm_ctx *ctx, struct stems *stems, const char *text, size_t *count);
/* The text in lower case, as `folded`. */
const char *words_fold(struct cm_ctx *ctx, const char *text);
/* The text with its first letter as a capital one. */
const char *words_capital(struct cm_ctx *ctx, const char *text);

#endif
