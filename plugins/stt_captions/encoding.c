/*
 * Captions files come in many encodings; the rest of the plugin sees UTF-8 only. Pure.
 *
 * The tables stand here because iconv's own are an optional package on some systems.
 */
#include "encoding.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct text {
    char *bytes;
    size_t count, room;
};

static void put_byte(struct text *text, unsigned byte)
{
    if (text->count == text->room) {
        text->room = text->room * 2 + 256;
        text->bytes = realloc(text->bytes, text->room);
        if (text->bytes == NULL)
            abort();
    }
    text->bytes[text->count++] = (char)byte;
}

/* NUL and surrogates have no place in a text. */
static void put(struct text *text, uint32_t code)
{
    if (code == 0)
        return;
    if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        code = 0xfffd;
    if (code < 0x80) {
        put_byte(text, code);
        return;
    }
    if (code < 0x800) {
        put_byte(text, 0xc0 | code >> 6);
    } else {
        if (code < 0x10000) {
            put_byte(text, 0xe0 | code >> 12);
        } else {
            put_byte(text, 0xf0 | code >> 18);
            put_byte(text, 0x80 | (code >> 12 & 0x3f));
        }
        put_byte(text, 0x80 | (code >> 6 & 0x3f));
    }
    put_byte(text, 0x80 | (code & 0x3f));
}

static char *take(struct text *text)
{
    put_byte(text, 0);
    return text->bytes;
}

/* ---- UTF-16 ----------------------------------------------------------------------------------- */

static unsigned unit(const uint8_t *bytes, int big_endian)
{
    return big_endian ? (unsigned)bytes[0] << 8 | bytes[1] : (unsigned)bytes[1] << 8 | bytes[0];
}

static char *from_utf16(const uint8_t *bytes, size_t count, int big_endian)
{
    struct text text = {0};
    for (size_t i = 0; i + 1 < count; i += 2) {
        uint32_t code = unit(bytes + i, big_endian);
        if (code >= 0xd800 && code < 0xdc00 && i + 3 < count) {
            uint32_t low = unit(bytes + i + 2, big_endian);
            if (low >= 0xdc00 && low < 0xe000) {
                code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                i += 2;
            }
        }
        if (code != 0xfeff)
            put(&text, code);
    }
    return take(&text);
}

/* Without a mark: every second byte of the first lines is 0, as digits and arrows are ASCII. */
static int looks_like_utf16(const uint8_t *bytes, size_t count, int big_endian)
{
    size_t pairs = (count < 512 ? count : 512) / 2, zeros = 0;
    for (size_t i = 0; i < pairs; i++)
        zeros += bytes[2 * i + (big_endian ? 0 : 1)] == 0;
    return pairs >= 8 && zeros * 10 >= pairs * 3;
}

/* ---- UTF-8 ------------------------------------------------------------------------------------ */

/* Length of the valid sequence here, or 0. */
static size_t sequence(const uint8_t *at, size_t left)
{
    size_t length = at[0] < 0x80 ? 1 : at[0] >= 0xc2 && at[0] < 0xe0 ? 2 : (at[0] & 0xf0) == 0xe0 ? 3 : 0;
    if (at[0] >= 0xf0 && at[0] < 0xf5)
        length = 4;
    if (length == 0 || length > left)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] >= 0xa0) || (at[0] == 0xf0 && at[1] < 0x90) ||
        (at[0] == 0xf4 && at[1] >= 0x90))
        return 0;
    return length;
}

struct shares {
    size_t good;                   /* sequences of two bytes and more */
    size_t bad;                    /* bytes that are no UTF-8 */
    size_t high;                   /* bytes from 0x80 */
    size_t runs;                   /* of those, with another one beside */
    size_t upper_half, lower_half; /* 0xc0-0xdf, 0xe0-0xff */
};

static struct shares count_shares(const uint8_t *bytes, size_t count)
{
    struct shares shares = {0};
    for (size_t i = 0; i < count;) {
        size_t length = sequence(bytes + i, count - i);
        shares.good += length > 1;
        shares.bad += length == 0;
        i += length > 0 ? length : 1;
    }
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] < 0x80)
            continue;
        shares.high++;
        shares.runs += (i > 0 && bytes[i - 1] >= 0x80) || (i + 1 < count && bytes[i + 1] >= 0x80);
        shares.upper_half += bytes[i] >= 0xc0 && bytes[i] < 0xe0;
        shares.lower_half += bytes[i] >= 0xe0;
    }
    return shares;
}

/* Broken bytes in what is otherwise UTF-8 are replaced. */
static char *from_utf8(const uint8_t *bytes, size_t count)
{
    struct text text = {0};
    for (size_t i = 0; i < count;) {
        size_t length = sequence(bytes + i, count - i);
        if (length == 0)
            put(&text, 0xfffd);
        for (size_t k = 0; k < length; k++)
            if (bytes[i + k] != 0)
                put_byte(&text, bytes[i + k]);
        i += length > 0 ? length : 1;
    }
    return take(&text);
}

