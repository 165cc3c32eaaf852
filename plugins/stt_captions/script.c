/*
 * The language of captions, guessed from their letters and commonest words. Pure.
 *
 * Cyrillic is Russian unless letters say that it is Ukrainian; Latin is English as far as it uses
 * English function words, which make a third of any English text.
 */
#include "script.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

struct counts {
    size_t cyrillic, ukrainian, latin, other;
    size_t words, english;
};

static void count_letters(struct counts *counts, const char *text)
{
    const uint8_t *at = (const uint8_t *)text;
    for (; *at != 0; at++) {
        if ((*at | 32) >= 'a' && (*at | 32) <= 'z') {
            counts->latin++;
        } else if ((at[0] == 0xd0 || at[0] == 0xd1) && at[1] != 0) {
            uint32_t code = (uint32_t)(at[0] & 0x1f) << 6 | (at[1] & 0x3f);
            counts->cyrillic++;
            counts->ukrainian += code == 0x456 || code == 0x457 || code == 0x454 || code == 0x406;
            at++;
        } else if (*at >= 0xc3) {
            counts->other++;
        }
    }
}

static int is_english(const char *word)
{
    static const char *const common[] = {"the", "of",  "and", "to",   "a",    "in",   "is",  "you",  "that", "it",
                                         "i",   "for", "on",  "was",  "with", "are",  "be",  "this", "have", "we",
                                         "not", "but", "so",  "what", "they", "from", "can", "it's", "your", "do"};
    char plain[8] = {0};
    size_t length = strcspn(word, ".,!?;:\"");
    if (length == 0 || length >= sizeof(plain))
        return 0;
    memcpy(plain, word, length);
    for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
        if (strcasecmp(plain, common[i]) == 0)
            return 1;
    return 0;
}

static struct script decide(const struct counts *counts)
{
    size_t letters = counts->cyrillic + counts->latin + counts->other;
    if (letters == 0)
        return (struct script){"", 0};
    if (counts->cyrillic * 2 > letters) {
        int share = (int)(100 * counts->cyrillic / letters);
        return counts->ukrainian * 50 > counts->cyrillic ? (struct script){"uk", share} : (struct script){"ru", share};
    }
    if (counts->latin * 2 > letters) {
        /* 15 % of such words and more: certainly; 3 %: another language that shares a few. */
        size_t share = 100 * counts->english / (counts->words > 0 ? counts->words : 1);
        return (struct script){"en", share >= 15 ? 95 : (int)(20 + share * 5)};
    }
    return (struct script){"", 0};
}

struct script script_of(const struct cues *cues)
{
    struct counts counts = {0};
    for (size_t i = 0; i < cues->count; i++)
        for (size_t word = 0; word < cues->items[i].count; word++) {
            const char *text = cues->items[i].words[word].text;
            count_letters(&counts, text);
            counts.words++;
            counts.english += is_english(text);
        }
    return decide(&counts);
}
