/*
 * A whole render, without a daemon: a film is made here whose pictures carry their number and whose sound
 * has one beep, a clip is rendered from it, and the clip is looked at and listened to.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <clipmaker/plugin.h>
#include <json-c/json.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "core/common/options.h"
#include "plugins/render_ffmpeg/loud.h"
#include "plugins/render_ffmpeg/render.h"
#include "plugins/render_ffmpeg/squeeze.h"

extern const struct cm_plugin cm_plugin;

/* ---- A host ----------------------------------------------------------------------------------- */

static char folder[] = "/tmp/render-test-XXXXXX";
static char said[512];
static uint32_t reason;
static int stop_after, asked_to_stop;
static void *kept[4096];
static size_t kept_count;

static void *keep(void *memory)
{
    assert_non_null(memory);
    assert_true(kept_count < sizeof(kept) / sizeof(kept[0]));
    return kept[kept_count++] = memory;
}

static void log_line(struct cm_ctx *ctx, enum cm_log_level level, const char *format, ...)
{
    (void)ctx, (void)level, (void)format;
}

static char *format_text(struct cm_ctx *ctx, const char *format, ...)
{
    char text[4096];
    va_list arguments;
    (void)ctx;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return keep(strdup(text));
}

static enum cm_verdict fail_with(struct cm_ctx *ctx, const struct cm_failure *failure, const char *format, ...)
{
    va_list arguments;
    (void)ctx;
    va_start(arguments, format);
    vsnprintf(said, sizeof(said), format, arguments);
    va_end(arguments);
    reason = failure->reason;
    return (enum cm_verdict)failure->verdict;
}

static void progress(struct cm_ctx *ctx, double done)
{
    (void)ctx;
    assert_true(done >= 0 && done <= 1.0001);
}

static int stopping(struct cm_ctx *ctx)
{
    (void)ctx;
    return stop_after > 0 && ++asked_to_stop > stop_after;
}

static const char *output(struct cm_ctx *ctx, const char *name)
{
    return format_text(ctx, "%s/%s", folder, name);
}

static int emit_file(struct cm_ctx *ctx, const struct cm_file *file)
{
    return access(output(ctx, file->file), R_OK);
}

static void emit_fact(struct cm_ctx *ctx, const char *name, const char *value)
{
    (void)ctx, (void)name, (void)value;
}

static const struct cm_host host = {.size = sizeof(host),
                                    .log = log_line,
                                    .format = format_text,
                                    .fail = fail_with,
                                    .progress = progress,
                                    .stopping = stopping,
                                    .output = output,
                                    .emit_file = emit_file,
                                    .emit_fact = emit_fact};

static struct render_options settings;

static enum cm_verdict render(const char *media, const char *document)
{
    struct cm_ctx ctx = {
        .size = sizeof(ctx), .host = &host, .options = &settings, .instance = "test", .language = "en"};
    struct cm_render_request request = {sizeof(request), media, document};
    const struct cm_render_ops *ops = cm_plugin.ops;
    said[0] = '\0';
    asked_to_stop = 0;
    enum cm_verdict verdict = ops->render(&ctx, &request);
    while (kept_count > 0)
        free(kept[--kept_count]);
    return verdict;
}

/* ---- The film --------------------------------------------------------------------------------- */

#define RATE 25
#define FILM_PICTURES 200
#define BEEP_MS 4000
#define BITS 8

static char film[256];

struct maker {
    AVFormatContext *format;
    AVCodecContext *encoder;
    AVStream *stream;
};

static void write_packets(struct maker *maker)
{
    AVPacket *packet = av_packet_alloc();
    while (avcodec_receive_packet(maker->encoder, packet) >= 0) {
        packet->stream_index = maker->stream->index;
        av_packet_rescale_ts(packet, maker->encoder->time_base, maker->stream->time_base);
        assert_true(av_interleaved_write_frame(maker->format, packet) >= 0);
    }
    av_packet_free(&packet);
}

