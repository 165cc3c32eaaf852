/*
 * Text tracks inside the container (subtitles), written out as .srt.
 */
#include "texts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libavutil/dict.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "language.h"
#include "media.h"

#define MOST_BYTES (16 * 1024 * 1024) /* of one track */
#define UNTIMED_MS 4000               /* shown that long when the container does not say */

void texts_open(struct texts *texts, struct input *input)
{
    *texts = (struct texts){.input = input};
    for (unsigned i = 0; i < input->format->nb_streams && texts->count < TEXTS_MOST; i++) {
        AVStream *stream = input->format->streams[i];
        const AVCodecDescriptor *codec = avcodec_descriptor_get(stream->codecpar->codec_id);
        if (stream->codecpar->codec_type != AVMEDIA_TYPE_SUBTITLE || codec == NULL ||
            !(codec->props & AV_CODEC_PROP_TEXT_SUB))
            continue;
        /* "Forced" ones hold only what is said in another language. */
        AVCodecContext *decoder = (stream->disposition & AV_DISPOSITION_FORCED) ? NULL : input_decoder(stream, 1);
        if (decoder != NULL)
            texts->tracks[texts->count++] = (struct text_track){.stream = stream, .decoder = decoder};
    }
}

/* ---- Plain words out of ASS ------------------------------------------------------------------- */

/* "ReadOrder,Layer,Style,Name,MarginL,MarginR,MarginV,Effect,Text": the text is behind 8 commas. */
static const char *event_text(const char *event)
{
    for (int commas = 0; commas < 8; commas++) {
        const char *comma = strchr(event, ',');
        if (comma == NULL)
            return event;
        event = comma + 1;
    }
    return event;
}

