/*
 * Durations, sizes, rates and times of day as people write them.
 */
#include "core/common/units.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "core/common/log.h"
#include "core/common/text.h"

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit durations[] = {
    {"ms", 1},          {"s", 1000},        {"sec", 1000},   {"m", 60 * 1000},
    {"min", 60 * 1000}, {"h", 3600 * 1000}, {"d", 86400000}, {NULL, 0},
};

static const struct unit sizes[] = {
    {"B", 1},
    {"kB", 1000},
    {"KB", 1000},
    {"MB", 1000000},
    {"GB", 1000000000},
    {"TB", 1000000000000},
    {"KiB", INT64_C(1) << 10},
    {"MiB", INT64_C(1) << 20},
    {"GiB", INT64_C(1) << 30},
    {"TiB", INT64_C(1) << 40},
    {NULL, 0},
};

static const struct unit rates[] = {
    {"s", 1000000}, {"m", 60000000}, {"h", 3600000000}, {"d", 86400000000}, {NULL, 0},
};

/* `format` shows the text (cut, should it be endless) and says what was expected; on one line, whatever the text has.
 */
static int wrong(char **error, const char *text, const char *format)
{
    *error = cm_format(_(format), text);
    for (char *at = *error; *at; at++)
        *at = (unsigned char)*at < ' ' || *at == 127 ? ' ' : *at;
    return -1;
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int is_space(char c)
{
    return c == ' ' || c == '\t';
}

static const char *skip_space(const char *at)
{
    while (is_space(*at))
        at++;
    return at;
}

/*
 * An unsigned decimal number ("12", "1.5", ".5"), kept exactly because its unit comes later:
 * the whole part, and the fraction as digits over a power of ten (at most 6 are kept).
 */
struct number {
    int64_t whole;
    int64_t fraction, scale;
};

static int read_number(const char **at, struct number *number)
{
    *number = (struct number){0, 0, 1};
    const char *start = *at;
    int digits = 0;
    for (; is_digit(**at); (*at)++, digits++)
        if (__builtin_mul_overflow(number->whole, 10, &number->whole) ||
            __builtin_add_overflow(number->whole, **at - '0', &number->whole))
            return -1;
    if (**at == '.') {
        (*at)++;
        for (; is_digit(**at); (*at)++, digits++) {
            if (number->scale >= 1000000)
                continue;
            number->fraction = number->fraction * 10 + (**at - '0');
            number->scale *= 10;
        }
    }
    if (digits == 0)
        *at = start;
    return digits > 0 ? 0 : -1;
}

/* number × factor, rounded to the nearest. */
static int scale_number(const struct number *number, int64_t factor, int64_t *product)
{
    int64_t whole;
    if (__builtin_mul_overflow(number->whole, factor, &whole))
        return -1;
    /* Fits: fraction < 10^6, and no factor is above 2^41. */
    int64_t part = (number->fraction * factor + number->scale / 2) / number->scale;
    return __builtin_add_overflow(whole, part, product) ? -1 : 0;
}

/* The unit whose name stands at *at (letters up to something else); NULL when unknown. */
static const struct unit *read_unit(const char **at, const struct unit *units)
{
    size_t length = 0;
    while (((*at)[length] | 0x20) >= 'a' && ((*at)[length] | 0x20) <= 'z')
        length++;
    for (; units->name; units++) {
        if (strlen(units->name) == length && strncmp(units->name, *at, length) == 0) {
            *at += length;
            return units;
        }
    }
    return NULL;
}

int cm_parse_duration(const char *text, int64_t *ms, char **error)
{
    static const char expected[] = N_("\"%.80s\" is not a duration such as 250ms, 15s, 10m, 1h30m or 2d");
    const char *at = skip_space(text);
    int64_t total = 0, last_factor = INT64_MAX;
    do {
        struct number number;
        int64_t part;
        if (read_number(&at, &number) != 0)
            return wrong(error, text, expected);
        const char *behind = skip_space(at);
        int bare = *behind == '\0' && last_factor == INT64_MAX;
        const struct unit *unit = bare ? &durations[1] : read_unit(&behind, durations);
        /* Units go downwards, each once: "30m1h" and "1m1m" are slips. */
        if (!unit || unit->factor >= last_factor)
            return wrong(error, text, expected);
        if (scale_number(&number, unit->factor, &part) != 0 || __builtin_add_overflow(total, part, &total))
            return wrong(error, text, N_("\"%.80s\" is far too long"));
        last_factor = unit->factor;
        at = skip_space(behind);
    } while (*at);
    *ms = total;
    return 0;
}

int cm_parse_size(const char *text, int64_t *bytes, char **error)
{
    static const char expected[] = N_("\"%.80s\" is not a size such as 512, 25MB or 4GiB");
    const char *at = skip_space(text);
    struct number number;
    if (read_number(&at, &number) != 0)
        return wrong(error, text, expected);
    at = skip_space(at);
    const struct unit *unit = *at == '\0' ? &sizes[0] : read_unit(&at, sizes);
    if (!unit || *skip_space(at) != '\0' || (unit->factor == 1 && number.fraction != 0))
        return wrong(error, text, expected);
    int64_t product;
    if (scale_number(&number, unit->factor, &product) != 0)
        return wrong(error, text, N_("\"%.80s\" is far too large"));
    *bytes = product;
    return 0;
}

int cm_parse_rate(const char *text, int64_t *us, char **error)
{
    static const char expected[] = N_("\"%.80s\" is not a rate such as 5/s, 100/m or 0 (no limit)");
    const char *at = skip_space(text);
    struct number number;
    if (read_number(&at, &number) != 0)
        return wrong(error, text, expected);
    int none = number.whole == 0 && number.fraction == 0;
    at = skip_space(at);
    if (*at == '\0' && none) {
        *us = 0;
        return 0;
    }
    if (*at != '/')
        return wrong(error, text, expected);
    at = skip_space(at + 1);
    const struct unit *unit = read_unit(&at, rates);
    if (!unit || *skip_space(at) != '\0')
        return wrong(error, text, expected);
    if (none) {
        *us = 0;
        return 0;
    }
    /* Rounded up: never faster than asked. */
    int64_t count;
    if (__builtin_mul_overflow(number.whole, number.scale, &count) ||
        __builtin_add_overflow(count, number.fraction, &count))
        return wrong(error, text, N_("\"%.80s\" is far too high"));
    int64_t time = unit->factor * number.scale;
    *us = time / count + (time % count != 0);
    return 0;
}

int cm_parse_int(const char *text, int64_t *value, char **error)
{
    const char *at = skip_space(text);
    int negative = *at == '-';
    if (*at == '-' || *at == '+')
        at++;
    if (!is_digit(*at))
        return wrong(error, text, N_("\"%.80s\" is not a whole number"));
    int64_t total = 0;
    for (; is_digit(*at); at++) {
        int digit = negative ? -(*at - '0') : *at - '0';
        if (__builtin_mul_overflow(total, 10, &total) || __builtin_add_overflow(total, digit, &total))
            return wrong(error, text, N_("\"%.80s\" is too large for a whole number"));
    }
    if (*skip_space(at) != '\0')
        return wrong(error, text, N_("\"%.80s\" is not a whole number"));
    *value = total;
    return 0;
}

/* Whether text is a decimal number and nothing else: strtod alone would take "0x1p3" and "nan". */
static int is_real(const char *text)
{
    const char *at = skip_space(text);
    int digits = 0;
    if (*at == '-' || *at == '+')
        at++;
    for (; is_digit(*at); at++)
        digits++;
    if (*at == '.')
        for (at++; is_digit(*at); at++)
            digits++;
    if (digits > 0 && (*at == 'e' || *at == 'E')) {
        at++;
        if (*at == '-' || *at == '+')
            at++;
        if (!is_digit(*at))
            return 0;
        while (is_digit(*at))
            at++;
    }
    return digits > 0 && *skip_space(at) == '\0';
}

int cm_parse_real(const char *text, double *value, char **error)
{
    if (!is_real(text))
        return wrong(error, text, N_("\"%.80s\" is not a number such as 1 or 0.5"));
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (plain == (locale_t)0)
        return wrong(error, text, N_("\"%.80s\" cannot be read: the C locale is missing"));
    double number = strtod_l(text, NULL, plain);
    freelocale(plain);
    if (!isfinite(number))
        return wrong(error, text, N_("\"%.80s\" is far too large"));
    *value = number;
    return 0;
}

int cm_parse_bool(const char *text, int *value, char **error)
{
    static const struct {
        const char *word;
        int value;
    } words[] = {{"true", 1}, {"yes", 1}, {"on", 1}, {"1", 1}, {"false", 0}, {"no", 0}, {"off", 0}, {"0", 0}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i].word, text) == 0) {
            *value = words[i].value;
            return 0;
        }
    }
    return wrong(error, text, N_("\"%.80s\" is not true or false"));
}

