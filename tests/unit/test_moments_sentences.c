/*
 * Words of chunks become one list, and the list becomes sentences and windows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "core/moments/language.h"
#include "core/moments/windows.h"
#include "tests/unit/moments_kit.h"

/* ---- Merging ---- */

static void add(struct cm_transcript *transcript, const char *json)
{
    struct json_object *words = json_tokener_parse(json);
    assert_non_null(words);
    cm_merge_words(transcript, words);
    json_object_put(words);
}

static void chunks_merge_in_order_without_overlaps(void **state)
{
    (void)state;
    struct cm_transcript *all = cm_alloc(sizeof *all);
    add(all,
        "{\"by\":\"b\",\"draft\":true,\"words\":[{\"t\":\"three\",\"s\":2000,\"e\":2500},{\"t\":\"four\",\"s\":2400,"
        "\"e\":99000}]}");
    add(all,
        "{\"by\":\"a\",\"words\":[{\"t\":\"one\",\"s\":0,\"e\":900},{\"t\":\"two\",\"s\":1000,\"e\":1500},"
        "{\"t\":\"three\",\"s\":1950,\"e\":2450},{\"t\":\"\",\"s\":1,\"e\":2},{\"t\":\"bad\",\"s\":9,\"e\":3},\"?\"]}");
    cm_merge_finish(all, 5000);
    assert_int_equal(all->word_count, 4);
    assert_string_equal(all->words[0].text, "one");
    assert_string_equal(all->words[2].text, "three");
    assert_int_equal(all->words[2].end_ms, 2400);
    assert_int_equal(all->words[3].end_ms, 5000); /* no word is that long, and none leaves the media */
    assert_int_equal(all->by_count, 2);
    assert_true(all->draft);
    for (size_t i = 1; i < all->word_count; i++) {
        assert_true(all->words[i].start_ms >= all->words[i - 1].end_ms);
    }
    all->language = cm_strdup("en");
    cm_transcript_free(all);
}

static void words_that_begin_together_share_their_time(void **state)
{
    (void)state;
    struct cm_transcript *all = cm_alloc(sizeof *all);
    add(all, "{\"words\":[{\"t\":\"a\",\"s\":100,\"e\":500},{\"t\":\"b\",\"s\":100,\"e\":500},{\"t\":\"c\",\"s\":100,"
             "\"e\":100}]}");
    cm_merge_finish(all, 0);
    assert_int_equal(all->word_count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(all->words[i].start_ms <= all->words[i].end_ms);
        assert_true(i == 0 || all->words[i].start_ms >= all->words[i - 1].end_ms);
    }
    assert_int_equal(all->duration_ms, 500);
    cm_transcript_free(all);
}

static void a_transcript_survives_its_json(void **state)
{
    (void)state;
    char *error = NULL;
    struct cm_transcript *one = kit_sentences("Hello there. / How are you? @1 fine", 60000);
    struct json_object *json = cm_transcript_write(one);
    struct cm_transcript *two = cm_transcript_read(json, &error);
    assert_non_null(two);
    assert_int_equal(two->word_count, one->word_count);
    assert_int_equal(two->sentence_count, one->sentence_count);
    assert_int_equal(two->sentences[1].end, one->sentences[1].end);
    assert_int_equal(two->words[5].speaker, 1);
    cm_transcript_free(two);
    json_object_object_del(json_object_array_get_idx(json_object_object_get(json, "sentences"), 1), "first");
    assert_null(cm_transcript_read(json, &error));
    assert_non_null(strstr(error, "sentence 1"));
    free(error);
    json_object_put(json);
    cm_transcript_free(one);
}

/* ---- Sentences ---- */

static void expect(const char *script, const char *const *wanted, size_t count)
{
    struct cm_transcript *transcript = kit_sentences(script, 60000);
    assert_int_equal(transcript->sentence_count, count);
    for (size_t i = 0; i < count; i++) {
        char *text = cm_transcript_text(transcript, transcript->sentences[i].first, transcript->sentences[i].last);
        assert_string_equal(text, wanted[i]);
        free(text);
    }
    cm_transcript_free(transcript);
}

#define EXPECT(script, ...)                                                                                            \
    do {                                                                                                               \
        const char *const wanted[] = {__VA_ARGS__};                                                                    \
        expect(script, wanted, sizeof wanted / sizeof *wanted);                                                        \
    } while (0)

static void marks_end_sentences(void **state)
{
    (void)state;
    EXPECT("One two. Three? «Four!» Five… six", "One two.", "Three?", "«Four!»", "Five…", "six");
    EXPECT("Раз два. Три четыре? Пять", "Раз два.", "Три четыре?", "Пять");
}