char *texts_plain(const char *event)
{
    const char *from = event_text(event);
    char *plain = malloc(strlen(from) + 1), *to = plain;
    if (plain == NULL)
        abort();
    while (*from != '\0') {
        const char *close = *from == '{' ? strchr(from, '}') : NULL;
        if (close != NULL) {
            from = close + 1;
        } else if (from[0] == '\\' && (from[1] == 'N' || from[1] == 'n' || from[1] == 'h')) {
            *to++ = from[1] == 'h' ? ' ' : '\n';
            from += 2;
        } else if (*from == '\r') {
            from++;
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
    return plain;
}

/* ---- Packets ---------------------------------------------------------------------------------- */

static void keep(struct text_track *track, int64_t start_ms, int64_t end_ms, char *text)
{
    size_t bytes = strlen(text);
    if (bytes == 0 || track->bytes + bytes > MOST_BYTES) {
        free(text);
        return;
    }
    track->bytes += bytes;
    track->lines = media_grow(track->lines, &track->room, track->count, sizeof(track->lines[0]));
    track->lines[track->count++] = (struct text_line){start_ms, end_ms, text};
}

static void decode(struct texts *texts, struct text_track *track, AVPacket *packet)
{
    AVSubtitle subtitle = {0};
    int got = 0;
    int64_t at_us = input_position_us(texts->input, track->stream, packet->pts);
    int64_t lasts_us = av_rescale_q(packet->duration, track->stream->time_base, AV_TIME_BASE_Q);
    if (at_us == AV_NOPTS_VALUE || at_us < 0)
        return;
    if (avcodec_decode_subtitle2(track->decoder, &subtitle, &got, packet) < 0 || !got)
        return;
    int64_t start_ms = at_us / 1000 + subtitle.start_display_time;
    int64_t lasts_ms = lasts_us > 0 && lasts_us < INT64_C(3600000000) ? lasts_us / 1000 : 0;
    if (lasts_ms == 0 && subtitle.end_display_time != UINT32_MAX &&
        subtitle.end_display_time > subtitle.start_display_time)
        lasts_ms = subtitle.end_display_time - subtitle.start_display_time;
    for (unsigned i = 0; i < subtitle.num_rects; i++) {
        const AVSubtitleRect *rect = subtitle.rects[i];
        if (rect->ass != NULL)
            keep(track, start_ms, start_ms + lasts_ms, texts_plain(rect->ass));
        else if (rect->text != NULL)
            keep(track, start_ms, start_ms + lasts_ms, texts_plain(rect->text));
    }
    avsubtitle_free(&subtitle);
}

void texts_packet(struct texts *texts, AVPacket *packet)
{
    for (size_t i = 0; i < texts->count; i++)
        if (texts->tracks[i].stream->index == packet->stream_index && packet->size > 0)
            decode(texts, &texts->tracks[i], packet);
}

/* ---- Files ------------------------------------------------------------------------------------ */

static int by_start(const void *a, const void *b)
{
    const struct text_line *one = a, *other = b;
    return (one->start_ms > other->start_ms) - (one->start_ms < other->start_ms);
}

static void write_clock(FILE *file, int64_t ms)
{
    fprintf(file, "%02" PRId64 ":%02" PRId64 ":%02" PRId64 ",%03" PRId64, ms / 3600000, ms / 60000 % 60, ms / 1000 % 60,
            ms % 1000);
}

/* An empty line would end the cue early. */
static void write_text(FILE *file, const char *text)
{
    char last = '\n';
    for (; *text != '\0'; text++) {
        if (*text != '\n' || last != '\n')
            fputc(*text, file);
        last = *text;
    }
    fputs(last == '\n' ? "\n" : "\n\n", file);
}

static void write_lines(FILE *file, struct text_track *track)
{
    qsort(track->lines, track->count, sizeof(track->lines[0]), by_start);
    for (size_t i = 0; i < track->count; i++) {
        struct text_line *line = &track->lines[i];
        if (line->end_ms <= line->start_ms)
            line->end_ms = line->start_ms + UNTIMED_MS;
        fprintf(file, "%zu\n", i + 1);
        write_clock(file, line->start_ms);
        fputs(" --> ", file);
        write_clock(file, line->end_ms);
        fputc('\n', file);
        write_text(file, line->text);
    }
}

static enum cm_verdict write_track(struct cm_ctx *ctx, struct text_track *track, const char *name)
{
    const char *path = ctx->host->output(ctx, name), *part = ctx->host->format(ctx, "%s.part", path);
    FILE *file = fopen(part, "we");
    if (file == NULL)
        return media_write_failed(ctx, path, errno);
    write_lines(file, track);
    int bad = fflush(file) != 0 || ferror(file) || fsync(fileno(file)) != 0;
    int error = errno;
    bad |= fclose(file) != 0;
    if (!bad && rename(part, path) != 0) {
        error = errno;
        bad = 1;
    }
    return bad ? media_write_failed(ctx, path, error) : CM_OK;
}

static const char *language_of(const struct text_track *track)
{
    const AVDictionaryEntry *tag = av_dict_get(track->stream->metadata, "language", NULL, 0);
    return language_short(tag == NULL ? NULL : tag->value);
}

static enum cm_verdict emit_track(struct cm_ctx *ctx, struct text_track *track, int number)
{
    const char *name = ctx->host->format(ctx, "captions-%d.srt", number);
    struct cm_file file = {.size = sizeof(file), .role = "captions", .file = name, .note = language_of(track)};
    enum cm_verdict verdict = write_track(ctx, track, name);
    if (verdict == CM_OK)
        ctx->host->emit_file(ctx, &file);
    return verdict;
}

/* Tracks in the language of the speech come first: the first one is what gets read. */
enum cm_verdict texts_emit(struct texts *texts, const char *language)
{
    enum cm_verdict verdict = CM_OK;
    int number = 0;
    for (int wanted = 1; wanted >= 0; wanted--)
        for (size_t i = 0; i < texts->count && verdict == CM_OK; i++) {
            struct text_track *track = &texts->tracks[i];
            if (track->count > 0 && (strcmp(language_of(track), language) == 0) == wanted)
                verdict = emit_track(texts->input->ctx, track, ++number);
        }
    return verdict;
}

void texts_close(struct texts *texts)
{
    for (size_t i = 0; i < texts->count; i++) {
        for (size_t line = 0; line < texts->tracks[i].count; line++)
            free(texts->tracks[i].lines[line].text);
        free(texts->tracks[i].lines);
        avcodec_free_context(&texts->tracks[i].decoder);
    }
    *texts = (struct texts){0};
}
