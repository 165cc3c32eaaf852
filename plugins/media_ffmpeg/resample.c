/*
 * Decoded audio of any shape as mono 16 kHz samples.
 */
#include "resample.h"

#include <libavutil/channel_layout.h>
#include <libavutil/mem.h>
#include <stdlib.h>

#include "media.h"

static int start(struct resample *resample, const AVFrame *frame)
{
    AVChannelLayout mono = AV_CHANNEL_LAYOUT_MONO, from = {0};
    /* An unnamed order of channels ("4 channels") cannot be mixed down: take the usual one. */
    if (frame->ch_layout.order == AV_CHANNEL_ORDER_UNSPEC)
        av_channel_layout_default(&from, frame->ch_layout.nb_channels);
    else if (av_channel_layout_copy(&from, &frame->ch_layout) < 0)
        return -1;
    int bad = swr_alloc_set_opts2(&resample->swr, &mono, AV_SAMPLE_FMT_S16, MEDIA_RATE, &from, frame->format,
                                  frame->sample_rate, 0, NULL) < 0 ||
              swr_init(resample->swr) < 0;
    av_channel_layout_uninit(&from);
    if (bad)
        swr_free(&resample->swr);
    resample->rate = frame->sample_rate;
    resample->format = frame->format;
    resample->channels = frame->ch_layout.nb_channels;
    return bad ? -1 : 0;
}

static int convert(struct resample *resample, const uint8_t **data, int count, resample_to put, void *to)
{
    int most = swr_get_out_samples(resample->swr, count);
    if (most < 0)
        return -1;
    if (most > resample->room) {
        resample->room = most + 4096;
        resample->samples = realloc(resample->samples, (size_t)resample->room * sizeof(int16_t));
        if (resample->samples == NULL)
            abort();
    }
    uint8_t *out = (uint8_t *)resample->samples;
    int made = swr_convert(resample->swr, &out, resample->room, data, count);
    if (made > 0)
        put(to, resample->samples, (size_t)made);
    return made < 0 ? -1 : made;
}

int resample_frame(struct resample *resample, const AVFrame *frame, resample_to put, void *to)
{
    if (frame->nb_samples <= 0 || frame->sample_rate <= 0 || frame->ch_layout.nb_channels <= 0)
        return 0;
    if (resample->swr != NULL && (resample->rate != frame->sample_rate || resample->format != frame->format ||
                                  resample->channels != frame->ch_layout.nb_channels))
        resample_drain(resample, put, to);
    if (resample->swr == NULL && start(resample, frame) != 0)
        return -1;
    return convert(resample, (const uint8_t **)frame->extended_data, frame->nb_samples, put, to) < 0 ? -1 : 0;
}

void resample_drain(struct resample *resample, resample_to put, void *to)
{
    if (resample->swr == NULL)
        return;
    while (convert(resample, NULL, 0, put, to) > 0)
        ;
    swr_free(&resample->swr);
}

void resample_free(struct resample *resample)
{
    swr_free(&resample->swr);
    free(resample->samples);
    *resample = (struct resample){0};
}