static void abbreviations_and_numbers_end_nothing(void **state)
{
    (void)state;
    EXPECT("Dr. Smith met J. Brown in the U.S. last year. Good.", "Dr. Smith met J. Brown in the U.S. last year.",
           "Good.");
    EXPECT("Это т.е. пример и А. Пушкин писал. Да.", "Это т.е. пример и А. Пушкин писал.", "Да.");
    EXPECT("It is version 3.5 of it. Yes.", "It is version 3.5 of it.", "Yes.");
}

static void pauses_end_sentences_where_marks_are_missing(void **state)
{
    (void)state;
    EXPECT("one two three / four five | six / seven", "one two three", "four five six", "seven");
    /* with marks a pause for effect ends nothing, a long one does */
    EXPECT("And the winner / is you. Good // so there it is.", "And the winner is you.", "Good", "so there it is.");
}

static void another_speaker_ends_a_sentence(void **state)
{
    (void)state;
    EXPECT("@0 what is it @1 nothing at all @0 really", "what is it", "nothing at all", "really");
}

static void speech_without_marks_or_pauses_is_cut_by_length(void **state)
{
    (void)state;
    struct cm_text script = {0};
    for (int i = 0; i < 400; i++) {
        cm_text_addf(&script, "w%d%s ", i, i % 10 == 9 ? " |" : "");
    }
    char *text = cm_text_take(&script);
    struct cm_transcript *transcript = kit_sentences(text, 16000);
    size_t next = 0;
    for (size_t i = 0; i < transcript->sentence_count; i++) {
        const struct cm_sentence *sentence = &transcript->sentences[i];
        assert_int_equal(sentence->first, next);
        assert_true(sentence->end_ms - sentence->start_ms <= 8000); /* two fit into the longest clip */
        next = sentence->last + 1;
    }
    assert_int_equal(next, 400);
    free(text);
    cm_transcript_free(transcript);
}

/* ---- Windows ---- */

static void every_possible_clip_lies_whole_in_a_window(void **state)
{
    (void)state;
    const int64_t max_ms = 60000;
    struct cm_transcript *transcript = kit_talk(700, 9, max_ms); /* about 45 minutes */
    size_t count;
    struct cm_window *windows = cm_windows_cut(transcript, max_ms, &count);
    assert_in_range(count, 4, 8);
    assert_int_equal(windows[0].first, 0);
    assert_int_equal(windows[count - 1].last, transcript->sentence_count - 1);
    for (size_t first = 0; first < transcript->sentence_count; first++) {
        size_t last = first;
        while (last + 1 < transcript->sentence_count &&
               transcript->sentences[last + 1].end_ms - transcript->sentences[first].start_ms <= max_ms) {
            last++;
        }
        int whole = 0;
        for (size_t i = 0; i < count; i++) {
            whole |= windows[i].first <= first && last <= windows[i].last;
        }
        assert_true(whole);
    }
    free(windows);
    cm_transcript_free(transcript);
}

static void a_short_talk_is_one_window(void **state)
{
    (void)state;
    struct cm_transcript *transcript = kit_talk(20, 9, 60000);
    size_t count;
    struct cm_window *windows = cm_windows_cut(transcript, 60000, &count);
    assert_int_equal(count, 1);
    free(windows);
    transcript->sentence_count = 0;
    windows = cm_windows_cut(transcript, 60000, &count);
    assert_int_equal(count, 0);
    free(windows);
    cm_transcript_free(transcript);
}

/* ---- Language ---- */

static void the_language_is_the_one_with_most_sure_words(void **state)
{
    (void)state;
    struct cm_language_votes votes = {0};
    double share;
    assert_string_equal(cm_language_best(&votes, &share), "");
    cm_language_add(&votes, "en", 0.9, 900);
    cm_language_add(&votes, "ru", 0.9, 50);
    cm_language_add(&votes, "", -1, 50);
    assert_string_equal(cm_language_best(&votes, &share), "en");
    assert_true(share > 0.8 && share < 0.82);
    struct cm_language_votes unsure = {0};
    cm_language_add(&unsure, "en", -1, 100); /* it cannot show a confidence */
    cm_language_best(&unsure, &share);
    assert_true(share < CM_LANGUAGE_SURE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_merge_in_order_without_overlaps),
        cmocka_unit_test(words_that_begin_together_share_their_time),
        cmocka_unit_test(a_transcript_survives_its_json),
        cmocka_unit_test(marks_end_sentences),
        cmocka_unit_test(abbreviations_and_numbers_end_nothing),
        cmocka_unit_test(pauses_end_sentences_where_marks_are_missing),
        cmocka_unit_test(another_speaker_ends_a_sentence),
        cmocka_unit_test(speech_without_marks_or_pauses_is_cut_by_length),
        cmocka_unit_test(every_possible_clip_lies_whole_in_a_window),
        cmocka_unit_test(a_short_talk_is_one_window),
        cmocka_unit_test(the_language_is_the_one_with_most_sure_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
