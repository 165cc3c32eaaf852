/*
 * A transcript and its JSON.
 */
#include "core/moments/transcript.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"

static const char *const end_names[] = {
    [CM_END_MARK] = "mark",     [CM_END_PAUSE] = "pause", [CM_END_TURN] = "turn",
    [CM_END_LENGTH] = "length", [CM_END_LAST] = "last",
};

const char *cm_sentence_end_name(enum cm_sentence_end end)
{
    return end_names[end];
}

static enum cm_sentence_end end_of(const char *name)
{
    for (int i = CM_END_MARK; i <= CM_END_LAST; i++) {
        if (!strcmp(end_names[i], name)) {
            return (enum cm_sentence_end)i;
        }
    }
    return CM_END_PAUSE;
}

void cm_transcript_free(struct cm_transcript *transcript)
{
    if (!transcript) {
        return;
    }
    for (size_t i = 0; i < transcript->word_count; i++) {
        free(transcript->words[i].text);
    }
    for (size_t i = 0; i < transcript->by_count; i++) {
        free(transcript->by[i]);
    }
    free(transcript->by);
    free(transcript->language);
    free(transcript->words);
    free(transcript->sentences);
    free(transcript->speech);
    free(transcript);
}

char *cm_transcript_text(const struct cm_transcript *transcript, size_t first_word, size_t last_word)
{
    struct cm_text text = {0};
    for (size_t i = first_word; i <= last_word && i < transcript->word_count; i++) {
        cm_text_add(&text, i > first_word ? " " : "");
        cm_text_add(&text, transcript->words[i].text);
    }
    return cm_text_take(&text);
}

int64_t cm_transcript_gap_ms(const struct cm_transcript *transcript, size_t word)
{
    int64_t next = word + 1 < transcript->word_count ? transcript->words[word + 1].start_ms : transcript->duration_ms;
    int64_t gap = next - transcript->words[word].end_ms;
    return gap > 0 ? gap : 0;
}

/* ---- Writing ---- */

struct json_object *cm_spoken_write(const struct cm_spoken *word)
{
    struct json_object *one = json_object_new_object();
    json_object_object_add(one, "t", json_object_new_string(word->text));
    json_object_object_add(one, "s", json_object_new_int64(word->start_ms));
    json_object_object_add(one, "e", json_object_new_int64(word->end_ms));
    json_object_object_add(one, "c", json_object_new_double(word->confidence));
    json_object_object_add(one, "p", json_object_new_int(word->speaker));
    return one;
}

static struct json_object *write_words(const struct cm_transcript *transcript)
{
    struct json_object *words = json_object_new_array();
    for (size_t i = 0; i < transcript->word_count; i++) {
        json_object_array_add(words, cm_spoken_write(&transcript->words[i]));
    }
    return words;
}

static struct json_object *write_sentences(const struct cm_transcript *transcript)
{
    struct json_object *sentences = json_object_new_array();
    for (size_t i = 0; i < transcript->sentence_count; i++) {
        const struct cm_sentence *sentence = &transcript->sentences[i];
        struct json_object *one = json_object_new_object();
        json_object_object_add(one, "s", json_object_new_int64(sentence->start_ms));
        json_object_object_add(one, "e", json_object_new_int64(sentence->end_ms));
        json_object_object_add(one, "first", json_object_new_int64((int64_t)sentence->first));
        json_object_object_add(one, "last", json_object_new_int64((int64_t)sentence->last));
        json_object_object_add(one, "end", json_object_new_string(cm_sentence_end_name(sentence->end)));
        json_object_array_add(sentences, one);
    }
    return sentences;
}

static struct json_object *write_speech(const struct cm_transcript *transcript)
{
    struct json_object *speech = json_object_new_array();
    for (size_t i = 0; i < transcript->speech_count; i++) {
        struct json_object *one = json_object_new_array();
        json_object_array_add(one, json_object_new_int64(transcript->speech[i].start_ms));
        json_object_array_add(one, json_object_new_int64(transcript->speech[i].end_ms));
        json_object_array_add(speech, one);
    }
    return speech;
}

struct json_object *cm_transcript_write(const struct cm_transcript *transcript)
{
    struct json_object *json = json_object_new_object(), *by = json_object_new_array();
    for (size_t i = 0; i < transcript->by_count; i++) {
        json_object_array_add(by, json_object_new_string(transcript->by[i]));
    }
    json_object_object_add(json, "language", json_object_new_string(transcript->language));
    json_object_object_add(json, "by", by);
    json_object_object_add(json, "draft", json_object_new_boolean(transcript->draft));
    json_object_object_add(json, "duration_ms", json_object_new_int64(transcript->duration_ms));
    json_object_object_add(json, "words", write_words(transcript));
    json_object_object_add(json, "sentences", write_sentences(transcript));
    json_object_object_add(json, "speech", write_speech(transcript));
    return json;
}

