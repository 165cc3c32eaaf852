/*
 * Which of several audio tracks is the one that people speak on.
 *
 * Order: the job's language, then the container's default, then the first; commentary and audio
 * description come last. A recording often has a silent first track (desktop sound, with the
 * microphone on the second), so of several the first in that order that is audible is taken.
 */
#include "track.h"

#include <libavutil/dict.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "language.h"
#include "media.h"
#include "resample.h"

#define MOST_TRACKS 64
#define PROBE_MS (90 * 1000)
#define AUDIBLE_DB (-50.0)
#define AUDIBLE_FRAMES 50 /* half a second in all */

struct ear {
    AVStream *stream;
    int number; /* from 1 */
    int rank;
    AVCodecContext *decoder;
    struct resample resample;
    int loud_frames;
};

static int rank_of(const struct cm_ctx *ctx, const AVStream *stream)
{
    const AVDictionaryEntry *tag = av_dict_get(stream->metadata, "language", NULL, 0);
    int rank = 0;
    if (avcodec_find_decoder(stream->codecpar->codec_id) == NULL)
        rank -= 100;
    if (stream->disposition & (AV_DISPOSITION_COMMENT | AV_DISPOSITION_VISUAL_IMPAIRED | AV_DISPOSITION_DESCRIPTIONS))
        rank -= 10;
    if (tag != NULL && strcmp(language_short(tag->value), ctx->language) == 0)
        rank += 4;
    if (stream->disposition & AV_DISPOSITION_DEFAULT)
        rank += 2;
    return rank;
}

static int by_rank(const void *a, const void *b)
{
    const struct ear *one = a, *other = b;
    return one->rank != other->rank ? other->rank - one->rank : one->number - other->number;
}

static size_t list_tracks(struct input *input, struct ear *ears)
{
    size_t count = 0;
    int number = 0;
    for (unsigned i = 0; i < input->format->nb_streams && count < MOST_TRACKS; i++) {
        AVStream *stream = input->format->streams[i];
        if (stream->codecpar->codec_type != AVMEDIA_TYPE_AUDIO)
            continue;
        number++;
        ears[count++] = (struct ear){.stream = stream, .number = number, .rank = rank_of(input->ctx, stream)};
    }
    return count;
}

/* ---- Listening to the first minute and a half of each ------------------------------------------- */

static void count_loud(void *to, const int16_t *samples, size_t count)
{
    struct ear *ear = to;
    for (size_t at = 0; at + MEDIA_FRAME_SAMPLES <= count; at += MEDIA_FRAME_SAMPLES) {
        double sum = 1;
        for (size_t i = 0; i < MEDIA_FRAME_SAMPLES; i++)
            sum += (double)samples[at + i] * samples[at + i];
        ear->loud_frames += 10 * log10(sum / MEDIA_FRAME_SAMPLES / 32768 / 32768) > AUDIBLE_DB;
    }
}

static void hear(struct ear *ear, const AVPacket *packet, AVFrame *frame)
{
    if (ear->decoder == NULL || avcodec_send_packet(ear->decoder, packet) < 0)
        return;
    while (avcodec_receive_frame(ear->decoder, frame) >= 0) {
        resample_frame(&ear->resample, frame, count_loud, ear);
        av_frame_unref(frame);
    }
}

static void listen(struct input *input, struct ear *ears, size_t count)
{
    AVPacket *packet = av_packet_alloc();
    AVFrame *frame = av_frame_alloc();
    for (size_t i = 0; i < count; i++)
        ears[i].decoder = input_decoder(ears[i].stream, 1);
    while (packet != NULL && frame != NULL && av_read_frame(input->format, packet) >= 0) {
        AVStream *stream = input->format->streams[packet->stream_index];
        int64_t at = input_position_us(input, stream, packet->pts);
        for (size_t i = 0; i < count; i++)
            if (ears[i].stream == stream)
                hear(&ears[i], packet, frame);
        av_packet_unref(packet);
        if (at != AV_NOPTS_VALUE && at / 1000 > PROBE_MS)
            break;
    }
    for (size_t i = 0; i < count; i++) {
        avcodec_free_context(&ears[i].decoder);
        resample_free(&ears[i].resample);
    }
    av_frame_free(&frame);
    av_packet_free(&packet);
}

/* ---- The choice ------------------------------------------------------------------------------- */

static const struct ear *first_audible(const struct ear *ears, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (ears[i].loud_frames >= AUDIBLE_FRAMES && ears[i].rank > -100)
            return &ears[i];
    return &ears[0];
}

static enum cm_verdict take(struct input *input, const struct ear *ear)
{
    struct cm_ctx *ctx = input->ctx;
    input->audio = ear->stream;
    input->audio_track = ear->number;
    if (avcodec_find_decoder(ear->stream->codecpar->codec_id) == NULL)
        return CM_FAIL(ctx, CM_CANNOT, CM_REASON_UNSUPPORTED,
                       "%s: its sound is coded as %s, which this FFmpeg cannot decode; convert it to AAC", input->path,
                       input_codec_name(ctx, ear->stream));
    return CM_OK;
}

static enum cm_verdict take_numbered(struct input *input, const struct ear *ears, size_t count, long number)
{
    for (size_t i = 0; i < count; i++)
        if (ears[i].number == number)
            return take(input, &ears[i]);
    return CM_FAIL(input->ctx, CM_CANNOT, CM_REASON_UNSUPPORTED,
                   "%s has %zu audio tracks; the option audio_track asks for number %ld", input->path, count, number);
}

/* Listens to all of them, opens the file afresh, and takes the first that can be heard. */
static enum cm_verdict take_audible(struct input *input, struct ear *ears, size_t count)
{
    struct cm_ctx *ctx = input->ctx;
    listen(input, ears, count);
    struct ear chosen = *first_audible(ears, count);
    int index = chosen.stream->index;
    enum cm_verdict verdict = input_reopen(input);
    if (verdict != CM_OK)
        return verdict;
    if ((unsigned)index >= input->format->nb_streams ||
        input->format->streams[index]->codecpar->codec_type != AVMEDIA_TYPE_AUDIO)
        return CM_FAIL(ctx, CM_REJECT, CM_REASON_NOT_MEDIA,
                       "%s is damaged: its tracks differ from one reading to the next", input->path);
    chosen.stream = input->format->streams[index];
    ctx->host->log(ctx, CM_LOG_INFO, "audio track %d of %zu is taken (language, default, then audible)", chosen.number,
                   count);
    return take(input, &chosen);
}

enum cm_verdict track_choose(struct input *input, const char *option)
{
    struct cm_ctx *ctx = input->ctx;
    struct ear ears[MOST_TRACKS];
    size_t count = list_tracks(input, ears);
    if (count == 0)
        return CM_FAIL(ctx, CM_REJECT, CM_REASON_NO_SPEECH, "%s has no sound: there is no speech to make clips of",
                       input->path);
    if (strcasecmp(option, "auto") != 0)
        return take_numbered(input, ears, count, strtol(option, NULL, 10));
    qsort(ears, count, sizeof(ears[0]), by_rank);
    return count == 1 ? take(input, &ears[0]) : take_audible(input, ears, count);
}
