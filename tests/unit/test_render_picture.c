/*
 * Pictures: which window is shown, turning, colours, blending, and the rate.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/render_ffmpeg/canvas.h"
#include "plugins/render_ffmpeg/layer.h"
#include "plugins/render_ffmpeg/rate.h"
#include "plugins/render_ffmpeg/scale.h"
#include "plugins/render_ffmpeg/window.h"

static void test_window_in_the_middle_and_at_the_border(void **state)
{
    (void)state;
    struct window window = window_at(NULL, 0, 0, 16.0 / 9, 9.0 / 16);
    assert_float_equal(window.width, 81.0 / 256, 1e-9);
    assert_float_equal(window.height, 1, 1e-9);
    assert_float_equal(window.x, (1 - 81.0 / 256) / 2, 1e-9);
    struct document_camera corner = {0, 1, 0, 2};
    window = window_at(&corner, 1, 0, 16.0 / 9, 9.0 / 16);
    assert_float_equal(window.x + window.width, 1, 1e-9);
    assert_float_equal(window.y, 0, 1e-9);
    assert_float_equal(window.height, 0.5, 1e-9);
    window = window_at(NULL, 0, 0, 0.5, 2); /* a tall source in a wide clip */
    assert_float_equal(window.width, 1, 1e-9);
    assert_float_equal(window.height, 0.25, 1e-9);
}

static void test_camera_moves_linearly_and_holds(void **state)
{
    (void)state;
    struct document_camera path[] = {{1000, 0.4, 0.5, 1}, {2000, 0.6, 0.5, 1}, {2000, 0.5, 0.5, 1}};
    double middle[] = {0.4, 0.4, 0.5, 0.5, 0.5};
    int64_t at_us[] = {0, 1000000, 1500000, 2000000, 9000000};
    for (size_t i = 0; i < 5; i++) {
        struct window window = window_at(path, 3, at_us[i], 2, 0.5);
        assert_float_equal(window.x + window.width / 2, middle[i], 1e-9);
    }
}

/* A frame of 4 by 2 pixels with a different brightness each, shown as `matrix` says. */
static void turned(const int32_t *matrix, int width, int height, uint8_t *pixels)
{
    static const uint8_t stored[8] = {20, 50, 80, 110, 140, 170, 200, 230};
    AVFrame *frame = av_frame_alloc();
    struct scale scale = {0};
    struct canvas canvas;
    frame->format = AV_PIX_FMT_YUV420P;
    frame->width = 4 * 8;
    frame->height = 2 * 8;
    frame->colorspace = AVCOL_SPC_BT709;
    assert_int_equal(av_frame_get_buffer(frame, 0), 0);
    for (int y = 0; y < 16; y++)
        for (int x = 0; x < 32; x++)
            frame->data[0][y * frame->linesize[0] + x] = stored[y / 8 * 4 + x / 8];
    for (int i = 1; i < 3; i++)
        memset(frame->data[i], 128, (size_t)frame->linesize[i] * 8);
    assert_int_equal(canvas_make(&canvas, width * 8, height * 8), 0);
    struct window all = {0, 0, 1, 1};
    assert_int_equal(scale_frame(&scale, frame, turn_of_matrix(matrix), all, SWS_POINT, &canvas), 0);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            pixels[y * width + x] = canvas.plane[0][(y * 8 + 4) * canvas.stride[0] + x * 8 + 4];
    scale_free(&scale);
    canvas_free(&canvas);
    av_frame_free(&frame);
}

static void test_turned_pictures_are_shown_upright(void **state)
{
    (void)state;
#define ONE (1 << 16)
    static const struct {
        int32_t matrix[9];
        int width, height;
        uint8_t wanted[8];
    } cases[] = {
        {{ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30}, 4, 2, {20, 50, 80, 110, 140, 170, 200, 230}},
        {{0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30}, 2, 4, {140, 20, 170, 50, 200, 80, 230, 110}},  /* clockwise */
        {{-ONE, 0, 0, 0, -ONE, 0, 0, 0, 1 << 30}, 4, 2, {230, 200, 170, 140, 110, 80, 50, 20}}, /* over */
        {{0, -ONE, 0, ONE, 0, 0, 0, 0, 1 << 30}, 2, 4, {110, 230, 80, 200, 50, 170, 20, 140}},  /* counter */
        {{-ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30}, 4, 2, {110, 80, 50, 20, 230, 200, 170, 140}},  /* mirrored */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t pixels[8];
        turned(cases[i].matrix, cases[i].width, cases[i].height, pixels);
        assert_memory_equal(pixels, cases[i].wanted, 8);
    }
}

