/*
 * The media file, opened as the hostile thing it may be: one descriptor, no other file or network
 * address that it names, its streams chosen, its time line found.
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
#define LARGE_PIXELS (4096 * 2304)   /* above it, frames in flight of several threads cost too much memory */
#define MOST_PIXELS (16384LL * 8192) /* 8K has a quarter of that */

/* Containers, by libavformat's name for the demuxer. Playlists are not here: they name other files. */
enum kind {
    KIND_VIDEO = 1,
    KIND_SOUND,
    KIND_PICTURE,
    KIND_PLAYLIST
};
static const struct {
    const char *name;
    enum kind kind;
} known[] = {
    {"mov,mp4,m4a,3gp,3g2,mj2", KIND_VIDEO},
    {"matroska,webm", KIND_VIDEO},
    {"avi", KIND_VIDEO},
    {"mpegts", KIND_VIDEO},
    {"mpeg", KIND_VIDEO},
    {"flv", KIND_VIDEO},
    {"live_flv", KIND_VIDEO},
    {"kux", KIND_VIDEO},
    {"asf", KIND_VIDEO},
    {"asf_o", KIND_VIDEO},
    {"ogg", KIND_VIDEO},
    {"mxf", KIND_VIDEO},
    {"gxf", KIND_VIDEO},
    {"nut", KIND_VIDEO},
    {"wtv", KIND_VIDEO},
    {"dv", KIND_VIDEO},
    {"rm", KIND_VIDEO},
    {"ivf", KIND_VIDEO},
    {"wav", KIND_SOUND},
    {"w64", KIND_SOUND},
    {"mp3", KIND_SOUND},
    {"flac", KIND_SOUND},
    {"aac", KIND_SOUND},
    {"ac3", KIND_SOUND},
    {"eac3", KIND_SOUND},
    {"aiff", KIND_SOUND},
    {"au", KIND_SOUND},
    {"amr", KIND_SOUND},
    {"caf", KIND_SOUND},
    {"ape", KIND_SOUND},
    {"wv", KIND_SOUND},
    {"dts", KIND_SOUND},
    {"tta", KIND_SOUND},
    {"gif", KIND_PICTURE},
    {"apng", KIND_PICTURE},
    {"image2", KIND_PICTURE},
    {"hls", KIND_PLAYLIST},
    {"dash", KIND_PLAYLIST},
    {"concat", KIND_PLAYLIST},
    {"sdp", KIND_PLAYLIST},
};

static enum kind kind_of(const char *name)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(known[i].name, name) == 0)
            return known[i].kind;
    size_t length = strlen(name);
    return length > 5 && strcmp(name + length - 5, "_pipe") == 0 ? KIND_PICTURE : 0;
}

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
        return CM_FAIL(ctx, CM_REJECT, CM_REASON_NOT_FOUND, "%s: no such file", input->path);
    if (input->fd < 0)
        return CM_FAIL(ctx, CM_REJECT, CM_REASON_INPUT, "%s cannot be opened: %s", input->path, strerror(errno));
    if (fstat(input->fd, &status) != 0 || !S_ISREG(status.st_mode))
        return CM_FAIL(ctx, CM_REJECT, CM_REASON_NOT_MEDIA, "%s is not a file: give a video file", input->path);
    if (status.st_size == 0)
        return CM_FAIL(ctx, CM_REJECT, CM_REASON_NOT_MEDIA, "%s is an empty file: was it copied completely?",
                       input->path);
    input->bytes = status.st_size;
    return CM_OK;
}

/* ---- What it is ------------------------------------------------------------------------------- */

/* True when an MP4 carries no `moov`: the recording or the download was cut off. */
static int lacks_index(const struct input *input)
{
    int64_t at = 0;
    for (int boxes = 0; boxes < 10000 && at + 8 <= input->bytes; boxes++) {
        uint8_t head[16] = {0};
        if (pread(input->fd, head, sizeof(head), (off_t)at) < 8)
            return 1;
        if (memcmp(head + 4, "moov", 4) == 0 || memcmp(head + 4, "moof", 4) == 0)
            return 0;
        uint64_t size = (uint64_t)head[0] << 24 | (uint64_t)head[1] << 16 | (uint64_t)head[2] << 8 | head[3];
        if (size == 1)
            for (int i = 8; i < 16; i++)
                size = size << 8 | head[i];
        if (size < 8 || size > (uint64_t)(input->bytes - at))
            return 1;
        at += (int64_t)size;
    }
    return 1;
}

