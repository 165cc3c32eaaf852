/*
 * The chunk's audio in memory: mono 16 kHz samples out of FLAC or WAV.
 */
#include "wave.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <stdlib.h>
#include <string.h>

#define MOST_SAMPLES ((size_t)WAVE_RATE * 3600)

struct reader {
    AVFormatContext *format;
    AVCodecContext *decoder;
    AVPacket *packet;
    AVFrame *frame;
};

static const char *append(struct wave *wave, const AVFrame *frame)
{
    if ((frame->format != AV_SAMPLE_FMT_S16 && frame->format != AV_SAMPLE_FMT_S16P) ||
        frame->sample_rate != WAVE_RATE || frame->ch_layout.nb_channels != 1)
        return "it is not mono, 16 kHz, 16 bits";
    size_t more = (size_t)frame->nb_samples;
    if (wave->count + more > MOST_SAMPLES)
        return "it is longer than an hour";
    if (wave->count + more > wave->room) {
        wave->room = (wave->count + more) * 2;
        wave->samples = realloc(wave->samples, wave->room * sizeof(int16_t));
        if (wave->samples == NULL)
            abort();
    }
    memcpy(wave->samples + wave->count, frame->data[0], more * sizeof(int16_t));
    wave->count += more;
    return NULL;
}

static const char *take_frames(struct reader *reader, struct wave *wave)
{
    const char *why = NULL;
    while (why == NULL && avcodec_receive_frame(reader->decoder, reader->frame) >= 0) {
        why = append(wave, reader->frame);
        av_frame_unref(reader->frame);
    }
    return why;
}

static const char *open_decoder(struct reader *reader)
{
    if (avformat_find_stream_info(reader->format, NULL) < 0 || reader->format->nb_streams != 1)
        return "it is not one stream of sound";
    const AVCodecParameters *stream = reader->format->streams[0]->codecpar;
    const AVCodec *codec = avcodec_find_decoder(stream->codec_id);
    reader->decoder = codec == NULL ? NULL : avcodec_alloc_context3(codec);
    if (reader->decoder == NULL || avcodec_parameters_to_context(reader->decoder, stream) < 0 ||
        avcodec_open2(reader->decoder, codec, NULL) < 0)
        return "its codec is not known";
    return NULL;
}

static const char *read_all(struct reader *reader, struct wave *wave)
{
    const char *why = open_decoder(reader);
    while (why == NULL && av_read_frame(reader->format, reader->packet) >= 0) {
        int sent = avcodec_send_packet(reader->decoder, reader->packet);
        av_packet_unref(reader->packet);
        why = sent < 0 ? "it is damaged" : take_frames(reader, wave);
    }
    if (why == NULL && avcodec_send_packet(reader->decoder, NULL) >= 0)
        why = take_frames(reader, wave);
    return why;
}

const char *wave_read(struct wave *wave, const char *path)
{
    struct reader reader = {.packet = av_packet_alloc(), .frame = av_frame_alloc()};
    *wave = (struct wave){0};
    const char *why = "no memory";
    if (reader.packet != NULL && reader.frame != NULL)
        why = avformat_open_input(&reader.format, path, NULL, NULL) < 0 ? "it is no FLAC or WAV file"
                                                                        : read_all(&reader, wave);
    avcodec_free_context(&reader.decoder);
    avformat_close_input(&reader.format);
    av_packet_free(&reader.packet);
    av_frame_free(&reader.frame);
    if (why != NULL)
        wave_free(wave);
    return why;
}

void wave_free(struct wave *wave)
{
    free(wave->samples);
    *wave = (struct wave){0};
}

/* ---- Quiet places ------------------------------------------------------------------------------- */

static double energy_at(const struct wave *wave, int64_t at_ms)
{
    double sum = 0;
    for (size_t i = (size_t)(at_ms * WAVE_PER_MS), end = i + 30 * WAVE_PER_MS; i < end && i < wave->count; i++)
        sum += (double)wave->samples[i] * wave->samples[i];
    return sum;
}

int64_t wave_quietest_ms(const struct wave *wave, int64_t from_ms, int64_t to_ms)
{
    int64_t best = to_ms;
    double least = -1;
    for (int64_t at = from_ms; at + 30 <= to_ms; at += 10) {
        double energy = energy_at(wave, at);
        if (least < 0 || energy < least) {
            least = energy;
            best = at + 15;
        }
    }
    return best;
}
