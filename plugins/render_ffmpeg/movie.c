/*
 * The MP4 being written: H.264 pictures at a constant rate and ready AAC packets, interleaved.
 */
#include "movie.h"

#include <libavutil/opt.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define KEY_EVERY_S 2
#define MOST_THREADS 16

static int threads_of(const struct render_options *options)
{
    long here = options->threads > 0 ? options->threads : sysconf(_SC_NPROCESSORS_ONLN);
    return here < 1 ? 1 : here > MOST_THREADS ? MOST_THREADS : (int)here;
}

/* Writing failed: of the disk, or of the muxer. */
static enum cm_verdict write_failed(struct movie *movie, int error)
{
    struct cm_ctx *ctx = movie->ctx;
    if (movie->format->pb != NULL && movie->format->pb->error < 0)
        error = movie->format->pb->error;
    if (AVUNERROR(error) > 0 && AVUNERROR(error) < 200)
        return render_write_failed(ctx, movie->path, AVUNERROR(error));
    return render_library_failed(ctx, "write the clip", error);
}

/* ---- Opening ---------------------------------------------------------------------------------- */

static int open_encoder(struct movie *movie, const struct document *document)
{
    const AVCodec *codec = avcodec_find_encoder_by_name("libx264");
    AVCodecContext *encoder = movie->encoder = codec == NULL ? NULL : avcodec_alloc_context3(codec);
    AVDictionary *options = NULL;
    if (encoder == NULL)
        return codec == NULL ? AVERROR_ENCODER_NOT_FOUND : AVERROR(ENOMEM);
    encoder->width = document->width;
    encoder->height = document->height;
    encoder->pix_fmt = AV_PIX_FMT_YUV420P;
    encoder->sample_aspect_ratio = (AVRational){1, 1};
    encoder->framerate = movie->rate;
    encoder->time_base = av_inv_q(movie->rate);
    encoder->gop_size = (int)ceil(av_q2d(movie->rate) * KEY_EVERY_S);
    encoder->color_range = AVCOL_RANGE_MPEG;
    encoder->colorspace = AVCOL_SPC_BT709;
    encoder->color_primaries = AVCOL_PRI_BT709;
    encoder->color_trc = AVCOL_TRC_BT709;
    encoder->chroma_sample_location = AVCHROMA_LOC_LEFT;
    encoder->thread_count = threads_of(movie->ctx->options);
    encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER | AV_CODEC_FLAG_BITEXACT;
    av_dict_set(&options, "preset", document->preset, 0);
    av_dict_set(&options, "profile", "high", 0);
    if (document->video_bitrate > 0) {
        encoder->bit_rate = document->video_bitrate;
        encoder->flags |= document->pass == 1 ? AV_CODEC_FLAG_PASS1 : AV_CODEC_FLAG_PASS2;
        av_dict_set(&options, "stats", document->stats, 0);
    } else {
        av_dict_set_int(&options, "crf", document->crf, 0);
    }
    int error = avcodec_open2(encoder, codec, &options);
    av_dict_free(&options);
    return error;
}

static int add_stream(struct movie *movie, AVStream **stream, const AVCodecContext *encoder)
{
    *stream = avformat_new_stream(movie->format, NULL);
    if (*stream == NULL)
        return AVERROR(ENOMEM);
    (*stream)->time_base = encoder->time_base;
    return avcodec_parameters_from_context((*stream)->codecpar, encoder);
}

static int open_streams(struct movie *movie)
{
    int error = avformat_alloc_output_context2(&movie->format, NULL, "mp4", NULL);
    if (error >= 0)
        error = add_stream(movie, &movie->video, movie->encoder);
    if (error >= 0)
        error = add_stream(movie, &movie->audio, movie->aac->encoder);
    if (error < 0)
        return error;
    movie->video->avg_frame_rate = movie->video->r_frame_rate = movie->rate;
    movie->format->flags |= AVFMT_FLAG_BITEXACT;
    return 0;
}

static enum cm_verdict open_file(struct movie *movie)
{
    char url[4096 + 8];
    AVDictionary *options = NULL;
    snprintf(url, sizeof(url), "file:%s", movie->path);
    movie->format->url = av_strdup(url);
    int error = avio_open(&movie->format->pb, url, AVIO_FLAG_WRITE);
    av_dict_set(&options, "movflags", "+faststart", 0);
    if (error >= 0)
        error = avformat_write_header(movie->format, &options);
    av_dict_free(&options);
    movie->wrote_head = error >= 0;
    return error < 0 ? write_failed(movie, error) : CM_OK;
}

