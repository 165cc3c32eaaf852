/*
 * render_ffmpeg: media + clip document → a captioned clip, its thumbnail and its SRT, in one pass and in
 * this process.
 */
#include <errno.h>
#include <libavutil/log.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../ffmpeg/ffcompat.h"
#include "captions.h"
#include "compose.h"
#include "image.h"
#include "layer.h"
#include "master.h"
#include "movie.h"
#include "pictures.h"
#include "plate.h"
#include "rate.h"
#include "squeeze.h"
#include "srt.h"
#include "thumbnail.h"

#define SOUND_SHARE 0.08   /* of the work, for the progress */
#define LOOK_EVERY_S 0.5   /* for a thumbnail */
#define SMALL_PX 320       /* the small one's longer side, as the contract has it */
#define SHORTEST_US 100000 /* a clip that is left shorter by the media's end is none */

struct render {
    struct cm_ctx *ctx;
    struct document document;
    struct input heard, seen; /* the same media, once for the sound and once for the pictures */
    struct pictures pictures;
    struct compose compose;
    struct fonts fonts;
    struct texts texts;
    struct captions captions;
    struct images images;
    struct aac aac;
    struct loud_level level;
    struct movie movie;
    struct thumbnail thumbnail;
    struct layer layer; /* texts and images of the time laid_ms */
    int64_t laid_ms;    /* -1: nothing yet */
    struct canvas card; /* the end card's ground */
    AVRational rate;
    int64_t start_us, base_us; /* of the span; of its first picture */
    int64_t spoken, total;     /* pictures: of the span, with the end card */
    const char *part_path;
    double from, share; /* of the whole work, for the progress: where this run begins, how much it is */
};

/* One run over the media: all there is to do, or one pass of a clip that must fit into so many bytes. */
struct run {
    const struct squeeze *squeeze; /* NULL: by quality, whatever size that makes */
    int pass;                      /* 1 or 2 */
    const char *stats;
    double from, share;
    int64_t bytes; /* the result's size */
};

static void tell_progress(struct render *render, double done)
{
    render->ctx->host->progress(render->ctx, render->from + render->share * done);
}

/* ---- What there is to do ------------------------------------------------------------------------ */

static enum cm_verdict read_document(struct render *render, const char *json)
{
    struct cm_ctx *ctx = render->ctx;
    char *error = document_read(&render->document, json, ctx->options);
    if (error == NULL)
        return CM_OK;
    const char *words = ctx->host->format(ctx, "%s", error);
    free(error);
    return CM_FAIL(ctx, CM_REJECT, CM_REASON_INPUT, "clip document: %s", words);
}

/* A span that reaches beyond the media ends with it; one that begins there is an error. */
static enum cm_verdict fit_span(struct render *render)
{
    struct document *document = &render->document;
    int64_t length_us = render->seen.length_us;
    render->start_us = document->start_ms * 1000;
    if (length_us > 0 && render->start_us > length_us - SHORTEST_US)
        return CM_FAIL(render->ctx, CM_REJECT, CM_REASON_INPUT,
                       "clip document: span.start_ms: the clip would begin at %.1f s, but the video is %.1f s long",
                       (double)document->start_ms / 1000, (double)length_us / 1e6);
    if (length_us > 0 && document->end_ms * 1000 > length_us) {
        int64_t before = document->end_ms - document->start_ms, over = document->end_ms - length_us / 1000;
        document->end_ms = length_us / 1000;
        document->cta_from_ms = document->cta_from_ms > over ? document->cta_from_ms - over : 0;
        document->cta_to_ms = document->cta_to_ms >= before ? before - over : document->cta_to_ms;
        render->ctx->host->log(render->ctx, CM_LOG_WARN, "the clip reached %lld ms beyond the video: cut to its end",
                               (long long)over);
    }
    return CM_OK;
}

static int64_t pictures_in(AVRational rate, int64_t ms)
{
    return av_rescale(ms, rate.num, (int64_t)rate.den * 1000);
}

static enum cm_verdict plan(struct render *render)
{
    struct document *document = &render->document;
    enum cm_verdict verdict = fit_span(render);
    if (verdict != CM_OK)
        return verdict;
    const AVStream *stream = render->seen.video;
    render->rate = rate_of(stream->avg_frame_rate, stream->r_frame_rate, document->fps);
    render->spoken = pictures_in(render->rate, document->end_ms - document->start_ms);
    if (render->spoken < 1)
        render->spoken = 1;
    render->total = render->spoken + pictures_in(render->rate, document->endcard_ms);
    return CM_OK;
}

