/*
 * Tests of core/common/text.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/common/text.h"

static void test_alloc_is_zeroed(void **state)
{
    (void)state;
    unsigned char *bytes = cm_alloc(1000), zero[1000] = {0};
    assert_memory_equal(bytes, zero, sizeof zero);
    free(bytes);
    free(cm_alloc(0));
}

static void test_grow_keeps_items(void **state)
{
    (void)state;
    int *items = NULL;
    size_t room = 0, count = 0;
    for (int i = 0; i < 1000; i++) {
        items = cm_grow(items, &room, count, sizeof *items);
        assert_true(room > count);
        items[count++] = i;
    }
    for (int i = 0; i < 1000; i++)
        assert_int_equal(items[i], i);
    free(items);
}

static void test_copies(void **state)
{
    (void)state;
    char *whole = cm_strdup("слово"), *part = cm_strndup("abcdef", 3), *shorter = cm_strndup("ab", 10);
    assert_string_equal(whole, "слово");
    assert_string_equal(part, "abc");
    assert_string_equal(shorter, "ab");
    free(whole);
    free(part);
    free(shorter);
    char *text = cm_format("%s-%05d", "x", 42);
    assert_string_equal(text, "x-00042");
    free(text);
}

static void test_growing_text(void **state)
{
    (void)state;
    struct cm_text text = {0};
    for (int i = 0; i < 500; i++)
        cm_text_addf(&text, "%d,", i);
    cm_text_add_bytes(&text, "a\0b", 3);
    cm_text_add_bytes(&text, NULL, 0);
    assert_true(cm_starts_with(text.bytes, "0,1,2,"));
    assert_int_equal(text.length, 10 * 2 + 90 * 3 + 400 * 4 + 3);
    assert_memory_equal(text.bytes + text.length - 3, "a\0b", 4); /* with the NUL behind */
    char *taken = cm_text_take(&text);
    assert_null(text.bytes);
    free(taken);
    taken = cm_text_take(&text);
    assert_string_equal(taken, "");
    free(taken);
    cm_text_add(&text, "again");
    cm_text_free(&text);
    assert_int_equal(text.length, 0);
}

static void test_ends(void **state)
{
    (void)state;
    assert_true(cm_starts_with("file:/x", "file:"));
    assert_false(cm_starts_with("fil", "file:"));
    assert_true(cm_ends_with("a.srt", ".srt"));
    assert_false(cm_ends_with("srt", ".srt"));
    assert_true(cm_ends_with("", ""));
}

static void test_distance(void **state)
{
    (void)state;
    assert_int_equal(cm_distance("", ""), 0);
    assert_int_equal(cm_distance("", "abc"), 3);
    assert_int_equal(cm_distance("kitten", "sitting"), 3);
    assert_int_equal(cm_distance("limit", "limit"), 0);
}

static void test_did_you_mean(void **state)
{
    (void)state;
    static const char *const names[] = {"limit", "language", "deadline", "priority", "x"};
    assert_string_equal(cm_nearest("limt", names, 5), "limit");
    assert_string_equal(cm_nearest("langauge", names, 5), "language");
    assert_string_equal(cm_nearest("dedline", names, 5), "deadline");
    assert_null(cm_nearest("colour", names, 5));
    assert_null(cm_nearest("y", names, 5)); /* shares nothing with "x" */
    assert_null(cm_nearest("", names, 5));
    char *endless = cm_alloc(100001);
    memset(endless, 'a', 100000);
    assert_null(cm_nearest(endless, names, 5));
    free(endless);
}

static void test_utf8(void **state)
{
    (void)state;
    static const char *const good[] = {"", "ascii", "Привет", "\xe2\x82\xac", "\xf0\x9f\x8e\xac", "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc3",
                                      "\xe2\x82",
                                      "\xe0\x80\x80",
                                      "\xed\xa0\x80", /* a surrogate */
                                      "\xf0\x80\x80\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xff",
                                      "\xcf\xf0\xe8" /* CP1251 */};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(cm_is_utf8(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(cm_is_utf8(bad[i], strlen(bad[i])));
    assert_false(cm_is_utf8("\xd0\xbf", 1)); /* cut in the middle */
}

static void test_wipe(void **state)
{
    (void)state;
    char secret[] = "hunter2", zero[sizeof secret] = {0};
    cm_wipe(secret, sizeof secret);
    assert_memory_equal(secret, zero, sizeof zero);
    cm_wipe(NULL, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc_is_zeroed),
        cmocka_unit_test(test_grow_keeps_items),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_growing_text),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_distance),
        cmocka_unit_test(test_did_you_mean),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_wipe),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
