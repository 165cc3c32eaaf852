/*
 * Speech over audio/transcriptions: what is asked for, what comes, and whether a part is missing.
 *
 * SPDX-License-Identifier: MIT
 */
#include "speech.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define SILENT_AT_LEAST 0.6   /* no_speech_prob and avg_logprob at which Whisper itself takes a segment for silence */
#define UNSURE_AT_MOST (-1.0) /* (openai/whisper, decoding.py: no_speech_threshold, logprob_threshold) */
#define TRIAL "trial "
#define SLOWEST_MS_PER_WORD 3000 /* nobody who speaks says less */

/* What is asked for, the most first. */
static const char *const times[] = {"words", "segments", "none"};
enum {
    WORDS,
    SEGMENTS,
    NONE,
    TIMES
};

/* One transcription. */
struct call {
    struct cm_ctx *ctx;
    const struct openai_server *server;
    const struct openai_speech *speech;
    const struct cm_stt_request *request;
    struct cm_interval *spans; /* of what was emitted, in the media's time, in the order it came */
    size_t span_count;
    size_t text_words; /* of text without times */
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * (int64_t)1000 + now.tv_nsec / 1000000;
}

/* ---- Asking -------------------------------------------------------------------------------- */

static const struct cm_http_part *part(struct call *call, const char *name, const char *text,
                                       const struct cm_http_part *next)
{
    struct cm_http_part *made = call->ctx->host->alloc(call->ctx, sizeof *made);
    *made = (struct cm_http_part){.size = sizeof *made, .name = name, .text = text, .next = next};
    return made;
}

static const struct cm_http_part *parts_of(struct call *call, int what)
{
    struct cm_ctx *ctx = call->ctx;
    const char *path = call->request->audio_path, *dot = strrchr(path, '.');
    const int is_wav = dot && strcmp(dot, ".wav") == 0;
    const struct cm_http_part *parts = NULL;
    if (what == WORDS) {
        parts = part(call, "timestamp_granularities[]", "word", parts);
    }
    if (what != NONE) {
        parts = part(call, "timestamp_granularities[]", "segment", parts);
    }
    parts = part(call, "response_format", what == NONE ? "json" : "verbose_json", parts);
    if (*call->request->prompt) {
        parts = part(call, "prompt", call->request->prompt, parts);
    }
    if (strcmp(ctx->language, "auto") != 0) {
        parts = part(call, "language", ctx->language, parts);
    }
    if (call->speech->temperature >= 0) {
        parts = part(call, "temperature",
                     ctx->host->format(ctx, "%d.%02d", (int)call->speech->temperature,
                                       (int)(call->speech->temperature * 100 + 0.5) % 100),
                     parts);
    }
    parts = part(call, "model", call->speech->model, parts);
    struct cm_http_part *file = ctx->host->alloc(ctx, sizeof *file);
    *file = (struct cm_http_part){
        .size = sizeof *file,
        .name = "file",
        .path = path,
        .file_name = is_wav ? "speech.wav" : "speech.flac",
        .content_type = is_wav ? "audio/wav" : "audio/flac",
        .next = parts,
    };
    return file;
}

static int ask(struct call *call, int what, int64_t deadline_ms, struct openai_reply *reply)
{
    const struct cm_spending most = {
        .size = sizeof most,
        .model = call->speech->model,
        .audio_ms = call->request->end_ms - call->request->start_ms,
    };
    struct openai_server server = *call->server;
    server.deadline_ms = deadline_ms > 0 && deadline_ms < server.deadline_ms ? deadline_ms : server.deadline_ms;
    struct cm_http_request http = {.parts = parts_of(call, what), .paid = &most};
    return openai_send(call->ctx, &server, "/audio/transcriptions", &http, reply);
}

/* ---- Emitting ------------------------------------------------------------------------------ */

/* A time of the answer, in seconds of the chunk, as a position in the media. */
static int64_t position(struct call *call, const struct cm_json *object, const char *name)
{
    const struct cm_host *host = call->ctx->host;
    double seconds = host->json_number(call->ctx, host->json_at(call->ctx, object, name), -1);
    if (!(seconds >= 0 && seconds < 1e6)) {
        return -1;
    }
    return call->request->start_ms + llround(seconds * 1000);
}

