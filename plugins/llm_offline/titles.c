/*
 * title_generation: the sentence of a clip that is best to quote becomes its title; a long one is
 * quoted in part; where none will do, the title names the topic.
 */
#include <clipmaker/plugin.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answers.h"
#include "out.h"
#include "video.h"

#define TITLE_WORDS_MIN 4
#define TITLE_WORDS_MAX 10
#define TITLE_BYTES_MAX 110 /* about 60 letters of Russian; fits on a clip in three lines */
#define QUESTION_WORDS_MIN 3
#define SURE 0.9           /* below it a word here and there is misheard */
#define TEXT_BYTES_MAX 400 /* of the post's text */
#define HASHTAGS 4
#define HASHTAG_LETTERS_MIN 5

/* A title that may be: words of a sentence. */
struct quote {
    const char *text; /* NULL: none yet */
    double worth;
    size_t sentence;
};

/* ---- Quotes ---- */

/* A recogniser writes "i've"; a title does not. Only English has that word. */
static const char *with_capital_i(struct cm_ctx *ctx, const char *text)
{
    char *copy = ctx->host->format(ctx, "%s", text);
    for (char *at = copy; *at; at++) {
        int begins = at == copy || at[-1] == ' ';
        if (*at == 'i' && begins && strchr(" ',.?!", at[1])) {
            *at = 'I';
        }
    }
    return copy;
}

/* The text without the marks at its end that a title does not have. */
static const char *trimmed(struct cm_ctx *ctx, const char *text, size_t bytes)
{
    static const char *const marks[] = {".", ",", ";", ":", " ", "-", "—", "–", "…", "\"", "»", "“", "”"};
    for (size_t before = bytes + 1; before != bytes;) {
        before = bytes;
        for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
            size_t length = strlen(marks[i]);
            if (bytes > length && !memcmp(text + bytes - length, marks[i], length)) {
                bytes -= length;
            }
        }
    }
    return ctx->host->format(ctx, "%.*s", (int)bytes, text);
}

/* Words from..from+count of a piece that stand alone. */
static int stands_alone(const struct video *video, const struct sentence *piece, size_t from, size_t count)
{
    size_t fewest = piece->asks ? QUESTION_WORDS_MIN : TITLE_WORDS_MIN;
    return count >= fewest && count <= TITLE_WORDS_MAX && piece->hits[KIND_HOUSEKEEPING] == 0 &&
           !lexicon_is(video->lexicon, &piece->words[from], KIND_PRONOUN) &&
           !lexicon_is(video->lexicon, &piece->words[from], KIND_OPENER) &&
           !lexicon_is(video->lexicon, &piece->words[from + count - 1], KIND_DANGLING) &&
           !lexicon_is(video->lexicon, &piece->words[from + count - 1], KIND_PRONOUN);
}

static double worth_of(const struct video *video, const struct sentence *piece, size_t from, size_t count)
{
    int asks = piece->asks && from + count == piece->word_count;
    double worth = 1.6 * asks + 1.2 * (piece->hits[KIND_HOOK] > 0) + 1.0 * (piece->hits[KIND_AROUSAL] > 0) +
                   0.9 * (piece->hits[KIND_SUPERLATIVE] > 0) + 0.8 * (piece->hits[KIND_CONTRAST] > 0) +
                   0.7 * (piece->hits[KIND_NUMBER] > 0) + 0.6 * (piece->hits[KIND_YOU] > 0) +
                   0.6 * (piece->hits[KIND_ADVICE] > 0) + 0.5 * (piece->hits[KIND_STORY] > 0);
    double content = 0;
    for (size_t i = from; i < from + count; i++) {
        const struct stem *stem = &video->stems.list[piece->words[i].stem];
        content += stem->content ? 1 + 0.2 * fmin(stem->sentences, 4) : 0;
    }
    return worth + content / (double)count - 0.1 * fabs((double)count - 6);
}

static void offer(struct quote *best, const struct quote *other)
{
    if (!best->text || other->worth > best->worth) {
        *best = *other;
    }
}