static enum cm_verdict open_media(struct render *render, const char *path)
{
    enum cm_verdict verdict = input_open(&render->seen, render->ctx, path);
    if (verdict == CM_OK)
        verdict = input_open(&render->heard, render->ctx, path);
    if (verdict == CM_OK)
        input_choose_audio(&render->heard, render->document.audio_track);
    return verdict;
}

/* ---- Sound -------------------------------------------------------------------------------------- */

static int64_t samples_of(const struct render *render, int64_t pictures)
{
    return av_rescale(pictures * render->rate.den, RENDER_RATE, render->rate.num);
}

static enum cm_verdict make_sound(struct render *render)
{
    struct sound sound = {0};
    enum cm_verdict verdict = sound_read(&sound, &render->heard, render->start_us, samples_of(render, render->spoken),
                                         samples_of(render, render->total));
    input_close(&render->heard);
    tell_progress(render, SOUND_SHARE / 2);
    if (verdict == CM_OK)
        verdict = master_make(&render->aac, &render->level, render->ctx, &sound, &render->document);
    sound_free(&sound);
    tell_progress(render, SOUND_SHARE);
    return verdict;
}

/* ---- What is laid over -------------------------------------------------------------------------- */

static int64_t ms_of(const struct render *render, int64_t pictures)
{
    return av_rescale(pictures * 1000, render->rate.den, render->rate.num);
}

static enum cm_verdict make_overlays(struct render *render)
{
    struct document *document = &render->document;
    int64_t spoken_ms = ms_of(render, render->spoken), total_ms = ms_of(render, render->total);
    enum cm_verdict verdict = fonts_open(&render->fonts, render->ctx, captions_heavy(document));
    if (verdict == CM_OK)
        verdict = texts_open(&render->texts, render->ctx, &render->fonts, document->width, document->height);
    if (verdict != CM_OK)
        return verdict;
    captions_make(&render->captions, document, &render->fonts, &render->texts, render->ctx);
    plate_add(document, &render->fonts, &render->texts, spoken_ms, total_ms);
    render->laid_ms = -1;
    if (layer_make(&render->layer, document->width, document->height) != 0)
        return CM_FAIL(render->ctx, CM_AGAIN, CM_REASON_RESOURCE, "out of memory");
    return images_open(&render->images, render->ctx, document, spoken_ms);
}

static void draw_overlays(struct render *render, int64_t number, const struct canvas *canvas)
{
    /* The middle of a picture's time: an event that begins or ends with it is on for whole pictures. */
    int64_t at_ms = av_rescale((2 * number + 1) * 500, render->rate.den, render->rate.num);
    int changed = texts_draw(&render->texts, at_ms);
    if (changed || render->laid_ms < 0 || images_differ(&render->images, render->laid_ms, at_ms)) {
        layer_clear(&render->layer);
        images_paint(&render->images, at_ms, &render->layer);
        texts_paint(&render->texts, &render->layer);
    }
    render->laid_ms = at_ms;
    layer_lay(&render->layer, canvas);
}

/* ---- Pictures ----------------------------------------------------------------------------------- */

static enum cm_verdict open_pictures(struct render *render)
{
    struct cm_ctx *ctx = render->ctx;
    const struct render_options *settings = ctx->options;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int threads = settings->threads > 0 ? (int)settings->threads : processors > 4 ? 4 : (int)processors;
    enum cm_verdict verdict = pictures_open(&render->pictures, &render->seen, render->start_us, threads);
    if (verdict != CM_OK)
        return verdict;
    struct turn turn = turn_of_matrix(ff_display_matrix(render->seen.video));
    int64_t wanted = render->document.thumbnail_ms < 0
                         ? -1
                         : pictures_in(render->rate, render->document.thumbnail_ms - render->document.start_ms);
    int64_t every = (int64_t)(av_q2d(render->rate) * LOOK_EVERY_S);
    if (compose_open(&render->compose, &render->document, render->seen.video->sample_aspect_ratio, turn) != 0 ||
        thumbnail_open(&render->thumbnail, render->document.width, render->document.height, wanted, every) != 0)
        return CM_FAIL(ctx, CM_AGAIN, CM_REASON_RESOURCE, "out of memory");
    return CM_OK;
}

