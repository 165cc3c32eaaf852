/*
 * Where the picture changes, seen in key frames only.
 *
 * Encoders put a key frame at a hard cut, so a cut is found where it is; with fixed distances the
 * change is found at the next key frame. A view is 48 × 27 samples of brightness.
 */
#include "scene.h"
#include "media.h"

#include <libavutil/pixdesc.h>
#include <stdlib.h>
#include <string.h>

#define APART_MS 200 /* pictures that are all key frames are looked at this seldom */
#define MOST_CUTS 20000

/* ---- A view of a picture ------------------------------------------------------------------------ */

/* The component that shows brightness best, or NULL where pixels are not laid out plainly. */
static const AVComponentDescriptor *brightness(const AVFrame *frame, int *wide)
{
    const AVPixFmtDescriptor *format = av_pix_fmt_desc_get(frame->format);
    if (format == NULL || (format->flags & (AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_BITSTREAM | AV_PIX_FMT_FLAG_HWACCEL |
                                            AV_PIX_FMT_FLAG_FLOAT | AV_PIX_FMT_FLAG_BAYER | AV_PIX_FMT_FLAG_BE)))
        return NULL;
    const AVComponentDescriptor *component = &format->comp[(format->flags & AV_PIX_FMT_FLAG_RGB) ? 1 : 0];
    *wide = component->depth + component->shift > 8;
    return component->depth > 16 || component->depth < 8 || frame->data[component->plane] == NULL ? NULL : component;
}

static uint8_t sample_at(const AVFrame *frame, const AVComponentDescriptor *component, int wide, int x, int y)
{
    const uint8_t *at = frame->data[component->plane] + (ptrdiff_t)y * frame->linesize[component->plane] +
                        (ptrdiff_t)x * component->step + component->offset;
    if (!wide)
        return *at;
    return (uint8_t)((at[0] | at[1] << 8) >> component->shift >> (component->depth - 8));
}

/* One cell is the mean of up to 8 × 8 points spread over it. */
static uint8_t cell(const AVFrame *frame, const AVComponentDescriptor *component, int wide, int column, int row)
{
    int left = (int)((int64_t)frame->width * column / SCENE_COLUMNS);
    int top = (int)((int64_t)frame->height * row / SCENE_ROWS);
    int right = (int)((int64_t)frame->width * (column + 1) / SCENE_COLUMNS);
    int bottom = (int)((int64_t)frame->height * (row + 1) / SCENE_ROWS);
    int sum = 0, count = 0;
    for (int y = top; y == top || y<bottom; y += bottom - top> 8 ? (bottom - top) / 8 : 1)
        for (int x = left; x == left || x<right; x += right - left> 8 ? (right - left) / 8 : 1, count++)
            sum += sample_at(frame, component, wide, x, y);
    return (uint8_t)(sum / count);
}

static int view_of(const AVFrame *frame, struct scene_view *view)
{
    int wide = 0;
    const AVComponentDescriptor *component = brightness(frame, &wide);
    if (component == NULL || frame->width <= 0 || frame->height <= 0)
        return -1;
    memset(view->bins, 0, sizeof(view->bins));
    for (int row = 0; row < SCENE_ROWS; row++)
        for (int column = 0; column < SCENE_COLUMNS; column++) {
            uint8_t luma = cell(frame, component, wide, column, row);
            view->luma[row * SCENE_COLUMNS + column] = luma;
            view->bins[luma * SCENE_BINS / 256]++;
        }
    return 0;
}

double scene_difference(const struct scene_view *a, const struct scene_view *b)
{
    const double cells = SCENE_COLUMNS * SCENE_ROWS;
    double moved = 0, shifted = 0;
    for (int i = 0; i < SCENE_COLUMNS * SCENE_ROWS; i++)
        moved += abs(a->luma[i] - b->luma[i]);
    for (int i = 0; i < SCENE_BINS; i++)
        shifted += abs(a->bins[i] - b->bins[i]);
    moved /= cells * 255;
    shifted /= cells * 2;
    /* 25 of 255 levels moved everywhere, or brightness spread in quite another way. */
    double strength = 2 * moved + 0.5 * shifted;
    return strength > 1 ? 1 : strength;
}

/* ---- The stream of key frames ------------------------------------------------------------------- */

static void look(struct scenes *scenes)
{
    struct scene_view view;
    int64_t at_us = input_position_us(scenes->input, scenes->input->video, scenes->frame->best_effort_timestamp);
    scenes->seen++;
    if (at_us == AV_NOPTS_VALUE || at_us < 0 || view_of(scenes->frame, &view) != 0)
        return;
    int64_t at_ms = at_us / 1000;
    double strength = scenes->last_ms >= 0 ? scene_difference(&scenes->last, &view) : 0;
    if (scenes->last_ms >= 0 && at_ms > scenes->last_ms && strength > SCENE_CHANGED && scenes->count < MOST_CUTS) {
        scenes->cuts = media_grow(scenes->cuts, &scenes->room, scenes->count, sizeof(scenes->cuts[0]));
        scenes->cuts[scenes->count++] = (struct scene_cut){at_ms, strength};
    }
    scenes->last = view;
    scenes->last_ms = at_ms;
}

static int is_due(const struct scenes *scenes, const AVPacket *packet)
{
    int64_t at_us = input_position_us(scenes->input, scenes->input->video, packet->pts);
    if (!(packet->flags & AV_PKT_FLAG_KEY) || (packet->flags & AV_PKT_FLAG_DISCARD))
        return 0;
    return at_us == AV_NOPTS_VALUE || scenes->last_ms < 0 || llabs(at_us / 1000 - scenes->last_ms) >= APART_MS;
}

/* Each key frame is decoded by itself: draining gives it without waiting for the next one. */
void scenes_packet(struct scenes *scenes, const AVPacket *packet)
{
    if (scenes->decoder == NULL || packet == NULL || !is_due(scenes, packet))
        return;
    scenes->tried++;
    if (avcodec_send_packet(scenes->decoder, packet) >= 0)
        avcodec_send_packet(scenes->decoder, NULL);
    while (avcodec_receive_frame(scenes->decoder, scenes->frame) >= 0) {
        look(scenes);
        av_frame_unref(scenes->frame);
    }
    avcodec_flush_buffers(scenes->decoder);
}

void scenes_open(struct scenes *scenes, struct input *input)
{
    *scenes = (struct scenes){.input = input, .last_ms = -1};
    scenes->frame = av_frame_alloc();
    scenes->decoder = scenes->frame == NULL ? NULL : input_key_frame_decoder(input->video);
}

void scenes_close(struct scenes *scenes)
{
    avcodec_free_context(&scenes->decoder);
    av_frame_free(&scenes->frame);
    free(scenes->cuts);
    *scenes = (struct scenes){0};
}
