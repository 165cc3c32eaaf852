/*
 * Tests of core/common/units.c.
 */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/common/units.h"

struct example {
    const char *text;
    int64_t value;
};

typedef int (*parse_fn)(const char *text, int64_t *value, char **error);

static void check_good(parse_fn parse, const struct example *examples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int64_t value = -1;
        char *error = NULL;
        if (parse(examples[i].text, &value, &error) != 0)
            fail_msg("\"%s\": %s", examples[i].text, error);
        if (value != examples[i].value)
            fail_msg("\"%s\" gave %lld", examples[i].text, (long long)value);
    }
}

static void check_bad(parse_fn parse, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int64_t value = -77;
        char *error = NULL;
        if (parse(texts[i], &value, &error) == 0)
            fail_msg("\"%s\" was taken as %lld", texts[i], (long long)value);
        assert_int_equal(value, -77); /* set only on success */
        assert_non_null(error);
        assert_null(strchr(error, '\n'));
        free(error);
    }
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_durations(void **state)
{
    (void)state;
    static const struct example good[] = {
        {"250ms", 250},
        {"15s", 15000},
        {"10m", 600000},
        {"1h30m", 5400000},
        {"2d", 172800000},
        {"90", 90000},
        {"0", 0},
        {"1.5s", 1500},
        {"0.25", 250},
        {"1h 30m", 5400000},
        {" 5 s ", 5000},
        {"1d2h3m4s5ms", 93784005},
        {"1.5h", 5400000},
        {".5s", 500},
        {"106751991167d", INT64_C(9223372036828800000)},
        {"0.0005s", 1},
        {"10min", 600000},
    };
    static const char *const bad[] = {"",
                                      " ",
                                      "s",
                                      "-5s",
                                      "5 weeks",
                                      "30m1h",
                                      "1m1m",
                                      "5s5",
                                      "1..5",
                                      "5,5s",
                                      "0x10",
                                      "10M",
                                      "5s x",
                                      "1h30",
                                      "nan",
                                      "99999999999999999999s",
                                      "9223372036854775807d",
                                      "106751991168d"};
    check_good(cm_parse_duration, good, COUNT(good));
    check_bad(cm_parse_duration, bad, COUNT(bad));
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct example good[] = {
        {"0", 0},         {"512", 512},  {"25MB", 25000000}, {"4GiB", INT64_C(4294967296)},          {"1.5KiB", 1536},
        {"10 kB", 10000}, {"1KB", 1000}, {"7B", 7},          {"8388607TiB", INT64_C(8388607) << 40},
    };
    static const char *const bad[] = {
        "", "-1", "1.5", "4gib", "4 G", "GiB", "1e3", "8388608TiB", "9223372036854775808"};
    check_good(cm_parse_size, good, COUNT(good));
    check_bad(cm_parse_size, bad, COUNT(bad));
}

static void test_rates(void **state)
{
    (void)state;
    static const struct example good[] = {
        {"5/s", 200000},
        {"100/m", 600000},
        {"0", 0},
        {"0/s", 0},
        {"3/s", 333334},
        {"1/h", INT64_C(3600000000)},
        {"0.5/s", 2000000},
        {"1 / d", INT64_C(86400000000)},
        {"1000000000/s", 1},
    };
    static const char *const bad[] = {"", "5", "5/", "/s", "5/w", "-1/s", "5/s/s", "9223372036854775807.5/s"};
    check_good(cm_parse_rate, good, COUNT(good));
    check_bad(cm_parse_rate, bad, COUNT(bad));
}

static void test_ints(void **state)
{
    (void)state;
    static const struct example good[] = {
        {"0", 0},
        {"-1", -1},
        {"+7", 7},
        {" 12 ", 12},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
    };
    static const char *const bad[] = {
        "", "-", "1.0", "1a", "0x1", "- 1", "9223372036854775808", "-9223372036854775809"};
    check_good(cm_parse_int, good, COUNT(good));
    check_bad(cm_parse_int, bad, COUNT(bad));
}

