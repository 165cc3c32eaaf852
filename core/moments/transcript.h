/*
 * A transcript: the words of the whole video in order, cut into sentences. Everything that makes
 * moments works on this; docs/artifacts.md describes its JSON.
 */
#ifndef CM_MOMENTS_TRANSCRIPT_H
#define CM_MOMENTS_TRANSCRIPT_H

#include <stddef.h>
#include <stdint.h>

struct json_object;

struct cm_spoken {
    char *text; /* with its punctuation */
    int64_t start_ms, end_ms;
    double confidence; /* 0..1, -1: not said */
    int32_t speaker;   /* -1: not told apart */
};

/* Why a sentence ends behind its last word. */
enum cm_sentence_end {
    CM_END_MARK = 1,
    CM_END_PAUSE,
    CM_END_TURN,
    CM_END_LENGTH,
    CM_END_LAST
};

struct cm_sentence {
    size_t first, last; /* words, inclusive */
    int64_t start_ms, end_ms;
    enum cm_sentence_end end;
};

struct cm_stretch {
    int64_t start_ms, end_ms;
};

struct cm_transcript {
    char *language; /* "ru", "en", … */
    char **by;      /* the instances that recognised, each once */
    size_t by_count, by_room;
    int draft;
    int64_t duration_ms; /* of the media; never before the end of the last word */
    struct cm_spoken *words;
    size_t word_count, word_room;
    struct cm_sentence *sentences;
    size_t sentence_count, sentence_room;
    struct cm_stretch *speech; /* measured, in order */
    size_t speech_count, speech_room;
};

/* From the artifact; NULL with one line (malloc'd) when it makes no sense. */
struct cm_transcript *cm_transcript_read(struct json_object *json, char **error);
struct json_object *cm_transcript_write(const struct cm_transcript *transcript);
/* One word, as in the artifacts "words" and "transcript". */
struct json_object *cm_spoken_write(const struct cm_spoken *word);
void cm_transcript_free(struct cm_transcript *transcript);

/* The words first..last with spaces between; malloc'd. */
char *cm_transcript_text(const struct cm_transcript *transcript, size_t first_word, size_t last_word);
/* The pause behind a word: up to the next one, or to the end of the media. */
int64_t cm_transcript_gap_ms(const struct cm_transcript *transcript, size_t word);
const char *cm_sentence_end_name(enum cm_sentence_end end);

#endif
