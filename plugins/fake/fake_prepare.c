/*
 * prepare of the misbehaving plugin: as many chunks as its option says.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fake.h"

#include <string.h>

struct options {
    struct fake_options common;
    int64_t chunks, chunk_ms;
};

static const struct cm_option options[] = {
    FAKE_OPTIONS(struct options),
    CM_OPT_INT(struct options, chunks, "chunks", "3", 0, 100000, "how many chunks of speech it finds"),
    CM_OPT_TIME(struct options, chunk_ms, "chunk_length", "40s", 1000, 600000, "how long each is"),
    CM_OPT_END,
};

#define PAUSE_MS 600
#define STRETCH_MS 5000 /* of speech between two pauses */

static void emit_speech(const struct fake *fake, int64_t start_ms, int64_t end_ms)
{
    for (int64_t at = start_ms + PAUSE_MS; at < end_ms; at += STRETCH_MS + PAUSE_MS) {
        int64_t end = at + STRETCH_MS < end_ms - PAUSE_MS ? at + STRETCH_MS : end_ms - PAUSE_MS;
        struct cm_interval speech = {.size = sizeof speech, .start_ms = at, .end_ms = end, .level_db = -20};
        struct cm_cue silence = {
            .size = sizeof silence, .kind = CM_CUE_SILENCE, .start_ms = at - PAUSE_MS, .end_ms = at, .value = -60};
        fake->host->emit_speech(fake->ctx, &speech);
        fake->host->emit_cue(fake->ctx, &silence);
    }
}

static int emit_chunk(const struct fake *fake, const char *text, int64_t index, int64_t chunk_ms)
{
    struct cm_chunk chunk = {.size = sizeof chunk, .start_ms = index * chunk_ms, .end_ms = (index + 1) * chunk_ms};
    const char *name = fake->host->format(fake->ctx, "chunk-%04lld.fake", (long long)index + 1);
    chunk.file = fake_write(fake, name, fake->host->format(fake->ctx, "%s\n%s\n", text, name));
    if (!chunk.file) {
        return -1;
    }
    emit_speech(fake, chunk.start_ms, chunk.end_ms);
    fake->host->emit_chunk(fake->ctx, &chunk);
    return 0;
}

static void emit_facts(const struct fake *fake, int64_t duration_ms)
{
    fake_fact(fake, "duration_ms", duration_ms);
    fake_fact(fake, "width", 1920);
    fake_fact(fake, "height", 1080);
    fake_fact(fake, "rotation", 0);
    fake_fact(fake, "fps", 25);
    fake->host->emit_fact(fake->ctx, "has_audio", "true");
    fake->host->emit_fact(fake->ctx, "has_video", "true");
    fake->host->emit_fact(fake->ctx, "video_codec", "\"fake\"");
    fake->host->emit_fact(fake->ctx, "audio_codec", "\"fake\"");
    fake_fact(fake, "loudness_lufs", -20);
}

static enum cm_verdict prepare(struct cm_ctx *ctx, const struct cm_prepare_request *request)
{
    const struct options *own = ctx->options;
    struct fake fake = fake_begin(ctx, &own->common, "prepare");
    enum cm_verdict verdict = fake_act(&fake);
    if (verdict) {
        return verdict;
    }
    if (fake_is(&fake, "garbage")) {
        struct cm_chunk chunk = {.size = sizeof chunk, .file = "../../etc/passwd", .start_ms = 9, .end_ms = -1};
        ctx->host->emit_fact(ctx, "width", "{");
        ctx->host->emit_chunk(ctx, &chunk);
        return fake_end(&fake, CM_OK);
    }
    const char *text = fake_read(&fake, request->media_path);
    for (int64_t i = 0; i < own->chunks; i++) {
        if (emit_chunk(&fake, *text ? text : "chunk", i, own->chunk_ms)) {
            return fake_fail(&fake, CM_HOLD, CM_REASON_RESOURCE, 0);
        }
    }
    emit_facts(&fake, own->chunks * own->chunk_ms);
    return fake_end(&fake, CM_OK);
}

static const struct cm_prepare_ops ops = {.size = sizeof ops, .prepare = prepare};

CM_PLUGIN_LOCAL(CM_STAGE_PREPARE, "fake_prepare", "1.0", "Test only: chunks out of nothing, misbehaves on order",
                options, struct options, ops);
