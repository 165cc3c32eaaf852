/*
 * Loudness: measured, brought to the target, peaks held under the ceiling. Pure.
 *
 * The limiter sees the whole clip: the gain at a sample is what the loudest true peak within 5 ms on
 * either side allows, released slowly, then smoothed over the same 5 ms, so that it never exceeds what
 * any of them allows. Limiting takes loudness away, so the gain is raised until the target is met.
 */
#include "loud.h"

#include <ebur128.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "render.h"

#define MOST_GAIN_DB 30.0
#define MOST_LIMITING_DB 30.0 /* a clap over quiet speech is held down so far, not the speech */
#define NEAR_LU 0.2
#define ROUNDS 8
#define REACH (RENDER_RATE / 200) /* 5 ms */
#define WINDOW (2 * REACH + 2)
#define RELEASE_S 0.06

static ebur128_state *heard(const float *pairs, int64_t count, int modes, double *lufs)
{
    ebur128_state *meter = ebur128_init(2, RENDER_RATE, modes);
    if (meter == NULL)
        return NULL;
    ebur128_add_frames_float(meter, pairs, (size_t)count);
    if (ebur128_loudness_global(meter, lufs) != EBUR128_SUCCESS)
        *lufs = -HUGE_VAL;
    return meter;
}

static double db_of(double peak)
{
    return peak > 0 ? 20 * log10(peak) : -HUGE_VAL;
}

int loud_measure(const float *pairs, int64_t count, struct loud_level *level)
{
    double left = 0, right = 0;
    ebur128_state *meter = heard(pairs, count, EBUR128_MODE_I | EBUR128_MODE_TRUE_PEAK, &level->lufs);
    if (meter == NULL)
        return -1;
    ebur128_true_peak(meter, 0, &left);
    ebur128_true_peak(meter, 1, &right);
    level->peak_db = db_of(left > right ? left : right);
    ebur128_destroy(&meter);
    return 0;
}

/* The loudness alone: looking for true peaks takes many times as long. */
static int measure_lufs(const float *pairs, int64_t count, double *lufs)
{
    ebur128_state *meter = heard(pairs, count, EBUR128_MODE_I, lufs);
    if (meter == NULL)
        return -1;
    ebur128_destroy(&meter);
    return 0;
}

/* ---- True peaks ------------------------------------------------------------------------------- */

#define PHASES 4
#define TAPS 12

/* A windowed sinc at three points between two samples. */
static void make_filter(double filter[PHASES][TAPS])
{
    for (int phase = 0; phase < PHASES; phase++) {
        double sum = 0;
        for (int tap = 0; tap < TAPS; tap++) {
            double x = tap - TAPS / 2 + 1 - (double)phase / PHASES;
            double sinc = fabs(x) < 1e-9 ? 1 : sin(M_PI * x) / (M_PI * x);
            filter[phase][tap] = sinc * (0.5 + 0.5 * cos(M_PI * x / (TAPS / 2.0 + 0.5)));
            sum += filter[phase][tap];
        }
        for (int tap = 0; tap < TAPS; tap++)
            filter[phase][tap] /= sum;
    }
}

static float peak_near(const float *pairs, int64_t count, int64_t at, double filter[PHASES][TAPS])
{
    float peak = fmaxf(fabsf(pairs[2 * at]), fabsf(pairs[2 * at + 1]));
    if (at < TAPS || at + TAPS >= count)
        return peak;
    for (int phase = 1; phase < PHASES; phase++) {
        double left = 0, right = 0;
        for (int tap = 0; tap < TAPS; tap++) {
            const float *pair = pairs + 2 * (at + tap - TAPS / 2 + 1);
            left += pair[0] * filter[phase][tap];
            right += pair[1] * filter[phase][tap];
        }
        peak = fmaxf(peak, (float)fmax(fabs(left), fabs(right)));
    }
    return peak;
}

static float *peaks_of(const float *pairs, int64_t count)
{
    double filter[PHASES][TAPS];
    float *peaks = malloc((size_t)count * sizeof(float));
    if (peaks == NULL)
        return NULL;
    make_filter(filter);
    for (int64_t i = 0; i < count; i++)
        peaks[i] = peak_near(pairs, count, i, filter);
    return peaks;
}

