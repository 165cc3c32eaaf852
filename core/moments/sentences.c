/*
 * Cutting words into sentences.
 */
#include "core/moments/sentences.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/common/text.h"
#include "core/moments/transcript.h"

#define PAUSE_MS 700             /* ends a sentence of a recogniser that knows no marks */
#define PUNCTUATED_PAUSE_MS 1200 /* and one where marks are there: speakers pause for effect */
#define RUN_WORDS 25             /* after so many words … */
#define RUN_PAUSE_MS 350         /* … a shorter pause is enough */
#define SENTENCE_MAX_MS 20000
#define SENTENCE_MIN_CAP_MS 1000
#define SENTENCE_MAX_WORDS 60
#define WORDS_PER_MARK 40 /* fewer marks than one in so many words: not punctuated */

/* Words that end with a full stop and end nothing, lower case. */
static const char *const abbreviations[] = {
    "mr.",   "mrs.", "ms.",  "dr.",   "st.", "prof.", "vs.", "etc.", "e.g.",  "i.e.",  "inc.", "jr.",  "sr.",
    "т.е.",  "т.к.", "т.д.", "т.п.",  "др.", "им.",   "ул.", "г.",   "гг.",   "руб.",  "тыс.", "млн.", "млрд.",
    "напр.", "см.",  "стр.", "проф.", "св.", "обл.",  "р.",  "д.",   "корп.", "англ.", "рис.",
};

static int is_abbreviation(const char *word)
{
    for (size_t i = 0; i < sizeof abbreviations / sizeof *abbreviations; i++) {
        if (!strcasecmp(word, abbreviations[i])) {
            return 1;
        }
    }
    return 0;
}

/* "J." or "А.": an initial. */
static int is_initial(const char *word)
{
    size_t bytes = strlen(word);
    unsigned char first = (unsigned char)word[0];
    return (bytes == 2 && ((first >= 'A' && first <= 'Z') || (first >= 'a' && first <= 'z'))) ||
           (bytes == 3 && (first == 0xd0 || first == 0xd1));
}

/* Quotes and brackets that may stand behind a mark. */
static size_t without_closing(const char *word)
{
    static const char *const closing[] = {"\"", "'", ")", "]", "»", "”", "“", "’"};
    size_t bytes = strlen(word), before = 0;
    while (bytes != before) {
        before = bytes;
        for (size_t i = 0; i < sizeof closing / sizeof *closing; i++) {
            size_t length = strlen(closing[i]);
            if (bytes > length && !memcmp(word + bytes - length, closing[i], length)) {
                bytes -= length;
            }
        }
    }
    return bytes;
}

static int ends_with_mark(const char *word)
{
    size_t bytes = without_closing(word);
    if (bytes >= 3 && !memcmp(word + bytes - 3, "…", 3)) {
        return 1;
    }
    char last = bytes > 0 ? word[bytes - 1] : '\0';
    if (last == '!' || last == '?') {
        return 1;
    }
    return last == '.' && !is_abbreviation(word) && !is_initial(word);
}

/* Latin or Russian small letter at the front. */
static int starts_small(const char *word)
{
    unsigned char first = (unsigned char)word[0], second = first ? (unsigned char)word[1] : 0;
    return (first >= 'a' && first <= 'z') || (first == 0xd0 && second >= 0xb0) || (first == 0xd1 && second <= 0x91);
}

static int is_mark_end(const struct cm_transcript *transcript, size_t word)
{
    if (!ends_with_mark(transcript->words[word].text)) {
        return 0;
    }
    int stop = cm_ends_with(transcript->words[word].text, ".");
    int goes_on = word + 1 < transcript->word_count && starts_small(transcript->words[word + 1].text);
    return !(stop && goes_on && cm_transcript_gap_ms(transcript, word) < RUN_PAUSE_MS);
}

static int is_punctuated(const struct cm_transcript *transcript)
{
    size_t marks = 0;
    for (size_t i = 0; i < transcript->word_count; i++) {
        marks += ends_with_mark(transcript->words[i].text) != 0;
    }
    return marks * WORDS_PER_MARK >= transcript->word_count;
}

