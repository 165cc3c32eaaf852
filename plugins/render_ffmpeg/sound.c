/*
 * The clip's sound: the source's samples at their true positions, as 48 kHz stereo in memory.
 */
#include "sound.h"

#include <libavutil/channel_layout.h>
#include <libavutil/opt.h>
#include <libswresample/swresample.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PREROLL_US 500000 /* decoders need some packets before they sound right */
#define JUMP_US 40000     /* a timestamp this far off its place is a gap or a jump, not rounding */

struct ear {
    struct sound *sound;
    struct input *input;
    AVCodecContext *decoder;
    AVPacket *packet;
    AVFrame *frame;
    SwrContext *swr;
    int rate, format, channels; /* that swr was made for */
    int64_t from_us, spoken;
    int64_t next; /* pair that the next sample is; may be negative */
    int placed;
    float *converted;
    int room;
    int done;
};

/* ---- Into the clip ---------------------------------------------------------------------------- */

static void put(struct ear *ear, const float *pairs, int count)
{
    int64_t first = ear->next < 0 ? -ear->next : 0;
    int64_t last = ear->spoken - ear->next < count ? ear->spoken - ear->next : count;
    if (first < last) {
        memcpy(ear->sound->samples + 2 * (ear->next + first), pairs + 2 * first,
               (size_t)(last - first) * 2 * sizeof(float));
        ear->sound->heard = 1;
    }
    ear->next += count;
    ear->done = ear->next >= ear->spoken;
}

/* What the converter gives for these samples; NULL: what it still holds. */
static int convert(struct ear *ear, const uint8_t **data, int count)
{
    int expected = swr_get_out_samples(ear->swr, count);
    if (expected < 0)
        return expected;
    if (expected > ear->room) {
        float *grown = realloc(ear->converted, (size_t)expected * 2 * sizeof(float));
        if (grown == NULL)
            return AVERROR(ENOMEM);
        ear->converted = grown;
        ear->room = expected;
    }
    int got = swr_convert(ear->swr, &(uint8_t *){(uint8_t *)ear->converted}, ear->room, data, count);
    if (got > 0)
        put(ear, ear->converted, got);
    return got < 0 ? got : 0;
}

static int make_converter(struct ear *ear, const AVFrame *frame)
{
    AVChannelLayout from = {0}, to = AV_CHANNEL_LAYOUT_STEREO;
    int channels = frame->ch_layout.nb_channels;
    if (frame->ch_layout.order == AV_CHANNEL_ORDER_UNSPEC)
        av_channel_layout_default(&from, channels);
    else if (av_channel_layout_copy(&from, &frame->ch_layout) < 0)
        return AVERROR(ENOMEM);
    swr_free(&ear->swr);
    int error = swr_alloc_set_opts2(&ear->swr, &to, AV_SAMPLE_FMT_FLT, RENDER_RATE, &from,
                                    (enum AVSampleFormat)frame->format, frame->sample_rate, 0, NULL);
    av_channel_layout_uninit(&from);
    if (error >= 0)
        error = swr_init(ear->swr);
    ear->rate = frame->sample_rate;
    ear->format = frame->format;
    ear->channels = channels;
    return error;
}

/* Where this frame belongs by its timestamp, unless that is where we are anyway. */
static void find_place(struct ear *ear, int64_t at_us)
{
    if (at_us == AV_NOPTS_VALUE)
        at_us = ear->placed ? AV_NOPTS_VALUE : 0;
    if (at_us == AV_NOPTS_VALUE)
        return;
    int64_t place = av_rescale(at_us - ear->from_us, RENDER_RATE, 1000000);
    int64_t held = ear->swr == NULL ? 0 : swr_get_delay(ear->swr, RENDER_RATE);
    if (ear->placed && llabs(place - (ear->next + held)) * 1000000 / RENDER_RATE < JUMP_US)
        return;
    if (ear->placed && ear->swr != NULL)
        convert(ear, NULL, 0);
    /* Going back would repeat what was heard: those samples are dropped by the position. */
    ear->next = place;
    ear->placed = 1;
}