/* Without marks the next clause often shows by its subject: "the secret is simple | you do not …". */
static int clause_begins(const struct video *video, const struct word *word)
{
    static const enum kind kinds[] = {KIND_PRONOUN, KIND_YOU, KIND_OPENER};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (lexicon_is(video->lexicon, word, kinds[i])) {
            return 1;
        }
    }
    return 0;
}

/* The first words of a long piece: up to the next clause, else as many as fit, with dots behind. */
static void offer_beginning(const struct video *video, const struct sentence *piece, size_t from, size_t index,
                            struct quote *best)
{
    struct cm_ctx *ctx = video->ctx;
    size_t longest = piece->word_count - from - 1;
    longest = longest < TITLE_WORDS_MAX - 2 ? longest : TITLE_WORDS_MAX - 2;
    for (int whole = !piece->marked; whole >= 0; whole--) {
        for (size_t part = longest; part >= TITLE_WORDS_MIN; part--) {
            const struct word *next = &piece->words[from + part];
            size_t bytes = (size_t)(next->at - piece->words[from].at);
            if (bytes > TITLE_BYTES_MAX || (whole && !clause_begins(video, next)) ||
                !stands_alone(video, piece, from, part)) {
                continue;
            }
            const char *title = words_capital(ctx, trimmed(ctx, piece->words[from].at, bytes));
            title = whole ? title : ctx->host->format(ctx, "%s…", title);
            offer(best, &(struct quote){title, worth_of(video, piece, from, part) - (whole ? 0.5 : 1), index});
            return;
        }
    }
}

static void offer_piece(const struct video *video, const struct sentence *piece, size_t index, struct quote *best)
{
    struct cm_ctx *ctx = video->ctx;
    size_t from = piece->loose + QUESTION_WORDS_MIN <= piece->word_count ? piece->loose : 0;
    size_t count = piece->word_count - from;
    if (count == 0) {
        return;
    }
    const char *text = piece->words[from].at;
    if (count > TITLE_WORDS_MAX || strlen(text) > TITLE_BYTES_MAX) {
        offer_beginning(video, piece, from, index, best);
    } else if (stands_alone(video, piece, from, count)) {
        const char *title = words_capital(ctx, trimmed(ctx, text, strlen(text)));
        title = piece->asks && !strchr(title, '?') ? ctx->host->format(ctx, "%s?", title) : title;
        offer(best, &(struct quote){title, worth_of(video, piece, from, count), index});
    }
}

/* A clause: what stands between commas, measured like a sentence. */
static struct sentence clause_of(struct video *video, const struct sentence *sentence, const char *text, size_t bytes)
{
    struct sentence clause = {.text = video->ctx->host->format(video->ctx, "%.*s", (int)bytes, text)};
    clause.words = words_split(video->ctx, &video->stems, clause.text, &clause.word_count);
    video_match(video, &clause);
    clause.marked = 1;
    clause.asks = sentence->asks && strchr(clause.text, '?') != NULL;
    return clause;
}

static void offer_clauses(struct video *video, size_t index, struct quote *best)
{
    const struct sentence *sentence = &video->sentences[index];
    for (const char *at = sentence->text; *at;) {
        size_t bytes = strcspn(at, ",;:");
        struct sentence clause = clause_of(video, sentence, at, bytes);
        struct quote quote = {0};
        if (clause.word_count < sentence->word_count && clause.word_count <= TITLE_WORDS_MAX) {
            offer_piece(video, &clause, index, &quote);
        }
        if (quote.text) {
            quote.worth -= 0.8; /* a whole sentence says more */
            offer(best, &quote);
        }
        at += bytes + (at[bytes] != '\0');
    }
}

/* What the sentence has to offer, worth less when it may be misheard. */
static void offer_sentence(struct video *video, size_t index, struct quote *best)
{
    double confidence = video->sentences[index].confidence;
    struct quote quote = {0};
    offer_piece(video, &video->sentences[index], index, &quote);
    offer_clauses(video, index, &quote);
    if (quote.text) {
        quote.worth -= confidence >= 0 && confidence < SURE ? 4 * (SURE - confidence) : 0;
        offer(best, &quote);
    }
}

/* ---- The topic ---- */

static double weight_of(const struct video *video, const struct word *word)
{
    const struct stem *stem = &video->stems.list[word->stem];
    return stem->content ? 1 + log(1 + stem->sentences) : 0;
}

