/*
 * Transcripts for the tests of moments, written as text.
 */
#ifndef TESTS_MOMENTS_KIT_H
#define TESTS_MOMENTS_KIT_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/text.h"
#include "core/moments/merge.h"
#include "core/moments/sentences.h"
#include "core/moments/transcript.h"

/*
 * Words of 300 ms with 100 ms between. "/" is a pause of 900 ms, "//" one of 3 s, "|" one of 400 ms;
 * "@1" changes the speaker. The media goes on for 1 s behind the last word.
 */
static inline struct cm_transcript *kit_words(const char *script)
{
    struct cm_transcript *transcript = cm_alloc(sizeof *transcript);
    char *copy = cm_strdup(script), *rest = copy, *token;
    int64_t at_ms = 500;
    int32_t speaker = -1;
    transcript->language = cm_strdup("en");
    while ((token = strsep(&rest, " ")) != NULL) {
        if (*token == '@') {
            speaker = atoi(token + 1);
        } else if (!strcmp(token, "/") || !strcmp(token, "//") || !strcmp(token, "|")) {
            at_ms += token[0] == '|' ? 300 : token[1] ? 2900 : 800;
        } else if (*token) {
            transcript->words =
                cm_grow(transcript->words, &transcript->word_room, transcript->word_count, sizeof *transcript->words);
            transcript->words[transcript->word_count++] =
                (struct cm_spoken){cm_strdup(token), at_ms, at_ms + 300, -1, speaker};
            at_ms += 400;
        }
    }
    transcript->duration_ms = at_ms + 900;
    free(copy);
    return transcript;
}

static inline struct cm_transcript *kit_sentences(const char *script, int64_t max_clip_ms)
{
    struct cm_transcript *transcript = kit_words(script);
    cm_sentences_cut(transcript, max_clip_ms);
    return transcript;
}

/* A word that no other number has, told apart by its first letters. */
static inline void kit_word(struct cm_text *script, size_t number)
{
    for (int i = 0; i < 5; i++) {
        cm_text_addf(script, "%c", (char)('a' + number % 26));
        number /= 26;
    }
}

/* `count` sentences of `words` words each, all different. */
static inline struct cm_transcript *kit_talk(size_t count, size_t words, int64_t max_clip_ms)
{
    struct cm_text script = {0};
    for (size_t i = 0; i < count * words; i++) {
        kit_word(&script, i);
        cm_text_add(&script, (i + 1) % words == 0 ? ". | " : " ");
    }
    char *text = cm_text_take(&script);
    struct cm_transcript *transcript = kit_sentences(text, max_clip_ms);
    free(text);
    return transcript;
}

#endif
