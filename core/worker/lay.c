/*
 * Words in time.
 */
#include "core/worker/lay.h"

#include <clipmaker/plugin.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/text.h"
#include "core/worker/phrase.h"

#define TOLERANCE_MS 1000 /* recognisers count a little past the edges of what they were given */
#define PHRASE_WORDS_MAX 12
#define FASTEST_MS_PER_LETTER 30  /* twice as fast as the fastest speak */
#define FAR_MS 1000000000000000LL /* times that a plugin may name without our sums overflowing */

/*
 * What recognisers say when nobody speaks, learned from the subtitles they were trained on. Lower
 * case, without punctuation. Credits of subtitles nobody ever says.
 */
static const char *const credits[] = {
    "субтитры сделал dimatorzok",
    "субтитры создавал dimatorzok",
    "субтитры делал dimatorzok",
    "субтитры подогнал симон",
    "субтитры добавил dimatorzok",
    "редактор субтитров а семкин корректор а егорова",
    "редактор субтитров а синецкая корректор а егорова",
    "корректор а егорова",
    "спасибо за субтитры алексею дубровскому",
    "subtitles by the amara org community",
    "transcription by castingwords",
};

/* These people say, too: dropped only where no speech was measured, or, when it is all that was heard,
 * too little to hold it. */
static const char *const goodbyes[] = {
    "продолжение следует",
    "спасибо за просмотр",
    "спасибо за внимание",
    "подписывайтесь на канал",
    "подписывайтесь на мой канал",
    "подпишись на канал",
    "ставьте лайки и подписывайтесь на канал",
    "до новых встреч",
    "до свидания",
    "всем пока",
    "пока",
    "thank you",
    "thank you very much",
    "thanks for watching",
    "thank you for watching",
    "thank you so much for watching",
    "please subscribe",
    "please subscribe to my channel",
    "like and subscribe",
    "dont forget to like and subscribe",
    "see you next time",
    "see you in the next video",
    "bye",
    "bye bye",
    "you",
};

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* ---- Text over speech ---- */

/* The intervals that words are laid over, end to end: the speech inside a span. */
struct track {
    struct cm_interval *parts;
    size_t count;
    int64_t total_ms;
};

static struct track track_of(const struct cm_lay *lay, int64_t start_ms, int64_t end_ms, int over_speech)
{
    struct track track = {.parts = cm_alloc((lay->speech_count + 1) * sizeof *track.parts)};
    for (size_t i = 0; over_speech && i < lay->speech_count; i++) {
        int64_t start = lay->speech[i].start_ms > start_ms ? lay->speech[i].start_ms : start_ms;
        int64_t end = lay->speech[i].end_ms < end_ms ? lay->speech[i].end_ms : end_ms;
        if (start < end) {
            track.parts[track.count++] = (struct cm_interval){.start_ms = start, .end_ms = end};
            track.total_ms += end - start;
        }
    }
    if (track.count == 0) {
        track.parts[track.count++] = (struct cm_interval){.start_ms = start_ms, .end_ms = end_ms};
        track.total_ms = end_ms - start_ms;
    }
    return track;
}

/* Where from..to on the track lies in the media; of several parts the one that holds the most. */
static struct cm_interval place(const struct track *track, double from, double to)
{
    struct cm_interval best = {0};
    double best_ms = -1, passed = 0;
    for (size_t i = 0; i < track->count; i++) {
        double length = (double)(track->parts[i].end_ms - track->parts[i].start_ms);
        double start = from > passed ? from : passed;
        double end = to < passed + length ? to : passed + length;
        if (end - start > best_ms) {
            best_ms = end - start;
            best.start_ms = track->parts[i].start_ms + (int64_t)llround(start - passed);
            best.end_ms = track->parts[i].start_ms + (int64_t)llround(end - passed);
        }
        passed += length;
    }
    return best;
}

static void append(struct cm_lay *lay, const char *text, size_t bytes, int64_t start_ms, int64_t end_ms,
                   double confidence, int32_t speaker)
{
    lay->words = cm_grow(lay->words, &lay->room, lay->count, sizeof *lay->words);
    lay->words[lay->count++] = (struct cm_lay_word){
        .text = cm_strndup(text, bytes),
        .start_ms = start_ms,
        .end_ms = end_ms > start_ms ? end_ms : start_ms,
        .confidence = confidence >= 0 && confidence <= 1 ? confidence : -1,
        .speaker = speaker >= 0 ? speaker : -1,
    };
}

static const char spaces[] = " \t\r\n\v\f";

/* The words of a text. */
struct parted {
    const char **texts;
    size_t *bytes;
    struct cm_phrase_word *words;
    size_t count;
};

