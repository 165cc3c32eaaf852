/*
 * Words → captions: which words stand together, on which lines, from when to when. Pure.
 *
 * Words up to a full stop or a pause are a phrase. A phrase is cut into captions by the cheapest set of
 * cuts: no cut far too early, no lonely word, better behind a comma than inside a thought.
 */
#include "layout.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "render.h"

#define PHRASE_PAUSE_MS 600
#define LINGER_MS 400 /* a caption stays so long behind its last word */
#define SPOKEN_LINGER_MS 250
#define MOST_PAGE_WORDS 30 /* of one caption, whatever the rules say */
#define NEVER 1e12

size_t layout_chars(const char *text)
{
    size_t chars = 0;
    for (; *text != '\0'; text++)
        chars += ((unsigned char)*text & 0xc0) != 0x80;
    return chars;
}

/* True when the text ends with one of `marks`, closing quotes and brackets aside. */
static int ends_with_one_of(const char *text, const char *marks)
{
    static const char *const closers[] = {"\"", "'", ")", "]", "»", "”", "’"};
    size_t length = strlen(text);
    for (size_t i = 0; i < sizeof(closers) / sizeof(closers[0]); i++) {
        size_t tail = strlen(closers[i]);
        if (length > tail && memcmp(text + length - tail, closers[i], tail) == 0) {
            length -= tail;
            i = (size_t)-1;
        }
    }
    if (length >= 3 && memcmp(text + length - 3, "…", 3) == 0)
        return strchr(marks, '.') != NULL;
    return length > 0 && strchr(marks, text[length - 1]) != NULL;
}

static int ends_phrase(const struct layout_word *words, size_t at, size_t count)
{
    return at + 1 == count || ends_with_one_of(words[at].text, ".!?") ||
           words[at + 1].start_ms - words[at].end_ms >= PHRASE_PAUSE_MS;
}

/* ---- Lines ------------------------------------------------------------------------------------ */

static struct layout_line line_of(const struct layout_word *words, size_t first, size_t last, double space)
{
    struct layout_line line = {first, last, 0};
    for (size_t i = first; i <= last; i++)
        line.width += words[i].width + (i > first ? space : 0);
    return line;
}

/* A single word is a line however long it is. */
static int line_fits(const struct layout_word *words, const struct layout_line *line, const struct layout_rules *rules)
{
    size_t chars = line->last - line->first;
    for (size_t i = line->first; i <= line->last; i++)
        chars += layout_chars(words[i].text);
    return line->first == line->last || (chars <= (size_t)rules->max_chars && line->width <= rules->max_width);
}

/* The most even way to put first..last on `lines` lines, or 0 when there is none. Returns the widest line. */
static double split(const struct layout_word *words, size_t first, size_t last, size_t lines,
                    const struct layout_rules *rules, struct layout_line *found)
{
    struct layout_line tail[LAYOUT_MOST_LINES];
    double best = 0;
    if (lines == 1) {
        found[0] = line_of(words, first, last, rules->space);
        return line_fits(words, &found[0], rules) ? found[0].width + 1e-6 : 0;
    }
    for (size_t at = first; at + lines - 1 <= last; at++) {
        struct layout_line head = line_of(words, first, at, rules->space);
        if (!line_fits(words, &head, rules))
            break;
        double rest = split(words, at + 1, last, lines - 1, rules, tail);
        double widest = rest > head.width ? rest : head.width;
        /* Of two equal ways, the one that breaks behind a comma. */
        if (rest > 0 && (best == 0 || widest < best - (ends_with_one_of(words[at].text, ",;:") ? 0 : 1e-9))) {
            best = widest;
            found[0] = head;
            memcpy(found + 1, tail, (lines - 1) * sizeof(*tail));
        }
    }
    return best;
}

static int fill_page(struct layout_page *page, const struct layout_word *words, const struct layout_rules *rules)
{
    for (size_t lines = 1; lines <= (size_t)rules->max_lines && lines <= LAYOUT_MOST_LINES; lines++) {
        if (split(words, page->first, page->last, lines, rules, page->line) > 0) {
            page->lines = lines;
            return 1;
        }
    }
    return 0;
}

/* ---- Pages ------------------------------------------------------------------------------------ */

