/*
 * Recognises English speech without a network, with Debian's pocketsphinx and its en-us model:
 * words with times and confidence, of draft quality.
 *
 * SPDX-License-Identifier: MIT
 *
 * Two settings are essential: -remove_silence no (else word times drift by seconds) and decoding
 * each piece as a whole utterance (live mode makes three times the errors).
 */
#include <clipmaker/plugin.h>
#include <libavutil/log.h>
#include <math.h>
#include <pocketsphinx.h>
#include <sphinxbase/err.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "evidence.h"
#include "pieces.h"
#include "wave.h"

#define FRAME_MS 10
#define PAD_MS 100 /* a consonant before the energy gate opens, a breath after it closes */

struct options {
    const char *model;
    int64_t longest_ms;
};

/* What one transcribe call knows. */
struct call {
    struct cm_ctx *ctx;
    const struct cm_stt_request *request;
    ps_decoder_t *decoder;
    struct wave wave;
    struct pieces pieces;
    struct evidence evidence;
};

/* ---- The model -------------------------------------------------------------------------------- */

/* The library ends the process when one of these is missing, so it is looked for first. */
static enum cm_verdict check_model(struct cm_ctx *ctx, const char *folder)
{
    static const char *const needed[] = {"en-us/mdef", "en-us/means", "en-us/feat.params", "en-us.lm.bin",
                                         "cmudict-en-us.dict"};
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
        if (access(ctx->host->format(ctx, "%s/%s", folder, needed[i]), R_OK) != 0)
            return CM_FAIL_FOR(
                ctx, CM_CANNOT, CM_REASON_UNSUPPORTED, CM_SCOPE_INSTANCE, 0,
                "the English model is not in %s (no %s): apt install pocketsphinx-en-us, or set the option "
                "model",
                folder, needed[i]);
    return CM_OK;
}

static enum cm_verdict open_model(struct cm_ctx *ctx)
{
    const struct options *options = ctx->options;
    const char *folder = options->model;
    av_log_set_level(AV_LOG_QUIET);
    err_set_logfp(NULL);
    enum cm_verdict verdict = check_model(ctx, folder);
    if (verdict != CM_OK)
        return verdict;
    cmd_ln_t *config = cmd_ln_init(NULL, ps_args(), TRUE, "-hmm", ctx->host->format(ctx, "%s/en-us", folder), "-lm",
                                   ctx->host->format(ctx, "%s/en-us.lm.bin", folder), "-dict",
                                   ctx->host->format(ctx, "%s/cmudict-en-us.dict", folder), "-remove_silence", "no",
                                   "-logfn", "/dev/null", NULL);
    ps_decoder_t *decoder = config == NULL ? NULL : ps_init(config);
    cmd_ln_free_r(config);
    if (decoder == NULL)
        return CM_FAIL_FOR(ctx, CM_CANNOT, CM_REASON_UNSUPPORTED, CM_SCOPE_INSTANCE, 0,
                           "the English model in %s cannot be loaded: apt install --reinstall pocketsphinx-en-us",
                           folder);
    ctx->state = decoder;
    return CM_OK;
}

static void close_model(struct cm_ctx *ctx)
{
    if (ctx->state != NULL)
        ps_free(ctx->state);
    ctx->state = NULL;
}

/* ---- Words ------------------------------------------------------------------------------------ */

/* "<s>", "<sil>", "[NOISE]", "++BREATH++": sounds, not words. */
static int is_filler(const char *word)
{
    return word == NULL || word[0] == '\0' || strchr("<[+", word[0]) != NULL;
}

/* As people write it: "read(2)" is another way to say "read", and the dictionary has "i'm" for "I'm". */
static char *as_written(struct cm_ctx *ctx, const char *word)
{
    char *text = ctx->host->format(ctx, "%s", word), *bracket = strrchr(text, '(');
    if (bracket != NULL && bracket != text && bracket[1] >= '0' && bracket[1] <= '9')
        *bracket = '\0';
    if (text[0] == 'i' && (text[1] == '\0' || text[1] == '\''))
        text[0] = 'I';
    return text;
}

static void emit(struct call *call, ps_seg_t *segment, const struct piece *piece)
{
    int first = 0, last = 0;
    const char *text = ps_seg_word(segment);
    if (is_filler(text))
        return;
    ps_seg_frames(segment, &first, &last);
    double sure = logmath_exp(ps_get_logmath(call->decoder), ps_seg_prob(segment, NULL, NULL, NULL));
    sure = !isfinite(sure) || sure < 0 ? 0 : sure > 1 ? 1 : sure;
    int64_t origin_ms = call->request->start_ms + piece->start_ms;
    struct cm_word word = {
        .size = sizeof(word),
        .text = as_written(call->ctx, text),
        .start_ms = origin_ms + (int64_t)first * FRAME_MS,
        .end_ms = origin_ms + (int64_t)(last + 1) * FRAME_MS,
        .confidence = sure,
        .speaker = -1,
    };
    call->ctx->host->emit_word(call->ctx, &word);
    evidence_add(&call->evidence, word.text, word.end_ms - word.start_ms, sure);
}

