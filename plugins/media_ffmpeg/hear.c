/*
 * The one decode of the audio: speech samples at their true positions, and loudness.
 *
 * Positions follow the timestamps, not the number of samples: a gap becomes silence, and what is
 * stamped as lying before something already heard is dropped, so that a word is always where the
 * picture has it.
 */
#include "hear.h"
#include "media.h"

#include <libavutil/opt.h>
#include <math.h>
#include <stdlib.h>

#define JUMP_US 80000  /* less is rounding and jitter of the container */
#define MOST_STRAYS 50 /* frames */

/* ---- Loudness --------------------------------------------------------------------------------- */

static void loudness_stop(struct hear *hear)
{
    swr_free(&hear->loud_swr);
}

static int same_shape(const AVFrame *a, const AVFrame *b)
{
    return a->format == b->format && a->sample_rate == b->sample_rate &&
           a->ch_layout.nb_channels == b->ch_layout.nb_channels;
}

/* The meter gets what a viewer will hear: at most two channels. */
static int loudness_start(struct hear *hear, const AVFrame *frame)
{
    AVChannelLayout to = {0}, from = {0};
    if (hear->meter == NULL) {
        hear->loud_channels = frame->ch_layout.nb_channels > 1 ? 2 : 1;
        hear->loud_rate = frame->sample_rate < 8000 || frame->sample_rate > 192000 ? 48000 : frame->sample_rate;
        hear->meter = ebur128_init((unsigned)hear->loud_channels, (unsigned long)hear->loud_rate, EBUR128_MODE_I);
    }
    av_channel_layout_default(&to, hear->loud_channels);
    av_channel_layout_default(&from, frame->ch_layout.nb_channels);
    int bad = hear->meter == NULL ||
              swr_alloc_set_opts2(&hear->loud_swr, &to, AV_SAMPLE_FMT_FLT, hear->loud_rate, &from, frame->format,
                                  frame->sample_rate, 0, NULL) < 0 ||
              swr_init(hear->loud_swr) < 0;
    if (bad)
        loudness_stop(hear);
    hear->loud_from->format = frame->format;
    hear->loud_from->sample_rate = frame->sample_rate;
    hear->loud_from->ch_layout.nb_channels = frame->ch_layout.nb_channels;
    return bad ? -1 : 0;
}

static void measure(struct hear *hear, const AVFrame *frame)
{
    if (hear->loud_swr != NULL && !same_shape(hear->loud_from, frame))
        loudness_stop(hear);
    if (hear->loud_swr == NULL && loudness_start(hear, frame) != 0)
        return;
    int most = swr_get_out_samples(hear->loud_swr, frame->nb_samples);
    if (most > hear->loud_room) {
        hear->loud_room = most + 4096;
        hear->loud_samples =
            realloc(hear->loud_samples, (size_t)hear->loud_room * (size_t)hear->loud_channels * sizeof(float));
        if (hear->loud_samples == NULL)
            abort();
    }
    uint8_t *out = (uint8_t *)hear->loud_samples;
    int made =
        swr_convert(hear->loud_swr, &out, hear->loud_room, (const uint8_t **)frame->extended_data, frame->nb_samples);
    /* One NaN of a broken float stream would silence the meter for good. */
    for (int i = 0; i < made * hear->loud_channels; i++)
        if (!isfinite(hear->loud_samples[i]) || fabsf(hear->loud_samples[i]) > 1000)
            hear->loud_samples[i] = 0;
    if (made > 0)
        ebur128_add_frames_float(hear->meter, hear->loud_samples, (size_t)made);
}

double hear_loudness(const struct hear *hear)
{
    double lufs = -HUGE_VAL;
    if (hear->meter == NULL || ebur128_loudness_global(hear->meter, &lufs) != EBUR128_SUCCESS)
        return -HUGE_VAL;
    return lufs;
}

/* ---- Positions -------------------------------------------------------------------------------- */

/* True when the frame is to be heard; then the sound is placed where it belongs. */
static int place(struct hear *hear, const AVFrame *frame)
{
    int64_t at_us = input_position_us(hear->input, hear->input->audio, frame->best_effort_timestamp);
    if (at_us == AV_NOPTS_VALUE && hear->anchored)
        return 1;
    if (at_us == AV_NOPTS_VALUE)
        at_us = 0;
    int64_t expected_us =
        hear->anchor_us + av_rescale(hear->since_anchor, 1000000, frame->sample_rate > 0 ? frame->sample_rate : 1);
    int64_t off_us = at_us - expected_us;
    if (hear->anchored && llabs(off_us) < JUMP_US) {
        hear->strays = 0;
        return 1;
    }
    /* A stamp beyond any length that we take: a broken one goes on as if it continued; many in a
     * row are another time line, whose picture cannot be found either. */
    if (hear->anchored && at_us / 1000000 * MEDIA_RATE >= hear->sound.limit) {
        hear->lost += hear->strays >= MOST_STRAYS;
        return hear->strays++ < MOST_STRAYS;
    }
    hear->strays = 0;
    hear->jumps += hear->anchored;
    resample_drain(&hear->speech, sound_put, &hear->sound);
    sound_jump(&hear->sound, av_rescale(at_us, MEDIA_RATE, 1000000));
    hear->anchor_us = at_us;
    hear->since_anchor = 0;
    hear->anchored = 1;
    return 1;
}

static void take_frame(struct hear *hear)
{
    AVFrame *frame = hear->frame;
    if (frame->sample_rate <= 0 || frame->nb_samples <= 0)
        return;
    if (!place(hear, frame))
        return;
    hear->since_anchor += frame->nb_samples;
    measure(hear, frame);
    if (resample_frame(&hear->speech, frame, sound_put, &hear->sound) == 0)
        hear->frames++;
}

void hear_packet(struct hear *hear, const AVPacket *packet)
{
    if (avcodec_send_packet(hear->decoder, packet) < 0)
        hear->bad_packets++;
    while (avcodec_receive_frame(hear->decoder, hear->frame) >= 0) {
        take_frame(hear);
        av_frame_unref(hear->frame);
    }
    if (packet == NULL)
        resample_drain(&hear->speech, sound_put, &hear->sound);
}

/* ---- Life ------------------------------------------------------------------------------------- */

enum cm_verdict hear_open(struct hear *hear, struct input *input, int64_t limit_ms)
{
    struct cm_ctx *ctx = input->ctx;
    *hear = (struct hear){.input = input, .sound.fd = -1};
    enum cm_verdict verdict = sound_open(&hear->sound, ctx, limit_ms);
    if (verdict != CM_OK)
        return verdict;
    hear->frame = av_frame_alloc();
    hear->loud_from = av_frame_alloc();
    hear->decoder = input_decoder(input->audio, 1);
    if (hear->frame == NULL || hear->loud_from == NULL)
        return CM_FAIL(ctx, CM_AGAIN, CM_REASON_RESOURCE, "out of memory");
    if (hear->decoder == NULL)
        return CM_FAIL(ctx, CM_REJECT, CM_REASON_NOT_MEDIA,
                       "%s: its sound (%s) cannot be decoded; the track is damaged", input->path,
                       input_codec_name(ctx, input->audio));
    return CM_OK;
}

void hear_close(struct hear *hear)
{
    avcodec_free_context(&hear->decoder);
    resample_free(&hear->speech);
    loudness_stop(hear);
    free(hear->loud_samples);
    if (hear->meter != NULL)
        ebur128_destroy(&hear->meter);
    av_frame_free(&hear->frame);
    av_frame_free(&hear->loud_from);
    sound_close(&hear->sound);
}