/* The clip's pictures lie on the source's, when one is near enough to the start: then each time asked for
 * is the middle of a source picture's, far from the border where rounding would drop one and double another. */
static int64_t first_picture_us(const struct render *render)
{
    const struct pictures *pictures = &render->pictures;
    int64_t half_us = av_rescale(500000, render->rate.den, render->rate.num);
    if (pictures->has_now && render->start_us - pictures->now_us <= half_us)
        return pictures->now_us;
    if (pictures->has_next && llabs(pictures->next_us - render->start_us) <= half_us)
        return pictures->next_us;
    return render->start_us;
}

static enum cm_verdict compose_failed(struct render *render, int error)
{
    if (error == AVERROR(ENOSYS))
        return CM_FAIL(render->ctx, CM_CANNOT, CM_REASON_UNSUPPORTED, "%s: its pixel format is not supported",
                       render->seen.path);
    return render_library_failed(render->ctx, "scale the picture", error);
}

static enum cm_verdict stopped(struct render *render, int64_t number)
{
    return CM_FAIL(render->ctx, CM_AGAIN, CM_REASON_STOPPED, "stopped at %lld of %lld pictures", (long long)number,
                   (long long)render->total);
}

/* The middle of a picture's time, in the source. */
static int64_t picture_us(const struct render *render, int64_t number)
{
    return render->base_us + av_rescale((2 * number + 1) * 500000, render->rate.den, render->rate.num);
}

static enum cm_verdict take_canvas(struct render *render, struct canvas *canvas)
{
    int error = movie_canvas(&render->movie, canvas);
    return error < 0 ? render_library_failed(render->ctx, "take room for a picture", error) : CM_OK;
}

/* The canvas, with the texts of this time, into the movie. */
static enum cm_verdict add_canvas(struct render *render, int64_t number, const struct canvas *canvas)
{
    draw_overlays(render, number, canvas);
    tell_progress(render, SOUND_SHARE + (1 - SOUND_SHARE) * (double)(number + 1) / (double)render->total);
    return movie_add(&render->movie);
}

static enum cm_verdict add_picture(struct render *render, int64_t number, const AVFrame *frame)
{
    struct canvas canvas;
    enum cm_verdict verdict = take_canvas(render, &canvas);
    if (verdict != CM_OK)
        return verdict;
    int error = compose_picture(&render->compose, frame, picture_us(render, number), &canvas);
    if (error < 0)
        return compose_failed(render, error);
    thumbnail_consider(&render->thumbnail, &canvas, number);
    return add_canvas(render, number, &canvas);
}

static enum cm_verdict add_span(struct render *render)
{
    render->base_us = first_picture_us(render);
    for (int64_t number = 0; number < render->spoken; number++) {
        const AVFrame *frame = pictures_at(&render->pictures, picture_us(render, number));
        if (frame == NULL || render->ctx->host->stopping(render->ctx))
            return stopped(render, number);
        enum cm_verdict verdict = add_picture(render, number, frame);
        if (verdict != CM_OK)
            return verdict;
    }
    return CM_OK;
}

/* The span's last picture, blurred. */
static enum cm_verdict make_card(struct render *render)
{
    int64_t last_us = picture_us(render, render->spoken - 1);
    if (canvas_make(&render->card, render->document.width, render->document.height) != 0)
        return CM_FAIL(render->ctx, CM_AGAIN, CM_REASON_RESOURCE, "out of memory");
    int error = compose_picture(&render->compose, pictures_at(&render->pictures, last_us), last_us, &render->card);
    if (error >= 0)
        error = compose_card(&render->compose, &render->card, &render->card);
    return error < 0 ? compose_failed(render, error) : CM_OK;
}

static enum cm_verdict add_card(struct render *render)
{
    enum cm_verdict verdict = render->total > render->spoken ? make_card(render) : CM_OK;
    for (int64_t number = render->spoken; number < render->total && verdict == CM_OK; number++) {
        struct canvas canvas;
        if (render->ctx->host->stopping(render->ctx))
            return stopped(render, number);
        verdict = take_canvas(render, &canvas);
        if (verdict != CM_OK)
            return verdict;
        canvas_copy(&canvas, &render->card);
        verdict = add_canvas(render, number, &canvas);
    }
    return verdict;
}

