/*
 * Reads the words from captions that came with the video, instead of recognising them.
 *
 * SPDX-License-Identifier: MIT
 */
#include <clipmaker/plugin.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cues.h"
#include "encoding.h"
#include "lay.h"
#include "script.h"

#define MOST_BYTES (16 * 1024 * 1024)

struct options {
    int sounds;
};

/* ---- The file --------------------------------------------------------------------------------- */

static enum cm_verdict open_file(struct cm_ctx *ctx, const char *path, int *fd, size_t *bytes)
{
    struct stat status;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (*fd < 0)
        return CM_FAIL(ctx, CM_REJECT, errno == ENOENT ? CM_REASON_NOT_FOUND : CM_REASON_INPUT,
                       "the captions file %s cannot be opened: %s", path, strerror(errno));
    if (fstat(*fd, &status) != 0 || !S_ISREG(status.st_mode))
        return CM_FAIL(ctx, CM_REJECT, CM_REASON_INPUT, "the captions %s are not a file: give an .srt or .vtt file",
                       path);
    if (status.st_size > MOST_BYTES)
        return CM_FAIL(ctx, CM_REJECT, CM_REASON_TOO_LARGE,
                       "the captions file %s has more than 16 MiB: is it really an .srt or .vtt file?", path);
    *bytes = (size_t)status.st_size;
    return CM_OK;
}

/* Up to `bytes` of the file into host memory; *got is what was there. */
static enum cm_verdict read_file(struct cm_ctx *ctx, const char *path, int fd, char *text, size_t bytes, size_t *got)
{
    *got = 0;
    while (*got < bytes) {
        ssize_t more = read(fd, text + *got, bytes - *got);
        if (more == 0)
            break;
        if (more < 0 && errno != EINTR)
            return CM_FAIL(ctx, CM_AGAIN, CM_REASON_RESOURCE, "the captions file %s cannot be read: %s", path,
                           strerror(errno));
        *got += more > 0 ? (size_t)more : 0;
    }
    return CM_OK;
}

/* The file as UTF-8, malloc'd. */
static enum cm_verdict read_text(struct cm_ctx *ctx, const char *path, char **text)
{
    int fd = -1;
    size_t bytes = 0, got = 0;
    enum cm_verdict verdict = open_file(ctx, path, &fd, &bytes);
    if (verdict == CM_OK) {
        char *raw = ctx->host->alloc(ctx, bytes + 1);
        const char *encoding = "";
        verdict = read_file(ctx, path, fd, raw, bytes, &got);
        if (verdict == CM_OK) {
            *text = encoding_to_utf8(raw, got, &encoding);
            ctx->host->log(ctx, CM_LOG_DEBUG, "captions %s read as %s", path, encoding);
        }
    }
    if (fd >= 0)
        close(fd);
    return verdict;
}

/* ---- The chunk -------------------------------------------------------------------------------- */

static size_t read_speech(struct cm_ctx *ctx, struct lay_span **speech)
{
    struct cm_interval interval = {.size = sizeof(interval)};
    size_t count = 0;
    while (ctx->host->speech(ctx, count, &interval))
        count++;
    *speech = ctx->host->alloc(ctx, (count + 1) * sizeof(**speech));
    for (size_t i = 0; i < count && ctx->host->speech(ctx, i, &interval); i++)
        (*speech)[i] = (struct lay_span){interval.start_ms, interval.end_ms};
    return count;
}

static void emit_word(void *to, const char *text, int64_t start_ms, int64_t end_ms, int32_t speaker)
{
    struct cm_ctx *ctx = to;
    struct cm_word word = {sizeof(word), text, start_ms, end_ms, -1, speaker};
    ctx->host->emit_word(ctx, &word);
}

/* Who named the language: the file's owner, or else its letters. */
static void emit_language(struct cm_ctx *ctx, const struct cm_stt_request *request, const struct cues *cues)
{
    struct script script = script_of(cues);
    if (request->captions_language != NULL && request->captions_language[0] != '\0')
        script = (struct script){request->captions_language, 100};
    if (script.language[0] == '\0')
        return;
    ctx->host->emit_fact(ctx, "language", ctx->host->json_quote(ctx, script.language));
    ctx->host->emit_fact(ctx, "language_confidence",
                         ctx->host->format(ctx, "%d.%02d", script.percent / 100, script.percent % 100));
}

static enum cm_verdict emit_all(struct cm_ctx *ctx, const struct cm_stt_request *request, const char *text)
{
    const struct options *options = ctx->options;
    struct cues cues = {0};
    struct lay_span *speech = NULL;
    enum cm_verdict verdict = CM_OK;
    cues_parse(&cues, text, !options->sounds);
    size_t times = cues.count;
    cues_settle(&cues);
    if (times == 0)
        verdict =
            CM_FAIL(ctx, CM_REJECT, CM_REASON_INPUT,
                    "no captions were found in %s: lines such as 00:00:01,000 --> 00:00:03,500 are missing. Give an "
                    ".srt or .vtt file",
                    request->captions_path);
    else if (cues.count == 0)
        verdict =
            CM_FAIL(ctx, CM_REJECT, CM_REASON_INPUT,
                    "the captions in %s have times but no words: give another file, or none", request->captions_path);
    if (verdict == CM_OK) {
        size_t count = read_speech(ctx, &speech);
        struct lay_chunk chunk = {request->start_ms, request->end_ms, speech, count};
        for (size_t i = 0; i < cues.count; i++)
            lay_cue(&cues.items[i], &chunk, emit_word, ctx);
        emit_language(ctx, request, &cues);
    }
    cues_free(&cues);
    return verdict;
}

static enum cm_verdict transcribe(struct cm_ctx *ctx, const struct cm_stt_request *request)
{
    char *text = NULL;
    if (request->captions_path == NULL)
        return CM_FAIL(ctx, CM_CANNOT, CM_REASON_UNSUPPORTED, "there are no captions to read");
    enum cm_verdict verdict = read_text(ctx, request->captions_path, &text);
    if (verdict == CM_OK)
        verdict = emit_all(ctx, request, text);
    free(text);
    return verdict;
}

/* ---- The plugin ------------------------------------------------------------------------------- */

static const struct cm_option options[] = {
    CM_OPT_BOOL(struct options, sounds, "sounds", "false", "keep descriptions of sounds: [music], (laughs)"),
    CM_OPT_END,
};

static const struct cm_stt_ops ops = {
    .size = sizeof(ops), .languages = "*", .needs_captions = 1, .transcribe = transcribe};

CM_PLUGIN_LOCAL(CM_STAGE_STT, "stt_captions", "1.0", "Reads the words from .srt or .vtt captions", options,
                struct options, ops);