/* The number in eight blocks along the upper border. */
static void draw_number(AVFrame *frame, int number)
{
    memset(frame->data[0], 90, (size_t)frame->linesize[0] * (size_t)frame->height);
    memset(frame->data[1], 128, (size_t)frame->linesize[1] * (size_t)frame->height / 2);
    memset(frame->data[2], 128, (size_t)frame->linesize[2] * (size_t)frame->height / 2);
    for (int y = 0; y < 40; y++)
        for (int x = 0; x < frame->width; x++)
            frame->data[0][y * frame->linesize[0] + x] = number >> (x * BITS / frame->width) & 1 ? 220 : 30;
}

static void add_picture(struct maker *video, int number)
{
    AVFrame *frame = av_frame_alloc();
    frame->format = AV_PIX_FMT_YUV420P;
    frame->width = 320;
    frame->height = 180;
    assert_int_equal(av_frame_get_buffer(frame, 0), 0);
    draw_number(frame, number);
    frame->pts = number;
    assert_int_equal(avcodec_send_frame(video->encoder, frame), 0);
    av_frame_free(&frame);
    write_packets(video);
}

static void add_sound(struct maker *audio, int number)
{
    AVFrame *frame = av_frame_alloc();
    frame->format = AV_SAMPLE_FMT_S16;
    frame->nb_samples = 44100 / RATE;
    frame->sample_rate = 44100;
    frame->ch_layout = (AVChannelLayout)AV_CHANNEL_LAYOUT_MONO;
    frame->pts = (int64_t)number * frame->nb_samples;
    assert_int_equal(av_frame_get_buffer(frame, 0), 0);
    for (int i = 0; i < frame->nb_samples; i++) {
        int64_t at = frame->pts + i, from = BEEP_MS * 441 / 10;
        double beep = at >= from && at < from + 8820 ? 0.3 * sin((double)(at - from) * 0.15) : 0;
        ((int16_t *)(void *)frame->data[0])[i] = (int16_t)lrint(32767 * beep);
    }
    assert_int_equal(avcodec_send_frame(audio->encoder, frame), 0);
    av_frame_free(&frame);
    write_packets(audio);
}

static void open_stream(struct maker *maker, const char *codec_name)
{
    const AVCodec *codec = avcodec_find_encoder_by_name(codec_name);
    assert_non_null(codec);
    AVCodecContext *encoder = maker->encoder = avcodec_alloc_context3(codec);
    encoder->width = 320;
    encoder->height = 180;
    encoder->pix_fmt = AV_PIX_FMT_YUV420P;
    encoder->time_base = codec->type == AVMEDIA_TYPE_VIDEO ? (AVRational){1, RATE} : (AVRational){1, 44100};
    encoder->framerate = (AVRational){RATE, 1};
    encoder->gop_size = 60;
    encoder->max_b_frames = codec->type == AVMEDIA_TYPE_VIDEO ? 2 : 0;
    encoder->sample_fmt = AV_SAMPLE_FMT_S16;
    encoder->sample_rate = 44100;
    encoder->ch_layout = (AVChannelLayout)AV_CHANNEL_LAYOUT_MONO;
    encoder->thread_count = 1;
    assert_int_equal(avcodec_open2(encoder, codec, NULL), 0);
    maker->stream = avformat_new_stream(maker->format, NULL);
    maker->stream->time_base = encoder->time_base;
    maker->stream->avg_frame_rate = encoder->framerate;
    assert_true(avcodec_parameters_from_context(maker->stream->codecpar, encoder) >= 0);
}

/* Small and quick; the rest is the renderer's own. */
static void set_options(void)
{
    struct json_object *set =
        json_tokener_parse("{\"preset\":\"ultrafast\",\"crf\":\"18\",\"threads\":\"1\",\"size\":\"360\","
                           "\"cta_length\":\"1s\",\"endcard_length\":\"1s\",\"max_length\":\"1m\"}");
    assert_null(cm_options_fill(render_option_table, &settings, set));
    json_object_put(set);
}

