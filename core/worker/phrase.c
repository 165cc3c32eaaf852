/*
 * Phrases.
 *
 * A shortest path: cost[k] is that of the best way to say the first k words in the stretches so far.
 * The constants were tried on nine films in two languages (docs/decisions/timing.md); none is sharp.
 */
#include "core/worker/phrase.h"

#include <clipmaker/plugin.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/text.h"

#define AROUND_MS 150.0        /* of a stretch that is no word: its last sound is drawn out, the gate opens early */
#define LETTER_MS_MIN 20.0     /* nobody speaks faster */
#define SPREAD 0.3             /* how much the rate of speech differs from phrase to phrase, … */
#define SPREAD_OVER_MS 500.0   /* … for a phrase of this length; long ones are steadier */
#define SPREAD_LEAST_MS 150.0  /* and what each length differs by anyway */
#define LONGEST_TIMES 2.2      /* a run that would last longer than this many times its stretch, */
#define LONGEST_MORE_MS 1200.0 /* and this, is not tried */
#define COST_MUTE 4.0          /* a second of speech in which nothing is said: noise, a cough */
#define COST_MUTE_LEAST 1.2
#define COST_BREAK 4.0        /* a pause where the text has no punctuation */
#define COST_BREAK_COMMA 1.2  /* … where it has a comma only */
#define COST_BREAK_INSIDE 1.5 /* … behind a word that leads on to the next */
#define GAIN_BREAK_BEGINS 1.0 /* … before a word that begins phrases: so much less */
#define COST_RUN_ON 4.0       /* a sentence that ends without a pause */
#define COST_RUN_ON_COMMA 1.0 /* a comma without one */
#define WORDS_OF_A_STOP 25    /* a text with fewer stops than one in so many words has no punctuation */
#define DIGIT_LETTERS 4.0     /* what is written as a digit is said as a word */
#define WORK_MOST 200000000.0 /* steps; above it takes seconds */

static const double never = 1e300;

/* Lower case, ё as е. Together they halve the errors of text without punctuation. */
static const char *const leading_on[] = {
    "a",    "an",   "and",  "are",   "as",    "at",   "be",   "but", "by",   "for", "from", "he",   "her",   "his",
    "i",    "if",   "in",   "is",    "it",    "its",  "my",   "no",  "not",  "of",  "on",   "or",   "our",   "she",
    "so",   "that", "the",  "their", "these", "they", "this", "to",  "very", "was", "we",   "were", "which", "who",
    "with", "you",  "your", "а",     "без",   "бы",   "в",    "ваш", "для",  "до",  "ее",   "же",   "за",    "и",
    "из",   "или",  "их",   "к",     "как",   "мой",  "на",   "над", "наш",  "не",  "ни",   "но",   "о",     "об",
    "от",   "по",   "под",  "при",   "с",     "свой", "то",   "у",   "что",  "это",
};
static const char *const beginning[] = {
    "and",  "because", "but",   "he",   "how",  "i",      "if",   "it",   "now",   "or",      "she",     "so",
    "that", "then",    "there", "they", "we",   "well",   "what", "when", "where", "which",   "who",     "why",
    "you",  "а",       "вы",    "где",  "если", "и",      "или",  "как",  "когда", "которая", "который", "которые",
    "мы",   "но",      "он",    "она",  "они",  "потому", "так",  "там",  "что",   "чтобы",   "это",     "я",
};

/* ---- A word ---------------------------------------------------------------------------------- */

/* The code point at `at`, and how many bytes it has. */
static unsigned decode(const char *at, size_t left, size_t *bytes)
{
    unsigned char first = (unsigned char)at[0];
    size_t count = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    unsigned code = count == 1 ? first : first & (0xffu >> (count + 1));
    *bytes = count < left ? count : left;
    for (size_t i = 1; i < *bytes; i++) {
        code = code << 6 | ((unsigned char)at[i] & 0x3fu);
    }
    return code;
}

static int is_letter(unsigned code)
{
    if (code < 0x80) {
        return (code | 0x20u) - 'a' < 26u;
    }
    return code >= 0xc0 && !(code >= 0x2000 && code <= 0x206f) && !(code >= 0x3000 && code <= 0x303f);
}