enum cm_verdict movie_open(struct movie *movie, struct cm_ctx *ctx, const char *path, const struct document *document,
                           AVRational rate, const struct aac *aac)
{
    memset(movie, 0, sizeof(*movie));
    movie->ctx = ctx;
    movie->path = path;
    movie->rate = rate;
    movie->aac = aac;
    movie->packet = av_packet_alloc();
    movie->frame = av_frame_alloc();
    if (movie->packet == NULL || movie->frame == NULL)
        return CM_FAIL(ctx, CM_AGAIN, CM_REASON_RESOURCE, "out of memory");
    int error = open_encoder(movie, document);
    if (error < 0)
        return render_library_failed(ctx, "open the H.264 encoder (libx264)", error);
    error = open_streams(movie);
    if (error < 0)
        return render_library_failed(ctx, "set up the MP4 file", error);
    return open_file(movie);
}

/* ---- Writing ---------------------------------------------------------------------------------- */

static int write_audio_until(struct movie *movie, AVPacket *video)
{
    for (; movie->next_audio < movie->aac->count; movie->next_audio++) {
        const AVPacket *audio = movie->aac->packet[movie->next_audio];
        if (video != NULL &&
            av_compare_ts(audio->dts, movie->aac->encoder->time_base, video->dts, movie->encoder->time_base) > 0)
            return 0;
        AVPacket *copy = av_packet_clone(audio);
        if (copy == NULL)
            return AVERROR(ENOMEM);
        copy->stream_index = movie->audio->index;
        av_packet_rescale_ts(copy, movie->aac->encoder->time_base, movie->audio->time_base);
        int error = av_interleaved_write_frame(movie->format, copy);
        av_packet_free(&copy);
        if (error < 0)
            return error;
    }
    return 0;
}

static enum cm_verdict write_packets(struct movie *movie)
{
    for (;;) {
        int error = avcodec_receive_packet(movie->encoder, movie->packet);
        if (error == AVERROR(EAGAIN) || error == AVERROR_EOF)
            return CM_OK;
        if (error < 0)
            return render_library_failed(movie->ctx, "encode the picture", error);
        movie->packet->duration = 1;
        error = write_audio_until(movie, movie->packet);
        movie->packet->stream_index = movie->video->index;
        av_packet_rescale_ts(movie->packet, movie->encoder->time_base, movie->video->time_base);
        if (error >= 0)
            error = av_interleaved_write_frame(movie->format, movie->packet);
        av_packet_unref(movie->packet);
        if (error < 0 || movie->format->pb->error < 0)
            return write_failed(movie, error);
    }
}

static int make_frame(struct movie *movie)
{
    av_frame_unref(movie->frame);
    movie->frame->format = AV_PIX_FMT_YUV420P;
    movie->frame->width = movie->encoder->width;
    movie->frame->height = movie->encoder->height;
    return av_frame_get_buffer(movie->frame, 0);
}

int movie_canvas(struct movie *movie, struct canvas *canvas)
{
    /* The encoder copies what it is given, so the same memory serves again. */
    int error = movie->frame->data[0] != NULL && av_frame_is_writable(movie->frame) ? 0 : make_frame(movie);
    if (error < 0)
        return error;
    *canvas = (struct canvas){.width = movie->frame->width, .height = movie->frame->height};
    for (int i = 0; i < 3; i++) {
        canvas->plane[i] = movie->frame->data[i];
        canvas->stride[i] = movie->frame->linesize[i];
    }
    return 0;
}

enum cm_verdict movie_add(struct movie *movie)
{
    movie->frame->pts = movie->pictures++;
    movie->frame->color_range = AVCOL_RANGE_MPEG;
    movie->frame->colorspace = AVCOL_SPC_BT709;
    int error = avcodec_send_frame(movie->encoder, movie->frame);
    return error < 0 ? render_library_failed(movie->ctx, "encode the picture", error) : write_packets(movie);
}

enum cm_verdict movie_finish(struct movie *movie)
{
    int error = avcodec_send_frame(movie->encoder, NULL);
    if (error < 0)
        return render_library_failed(movie->ctx, "encode the picture", error);
    enum cm_verdict verdict = write_packets(movie);
    if (verdict != CM_OK)
        return verdict;
    error = write_audio_until(movie, NULL);
    if (error >= 0)
        error = av_write_trailer(movie->format);
    movie->wrote_head = 0;
    int broken = movie->format->pb->error;
    int closed = avio_closep(&movie->format->pb);
    if (error >= 0)
        error = broken < 0 ? broken : closed;
    return error < 0 ? write_failed(movie, error) : CM_OK;
}

void movie_close(struct movie *movie)
{
    if (movie->format != NULL && movie->format->pb != NULL)
        avio_closep(&movie->format->pb);
    avformat_free_context(movie->format);
    avcodec_free_context(&movie->encoder);
    av_packet_free(&movie->packet);
    av_frame_free(&movie->frame);
    memset(movie, 0, sizeof(*movie));
}
