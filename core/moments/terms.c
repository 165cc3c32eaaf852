/*
 * Terms: the first letters of each longer word, in lower case. Crude, but Russian and English endings
 * fall away, and to see that two clips say the same it is as good as a real stemmer.
 */
#include "core/moments/terms.h"

#include <math.h>
#include <stdlib.h>

#include "core/common/text.h"

#define STEM_LETTERS 5
#define TERM_LETTERS_MIN 4 /* shorter words are mostly grammar */
#define HASH_SEED 0xcbf29ce484222325u
#define HASH_PRIME 0x100000001b3u

/* The character at *at in lower case, 0 when it is no letter and no digit; *at moves behind it. */
static unsigned next_letter(const char **at)
{
    const unsigned char *bytes = (const unsigned char *)*at;
    if (bytes[0] < 0x80) {
        (*at)++;
        int upper = bytes[0] >= 'A' && bytes[0] <= 'Z';
        int plain = (bytes[0] >= 'a' && bytes[0] <= 'z') || (bytes[0] >= '0' && bytes[0] <= '9');
        return upper ? bytes[0] + 32u : plain ? bytes[0] : 0;
    }
    unsigned letter = 0;
    if ((bytes[0] & 0xe0) == 0xc0 && bytes[1]) {
        letter = (bytes[0] & 0x1fu) << 6 | (bytes[1] & 0x3fu);
    }
    do {
        (*at)++;
    } while (((unsigned char)**at & 0xc0) == 0x80);
    letter = letter >= 0x410 && letter <= 0x42f ? letter + 32 : letter;
    letter = letter == 0x401 || letter == 0x451 ? 0x435 : letter; /* ё is often written е */
    return letter >= 0xc0 && letter != 0xd7 && letter != 0xf7 ? letter : 0;
}

static void add(struct cm_terms *terms, uint64_t hash, unsigned letters)
{
    if (letters < TERM_LETTERS_MIN) {
        return;
    }
    terms->list = cm_grow(terms->list, &terms->room, terms->count, sizeof *terms->list);
    terms->list[terms->count++] = (struct cm_term){hash, 1};
}

void cm_terms_add(struct cm_terms *terms, const char *text)
{
    uint64_t hash = HASH_SEED;
    unsigned letters = 0;
    while (*text) {
        unsigned letter = next_letter(&text);
        if (letter && letters++ < STEM_LETTERS) {
            hash = (hash ^ letter) * HASH_PRIME;
        }
        if (!letter || !*text) {
            add(terms, hash, letters);
            hash = HASH_SEED;
            letters = 0;
        }
    }
}

static int by_hash(const void *a, const void *b)
{
    const struct cm_term *one = a, *two = b;
    return one->hash < two->hash ? -1 : one->hash > two->hash;
}

void cm_terms_finish(struct cm_terms *terms)
{
    size_t kept = 0;
    if (terms->count > 0) {
        qsort(terms->list, terms->count, sizeof *terms->list, by_hash);
    }
    for (size_t i = 0; i < terms->count; i++) {
        if (kept > 0 && terms->list[kept - 1].hash == terms->list[i].hash) {
            terms->list[kept - 1].count += terms->list[i].count;
        } else {
            terms->list[kept++] = terms->list[i];
        }
    }
    terms->count = kept;
}

void cm_terms_free(struct cm_terms *terms)
{
    free(terms->list);
    *terms = (struct cm_terms){0};
}

static double norm(const struct cm_terms *terms)
{
    double sum = 0;
    for (size_t i = 0; i < terms->count; i++) {
        sum += (double)terms->list[i].count * terms->list[i].count;
    }
    return sqrt(sum);
}

double cm_terms_cosine(const struct cm_terms *a, const struct cm_terms *b)
{
    double product = 0, scale = norm(a) * norm(b);
    for (size_t i = 0, k = 0; i < a->count && k < b->count;) {
        uint64_t left = a->list[i].hash, right = b->list[k].hash;
        product += left == right ? (double)a->list[i].count * b->list[k].count : 0;
        i += left <= right;
        k += right <= left;
    }
    return scale > 0 ? product / scale : 0;
}
