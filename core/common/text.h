/*
 * Memory and text: allocation that never fails (it aborts), and a growing string.
 */
#ifndef CM_COMMON_TEXT_H
#define CM_COMMON_TEXT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* Abort with a line on stderr when memory is out. cm_alloc zeroes. */
void *cm_alloc(size_t bytes);
void *cm_realloc(void *old, size_t bytes);
/* Room for one more: grows *items (of item_bytes each) when *count == *room. Returns *items. */
void *cm_grow(void *items, size_t *room, size_t count, size_t item_bytes);
char *cm_strdup(const char *text);
char *cm_strndup(const char *text, size_t bytes);
char *cm_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *cm_vformat(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));

struct cm_text {
    char *bytes; /* always ends with NUL once anything was added; NULL while empty */
    size_t length, room;
};
void cm_text_add(struct cm_text *text, const char *more);
void cm_text_add_bytes(struct cm_text *text, const char *more, size_t bytes);
void cm_text_addf(struct cm_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The string, owned by the caller ("" when nothing was added); text is empty again. */
char *cm_text_take(struct cm_text *text);
void cm_text_free(struct cm_text *text);

/* For tables in memory only: it differs between machines. `seed`: 0, or the hash of what stands before. */
uint64_t cm_hash(const void *bytes, size_t count, uint64_t seed);

int cm_starts_with(const char *text, const char *prefix);
int cm_ends_with(const char *text, const char *suffix);
/* Levenshtein distance of two short names. */
size_t cm_distance(const char *a, const char *b);
/* The nearest of `count` names to `wrong` if near enough for "did you mean", else NULL. */
const char *cm_nearest(const char *wrong, const char *const *names, size_t count);
/* True when text is valid UTF-8. */
int cm_is_utf8(const char *text, size_t bytes);
/* Overwrites in a way the compiler keeps: for secrets. */
void cm_wipe(void *memory, size_t bytes);

#endif