/* ---- Reading ---- */

static size_t length_of(struct json_object *array)
{
    return array ? json_object_array_length(array) : 0;
}

/* NULL, or what is wrong with the words (malloc'd). */
static char *read_words(struct cm_transcript *transcript, struct json_object *words)
{
    size_t count = length_of(words);
    transcript->words = cm_alloc((count + 1) * sizeof *transcript->words);
    int64_t after = 0;
    for (size_t i = 0; i < count; i++) {
        struct json_object *one = json_object_array_get_idx(words, i);
        struct cm_spoken *word = &transcript->words[transcript->word_count++];
        word->text = cm_strdup(cm_json_text(one, "t", ""));
        word->start_ms = cm_json_ms(one, "s", -1);
        word->end_ms = cm_json_ms(one, "e", -1);
        word->confidence = cm_json_real(one, "c", -1);
        word->speaker = (int32_t)cm_json_int(one, "p", -1);
        if (word->start_ms < after || word->end_ms < word->start_ms) {
            return cm_format(_("the words of the transcript are not in order: word %zu"), i);
        }
        after = word->end_ms;
    }
    return NULL;
}

static char *read_sentences(struct cm_transcript *transcript, struct json_object *sentences)
{
    size_t count = length_of(sentences), next = 0;
    transcript->sentences = cm_alloc((count + 1) * sizeof *transcript->sentences);
    for (size_t i = 0; i < count; i++) {
        struct json_object *one = json_object_array_get_idx(sentences, i);
        long long first = cm_json_int(one, "first", -1), last = cm_json_int(one, "last", -1);
        if (first != (long long)next || last < first || last >= (long long)transcript->word_count) {
            return cm_format(_("the sentences of the transcript do not fit its words: sentence %zu"), i);
        }
        next = (size_t)last + 1;
        transcript->sentences[transcript->sentence_count++] = (struct cm_sentence){
            .first = (size_t)first,
            .last = (size_t)last,
            .start_ms = transcript->words[first].start_ms,
            .end_ms = transcript->words[last].end_ms,
            .end = end_of(cm_json_text(one, "end", "")),
        };
    }
    return next == transcript->word_count ? NULL : cm_strdup(_("some words of the transcript are in no sentence"));
}

static void read_speech(struct cm_transcript *transcript, struct json_object *speech)
{
    size_t count = length_of(speech);
    transcript->speech = cm_alloc((count + 1) * sizeof *transcript->speech);
    for (size_t i = 0; i < count; i++) {
        struct json_object *one = json_object_array_get_idx(speech, i);
        if (!json_object_is_type(one, json_type_array) || json_object_array_length(one) < 2) {
            continue;
        }
        transcript->speech[transcript->speech_count++] =
            (struct cm_stretch){cm_json_ms_at(one, 0), cm_json_ms_at(one, 1)};
    }
}

static void read_by(struct cm_transcript *transcript, struct json_object *by)
{
    size_t count = length_of(by);
    transcript->by = cm_alloc((count + 1) * sizeof *transcript->by);
    for (size_t i = 0; i < count; i++) {
        const char *name = json_object_get_string(json_object_array_get_idx(by, i));
        transcript->by[transcript->by_count++] = cm_strdup(name ? name : "");
    }
}

struct cm_transcript *cm_transcript_read(struct json_object *json, char **error)
{
    struct cm_transcript *transcript = cm_alloc(sizeof *transcript);
    transcript->language = cm_strdup(cm_json_text(json, "language", ""));
    transcript->draft = cm_json_flag(json, "draft", 0);
    transcript->duration_ms = cm_json_ms(json, "duration_ms", 0);
    read_by(transcript, cm_json_array(json, "by"));
    read_speech(transcript, cm_json_array(json, "speech"));
    *error = read_words(transcript, cm_json_array(json, "words"));
    *error = *error ? *error : read_sentences(transcript, cm_json_array(json, "sentences"));
    if (*error) {
        cm_transcript_free(transcript);
        return NULL;
    }
    if (transcript->word_count > 0) {
        int64_t end_ms = transcript->words[transcript->word_count - 1].end_ms;
        transcript->duration_ms = end_ms > transcript->duration_ms ? end_ms : transcript->duration_ms;
    }
    return transcript;
}
