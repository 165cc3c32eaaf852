/*
 * The media file, opened as the hostile thing it may be: one descriptor, no other file that it
 * names, its streams chosen, its time line found.
 */
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IO_BUFFER_BYTES (64 * 1024)
#define MOST_STREAMS 256
#define MOST_PIXELS (16384LL * 8192) /* 8K has a quarter of that */
#define LARGE_PIXELS (4096 * 2304)   /* above it, frames in flight of several threads cost too much memory */

/* ---- The one descriptor ----------------------------------------------------------------------- */

static int read_some(void *opaque, uint8_t *buffer, int size)
{
    struct input *input = opaque;
    ssize_t got;
    do
        got = pread(input->fd, buffer, (size_t)size, (off_t)input->at_byte);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        return got == 0 ? AVERROR_EOF : AVERROR(errno);
    input->at_byte += got;
    return (int)got;
}

static int64_t seek_to(void *opaque, int64_t offset, int whence)
{
    struct input *input = opaque;
    if (whence & AVSEEK_SIZE)
        return input->bytes;
    whence &= ~AVSEEK_FORCE;
    int64_t base = whence == SEEK_CUR ? input->at_byte : whence == SEEK_END ? input->bytes : 0;
    if (offset > INT64_MAX / 2 || base + offset < 0)
        return AVERROR(EINVAL);
    input->at_byte = base + offset;
    return input->at_byte;
}

/* A container that points at other files (references, playlists) does not get them. */
static int refuse_open(AVFormatContext *format, AVIOContext **io, const char *url, int flags, AVDictionary **options)
{
    (void)format, (void)url, (void)flags, (void)options;
    *io = NULL;
    return AVERROR(EACCES);
}

static int interrupted(void *opaque)
{
    struct cm_ctx *ctx = opaque;
    return ctx->host->stopping(ctx);
}