static void hear(struct ear *ear)
{
    AVFrame *frame = ear->frame;
    if (frame->nb_samples <= 0 || frame->sample_rate <= 0 || frame->ch_layout.nb_channels <= 0)
        return;
    if (ear->swr != NULL && (frame->sample_rate != ear->rate || frame->format != ear->format ||
                             frame->ch_layout.nb_channels != ear->channels)) {
        convert(ear, NULL, 0);
        swr_free(&ear->swr);
    }
    find_place(ear, input_position_us(ear->input, ear->input->audio, frame->best_effort_timestamp));
    if (ear->swr == NULL && make_converter(ear, frame) < 0)
        return;
    convert(ear, (const uint8_t **)frame->extended_data, frame->nb_samples);
}

/* ---- Out of the source ------------------------------------------------------------------------ */

static void receive(struct ear *ear)
{
    while (!ear->done && avcodec_receive_frame(ear->decoder, ear->frame) >= 0) {
        hear(ear);
        av_frame_unref(ear->frame);
    }
}

static void read_all(struct ear *ear)
{
    struct cm_ctx *ctx = ear->input->ctx;
    while (!ear->done && !ctx->host->stopping(ctx) && av_read_frame(ear->input->format, ear->packet) >= 0) {
        if (ear->packet->stream_index == ear->input->audio->index &&
            avcodec_send_packet(ear->decoder, ear->packet) >= 0)
            receive(ear);
        av_packet_unref(ear->packet);
    }
    if (!ear->done && avcodec_send_packet(ear->decoder, NULL) >= 0)
        receive(ear);
    if (!ear->done && ear->swr != NULL)
        convert(ear, NULL, 0);
}

static enum cm_verdict listen(struct ear *ear)
{
    struct input *input = ear->input;
    input_only(input, input->audio);
    ear->decoder = input_decoder(input->audio, 1);
    ear->packet = av_packet_alloc();
    ear->frame = av_frame_alloc();
    if (ear->decoder == NULL)
        return CM_FAIL(input->ctx, CM_CANNOT, CM_REASON_UNSUPPORTED,
                       "%s: its sound is coded as %s, which this FFmpeg cannot decode", input->path,
                       avcodec_get_name(input->audio->codecpar->codec_id));
    if (ear->packet == NULL || ear->frame == NULL)
        return CM_FAIL(input->ctx, CM_AGAIN, CM_REASON_RESOURCE, "out of memory");
    if (ear->from_us > PREROLL_US)
        input_seek(input, input->audio, ear->from_us - PREROLL_US);
    read_all(ear);
    return CM_OK;
}

enum cm_verdict sound_read(struct sound *sound, struct input *input, int64_t from_us, int64_t spoken, int64_t count)
{
    struct ear ear = {.sound = sound, .input = input, .from_us = from_us, .spoken = spoken};
    memset(sound, 0, sizeof(*sound));
    sound->count = count;
    sound->samples = calloc((size_t)count, 2 * sizeof(float));
    if (sound->samples == NULL)
        return CM_FAIL(input->ctx, CM_AGAIN, CM_REASON_RESOURCE, "out of memory for %lld s of sound",
                       (long long)(count / RENDER_RATE));
    enum cm_verdict verdict = input->audio == NULL ? CM_OK : listen(&ear);
    for (int64_t i = 0; i < 2 * count; i++)
        if (!isfinite(sound->samples[i]))
            sound->samples[i] = 0;
    avcodec_free_context(&ear.decoder);
    av_packet_free(&ear.packet);
    av_frame_free(&ear.frame);
    swr_free(&ear.swr);
    free(ear.converted);
    return verdict;
}

void sound_free(struct sound *sound)
{
    free(sound->samples);
    memset(sound, 0, sizeof(*sound));
}
