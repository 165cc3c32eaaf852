/*
 * What is told about the media: its picture, as displayed, and its streams.
 */
#include "facts.h"

#include <inttypes.h>
#include <libavutil/display.h>
#include <math.h>

#include "../ffmpeg/ffcompat.h"
#include "media.h"

#define MOST_FPS 240.0

void facts_int(struct cm_ctx *ctx, const char *name, int64_t value)
{
    ctx->host->emit_fact(ctx, name, ctx->host->format(ctx, "%" PRId64, value));
}

/* Without printf's %f: a plugin does not know the locale, and JSON wants a point. */
void facts_real(struct cm_ctx *ctx, const char *name, double value)
{
    int64_t thousandths = llround(fabs(value) * 1000);
    const char *sign = value < 0 && thousandths > 0 ? "-" : "";
    ctx->host->emit_fact(
        ctx, name, ctx->host->format(ctx, "%s%" PRId64 ".%03" PRId64, sign, thousandths / 1000, thousandths % 1000));
}

void facts_bool(struct cm_ctx *ctx, const char *name, int value)
{
    ctx->host->emit_fact(ctx, name, value ? "true" : "false");
}

void facts_text(struct cm_ctx *ctx, const char *name, const char *value)
{
    ctx->host->emit_fact(ctx, name, ctx->host->json_quote(ctx, value));
}

/* ---- The picture ------------------------------------------------------------------------------ */

void timing_packet(struct timing *timing, const struct input *input, const AVPacket *packet, int64_t limit_us)
{
    int64_t at_us = input_position_us(input, input->video, packet->pts);
    if (at_us == AV_NOPTS_VALUE)
        at_us = input_position_us(input, input->video, packet->dts);
    if (at_us == AV_NOPTS_VALUE || at_us >= limit_us || (packet->flags & AV_PKT_FLAG_DISCARD))
        return;
    int64_t lasts_us = av_rescale_q(packet->duration, input->video->time_base, AV_TIME_BASE_Q);
    if (lasts_us < 0 || lasts_us > 60000000)
        lasts_us = 0;
    if (timing->count++ == 0 || at_us < timing->first_us)
        timing->first_us = at_us;
    timing->last_us = at_us > timing->last_us ? at_us : timing->last_us;
    timing->end_us = at_us + lasts_us > timing->end_us ? at_us + lasts_us : timing->end_us;
}

static int rotation_of(const struct input *input)
{
    const int32_t *matrix = ff_display_matrix(input->video);
    double turn = matrix == NULL ? 0 : av_display_rotation_get(matrix);
    if (!isfinite(turn))
        return 0;
    int quarters = (int)lround(-turn / 90) % 4;
    return (quarters < 0 ? quarters + 4 : quarters) * 90;
}

struct shape facts_shape(const struct input *input)
{
    const AVCodecParameters *codec = input->video->codecpar;
    struct shape shape = {codec->width, codec->height, rotation_of(input)};
    double aspect = av_q2d(av_guess_sample_aspect_ratio(input->format, input->video, NULL));
    /* Enlarged, never shrunk; a rounding error of an encoder and nonsense are square. */
    if (isfinite(aspect) && aspect > 1.01 && aspect <= 8)
        shape.width_px = (int)lround(shape.width_px * aspect);
    if (isfinite(aspect) && aspect < 0.99 && aspect >= 0.125)
        shape.height_px = (int)lround(shape.height_px / aspect);
    if (shape.rotation % 180 != 0) {
        int width = shape.width_px;
        shape.width_px = shape.height_px;
        shape.height_px = width;
    }
    return shape;
}

static double measured_fps(const struct timing *timing)
{
    int64_t span_us = timing->last_us - timing->first_us;
    return timing->count > 1 && span_us > 0 ? (double)(timing->count - 1) * 1e6 / (double)span_us : 0;
}

void facts_picture(const struct input *input, const struct timing *timing)
{
    struct cm_ctx *ctx = input->ctx;
    struct shape shape = facts_shape(input);
    AVRational guess = av_guess_frame_rate(input->format, input->video, NULL);
    double told = guess.num > 0 && guess.den > 0 ? av_q2d(guess) : 0, measured = measured_fps(timing);
    double fps = told > 0 && told <= MOST_FPS ? told : measured;
    facts_bool(ctx, "has_video", 1);
    facts_int(ctx, "width", shape.width_px);
    facts_int(ctx, "height", shape.height_px);
    facts_int(ctx, "rotation", shape.rotation);
    facts_real(ctx, "fps", fps > MOST_FPS ? MOST_FPS : fps);
    facts_real(ctx, "fps_measured", measured);
    facts_bool(ctx, "vfr", told > 0 && measured > 0 && fabs(told - measured) > 0.02 * told);
    facts_text(ctx, "video_codec", input_codec_name(ctx, input->video));
    facts_int(ctx, "video_stream", input->video->index);
    facts_int(ctx, "video_ms", timing->end_us / 1000);
}

/* ---- The sound -------------------------------------------------------------------------------- */

void facts_sound(const struct input *input)
{
    struct cm_ctx *ctx = input->ctx;
    int tracks = 0;
    for (unsigned i = 0; i < input->format->nb_streams; i++)
        tracks += input->format->streams[i]->codecpar->codec_type == AVMEDIA_TYPE_AUDIO;
    facts_bool(ctx, "has_audio", 1);
    facts_text(ctx, "audio_codec", input_codec_name(ctx, input->audio));
    facts_int(ctx, "audio_stream", input->audio->index);
    facts_int(ctx, "audio_track", input->audio_track);
    facts_int(ctx, "audio_tracks", tracks);
}
