/*
 * The clip's sound, finished: at its loudness, faded, as AAC, checked by listening to the result.
 *
 * A lossy encoder moves peaks, often above a ceiling that the samples before it kept. So the packets are
 * decoded and measured, and done again below a lower ceiling when they exceed it.
 */
#include "master.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_MARGIN_DB 1.0
#define MORE_MARGIN_DB 0.3
#define ROUNDS 5

static int one_round(struct aac *aac, struct loud_level *level, float *work, const struct sound *sound,
                     const struct document *document, double ceiling_db)
{
    if (loud_level_to(work, sound->samples, sound->count, document->target_lufs, ceiling_db) != 0)
        return AVERROR(ENOMEM);
    loud_fade(work, sound->count, document->fade_ms * RENDER_RATE / 1000);
    aac_free(aac);
    int error = aac_encode(aac, work, sound->count, document->audio_bitrate);
    if (error >= 0)
        error = aac_decode(aac, work, sound->count);
    if (error >= 0 && loud_measure(work, sound->count, level) != 0)
        error = AVERROR(ENOMEM);
    return error;
}

enum cm_verdict master_make(struct aac *aac, struct loud_level *level, struct cm_ctx *ctx, const struct sound *sound,
                            const struct document *document)
{
    float *work = malloc((size_t)sound->count * 2 * sizeof(float));
    double ceiling_db = document->true_peak_db - FIRST_MARGIN_DB;
    int error = work == NULL ? AVERROR(ENOMEM) : 0;
    memset(aac, 0, sizeof(*aac));
    for (int round = 0; error >= 0 && round < ROUNDS; round++) {
        error = one_round(aac, level, work, sound, document, ceiling_db);
        if (error < 0 || level->peak_db <= document->true_peak_db || ctx->host->stopping(ctx))
            break;
        ceiling_db -= level->peak_db - document->true_peak_db + MORE_MARGIN_DB;
    }
    free(work);
    if (error < 0)
        return render_library_failed(ctx, "encode the sound", error);
    if (ctx->host->stopping(ctx))
        return CM_FAIL(ctx, CM_AGAIN, CM_REASON_STOPPED, "stopped while working on the sound");
    if (isfinite(level->lufs) && fabs(level->lufs - document->target_lufs) > 1)
        ctx->host->log(ctx, CM_LOG_WARN, "the sound has %.1f LUFS, not %.1f: it is too quiet or too uneven for more",
                       level->lufs, document->target_lufs);
    return CM_OK;
}
