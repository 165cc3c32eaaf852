/*
 * The source's pictures by their time: exact from the first one asked for, in rising order, whatever
 * the timestamps do.
 */
#include "pictures.h"

#include <string.h>

#define QUICK_MARGIN_US 500000 /* from so long before the first one on, every picture counts */
#define MOST_BAD 100000        /* errors in a row would otherwise be asked for without end */

static int64_t usual_step_us(const struct pictures *pictures)
{
    AVRational rate = pictures->input->video->avg_frame_rate;
    return rate.num > 0 && rate.den > 0 ? av_rescale(1000000, rate.den, rate.num) : 40000;
}

static void skip_what_nobody_sees(struct pictures *pictures)
{
    int64_t at = input_position_us(pictures->input, pictures->input->video, pictures->packet->pts);
    int early = at != AV_NOPTS_VALUE && at < pictures->quick_us;
    pictures->decoder->skip_frame = early ? AVDISCARD_NONREF : AVDISCARD_DEFAULT;
}

/* One more packet into the decoder, or the end of them. A bad packet costs only itself. */
static void feed(struct pictures *pictures)
{
    struct input *input = pictures->input;
    int got = av_read_frame(input->format, pictures->packet);
    if (got < 0) {
        pictures->drained = 1;
        avcodec_send_packet(pictures->decoder, NULL);
        return;
    }
    if (pictures->packet->stream_index == input->video->index) {
        skip_what_nobody_sees(pictures);
        if (avcodec_send_packet(pictures->decoder, pictures->packet) < 0)
            pictures->bad++;
    }
    av_packet_unref(pictures->packet);
}

/* The next picture in decoding order into `next`; 0 at the end. */
static int decode(struct pictures *pictures)
{
    struct cm_ctx *ctx = pictures->input->ctx;
    while (!ctx->host->stopping(ctx)) {
        int got = avcodec_receive_frame(pictures->decoder, pictures->next);
        if (got >= 0)
            return 1;
        if (got == AVERROR_EOF || pictures->drained) {
            if (got == AVERROR_EOF || got == AVERROR(EAGAIN))
                return 0;
            if (++pictures->bad > MOST_BAD)
                return 0;
            continue;
        }
        feed(pictures);
    }
    return 0;
}

/* The next picture that is later than the last; one without or with a jumped-back time is not shown. */
static void advance(struct pictures *pictures)
{
    pictures->has_next = 0;
    while (!pictures->ended && !pictures->has_next) {
        if (!decode(pictures)) {
            pictures->ended = 1;
            return;
        }
        int64_t at = input_position_us(pictures->input, pictures->input->video, pictures->next->best_effort_timestamp);
        if (at == AV_NOPTS_VALUE)
            at = pictures->count == 0 ? 0 : pictures->last_us + usual_step_us(pictures);
        if (pictures->count > 0 && at <= pictures->last_us)
            continue;
        pictures->count++;
        pictures->last_us = pictures->next_us = at;
        pictures->has_next = 1;
    }
}

static void restart(struct pictures *pictures)
{
    avcodec_flush_buffers(pictures->decoder);
    av_frame_unref(pictures->next);
    pictures->drained = pictures->ended = pictures->has_next = 0;
    pictures->count = 0;
}

/* Without an index (the film's tail is missing, say) there is no seeking back; the beginning is always there. */
static void rewind_input(struct pictures *pictures)
{
    struct input *input = pictures->input;
    if (input_seek(input, input->video, 0) < 0 && input_reopen(input) == CM_OK)
        input_only(input, input->video);
}

/* Key frames are found by an index that may be wrong or missing: look at what comes, go further back. */
static void find_start(struct pictures *pictures, int64_t from_us)
{
    static const int64_t back_us[] = {0, 1000000, 5000000, 30000000, 120000000};
    for (size_t i = 0; i < sizeof(back_us) / sizeof(back_us[0]); i++) {
        if (from_us - back_us[i] <= 0 || input_seek(pictures->input, pictures->input->video, from_us - back_us[i]) < 0)
            break;
        restart(pictures);
        advance(pictures);
        if (pictures->has_next && pictures->next_us <= from_us)
            return;
    }
    if (pictures->has_next && pictures->next_us <= from_us)
        return;
    rewind_input(pictures);
    restart(pictures);
    advance(pictures);
}

enum cm_verdict pictures_open(struct pictures *pictures, struct input *input, int64_t from_us, int threads)
{
    struct cm_ctx *ctx = input->ctx;
    memset(pictures, 0, sizeof(*pictures));
    pictures->input = input;
    pictures->quick_us = from_us - QUICK_MARGIN_US;
    input_only(input, input->video);
    pictures->decoder = input_decoder(input->video, threads);
    if (pictures->decoder == NULL)
        return CM_FAIL(ctx, CM_CANNOT, CM_REASON_UNSUPPORTED,
                       "%s: its picture is coded as %s, which this FFmpeg cannot decode; convert it to H.264",
                       input->path, avcodec_get_name(input->video->codecpar->codec_id));
    pictures->packet = av_packet_alloc();
    pictures->now = av_frame_alloc();
    pictures->next = av_frame_alloc();
    if (pictures->packet == NULL || pictures->now == NULL || pictures->next == NULL)
        return CM_FAIL(ctx, CM_AGAIN, CM_REASON_RESOURCE, "out of memory");
    find_start(pictures, from_us);
    pictures_at(pictures, from_us);
    if (!pictures->has_now && !pictures->has_next && !ctx->host->stopping(ctx))
        return CM_FAIL(ctx, CM_REJECT, CM_REASON_NOT_MEDIA, "%s: none of its pictures could be decoded", input->path);
    return CM_OK;
}

const AVFrame *pictures_at(struct pictures *pictures, int64_t at_us)
{
    while (pictures->has_next && pictures->next_us <= at_us) {
        AVFrame *shown = pictures->now;
        pictures->now = pictures->next;
        pictures->now_us = pictures->next_us;
        pictures->has_now = 1;
        pictures->next = shown;
        av_frame_unref(pictures->next);
        advance(pictures);
    }
    if (pictures->has_now)
        return pictures->now;
    return pictures->has_next ? pictures->next : NULL;
}

void pictures_close(struct pictures *pictures)
{
    avcodec_free_context(&pictures->decoder);
    av_packet_free(&pictures->packet);
    av_frame_free(&pictures->now);
    av_frame_free(&pictures->next);
}