static enum cm_stop stop_of(unsigned code, enum cm_stop before)
{
    switch (code) {
    case '.':
    case '!':
    case '?':
    case 0x2026: /* … */
        return CM_STOP_SENTENCE;
    case ',':
    case ';':
    case ':':
    case '-':
    case 0x2013:
    case 0x2014: /* – — */
        return CM_STOP_COMMA;
    default:
        return before; /* quotes, brackets */
    }
}

/* Letters in lower case, as long as there is room: what is longer stands in no table. */
struct bare {
    char text[24];
    size_t length;
};

static void add_letter(struct bare *bare, unsigned code)
{
    code = code >= 'A' && code <= 'Z' ? code + 32 : code >= 0x410 && code <= 0x42f ? code + 32 : code;
    code = code == 0x401 || code == 0x451 ? 0x435 : code; /* ё */
    if (code < 0x80 && bare->length + 1 < sizeof bare->text) {
        bare->text[bare->length++] = (char)code;
    } else if (code < 0x800 && bare->length + 2 < sizeof bare->text) {
        bare->text[bare->length++] = (char)(0xc0 | code >> 6);
        bare->text[bare->length++] = (char)(0x80 | (code & 0x3f));
    } else {
        bare->length = sizeof bare->text - 1; /* full */
    }
}

static int is_among(const struct bare *bare, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(list[i]) == bare->length && !memcmp(list[i], bare->text, bare->length)) {
            return 1;
        }
    }
    return 0;
}

struct cm_phrase_word cm_phrase_word(const char *text, size_t bytes)
{
    struct cm_phrase_word word = {.letters = 0, .stop = CM_STOP_NONE};
    struct bare bare = {.length = 0};
    for (size_t at = 0, step; at < bytes; at += step) {
        unsigned code = decode(text + at, bytes - at, &step);
        int digit = code - '0' < 10u;
        if (digit || is_letter(code)) {
            word.letters += digit ? DIGIT_LETTERS : 1;
            word.stop = CM_STOP_NONE; /* "3.5", "well-known": no stop inside a word */
            add_letter(&bare, code);
        } else {
            word.stop = stop_of(code, word.stop);
        }
    }
    word.letters += 1; /* what separates it from the next */
    word.leads_on = is_among(&bare, leading_on, sizeof leading_on / sizeof *leading_on);
    word.begins = is_among(&bare, beginning, sizeof beginning / sizeof *beginning);
    return word;
}

/* ---- Costs ----------------------------------------------------------------------------------- */

struct search {
    const struct cm_phrase_word *words;
    size_t word_count;
    double *letters; /* of the first k words */
    double *run_on;  /* cost of the first k words running on into each other */
    double letter_ms;
    int has_stops;
};

static double length_ms(const struct cm_interval *stretch)
{
    return (double)(stretch->end_ms - stretch->start_ms);
}

static double run_on_cost(const struct search *search, size_t word)
{
    static const double costs[] = {0, 0, COST_RUN_ON_COMMA, COST_RUN_ON};
    return search->has_stops ? costs[search->words[word].stop] : 0;
}

/* Of a pause behind the first k words. */
static double break_cost(const struct search *search, size_t k)
{
    if (k == 0 || k == search->word_count) {
        return 0;
    }
    const struct cm_phrase_word *word = &search->words[k - 1];
    double cost = search->has_stops ? COST_BREAK : 0;
    if (word->stop == CM_STOP_SENTENCE) {
        return 0;
    }
    if (word->stop == CM_STOP_COMMA) {
        return search->has_stops ? COST_BREAK_COMMA : 0;
    }
    cost += word->leads_on ? COST_BREAK_INSIDE : 0;
    return search->words[k].begins ? cost - GAIN_BREAK_BEGINS : cost;
}

/* Of a run that should last so long in a stretch that does last so long. */
static double length_cost(double should_ms, double does_ms)
{
    double variance = SPREAD * SPREAD * should_ms * SPREAD_OVER_MS + SPREAD_LEAST_MS * SPREAD_LEAST_MS;
    return (should_ms - does_ms) * (should_ms - does_ms) / (2 * variance);
}

static double mute_cost(double stretch_ms)
{
    return COST_MUTE_LEAST + COST_MUTE * stretch_ms / 1000;
}

