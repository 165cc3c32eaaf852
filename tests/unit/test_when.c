/*
 * Points in time on the command line: what is understood, what is refused, and what the clocks skip.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "core/ctl/when.h"

/* 2026-03-10 12:00:00 UTC; in Berlin 13:00. */
#define NOW_MS 1773144000000
#define HOUR_MS 3600000LL

static void times_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t from_now_ms;
    } cases[] = {
        {"+2h", 2 * HOUR_MS},
        {"+90s", 90000},
        {"2026-03-10 18:00", 5 * HOUR_MS},
        {"2026-03-10T18:00:30", 5 * HOUR_MS + 30000},
        {"2026-03-10 18:00Z", 6 * HOUR_MS},
        {"2026-03-10T18:00:00+03:00", 3 * HOUR_MS},
        {"2026-03-10 18:00 -0500", 11 * HOUR_MS},
        {"18:00", 5 * HOUR_MS},
        {"today 14:30", HOUR_MS + HOUR_MS / 2},
        {"tomorrow 10:00", 21 * HOUR_MS},
        {"2026-03-31 10:00", (20 * 24 + 20) * HOUR_MS}, /* summer time by then */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *error = NULL;
        int64_t at_ms = 0;
        if (cm_when_parse(cases[i].text, NOW_MS, &at_ms, &error) || at_ms != NOW_MS + cases[i].from_now_ms) {
            fail_msg("%s: %s, %lld ms from now", cases[i].text, error ? error : "read", (long long)(at_ms - NOW_MS));
        }
    }
}

static void what_is_no_time_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", "is no time"},
        {"soon", "is no time"},
        {"+", "is no time"},
        {"+soon", "is no time"},
        {"25:00", "is no time"},
        {"18:60", "is no time"},
        {"18:00 sharp", "is no time"},
        {"2026-13-01 10:00", "is no time"},
        {"2026-02-30 10:00", "is no time"},
        {"2026-03-29 02:30", "is no time"}, /* skipped: the clocks go from 2:00 to 3:00 */
        {"2026-03-31", "is no time"},
        {"2026-03-31 10:00 MSK", "is no time"},
        {"2026-03-31 10:00+3", "is no time"},
        {"2026-03-31 10:00+25:00", "is no time"},
        {"2026-03-10 12:59", "2026-03-10 12:59:00 is over already"},
        {"12:00", "is over already"},
        {"2126-03-10 12:00", "more than ten years"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *error = NULL;
        int64_t at_ms = 1;
        assert_int_equal(cm_when_parse(cases[i].text, NOW_MS, &at_ms, &error), -1);
        assert_int_equal(at_ms, 1);
        if (!strstr(error, cases[i].words)) {
            fail_msg("%s: %s", cases[i].text, error);
        }
        free(error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_read),
        cmocka_unit_test(what_is_no_time_is_refused),
    };
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
