/*
 * Reading a question's input and measuring its sentences.
 */
#include "video.h"

#include <clipmaker/plugin.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFERRED_MS 38000
#define PARTS_WANTED 3.3   /* a short video shall give three clips */
#define REACTION_MS 3000   /* laughter comes so soon behind a sentence */
#define TERM_LETTERS_MIN 4 /* of a word that can say what a text is about */
#define UNKNOWN_DB (-200)

/* ---- Input ---- */

static double number_at(struct cm_ctx *ctx, const struct cm_json *value, const char *path, double fallback)
{
    return ctx->host->json_number(ctx, ctx->host->json_at(ctx, value, path), fallback);
}

static int64_t whole_at(struct cm_ctx *ctx, const struct cm_json *value, const char *path, int64_t fallback)
{
    return ctx->host->json_int(ctx, ctx->host->json_at(ctx, value, path), fallback);
}

static const char *text_at(struct cm_ctx *ctx, const struct cm_json *value, const char *path)
{
    return ctx->host->json_string(ctx, ctx->host->json_at(ctx, value, path), "");
}

static const struct cm_json *entry(struct cm_ctx *ctx, const struct cm_json *array, size_t index)
{
    char path[24];
    snprintf(path, sizeof path, "%zu", index);
    return ctx->host->json_at(ctx, array, path);
}

static int by_time(const void *a, const void *b)
{
    const struct cue *one = a, *two = b;
    return one->start_ms < two->start_ms ? -1 : one->start_ms > two->start_ms;
}

/* [start,end,value], or [start,value] and then lasting for `length_ms`. */
static struct cues read_cues(struct cm_ctx *ctx, const struct cm_json *input, const char *path, int64_t length_ms)
{
    const struct cm_json *list = ctx->host->json_at(ctx, input, path);
    struct cues cues = {.count = ctx->host->json_count(ctx, list)};
    cues.list = ctx->host->alloc(ctx, (cues.count + 1) * sizeof *cues.list);
    for (size_t i = 0; i < cues.count; i++) {
        const struct cm_json *one = entry(ctx, list, i);
        struct cue *cue = &cues.list[i];
        cue->start_ms = whole_at(ctx, one, "0", 0);
        cue->end_ms = length_ms >= 0 ? cue->start_ms + length_ms : whole_at(ctx, one, "1", 0);
        cue->value = number_at(ctx, one, length_ms >= 0 ? "1" : "2", 0);
    }
    if (cues.count > 1) {
        qsort(cues.list, cues.count, sizeof *cues.list, by_time);
    }
    return cues;
}