static void cover(struct call *call, int64_t start_ms, int64_t end_ms)
{
    call->spans[call->span_count++] =
        (struct cm_interval){.size = sizeof(struct cm_interval), .start_ms = start_ms, .end_ms = end_ms};
}

/* Letters and digits only, lower case as far as ASCII goes: two spellings of one word are equal so. */
static int is_same_word(const char *token, size_t bytes, const char *word)
{
    size_t i = 0;
    for (;; i++, word++) {
        while (i < bytes && ispunct((unsigned char)token[i])) {
            i++;
        }
        while (ispunct((unsigned char)*word) || *word == ' ') {
            word++;
        }
        if (i >= bytes || *word == '\0') {
            return i >= bytes && *word == '\0';
        }
        if (tolower((unsigned char)token[i]) != tolower((unsigned char)*word)) {
            return 0;
        }
    }
}

static size_t count_tokens(const char *text)
{
    size_t count = 0;
    for (text += strspn(text, " \t\r\n"); *text; text += strspn(text, " \t\r\n")) {
        text += strcspn(text, " \t\r\n");
        count++;
    }
    return count;
}

/* The times come with bare words, the text has their punctuation: word by word the text's spelling is taken while
 * the two agree. */
static const char *spelled(struct call *call, const char **rest, const char *word)
{
    const char *token = *rest + strspn(*rest, " \t\r\n");
    size_t bytes = strcspn(token, " \t\r\n");
    if (bytes == 0 || !is_same_word(token, bytes, word)) {
        return word + strspn(word, " ");
    }
    *rest = token + bytes;
    return call->ctx->host->format(call->ctx, "%.*s", (int)bytes, token);
}

static void emit_words(struct call *call, const struct cm_json *words, const char *text)
{
    struct cm_ctx *ctx = call->ctx;
    const struct cm_host *host = ctx->host;
    size_t count = host->json_count(ctx, words);
    call->spans = host->alloc(ctx, (count + 1) * sizeof *call->spans);
    for (size_t i = 0; i < count; i++) {
        const struct cm_json *one = host->json_at(ctx, words, host->format(ctx, "%zu", i));
        const char *bare = host->json_string(ctx, host->json_at(ctx, one, "word"), "");
        int64_t start_ms = position(call, one, "start"), end_ms = position(call, one, "end");
        if (*bare == '\0' || start_ms < 0 || end_ms < start_ms) {
            continue;
        }
        struct cm_word word = {
            .size = sizeof word,
            .text = spelled(call, &text, bare),
            .start_ms = start_ms,
            .end_ms = end_ms,
            .confidence = host->json_number(ctx, host->json_at(ctx, one, "probability"), -1),
            .speaker = -1,
        };
        host->emit_word(ctx, &word);
        cover(call, start_ms, end_ms);
    }
}

/* Whisper's own two doubts, together: it heard nobody, and it is not sure of its words. */
static int is_silence(struct call *call, const struct cm_json *segment)
{
    const struct cm_host *host = call->ctx->host;
    double silent = host->json_number(call->ctx, host->json_at(call->ctx, segment, "no_speech_prob"), 0);
    double sure = host->json_number(call->ctx, host->json_at(call->ctx, segment, "avg_logprob"), 0);
    return silent > SILENT_AT_LEAST && sure < UNSURE_AT_MOST;
}

static double sureness(struct call *call, const struct cm_json *segment)
{
    const struct cm_host *host = call->ctx->host;
    double sure = host->json_number(call->ctx, host->json_at(call->ctx, segment, "avg_logprob"), 1);
    return sure <= 0 ? exp(sure) : -1;
}

static void emit_segments(struct call *call, const struct cm_json *segments)
{
    struct cm_ctx *ctx = call->ctx;
    const struct cm_host *host = ctx->host;
    size_t count = host->json_count(ctx, segments);
    call->spans = host->alloc(ctx, (count + 1) * sizeof *call->spans);
    for (size_t i = 0; i < count; i++) {
        const struct cm_json *one = host->json_at(ctx, segments, host->format(ctx, "%zu", i));
        const char *text = host->json_string(ctx, host->json_at(ctx, one, "text"), "");
        int64_t start_ms = position(call, one, "start"), end_ms = position(call, one, "end");
        if (text[strspn(text, " ")] == '\0' || start_ms < 0 || end_ms <= start_ms || is_silence(call, one)) {
            continue;
        }
        struct cm_segment segment = {
            .size = sizeof segment,
            .text = text,
            .start_ms = start_ms,
            .end_ms = end_ms,
            .confidence = sureness(call, one),
            .speaker = -1,
        };
        host->emit_segment(ctx, &segment);
        cover(call, start_ms, end_ms);
    }
}

