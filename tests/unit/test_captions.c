/*
 * Captions: encodings, the parser on everything that files in the wild do, overlaps, word times.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "plugins/stt_captions/cues.h"
#include "plugins/stt_captions/encoding.h"
#include "plugins/stt_captions/lay.h"
#include "plugins/stt_captions/script.h"

/* "start-end speaker: words|start-end …" of what a text parses to. */
static char *shown(const char *text, int drop_sounds, int settle)
{
    static char out[4096];
    struct cues cues = {0};
    size_t at = 0;
    cues_parse(&cues, text, drop_sounds);
    if (settle)
        cues_settle(&cues);
    out[0] = '\0';
    for (size_t i = 0; i < cues.count; i++) {
        const struct cue *cue = &cues.items[i];
        at += (size_t)snprintf(out + at, sizeof(out) - at, "%s%lld-%lld", i > 0 ? "|" : "", (long long)cue->start_ms,
                               (long long)cue->end_ms);
        if (cue->speaker >= 0)
            at += (size_t)snprintf(out + at, sizeof(out) - at, " %d", (int)cue->speaker);
        for (size_t word = 0; word < cue->count; word++)
            at += (size_t)snprintf(out + at, sizeof(out) - at, " %s", cue->words[word].text);
    }
    cues_free(&cues);
    return out;
}

#define assert_cues(text, wanted) assert_string_equal(shown(text, 1, 1), wanted)

static void subrip_is_read(void **state)
{
    (void)state;
    assert_cues("1\n00:00:01,000 --> 00:00:02,500\nHello,\nworld!\n\n2\n00:00:03,000 --> 00:00:04,000\nBye.\n",
                "1000-2500 Hello, world!|3000-4000 Bye.");
    assert_cues("1\r\n00:00:01,000 --> 00:00:02,500\r\nHello\r\n\r\n2\r\n00:00:03.000 --> 00:00:04.000\r\nBye\r\n",
                "1000-2500 Hello|3000-4000 Bye");
    assert_cues("00:00:01,000 --> 00:00:02,500\rHello\r\r00:00:03,0 --> 00:00:04,25\rBye",
                "1000-2500 Hello|3000-4250 Bye");
}

static void odd_files_are_read(void **state)
{
    (void)state;
    /* No numbers, no empty lines, an empty line behind the times, hours beyond 99, minutes only. */
    assert_cues("00:00:01,000 --> 00:00:02,000\nA\n2\n00:00:03,000 --> 00:00:04,000\nB\n", "1000-2000 A|3000-4000 B");
    assert_cues("1\n00:00:01,000 --> 00:00:02,000\n\nA\n", "1000-2000 A");
    assert_cues("123:00:00,000 --> 123:00:01,000\nA\n", "442800000-442801000 A");
    assert_cues("00:01.5 --> 00:02\nA\n", "1500-2000 A");
    assert_cues("00:00:01,000 --> 00:00:02,000 X1:1 X2:2\nA\n", "1000-2000 A");
    /* A number that is what somebody says stays. */
    assert_cues("1\n00:00:01,000 --> 00:00:02,000\n42\n", "1000-2000 42");
}

static void cues_are_sorted_and_overlaps_end(void **state)
{
    (void)state;
    assert_cues("00:05.000 --> 00:06.000\nB\n\n00:01.000 --> 00:02.000\nA\n", "1000-2000 A|5000-6000 B");
    assert_cues("00:01.000 --> 00:04.000\nA\n\n00:03.000 --> 00:05.000\nB\n", "1000-3000 A|3000-5000 B");
    assert_cues("00:01.000 --> 00:02.000\nA\n\n00:01.000 --> 00:03.000\nB\n", "1000-3000 A B");
    assert_cues("00:02.000 --> 00:01.000\nA\n\n00:03.000 --> 00:03.000\nB\n", "");
}

static void style_is_dropped(void **state)
{
    (void)state;
    assert_cues("00:01.000 --> 00:02.000\n{\\an8}<i>Hello</i> <font color=\"red\">you</font>\n", "1000-2000 Hello you");
    assert_cues("00:01.000 --> 00:02.000\na < b and c > d &amp; e&nbsp;f\n", "1000-2000 a < b and c > d & e f");
    assert_cues("00:01.000 --> 00:02.000\n- Yes.\n- No - never.\n", "1000-2000 Yes. No - never.");
    assert_cues("00:01.000 --> 00:02.000\nan <unclosed tag\n", "1000-2000 an <unclosed tag");
}