static double highest_db(const float *peaks, int64_t count)
{
    float highest = 0;
    for (int64_t i = 0; i < count; i++)
        highest = fmaxf(highest, peaks[i]);
    return db_of(highest);
}

/* ---- The limiter ------------------------------------------------------------------------------ */

/* held[i] = what the loudest sample within REACH of i allows. The queue (a ring) holds those of the window
 * that no later and louder one has overtaken: its head is the loudest. */
static void hold_lowest(float *held, const float *peaks, int64_t count, double gain, double ceiling)
{
    int64_t queue[WINDOW], head = 0, tail = 0;
    for (int64_t i = 0; i < count + REACH; i++) {
        if (i < count) {
            while (tail > head && peaks[queue[(tail - 1) % WINDOW]] <= peaks[i])
                tail--;
            queue[tail++ % WINDOW] = i;
        }
        int64_t centre = i - REACH;
        if (centre < 0)
            continue;
        while (queue[head % WINDOW] < centre - REACH)
            head++;
        double loudest = peaks[queue[head % WINDOW]] * gain;
        held[centre] = loudest > ceiling ? (float)(ceiling / loudest) : 1;
    }
}

static void release_slowly(float *held, int64_t count)
{
    float step = (float)(1 - exp(-1 / (RELEASE_S * RENDER_RATE)));
    for (int64_t i = 1; i < count; i++) {
        float most = held[i - 1] + (1 - held[i - 1]) * step;
        held[i] = fminf(held[i], most);
    }
}

static void apply(float *to, const float *from, int64_t count, double gain, const float *held)
{
    double sum = 0;
    for (int64_t i = -REACH; i <= REACH; i++)
        sum += held[i < 0 ? 0 : i >= count ? count - 1 : i];
    for (int64_t i = 0; i < count; i++) {
        float share = (float)(gain * sum / (2 * REACH + 1));
        to[2 * i] = from[2 * i] * share;
        to[2 * i + 1] = from[2 * i + 1] * share;
        int64_t in = i + REACH + 1, out = i - REACH;
        sum += held[in >= count ? count - 1 : in] - held[out < 0 ? 0 : out];
    }
}

static int level_with(float *to, const float *from, int64_t count, double target_lufs, double ceiling_db,
                      const float *peaks, float *held)
{
    double before_lufs, after_lufs;
    if (measure_lufs(from, count, &before_lufs) != 0)
        return -1;
    double gain_db = isinf(before_lufs) ? 0 : fmin(target_lufs - before_lufs, MOST_GAIN_DB);
    double most_db = fmin(MOST_GAIN_DB, fmax(gain_db, ceiling_db + MOST_LIMITING_DB - highest_db(peaks, count)));
    for (int round = 0; round < ROUNDS; round++) {
        hold_lowest(held, peaks, count, pow(10, gain_db / 20), pow(10, ceiling_db / 20));
        release_slowly(held, count);
        apply(to, from, count, pow(10, gain_db / 20), held);
        if (measure_lufs(to, count, &after_lufs) != 0)
            return -1;
        double short_lu = target_lufs - after_lufs;
        if (isinf(before_lufs) || isinf(after_lufs) || fabs(short_lu) < NEAR_LU || (short_lu > 0 && gain_db >= most_db))
            break;
        gain_db = fmin(gain_db + short_lu * (short_lu > 0 ? 1.3 : 1), most_db);
    }
    return 0;
}

int loud_level_to(float *to, const float *from, int64_t count, double target_lufs, double ceiling_db)
{
    float *peaks = peaks_of(from, count), *held = malloc((size_t)count * sizeof(float));
    int result = -1;
    if (peaks != NULL && held != NULL)
        result = level_with(to, from, count, target_lufs, ceiling_db, peaks, held);
    free(peaks);
    free(held);
    return result;
}

void loud_fade(float *pairs, int64_t count, int64_t length)
{
    if (length > count / 2)
        length = count / 2;
    for (int64_t i = 0; i < length; i++) {
        float share = (float)(0.5 - 0.5 * cos(M_PI * ((double)i + 0.5) / (double)length));
        for (int64_t side = 0; side < 2; side++) {
            pairs[2 * i + side] *= share;
            pairs[2 * (count - 1 - i) + side] *= share;
        }
    }
}