static enum cm_verdict open_descriptor(struct input *input)
{
    struct cm_ctx *ctx = input->ctx;
    struct stat status;
    input->fd = open(input->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (input->fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return render_fail(ctx, CM_REJECT, CM_REASON_NOT_FOUND, "%s: no such file", input->path);
    if (input->fd < 0)
        return render_fail(ctx, CM_REJECT, CM_REASON_INPUT, "%s cannot be opened: %s", input->path, strerror(errno));
    if (fstat(input->fd, &status) != 0 || !S_ISREG(status.st_mode))
        return render_fail(ctx, CM_REJECT, CM_REASON_NOT_MEDIA, "%s is not a file: give a video file", input->path);
    input->bytes = status.st_size;
    return CM_OK;
}

static enum cm_verdict open_container(struct input *input)
{
    struct cm_ctx *ctx = input->ctx;
    const AVInputFormat *found = NULL;
    uint8_t *buffer = av_malloc(IO_BUFFER_BYTES);
    input->io = avio_alloc_context(buffer, IO_BUFFER_BYTES, 0, input, read_some, NULL, seek_to);
    input->format = avformat_alloc_context();
    if (buffer == NULL || input->io == NULL || input->format == NULL)
        return render_fail(ctx, CM_AGAIN, CM_REASON_RESOURCE, "out of memory");
    if (av_probe_input_buffer2(input->io, &found, "", NULL, 0, 0) < 0 || found == NULL ||
        (found->flags & AVFMT_NOFILE) != 0)
        return render_fail(ctx, CM_REJECT, CM_REASON_NOT_MEDIA, "%s is not a video", input->path);
    input->format->pb = input->io;
    input->format->flags |= AVFMT_FLAG_CUSTOM_IO;
    input->format->io_open = refuse_open;
    input->format->interrupt_callback = (AVIOInterruptCB){interrupted, ctx};
    input->format->max_streams = MOST_STREAMS;
    if (avformat_open_input(&input->format, "", found, NULL) >= 0 &&
        avformat_find_stream_info(input->format, NULL) >= 0)
        return CM_OK;
    if (ctx->host->stopping(ctx))
        return render_fail(ctx, CM_AGAIN, CM_REASON_STOPPED, "stopped while opening %s", input->path);
    return render_fail(ctx, CM_REJECT, CM_REASON_NOT_MEDIA, "%s is damaged: it begins like %s, but cannot be read",
                       input->path, found->name);
}

/* ---- Streams: chosen by the same rules as in the step that prepared the media -------------------- */

static int is_moving_picture(const AVStream *stream)
{
    return stream->codecpar->codec_type == AVMEDIA_TYPE_VIDEO &&
           !(stream->disposition &
             (AV_DISPOSITION_ATTACHED_PIC | AV_DISPOSITION_TIMED_THUMBNAILS | AV_DISPOSITION_STILL_IMAGE));
}

/* The default one first, then the largest. */
static int64_t picture_rank(const AVStream *stream)
{
    int64_t area = (int64_t)stream->codecpar->width * stream->codecpar->height;
    return area + ((stream->disposition & AV_DISPOSITION_DEFAULT) ? INT64_C(1) << 40 : 0);
}

static int audio_rank(const AVStream *stream, int number, int wanted)
{
    if (avcodec_find_decoder(stream->codecpar->codec_id) == NULL)
        return -1;
    return number == wanted ? 3 : (stream->disposition & AV_DISPOSITION_DEFAULT) ? 2 : 1;
}

static enum cm_verdict choose_streams(struct input *input, int audio_track)
{
    int tracks = 0, best = 0;
    for (unsigned i = 0; i < input->format->nb_streams; i++) {
        AVStream *stream = input->format->streams[i];
        if (is_moving_picture(stream) && (input->video == NULL || picture_rank(stream) > picture_rank(input->video)))
            input->video = stream;
        if (stream->codecpar->codec_type != AVMEDIA_TYPE_AUDIO)
            continue;
        int rank = audio_rank(stream, ++tracks, audio_track);
        if (rank > best) {
            best = rank;
            input->audio = stream;
        }
    }
    if (input->video == NULL)
        return render_fail(input->ctx, CM_REJECT, CM_REASON_NOT_MEDIA, "%s holds no picture", input->path);
    return CM_OK;
}

void input_only(struct input *input, const AVStream *stream)
{
    for (unsigned i = 0; i < input->format->nb_streams; i++)
        input->format->streams[i]->discard = input->format->streams[i] == stream ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
}

AVCodecContext *input_decoder(const AVStream *stream, int threads)
{
    const AVCodec *codec = avcodec_find_decoder(stream->codecpar->codec_id);
    AVCodecContext *decoder = codec == NULL ? NULL : avcodec_alloc_context3(codec);
    if (decoder == NULL)
        return NULL;
    int64_t pixels = (int64_t)stream->codecpar->width * stream->codecpar->height;
    decoder->thread_count = pixels > LARGE_PIXELS ? 1 : threads;
    decoder->max_pixels = MOST_PIXELS;
    if (avcodec_parameters_to_context(decoder, stream->codecpar) < 0)
        avcodec_free_context(&decoder);
    if (decoder == NULL)
        return NULL;
    decoder->pkt_timebase = stream->time_base;
    if (avcodec_open2(decoder, codec, NULL) < 0)
        avcodec_free_context(&decoder);
    return decoder;
}

/* ---- Time ------------------------------------------------------------------------------------- */

int64_t input_position_us(const struct input *input, const AVStream *stream, int64_t timestamp)
{
    if (timestamp == AV_NOPTS_VALUE || stream->time_base.num <= 0 || stream->time_base.den <= 0)
        return AV_NOPTS_VALUE;
    int64_t us = av_rescale_q(timestamp, stream->time_base, AV_TIME_BASE_Q);
    /* A hostile timestamp may be anywhere; the difference must not overflow. */
    if (us < -(INT64_MAX / 4) || us > INT64_MAX / 4)
        return AV_NOPTS_VALUE;
    return us - input->start_us;
}

int input_seek(struct input *input, const AVStream *stream, int64_t position_us)
{
    int64_t at = av_rescale_q(position_us + input->start_us, AV_TIME_BASE_Q, stream->time_base);
    return avformat_seek_file(input->format, stream->index, INT64_MIN, at, at, 0);
}

/* ---- Life ------------------------------------------------------------------------------------- */

enum cm_verdict input_open(struct input *input, struct cm_ctx *ctx, const char *path, int audio_track)
{
    *input = (struct input){.ctx = ctx, .path = path, .fd = -1};
    enum cm_verdict verdict = open_descriptor(input);
    if (verdict == CM_OK)
        verdict = open_container(input);
    if (verdict == CM_OK)
        verdict = choose_streams(input, audio_track);
    if (verdict == CM_OK && llabs(input->format->start_time) < INT64_MAX / 4)
        input->start_us = input->format->start_time;
    if (verdict == CM_OK && input->format->duration > 0 && input->format->duration < INT64_MAX / 4)
        input->length_us = input->format->duration;
    return verdict;
}

void input_close(struct input *input)
{
    avformat_close_input(&input->format);
    if (input->io != NULL)
        av_freep(&input->io->buffer);
    avio_context_free(&input->io);
    if (input->fd > 0)
        close(input->fd);
    input->fd = -1;
}