static struct parted part(const char *text)
{
    struct parted parted = {0};
    for (const char *at = text + strspn(text, spaces); *at; at += strspn(at, spaces)) {
        at += strcspn(at, spaces);
        parted.count++;
    }
    parted.texts = cm_alloc(parted.count * sizeof *parted.texts);
    parted.bytes = cm_alloc(parted.count * sizeof *parted.bytes);
    parted.words = cm_alloc(parted.count * sizeof *parted.words);
    size_t i = 0;
    for (const char *at = text + strspn(text, spaces); *at; at += strspn(at, spaces)) {
        size_t bytes = strcspn(at, spaces);
        parted.texts[i] = at;
        parted.bytes[i] = bytes;
        parted.words[i++] = cm_phrase_word(at, bytes);
        at += bytes;
    }
    return parted;
}

static void free_parted(struct parted *parted)
{
    free(parted->texts);
    free(parted->bytes);
    free(parted->words);
}

/* Words first..last-1 go over the whole track, in proportion to their letters. */
static void share_out(struct cm_lay *lay, const struct parted *parted, size_t first, size_t last,
                      const struct track *track, double confidence, int32_t speaker)
{
    double total = 0, passed = 0;
    for (size_t i = first; i < last; i++) {
        total += parted->words[i].letters;
    }
    for (size_t i = first; i < last; i++) {
        double share = parted->words[i].letters, scale = (double)track->total_ms / total;
        struct cm_interval where = place(track, passed * scale, (passed + share) * scale);
        append(lay, parted->texts[i], parted->bytes[i], where.start_ms, where.end_ms, confidence, speaker);
        passed += share;
    }
}

static void spread(struct cm_lay *lay, const char *text, const struct track *track, double confidence, int32_t speaker)
{
    struct parted parted = part(text);
    size_t *ends = track->count > 1 ? cm_phrase_cut(parted.words, parted.count, track->parts, track->count) : NULL;
    for (size_t i = 0, first = 0; ends && i < track->count; first = ends[i++]) {
        struct track one = {&track->parts[i], 1, track->parts[i].end_ms - track->parts[i].start_ms};
        share_out(lay, &parted, first, ends[i], &one, confidence, speaker);
    }
    if (!ends) {
        share_out(lay, &parted, 0, parted.count, track, confidence, speaker);
    }
    free(ends);
    free_parted(&parted);
}

void cm_lay_text(struct cm_lay *lay, const char *text, int64_t start_ms, int64_t end_ms, double confidence,
                 int32_t speaker)
{
    if (start_ms < 0 || end_ms <= start_ms) {
        start_ms = lay->start_ms;
        end_ms = lay->end_ms;
    }
    start_ms = start_ms > lay->start_ms ? start_ms : lay->start_ms;
    end_ms = end_ms < lay->end_ms ? end_ms : lay->end_ms;
    if (start_ms >= end_ms) {
        return; /* of another chunk */
    }
    struct track track = track_of(lay, start_ms, end_ms, 1);
    spread(lay, text, &track, confidence, speaker);
    free(track.parts);
}

void cm_lay_word(struct cm_lay *lay, const char *text, int64_t start_ms, int64_t end_ms, double confidence,
                 int32_t speaker)
{
    start_ms = clamp(start_ms, -FAR_MS, FAR_MS);
    end_ms = clamp(end_ms, start_ms, FAR_MS);
    struct track track = track_of(lay, start_ms, end_ms, 0);
    spread(lay, text, &track, confidence, speaker);
    free(track.parts);
}

/* ---- Agreement ---- */

static int by_start(const void *a, const void *b)
{
    const struct cm_lay_word *one = a, *two = b;
    if (one->start_ms != two->start_ms) {
        return one->start_ms < two->start_ms ? -1 : 1;
    }
    return one->end_ms < two->end_ms ? -1 : one->end_ms > two->end_ms;
}

/* Keeps the words for which `keep` is set, in order. */
static void sift(struct cm_lay *lay, const char *keep)
{
    size_t kept = 0;
    for (size_t i = 0; i < lay->count; i++) {
        if (keep[i]) {
            lay->words[kept++] = lay->words[i];
        } else {
            free(lay->words[i].text);
        }
    }
    lay->count = kept;
}

static void fit_into_chunk(struct cm_lay *lay)
{
    char *keep = cm_alloc(lay->count);
    for (size_t i = 0; i < lay->count; i++) {
        struct cm_lay_word *word = &lay->words[i];
        keep[i] = word->end_ms >= lay->start_ms - TOLERANCE_MS && word->start_ms <= lay->end_ms + TOLERANCE_MS;
        word->start_ms = clamp(word->start_ms, lay->start_ms, lay->end_ms);
        word->end_ms = clamp(word->end_ms, word->start_ms, lay->end_ms);
    }
    sift(lay, keep);
    free(keep);
}

static void end_overlaps(struct cm_lay *lay)
{
    for (size_t i = 0; i + 1 < lay->count; i++) {
        if (lay->words[i].end_ms > lay->words[i + 1].start_ms) {
            lay->words[i].end_ms = lay->words[i + 1].start_ms;
        }
    }
}

/* ---- What is made up on silence ---- */