static int make_film(void **state)
{
    struct maker video = {0}, audio;
    (void)state;
    av_log_set_level(AV_LOG_ERROR);
    set_options();
    assert_non_null(mkdtemp(folder));
    snprintf(film, sizeof(film), "%s/a film.mkv", folder);
    assert_true(avformat_alloc_output_context2(&video.format, NULL, "matroska", NULL) >= 0);
    audio = video;
    open_stream(&video, "mpeg4");
    open_stream(&audio, "pcm_s16le");
    assert_true(avio_open(&video.format->pb, film, AVIO_FLAG_WRITE) >= 0);
    assert_true(avformat_write_header(video.format, NULL) >= 0);
    for (int number = 0; number < FILM_PICTURES; number++) {
        add_picture(&video, number);
        add_sound(&audio, number);
    }
    avcodec_send_frame(video.encoder, NULL);
    write_packets(&video);
    assert_int_equal(av_write_trailer(video.format), 0);
    avio_closep(&video.format->pb);
    avcodec_free_context(&video.encoder);
    avcodec_free_context(&audio.encoder);
    avformat_free_context(video.format);
    return 0;
}

static int remove_film(void **state)
{
    static const char *const names[] = {"a film.mkv", "clip.mp4", "thumbnail.jpg", "thumbnail-small.jpg",
                                        "captions.srt"};
    char path[300];
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        unlink(path);
    }
    cm_options_release(render_option_table, &settings);
    return rmdir(folder); /* nothing else may be left */
}

/* ---- The clip, seen and heard ------------------------------------------------------------------- */

#define MOST 400

struct seen {
    int width, height, count, samples;
    int number[MOST], yellow[MOST], white[MOST];
    double left, right, top, bottom; /* of everything yellow, in shares */
    double video_s, audio_s;
    float *sound; /* pairs */
};

static int number_in(const AVFrame *frame)
{
    int number = 0;
    for (int bit = 0; bit < BITS; bit++) {
        int x = (2 * bit + 1) * frame->width / (2 * BITS), y = frame->height / 10;
        number |= (frame->data[0][y * frame->linesize[0] + x] > 125) << bit;
    }
    return number;
}

static void look(struct seen *seen, const AVFrame *frame)
{
    int at = seen->count++;
    assert_true(at < MOST);
    seen->number[at] = number_in(frame);
    for (int y = frame->height / 8; y < frame->height / 2; y++)
        for (int x = 0; x < frame->width / 2; x++) {
            int luma = frame->data[0][2 * y * frame->linesize[0] + 2 * x];
            seen->white[at] += luma > 215;
            if (luma < 150 || frame->data[1][y * frame->linesize[1] + x] > 60)
                continue;
            seen->yellow[at]++;
            seen->left = fmin(seen->left, 2.0 * x / frame->width);
            seen->right = fmax(seen->right, 2.0 * x / frame->width);
            seen->top = fmin(seen->top, 2.0 * y / frame->height);
            seen->bottom = fmax(seen->bottom, 2.0 * y / frame->height);
        }
}

static void listen(struct seen *seen, const AVFrame *frame)
{
    seen->sound = realloc(seen->sound, sizeof(float) * 2 * (size_t)(seen->samples + frame->nb_samples));
    for (int i = 0; i < frame->nb_samples; i++)
        for (int side = 0; side < 2; side++)
            seen->sound[2 * (seen->samples + i) + side] = ((const float *)(const void *)frame->extended_data[side])[i];
    seen->samples += frame->nb_samples;
}

static void take(struct seen *seen, AVCodecContext *decoder, const AVPacket *packet)
{
    AVFrame *frame = av_frame_alloc();
    avcodec_send_packet(decoder, packet);
    while (avcodec_receive_frame(decoder, frame) >= 0) {
        if (decoder->codec_type == AVMEDIA_TYPE_VIDEO)
            look(seen, frame);
        else
            listen(seen, frame);
    }
    av_frame_free(&frame);
}

