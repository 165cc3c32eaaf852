/*
 * Prepares a video with FFmpeg's libraries: one pass over the file gives its facts, speech audio
 * cut at pauses, and cues for finding moments.
 *
 * SPDX-License-Identifier: MIT
 *
 *   open → choose the tracks → one pass: audio decoded, key frames looked at, text tracks read
 *        → judge → voice → chunks (FLAC) → cues, facts
 */
#include <clipmaker/plugin.h>
#include <libavutil/dict.h>
#include <libavutil/log.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../ffmpeg/input.h"
#include "facts.h"
#include "flac.h"
#include "hear.h"
#include "language.h"
#include "media.h"
#include "scene.h"
#include "texts.h"
#include "track.h"
#include "voice.h"

#define PASS_SHARE 0.9 /* of the progress: the rest is writing chunks */
#define CHECK_PACKETS 300
#define TOO_LATE_MS 1000

struct prepare {
    struct cm_ctx *ctx;
    const struct cm_prepare_request *request;
    const struct media_options *options;
    struct input input;
    struct hear hear;
    struct scenes scenes;
    struct texts texts;
    struct timing timing;
    int64_t duration_ms;
    struct voice_gate gate;
    struct spans speech, chunks;
};

static int64_t limit_ms(const struct prepare *p)
{
    return p->options->max_length_ms;
}

/* ---- The one pass ----------------------------------------------------------------------------- */

static void tell_progress(const struct prepare *p)
{
    double done = (double)p->input.at_byte / (double)p->input.bytes;
    p->ctx->host->progress(p->ctx, PASS_SHARE * (done > 1 ? 1 : done));
}

static void take_packet(struct prepare *p, AVPacket *packet)
{
    if (packet->stream_index == p->input.video->index) {
        timing_packet(&p->timing, &p->input, packet, limit_ms(p) * 1000);
        scenes_packet(&p->scenes, packet);
    } else if (packet->stream_index == p->input.audio->index) {
        hear_packet(&p->hear, packet);
    } else {
        texts_packet(&p->texts, packet);
    }
}

static void discard_others(struct prepare *p)
{
    for (unsigned i = 0; i < p->input.format->nb_streams; i++) {
        AVStream *stream = p->input.format->streams[i];
        if (stream != p->input.video && stream != p->input.audio &&
            stream->codecpar->codec_type != AVMEDIA_TYPE_SUBTITLE)
            stream->discard = AVDISCARD_ALL;
    }
}

/* A file that was cut off, or whose rest is damaged, plays to there: a read error ends the pass. */
static enum cm_verdict pass(struct prepare *p)
{
    struct cm_ctx *ctx = p->ctx;
    AVPacket *packet = av_packet_alloc();
    int stopped = 0;
    if (packet == NULL)
        return CM_FAIL(ctx, CM_AGAIN, CM_REASON_RESOURCE, "out of memory");
    discard_others(p);
    for (int64_t i = 0; !stopped && p->hear.sound.error == 0 && av_read_frame(p->input.format, packet) >= 0; i++) {
        take_packet(p, packet);
        av_packet_unref(packet);
        if (i % 64 == 0)
            tell_progress(p);
        stopped = ctx->host->stopping(ctx);
    }
    av_packet_free(&packet);
    if (stopped || ctx->host->stopping(ctx))
        return CM_FAIL(ctx, CM_AGAIN, CM_REASON_STOPPED, "stopped while reading %s", p->input.path);
    hear_packet(&p->hear, NULL);
    int error = sound_finish(&p->hear.sound);
    return error == 0 ? CM_OK : media_write_failed(ctx, "the speech audio", error);
}

/* ---- Is it something to work with? ------------------------------------------------------------ */

static int decodes_one(struct input *input, AVCodecContext *decoder, AVPacket *packet, AVFrame *frame)
{
    int got = 0;
    for (int i = 0; !got && i < CHECK_PACKETS && av_read_frame(input->format, packet) >= 0;) {
        if (packet->stream_index == input->video->index) {
            i++;
            if (avcodec_send_packet(decoder, packet) >= 0)
                got = avcodec_receive_frame(decoder, frame) >= 0;
        }
        av_packet_unref(packet);
    }
    if (!got && avcodec_send_packet(decoder, NULL) >= 0)
        got = avcodec_receive_frame(decoder, frame) >= 0;
    return got;
}