static const char *format_name(const AVInputFormat *format)
{
    return format->long_name != NULL ? format->long_name : format->name;
}

static enum cm_verdict not_a_video(struct input *input, const AVInputFormat *found)
{
    struct cm_ctx *ctx = input->ctx;
    switch (found == NULL ? 0 : kind_of(found->name)) {
    case KIND_PLAYLIST:
        return CM_FAIL(ctx, CM_REJECT, CM_REASON_NOT_MEDIA,
                       "%s is a playlist (%s) that points at other files: give the video itself", input->path,
                       format_name(found));
    case KIND_SOUND:
        return CM_FAIL(ctx, CM_REJECT, CM_REASON_NOT_MEDIA,
                       "%s has sound but no picture (%s): give the video that it belongs to", input->path,
                       format_name(found));
    case KIND_PICTURE:
        return CM_FAIL(ctx, CM_REJECT, CM_REASON_NOT_MEDIA, "%s is a picture (%s): give a video with speech",
                       input->path, format_name(found));
    default:
        return CM_FAIL(
            ctx, CM_REJECT, CM_REASON_NOT_MEDIA,
            "%s is not a video: no known format was found in it. Give an MP4, MOV, MKV, WebM, AVI or TS file",
            input->path);
    }
}

static enum cm_verdict damaged(struct input *input, const AVInputFormat *found)
{
    struct cm_ctx *ctx = input->ctx;
    if (ctx->host->stopping(ctx))
        return CM_FAIL(ctx, CM_AGAIN, CM_REASON_STOPPED, "stopped while opening %s", input->path);
    if (strncmp(found->name, "mov,", 4) == 0 && lacks_index(input))
        return CM_FAIL(ctx, CM_REJECT, CM_REASON_NOT_MEDIA,
                       "%s is cut off: the index (moov) that an MP4 carries is missing. Copy or download it again; "
                       "a broken recording may be mended with a repair tool such as untrunc",
                       input->path);
    return CM_FAIL(ctx, CM_REJECT, CM_REASON_NOT_MEDIA, "%s is damaged: it begins like %s, but cannot be read",
                   input->path, format_name(found));
}

/* Streams are found by content; the file's name says nothing. */
static enum cm_verdict open_container(struct input *input)
{
    struct cm_ctx *ctx = input->ctx;
    const AVInputFormat *found = NULL;
    uint8_t *buffer = av_malloc(IO_BUFFER_BYTES);
    input->io = avio_alloc_context(buffer, IO_BUFFER_BYTES, 0, input, read_some, NULL, seek_to);
    input->format = avformat_alloc_context();
    if (buffer == NULL || input->io == NULL || input->format == NULL)
        return CM_FAIL(ctx, CM_AGAIN, CM_REASON_RESOURCE, "out of memory");
    int probed = av_probe_input_buffer2(input->io, &found, "", NULL, 0, 0);
    /* 5.1 would read plain text as one of its text formats; below this score it only guesses. */
    if (probed < AVPROBE_SCORE_RETRY / 5 || found == NULL || kind_of(found->name) != KIND_VIDEO)
        return not_a_video(input, probed < 0 ? NULL : found);
    input->format->pb = input->io;
    input->format->flags |= AVFMT_FLAG_CUSTOM_IO;
    input->format->io_open = refuse_open;
    input->format->interrupt_callback = (AVIOInterruptCB){interrupted, ctx};
    input->format->max_streams = MOST_STREAMS;
    if (avformat_open_input(&input->format, "", found, NULL) < 0 || avformat_find_stream_info(input->format, NULL) < 0)
        return damaged(input, found);
    return CM_OK;
}

/* ---- Streams ---------------------------------------------------------------------------------- */

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

static enum cm_verdict choose_picture(struct input *input)
{
    struct cm_ctx *ctx = input->ctx;
    int sounds = 0;
    for (unsigned i = 0; i < input->format->nb_streams; i++) {
        AVStream *stream = input->format->streams[i];
        sounds += stream->codecpar->codec_type == AVMEDIA_TYPE_AUDIO;
        if (!is_moving_picture(stream))
            continue;
        if (input->video == NULL || picture_rank(stream) > picture_rank(input->video))
            input->video = stream;
    }
    if (input->video == NULL && sounds > 0)
        return CM_FAIL(ctx, CM_REJECT, CM_REASON_NOT_MEDIA,
                       "%s has sound but no picture: give the video that it belongs to", input->path);
    if (input->video == NULL)
        return CM_FAIL(ctx, CM_REJECT, CM_REASON_NOT_MEDIA, "%s holds neither picture nor sound", input->path);
    if (avcodec_find_decoder(input->video->codecpar->codec_id) == NULL)
        return CM_FAIL(ctx, CM_CANNOT, CM_REASON_UNSUPPORTED,
                       "%s: its picture is coded as %s, which this FFmpeg cannot decode; convert it to H.264",
                       input->path, input_codec_name(ctx, input->video));
    if (input->video->codecpar->width <= 0 || input->video->codecpar->height <= 0)
        return CM_FAIL(ctx, CM_REJECT, CM_REASON_NOT_MEDIA, "%s: its picture (%s) has no size; the file is damaged",
                       input->path, input_codec_name(ctx, input->video));
    return CM_OK;
}