static enum cm_verdict decode(struct call *call, const struct piece *piece)
{
    const int16_t *samples = call->wave.samples + piece->start_ms * WAVE_PER_MS;
    size_t count = (size_t)(piece->end_ms - piece->start_ms) * WAVE_PER_MS;
    if (ps_start_utt(call->decoder) < 0 || ps_process_raw(call->decoder, samples, count, FALSE, TRUE) < 0 ||
        ps_end_utt(call->decoder) < 0)
        return CM_FAIL(call->ctx, CM_CANNOT, CM_REASON_INTERNAL, "the recogniser failed at %lld ms of the media",
                       (long long)(call->request->start_ms + piece->start_ms));
    for (ps_seg_t *segment = ps_seg_iter(call->decoder); segment != NULL; segment = ps_seg_next(segment))
        emit(call, segment, piece);
    return CM_OK;
}

/* ---- The call --------------------------------------------------------------------------------- */

static void cut_pieces(struct call *call)
{
    const struct options *options = call->ctx->options;
    struct cm_interval speech = {.size = sizeof(speech)};
    for (size_t i = 0; call->ctx->host->speech(call->ctx, i, &speech); i++) {
        call->evidence.speech_ms += speech.end_ms - speech.start_ms;
        pieces_add(&call->pieces, &call->wave, speech.start_ms - call->request->start_ms - PAD_MS,
                   speech.end_ms - call->request->start_ms + PAD_MS, options->longest_ms);
    }
}

static void emit_facts(struct call *call)
{
    struct cm_ctx *ctx = call->ctx;
    int thousandths = (int)lround(1000 * evidence_confidence(&call->evidence));
    ctx->host->emit_fact(ctx, "language", "\"en\"");
    ctx->host->emit_fact(ctx, "language_confidence",
                         ctx->host->format(ctx, "%d.%03d", thousandths / 1000, thousandths % 1000));
    ctx->host->emit_fact(ctx, "draft", "true");
}

static enum cm_verdict recognise(struct call *call)
{
    struct cm_ctx *ctx = call->ctx;
    const char *why = wave_read(&call->wave, call->request->audio_path);
    if (why != NULL)
        return CM_FAIL(ctx, CM_CANNOT, CM_REASON_INPUT, "the speech audio %s cannot be used: %s",
                       call->request->audio_path, why);
    cut_pieces(call);
    /* Noise is tracked from piece to piece, but not from an earlier call: answers do not depend on those. */
    ps_start_stream(call->decoder);
    for (size_t i = 0; i < call->pieces.count; i++) {
        if (ctx->host->stopping(ctx))
            return CM_FAIL(ctx, CM_AGAIN, CM_REASON_STOPPED, "stopped while recognising speech");
        enum cm_verdict verdict = decode(call, &call->pieces.items[i]);
        if (verdict != CM_OK)
            return verdict;
        ctx->host->progress(ctx, (double)(i + 1) / (double)call->pieces.count);
    }
    emit_facts(call);
    return CM_OK;
}

static enum cm_verdict transcribe(struct cm_ctx *ctx, const struct cm_stt_request *request)
{
    struct call call = {.ctx = ctx, .request = request, .decoder = ctx->state};
    enum cm_verdict verdict = recognise(&call);
    pieces_free(&call.pieces);
    wave_free(&call.wave);
    return verdict;
}

/* ---- The plugin ------------------------------------------------------------------------------- */

static const struct cm_option options[] = {
    CM_OPT_PATH(struct options, model, "model", 0, SPHINX_MODELDIR "/en-us",
                "folder of the model: en-us/, en-us.lm.bin and cmudict-en-us.dict"),
    CM_OPT_TIME(struct options, longest_ms, "longest", "20s", 5000, 60000,
                "longest piece decoded at a time, cut at a pause"),
    CM_OPT_END,
};

static const struct cm_stt_ops ops = {
    .size = sizeof(ops), .languages = "en", .open = open_model, .close = close_model, .transcribe = transcribe};

CM_PLUGIN_LOCAL(CM_STAGE_STT, "stt_pocketsphinx", "1.0", "Recognises English speech offline, in draft quality", options,
                struct options, ops);
