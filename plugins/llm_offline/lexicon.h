/*
 * Lexicons: which words of a language catch an ear, tell a story, give advice, or only fill.
 */
#ifndef LLM_OFFLINE_LEXICON_H
#define LLM_OFFLINE_LEXICON_H

#include <stddef.h>

struct word;

enum kind {
    KIND_QUESTION = 1, /* begins a question, also without its mark */
    KIND_HOOK,
    KIND_STORY,
    KIND_CONTRAST,
    KIND_ADVICE,
    KIND_AROUSAL,
    KIND_SUPERLATIVE,
    KIND_YOU,
    KIND_NUMBER,
    KIND_OPENER,       /* a bad first word: it needs what was said before */
    KIND_HOUSEKEEPING, /* about the broadcast, not the matter */
    KIND_FILLER,
    KIND_PRONOUN,  /* a title must not begin with it */
    KIND_DANGLING, /* a sentence that ends with it is not finished */
    KIND_GRAMMAR,  /* says nothing of what a text is about */
    KIND_COUNT
};

struct phrase {
    enum kind kind;
    const char *words; /* lower case, ё as е; "*" behind a word: any ending */
};

struct lexicon {
    const char *language;
    const struct phrase *phrases;
    size_t count;
};

/* That of the language, English where there is none. */
const struct lexicon *lexicon_for(const char *language);
/* Whether the word is, by itself, one of this kind. */
int lexicon_is(const struct lexicon *lexicon, const struct word *word, enum kind kind);
/* How many words of the list match the phrase from its beginning; 0: it does not. */
size_t lexicon_match(const struct phrase *phrase, const struct word *words, size_t count);

#endif
