/*
 * Phrases: sentences end at pauses, a fast or a slow phrase moves no other, noise takes no words,
 * and no text is too long.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <clipmaker/plugin.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/worker/phrase.h"

#define ROOM 64

static struct cm_phrase_word word_of(const char *text)
{
    return cm_phrase_word(text, strlen(text));
}

static void test_a_word(void **state)
{
    (void)state;
    assert_true(word_of("слово").letters == 6);
    assert_true(word_of("word,").letters == 5);
    assert_true(word_of("«ёлка»").letters == 5);
    assert_true(word_of("25").letters == 9);
    assert_true(word_of("—").letters == 1);
    assert_int_equal(word_of("word").stop, CM_STOP_NONE);
    assert_int_equal(word_of("word,").stop, CM_STOP_COMMA);
    assert_int_equal(word_of("слово»,").stop, CM_STOP_COMMA);
    assert_int_equal(word_of("слово.»").stop, CM_STOP_SENTENCE);
    assert_int_equal(word_of("слово…").stop, CM_STOP_SENTENCE);
    assert_int_equal(word_of("3.5").stop, CM_STOP_NONE);
    assert_int_equal(word_of("well-known").stop, CM_STOP_NONE);
    assert_int_equal(word_of("—").stop, CM_STOP_COMMA);
    assert_int_equal(word_of("\xf0").stop, CM_STOP_NONE); /* a character cut off */
}

/* Cuts a text of single spaces over stretches that last so long, 500 ms apart; compares the ends. */
static void check(const char *text, const int *lengths_ms, const size_t *expected, size_t count)
{
    struct cm_phrase_word words[ROOM];
    struct cm_interval stretches[ROOM];
    size_t word_count = 0;
    int64_t at_ms = 300;
    for (; *text; text += text[strcspn(text, " ")] ? strcspn(text, " ") + 1 : strcspn(text, " ")) {
        words[word_count++] = cm_phrase_word(text, strcspn(text, " "));
    }
    for (size_t i = 0; i < count; i++) {
        stretches[i] = (struct cm_interval){.start_ms = at_ms, .end_ms = at_ms + lengths_ms[i]};
        at_ms += lengths_ms[i] + 500;
    }
    size_t *ends = cm_phrase_cut(words, word_count, stretches, count);
    assert_non_null(ends);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(ends[i], expected[i]);
    }
    free(ends);
}

/* By letters alone the fast second phrase would begin 600 ms early, and so would all that follow. */
static void test_sentences_end_at_pauses(void **state)
{
    (void)state;
    check("Ten years ago I lost my job. I went home at once and slept. What did you do then? I called my friend.",
          (const int[]){2600, 1300, 1500, 1400}, (const size_t[]){7, 14, 19, 23}, 4);
}

static void test_without_punctuation_lengths_decide(void **state)
{
    (void)state;
    check("через несколько лет путешествие на марс будет не более сложно чем перелёт из москвы в берлин",
          (const int[]){3870, 950, 1330}, (const size_t[]){10, 12, 16}, 3);
}

static void test_words_that_lead_on_stay_with_the_next(void **state)
{
    (void)state;
    assert_true(word_of("The").leads_on && word_of("Из").leads_on && word_of("её").leads_on);
    assert_false(word_of("house").leads_on || word_of("домой").leads_on || word_of("").leads_on);
    assert_true(word_of("Because").begins && word_of("КОТОРЫЕ").begins && word_of("«когда").begins);
    assert_false(word_of("house").begins || word_of("domestication-of-something").begins);
    /* By length alone "that" would end the first stretch, and "и" the other. */
    check("a system of representative government that would guide future generations", (const int[]){2750, 2000},
          (const size_t[]){5, 10}, 2);
    check("мы втянули его через люк и он упал на землю", (const int[]){1900, 1150}, (const size_t[]){5, 10}, 2);
}

static void test_noise_takes_no_words(void **state)
{
    (void)state;
    check("Thank you for coming. This was a great story.", (const int[]){1500, 90, 1600}, (const size_t[]){4, 4, 9}, 3);
}

static void test_more_stretches_than_words(void **state)
{
    (void)state;
    check("Yes.", (const int[]){120, 500, 110}, (const size_t[]){0, 1, 1}, 3);
}

/* Whoever says so much in so little time is not believed, but costs no more than others. */
static void test_no_text_is_too_long(void **state)
{
    (void)state;
    const size_t count = 200000;
    struct cm_phrase_word *words = calloc(count, sizeof *words);
    struct cm_interval stretches[2] = {{.start_ms = 0, .end_ms = 1000}, {.start_ms = 2000, .end_ms = 3000}};
    assert_non_null(words);
    for (size_t i = 0; i < count; i++) {
        words[i] = word_of("word");
    }
    assert_null(cm_phrase_cut(words, count, stretches, 2));
    assert_null(cm_phrase_cut(words, 1000, stretches, 2));
    assert_null(cm_phrase_cut(words, 0, stretches, 2));
    assert_null(cm_phrase_cut(words, 1, stretches, 0));
    free(words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_word),
        cmocka_unit_test(test_sentences_end_at_pauses),
        cmocka_unit_test(test_without_punctuation_lengths_decide),
        cmocka_unit_test(test_words_that_lead_on_stay_with_the_next),
        cmocka_unit_test(test_noise_takes_no_words),
        cmocka_unit_test(test_more_stretches_than_words),
        cmocka_unit_test(test_no_text_is_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
