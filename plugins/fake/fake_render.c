/*
 * render of the misbehaving plugin: small files at once.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fake.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct options {
    struct fake_options common;
    int64_t clip_bytes;
};

static const struct cm_option options[] = {
    FAKE_OPTIONS(struct options),
    CM_OPT_SIZE(struct options, clip_bytes, "clip_size", "0", 0, 1073741824,
                "size of a clip that begins with \"JOB ITEM\"; 0: its document"),
    CM_OPT_END,
};

static int emit(const struct fake *fake, const char *role, const char *name, const char *text)
{
    struct cm_file file = {.size = sizeof file, .role = role, .file = fake_write(fake, name, text)};
    return file.file ? fake->host->emit_file(fake->ctx, &file) : -1;
}

/* The document; or, of a certain size, "JOB ITEM" and a hole. */
static int emit_clip(const struct fake *fake, const char *document, int64_t bytes)
{
    static const char file[] = "clip.mp4";
    if (bytes == 0) {
        return emit(fake, "clip", file, document);
    }
    const char *name = fake->host->format(fake->ctx, "%s %s\n", fake->job, fake->item);
    int fd = fake_write(fake, file, name) ? open(fake->host->output(fake->ctx, file), O_WRONLY | O_CLOEXEC) : -1;
    int failed = fd < 0 || pwrite(fd, "\n", 1, bytes - 1) != 1;
    if (fd >= 0) {
        close(fd);
    }
    struct cm_file clip = {.size = sizeof clip, .role = "clip", .file = file};
    return failed ? -1 : fake->host->emit_file(fake->ctx, &clip);
}

static enum cm_verdict render(struct cm_ctx *ctx, const struct cm_render_request *request)
{
    const struct options *own = ctx->options;
    const struct cm_host *host = ctx->host;
    struct fake fake = fake_begin(ctx, &own->common, "render");
    enum cm_verdict verdict = fake_act(&fake);
    if (verdict) {
        return verdict;
    }
    if (fake_is(&fake, "garbage")) {
        host->emit_fact(ctx, "width", "no number");
        return fake_end(&fake, CM_OK); /* without a clip */
    }
    const struct cm_json *document = host->json_parse(ctx, request->document_json, strlen(request->document_json));
    double start = host->json_number(ctx, host->json_at(ctx, document, "span.start_ms"), 0);
    double end = host->json_number(ctx, host->json_at(ctx, document, "span.end_ms"), start);
    int64_t most = (int64_t)host->json_number(ctx, host->json_at(ctx, document, "encoder.max_bytes"), 0);
    int64_t bytes = most > 0 && most < own->clip_bytes ? most : own->clip_bytes;
    int shown = most > 0 && most < 1 << 20 ? (int)most : 1 << 20;
    if (emit_clip(&fake, host->format(ctx, "%.*s", shown, request->document_json), bytes) ||
        emit(&fake, "thumbnail", "thumbnail.jpg", "a picture") ||
        emit(&fake, "thumbnail_small", "small.jpg", "a small picture") ||
        emit(&fake, "captions", "captions.srt", "1\n00:00:00,000 --> 00:00:01,000\nfake\n")) {
        return fake_fail(&fake, CM_HOLD, CM_REASON_RESOURCE, 0);
    }
    fake_fact(&fake, "width", (long long)host->json_number(ctx, host->json_at(ctx, document, "format.width"), 1080));
    fake_fact(&fake, "height", (long long)host->json_number(ctx, host->json_at(ctx, document, "format.height"), 1920));
    fake_fact(&fake, "duration_ms", (long long)(end - start));
    host->emit_fact(ctx, "loudness_lufs", "-14.0");
    host->emit_fact(ctx, "true_peak_db", "-1.5");
    return fake_end(&fake, CM_OK);
}

static const struct cm_render_ops ops = {.size = sizeof ops, .render = render};

CM_PLUGIN_LOCAL(CM_STAGE_RENDER, "fake_render", "1.0", "Test only: clips of a few bytes, misbehaves on order", options,
                struct options, ops);