static void webvtt_is_read(void **state)
{
    (void)state;
    assert_cues("WEBVTT - a title\n\nSTYLE\n::cue { color: red }\n\nNOTE nothing\nat all\n\nid-1\n"
                "00:01.000 --> 00:02.000 align:start position:0%\n<v Ann>Hi</v>\n\n"
                "00:03.000 --> 00:04.000\n<v.loud Bob>Ho\n\n00:05.000 --> 00:06.000\n<v Ann>Hey\n",
                "1000-2000 0 Hi|3000-4000 1 Ho|5000-6000 0 Hey");
}

static void rolling_lines_are_said_once(void **state)
{
    (void)state;
    assert_cues("00:01.000 --> 00:02.000\none two\n\n00:02.000 --> 00:02.010\none two\n\n"
                "00:02.010 --> 00:03.000\none two\nthree four\n\n00:03.000 --> 00:04.000\nthree four\nfive\n",
                "1000-2010 one two|2010-3000 three four|3000-4000 five");
    /* Somebody who says it twice does say it twice. */
    assert_cues("00:01.000 --> 00:02.000\nNo.\n\n00:02.000 --> 00:03.000\nNo.\n", "1000-2000 No.|2000-3000 No.");
}

static void sounds_are_dropped_on_demand(void **state)
{
    (void)state;
    const char *text = "00:01.000 --> 00:02.000\n[музыка]\n\n00:03.000 --> 00:04.000\n(смех) Да ♪\n\n"
                       "00:05.000 --> 00:06.000\nthat (as we said before) is so\n";
    assert_string_equal(shown(text, 1, 1), "3000-4000 Да|5000-6000 that (as we said before) is so");
    assert_string_equal(shown(text, 0, 1),
                        "1000-2000 [музыка]|3000-4000 (смех) Да ♪|5000-6000 that (as we said before) is so");
}

static void nonsense_gives_nothing(void **state)
{
    (void)state;
    static const char *const nonsense[] = {"",
                                           "\n\n\n",
                                           "hello",
                                           "-->",
                                           "1 --> 2",
                                           "99999999999999:00:00,000 --> 00:00:01,000\nA",
                                           "00:00:01,000 -> 00:00:02,000\nA",
                                           "00:00:01,000 --> \nA",
                                           "<<<<<<{\\{\\{\\[[[((("};
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++)
        assert_cues(nonsense[i], "");
}

/* ---- Encodings -------------------------------------------------------------------------------- */

static void check_encoding(const char *bytes, size_t count, const char *name, const char *wanted)
{
    const char *found = NULL;
    char *text = encoding_to_utf8(bytes, count, &found);
    assert_string_equal(text, wanted);
    assert_string_equal(found, name);
    free(text);
}

static void encodings_are_told_apart(void **state)
{
    (void)state;
    check_encoding("\xef\xbb\xbfПривет", 15, "UTF-8", "Привет");
    check_encoding("\xcf\xf0\xe8\xe2\xe5\xf2, \xec\xe8\xf0! \xa8\xb8 \x97 \xb9", 19, "CP1251", "Привет, мир! Ёё — №");
    check_encoding("\xf0\xd2\xc9\xd7\xc5\xd4, \xcd\xc9\xd2! \xa3", 14, "KOI8-R", "Привет, мир! ё");
    check_encoding("Caf\xe9 d\xe9j\xe0 vu \x80", 15, "CP1252", "Café déjà vu €");
    check_encoding("\xff\xfe\x1f\x04!\0=\xd8\x00\xde", 10, "UTF-16LE", "П!😀");
    check_encoding("\xfe\xff\x04\x1f\0!", 6, "UTF-16BE", "П!");
    check_encoding("1\0\n\0000\0000\0:\0000\0001\0,\0000\0000\0000\0 \0", 24, "UTF-16LE", "1\n00:01,000 ");
    check_encoding("", 0, "UTF-8", "");
}

static void a_broken_byte_does_not_lose_utf8(void **state)
{
    (void)state;
    check_encoding("Привет, мир\xff", 21, "UTF-8", "Привет, мир\xef\xbf\xbd");
}

/* ---- Word times ------------------------------------------------------------------------------- */

struct emitted {
    char text[512];
    int64_t starts[64], ends[64];
    size_t count;
};

static void take_word(void *to, const char *text, int64_t start_ms, int64_t end_ms, int32_t speaker)
{
    struct emitted *emitted = to;
    (void)speaker;
    strcat(strcat(emitted->text, emitted->count > 0 ? " " : ""), text);
    emitted->starts[emitted->count] = start_ms;
    emitted->ends[emitted->count++] = end_ms;
}

