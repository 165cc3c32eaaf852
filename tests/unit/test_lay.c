/*
 * Words in time: laid over speech and never over a pause, inside the chunk, in order, without what
 * recognisers make up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <clipmaker/plugin.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/worker/lay.h"

static const struct cm_interval speech[] = {
    {.start_ms = 1000, .end_ms = 3000},
    {.start_ms = 5000, .end_ms = 6000},
};

static struct cm_lay open_lay(void)
{
    return (struct cm_lay){.start_ms = 0, .end_ms = 10000, .speech = speech, .speech_count = 2};
}

static void check_order(const struct cm_lay *lay)
{
    for (size_t i = 0; i < lay->count; i++) {
        assert_true(lay->words[i].start_ms >= lay->start_ms);
        assert_true(lay->words[i].end_ms <= lay->end_ms);
        assert_true(lay->words[i].start_ms <= lay->words[i].end_ms);
        if (i > 0) {
            assert_true(lay->words[i - 1].end_ms <= lay->words[i].start_ms);
        }
    }
}

static void test_text_over_speech(void **state)
{
    (void)state;
    struct cm_lay lay = open_lay();
    /* Each word with its space is four letters long: two of them fill 2 s. */
    cm_lay_text(&lay, " abc  abc\nabc ", -1, -1, 0.5, -1);
    cm_lay_finish(&lay);
    check_order(&lay);
    assert_int_equal(lay.count, 3);
    assert_int_equal(lay.words[0].start_ms, 1000);
    assert_int_equal(lay.words[0].end_ms, 2000);
    assert_int_equal(lay.words[1].end_ms, 3000);
    assert_int_equal(lay.words[2].start_ms, 5000);
    assert_int_equal(lay.words[2].end_ms, 6000);
    assert_true(lay.words[0].confidence == 0.5);
    cm_lay_free(&lay);
}

/* Russian letters count as one character each, and a word never spans the pause. */
static void test_no_word_spans_a_pause(void **state)
{
    (void)state;
    struct cm_lay lay = open_lay();
    cm_lay_text(&lay, "один два три четыре пять шесть семь", -1, -1, 2.0, -5);
    cm_lay_finish(&lay);
    check_order(&lay);
    assert_int_equal(lay.count, 7);
    assert_int_equal(lay.words[0].end_ms - lay.words[0].start_ms, 400); /* 2000 * 5 / 25 */
    for (size_t i = 0; i < lay.count; i++) {
        assert_true(lay.words[i].end_ms <= 3000 || lay.words[i].start_ms >= 5000);
        assert_true(lay.words[i].confidence == -1.0);
        assert_int_equal(lay.words[i].speaker, -1);
    }
    cm_lay_free(&lay);
}

static void test_segment_has_its_span(void **state)
{
    (void)state;
    struct cm_lay lay = open_lay();
    cm_lay_text(&lay, "late words", 4000, 9000, -1, 0);     /* over the second interval only */
    cm_lay_text(&lay, "no speech here", 7000, 9000, -1, 0); /* over its own span */
    cm_lay_text(&lay, "elsewhere", 20000, 30000, -1, 0);
    cm_lay_finish(&lay);
    check_order(&lay);
    assert_int_equal(lay.count, 5);
    assert_int_equal(lay.words[0].start_ms, 5000);
    assert_int_equal(lay.words[1].end_ms, 6000);
    assert_int_equal(lay.words[2].start_ms, 7000);
    assert_int_equal(lay.words[4].end_ms, 9000);
    cm_lay_free(&lay);
}

