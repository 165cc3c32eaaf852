/*
 * The chunk's audio in memory: mono 16 kHz samples out of FLAC or WAV.
 */
#ifndef SPHINX_WAVE_H
#define SPHINX_WAVE_H

#include <stddef.h>
#include <stdint.h>

#define WAVE_RATE 16000
#define WAVE_PER_MS (WAVE_RATE / 1000)

struct wave {
    int16_t *samples;
    size_t count, room;
};

/* NULL, or a static word on why not. wave_free is needed only after NULL. */
const char *wave_read(struct wave *wave, const char *path);
void wave_free(struct wave *wave);

/* The middle of the quietest 30 ms between two positions (ms in the wave). */
int64_t wave_quietest_ms(const struct wave *wave, int64_t from_ms, int64_t to_ms);

#endif