char *cm_show_duration(int64_t ms)
{
    static const struct unit shown[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    if (ms == 0)
        return cm_strdup("0s");
    struct cm_text text = {0};
    uint64_t left = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
    if (ms < 0)
        cm_text_add(&text, "-");
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        uint64_t factor = (uint64_t)shown[i].factor;
        if (left >= factor)
            cm_text_addf(&text, "%llu%s", (unsigned long long)(left / factor), shown[i].name);
        left %= factor;
    }
    return cm_text_take(&text);
}

char *cm_show_size(int64_t bytes)
{
    static const char *const names[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    uint64_t left = bytes < 0 ? 0 - (uint64_t)bytes : (uint64_t)bytes;
    const char *sign = bytes < 0 ? "-" : "";
    if (left < 1024)
        return cm_format("%s%llu B", sign, (unsigned long long)left);
    size_t i = 0;
    while (i + 1 < sizeof names / sizeof names[0] && left >= 1024 * 1024) {
        left /= 1024;
        i++;
    }
    /* Tenths in whole numbers: printf would write a comma in some locales. */
    uint64_t tenths = (left * 10 + 512) / 1024;
    return cm_format("%s%llu.%llu %s", sign, (unsigned long long)(tenths / 10), (unsigned long long)(tenths % 10),
                     names[i]);
}

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now = {0};
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t cm_utc_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

int64_t cm_boot_ms(void)
{
    return clock_ms(CLOCK_BOOTTIME);
}

/* Random bytes; before the kernel's pool is ready this waits, which no machine that runs us does. */
static void random_bytes(unsigned char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t got = getrandom(bytes, count, 0);
        if (got <= 0)
            continue;
        bytes += got;
        count -= (size_t)got;
    }
}

/* RFC 9562, version 7: 48 bits of time, then randomness, so ids sort by when they were made. */
void cm_uuid7(char out[37])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char id[16];
    uint64_t now = (uint64_t)cm_utc_ms();
    random_bytes(id + 6, 10);
    for (int i = 0; i < 6; i++)
        id[i] = (unsigned char)(now >> (40 - 8 * i));
    id[6] = (unsigned char)(0x70 | (id[6] & 0x0f));
    id[8] = (unsigned char)(0x80 | (id[8] & 0x3f));
    char *to = out;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *to++ = '-';
        *to++ = hex[id[i] >> 4];
        *to++ = hex[id[i] & 15];
    }
    *to = '\0';
}

char *cm_show_time(int64_t utc_ms)
{
    time_t seconds = (time_t)(utc_ms / 1000);
    struct tm parts;
    char text[40] = "";
    if (utc_ms > 0 && localtime_r(&seconds, &parts)) {
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
    }
    return cm_strdup(text);
}