static enum cm_verdict make_movie(struct render *render)
{
    enum cm_verdict verdict = open_pictures(render);
    if (verdict == CM_OK)
        verdict =
            movie_open(&render->movie, render->ctx, render->part_path, &render->document, render->rate, &render->aac);
    if (verdict == CM_OK)
        verdict = add_span(render);
    if (verdict == CM_OK)
        verdict = add_card(render);
    return verdict == CM_OK ? movie_finish(&render->movie) : verdict;
}

/* ---- Results ------------------------------------------------------------------------------------ */

static void emit_number(struct cm_ctx *ctx, const char *name, const char *format, double number)
    __attribute__((format(printf, 3, 0)));

static void emit_number(struct cm_ctx *ctx, const char *name, const char *format, double number)
{
    char text[64];
    if (!isfinite(number))
        return;
    snprintf(text, sizeof(text), format, number);
    ctx->host->emit_fact(ctx, name, text);
}

static void emit_facts(struct render *render)
{
    struct cm_ctx *ctx = render->ctx;
    emit_number(ctx, "width", "%.0f", render->document.width);
    emit_number(ctx, "height", "%.0f", render->document.height);
    emit_number(ctx, "fps", "%.3f", av_q2d(render->rate));
    emit_number(ctx, "duration_ms", "%.0f", (double)ms_of(render, render->total));
    emit_number(ctx, "loudness_lufs", "%.2f", render->level.lufs);
    emit_number(ctx, "true_peak_db", "%.2f", render->level.peak_db);
}

static enum cm_verdict give(struct render *render, const char *role, const char *name)
{
    struct cm_ctx *ctx = render->ctx;
    struct cm_file file = {.size = sizeof(file), .role = role, .file = name, .note = ""};
    if (ctx->host->emit_file(ctx, &file) == 0)
        return CM_OK;
    return CM_FAIL(ctx, CM_AGAIN, CM_REASON_INTERNAL, "the %s was not written", role);
}

static enum cm_verdict write_thumbnails(struct render *render)
{
    static const struct {
        const char *role, *name;
        int longest_px;
    } sizes[] = {{"thumbnail", "thumbnail.jpg", 0}, {"thumbnail_small", "thumbnail-small.jpg", SMALL_PX}};
    struct cm_ctx *ctx = render->ctx;
    enum cm_verdict verdict = CM_OK;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && verdict == CM_OK; i++) {
        const char *path = ctx->host->output(ctx, sizes[i].name);
        verdict = thumbnail_write(&render->thumbnail, ctx, path, sizes[i].longest_px);
        if (verdict == CM_OK)
            verdict = give(render, sizes[i].role, sizes[i].name);
    }
    return verdict;
}

static enum cm_verdict write_results(struct render *render)
{
    struct cm_ctx *ctx = render->ctx;
    const char *clip = ctx->host->output(ctx, "clip.mp4");
    if (rename(render->part_path, clip) != 0)
        return render_write_failed(ctx, clip, errno);
    enum cm_verdict verdict = give(render, "clip", "clip.mp4");
    if (verdict == CM_OK)
        verdict = write_thumbnails(render);
    if (verdict != CM_OK || render->captions.page_count == 0)
        return verdict;
    verdict = srt_write(ctx, ctx->host->output(ctx, "captions.srt"), &render->captions);
    return verdict == CM_OK ? give(render, "captions", "captions.srt") : verdict;
}

/* ---- The call ----------------------------------------------------------------------------------- */

static void close_all(struct render *render)
{
    movie_close(&render->movie);
    if (render->part_path != NULL)
        unlink(render->part_path);
    thumbnail_close(&render->thumbnail);
    canvas_free(&render->card);
    layer_free(&render->layer);
    compose_close(&render->compose);
    pictures_close(&render->pictures);
    images_close(&render->images);
    captions_free(&render->captions);
    texts_close(&render->texts);
    fonts_close(&render->fonts);
    aac_free(&render->aac);
    input_close(&render->heard);
    input_close(&render->seen);
    document_free(&render->document);
}

static void apply(const struct run *run, struct document *document)
{
    if (run->squeeze == NULL)
        return;
    document->width = run->squeeze->width;
    document->height = run->squeeze->height;
    document->audio_bitrate = run->squeeze->audio_bitrate;
    document->video_bitrate = run->squeeze->video_bitrate;
    document->pass = run->pass;
    document->stats = run->stats;
}

