/*
 * SubRip and WebVTT text → cues: who says which words when. Pure, and fed by fuzzers.
 */
#ifndef CAPTIONS_CUES_H
#define CAPTIONS_CUES_H

#include <stddef.h>
#include <stdint.h>

struct cue_word {
    char *text;
    int64_t start_ms; /* -1: not told */
    int line;         /* of the cue, from 0 */
};

struct cue {
    int64_t start_ms, end_ms; /* start < end after cues_settle */
    size_t order;             /* in the file */
    int32_t speaker;          /* number of the voice, in order of appearance; -1: not named */
    struct cue_word *words;
    size_t count, room;
};

struct cues {
    struct cue *items;
    size_t count, room;
    char **voices; /* names, by number */
    size_t voice_count, voice_room;
};

/* Reads UTF-8 text that ends with a NUL. What is no cue is passed over. With drop_sounds,
 * descriptions such as [music], (laughs) and ♪ are left out. */
void cues_parse(struct cues *cues, const char *text, int drop_sounds);
/* Puts the cues in order of time; leaves out empty ones and lines that a rolling display repeats;
 * ends each where the next begins, and joins those that begin together. */
void cues_settle(struct cues *cues);
void cues_free(struct cues *cues);

#endif
