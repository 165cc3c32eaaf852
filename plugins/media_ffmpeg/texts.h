/*
 * Text tracks inside the container (subtitles), written out as .srt.
 */
#ifndef MEDIA_TEXTS_H
#define MEDIA_TEXTS_H

#include "../ffmpeg/input.h"

#define TEXTS_MOST 16 /* tracks */

struct text_line {
    int64_t start_ms, end_ms; /* end_ms = start_ms: not told */
    char *text;
};

struct text_track {
    AVStream *stream;
    AVCodecContext *decoder;
    struct text_line *lines;
    size_t count, room, bytes;
};

struct texts {
    struct input *input;
    struct text_track tracks[TEXTS_MOST];
    size_t count;
};

void texts_open(struct texts *texts, struct input *input);
void texts_packet(struct texts *texts, AVPacket *packet); /* of any stream; others are ignored */
/* Writes and emits each track; those in this language (of the speech, as far as known) first. */
enum cm_verdict texts_emit(struct texts *texts, const char *language);
void texts_close(struct texts *texts);

/* The words of one ASS event line, as libavcodec gives it, without its style: malloc'd. */
char *texts_plain(const char *event);

#endif