static void emit_text(struct call *call, const char *text)
{
    struct cm_segment segment = {
        .size = sizeof segment, .text = text, .start_ms = -1, .end_ms = -1, .confidence = -1, .speaker = -1};
    call->text_words = count_tokens(text);
    if (call->text_words > 0) {
        call->ctx->host->emit_segment(call->ctx, &segment);
    }
}

/* ---- The language -------------------------------------------------------------------------- */

/* The server names languages in English; a code is passed through. */
static const char *language_code(const char *name)
{
    static const char *const known[][2] = {
        {"russian", "ru"}, {"english", "en"}, {"ukrainian", "uk"}, {"belarusian", "be"}, {"kazakh", "kk"},
        {"german", "de"},  {"french", "fr"},  {"spanish", "es"},   {"italian", "it"},    {"polish", "pl"},
        {"turkish", "tr"}, {"chinese", "zh"}, {"japanese", "ja"},  {"portuguese", "pt"}, {"uzbek", "uz"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i][0], name) == 0) {
            return known[i][1];
        }
    }
    return strlen(name) == 2 ? name : NULL;
}

/* How sure the recogniser is of what it heard, and so of the language; by time. -1: it does not say. */
static double mean_sureness(struct call *call, const struct cm_json *segments)
{
    const struct cm_host *host = call->ctx->host;
    double sum = 0, weight = 0;
    for (size_t i = 0; i < host->json_count(call->ctx, segments); i++) {
        const struct cm_json *one = host->json_at(call->ctx, segments, host->format(call->ctx, "%zu", i));
        double sure = sureness(call, one);
        double length = (double)(position(call, one, "end") - position(call, one, "start"));
        if (sure >= 0 && length > 0) {
            sum += sure * length;
            weight += length;
        }
    }
    return weight > 0 ? sum / weight : -1;
}

static void emit_language(struct call *call, const struct cm_json *json)
{
    struct cm_ctx *ctx = call->ctx;
    const struct cm_host *host = ctx->host;
    const char *code = language_code(host->json_string(ctx, host->json_at(ctx, json, "language"), ""));
    double sure = mean_sureness(call, host->json_at(ctx, json, "segments"));
    if (code) {
        host->emit_fact(ctx, "language", host->json_quote(ctx, code));
    }
    if (code && sure >= 0) {
        host->emit_fact(ctx, "language_confidence",
                        host->format(ctx, "%d.%03d", (int)sure, (int)(sure * 1000 + 0.5) % 1000));
    }
}

/* ---- What is missing ----------------------------------------------------------------------- */

/* The longest run of measured speech in which not one word lies. */
static int64_t longest_hole_ms(struct call *call)
{
    struct cm_interval speech = {.size = sizeof speech};
    int64_t run_ms = 0, longest_ms = 0;
    for (size_t i = 0; call->ctx->host->speech(call->ctx, i, &speech); i++) {
        int64_t at_ms = speech.start_ms;
        for (size_t k = 0; k < call->span_count; k++) {
            const struct cm_interval *span = &call->spans[k];
            if (span->end_ms < at_ms || span->start_ms > speech.end_ms) {
                continue;
            }
            run_ms += span->start_ms > at_ms ? span->start_ms - at_ms : 0;
            longest_ms = run_ms > longest_ms ? run_ms : longest_ms;
            run_ms = 0;
            at_ms = span->end_ms > at_ms ? span->end_ms : at_ms;
        }
        run_ms += speech.end_ms > at_ms ? speech.end_ms - at_ms : 0;
        longest_ms = run_ms > longest_ms ? run_ms : longest_ms;
    }
    return longest_ms;
}