/* The two words beside each other that say most. */
static const char *topic_of(const struct video *video, size_t first, size_t last)
{
    struct cm_ctx *ctx = video->ctx;
    const struct word *one = NULL, *two = NULL;
    double best = 0;
    for (size_t i = first; i <= last; i++) {
        const struct sentence *sentence = &video->sentences[i];
        for (size_t k = 0; k + 1 < sentence->word_count; k++) {
            double a = weight_of(video, &sentence->words[k]), b = weight_of(video, &sentence->words[k + 1]);
            if (a > 0 && b > 0 && a + b > best) {
                best = a + b;
                one = &sentence->words[k];
                two = one + 1;
            }
        }
    }
    const char *name = one ? ctx->host->format(ctx, "%s %s", one->surface, two->surface)
                           : trimmed(ctx, video->sentences[first].text, strcspn(video->sentences[first].text, ",;:"));
    return ctx->host->format(ctx, "%s%s", video->russian ? "Тема: " : "Topic: ", name);
}

/* ---- One title ---- */

struct used {
    size_t *sentences;
    size_t count;
};

static int is_used(const struct used *used, size_t sentence)
{
    for (size_t i = 0; i < used->count; i++) {
        if (used->sentences[i] == sentence) {
            return 1;
        }
    }
    return 0;
}

/* *quoted is the sentence that the title has said, or `last` + 1. */
static const char *title_of(struct video *video, size_t first, size_t last, struct used *used, size_t *quoted)
{
    struct quote best = {0};
    for (size_t i = first; i <= last; i++) {
        int inside = i > 0 && video->sentences[i - 1].cut; /* its beginning is in the one before */
        if (!is_used(used, i) && !inside) {
            offer_sentence(video, i, &best);
        }
    }
    best.text = best.text ? with_capital_i(video->ctx, best.text) : NULL;
    *quoted = best.text ? best.sentence : last + 1;
    if (best.text) {
        used->sentences[used->count++] = best.sentence;
    }
    return best.text ? best.text : topic_of(video, first, last);
}

/* ---- The post's text and hashtags ---- */

/* The sentence as it stands in a text: a capital in front, a mark behind. */
static const char *as_sentence(struct cm_ctx *ctx, const char *text)
{
    size_t bytes = strlen(text);
    int marked = bytes > 0 && strchr(".!?\"", text[bytes - 1]) != NULL;
    marked |= bytes >= 3 && !strcmp(text + bytes - 3, "…");
    return ctx->host->format(ctx, "%s%s", words_capital(ctx, marked ? text : trimmed(ctx, text, bytes)),
                             marked ? "" : ".");
}

/* The first sentences that say something, as many as a post bears. */
static const char *text_of(const struct video *video, size_t first, size_t last, size_t quoted)
{
    struct cm_ctx *ctx = video->ctx;
    const char *text = "";
    for (size_t i = first; i <= last; i++) {
        const struct sentence *sentence = &video->sentences[i];
        int stale = sentence->hits[KIND_HOUSEKEEPING] || sentence->word_count < 3 || i == quoted ||
                    (!*text && sentence->opens_badly && i < last);
        if (stale) {
            continue;
        }
        const char *more = with_capital_i(ctx, as_sentence(ctx, sentence->text));
        if (*text && strlen(text) + strlen(more) > TEXT_BYTES_MAX) {
            break;
        }
        text = ctx->host->format(ctx, "%s%s%s", text, *text ? " " : "", more);
        if (strlen(text) > TEXT_BYTES_MAX / 2) {
            break;
        }
    }
    return text;
}

struct tag {
    const struct word *word;
    double weight;
};

static int is_plain(const char *word)
{
    return !strpbrk(word, "-'0123456789");
}