/* ---- Searching ------------------------------------------------------------------------------- */

static void open_search(struct search *search, const struct cm_interval *stretches, size_t count)
{
    size_t stops = 0;
    double total_ms = 0;
    for (size_t i = 0; i < search->word_count; i++) {
        stops += search->words[i].stop != CM_STOP_NONE;
    }
    for (size_t i = 0; i < count; i++) {
        total_ms += length_ms(&stretches[i]);
    }
    search->has_stops = stops * WORDS_OF_A_STOP > search->word_count;
    search->letters = cm_alloc((search->word_count + 1) * sizeof *search->letters);
    search->run_on = cm_alloc((search->word_count + 1) * sizeof *search->run_on);
    for (size_t i = 0; i < search->word_count; i++) {
        search->letters[i + 1] = search->letters[i] + search->words[i].letters;
        search->run_on[i + 1] = search->run_on[i] + run_on_cost(search, i);
    }
    search->letter_ms = (total_ms - AROUND_MS * (double)count) / search->letters[search->word_count];
    search->letter_ms = search->letter_ms > LETTER_MS_MIN ? search->letter_ms : LETTER_MS_MIN;
}

/* Goes on over one more stretch: from `cost` to `next`; from[k] says how many words were said before it. */
static void step(const struct search *search, const struct cm_interval *stretch, int is_last, const double *cost,
                 double *next, uint32_t *from)
{
    double does_ms = length_ms(stretch), longest_ms = LONGEST_TIMES * does_ms + LONGEST_MORE_MS;
    for (size_t k = 0; k <= search->word_count; k++) {
        next[k] = never;
    }
    for (size_t i = 0; i <= search->word_count; i++) {
        if (cost[i] >= never) {
            continue;
        }
        if (cost[i] + mute_cost(does_ms) < next[i]) {
            next[i] = cost[i] + mute_cost(does_ms);
            from[i] = (uint32_t)i;
        }
        for (size_t k = i + 1; k <= search->word_count; k++) {
            double should_ms = AROUND_MS + search->letter_ms * (search->letters[k] - search->letters[i]);
            if (should_ms > longest_ms) {
                break;
            }
            double sum = cost[i] + length_cost(should_ms, does_ms) + search->run_on[k - 1] - search->run_on[i] +
                         (is_last ? 0 : break_cost(search, k));
            if (sum < next[k]) {
                next[k] = sum;
                from[k] = (uint32_t)i;
            }
        }
    }
}

static size_t *walk_back(const uint32_t *from, size_t word_count, size_t count)
{
    size_t *ends = cm_alloc(count * sizeof *ends);
    size_t at = word_count;
    for (size_t i = count; i-- > 0;) {
        ends[i] = at;
        at = from[i * (word_count + 1) + at];
    }
    return ends;
}

/* How many steps it takes, about: a run has so many words at most. */
static int is_too_much(const struct search *search, size_t count)
{
    double words = (double)search->word_count, runs = (double)count;
    return words * (words * LONGEST_TIMES + 60 * runs) > WORK_MOST || words * runs > WORK_MOST / 8;
}

size_t *cm_phrase_cut(const struct cm_phrase_word *words, size_t word_count, const struct cm_interval *stretches,
                      size_t count)
{
    struct search search = {.words = words, .word_count = word_count};
    if (word_count == 0 || count == 0 || is_too_much(&search, count)) {
        return NULL;
    }
    open_search(&search, stretches, count);
    double *cost = cm_alloc((word_count + 1) * sizeof *cost), *next = cm_alloc((word_count + 1) * sizeof *next);
    uint32_t *from = cm_alloc(count * (word_count + 1) * sizeof *from);
    for (size_t k = 1; k <= word_count; k++) {
        cost[k] = never;
    }
    for (size_t i = 0; i < count; i++) {
        step(&search, &stretches[i], i + 1 == count, cost, next, from + i * (word_count + 1));
        double *swap = cost;
        cost = next;
        next = swap;
    }
    size_t *ends = cost[word_count] < never ? walk_back(from, word_count, count) : NULL;
    free(search.letters);
    free(search.run_on);
    free(cost);
    free(next);
    free(from);
    return ends;
}
