/*
 * A look at the bytes of a config file before libconfig sees them: it exits on an @include of a
 * folder, and stores 3000000000 as -1294967296 without a word.
 */
#include "core/daemon/config/scan.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/text.h"
#include "core/daemon/config/complaints.h"

struct scan {
    const char *at, *end, *file;
    int line;
    struct cm_complaints *complaints;
};

static void advance(struct scan *scan, size_t bytes)
{
    for (; bytes > 0 && scan->at < scan->end; bytes--) {
        scan->line += *scan->at++ == '\n';
    }
}

static size_t left(const struct scan *scan)
{
    return (size_t)(scan->end - scan->at);
}

static int looks_at(const struct scan *scan, const char *text)
{
    size_t bytes = strlen(text);
    return left(scan) >= bytes && !memcmp(scan->at, text, bytes);
}

/* Skips a comment or a string at this place; 0 when there is neither. */
static int skip_quoted(struct scan *scan)
{
    if (looks_at(scan, "#") || looks_at(scan, "//")) {
        while (left(scan) && *scan->at != '\n') {
            advance(scan, 1);
        }
        return 1;
    }
    if (looks_at(scan, "/*")) {
        advance(scan, 2);
        while (left(scan) && !looks_at(scan, "*/")) {
            advance(scan, 1);
        }
        advance(scan, 2);
        return 1;
    }
    if (!looks_at(scan, "\"")) {
        return 0;
    }
    advance(scan, 1);
    while (left(scan) && *scan->at != '"') {
        advance(scan, *scan->at == '\\' ? 2 : 1);
    }
    advance(scan, 1);
    return 1;
}

static int is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '*';
}

/* A word that begins with a digit: a number, unless it has letters of a name in it. */
static void check_number(struct scan *scan, int negative)
{
    const char *start = scan->at;
    while (left(scan) && (is_word(*scan->at) || *scan->at == '.' || *scan->at == '+')) {
        advance(scan, 1);
    }
    char *word = cm_strndup(start, (size_t)(scan->at - start));
    int hex = cm_starts_with(word, "0x") || cm_starts_with(word, "0X");
    const char *digits = word + (hex ? 2 : 0);
    size_t count = strspn(digits, hex ? "0123456789abcdefABCDEF" : "0123456789");
    int is_long = digits[count] == 'L' || digits[count] == 'l';
    if (count > 0 && (digits[count] == '\0' || is_long)) {
        const char *significant = digits + strspn(digits, "0");
        size_t length = count - (size_t)(significant - digits);
        unsigned long long value = length > 12 ? ~0ULL : strtoull(significant, NULL, hex ? 16 : 10);
        if (is_long || value > 2147483647ULL + (negative && !hex)) {
            cm_complain(scan->complaints, scan->file, scan->line,
                        "%s%.40s is too large a number; sizes and durations are written as text: \"4GiB\", \"90s\"",
                        negative ? "-" : "", word);
        }
    }
    free(word);
}

static void scan_tokens(struct scan *scan)
{
    char before = ' ';
    while (left(scan)) {
        if (skip_quoted(scan)) {
            before = ' ';
            continue;
        }
        if (isdigit((unsigned char)*scan->at) && (!is_word(before) || before == '-')) {
            check_number(scan, before == '-');
            before = '0';
            continue;
        }
        before = *scan->at;
        advance(scan, 1);
    }
}

static void scan_includes(struct scan *scan)
{
    while (left(scan)) {
        const char *end = memchr(scan->at, '\n', left(scan));
        size_t bytes = end ? (size_t)(end - scan->at) + 1 : left(scan);
        size_t blank = 0;
        while (blank < bytes && isspace((unsigned char)scan->at[blank])) {
            blank++;
        }
        if (bytes - blank >= 8 && !memcmp(scan->at + blank, "@include", 8)) {
            cm_complain(scan->complaints, scan->file, scan->line,
                        "@include is not used here; put the file into conf.d, where all *.conf are read");
        }
        advance(scan, bytes);
    }
}

size_t cm_conf_scan(const char *text, size_t bytes, const char *file, struct cm_complaints *complaints)
{
    size_t before = complaints->count;
    if (memchr(text, '\0', bytes) || !cm_is_utf8(text, bytes)) {
        cm_complain(complaints, file, 0, "is not UTF-8 text");
        return complaints->count - before;
    }
    struct scan scan = {text, text + bytes, file, 1, complaints};
    scan_includes(&scan);
    scan = (struct scan){text, text + bytes, file, 1, complaints};
    scan_tokens(&scan);
    return complaints->count - before;
}
