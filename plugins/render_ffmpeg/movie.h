/*
 * The MP4 being written: H.264 pictures at a constant rate and ready AAC packets, interleaved.
 */
#ifndef RENDER_MOVIE_H
#define RENDER_MOVIE_H

#include "aac.h"
#include "canvas.h"
#include "document.h"

struct movie {
    struct cm_ctx *ctx;
    const char *path;
    AVFormatContext *format;
    AVCodecContext *encoder;
    AVStream *video, *audio;
    AVPacket *packet;
    AVFrame *frame;
    AVRational rate;
    const struct aac *aac;
    size_t next_audio;
    int64_t pictures;
    int wrote_head;
};

/* movie_close is needed whatever it returns. */
enum cm_verdict movie_open(struct movie *movie, struct cm_ctx *ctx, const char *path, const struct document *document,
                           AVRational rate, const struct aac *aac);
/* A canvas to draw the next picture on; NULL when memory is out. */
int movie_canvas(struct movie *movie, struct canvas *canvas);
/* The picture on that canvas is done. */
enum cm_verdict movie_add(struct movie *movie);
/* No more pictures: the file is whole when this returns CM_OK. */
enum cm_verdict movie_finish(struct movie *movie);
void movie_close(struct movie *movie);

#endif
