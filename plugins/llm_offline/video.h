/*
 * A video as the heuristics see it: the sentences of a question's input with what was measured and
 * read from each.
 */
#ifndef LLM_OFFLINE_VIDEO_H
#define LLM_OFFLINE_VIDEO_H

#include <stddef.h>
#include <stdint.h>

#include "lexicon.h"
#include "words.h"

struct cm_ctx;
struct cm_json;

struct cue {
    int64_t start_ms, end_ms;
    double value;
};

struct cues {
    struct cue *list; /* by time */
    size_t count;
};

struct sentence {
    long id;
    int64_t start_ms, end_ms, gap_ms; /* the pause behind it */
    long speaker;                     /* -1: not known */
    double confidence;                /* of its words, 0..1; -1: not known */
    int marked, turned, cut, final;   /* why it ends: a mark, another speaker, by force, the video's end */
    const char *text;
    struct word *words;
    size_t word_count;
    size_t loose; /* first words that only tie it to what came before: "So …", «Ну …» */
    unsigned hits[KIND_COUNT];
    const char *caught;             /* its strongest word, or NULL */
    int asks, opens_badly, dangles; /* a question; needs what was before; needs what comes */
    unsigned names, scenes;
    int reaction;    /* laughter or applause right behind it */
    double loud_db;  /* over its surroundings */
    double level_db; /* mean */
    double rate;     /* vowels a second */
    double density;  /* weighted content words a second */
    double depth;    /* how much the topic changes before it, 0..1 */
    int new_topic;
    double level_rank, density_rank; /* 0..1 inside this video */
};

struct video {
    struct cm_ctx *ctx;
    const struct lexicon *lexicon;
    int russian;
    int64_t duration_ms, min_ms, max_ms, preferred_ms;
    size_t want;
    struct sentence *sentences;
    size_t count;
    struct stems stems;
    struct cues silence, loud, scene, level, burst;
};

/* From the input of a question; all of it lives as long as the call. */
struct video *video_read(struct cm_ctx *ctx, const struct cm_json *input);
/* The index of the sentence with this id; -1: none. */
long video_find(const struct video *video, long id);
/* Fills `loose`, `hits` and `caught` from the words. */
void video_match(const struct video *video, struct sentence *sentence);
/* The first cue that ends behind this time. */
size_t cues_behind(const struct cues *cues, int64_t at_ms);
/* topics.c: fills depth and new_topic. */
void topics_find(struct video *video);

#endif
