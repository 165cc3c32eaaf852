/*
 * Loudness: the target is met from quiet, loud and uneven sound, peaks stay below the ceiling, silence
 * stays silence; and AAC keeps every sample at its place.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/render_ffmpeg/aac.h"
#include "plugins/render_ffmpeg/loud.h"
#include "plugins/render_ffmpeg/render.h"

#define SECONDS 6
#define COUNT (SECONDS * RENDER_RATE)

static float *pairs_of(double (*at)(int64_t))
{
    float *pairs = malloc(COUNT * 2 * sizeof(float));
    for (int64_t i = 0; i < COUNT; i++)
        pairs[2 * i] = pairs[2 * i + 1] = (float)at(i);
    return pairs;
}

/* Something like speech: a buzz in syllables. */
static double talk(int64_t i)
{
    double seconds = (double)i / RENDER_RATE, syllable = fmax(0, sin(2 * M_PI * 3 * seconds));
    return syllable *
           (sin(2 * M_PI * 140 * seconds) + 0.5 * sin(2 * M_PI * 1400 * seconds) +
            0.2 * sin(2 * M_PI * 3777 * seconds)) /
           1.7;
}

static double quiet(int64_t i)
{
    return talk(i) * 0.02;
}

static double clipped(int64_t i)
{
    return fmax(-1, fmin(1, talk(i) * 4));
}

/* A clap every second over quiet speech: far more crest than the target allows. */
static double uneven(int64_t i)
{
    return talk(i) * 0.05 + (i % RENDER_RATE < 200 ? 0.9 * sin((double)i) : 0);
}

static double hiss(int64_t i)
{
    return ((double)(i * 7919 % 10007) / 10007 - 0.5) * 0.0005;
}

static double nothing(int64_t i)
{
    (void)i;
    return 0;
}

static struct loud_level levelled(double (*at)(int64_t))
{
    struct loud_level level;
    float *from = pairs_of(at), *to = malloc(COUNT * 2 * sizeof(float));
    assert_int_equal(loud_level_to(to, from, COUNT, -14, -2), 0);
    assert_int_equal(loud_measure(to, COUNT, &level), 0);
    free(from);
    free(to);
    return level;
}

static void test_the_target_is_met_below_the_ceiling(void **state)
{
    (void)state;
    double (*const sounds[])(int64_t) = {talk, quiet, clipped, uneven};
    for (size_t i = 0; i < sizeof(sounds) / sizeof(sounds[0]); i++) {
        struct loud_level level = levelled(sounds[i]);
        print_message("sound %zu: %.2f LUFS, %.2f dBTP\n", i, level.lufs, level.peak_db);
        assert_true(fabs(level.lufs + 14) <= 0.7);
        assert_true(level.peak_db <= -1.6);
    }
}

static void test_noise_and_silence_are_not_blown_up(void **state)
{
    (void)state;
    struct loud_level before, level = levelled(hiss);
    float *from = pairs_of(hiss);
    assert_int_equal(loud_measure(from, COUNT, &before), 0);
    free(from);
    assert_true(isinf(before.lufs) || level.lufs <= before.lufs + 30.5);
    assert_true(level.lufs < -30);
    level = levelled(nothing);
    assert_true(isinf(level.lufs) && isinf(level.peak_db));
}

static void test_fades(void **state)
{
    (void)state;
    float pairs[200];
    for (size_t i = 0; i < 200; i++)
        pairs[i] = 1;
    loud_fade(pairs, 100, 20);
    assert_true(pairs[0] < 0.01f && pairs[199] < 0.01f);
    assert_float_equal(pairs[100], 1, 1e-6);
    for (size_t i = 1; i < 100; i++)
        assert_true(i >= 50 || pairs[2 * i] >= pairs[2 * i - 2]);
    loud_fade(pairs, 1, 20); /* nothing to fade in */
}

static void test_aac_keeps_places_and_length(void **state)
{
    (void)state;
    struct aac aac;
    float *from = pairs_of(nothing), *back = malloc(COUNT * 2 * sizeof(float));
    for (int64_t i = 0; i < 2400; i++) /* a burst that begins at exactly three seconds */
        from[2 * (3 * RENDER_RATE + i)] = from[2 * (3 * RENDER_RATE + i) + 1] = (float)(0.5 * sin((double)i * 0.2));
    assert_int_equal(aac_encode(&aac, from, COUNT, 128000), 0);
    assert_int_equal(aac_decode(&aac, back, COUNT), 0);
    int64_t best = 0;
    double most = -1;
    for (int64_t shift = -1500; shift <= 1500; shift++) {
        double sum = 0;
        for (int64_t i = 0; i < 2400; i++)
            sum += (double)from[2 * (3 * RENDER_RATE + i)] * back[2 * (3 * RENDER_RATE + i + shift)];
        if (sum > most) {
            most = sum;
            best = shift;
        }
    }
    assert_int_equal(best, 0);
    int64_t length = 0;
    for (size_t i = 0; i < aac.count; i++)
        length += aac.packet[i]->duration;
    assert_int_equal(length, COUNT + aac.encoder->initial_padding);
    aac_free(&aac);
    free(from);
    free(back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_target_is_met_below_the_ceiling),
        cmocka_unit_test(test_noise_and_silence_are_not_blown_up),
        cmocka_unit_test(test_fades),
        cmocka_unit_test(test_aac_keeps_places_and_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