/* What a run made counts: not the first pass, and not a clip that is still too large. */
static int is_result(struct render *render, struct run *run)
{
    struct stat info;
    run->bytes = stat(render->part_path, &info) == 0 ? info.st_size : 0;
    return run->squeeze == NULL || (run->pass == 2 && run->bytes <= run->squeeze->max_bytes);
}

static enum cm_verdict render_once(struct cm_ctx *ctx, const struct cm_render_request *request, struct run *run)
{
    struct render render = {.ctx = ctx, .heard = {.fd = -1}, .seen = {.fd = -1}};
    render.part_path = ctx->host->output(ctx, "clip.part");
    render.from = run->from;
    render.share = run->share;
    enum cm_verdict verdict = read_document(&render, request->document_json);
    apply(run, &render.document);
    if (verdict == CM_OK)
        verdict = open_media(&render, request->media_path);
    if (verdict == CM_OK)
        verdict = plan(&render);
    if (verdict == CM_OK)
        verdict = make_overlays(&render);
    if (verdict == CM_OK)
        verdict = make_sound(&render);
    if (verdict == CM_OK)
        verdict = make_movie(&render);
    if (verdict == CM_OK && is_result(&render, run)) {
        verdict = write_results(&render);
        if (verdict == CM_OK)
            emit_facts(&render);
    }
    close_all(&render);
    return verdict;
}

static enum cm_verdict too_small(struct cm_ctx *ctx, const struct squeeze *squeeze)
{
    return CM_FAIL(ctx, CM_CANNOT, CM_REASON_TOO_LARGE,
                   "%.0f s of video do not fit into %.1f MB in a quality worth watching; shorter clips would",
                   squeeze->seconds, (double)squeeze->max_bytes / 1e6);
}

/* Two passes: the first looks where bits are needed, the second spends as many as there are. */
static enum cm_verdict render_squeezed(struct cm_ctx *ctx, const struct cm_render_request *request,
                                       struct squeeze *squeeze, const char *stats)
{
    struct run run = {.squeeze = squeeze, .pass = 1, .stats = stats, .from = 0, .share = 0.45};
    enum cm_verdict verdict = render_once(ctx, request, &run);
    run.pass = 2;
    run.from = 0.45;
    run.share = 0.55;
    for (int tries = 0; verdict == CM_OK; tries++) {
        verdict = render_once(ctx, request, &run);
        if (verdict != CM_OK || run.bytes <= squeeze->max_bytes)
            return verdict;
        ctx->host->log(ctx, CM_LOG_INFO, "the clip came out with %lld bytes, %lld are allowed: once more with less",
                       (long long)run.bytes, (long long)squeeze->max_bytes);
        if (tries + 1 == SQUEEZE_TRIES || squeeze_more(squeeze, run.bytes) != 0)
            return too_small(ctx, squeeze);
    }
    return verdict;
}

static enum cm_verdict render_clip(struct cm_ctx *ctx, const struct cm_render_request *request)
{
    struct render render = {.ctx = ctx};
    struct squeeze squeeze;
    struct run whole = {.share = 1};
    av_log_set_level(AV_LOG_QUIET);
    enum cm_verdict verdict = read_document(&render, request->document_json);
    int64_t max_bytes = verdict == CM_OK ? render.document.max_bytes : 0;
    int possible = max_bytes > 0 && squeeze_plan(&squeeze, &render.document) == 0;
    document_free(&render.document);
    if (verdict != CM_OK || max_bytes == 0)
        return verdict == CM_OK ? render_once(ctx, request, &whole) : verdict;
    if (!possible)
        return too_small(ctx, &squeeze);
    const char *stats = ctx->host->output(ctx, "passes.log"), *tree = ctx->host->output(ctx, "passes.log.mbtree");
    verdict = render_squeezed(ctx, request, &squeeze, stats);
    unlink(stats);
    unlink(tree);
    return verdict;
}

static const struct cm_render_ops ops = {.size = sizeof(ops), .render = render_clip};

CM_PLUGIN_LOCAL(CM_STAGE_RENDER, "render_ffmpeg", "1.0", "Cuts, frames and captions a clip with FFmpeg and libass",
                render_option_table, struct render_options, ops);
