/*
 * stt of the misbehaving plugin: words all over the speech, the same for the same chunk.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fake.h"

#include <string.h>

struct options {
    struct fake_options common;
    const char *gives, *language, *key, *note;
};

static const struct cm_option options[] = {
    FAKE_OPTIONS(struct options),
    CM_OPT_CHOICE(struct options, gives, "gives", "words", "words|segments|text",
                  "what it gives: words with times, segments, or plain text"),
    CM_OPT_STRING(struct options, language, "language", "",
                  "the language that it says it heard; empty: what was asked for, or en"),
    CM_OPT_SECRET(struct options, key, "key", 0, "a secret, which it tells everybody"),
    CM_OPT_SECRET(struct options, note, "note", 0, "another"),
    CM_OPT_END,
};

#define WORD_MS 400
#define SENTENCE_WORDS 9

static const char *const vocabulary[] = {
    "why",  "money", "seven", "secret",  "story", "never", "because", "question", "people", "simple",
    "work", "idea",  "first", "mistake", "video", "today", "listen",  "clip",     "truth",  "reason",
};

/* Word number `index` of the talk, with a full stop or a question mark where a sentence ends. */
static const char *word_at(const struct fake *fake, int64_t index)
{
    const char *word = vocabulary[(index * 7 + index / 11) % (int64_t)(sizeof vocabulary / sizeof *vocabulary)];
    const char *stop = index % SENTENCE_WORDS != SENTENCE_WORDS - 1 ? "" : index / SENTENCE_WORDS % 3 ? "." : "?";
    return fake->host->format(fake->ctx, "%s%s", word, stop);
}

static const char *words_of(const struct fake *fake, const struct cm_interval *speech)
{
    const char *text = "";
    for (int64_t at = speech->start_ms; at + WORD_MS <= speech->end_ms; at += WORD_MS) {
        text = fake->host->format(fake->ctx, "%s%s%s", text, *text ? " " : "", word_at(fake, at / WORD_MS));
    }
    return text;
}

static void emit_words(const struct fake *fake, const struct cm_interval *speech)
{
    for (int64_t at = speech->start_ms; at + WORD_MS <= speech->end_ms; at += WORD_MS) {
        struct cm_word word = {.size = sizeof word,
                               .text = word_at(fake, at / WORD_MS),
                               .start_ms = at,
                               .end_ms = at + WORD_MS - 40,
                               .confidence = 0.9,
                               .speaker = -1};
        fake->host->emit_word(fake->ctx, &word);
    }
}

static void emit_segment(const struct fake *fake, const char *text, int64_t start_ms, int64_t end_ms)
{
    struct cm_segment segment = {
        .size = sizeof segment, .text = text, .start_ms = start_ms, .end_ms = end_ms, .confidence = -1, .speaker = -1};
    fake->host->emit_segment(fake->ctx, &segment);
}

static void emit_all(const struct fake *fake, const char *gives)
{
    const char *all = "";
    struct cm_interval speech = {.size = sizeof speech};
    for (size_t i = 0; fake->host->speech(fake->ctx, i, &speech); i++) {
        if (!strcmp(gives, "words")) {
            emit_words(fake, &speech);
        } else if (!strcmp(gives, "segments")) {
            emit_segment(fake, words_of(fake, &speech), speech.start_ms, speech.end_ms);
        } else {
            all = fake->host->format(fake->ctx, "%s %s", all, words_of(fake, &speech));
        }
    }
    if (*all) {
        emit_segment(fake, all, -1, -1);
    }
}

static void emit_garbage(const struct fake *fake)
{
    struct cm_word words[] = {
        {.size = sizeof *words, .text = "\xff\xfe", .start_ms = 100, .end_ms = 50},
        {.size = sizeof *words, .text = "far", .start_ms = INT64_MAX / 2, .end_ms = INT64_MIN / 2, .confidence = 99},
        {.size = sizeof *words, .text = "", .start_ms = -5, .end_ms = -9, .speaker = -77},
        {.size = sizeof *words, .text = NULL},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        fake->host->emit_word(fake->ctx, &words[i]);
    }
    fake->host->emit_fact(fake->ctx, "language", "[1,2");
}

static enum cm_verdict transcribe(struct cm_ctx *ctx, const struct cm_stt_request *request)
{
    (void)request;
    const struct options *own = ctx->options;
    struct fake fake = fake_begin(ctx, &own->common, "stt");
    enum cm_verdict verdict = fake_act(&fake);
    if (verdict) {
        return verdict;
    }
    if (fake_is(&fake, "garbage")) {
        emit_garbage(&fake);
        return fake_end(&fake, CM_OK);
    }
    if (*own->key || *own->note) {
        ctx->host->log(ctx, CM_LOG_INFO, "the secrets are %s and %s", own->key, own->note);
    }
    const char *language = *own->language ? own->language : strcmp(ctx->language, "auto") ? ctx->language : "en";
    emit_all(&fake, own->gives);
    ctx->host->emit_fact(ctx, "language", ctx->host->json_quote(ctx, language));
    ctx->host->emit_fact(ctx, "language_confidence", "0.95");
    return fake_end(&fake, CM_OK);
}

static const struct cm_stt_ops ops = {.size = sizeof ops, .languages = "*", .transcribe = transcribe};

CM_PLUGIN_LOCAL(CM_STAGE_STT, "fake_stt", "1.0", "Test only: hears words where there are none, misbehaves on order",
                options, struct options, ops);