size_t cues_behind(const struct cues *cues, int64_t at_ms)
{
    size_t low = 0, high = cues->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (cues->list[middle].end_ms > at_ms) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

static void read_sentence(struct video *video, const struct cm_json *one, struct sentence *sentence)
{
    struct cm_ctx *ctx = video->ctx;
    const char *end = text_at(ctx, one, "end");
    *sentence = (struct sentence){
        .id = (long)whole_at(ctx, one, "id", -1),
        .start_ms = whole_at(ctx, one, "s", 0),
        .end_ms = whole_at(ctx, one, "e", 0),
        .gap_ms = whole_at(ctx, one, "gap", 0),
        .speaker = (long)whole_at(ctx, one, "p", -1),
        .confidence = number_at(ctx, one, "c", -1),
        .marked = !strcmp(end, "mark"),
        .turned = !strcmp(end, "turn"),
        .cut = !strcmp(end, "length"),
        .final = !strcmp(end, "last"),
        .text = text_at(ctx, one, "text"),
    };
    sentence->words = words_split(ctx, &video->stems, sentence->text, &sentence->word_count);
}

static void read_sentences(struct video *video, const struct cm_json *input)
{
    const struct cm_json *list = video->ctx->host->json_at(video->ctx, input, "sentences");
    video->count = video->ctx->host->json_count(video->ctx, list);
    video->sentences = video->ctx->host->alloc(video->ctx, (video->count + 1) * sizeof *video->sentences);
    for (size_t i = 0; i < video->count; i++) {
        read_sentence(video, entry(video->ctx, list, i), &video->sentences[i]);
    }
}

long video_find(const struct video *video, long id)
{
    long index = video->count > 0 ? id - video->sentences[0].id : -1;
    return index >= 0 && (size_t)index < video->count && video->sentences[index].id == id ? index : -1;
}

/* ---- What the words say ---- */

static int catches(enum kind kind)
{
    return kind == KIND_HOOK || kind == KIND_AROUSAL || kind == KIND_SUPERLATIVE;
}

/* The words at..at+count as they were said. */
static const char *said(const struct video *video, const struct sentence *sentence, size_t at, size_t count)
{
    const char *text = sentence->words[at].surface;
    for (size_t i = at + 1; i < at + count; i++) {
        text = video->ctx->host->format(video->ctx, "%s %s", text, sentence->words[i].surface);
    }
    return text;
}

static void note_hit(const struct video *video, struct sentence *sentence, const struct phrase *phrase, size_t at,
                     size_t count)
{
    int leads = phrase->kind == KIND_OPENER || phrase->kind == KIND_PRONOUN;
    if (leads ? at > 0 : phrase->kind == KIND_QUESTION && at > sentence->loose) {
        return; /* these count at the beginning only */
    }
    sentence->hits[phrase->kind]++;
    if (catches(phrase->kind) && !sentence->caught) {
        sentence->caught = said(video, sentence, at, count);
    }
}

/* Phrases that begin with the same two bytes as a word are few: that is checked first. */
void video_match(const struct video *video, struct sentence *sentence)
{
    const struct lexicon *lexicon = video->lexicon;
    while (sentence->loose < sentence->word_count &&
           lexicon_is(lexicon, &sentence->words[sentence->loose], KIND_OPENER) &&
           !lexicon_is(lexicon, &sentence->words[sentence->loose], KIND_PRONOUN)) {
        sentence->loose++;
    }
    for (size_t at = 0; at < sentence->word_count; at++) {
        const char *word = sentence->words[at].folded;
        for (size_t i = 0; i < lexicon->count; i++) {
            const struct phrase *phrase = &lexicon->phrases[i];
            if (phrase->words[0] != word[0] || (phrase->words[1] != word[1] && phrase->words[1] != '*')) {
                continue;
            }
            size_t count = lexicon_match(phrase, &sentence->words[at], sentence->word_count - at);
            if (count > 0) {
                note_hit(video, sentence, phrase, at, count);
            }
        }
    }
}

static int ends_with_question(const char *text)
{
    size_t bytes = strlen(text);
    while (bytes > 0 && strchr("\"')]}»”", text[bytes - 1])) {
        bytes--;
    }
    return bytes > 0 && text[bytes - 1] == '?';
}

static void read_words(const struct video *video, struct sentence *sentence)
{
    unsigned vowels = 0;
    video_match(video, sentence);
    for (size_t i = 0; i < sentence->word_count; i++) {
        vowels += sentence->words[i].vowels;
        sentence->names += i > 0 && sentence->words[i].capital && sentence->words[i].letters > 1;
        sentence->hits[KIND_NUMBER] += sentence->words[i].number != 0;
    }
    int64_t length_ms = sentence->end_ms - sentence->start_ms;
    sentence->rate = length_ms > 0 ? 1000.0 * vowels / (double)length_ms : 0;
    /* Without marks the words alone tell a question. */
    sentence->asks = ends_with_question(sentence->text) || (!sentence->marked && sentence->hits[KIND_QUESTION] > 0);
    sentence->opens_badly = sentence->hits[KIND_OPENER] > 0;
    sentence->dangles = !sentence->marked && sentence->word_count > 0 &&
                        lexicon_is(video->lexicon, &sentence->words[sentence->word_count - 1], KIND_DANGLING);
}

/* ---- What the sound says ---- */

static double mean_level(const struct cues *level, int64_t start_ms, int64_t end_ms)
{
    double sum = 0;
    size_t count = 0;
    for (size_t i = cues_behind(level, start_ms); i < level->count && level->list[i].start_ms < end_ms; i++) {
        sum += level->list[i].value;
        count++;
    }
    return count > 0 ? sum / (double)count : UNKNOWN_DB;
}

static void hear(const struct video *video, struct sentence *sentence)
{
    int64_t start_ms = sentence->start_ms, end_ms = sentence->end_ms;
    sentence->level_db = mean_level(&video->level, start_ms, end_ms);
    for (size_t i = cues_behind(&video->loud, start_ms); i < video->loud.count && video->loud.list[i].start_ms < end_ms;
         i++) {
        sentence->loud_db = fmax(sentence->loud_db, video->loud.list[i].value);
    }
    for (size_t i = cues_behind(&video->scene, start_ms);
         i < video->scene.count && video->scene.list[i].start_ms < end_ms; i++) {
        sentence->scenes++;
    }
    size_t burst = cues_behind(&video->burst, end_ms);
    sentence->reaction = burst < video->burst.count && video->burst.list[burst].start_ms < end_ms + REACTION_MS;
}

/* ---- What it is about ---- */

static void mark_grammar(struct video *video, const struct sentence *sentence)
{
    for (size_t i = 0; i < sentence->word_count; i++) {
        const struct word *word = &sentence->words[i];
        struct stem *stem = &video->stems.list[word->stem];
        stem->content |= word->letters >= TERM_LETTERS_MIN && !word->number;
    }
}

/* Grammar and fillers of the lexicon are about nothing. */
static void unmark_grammar(struct video *video, const struct sentence *sentence)
{
    for (size_t i = 0; i < sentence->word_count; i++) {
        const struct word *word = &sentence->words[i];
        struct stem *stem = &video->stems.list[word->stem];
        stem->content &=
            !(stem->content &&
              (lexicon_is(video->lexicon, word, KIND_GRAMMAR) || lexicon_is(video->lexicon, word, KIND_FILLER) ||
               lexicon_is(video->lexicon, word, KIND_NUMBER) || lexicon_is(video->lexicon, word, KIND_PRONOUN)));
    }
}

static void count_stems(struct video *video)
{
    for (size_t i = 0; i < video->count; i++) {
        mark_grammar(video, &video->sentences[i]);
    }
    for (size_t i = 0; i < video->count; i++) {
        struct sentence *sentence = &video->sentences[i];
        unmark_grammar(video, sentence);
        for (size_t k = 0; k < sentence->word_count; k++) {
            struct stem *stem = &video->stems.list[sentence->words[k].stem];
            stem->sentences += stem->last_seen != i + 1;
            stem->last_seen = i + 1;
        }
    }
}

/* Rare words weigh more; words of nearly every sentence nothing. */
static void weigh(struct video *video, struct sentence *sentence)
{
    double weight = 0;
    int64_t length_ms = sentence->end_ms - sentence->start_ms;
    for (size_t i = 0; i < sentence->word_count; i++) {
        const struct stem *stem = &video->stems.list[sentence->words[i].stem];
        weight += stem->content ? log((double)(video->count + 1) / stem->sentences) : 0;
    }
    sentence->density = length_ms > 0 ? 1000 * weight / (double)length_ms : 0;
}

/* ---- Ranks ---- */

static int by_value(const void *a, const void *b)
{
    double one = *(const double *)a, two = *(const double *)b;
    return one < two ? -1 : one > two;
}

static double *field(struct sentence *sentence, size_t offset)
{
    return (double *)(void *)((char *)sentence + offset);
}

/* The share of the other sentences that have less. */
static void rank(struct video *video, size_t value, size_t rank_field)
{
    double *sorted = video->ctx->host->alloc(video->ctx, (video->count + 1) * sizeof *sorted);
    for (size_t i = 0; i < video->count; i++) {
        sorted[i] = *field(&video->sentences[i], value);
    }
    qsort(sorted, video->count, sizeof *sorted, by_value);
    for (size_t i = 0; i < video->count; i++) {
        double wanted = *field(&video->sentences[i], value);
        size_t low = 0, high = video->count;
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (sorted[middle] < wanted) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        *field(&video->sentences[i], rank_field) = video->count > 1 ? (double)low / (double)(video->count - 1) : 0.5;
    }
}

/* ---- All of it ---- */

static int64_t preferred_ms(const struct video *video)
{
    int64_t span_ms = video->sentences[video->count - 1].end_ms - video->sentences[0].start_ms;
    int64_t share_ms = (int64_t)((double)span_ms / PARTS_WANTED);
    int64_t wanted_ms = share_ms < PREFERRED_MS ? share_ms : PREFERRED_MS;
    return wanted_ms < video->min_ms ? video->min_ms : wanted_ms > video->max_ms ? video->max_ms : wanted_ms;
}

static void measure(struct video *video)
{
    count_stems(video);
    for (size_t i = 0; i < video->count; i++) {
        read_words(video, &video->sentences[i]);
        hear(video, &video->sentences[i]);
        weigh(video, &video->sentences[i]);
    }
    rank(video, offsetof(struct sentence, level_db), offsetof(struct sentence, level_rank));
    rank(video, offsetof(struct sentence, density), offsetof(struct sentence, density_rank));
    topics_find(video);
    video->preferred_ms = preferred_ms(video);
}

struct video *video_read(struct cm_ctx *ctx, const struct cm_json *input)
{
    struct video *video = ctx->host->alloc(ctx, sizeof *video);
    const char *language = text_at(ctx, input, "language");
    video->ctx = video->stems.ctx = ctx;
    video->lexicon = lexicon_for(language);
    video->russian = !strncmp(language, "ru", 2);
    video->duration_ms = whole_at(ctx, input, "duration_ms", 0);
    video->min_ms = whole_at(ctx, input, "limits.min_ms", 15000);
    video->max_ms = whole_at(ctx, input, "limits.max_ms", 60000);
    double want = number_at(ctx, input, "limits.want", 0);
    video->want = want > 0 && want < 1000 ? (size_t)want : 0;
    video->silence = read_cues(ctx, input, "cues.silence", -1);
    video->loud = read_cues(ctx, input, "cues.loud", -1);
    video->scene = read_cues(ctx, input, "cues.scene", 1);
    video->level = read_cues(ctx, input, "cues.level", 1000);
    video->burst = read_cues(ctx, input, "cues.burst", -1);
    read_sentences(video, input);
    if (video->count > 0) {
        measure(video);
    }
    return video;
}
