/*
 * Merging: the words of all chunks become one list in order, in which no two overlap.
 */
#ifndef CM_MOMENTS_MERGE_H
#define CM_MOMENTS_MERGE_H

#include <stdint.h>

struct cm_transcript;
struct json_object;

/* Adds the words of one chunk (artifact `words`), and who recognised them. Any order of chunks. */
void cm_merge_words(struct cm_transcript *transcript, struct json_object *words);
/* Adds the measured speech of one chunk (artifact `speech`). */
void cm_merge_speech(struct cm_transcript *transcript, struct json_object *speech);
/* Sorts, drops what two chunks both have, ends overlaps; duration_ms 0: not known. */
void cm_merge_finish(struct cm_transcript *transcript, int64_t duration_ms);

#endif
