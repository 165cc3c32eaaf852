/*
 * Splitting text into words. Letters are those of Latin and Cyrillic; a stem is the first letters of
 * a word, which is enough to count what a talk is about.
 */
#include "words.h"

#include <clipmaker/plugin.h>
#include <string.h>

#define STEM_LETTERS 6 /* of a long word … */
#define STEM_ENDING 2  /* … and a shorter one loses its ending, but keeps … */
#define STEM_KEPT 4    /* … so many letters */
#define FIRST_SLOTS 4096

/* One character of UTF-8; *bytes is its length. Broken ones count as one byte. */
static unsigned decode(const char *at, size_t *bytes)
{
    const unsigned char *in = (const unsigned char *)at;
    *bytes = 1;
    if (in[0] < 0x80) {
        return in[0];
    }
    if ((in[0] & 0xe0) == 0xc0 && (in[1] & 0xc0) == 0x80) {
        *bytes = 2;
        return (in[0] & 0x1fu) << 6 | (in[1] & 0x3fu);
    }
    if ((in[0] & 0xf0) == 0xe0 && (in[1] & 0xc0) == 0x80 && (in[2] & 0xc0) == 0x80) {
        *bytes = 3;
        return (in[0] & 0xfu) << 12 | (in[1] & 0x3fu) << 6 | (in[2] & 0x3fu);
    }
    return 0xfffd;
}

static char *encode(char *to, unsigned letter)
{
    if (letter < 0x80) {
        *to++ = (char)letter;
    } else if (letter < 0x800) {
        *to++ = (char)(0xc0 | letter >> 6);
        *to++ = (char)(0x80 | (letter & 0x3f));
    } else {
        *to++ = (char)(0xe0 | letter >> 12);
        *to++ = (char)(0x80 | (letter >> 6 & 0x3f));
        *to++ = (char)(0x80 | (letter & 0x3f));
    }
    return to;
}

static int is_capital(unsigned letter)
{
    return (letter >= 'A' && letter <= 'Z') || (letter >= 0xc0 && letter <= 0xde && letter != 0xd7) ||
           (letter >= 0x400 && letter <= 0x42f);
}

static unsigned lower(unsigned letter)
{
    if (letter >= 0x400 && letter <= 0x40f) {
        letter += 80;
    } else if (is_capital(letter)) {
        letter += 32;
    }
    return letter == 0x451 ? 0x435 : letter;
}

static unsigned upper(unsigned letter)
{
    if (letter >= 0x450 && letter <= 0x45f) {
        return letter - 80;
    }
    int small = (letter >= 'a' && letter <= 'z') || (letter >= 0xe0 && letter <= 0xfe && letter != 0xf7) ||
                (letter >= 0x430 && letter <= 0x44f);
    return small ? letter - 32 : letter;
}

static int is_letter(unsigned letter)
{
    return (letter >= 'a' && letter <= 'z') || is_capital(letter) ||
           (letter >= 0xdf && letter <= 0x24f && letter != 0xf7) || (letter >= 0x430 && letter <= 0x4ff);
}

static int is_digit(unsigned letter)
{
    return letter >= '0' && letter <= '9';
}

static int is_vowel(unsigned letter)
{
    static const unsigned vowels[] = {'a',   'e',   'i',   'o',   'u',   'y',   0x430, 0x435,
                                      0x438, 0x43e, 0x443, 0x44b, 0x44d, 0x44e, 0x44f};
    for (size_t i = 0; i < sizeof vowels / sizeof *vowels; i++) {
        if (vowels[i] == letter) {
            return 1;
        }
    }
    return 0;
}

/* A hyphen or an apostrophe between two letters belongs to the word. */
static int joins(const char *at, size_t bytes, unsigned letter)
{
    size_t next_bytes;
    unsigned next = decode(at + bytes, &next_bytes);
    return (letter == '-' || letter == '\'' || letter == 0x2019) && (is_letter(next) || is_digit(next));
}

/* ---- Stems ---- */

static uint64_t stem_hash(const char *folded, unsigned letters)
{
    unsigned kept = letters;
    if (letters > STEM_KEPT) {
        kept = letters - STEM_ENDING > STEM_KEPT ? letters - STEM_ENDING : STEM_KEPT;
        kept = kept < STEM_LETTERS ? kept : STEM_LETTERS;
    }
    uint64_t hash = 0xcbf29ce484222325u;
    for (unsigned i = 0; i < kept && *folded; i++) {
        size_t bytes;
        hash = (hash ^ decode(folded, &bytes)) * 0x100000001b3u;
        folded += bytes;
    }
    return hash;
}