/* Pure red, coded in `space`, must come out as BT.709's red. */
static void check_red(int format, int space, int range, int y, int u, int v)
{
    AVFrame *frame = av_frame_alloc();
    struct scale scale = {0};
    struct canvas canvas;
    frame->format = format;
    frame->width = frame->height = 64;
    frame->colorspace = (enum AVColorSpace)space;
    frame->color_range = (enum AVColorRange)range;
    assert_int_equal(av_frame_get_buffer(frame, 0), 0);
    memset(frame->data[0], y, (size_t)frame->linesize[0] * 64);
    memset(frame->data[1], u, (size_t)frame->linesize[1] * 32);
    memset(frame->data[2], v, (size_t)frame->linesize[2] * 32);
    assert_int_equal(canvas_make(&canvas, 48, 48), 0);
    struct window all = {0, 0, 1, 1};
    assert_int_equal(scale_frame(&scale, frame, (struct turn){0}, all, SWS_BICUBIC, &canvas), 0);
    assert_in_range(canvas.plane[0][24 * canvas.stride[0] + 24], 60, 66);
    assert_in_range(canvas.plane[1][12 * canvas.stride[1] + 12], 99, 105);
    assert_in_range(canvas.plane[2][12 * canvas.stride[2] + 12], 236, 242);
    scale_free(&scale);
    canvas_free(&canvas);
    av_frame_free(&frame);
}

static void test_colours_become_bt709(void **state)
{
    (void)state;
    check_red(AV_PIX_FMT_YUV420P, AVCOL_SPC_BT709, AVCOL_RANGE_MPEG, 63, 102, 240);
    check_red(AV_PIX_FMT_YUV420P, AVCOL_SPC_SMPTE170M, AVCOL_RANGE_MPEG, 81, 90, 240);
    check_red(AV_PIX_FMT_YUV420P, AVCOL_SPC_UNSPECIFIED, AVCOL_RANGE_UNSPECIFIED, 81, 90, 240); /* small: 601 */
    check_red(AV_PIX_FMT_YUVJ420P, AVCOL_SPC_SMPTE170M, AVCOL_RANGE_UNSPECIFIED, 76, 85, 255);
    check_red(AV_PIX_FMT_YUV420P, AVCOL_SPC_SMPTE170M, AVCOL_RANGE_JPEG, 76, 85, 255);
}

static void test_strange_sizes(void **state)
{
    (void)state;
    static const int sizes[][2] = {{1, 1}, {1, 500}, {500, 1}, {405, 721}, {3, 2}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        AVFrame *frame = av_frame_alloc();
        struct scale scale = {0};
        struct canvas canvas;
        frame->format = AV_PIX_FMT_YUV420P;
        frame->width = sizes[i][0];
        frame->height = sizes[i][1];
        assert_int_equal(av_frame_get_buffer(frame, 0), 0);
        for (int plane = 0; plane < 3; plane++)
            memset(frame->data[plane], 100,
                   (size_t)frame->linesize[plane] * (size_t)(plane ? (frame->height + 1) / 2 : frame->height));
        assert_int_equal(canvas_make(&canvas, 108, 192), 0);
        struct window window =
            window_at(NULL, 0, 0, scale_aspect(frame, (AVRational){0, 1}, (struct turn){0}), 9.0 / 16);
        assert_int_equal(scale_frame(&scale, frame, (struct turn){0}, window, SWS_BICUBIC, &canvas), 0);
        scale_free(&scale);
        canvas_free(&canvas);
        av_frame_free(&frame);
    }
}

