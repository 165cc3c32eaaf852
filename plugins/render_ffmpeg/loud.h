/*
 * Loudness: measured, brought to the target, peaks held under the ceiling. Pure.
 */
#ifndef RENDER_LOUD_H
#define RENDER_LOUD_H

#include <stdint.h>

struct loud_level {
    double lufs;    /* integrated; -HUGE_VAL for silence */
    double peak_db; /* true peak, dBTP; -HUGE_VAL for silence */
};

/* Of interleaved stereo at 48 kHz. 0, or -1 when memory is out. */
int loud_measure(const float *pairs, int64_t count, struct loud_level *level);

/* `to` = `from` at the target loudness with peaks below the ceiling, as near as a limiter gets. Silence,
 * and what only a huge gain would bring up, stays quiet. 0, or -1. */
int loud_level_to(float *to, const float *from, int64_t count, double target_lufs, double ceiling_db);

/* From nothing to full within the first `length` pairs, and back within the last. */
void loud_fade(float *pairs, int64_t count, int64_t length);

#endif