static struct seen see_clip(void)
{
    struct seen seen = {.left = 1, .top = 1};
    char path[300];
    AVFormatContext *format = NULL;
    AVCodecContext *decoder[2];
    AVPacket *packet = av_packet_alloc();
    snprintf(path, sizeof(path), "%s/clip.mp4", folder);
    assert_int_equal(avformat_open_input(&format, path, NULL, NULL), 0);
    assert_true(avformat_find_stream_info(format, NULL) >= 0);
    assert_int_equal(format->nb_streams, 2);
    assert_null(av_dict_get(format->metadata, "encoder", NULL, 0));
    for (unsigned i = 0; i < 2; i++) {
        AVStream *stream = format->streams[i];
        decoder[i] = avcodec_alloc_context3(avcodec_find_decoder(stream->codecpar->codec_id));
        avcodec_parameters_to_context(decoder[i], stream->codecpar);
        decoder[i]->pkt_timebase = stream->time_base;
        assert_int_equal(avcodec_open2(decoder[i], NULL, NULL), 0);
        *(i == 0 ? &seen.video_s : &seen.audio_s) = (double)stream->duration * av_q2d(stream->time_base);
        assert_int_equal(stream->start_time, 0);
    }
    seen.width = decoder[0]->width;
    seen.height = decoder[0]->height;
    assert_int_equal(decoder[0]->pix_fmt, AV_PIX_FMT_YUV420P);
    assert_int_equal(decoder[0]->colorspace, AVCOL_SPC_BT709);
    while (av_read_frame(format, packet) >= 0) {
        take(&seen, decoder[packet->stream_index], packet);
        av_packet_unref(packet);
    }
    for (unsigned i = 0; i < 2; i++) {
        take(&seen, decoder[i], NULL);
        avcodec_free_context(&decoder[i]);
    }
    avformat_close_input(&format);
    av_packet_free(&packet);
    return seen;
}

/* ---- Tests ------------------------------------------------------------------------------------ */

#define WORDS                                                                                                          \
    "\"captions\":{\"words\":[{\"t\":\"alpha\",\"s\":2400,\"e\":2700},{\"t\":\"beta.\",\"s\":2800,\"e\":3000},"        \
    "{\"t\":\"gamma\",\"s\":5000,\"e\":5400}]}"

static void test_every_picture_at_its_time(void **state)
{
    (void)state;
    /* 2.4 s is picture 60; 2.41 s still is; the key frame before is a long way back. */
    static const int start_ms[] = {2400, 2410, 2390, 0, 40, 7000};
    for (size_t i = 0; i < sizeof(start_ms) / sizeof(start_ms[0]); i++) {
        char document[512];
        snprintf(document, sizeof(document),
                 "{\"version\":1,\"span\":{\"start_ms\":%d,\"end_ms\":%d},\"format\":{\"name\":\"16:9\"}}", start_ms[i],
                 start_ms[i] + 800);
        assert_int_equal(render(film, document), CM_OK);
        struct seen seen = see_clip();
        assert_int_equal(seen.count, 20);
        for (int picture = 0; picture < seen.count; picture++)
            assert_int_equal(seen.number[picture], (start_ms[i] + 20) / 40 + picture);
        free(seen.sound);
    }
}

static int size_of(const char *name, int *width, int *height)
{
    AVFormatContext *picture = NULL;
    char path[300];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (avformat_open_input(&picture, path, NULL, NULL) != 0 || avformat_find_stream_info(picture, NULL) < 0)
        return -1;
    *width = picture->streams[0]->codecpar->width;
    *height = picture->streams[0]->codecpar->height;
    avformat_close_input(&picture);
    return 0;
}

static void test_two_sizes_of_thumbnail(void **state)
{
    (void)state;
    int width, height;
    assert_int_equal(
        render(film, "{\"version\":1,\"span\":{\"start_ms\":2000,\"end_ms\":3000},\"format\":{\"name\":\"9:16\"}}"),
        CM_OK);
    assert_int_equal(size_of("thumbnail.jpg", &width, &height), 0);
    assert_true(width == 360 && height == 640);
    assert_int_equal(size_of("thumbnail-small.jpg", &width, &height), 0);
    assert_true(width == 180 && height == 320);
}