static int audio_rank(const AVStream *stream, int number, int wanted)
{
    if (avcodec_find_decoder(stream->codecpar->codec_id) == NULL)
        return -1;
    return number == wanted ? 3 : (stream->disposition & AV_DISPOSITION_DEFAULT) ? 2 : 1;
}

void input_choose_audio(struct input *input, int number)
{
    int tracks = 0, best = 0;
    for (unsigned i = 0; i < input->format->nb_streams; i++) {
        AVStream *stream = input->format->streams[i];
        if (stream->codecpar->codec_type != AVMEDIA_TYPE_AUDIO)
            continue;
        int rank = audio_rank(stream, ++tracks, number);
        if (rank > best) {
            best = rank;
            input->audio = stream;
            input->audio_track = tracks;
        }
    }
}

void input_only(struct input *input, const AVStream *stream)
{
    for (unsigned i = 0; i < input->format->nb_streams; i++)
        input->format->streams[i]->discard = input->format->streams[i] == stream ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
}

const char *input_codec_name(struct cm_ctx *ctx, const AVStream *stream)
{
    if (stream->codecpar->codec_id != AV_CODEC_ID_NONE)
        return avcodec_get_name(stream->codecpar->codec_id);
    if (stream->codecpar->codec_tag == 0)
        return "something unknown";
    char tag[AV_FOURCC_MAX_STRING_SIZE] = {0};
    av_fourcc_make_string(tag, stream->codecpar->codec_tag);
    return ctx->host->format(ctx, "unknown (%s)", tag);
}

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

/* ---- Decoders --------------------------------------------------------------------------------- */

static AVCodecContext *open_decoder(const AVStream *stream, int threads, enum AVDiscard skip)
{
    const AVCodec *codec = avcodec_find_decoder(stream->codecpar->codec_id);
    AVCodecContext *decoder = codec == NULL ? NULL : avcodec_alloc_context3(codec);
    if (decoder == NULL)
        return NULL;
    int64_t pixels = (int64_t)stream->codecpar->width * stream->codecpar->height;
    decoder->thread_count = pixels > LARGE_PIXELS ? 1 : threads;
    decoder->max_pixels = MOST_PIXELS;
    decoder->skip_frame = skip;
    if (skip == AVDISCARD_NONKEY)
        decoder->skip_loop_filter = AVDISCARD_ALL;
    if (avcodec_parameters_to_context(decoder, stream->codecpar) < 0)
        avcodec_free_context(&decoder);
    if (decoder == NULL)
        return NULL;
    decoder->pkt_timebase = stream->time_base;
    if (avcodec_open2(decoder, codec, NULL) < 0)
        avcodec_free_context(&decoder);
    return decoder;
}

AVCodecContext *input_decoder(const AVStream *stream, int threads)
{
    return open_decoder(stream, threads, AVDISCARD_DEFAULT);
}

AVCodecContext *input_key_frame_decoder(const AVStream *stream)
{
    return open_decoder(stream, 1, AVDISCARD_NONKEY);
}

/* ---- Life ------------------------------------------------------------------------------------- */

enum cm_verdict input_open(struct input *input, struct cm_ctx *ctx, const char *path)
{
    *input = (struct input){.ctx = ctx, .path = path, .fd = -1};
    enum cm_verdict verdict = open_descriptor(input);
    if (verdict == CM_OK)
        verdict = open_container(input);
    if (verdict == CM_OK)
        verdict = choose_picture(input);
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
    if (input->fd > 0) /* zeroed: never opened */
        close(input->fd);
    input->fd = -1;
}

enum cm_verdict input_reopen(struct input *input)
{
    struct cm_ctx *ctx = input->ctx;
    const char *path = input->path;
    input_close(input);
    return input_open(input, ctx, path);
}