/* Key frames gave nothing; a stream without marked ones may still play. */
static int picture_decodes(struct prepare *p)
{
    struct input again;
    AVPacket *packet = av_packet_alloc();
    AVFrame *frame = av_frame_alloc();
    int opened = input_open(&again, p->ctx, p->input.path) == CM_OK && packet != NULL && frame != NULL;
    AVCodecContext *decoder = opened ? input_decoder(again.video, 1) : NULL;
    int got = decoder != NULL && decodes_one(&again, decoder, packet, frame);
    avcodec_free_context(&decoder);
    input_close(&again);
    av_frame_free(&frame);
    av_packet_free(&packet);
    return got;
}

static void measure_length(struct prepare *p)
{
    int64_t sound_ms = p->hear.sound.end / (MEDIA_RATE / 1000), picture_ms = p->timing.end_us / 1000;
    p->duration_ms = sound_ms > picture_ms ? sound_ms : picture_ms;
}

static void log_oddities(const struct prepare *p)
{
    struct cm_ctx *ctx = p->ctx;
    const struct hear *hear = &p->hear;
    if (hear->jumps > 0)
        ctx->host->log(ctx, CM_LOG_WARN,
                       "the sound's timestamps jump %lld times: gaps are silent, %lld ms that lie before what was "
                       "heard are left out",
                       (long long)hear->jumps, (long long)(hear->sound.early / (MEDIA_RATE / 1000)));
    if (hear->lost > 0)
        ctx->host->log(ctx, CM_LOG_WARN, "%lld frames of sound are stamped as lying after %lld minutes: left out",
                       (long long)hear->lost, (long long)(limit_ms(p) / 60000));
    if (hear->bad_packets > 0)
        ctx->host->log(ctx, CM_LOG_WARN, "%lld damaged packets of sound were left out", (long long)hear->bad_packets);
    if (p->scenes.seen < p->scenes.tried)
        ctx->host->log(ctx, CM_LOG_WARN, "%lld of %lld key frames could not be decoded",
                       (long long)(p->scenes.tried - p->scenes.seen), (long long)p->scenes.tried);
}

static enum cm_verdict judge_length(struct prepare *p)
{
    struct cm_ctx *ctx = p->ctx;
    int64_t shortest_ms = p->request->min_clip_ms;
    if (p->hear.sound.late > TOO_LATE_MS * (MEDIA_RATE / 1000))
        return CM_FAIL(ctx, CM_REJECT, CM_REASON_TOO_LARGE,
                       "%s is longer than %lld minutes: cut it, or raise the option max_length", p->input.path,
                       (long long)(limit_ms(p) / 60000));
    if (p->duration_ms < shortest_ms)
        return CM_FAIL(ctx, CM_REJECT, CM_REASON_TOO_SHORT,
                       "%s lasts %lld.%lld s, which is shorter than the shortest clip asked for (%lld.%lld s): give a "
                       "longer video, or allow shorter clips",
                       p->input.path, (long long)(p->duration_ms / 1000), (long long)(p->duration_ms / 100 % 10),
                       (long long)(shortest_ms / 1000), (long long)(shortest_ms / 100 % 10));
    return CM_OK;
}