static void fill(const struct canvas *canvas, int luma)
{
    for (int i = 0; i < 3; i++)
        for (int y = 0; y < canvas->height / (i ? 2 : 1); y++)
            memset(canvas->plane[i] + y * canvas->stride[i], i ? 128 : luma, (size_t)canvas->width / (i ? 2 : 1));
}

static void test_paint_is_clipped_and_exact(void **state)
{
    (void)state;
    struct canvas canvas;
    uint8_t coverage[16 * 16];
    memset(coverage, 255, sizeof(coverage));
    struct layer layer;
    assert_int_equal(canvas_make(&canvas, 32, 32), 0);
    assert_int_equal(layer_make(&layer, 32, 32), 0);
    static const int places[][2] = {{-8, -8}, {24, 24}, {-100, 4}, {4, 100}, {8, 8}, {7, 9}};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        fill(&canvas, 16);
        struct stencil stencil = {coverage, 16, 16, 16, places[i][0], places[i][1]};
        layer_clear(&layer);
        layer_paint(&layer, &stencil, 0xffffff, 255);
        layer_lay(&layer, &canvas);
        for (int y = 0; y < 32; y++)
            for (int x = 0; x < 32; x++) {
                int in = x >= places[i][0] && x < places[i][0] + 16 && y >= places[i][1] && y < places[i][1] + 16;
                assert_int_equal(canvas.plane[0][y * canvas.stride[0] + x], in ? 235 : 16);
            }
    }
    layer_free(&layer);
    canvas_free(&canvas);
}

static void test_blur_keeps_the_mean_and_clarity_sees_black(void **state)
{
    (void)state;
    struct canvas canvas;
    uint8_t scratch[64];
    assert_int_equal(canvas_make(&canvas, 64, 64), 0);
    fill(&canvas, 16);
    assert_float_equal(canvas_clarity(&canvas), 0, 1e-9);
    for (int y = 0; y < 64; y++)
        memset(canvas.plane[0] + y * canvas.stride[0], y % 16 < 8 ? 60 : 180, 64);
    double sharp = canvas_clarity(&canvas);
    canvas_blur(&canvas, 8, scratch);
    assert_in_range(canvas.plane[0][32 * canvas.stride[0] + 32], 105, 135);
    assert_true(canvas_clarity(&canvas) < sharp);
    canvas_free(&canvas);
}

static void check_rate(AVRational average, AVRational nominal, double asked, int num, int den)
{
    AVRational rate = rate_of(average, nominal, asked);
    assert_int_equal(rate.num, num);
    assert_int_equal(rate.den, den);
}

static void test_rates(void **state)
{
    (void)state;
    AVRational none = {0, 0};
    check_rate((AVRational){30000, 1001}, (AVRational){30000, 1001}, 0, 30000, 1001);
    check_rate((AVRational){25, 1}, (AVRational){25, 1}, 0, 25, 1);
    check_rate((AVRational){2213, 100}, (AVRational){30, 1}, 0, 30, 1); /* variable, on a grid of 30 */
    check_rate((AVRational){2997, 100}, (AVRational){90000, 1}, 0, 30000, 1001);
    check_rate((AVRational){120, 1}, (AVRational){120, 1}, 0, 60, 1);
    check_rate((AVRational){240, 1}, (AVRational){240, 1}, 0, 60, 1);
    check_rate((AVRational){5, 1}, (AVRational){5, 1}, 0, 25, 1);
    check_rate(none, none, 0, 25, 1);
    check_rate(none, (AVRational){1000000, 1}, 0, 25, 1);
    check_rate((AVRational){25, 1}, (AVRational){25, 1}, 30, 30, 1);
    check_rate((AVRational){25, 1}, (AVRational){25, 1}, 29.97, 30000, 1001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window_in_the_middle_and_at_the_border),
        cmocka_unit_test(test_camera_moves_linearly_and_holds),
        cmocka_unit_test(test_turned_pictures_are_shown_upright),
        cmocka_unit_test(test_colours_become_bt709),
        cmocka_unit_test(test_strange_sizes),
        cmocka_unit_test(test_paint_is_clipped_and_exact),
        cmocka_unit_test(test_blur_keeps_the_mean_and_clarity_sees_black),
        cmocka_unit_test(test_rates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
