/*
 * Captions: which words stand together, on which lines, when; and what is marked as spoken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/render_ffmpeg/captions.h"
#include "plugins/render_ffmpeg/layout.h"

#define MOST 400

static struct layout_word words[MOST];
static char texts[MOST][32];
static size_t word_count;
static const struct layout_rules rules = {24, 2, 0, 240, 5};

/* Words of `text`, 300 ms each, 20 ms apart; "|" is a pause of a second. */
static void speak(const char *text)
{
    int64_t at = 100;
    char copy[4096], *rest = NULL;
    snprintf(copy, sizeof(copy), "%s", text);
    word_count = 0;
    for (char *word = strtok_r(copy, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        if (strcmp(word, "|") == 0) {
            at += 1000;
            continue;
        }
        snprintf(texts[word_count], sizeof(texts[0]), "%s", word);
        words[word_count] = (struct layout_word){texts[word_count], 8.0 * (double)layout_chars(word), at, at + 300};
        word_count++;
        at += 320;
    }
}

static char *shown(const struct layout_page *page)
{
    static char text[512];
    text[0] = '\0';
    for (size_t i = 0; i < page->lines; i++)
        for (size_t word = page->line[i].first; word <= page->line[i].last; word++) {
            strcat(text, words[word].text);
            strcat(text, word < page->line[i].last ? " " : i + 1 < page->lines ? " / " : "");
        }
    return text;
}

static void check_rules(const struct layout_page *pages, size_t count, const struct layout_rules *kept)
{
    size_t next = 0;
    for (size_t i = 0; i < count; i++) {
        assert_true(pages[i].lines >= 1 && pages[i].lines <= (size_t)kept->max_lines);
        assert_int_equal(pages[i].first, next);
        for (size_t line = 0; line < pages[i].lines; line++) {
            size_t chars = 0;
            assert_int_equal(pages[i].line[line].first, next);
            for (; next <= pages[i].line[line].last; next++)
                chars += layout_chars(words[next].text) + (next > pages[i].line[line].first);
            if (pages[i].line[line].last > pages[i].line[line].first) {
                assert_true(chars <= (size_t)kept->max_chars);
                assert_true(pages[i].line[line].width <= kept->max_width);
            }
        }
        assert_int_equal(pages[i].last + 1, next);
        assert_true(pages[i].start_ms == words[pages[i].first].start_ms);
        assert_true(pages[i].end_ms >= words[pages[i].last].start_ms);
        if (i + 1 < count)
            assert_true(pages[i].end_ms <= pages[i + 1].start_ms);
    }
    assert_int_equal(next, word_count);
}

static void test_every_word_once_within_the_rules(void **state)
{
    (void)state;
    size_t count;
    speak("Thank you for having me. Ten years ago I lost my job in a single afternoon. I went home, I closed the "
          "door, and I did not sleep for three days. | What happened next? Then my sister asked me one question.");
    struct layout_page *pages = layout_pages(words, word_count, &rules, &count);
    check_rules(pages, count, &rules);
    assert_string_equal(shown(&pages[0]), "Thank you for having me.");
    assert_string_equal(shown(&pages[1]), "Ten years ago / I lost my job");
    for (size_t i = 0; i < count; i++)
        assert_true(pages[i].last > pages[i].first); /* nobody stands alone here */
    free(pages);
}

static void test_no_punctuation_at_all(void **state)
{
    (void)state;
    char text[4096] = "";
    size_t count;
    for (int i = 0; i < 300; i++)
        strcat(text, i % 3 == 0 ? "and " : i % 3 == 1 ? "something " : "he ");
    speak(text);
    assert_int_equal(word_count, 300);
    struct layout_page *pages = layout_pages(words, word_count, &rules, &count);
    check_rules(pages, count, &rules);
    assert_in_range(count, 30, 60);
    free(pages);
}

static void test_sentences_and_pauses_end_a_caption(void **state)
{
    (void)state;
    size_t count;
    speak("One. «Two!» three | four");
    struct layout_page *pages = layout_pages(words, word_count, &rules, &count);
    assert_int_equal(count, 4);
    assert_string_equal(shown(&pages[1]), "«Two!»");
    assert_true(pages[2].end_ms < pages[3].start_ms); /* it goes away in the pause */
    assert_int_equal(pages[3].end_ms, words[3].end_ms + 400);
    free(pages);
}

static void test_a_word_longer_than_a_line_is_a_line(void **state)
{
    (void)state;
    size_t count;
    speak("a Donaudampfschifffahrtsgesellsch b");
    struct layout_page *pages = layout_pages(words, word_count, &rules, &count);
    check_rules(pages, count, &rules);
    assert_true(count >= 1);
    free(pages);
    pages = layout_pages(words, 0, &rules, &count);
    assert_int_equal(count, 0);
    free(pages);
}

static void test_few_words_at_a_time(void **state)
{
    (void)state;
    size_t count;
    struct layout_rules few = {12, 2, 3, 240, 5};
    speak("these are some words that come by quickly and without end");
    struct layout_page *pages = layout_pages(words, word_count, &few, &count);
    check_rules(pages, count, &few);
    for (size_t i = 0; i < count; i++)
        assert_true(pages[i].last - pages[i].first < 3);
    free(pages);
}

static void test_three_lines(void **state)
{
    (void)state;
    size_t count;
    struct layout_rules three = {10, 3, 0, 240, 5};
    speak("one two three four five six seven.");
    struct layout_page *pages = layout_pages(words, word_count, &three, &count);
    check_rules(pages, count, &three);
    free(pages);
}

static void test_spoken_until(void **state)
{
    (void)state;
    size_t count;
    speak("one two | three");
    words[1].start_ms = 900; /* a hesitation */
    words[1].end_ms = 1000;
    struct layout_page *pages = layout_pages(words, word_count, &rules, &count);
    assert_int_equal(count, 2);
    assert_int_equal(layout_spoken_until_ms(words, &pages[0], 0), words[0].end_ms + 250);
    assert_int_equal(layout_spoken_until_ms(words, &pages[0], 1), words[1].end_ms + 250);
    free(pages);
    speak("one two three");
    pages = layout_pages(words, word_count, &rules, &count);
    assert_int_equal(layout_spoken_until_ms(words, &pages[0], 0), words[1].start_ms);
    free(pages);
}

static void test_uppercase(void **state)
{
    (void)state;
    char *upper = captions_uppercase("Straße, café, ёлка и щука: їжак 5");
    assert_string_equal(upper, "STRAßE, CAFÉ, ЁЛКА И ЩУКА: ЇЖАК 5");
    free(upper);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_word_once_within_the_rules),
        cmocka_unit_test(test_no_punctuation_at_all),
        cmocka_unit_test(test_sentences_and_pauses_end_a_caption),
        cmocka_unit_test(test_a_word_longer_than_a_line_is_a_line),
        cmocka_unit_test(test_few_words_at_a_time),
        cmocka_unit_test(test_three_lines),
        cmocka_unit_test(test_spoken_until),
        cmocka_unit_test(test_uppercase),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
