/*
 * Words → captions: which words stand together, on which lines, from when to when. Pure.
 */
#ifndef RENDER_LAYOUT_H
#define RENDER_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#define LAYOUT_MOST_LINES 3

struct layout_word {
    const char *text;         /* without spaces at its ends */
    double width;             /* on screen */
    int64_t start_ms, end_ms; /* in the clip */
};

struct layout_rules {
    int max_chars, max_lines, max_words; /* of a line; of a caption; of a caption, 0: any */
    double max_width, space;             /* of a line; between two words */
};

struct layout_line {
    size_t first, last; /* words, inclusive */
    double width;
};

struct layout_page {
    size_t first, last;
    struct layout_line line[LAYOUT_MOST_LINES];
    size_t lines;
    int64_t start_ms, end_ms; /* on screen */
};

/* Pages in order, malloc'd, *page_count of them; every word is in exactly one. */
struct layout_page *layout_pages(const struct layout_word *words, size_t count, const struct layout_rules *rules,
                                 size_t *page_count);

/* When the word is marked as spoken: from its start until the next one's, or shortly behind its end. */
int64_t layout_spoken_until_ms(const struct layout_word *words, const struct layout_page *page, size_t word);

/* Characters (not bytes) of UTF-8. */
size_t layout_chars(const char *text);

#endif