/* ---- One byte a letter ------------------------------------------------------------------------- */

static const uint16_t cp1251[64] = {
    0x402, 0x403,  0x201a, 0x453, 0x201e, 0x2026, 0x2020, 0x2021, 0x20ac, 0x2030, 0x409,  0x2039, 0x40a,
    0x40c, 0x40b,  0x40f,  0x452, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0xfffd, 0x2122,
    0x459, 0x203a, 0x45a,  0x45c, 0x45b,  0x45f,  0xa0,   0x40e,  0x45e,  0x408,  0xa4,   0x490,  0xa6,
    0xa7,  0x401,  0xa9,   0x404, 0xab,   0xac,   0xad,   0xae,   0x407,  0xb0,   0xb1,   0x406,  0x456,
    0x491, 0xb5,   0xb6,   0xb7,  0x451,  0x2116, 0x454,  0xbb,   0x458,  0x405,  0x455,  0x457};

/* Codes of 0xc0-0xff less 0x400. */
static const uint8_t koi8r[64] = {0x4e, 0x30, 0x31, 0x46, 0x34, 0x35, 0x44, 0x33, 0x45, 0x38, 0x39, 0x3a, 0x3b,
                                  0x3c, 0x3d, 0x3e, 0x3f, 0x4f, 0x40, 0x41, 0x42, 0x43, 0x36, 0x32, 0x4c, 0x4b,
                                  0x37, 0x48, 0x4d, 0x49, 0x47, 0x4a, 0x2e, 0x10, 0x11, 0x26, 0x14, 0x15, 0x24,
                                  0x13, 0x25, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x2f, 0x20, 0x21,
                                  0x22, 0x23, 0x16, 0x12, 0x2c, 0x2b, 0x17, 0x28, 0x2d, 0x29, 0x27, 0x2a};

static const uint16_t cp1252[32] = {0x20ac, 0xfffd, 0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021,
                                    0x2c6,  0x2030, 0x160,  0x2039, 0x152,  0xfffd, 0x17d,  0xfffd,
                                    0xfffd, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
                                    0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0xfffd, 0x17e,  0x178};

static uint32_t of_cp1251(uint8_t byte)
{
    return byte >= 0xc0 ? 0x410u + byte - 0xc0u : cp1251[byte - 0x80];
}

static uint32_t of_koi8r(uint8_t byte)
{
    if (byte == 0xa3 || byte == 0xb3)
        return byte == 0xa3 ? 0x451 : 0x401;
    return byte >= 0xc0 ? 0x400u + koi8r[byte - 0xc0] : ' ';
}

static uint32_t of_cp1252(uint8_t byte)
{
    return byte >= 0xa0 ? byte : cp1252[byte - 0x80];
}

static char *from_table(const uint8_t *bytes, size_t count, uint32_t (*of)(uint8_t byte))
{
    struct text text = {0};
    for (size_t i = 0; i < count; i++)
        put(&text, bytes[i] < 0x80 ? bytes[i] : of(bytes[i]));
    return take(&text);
}

/* Cyrillic letters stand side by side, accented Latin ones alone. Most letters are small, and the
 * small ones lie high in CP1251, low in KOI8-R. */
static char *from_bytes(const uint8_t *bytes, size_t count, const struct shares *shares, const char **name)
{
    if (shares->runs * 2 < shares->high) {
        *name = "CP1252";
        return from_table(bytes, count, of_cp1252);
    }
    int small_are_high = shares->lower_half >= shares->upper_half;
    *name = small_are_high ? "CP1251" : "KOI8-R";
    return from_table(bytes, count, small_are_high ? of_cp1251 : of_koi8r);
}

char *encoding_to_utf8(const char *text, size_t count, const char **name)
{
    const uint8_t *bytes = (const uint8_t *)text;
    int marked = count >= 2 && ((bytes[0] == 0xff && bytes[1] == 0xfe) || (bytes[0] == 0xfe && bytes[1] == 0xff));
    for (int big = 0; big <= 1; big++)
        if (marked ? (bytes[0] == 0xfe) == big : looks_like_utf16(bytes, count, big)) {
            *name = big ? "UTF-16BE" : "UTF-16LE";
            return from_utf16(bytes, count, big);
        }
    if (count >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) {
        bytes += 3;
        count -= 3;
    }
    struct shares shares = count_shares(bytes, count);
    *name = "UTF-8";
    if (shares.bad == 0 || shares.good > shares.bad * 4)
        return from_utf8(bytes, count);
    return from_bytes(bytes, count, &shares, name);
}
