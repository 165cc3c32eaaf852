/*
 * Units: any text as each kind of number that people write, in a config or on the command line.
 */
#include <math.h>
#include <string.h>

#include "core/common/text.h"
#include "core/common/units.h"
#include "tests/fuzz/fuzz.h"

#define UNSET 0x5a5a5a5a

/* A complaint is one line with words; a value comes without one, and without a value nothing is written. */
static void check_answer(int failed, int was_set, const char *error)
{
    fuzz_promise(failed == 0 || failed == -1);
    fuzz_promise((failed != 0) == (error != NULL));
    fuzz_promise(!failed || !was_set);
    fuzz_promise(!error || (*error && !strchr(error, '\n')));
}

/* What is shown of a duration is read as the same one again. */
static void check_duration(int64_t ms)
{
    int64_t again = UNSET;
    char *error = NULL;
    char *shown = cm_show_duration(ms);
    fuzz_promise(ms >= 0 && cm_parse_duration(shown, &again, &error) == 0 && again == ms);
    free(shown);
}

static void check_size(int64_t bytes)
{
    char *shown = cm_show_size(bytes);
    fuzz_promise(bytes >= 0 && *shown);
    free(shown);
}

static void try_whole(const char *text, int (*parse)(const char *, int64_t *, char **), void (*check)(int64_t))
{
    int64_t value = UNSET;
    char *error = NULL;
    int failed = parse(text, &value, &error);
    check_answer(failed, value != UNSET, error);
    if (!failed && check) {
        check(value);
    }
    free(error);
}

static void check_rate(int64_t us)
{
    fuzz_promise(us >= 0);
}

static void try_others(const char *text)
{
    double real = UNSET;
    int flag = UNSET;
    char *error = NULL;
    int failed = cm_parse_real(text, &real, &error);
    check_answer(failed, real != UNSET, error);
    fuzz_promise(isfinite(real));
    free(error);
    error = NULL;
    failed = cm_parse_bool(text, &flag, &error);
    check_answer(failed, flag != UNSET, error);
    fuzz_promise(failed || flag == 0 || flag == 1);
    free(error);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    char *text = cm_strndup((const char *)bytes, count);
    try_whole(text, cm_parse_duration, check_duration);
    try_whole(text, cm_parse_size, check_size);
    try_whole(text, cm_parse_rate, check_rate);
    try_whole(text, cm_parse_int, NULL);
    try_others(text);
    free(text);
    return 0;
}