static void check_reals(void)
{
    static const struct {
        const char *text;
        double value;
    } good[] = {{"0.1", 0.1}, {"-14", -14}, {"1e3", 1000},
                {".5", 0.5},  {"5.", 5},    {"1.7976931348623157e308", 1.7976931348623157e308},
                {"1e-400", 0}};
    static const char *const bad[] = {"", ".", "0,5", "nan", "inf", "0x1p3", "1e", "1e999", "1 2", "--1"};
    for (size_t i = 0; i < COUNT(good); i++) {
        double value = -77;
        char *error = NULL;
        assert_int_equal(cm_parse_real(good[i].text, &value, &error), 0);
        assert_true(value == good[i].value);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        double value = -77;
        char *error = NULL;
        if (cm_parse_real(bad[i], &value, &error) == 0)
            fail_msg("\"%s\" was taken as %g", bad[i], value);
        assert_true(value == -77);
        free(error);
    }
}

static void test_reals(void **state)
{
    (void)state;
    check_reals();
}

static void test_reals_in_a_comma_locale(void **state)
{
    (void)state;
    if (!setlocale(LC_ALL, "ru_RU.UTF-8") && !setlocale(LC_ALL, "de_DE.UTF-8")) {
        print_message("no locale with a decimal comma is installed: skipped\n");
        skip();
    }
    check_reals();
    char *size = cm_show_size(INT64_C(1610612736));
    assert_string_equal(size, "1.5 GiB");
    free(size);
    setlocale(LC_ALL, "C");
}

static void test_bools(void **state)
{
    (void)state;
    int value = -1;
    char *error = NULL;
    assert_int_equal(cm_parse_bool("yes", &value, &error), 0);
    assert_int_equal(value, 1);
    assert_int_equal(cm_parse_bool("off", &value, &error), 0);
    assert_int_equal(value, 0);
    assert_int_equal(cm_parse_bool("maybe", &value, &error), -1);
    free(error);
}

static void check_shown(char *shown, const char *expected)
{
    assert_string_equal(shown, expected);
    free(shown);
}

static void test_shown(void **state)
{
    (void)state;
    check_shown(cm_show_duration(0), "0s");
    check_shown(cm_show_duration(5400000), "1h30m");
    check_shown(cm_show_duration(250), "250ms");
    check_shown(cm_show_duration(90061001), "1d1h1m1s1ms");
    check_shown(cm_show_duration(-1500), "-1s500ms");
    check_shown(cm_show_duration(INT64_MIN), "-106751991167d7h12m55s808ms");
    check_shown(cm_show_size(0), "0 B");
    check_shown(cm_show_size(1023), "1023 B");
    check_shown(cm_show_size(1024), "1.0 KiB");
    check_shown(cm_show_size(INT64_C(4294967296)), "4.0 GiB");
    check_shown(cm_show_size(INT64_MAX), "8.0 EiB");
    check_shown(cm_show_size(-2048), "-2.0 KiB");
}

static void test_shown_durations_parse_back(void **state)
{
    (void)state;
    static const int64_t values[] = {1, 999, 1000, 61001, 3600000, 86399999, INT64_C(31536000000)};
    for (size_t i = 0; i < COUNT(values); i++) {
        char *shown = cm_show_duration(values[i]), *error = NULL;
        int64_t back = -1;
        assert_int_equal(cm_parse_duration(shown, &back, &error), 0);
        assert_int_equal(back, values[i]);
        free(shown);
    }
}

static void test_uuids(void **state)
{
    (void)state;
    char first[37], second[37];
    cm_uuid7(first);
    cm_uuid7(second);
    assert_int_equal(strlen(first), 36);
    assert_int_equal(strspn(first, "0123456789abcdef-"), 36);
    assert_int_equal(first[14], '7');
    assert_non_null(strchr("89ab", first[19]));
    assert_string_not_equal(first, second);
    assert_true(strncmp(first, second, 13) <= 0); /* sorts by time */
    char head[13] = {0};
    memcpy(head, first, 8);
    memcpy(head + 8, first + 9, 4);
    int64_t made = strtoll(head, NULL, 16), now = cm_utc_ms();
    assert_true(made <= now && made > now - 60000);
    assert_true(cm_boot_ms() > 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_ints),
        cmocka_unit_test(test_reals),
        cmocka_unit_test(test_reals_in_a_comma_locale),
        cmocka_unit_test(test_bools),
        cmocka_unit_test(test_shown),
        cmocka_unit_test(test_shown_durations_parse_back),
        cmocka_unit_test(test_uuids),
    };
    return cmocka_run_group_tests_name("units", tests, NULL, NULL);
}