static int64_t speech_ms(struct cm_ctx *ctx)
{
    struct cm_interval speech = {.size = sizeof speech};
    int64_t total_ms = 0;
    for (size_t i = 0; ctx->host->speech(ctx, i, &speech); i++) {
        total_ms += speech.end_ms - speech.start_ms;
    }
    return total_ms;
}

/* Some servers silently lose whole half minutes. Only what was measured as speech can show it. */
static enum cm_verdict check_whole(struct call *call)
{
    int64_t limit_ms = call->speech->lost_ms;
    int64_t hole_ms = longest_hole_ms(call);
    if (call->text_words > 0) {
        int64_t spoken_ms = speech_ms(call->ctx), heard_ms = (int64_t)call->text_words * SLOWEST_MS_PER_WORD;
        hole_ms = spoken_ms - heard_ms;
    }
    if (limit_ms <= 0 || hole_ms < limit_ms) {
        return CM_OK;
    }
    return CM_FAIL(call->ctx, CM_AGAIN, CM_REASON_MALFORMED, "%s lost a part: %lld s of speech have no word",
                   call->ctx->instance, (long long)(hole_ms / 1000));
}

/* ---- The answer ---------------------------------------------------------------------------- */

/* An answer with a hole is paid for all the same, but asking again must not find it on the disk. */
static void count_spending(struct call *call, const struct cm_json *json, int useless)
{
    const struct cm_host *host = call->ctx->host;
    double seconds = host->json_number(call->ctx, host->json_at(call->ctx, json, "usage.seconds"), -1);
    struct cm_spending used = {
        .size = sizeof used,
        .model = call->speech->model,
        .tokens_in = openai_tokens(call->ctx, json, "usage.input_tokens", 0),
        .tokens_out = openai_tokens(call->ctx, json, "usage.output_tokens", 0),
        .audio_ms =
            seconds >= 0 && seconds < 1e6 ? llround(seconds * 1000) : call->request->end_ms - call->request->start_ms,
        .useless = useless,
    };
    host->spent(call->ctx, &used);
}

static enum cm_verdict emit(struct call *call, const struct cm_json *json)
{
    struct cm_ctx *ctx = call->ctx;
    const struct cm_host *host = ctx->host;
    const struct cm_json *words = host->json_at(ctx, json, "words"), *segments = host->json_at(ctx, json, "segments");
    const char *text = host->json_string(ctx, host->json_at(ctx, json, "text"), NULL);
    if (!text && host->json_count(ctx, words) == 0 && host->json_count(ctx, segments) == 0) {
        return CM_FAIL(ctx, CM_CANNOT, CM_REASON_MALFORMED, "%s answered without a text", ctx->instance);
    }
    emit_language(call, json);
    if (host->json_count(ctx, words) > 0) {
        emit_words(call, words, text ? text : "");
    } else if (host->json_count(ctx, segments) > 0) {
        emit_segments(call, segments);
    } else {
        emit_text(call, text);
    }
    return check_whole(call);
}

static enum cm_verdict take(struct call *call, const struct cm_json *json)
{
    enum cm_verdict verdict = emit(call, json);
    count_spending(call, json, verdict == CM_AGAIN);
    return verdict;
}

/* ---- What the server can ------------------------------------------------------------------- */

static int rank_of(const char *name)
{
    int rank = 0;
    while (rank < NONE && strcmp(times[rank], name) != 0) {
        rank++;
    }
    return rank;
}

/* Whether it was the times that the server did not take: it says so, or it fell silent over the trial. */
static int is_about_times(const struct openai_reply *reply, int over_trial)
{
    static const char *const signs[] = {"timestamp_granularities", "response_format", "verbose_json"};
    if (reply->http.outcome == CM_HTTP_BROKEN) {
        return over_trial;
    }
    for (size_t i = 0; reply->http.status / 100 == 4 && i < sizeof signs / sizeof *signs; i++) {
        if (strstr(reply->error.param, signs[i]) || strstr(reply->error.message, signs[i])) {
            return 1;
        }
    }
    return 0;
}

static enum cm_verdict fail_too_large(struct call *call, int64_t bytes)
{
    return CM_FAIL(call->ctx, CM_CANNOT, CM_REASON_TOO_LARGE,
                   "%s takes %lld bytes of audio, this chunk has %lld; make chunks shorter in the prepare plugin",
                   call->ctx->instance, (long long)call->speech->max_bytes, (long long)bytes);
}