static struct emitted lay(const char *text, struct lay_chunk chunk)
{
    struct emitted emitted = {0};
    struct cues cues = {0};
    cues_parse(&cues, text, 1);
    cues_settle(&cues);
    for (size_t i = 0; i < cues.count; i++)
        lay_cue(&cues.items[i], &chunk, take_word, &emitted);
    cues_free(&cues);
    return emitted;
}

static void words_lie_on_speech(void **state)
{
    (void)state;
    static const struct lay_span speech[] = {{1500, 2500}, {4000, 5000}};
    struct emitted words =
        lay("00:01.000 --> 00:06.000\naaaa bbbb cccc dddd\n", (struct lay_chunk){0, 10000, speech, 2});
    assert_string_equal(words.text, "aaaa bbbb cccc dddd");
    assert_int_equal(words.starts[0], 1500);
    assert_int_equal(words.ends[1], 2500);
    assert_int_equal(words.starts[2], 4000);
    assert_int_equal(words.ends[3], 5000);
}

static void without_speech_the_cue_is_believed(void **state)
{
    (void)state;
    struct emitted words = lay("00:01.000 --> 00:02.000\naaaa bbbb\n", (struct lay_chunk){0, 10000, NULL, 0});
    assert_int_equal(words.starts[0], 1000);
    assert_int_equal(words.starts[1], 1500);
    assert_int_equal(words.ends[1], 2000);
}

static void two_chunks_share_a_cue_without_doubling(void **state)
{
    (void)state;
    const char *text = "00:01.000 --> 00:05.000\naaaa bbbb cccc dddd\n";
    static const struct lay_span before[] = {{1000, 2600}}, after[] = {{3100, 5000}};
    for (int64_t border = 900; border < 5200; border += 50) {
        struct emitted one = lay(text, (struct lay_chunk){0, border, before, 1});
        struct emitted other = lay(text, (struct lay_chunk){border, 10000, after, 1});
        assert_int_equal(one.count + other.count, 4);
        if (one.count > 0)
            assert_true(one.ends[one.count - 1] <= border + 40);
    }
}

static void told_word_times_are_kept(void **state)
{
    (void)state;
    static const struct lay_span speech[] = {{0, 10000}};
    struct emitted words = lay("00:01.000 --> 00:09.000\nwell<00:02.000><c> this</c><00:05.500><c> is</c>\n",
                               (struct lay_chunk){0, 10000, speech, 1});
    assert_string_equal(words.text, "well this is");
    assert_int_equal(words.starts[0], 1000);
    assert_int_equal(words.starts[1], 2000);
    assert_int_equal(words.starts[2], 5500);
    assert_true(words.ends[1] < 3000);
}

/* ---- Language --------------------------------------------------------------------------------- */

static struct script script(const char *line)
{
    char text[512];
    struct cues cues = {0};
    snprintf(text, sizeof(text), "00:01.000 --> 00:02.000\n%s\n", line);
    cues_parse(&cues, text, 1);
    struct script found = script_of(&cues);
    cues_free(&cues);
    return found;
}

static void language_is_guessed(void **state)
{
    (void)state;
    assert_string_equal(script("Добрый день, дорогие друзья").language, "ru");
    assert_true(script("Добрый день, дорогие друзья").percent > 90);
    assert_string_equal(script("Добрий день, як ви її знайшли і чому").language, "uk");
    assert_string_equal(script("this is what you have to do in the morning").language, "en");
    assert_true(script("this is what you have to do in the morning").percent > 90);
    assert_true(script("Guten Tag meine Damen und Herren").percent < 60);
    assert_string_equal(script("123 456").language, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subrip_is_read),
        cmocka_unit_test(odd_files_are_read),
        cmocka_unit_test(cues_are_sorted_and_overlaps_end),
        cmocka_unit_test(style_is_dropped),
        cmocka_unit_test(webvtt_is_read),
        cmocka_unit_test(rolling_lines_are_said_once),
        cmocka_unit_test(sounds_are_dropped_on_demand),
        cmocka_unit_test(nonsense_gives_nothing),
        cmocka_unit_test(encodings_are_told_apart),
        cmocka_unit_test(a_broken_byte_does_not_lose_utf8),
        cmocka_unit_test(words_lie_on_speech),
        cmocka_unit_test(without_speech_the_cue_is_believed),
        cmocka_unit_test(two_chunks_share_a_cue_without_doubling),
        cmocka_unit_test(told_word_times_are_kept),
        cmocka_unit_test(language_is_guessed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