static enum cm_verdict judge(struct prepare *p)
{
    struct cm_ctx *ctx = p->ctx;
    const char *path = p->input.path;
    measure_length(p);
    log_oddities(p);
    if (p->timing.count == 0 && p->hear.frames == 0)
        return CM_FAIL(ctx, CM_REJECT, CM_REASON_NOT_MEDIA, "%s is empty: its tracks hold no picture and no sound",
                       path);
    enum cm_verdict verdict = judge_length(p);
    if (verdict != CM_OK)
        return verdict;
    if (p->hear.frames == 0 && p->hear.bad_packets > 0)
        return CM_FAIL(ctx, CM_REJECT, CM_REASON_NOT_MEDIA, "%s: none of its sound (%s) can be decoded", path,
                       input_codec_name(ctx, p->input.audio));
    if (p->hear.frames == 0)
        return CM_FAIL(ctx, CM_REJECT, CM_REASON_NO_SPEECH, "%s has a track for sound with nothing in it", path);
    p->gate = voice_gate(&p->hear.sound.levels);
    if (p->gate.finding == VOICE_STEADY)
        return CM_FAIL(ctx, CM_REJECT, CM_REASON_NO_SPEECH,
                       "nobody speaks in %s: its sound is one steady noise or tone", path);
    voice_find(&p->hear.sound.levels, &p->gate, &p->speech);
    if (p->gate.finding == VOICE_SILENT || p->speech.count == 0)
        return CM_FAIL(ctx, CM_REJECT, CM_REASON_NO_SPEECH, "nobody speaks in %s: its sound is silent", path);
    return CM_OK;
}

/* ---- What comes of it ------------------------------------------------------------------------- */

static void emit_speech_of(const struct prepare *p, const struct span *chunk)
{
    for (size_t i = 0; i < p->speech.count; i++) {
        const struct span *item = &p->speech.items[i];
        struct cm_interval interval = {sizeof(interval), item->start_ms, item->end_ms, item->value};
        if (item->start_ms >= chunk->start_ms && item->end_ms <= chunk->end_ms)
            p->ctx->host->emit_speech(p->ctx, &interval);
    }
}

static enum cm_verdict emit_chunks(struct prepare *p)
{
    struct cm_ctx *ctx = p->ctx;
    voice_chunks(&p->hear.sound.levels, p->options->chunk_ms, &p->speech, &p->chunks);
    for (size_t i = 0; i < p->chunks.count; i++) {
        const struct span *chunk = &p->chunks.items[i];
        const char *name = ctx->host->format(ctx, "chunk-%04zu.flac", i + 1);
        if (ctx->host->stopping(ctx))
            return CM_FAIL(ctx, CM_AGAIN, CM_REASON_STOPPED, "stopped while writing speech audio");
        /* The silence up to the next chunk is left out of the audio. */
        enum cm_verdict verdict = flac_write(ctx, &p->hear.sound, chunk->start_ms, (int64_t)chunk->value, name);
        if (verdict != CM_OK)
            return verdict;
        emit_speech_of(p, chunk);
        struct cm_chunk made = {sizeof(made), name, chunk->start_ms, chunk->end_ms};
        ctx->host->emit_chunk(ctx, &made);
        ctx->host->progress(ctx, PASS_SHARE + (1 - PASS_SHARE) * (double)(i + 1) / (double)p->chunks.count);
    }
    return CM_OK;
}

static void emit_spans(struct cm_ctx *ctx, uint32_t kind, struct spans *spans)
{
    for (size_t i = 0; i < spans->count; i++) {
        struct cm_cue cue = {sizeof(cue), kind, spans->items[i].start_ms, spans->items[i].end_ms,
                             spans->items[i].value};
        ctx->host->emit_cue(ctx, &cue);
    }
    spans_free(spans);
}

static void emit_cues(struct prepare *p)
{
    const struct levels *levels = &p->hear.sound.levels;
    struct spans found = {0};
    voice_silences(levels, &p->speech, p->duration_ms, &found);
    emit_spans(p->ctx, CM_CUE_SILENCE, &found);
    voice_loud(levels, &p->gate, &found);
    emit_spans(p->ctx, CM_CUE_LOUD, &found);
    voice_bursts(levels, &p->gate, &found);
    emit_spans(p->ctx, CM_CUE_BURST, &found);
    for (size_t i = 0; i < levels->count; i += 1000 / MEDIA_FRAME_MS)
        spans_add(&found, (int64_t)i * MEDIA_FRAME_MS, (int64_t)i * MEDIA_FRAME_MS + 1000,
                  levels_mean_db(levels, i, i + 1000 / MEDIA_FRAME_MS));
    emit_spans(p->ctx, CM_CUE_LEVEL, &found);
    for (size_t i = 0; i < p->scenes.count; i++)
        spans_add(&found, p->scenes.cuts[i].at_ms, p->scenes.cuts[i].at_ms + 1, p->scenes.cuts[i].strength);
    emit_spans(p->ctx, CM_CUE_SCENE, &found);
}