static size_t slot_of(const struct stems *stems, uint64_t hash)
{
    size_t slot = (size_t)(hash ^ hash >> 32) % stems->slot_count;
    while (stems->slots[slot] && stems->list[stems->slots[slot] - 1].hash != hash) {
        slot = (slot + 1) % stems->slot_count;
    }
    return slot;
}

static void grow(struct stems *stems)
{
    struct cm_ctx *ctx = stems->ctx;
    size_t room = stems->room ? 2 * stems->room : FIRST_SLOTS / 4;
    struct stem *list = ctx->host->alloc(ctx, room * sizeof *list);
    if (stems->count > 0) {
        memcpy(list, stems->list, stems->count * sizeof *list);
    }
    stems->list = list;
    stems->room = room;
    stems->slot_count = 4 * room;
    stems->slots = ctx->host->alloc(ctx, stems->slot_count * sizeof *stems->slots);
    for (size_t i = 0; i < stems->count; i++) {
        stems->slots[slot_of(stems, list[i].hash)] = (unsigned)i + 1;
    }
}

static unsigned stem_number(struct stems *stems, const char *folded, unsigned letters)
{
    if (stems->count == stems->room) {
        grow(stems);
    }
    uint64_t hash = stem_hash(folded, letters);
    size_t slot = slot_of(stems, hash);
    if (!stems->slots[slot]) {
        stems->list[stems->count] = (struct stem){.hash = hash};
        stems->slots[slot] = (unsigned)++stems->count;
    }
    return stems->slots[slot] - 1;
}

/* ---- Words ---- */

/* Reads one word from *at, which stands on its first letter; *folded moves behind its copy. */
static struct word read_word(const char **at, char **folded, char **surface)
{
    struct word word = {.folded = *folded, .surface = *surface, .at = *at};
    for (size_t bytes; **at; *at += bytes) {
        unsigned letter = decode(*at, &bytes);
        if (!is_letter(letter) && !is_digit(letter) && !joins(*at, bytes, letter)) {
            break;
        }
        word.capital |= word.letters == 0 && is_capital(letter);
        word.number |= is_digit(letter);
        word.vowels += (unsigned)is_vowel(lower(letter));
        word.letters++;
        *folded = encode(*folded, letter == 0x2019 ? '\'' : lower(letter));
        memcpy(*surface, *at, bytes);
        *surface += bytes;
    }
    *(*folded)++ = '\0';
    *(*surface)++ = '\0';
    return word;
}

static const char *next_word(const char *at)
{
    for (size_t bytes; *at; at += bytes) {
        unsigned letter = decode(at, &bytes);
        if (is_letter(letter) || is_digit(letter)) {
            break;
        }
    }
    return at;
}

struct word *words_split(struct cm_ctx *ctx, struct stems *stems, const char *text, size_t *count)
{
    size_t bytes = strlen(text);
    struct word *words = ctx->host->alloc(ctx, (bytes / 2 + 1) * sizeof *words);
    char *folded = ctx->host->alloc(ctx, 2 * bytes + 2), *surface = ctx->host->alloc(ctx, 2 * bytes + 2);
    *count = 0;
    for (const char *at = next_word(text); *at; at = next_word(at)) {
        struct word *word = &words[(*count)++];
        *word = read_word(&at, &folded, &surface);
        word->stem = stem_number(stems, word->folded, word->letters);
    }
    return words;
}

const char *words_fold(struct cm_ctx *ctx, const char *text)
{
    char *folded = ctx->host->alloc(ctx, 2 * strlen(text) + 1), *to = folded;
    for (size_t bytes; *text; text += bytes) {
        to = encode(to, lower(decode(text, &bytes)));
    }
    return folded;
}

const char *words_capital(struct cm_ctx *ctx, const char *text)
{
    size_t bytes, room = strlen(text) + 4;
    char *copy = ctx->host->alloc(ctx, room);
    unsigned letter = decode(text, &bytes);
    if (letter == 0 || letter == 0xfffd) {
        return text;
    }
    char *rest = encode(copy, upper(letter));
    strcpy(rest, text + bytes);
    return copy;
}