static int64_t speech_under(const struct cm_lay *lay, int64_t start_ms, int64_t end_ms)
{
    int64_t total = 0;
    for (size_t i = 0; i < lay->speech_count; i++) {
        int64_t start = lay->speech[i].start_ms > start_ms ? lay->speech[i].start_ms : start_ms;
        int64_t end = lay->speech[i].end_ms < end_ms ? lay->speech[i].end_ms : end_ms;
        total += end > start ? end - start : 0;
    }
    return total;
}

/* One character of UTF-8 in lower case (Latin and Russian, which is all the table needs), ё as е;
 * 0 for what is neither letter nor digit. *bytes is set to its length. */
static unsigned lower(const char *at, size_t *bytes)
{
    unsigned char first = (unsigned char)at[0];
    *bytes = 1;
    if (first < 0x80) {
        int letter = (first >= 'a' && first <= 'z') || (first >= '0' && first <= '9');
        return letter ? first : first >= 'A' && first <= 'Z' ? first + 32u : 0;
    }
    if ((first & 0xe0) == 0xc0 && at[1]) {
        *bytes = 2;
        unsigned c = (first & 0x1fu) << 6 | ((unsigned char)at[1] & 0x3fu);
        c = c >= 0x410 && c <= 0x42f ? c + 32 : c;
        return c == 0x401 || c == 0x451 ? 0x435 : c;
    }
    return 0;
}

/* Adds the word to a phrase: letters and digits only. */
static void add_bare(struct cm_text *phrase, const char *text)
{
    size_t before = phrase->length, bytes;
    for (; *text; text += bytes) {
        unsigned c = lower(text, &bytes);
        if (!c && strchr("-.,/", *text) && text[1] && phrase->length > before) {
            cm_text_add(phrase, " "); /* "amara.org" is two words in the table */
        } else if (c && c < 0x80) {
            cm_text_add_bytes(phrase, &(char){(char)c}, 1);
        } else if (c) {
            char two[2] = {(char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f))};
            cm_text_add_bytes(phrase, two, 2);
        }
    }
    if (phrase->length > before) {
        cm_text_add(phrase, " ");
    }
}

static int is_in(const char *const *list, size_t count, const char *phrase)
{
    size_t bytes = strlen(phrase);
    while (bytes > 0 && phrase[bytes - 1] == ' ') {
        bytes--;
    }
    for (size_t i = 0; i < count; i++) {
        if (strlen(list[i]) == bytes && !strncmp(list[i], phrase, bytes)) {
            return 1;
        }
    }
    return 0;
}

static int64_t count_letters(const char *phrase)
{
    int64_t count = 0;
    for (; *phrase; phrase++) {
        count += *phrase != ' ' && ((unsigned char)*phrase & 0xc0) != 0x80;
    }
    return count;
}

/* A phrase that a recogniser makes up, with so much measured speech under it; `alone`: nothing else was heard. */
static int is_made_up(const char *phrase, int64_t speech_ms, int alone)
{
    int64_t least_ms = alone ? count_letters(phrase) * FASTEST_MS_PER_LETTER : 1;
    if (is_in(credits, sizeof credits / sizeof *credits, phrase)) {
        return 1;
    }
    return speech_ms < least_ms && is_in(goodbyes, sizeof goodbyes / sizeof *goodbyes, phrase);
}

/* How many words from `first` are a made-up phrase; 0: none. */
static size_t made_up_from(const struct cm_lay *lay, size_t first)
{
    struct cm_text phrase = {0};
    size_t longest = 0;
    int64_t speech_ms = 0;
    for (size_t i = first; i < lay->count && i - first < PHRASE_WORDS_MAX; i++) {
        const struct cm_lay_word *word = &lay->words[i];
        speech_ms += speech_under(lay, word->start_ms, word->end_ms);
        add_bare(&phrase, word->text);
        if (phrase.bytes && is_made_up(phrase.bytes, speech_ms, first == 0 && i + 1 == lay->count)) {
            longest = i - first + 1;
        }
    }
    cm_text_free(&phrase);
    return longest;
}

static void drop_made_up(struct cm_lay *lay)
{
    char *keep = cm_alloc(lay->count);
    for (size_t i = 0; i < lay->count;) {
        size_t words = made_up_from(lay, i);
        keep[i] = words == 0;
        i += words ? words : 1; /* the rest of a dropped phrase stays 0 */
    }
    sift(lay, keep);
    free(keep);
}

void cm_lay_finish(struct cm_lay *lay)
{
    if (lay->count == 0) {
        return;
    }
    fit_into_chunk(lay);
    qsort(lay->words, lay->count, sizeof *lay->words, by_start);
    end_overlaps(lay);
    if (lay->count > 0) {
        drop_made_up(lay);
    }
}

void cm_lay_free(struct cm_lay *lay)
{
    for (size_t i = 0; i < lay->count; i++) {
        free(lay->words[i].text);
    }
    free(lay->words);
    lay->words = NULL;
    lay->count = lay->room = 0;
}