static void test_words_are_made_to_agree(void **state)
{
    (void)state;
    struct cm_lay lay = open_lay();
    cm_lay_word(&lay, "second", 1500, 2500, 0.9, 1);
    cm_lay_word(&lay, "first", 1000, 1800, 0.9, 1);
    cm_lay_word(&lay, "backwards", 2600, 2000, 7, 1);
    cm_lay_word(&lay, "", 2700, 2800, 1, 1);
    cm_lay_word(&lay, "past", 9900, 10400, 1, 1);
    cm_lay_word(&lay, "far", INT64_MAX, INT64_MIN, 1, 1);
    cm_lay_word(&lay, "wide", INT64_MAX - 1, INT64_MAX, 1, 1);
    cm_lay_word(&lay, "two words", 5000, 6000, 1, 1);
    cm_lay_finish(&lay);
    check_order(&lay);
    assert_int_equal(lay.count, 6);
    assert_string_equal(lay.words[0].text, "first");
    assert_int_equal(lay.words[0].end_ms, 1500);
    assert_string_equal(lay.words[2].text, "backwards");
    assert_int_equal(lay.words[2].end_ms, 2600);
    assert_string_equal(lay.words[4].text, "words");
    assert_int_equal(lay.words[5].end_ms, 10000);
    cm_lay_free(&lay);
}

static void add_words(struct cm_lay *lay, const char *text, int64_t start_ms)
{
    cm_lay_text(lay, text, start_ms, start_ms + 800, -1, -1);
}

static void test_made_up_words_are_dropped(void **state)
{
    (void)state;
    struct cm_lay lay = open_lay();
    add_words(&lay, "Продолжение следует...", 7000);
    add_words(&lay, "Thank you.", 4000);
    add_words(&lay, "Субтитры сделал DimaTorzok", 8000);
    add_words(&lay, "thank you", 1100);  /* somebody speaks here: it was said */
    add_words(&lay, "Real words", 9000); /* no phrase of the table: kept, whatever was measured */
    cm_lay_finish(&lay);
    check_order(&lay);
    assert_int_equal(lay.count, 4);
    assert_string_equal(lay.words[0].text, "thank");
    assert_string_equal(lay.words[2].text, "Real");
    cm_lay_free(&lay);
}

/* Text without times lies on speech wherever it belongs: what was measured then only tells how much there is. */
static void test_made_up_text_without_times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t speech_ms;
        size_t kept;
    } cases[] = {
        {"Продолжение следует...", 300, 0},
        {"Продолжение следует...", 1500, 2}, /* long enough to have been said */
        {"Thank you.", 300, 2},
        {"Субтитры сделал DimaTorzok", 9000, 0},
        {"Много слов, а потом конец. Субтитры создавал DimaTorzok", 9000, 5},
        {"пока", 9000, 1},
        {"Увидеть вас пока", 90, 3}, /* in a sentence a word may be as short as it likes */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cm_interval spoken = {sizeof spoken, 1000, 1000 + cases[i].speech_ms, -20};
        struct cm_lay lay = {.start_ms = 0, .end_ms = 10000, .speech = &spoken, .speech_count = 1};
        cm_lay_text(&lay, cases[i].text, -1, -1, -1, -1);
        cm_lay_finish(&lay);
        assert_int_equal(lay.count, cases[i].kept);
        cm_lay_free(&lay);
    }
}

static void test_nothing(void **state)
{
    (void)state;
    struct cm_lay lay = {.start_ms = 0, .end_ms = 1000};
    cm_lay_text(&lay, "  \n ", -1, -1, 1, 1);
    cm_lay_finish(&lay);
    assert_int_equal(lay.count, 0);
    cm_lay_text(&lay, "all over", -1, -1, 1, 1); /* no speech known: over the chunk */
    cm_lay_finish(&lay);
    assert_int_equal(lay.count, 2);
    assert_int_equal(lay.words[1].end_ms, 1000);
    cm_lay_free(&lay);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_over_speech),
        cmocka_unit_test(test_no_word_spans_a_pause),
        cmocka_unit_test(test_segment_has_its_span),
        cmocka_unit_test(test_words_are_made_to_agree),
        cmocka_unit_test(test_made_up_words_are_dropped),
        cmocka_unit_test(test_made_up_text_without_times),
        cmocka_unit_test(test_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
