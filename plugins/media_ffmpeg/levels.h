/*
 * How loud and how noisy each 10 ms of the sound is: all that is kept in memory of it.
 */
#ifndef MEDIA_LEVELS_H
#define MEDIA_LEVELS_H

#include <stddef.h>
#include <stdint.h>

#define LEVEL_FLOOR (-10000) /* digital silence; in 1/100 dBFS like every level here */

struct level {
    int16_t cdb;   /* RMS, 1/100 dBFS */
    uint8_t noise; /* energy of the first difference over twice the energy, ×128: voice 5, hiss 128 */
};

struct levels {
    struct level *items; /* one per 10 ms of media */
    size_t count, room;
};

void levels_add(struct levels *levels, double energy, double noise, size_t samples);
void levels_add_silence(struct levels *levels, size_t frames);
/* Mean power of the frames first..last-1, in dBFS. */
double levels_mean_db(const struct levels *levels, size_t first, size_t last);
void levels_free(struct levels *levels);

#endif