static void test_sound_and_captions_in_step(void **state)
{
    (void)state;
    assert_int_equal(
        render(film,
               "{\"version\":1,\"span\":{\"start_ms\":2000,\"end_ms\":6000},\"format\":{\"name\":\"9:16\"}," WORDS "}"),
        CM_OK);
    struct seen seen = see_clip();
    assert_int_equal(seen.width, 360);
    assert_int_equal(seen.height, 640);
    assert_int_equal(seen.count, 100);
    assert_float_equal(seen.video_s, 4, 1e-6);
    assert_float_equal(seen.audio_s, 4, 1e-3);
    for (int picture = 0; picture < seen.count; picture++) {
        int ms = 2000 + picture * 40 + 20;
        int spoken = (ms > 2400 && ms < 3250) || (ms > 5000 && ms < 5650);
        int shown = (ms > 2400 && ms < 3400) || (ms > 5000 && ms < 5800);
        assert_int_equal(seen.yellow[picture] > 20, spoken);
        if (!shown)
            assert_int_equal(seen.white[picture], 0);
    }
    assert_true(seen.left > 0.12 && seen.right < 0.88);
    assert_true(seen.top > 0.14 && seen.bottom < 0.79);
    int onset = 0;
    while (onset < seen.samples && fabsf(seen.sound[2 * onset]) < 0.05f)
        onset++;
    assert_in_range(onset, 2 * RENDER_RATE - 96, 2 * RENDER_RATE + 96); /* 2 ms */
    struct loud_level level;
    assert_int_equal(loud_measure(seen.sound, seen.samples, &level), 0);
    assert_true(fabs(level.lufs + 14) < 1 && level.peak_db <= -1.5);
    free(seen.sound);
}

static void test_end_card_follows_the_span(void **state)
{
    (void)state;
    assert_int_equal(render(film,
                            "{\"version\":1,\"span\":{\"start_ms\":2000,\"end_ms\":3000},\"format\":{\"name\":\"1:1\"},"
                            "\"cta\":{\"mode\":\"endcard\",\"text\":\"Subscribe\",\"length_ms\":600}}"),
                     CM_OK);
    struct seen seen = see_clip();
    assert_int_equal(seen.count, 40);
    assert_int_equal(seen.white[24], 0);
    assert_true(seen.white[25] > 50);
    assert_float_equal(seen.audio_s, 1.6, 1e-3);
    free(seen.sound);
}

static void test_a_span_beyond_the_film(void **state)
{
    (void)state;
    assert_int_equal(render(film, "{\"version\":1,\"span\":{\"start_ms\":7000,\"end_ms\":60000}}"), CM_OK);
    struct seen seen = see_clip();
    assert_int_equal(seen.count, 25);
    free(seen.sound);
    assert_int_equal(render(film, "{\"version\":1,\"span\":{\"start_ms\":9000,\"end_ms\":10000}}"), CM_REJECT);
    assert_int_equal(reason, CM_REASON_INPUT);
    assert_non_null(strstr(said, "span.start_ms"));
}

static void test_failures_leave_no_half_file(void **state)
{
    (void)state;
    char path[300];
    static const char document[] = "{\"version\":1,\"span\":{\"start_ms\":2000,\"end_ms\":6000}}";
    assert_int_equal(render("/nonexistent", document), CM_REJECT);
    assert_int_equal(reason, CM_REASON_NOT_FOUND);
    assert_int_equal(render(folder, document), CM_REJECT);
    assert_int_equal(render(film, "{\"version\":3}"), CM_REJECT);
    assert_non_null(strstr(said, "version"));
    stop_after = 60;
    assert_int_equal(render(film, document), CM_AGAIN);
    assert_int_equal(reason, CM_REASON_STOPPED);
    stop_after = 0;
    snprintf(path, sizeof(path), "%s/clip.part", folder);
    assert_int_not_equal(access(path, F_OK), 0);
}

