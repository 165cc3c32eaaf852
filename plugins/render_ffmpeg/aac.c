/*
 * Sound → AAC packets in memory, and back again to hear what became of it.
 */
#include "aac.h"

#include <libavutil/channel_layout.h>
#include <stdlib.h>
#include <string.h>

static int open_encoder(struct aac *aac, int64_t bitrate)
{
    const AVCodec *codec = avcodec_find_encoder_by_name("aac");
    AVCodecContext *encoder = aac->encoder = codec == NULL ? NULL : avcodec_alloc_context3(codec);
    if (encoder == NULL)
        return codec == NULL ? AVERROR_ENCODER_NOT_FOUND : AVERROR(ENOMEM);
    encoder->sample_fmt = AV_SAMPLE_FMT_FLTP;
    encoder->sample_rate = RENDER_RATE;
    encoder->ch_layout = (AVChannelLayout)AV_CHANNEL_LAYOUT_STEREO;
    encoder->bit_rate = bitrate;
    encoder->time_base = (AVRational){1, RENDER_RATE};
    encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER | AV_CODEC_FLAG_BITEXACT;
    encoder->thread_count = 1;
    return avcodec_open2(encoder, codec, NULL);
}

static int take_packets(struct aac *aac, size_t *room)
{
    for (;;) {
        AVPacket *packet = av_packet_alloc();
        if (packet == NULL)
            return AVERROR(ENOMEM);
        int error = avcodec_receive_packet(aac->encoder, packet);
        if (error < 0) {
            av_packet_free(&packet);
            return error == AVERROR(EAGAIN) || error == AVERROR_EOF ? 0 : error;
        }
        aac->packet = render_grow(aac->packet, room, aac->count, sizeof(AVPacket *));
        aac->packet[aac->count++] = packet;
    }
}

static int fill(const struct aac *aac, AVFrame *frame, const float *pairs, int count, int64_t at)
{
    frame->nb_samples = count;
    frame->format = AV_SAMPLE_FMT_FLTP;
    frame->sample_rate = RENDER_RATE;
    frame->pts = at;
    int error = av_channel_layout_copy(&frame->ch_layout, &aac->encoder->ch_layout);
    if (error >= 0)
        error = av_frame_get_buffer(frame, 0);
    for (int i = 0; error >= 0 && i < count; i++)
        for (int side = 0; side < 2; side++)
            ((float *)(void *)frame->extended_data[side])[i] = pairs[2 * (at + i) + side];
    return error;
}

int aac_encode(struct aac *aac, const float *pairs, int64_t count, int64_t bitrate)
{
    size_t room = 0;
    memset(aac, 0, sizeof(*aac));
    int error = open_encoder(aac, bitrate);
    AVFrame *frame = av_frame_alloc();
    if (frame == NULL)
        return AVERROR(ENOMEM);
    int step = error < 0 ? 0 : aac->encoder->frame_size;
    for (int64_t at = 0; error >= 0 && at < count; at += step) {
        error = fill(aac, frame, pairs, count - at < step ? (int)(count - at) : step, at);
        if (error >= 0)
            error = avcodec_send_frame(aac->encoder, frame);
        av_frame_unref(frame);
        if (error >= 0)
            error = take_packets(aac, &room);
    }
    av_frame_free(&frame);
    if (error >= 0)
        error = avcodec_send_frame(aac->encoder, NULL);
    return error < 0 ? error : take_packets(aac, &room);
}

static AVCodecContext *open_decoder(const struct aac *aac)
{
    const AVCodec *codec = avcodec_find_decoder(AV_CODEC_ID_AAC);
    AVCodecContext *decoder = codec == NULL ? NULL : avcodec_alloc_context3(codec);
    AVCodecParameters *parameters = avcodec_parameters_alloc();
    int error = decoder == NULL || parameters == NULL ? AVERROR(ENOMEM)
                                                      : avcodec_parameters_from_context(parameters, aac->encoder);
    if (error >= 0)
        error = avcodec_parameters_to_context(decoder, parameters);
    if (error >= 0)
        error = avcodec_open2(decoder, codec, NULL);
    avcodec_parameters_free(&parameters);
    if (error < 0)
        avcodec_free_context(&decoder);
    return decoder;
}

static int64_t copy_out(const AVFrame *frame, float *pairs, int64_t count, int64_t at)
{
    for (int i = 0; i < frame->nb_samples; i++)
        for (int side = 0; side < 2; side++)
            if (at + i >= 0 && at + i < count)
                pairs[2 * (at + i) + side] =
                    ((const float *)(const void *)frame->extended_data[frame->ch_layout.nb_channels > 1 ? side : 0])[i];
    return at + frame->nb_samples;
}

int aac_decode(const struct aac *aac, float *pairs, int64_t count)
{
    AVCodecContext *decoder = open_decoder(aac);
    AVFrame *frame = av_frame_alloc();
    int64_t at = -(int64_t)aac->encoder->initial_padding;
    int error = decoder == NULL || frame == NULL ? AVERROR(ENOMEM) : 0;
    memset(pairs, 0, (size_t)count * 2 * sizeof(float));
    for (size_t i = 0; error >= 0 && i < aac->count; i++) {
        error = avcodec_send_packet(decoder, aac->packet[i]);
        while (error >= 0 && avcodec_receive_frame(decoder, frame) >= 0)
            at = copy_out(frame, pairs, count, at);
    }
    av_frame_free(&frame);
    avcodec_free_context(&decoder);
    return error < 0 ? error : 0;
}

void aac_free(struct aac *aac)
{
    for (size_t i = 0; i < aac->count; i++)
        av_packet_free(&aac->packet[i]);
    free(aac->packet);
    avcodec_free_context(&aac->encoder);
    memset(aac, 0, sizeof(*aac));
}