/* Adjectives, adverbs and verbs seldom make a hashtag; their endings give most of them away. */
static int is_noun_like(const char *word)
{
    static const char *const endings[] = {
        "ed",  "ing",  "ly",   "ого",  "его",  "ому",  "ему",  "ыми",  "ими",  "ном",  "ной",  "ный",  "ная",
        "ное", "ные",  "ных",  "ском", "ской", "ский", "ская", "ское", "ские", "ских", "ую",   "ться", "тся",
        "лся", "лась", "лись", "ать",  "ить",  "еть",  "ает",  "ают",  "ешь",  "нно",  "ески", "вал",  "вали",
    };
    size_t bytes = strlen(word);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t length = strlen(endings[i]);
        if (bytes > length && !strcmp(word + bytes - length, endings[i])) {
            return 0;
        }
    }
    return 1;
}

static void count_tag(const struct video *video, const struct word *word, struct tag *tags, size_t *count)
{
    for (size_t i = 0; i < *count; i++) {
        if (tags[i].word->stem == word->stem) {
            tags[i].weight += 1;
            return;
        }
    }
    const struct stem *stem = &video->stems.list[word->stem];
    if (stem->content && word->letters >= HASHTAG_LETTERS_MIN && is_plain(word->folded)) {
        tags[(*count)++] = (struct tag){word, 1.5 * is_noun_like(word->folded) + 0.5 * fmin(stem->sentences, 4) +
                                                  0.1 * fmin(word->letters, 10)};
    }
}

static const char *hashtags_of(const struct video *video, size_t first, size_t last)
{
    struct cm_ctx *ctx = video->ctx;
    size_t words = 0, count = 0;
    for (size_t i = first; i <= last; i++) {
        words += video->sentences[i].word_count;
    }
    struct tag *tags = ctx->host->alloc(ctx, (words + 1) * sizeof *tags);
    for (size_t i = first; i <= last; i++) {
        for (size_t k = 0; k < video->sentences[i].word_count; k++) {
            count_tag(video, &video->sentences[i].words[k], tags, &count);
        }
    }
    const char *text = "";
    for (int told = 0; told < HASHTAGS; told++) {
        struct tag *best = NULL;
        for (size_t i = 0; i < count; i++) {
            best = tags[i].word && (!best || tags[i].weight > best->weight) ? &tags[i] : best;
        }
        if (!best) {
            break;
        }
        const char *tag = ctx->host->format(ctx, "#%s", best->word->folded);
        text = ctx->host->format(ctx, "%s%s%s", text, told ? "," : "", ctx->host->json_quote(ctx, tag));
        best->word = NULL;
        best->weight = -1;
    }
    return text;
}

/* ---- The answer ---- */

static void add_title(struct out *out, struct video *video, const struct cm_json *moment, struct used *used)
{
    struct cm_ctx *ctx = video->ctx;
    const struct cm_host *host = ctx->host;
    const char *key = host->json_string(ctx, host->json_at(ctx, moment, "key"), "");
    long first = video_find(video, (long)host->json_int(ctx, host->json_at(ctx, moment, "first"), -1));
    long last = video_find(video, (long)host->json_int(ctx, host->json_at(ctx, moment, "last"), -1));
    const char *title = key, *text = "", *tags = "";
    if (first >= 0 && last >= first) {
        size_t quoted;
        title = title_of(video, (size_t)first, (size_t)last, used, &quoted);
        text = text_of(video, (size_t)first, (size_t)last, quoted);
        tags = hashtags_of(video, (size_t)first, (size_t)last);
    }
    out_add(out, host->format(ctx, "%s{\"key\":%s,\"title\":%s,\"text\":%s,\"hashtags\":[%s]}",
                              out->text[out->length - 1] == '[' ? "" : ",", host->json_quote(ctx, key),
                              host->json_quote(ctx, title), host->json_quote(ctx, text), tags));
}

const char *answer_titles(struct video *video, const struct cm_json *input)
{
    const struct cm_host *host = video->ctx->host;
    const struct cm_json *list = host->json_at(video->ctx, input, "moments");
    size_t count = host->json_count(video->ctx, list);
    struct used used = {.sentences = host->alloc(video->ctx, (count + 1) * sizeof *used.sentences)};
    struct out out = out_new(video->ctx);
    out_add(&out, "{\"titles\":[");
    for (size_t i = 0; i < count; i++) {
        char path[24];
        snprintf(path, sizeof path, "%zu", i);
        add_title(&out, video, host->json_at(video->ctx, list, path), &used);
    }
    out_add(&out, "]}");
    return out.text;
}