static long clip_bytes(void)
{
    char path[300];
    struct stat info;
    snprintf(path, sizeof(path), "%s/clip.mp4", folder);
    assert_int_equal(stat(path, &info), 0);
    return (long)info.st_size;
}

#define SIX_SECONDS "{\"version\":1,\"span\":{\"start_ms\":1000,\"end_ms\":7000},\"format\":{\"name\":\"16:9\"},"

static void test_a_clip_keeps_to_its_size(void **state)
{
    (void)state;
    assert_int_equal(render(film, SIX_SECONDS WORDS ",\"encoder\":{\"max_bytes\":400000}}"), CM_OK);
    assert_in_range(clip_bytes(), 20000, 400000);
    struct seen seen = see_clip();
    assert_int_equal(seen.height, 360); /* there is enough for all of it */
    assert_int_equal(seen.count, 150);
    assert_float_equal(seen.audio_s, 6, 1e-3);
    for (int picture = 0; picture < seen.count; picture++)
        assert_int_equal(seen.number[picture], 25 + picture);
    free(seen.sound);
    assert_int_equal(render(film, SIX_SECONDS WORDS ",\"encoder\":{\"max_bytes\":120000}}"), CM_OK);
    assert_in_range(clip_bytes(), 10000, 120000);
    seen = see_clip();
    assert_true(seen.height < 360 && seen.height >= 240 && seen.height % 2 == 0);
    assert_int_equal(seen.count, 150);
    free(seen.sound);
    assert_int_equal(render(film, SIX_SECONDS WORDS ",\"encoder\":{\"max_bytes\":50000}}"), CM_CANNOT);
    assert_int_equal(reason, CM_REASON_TOO_LARGE);
    assert_non_null(strstr(said, "6 s of video do not fit into 0.1 MB"));
}

static struct squeeze planned(int64_t max_bytes, int64_t length_ms, int *possible)
{
    struct squeeze squeeze;
    struct document document = {
        .end_ms = length_ms, .width = 1080, .height = 1920, .fps = 30, .audio_bitrate = 128000, .max_bytes = max_bytes};
    *possible = squeeze_plan(&squeeze, &document) == 0;
    return squeeze;
}

static void test_what_a_size_leaves(void **state)
{
    (void)state;
    int possible;
    struct squeeze roomy = planned(50000000, 60000, &possible);
    assert_true(possible && roomy.width == 1080 && roomy.height == 1920 && roomy.audio_bitrate == 128000);
    assert_in_range(roomy.video_bitrate, 6000000, 6500000);
    struct squeeze tight = planned(5000000, 60000, &possible);
    assert_true(possible && tight.width < 1080 && tight.height > tight.width && tight.audio_bitrate < 128000);
    assert_true((tight.video_bitrate + tight.audio_bitrate) * 60 / 8 < 5000000);
    planned(500000, 60000, &possible);
    assert_false(possible);
    planned(1000, 60000, &possible);
    assert_false(possible);
    int64_t before = tight.video_bitrate;
    assert_int_equal(squeeze_more(&tight, 5100000), 0);
    assert_true(tight.video_bitrate < before && tight.video_bitrate > before * 9 / 10);
    assert_int_equal(squeeze_more(&tight, 50000000), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_picture_at_its_time),  cmocka_unit_test(test_two_sizes_of_thumbnail),
        cmocka_unit_test(test_sound_and_captions_in_step), cmocka_unit_test(test_end_card_follows_the_span),
        cmocka_unit_test(test_a_span_beyond_the_film),     cmocka_unit_test(test_failures_leave_no_half_file),
        cmocka_unit_test(test_a_clip_keeps_to_its_size),   cmocka_unit_test(test_what_a_size_leaves),
    };
    return cmocka_run_group_tests(tests, make_film, remove_film);
}
