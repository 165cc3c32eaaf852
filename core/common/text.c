/*
 * Memory and text: allocation that never fails (it aborts), and a growing string.
 */
#include "core/common/text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void out_of_memory(size_t bytes) __attribute__((noreturn));

static void out_of_memory(size_t bytes)
{
    /* fprintf to unbuffered stderr needs no memory of its own here. */
    fprintf(stderr, "out of memory: %zu bytes were not to be had\n", bytes);
    abort();
}

void *cm_alloc(size_t bytes)
{
    void *memory = calloc(1, bytes > 0 ? bytes : 1);
    if (!memory)
        out_of_memory(bytes);
    return memory;
}

void *cm_realloc(void *old, size_t bytes)
{
    void *memory = realloc(old, bytes > 0 ? bytes : 1);
    if (!memory)
        out_of_memory(bytes);
    return memory;
}

void *cm_grow(void *items, size_t *room, size_t count, size_t item_bytes)
{
    if (count < *room)
        return items;
    size_t wanted = *room < 8 ? 8 : *room;
    if (wanted <= count) {
        if (count > SIZE_MAX / 2)
            out_of_memory(count);
        wanted = count < 8 ? 8 : count * 2;
    }
    if (item_bytes > 0 && wanted > SIZE_MAX / item_bytes)
        out_of_memory(wanted);
    items = cm_realloc(items, wanted * item_bytes);
    *room = wanted;
    return items;
}

char *cm_strdup(const char *text)
{
    size_t bytes = strlen(text) + 1;
    return memcpy(cm_realloc(NULL, bytes), text, bytes);
}

char *cm_strndup(const char *text, size_t bytes)
{
    size_t length = strnlen(text, bytes);
    char *copy = cm_realloc(NULL, length + 1);
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *cm_format(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = cm_vformat(format, arguments);
    va_end(arguments);
    return text;
}

char *cm_vformat(const char *format, va_list arguments)
{
    char most[256]; /* what nearly every text fits into: printed once, not measured first */
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(most, sizeof most, format, again);
    va_end(again);
    if (length < 0) /* over INT_MAX, or a wide character that does not convert */
        return cm_strdup("");
    if ((size_t)length < sizeof most)
        return cm_strndup(most, (size_t)length);
    char *text = cm_realloc(NULL, (size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, arguments);
    return text;
}

/* Room for `more` bytes and the NUL behind them. */
static void reserve(struct cm_text *text, size_t more)
{
    if (more >= SIZE_MAX / 2 - text->length)
        out_of_memory(more);
    size_t wanted = text->length + more + 1;
    if (wanted <= text->room)
        return;
    size_t room = text->room < 64 ? 64 : text->room * 2;
    if (room < wanted)
        room = wanted;
    text->bytes = cm_realloc(text->bytes, room);
    text->room = room;
}

void cm_text_add_bytes(struct cm_text *text, const char *more, size_t bytes)
{
    reserve(text, bytes);
    if (bytes > 0)
        memcpy(text->bytes + text->length, more, bytes);
    text->length += bytes;
    text->bytes[text->length] = '\0';
}

void cm_text_add(struct cm_text *text, const char *more)
{
    cm_text_add_bytes(text, more, strlen(more));
}

void cm_text_addf(struct cm_text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *more = cm_vformat(format, arguments);
    va_end(arguments);
    cm_text_add(text, more);
    free(more);
}

char *cm_text_take(struct cm_text *text)
{
    char *bytes = text->bytes ? text->bytes : cm_strdup("");
    *text = (struct cm_text){0};
    return bytes;
}

void cm_text_free(struct cm_text *text)
{
    free(text->bytes);
    *text = (struct cm_text){0};
}

/* FNV-1a over eight bytes at a time. */
uint64_t cm_hash(const void *bytes, size_t count, uint64_t seed)
{
    const char *at = bytes;
    uint64_t hash = seed ^ UINT64_C(14695981039346656037), part = 0;
    for (; count >= sizeof part; count -= sizeof part, at += sizeof part) {
        memcpy(&part, at, sizeof part);
        hash = (hash ^ part) * UINT64_C(1099511628211);
        hash ^= hash >> 32;
    }
    part = 0;
    memcpy(&part, at, count);
    hash = (hash ^ part) * UINT64_C(1099511628211);
    return hash ^ hash >> 32;
}

int cm_starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

int cm_ends_with(const char *text, const char *suffix)
{
    size_t length = strlen(text), tail = strlen(suffix);
    return length >= tail && strcmp(text + length - tail, suffix) == 0;
}

static size_t least(size_t a, size_t b, size_t c)
{
    size_t smaller = a < b ? a : b;
    return smaller < c ? smaller : c;
}

size_t cm_distance(const char *a, const char *b)
{
    size_t width = strlen(b);
    size_t *row = cm_alloc((width + 1) * sizeof *row);
    for (size_t j = 0; j <= width; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < width; j++) {
            size_t above = row[j + 1];
            row[j + 1] = least(above + 1, row[j] + 1, diagonal + (a[i] != b[j]));
            diagonal = above;
        }
    }
    size_t distance = row[width];
    free(row);
    return distance;
}

const char *cm_nearest(const char *wrong, const char *const *names, size_t count)
{
    enum {
        LONGEST_NAME = 256
    }; /* nobody mistypes more, and the distance costs length × length */
    size_t length = strlen(wrong);
    if (length == 0 || length > LONGEST_NAME)
        return NULL;
    const char *nearest = NULL;
    size_t best = length / 3 + 1; /* one slip in a short name, a third of a long one */
    for (size_t i = 0; i < count; i++) {
        if (strlen(names[i]) > LONGEST_NAME)
            continue;
        size_t distance = cm_distance(wrong, names[i]);
        if (distance < best || (distance == best && !nearest)) {
            best = distance;
            nearest = names[i];
        }
    }
    /* A name that shares nothing with what was typed is no help. */
    return nearest && best < length ? nearest : NULL;
}

/* Length of the valid sequence at `at`, of at most `left` bytes; 0 when there is none. */
static size_t utf8_sequence(const unsigned char *at, size_t left)
{
    size_t length;
    unsigned low = 0x80, high = 0xbf; /* what the second byte may be: no overlong, no surrogate */
    if (at[0] < 0x80)
        return 1;
    if (at[0] >= 0xc2 && at[0] <= 0xdf) {
        length = 2;
    } else if (at[0] >= 0xe0 && at[0] <= 0xef) {
        length = 3;
        low = at[0] == 0xe0 ? 0xa0 : 0x80;
        high = at[0] == 0xed ? 0x9f : 0xbf;
    } else if (at[0] >= 0xf0 && at[0] <= 0xf4) {
        length = 4;
        low = at[0] == 0xf0 ? 0x90 : 0x80;
        high = at[0] == 0xf4 ? 0x8f : 0xbf;
    } else {
        return 0;
    }
    if (left < length || at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

int cm_is_utf8(const char *text, size_t bytes)
{
    const unsigned char *at = (const unsigned char *)text;
    while (bytes > 0) {
        size_t length = utf8_sequence(at, bytes);
        if (length == 0)
            return 0;
        at += length;
        bytes -= length;
    }
    return 1;
}

void cm_wipe(void *memory, size_t bytes)
{
    if (memory && bytes > 0)
        explicit_bzero(memory, bytes);
}