/* Why a sentence that began at `first` ends behind `word`; 0: it goes on. */
static int end_behind(const struct cm_transcript *transcript, size_t first, size_t word, int64_t pause_ms)
{
    if (word + 1 == transcript->word_count) {
        return is_mark_end(transcript, word) ? CM_END_MARK : CM_END_LAST;
    }
    if (is_mark_end(transcript, word)) {
        return CM_END_MARK;
    }
    int32_t speaker = transcript->words[word].speaker, next = transcript->words[word + 1].speaker;
    if (speaker >= 0 && next >= 0 && speaker != next) {
        return CM_END_TURN;
    }
    int64_t gap_ms = cm_transcript_gap_ms(transcript, word);
    int long_run = word - first + 1 > RUN_WORDS;
    return gap_ms >= pause_ms || (long_run && gap_ms >= RUN_PAUSE_MS) ? CM_END_PAUSE : 0;
}

static void add(struct cm_transcript *transcript, size_t first, size_t last, enum cm_sentence_end end)
{
    transcript->sentences = cm_grow(transcript->sentences, &transcript->sentence_room, transcript->sentence_count,
                                    sizeof *transcript->sentences);
    transcript->sentences[transcript->sentence_count++] = (struct cm_sentence){
        .first = first,
        .last = last,
        .start_ms = transcript->words[first].start_ms,
        .end_ms = transcript->words[last].end_ms,
        .end = end,
    };
}

/* How good it is to cut behind a word: the pause, and a comma counts for a fifth of a second. */
static int64_t cut_worth(const struct cm_transcript *transcript, size_t word)
{
    const char *text = transcript->words[word].text;
    int soft = cm_ends_with(text, ",") || cm_ends_with(text, ";") || cm_ends_with(text, ":");
    return cm_transcript_gap_ms(transcript, word) + (soft ? 200 : 0);
}

/* The best place to cut first..last, away from its edges; near the middle when all are equal. */
static size_t best_cut(const struct cm_transcript *transcript, size_t first, size_t last)
{
    size_t margin = (last - first) / 5, best = first + (last - first) / 2;
    int64_t best_worth = cut_worth(transcript, best);
    for (size_t i = first + margin; i < last && i <= last - margin; i++) {
        int64_t worth = cut_worth(transcript, i);
        if (worth > best_worth) {
            best_worth = worth;
            best = i;
        }
    }
    return best;
}

/* Adds first..last, cut where needed. Halves at least shrink, so the depth is small. */
static void add_within(struct cm_transcript *transcript, size_t first, size_t last, enum cm_sentence_end end,
                       int64_t cap_ms)
{
    int64_t length_ms = transcript->words[last].end_ms - transcript->words[first].start_ms;
    if (first == last || (length_ms <= cap_ms && last - first < SENTENCE_MAX_WORDS)) {
        add(transcript, first, last, end);
        return;
    }
    size_t cut = best_cut(transcript, first, last);
    add_within(transcript, first, cut, CM_END_LENGTH, cap_ms);
    add_within(transcript, cut + 1, last, end, cap_ms);
}

void cm_sentences_cut(struct cm_transcript *transcript, int64_t max_clip_ms)
{
    int64_t cap_ms = max_clip_ms / 2 < SENTENCE_MAX_MS ? max_clip_ms / 2 : SENTENCE_MAX_MS;
    cap_ms = cap_ms > SENTENCE_MIN_CAP_MS ? cap_ms : SENTENCE_MIN_CAP_MS;
    int64_t pause_ms = is_punctuated(transcript) ? PUNCTUATED_PAUSE_MS : PAUSE_MS;
    size_t first = 0;
    transcript->sentence_count = 0;
    for (size_t i = 0; i < transcript->word_count; i++) {
        int end = end_behind(transcript, first, i, pause_ms);
        if (end) {
            add_within(transcript, first, i, (enum cm_sentence_end)end, cap_ms);
            first = i + 1;
        }
    }
}