static void emit_facts(struct prepare *p)
{
    struct cm_ctx *ctx = p->ctx;
    double lufs = hear_loudness(&p->hear);
    int64_t speech_ms = 0;
    for (size_t i = 0; i < p->speech.count; i++)
        speech_ms += p->speech.items[i].end_ms - p->speech.items[i].start_ms;
    facts_int(ctx, "duration_ms", p->duration_ms);
    facts_int(ctx, "start_us", p->input.start_us);
    facts_int(ctx, "speech_ms", speech_ms);
    if (isfinite(lufs))
        facts_real(ctx, "loudness_lufs", lufs);
    facts_picture(&p->input, &p->timing);
    facts_sound(&p->input);
}

/* What the job says, or else the mark on the audio track; "" when neither tells. */
static const char *spoken_language(const struct prepare *p)
{
    const AVDictionaryEntry *tag = av_dict_get(p->input.audio->metadata, "language", NULL, 0);
    if (strcmp(p->ctx->language, "auto") != 0)
        return p->ctx->language;
    return language_short(tag == NULL ? NULL : tag->value);
}

static enum cm_verdict finish(struct prepare *p)
{
    if (p->scenes.seen == 0 && !picture_decodes(p))
        return CM_FAIL(p->ctx, CM_REJECT, CM_REASON_NOT_MEDIA, "%s: none of its picture can be decoded", p->input.path);
    emit_facts(p);
    emit_cues(p);
    enum cm_verdict verdict = texts_emit(&p->texts, spoken_language(p));
    return verdict == CM_OK ? emit_chunks(p) : verdict;
}

static enum cm_verdict prepare_all(struct prepare *p)
{
    enum cm_verdict verdict = input_open(&p->input, p->ctx, p->request->media_path);
    if (verdict == CM_OK)
        verdict = track_choose(&p->input, p->options->audio_track);
    if (verdict == CM_OK)
        verdict = hear_open(&p->hear, &p->input, limit_ms(p));
    if (verdict != CM_OK)
        return verdict;
    scenes_open(&p->scenes, &p->input);
    texts_open(&p->texts, &p->input);
    verdict = pass(p);
    if (verdict == CM_OK)
        verdict = judge(p);
    return verdict == CM_OK ? finish(p) : verdict;
}

static enum cm_verdict prepare(struct cm_ctx *ctx, const struct cm_prepare_request *request)
{
    struct prepare *p = calloc(1, sizeof(*p));
    if (p == NULL)
        abort();
    *p = (struct prepare){.ctx = ctx, .request = request, .options = ctx->options, .input.fd = -1, .hear.sound.fd = -1};
    /* FFmpeg would write to stderr from its own threads; what matters is said by us. */
    av_log_set_level(AV_LOG_QUIET);
    enum cm_verdict verdict = prepare_all(p);
    hear_close(&p->hear);
    scenes_close(&p->scenes);
    texts_close(&p->texts);
    spans_free(&p->speech);
    spans_free(&p->chunks);
    input_close(&p->input);
    free(p);
    return verdict;
}

/* ---- The plugin ------------------------------------------------------------------------------- */

static const struct cm_option options[] = {
    CM_OPT_TIME(struct media_options, chunk_ms, "chunk", "3m", 10000, 1800000,
                "longest piece of speech audio, cut at a pause"),
    CM_OPT_STRING(struct media_options, audio_track, "audio_track", "auto",
                  "which audio track to use: a number from 1, or auto: by language, default mark, then audibility"),
    CM_OPT_TIME(struct media_options, max_length_ms, "max_length", "12h", 60000, 172800000, "longer media is refused"),
    CM_OPT_END,
};

static const struct cm_prepare_ops ops = {.size = sizeof(ops), .prepare = prepare};

CM_PLUGIN_LOCAL(CM_STAGE_PREPARE, "media_ffmpeg", "1.0", "Reads a video: facts, speech audio cut at pauses, and cues",
                options, struct media_options, ops);
