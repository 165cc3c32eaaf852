/*
 * Captions files come in many encodings; the rest of the plugin sees UTF-8 only. Pure.
 */
#ifndef CAPTIONS_ENCODING_H
#define CAPTIONS_ENCODING_H

#include <stddef.h>

/* The text as UTF-8 with a NUL behind, malloc'd; *name is what it was ("UTF-8", "CP1251", …).
 * Never fails: bytes that mean nothing become U+FFFD or are left out. */
char *encoding_to_utf8(const char *bytes, size_t count, const char **name);

#endif
