/*
 * Merging the words of all chunks.
 */
#include "core/moments/merge.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/message.h"
#include "core/common/text.h"
#include "core/moments/transcript.h"

#define WORD_MAX_MS 3000 /* no word is longer: a recogniser stretched it over the pause behind it */

static void add_by(struct cm_transcript *transcript, const char *by)
{
    for (size_t i = 0; i < transcript->by_count; i++) {
        if (!strcmp(transcript->by[i], by)) {
            return;
        }
    }
    transcript->by = cm_grow(transcript->by, &transcript->by_room, transcript->by_count, sizeof *transcript->by);
    transcript->by[transcript->by_count++] = cm_strdup(by);
}

static void add_word(struct cm_transcript *transcript, struct json_object *one)
{
    const char *text = cm_json_text(one, "t", "");
    int64_t start_ms = cm_json_ms(one, "s", -1), end_ms = cm_json_ms(one, "e", -1);
    if (!*text || start_ms < 0 || end_ms < start_ms) {
        return;
    }
    transcript->words =
        cm_grow(transcript->words, &transcript->word_room, transcript->word_count, sizeof *transcript->words);
    transcript->words[transcript->word_count++] = (struct cm_spoken){
        .text = cm_strdup(text),
        .start_ms = start_ms,
        .end_ms = end_ms < start_ms + WORD_MAX_MS ? end_ms : start_ms + WORD_MAX_MS,
        .confidence = cm_json_real(one, "c", -1),
        .speaker = (int32_t)cm_json_int(one, "p", -1),
    };
}

void cm_merge_words(struct cm_transcript *transcript, struct json_object *words)
{
    struct json_object *list = cm_json_array(words, "words");
    size_t count = list ? json_object_array_length(list) : 0;
    for (size_t i = 0; i < count; i++) {
        add_word(transcript, json_object_array_get_idx(list, i));
    }
    if (count > 0) {
        add_by(transcript, cm_json_text(words, "by", ""));
        transcript->draft |= cm_json_flag(words, "draft", 0);
    }
}

void cm_merge_speech(struct cm_transcript *transcript, struct json_object *speech)
{
    struct json_object *list = cm_json_array(speech, "speech");
    size_t count = list ? json_object_array_length(list) : 0;
    for (size_t i = 0; i < count; i++) {
        struct json_object *one = json_object_array_get_idx(list, i);
        if (!json_object_is_type(one, json_type_array) || json_object_array_length(one) < 2) {
            continue;
        }
        transcript->speech =
            cm_grow(transcript->speech, &transcript->speech_room, transcript->speech_count, sizeof *transcript->speech);
        transcript->speech[transcript->speech_count++] =
            (struct cm_stretch){cm_json_ms_at(one, 0), cm_json_ms_at(one, 1)};
    }
}

/* ---- Order ---- */

static int by_word_time(const void *a, const void *b)
{
    const struct cm_spoken *one = a, *two = b;
    if (one->start_ms != two->start_ms) {
        return one->start_ms < two->start_ms ? -1 : 1;
    }
    if (one->end_ms != two->end_ms) {
        return one->end_ms < two->end_ms ? -1 : 1;
    }
    return strcmp(one->text, two->text);
}

static int by_speech_time(const void *a, const void *b)
{
    const struct cm_stretch *one = a, *two = b;
    return one->start_ms < two->start_ms ? -1 : one->start_ms > two->start_ms;
}

/* The same word twice, from two chunks that both heard it. */
static int is_double(const struct cm_spoken *word, const struct cm_spoken *before)
{
    int64_t shared = before->end_ms - word->start_ms;
    int64_t length = word->end_ms - word->start_ms;
    return !strcmp(word->text, before->text) && shared > 0 && 2 * shared >= length;
}

static void drop_doubles(struct cm_transcript *transcript)
{
    size_t kept = 0;
    for (size_t i = 0; i < transcript->word_count; i++) {
        if (kept > 0 && is_double(&transcript->words[i], &transcript->words[kept - 1])) {
            free(transcript->words[i].text);
        } else {
            transcript->words[kept++] = transcript->words[i];
        }
    }
    transcript->word_count = kept;
}

/* A word ends where the next begins; two that begin together share their time. */
static void end_overlaps(struct cm_transcript *transcript)
{
    for (size_t i = 0; i + 1 < transcript->word_count; i++) {
        struct cm_spoken *word = &transcript->words[i], *next = word + 1;
        if (next->start_ms <= word->start_ms) {
            int64_t end_ms = next->end_ms > word->end_ms ? next->end_ms : word->end_ms;
            next->start_ms = word->start_ms + (end_ms - word->start_ms) / 2;
            next->end_ms = end_ms > next->start_ms ? end_ms : next->start_ms;
        }
        word->end_ms = word->end_ms < next->start_ms ? word->end_ms : next->start_ms;
    }
}

static void keep_inside(struct cm_transcript *transcript, int64_t duration_ms)
{
    size_t kept = 0;
    for (size_t i = 0; i < transcript->word_count; i++) {
        struct cm_spoken *word = &transcript->words[i];
        if (word->start_ms >= duration_ms) {
            free(word->text);
            continue;
        }
        word->end_ms = word->end_ms < duration_ms ? word->end_ms : duration_ms;
        transcript->words[kept++] = *word;
    }
    transcript->word_count = kept;
}

void cm_merge_finish(struct cm_transcript *transcript, int64_t duration_ms)
{
    if (transcript->word_count > 0) {
        qsort(transcript->words, transcript->word_count, sizeof *transcript->words, by_word_time);
    }
    if (transcript->speech_count > 0) {
        qsort(transcript->speech, transcript->speech_count, sizeof *transcript->speech, by_speech_time);
    }
    drop_doubles(transcript);
    end_overlaps(transcript);
    if (duration_ms > 0) {
        keep_inside(transcript, duration_ms);
    }
    transcript->duration_ms = duration_ms;
    if (transcript->word_count > 0) {
        int64_t end_ms = transcript->words[transcript->word_count - 1].end_ms;
        transcript->duration_ms = end_ms > duration_ms ? end_ms : duration_ms;
    }
}