/* What it costs to show first..last as one caption; NEVER when it cannot be. */
static double page_cost(const struct layout_word *words, size_t first, size_t last, size_t phrase_last,
                        const struct layout_rules *rules)
{
    struct layout_page page = {.first = first, .last = last};
    if ((rules->max_words > 0 && last - first >= (size_t)rules->max_words) || last - first >= MOST_PAGE_WORDS ||
        !fill_page(&page, words, rules))
        return NEVER;
    double chars = (double)(last - first);
    for (size_t i = first; i <= last; i++)
        chars += (double)layout_chars(words[i].text);
    double room = (double)rules->max_chars * rules->max_lines;
    double empty = chars < room ? 1 - chars / room : 0;
    double cost = 1 + empty * empty;
    if (last == phrase_last)
        cost -= 0.5 * empty * empty; /* the last one may be short */
    if (first == last && phrase_last > first && rules->max_words != 1)
        cost += 1.5;
    if (last != phrase_last && !ends_with_one_of(words[last].text, ",;:") && layout_chars(words[last].text) <= 2)
        cost += 0.4; /* "in", "и" belong to what follows */
    if (last != phrase_last && ends_with_one_of(words[last].text, ",;:"))
        cost -= 0.4;
    return cost;
}

/* back[i]: where the best caption that ends with word first + i begins. */
static void cut_phrase(const struct layout_word *words, size_t first, size_t last, const struct layout_rules *rules,
                       double *cost, size_t *back)
{
    for (size_t end = first; end <= last; end++) {
        cost[end - first] = NEVER;
        for (size_t start = end + 1; start-- > first && end - start < MOST_PAGE_WORDS;) {
            double page = page_cost(words, start, end, last, rules);
            double before = start == first ? 0 : cost[start - 1 - first];
            if (page + before < cost[end - first]) {
                cost[end - first] = page + before;
                back[end - first] = start;
            }
        }
    }
}

struct pages {
    struct layout_page *page;
    size_t count, room;
};

static void add_phrase(struct pages *pages, const struct layout_word *words, size_t first, size_t last,
                       const struct layout_rules *rules)
{
    size_t room = 0, length = last - first + 1;
    double *cost = render_grow(NULL, &room, length, sizeof(*cost) + sizeof(size_t));
    while (room < length)
        cost = render_grow(cost, &room, room, sizeof(*cost) + sizeof(size_t));
    size_t *back = (size_t *)(void *)(cost + room);
    cut_phrase(words, first, last, rules, cost, back);
    size_t from = pages->count;
    for (size_t end = last;; end = back[end - first] - 1) {
        struct layout_page page = {.first = back[end - first], .last = end};
        fill_page(&page, words, rules);
        pages->page = render_grow(pages->page, &pages->room, pages->count, sizeof(*pages->page));
        pages->page[pages->count++] = page;
        if (page.first == first)
            break;
    }
    free(cost);
    for (size_t a = from, b = pages->count - 1; a < b; a++, b--) {
        struct layout_page swapped = pages->page[a];
        pages->page[a] = pages->page[b];
        pages->page[b] = swapped;
    }
}

static void time_pages(struct pages *pages, const struct layout_word *words)
{
    for (size_t i = 0; i < pages->count; i++) {
        struct layout_page *page = &pages->page[i];
        page->start_ms = words[page->first].start_ms;
        page->end_ms = words[page->last].end_ms + LINGER_MS;
        if (i + 1 < pages->count && words[pages->page[i + 1].first].start_ms < page->end_ms)
            page->end_ms = words[pages->page[i + 1].first].start_ms;
        if (page->end_ms < page->start_ms)
            page->end_ms = page->start_ms;
    }
}

struct layout_page *layout_pages(const struct layout_word *words, size_t count, const struct layout_rules *rules,
                                 size_t *page_count)
{
    struct pages pages = {0};
    for (size_t first = 0, at = 0; at < count; at++) {
        if (!ends_phrase(words, at, count))
            continue;
        add_phrase(&pages, words, first, at, rules);
        first = at + 1;
    }
    time_pages(&pages, words);
    *page_count = pages.count;
    return pages.page;
}

int64_t layout_spoken_until_ms(const struct layout_word *words, const struct layout_page *page, size_t word)
{
    int64_t until = words[word].end_ms + SPOKEN_LINGER_MS;
    if (word < page->last && words[word + 1].start_ms < until)
        until = words[word + 1].start_ms;
    return until > page->end_ms ? page->end_ms : until;
}
