/*
 * Sentences: where the words of a transcript may be cut. With punctuation at . ! ? …, without it at
 * pauses; never longer than a clip can bear.
 */
#ifndef CM_MOMENTS_SENTENCES_H
#define CM_MOMENTS_SENTENCES_H

#include <stdint.h>

struct cm_transcript;

/* Fills transcript->sentences; each word is in exactly one. max_clip_ms: the longest clip asked for. */
void cm_sentences_cut(struct cm_transcript *transcript, int64_t max_clip_ms);

#endif