/* ---- Trying what is not known yet ----------------------------------------------------------- */

/* What is remembered of a server's times. Either proved ("segments"), or someone tries just now ("trial SECONDS"): then
 * the others ask for text meanwhile, so that a server that falls silent over times holds up one chunk and not all. */
struct known {
    const char *name, *value; /* value: NULL when nothing is known */
    int proved;
};

static struct known recall(struct call *call)
{
    const struct cm_host *host = call->ctx->host;
    struct known known = {.name = openai_memory_name(call->ctx, call->server, "times", call->speech->model)};
    known.value = host->recall(call->ctx, NULL, known.name);
    known.proved = known.value && strncmp(known.value, TRIAL, strlen(TRIAL)) != 0;
    return known;
}

static int is_being_tried(struct call *call, const struct known *known)
{
    int64_t lasts_s = 2 * call->speech->trial_ms / 1000 + 1;
    return known->value && !known->proved && time(NULL) - strtoll(known->value + strlen(TRIAL), NULL, 10) < lasts_s;
}

/* True when the trial is ours: nobody else makes it, or made it and never came back. */
static int claim_trial(struct call *call, struct known *known)
{
    struct cm_ctx *ctx = call->ctx;
    const char *mine = ctx->host->format(ctx, TRIAL "%lld", (long long)time(NULL));
    if (is_being_tried(call, known) || ctx->host->remember(ctx, NULL, known->name, known->value, mine) != 0) {
        return 0;
    }
    known->value = mine;
    return 1;
}

/* The most that is worth asking for. */
static int first_to_ask(struct call *call, struct known *known)
{
    const struct openai_speech *speech = call->speech;
    int first = rank_of(speech->times),
        long_ms = call->request->end_ms - call->request->start_ms > speech->trial_speech_ms;
    if (known->proved) {
        return rank_of(known->value) > first ? rank_of(known->value) : first;
    }
    if (first == NONE || speech->trial_ms <= 0) {
        return first;
    }
    /* Too long to risk: a shorter chunk will show what the server can. */
    return (speech->trial_speech_ms > 0 && long_ms) || !claim_trial(call, known) ? NONE : first;
}

static void learn(struct call *call, const struct known *known, const char *value)
{
    if (!known->value || !value || strcmp(known->value, value) != 0) {
        call->ctx->host->remember(call->ctx, NULL, known->name, known->value, value);
    }
}

enum cm_verdict openai_transcribe(struct cm_ctx *ctx, const struct openai_server *server,
                                  const struct openai_speech *speech, const struct cm_stt_request *request)
{
    struct call call = {.ctx = ctx, .server = server, .speech = speech, .request = request};
    struct stat file;
    if (stat(request->audio_path, &file) == 0 && file.st_size > speech->max_bytes) {
        return fail_too_large(&call, file.st_size);
    }
    struct known known = recall(&call);
    int first = first_to_ask(&call, &known);
    for (int what = first; what < TIMES; what++) {
        struct openai_reply reply;
        int on_trial = !known.proved && what != NONE && speech->trial_ms > 0;
        int64_t began_ms = now_ms();
        if (ask(&call, what, on_trial ? speech->trial_ms : 0, &reply)) {
            if (on_trial || what > first) {
                learn(&call, &known, times[what]);
            }
            return take(&call, reply.json);
        }
        if (what == NONE || !is_about_times(&reply, on_trial && now_ms() - began_ms >= speech->trial_ms)) {
            if (on_trial) {
                learn(&call, &known, NULL); /* it says nothing about times: another chunk will try */
            }
            return openai_fail(ctx, &reply);
        }
        ctx->host->log(ctx, CM_LOG_WARN, "%s gives no %s, asking for less", ctx->instance, times[what]);
    }
    return CM_FAIL(ctx, CM_CANNOT, CM_REASON_INTERNAL, "%s could not be asked", ctx->instance);
}

enum cm_verdict openai_speech_models(struct cm_ctx *ctx)
{
    const struct openai_stt_options *options = ctx->options;
    return openai_models(ctx, &options->server);
}
