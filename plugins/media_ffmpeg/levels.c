/*
 * How loud and how noisy each 10 ms of the sound is: all that is kept in memory of it.
 */
#include "levels.h"

#include <math.h>
#include <stdlib.h>

#include "media.h"

static int16_t centi_db(double mean_square)
{
    double value = mean_square > 0 ? 1000 * log10(mean_square / (32768.0 * 32768.0)) : LEVEL_FLOOR;
    return (int16_t)(value < LEVEL_FLOOR ? LEVEL_FLOOR : value > 0 ? 0 : value);
}

void levels_add(struct levels *levels, double energy, double noise, size_t samples)
{
    double ratio = energy > 0 ? 64 * noise / energy : 0;
    levels->items = media_grow(levels->items, &levels->room, levels->count, sizeof(levels->items[0]));
    levels->items[levels->count++] = (struct level){
        .cdb = centi_db(energy / (double)samples),
        .noise = (uint8_t)(ratio > 255 ? 255 : ratio),
    };
}

void levels_add_silence(struct levels *levels, size_t frames)
{
    for (size_t i = 0; i < frames; i++)
        levels_add(levels, 0, 0, 1);
}

double levels_mean_db(const struct levels *levels, size_t first, size_t last)
{
    double sum = 0;
    if (last > levels->count)
        last = levels->count;
    if (first >= last)
        return LEVEL_FLOOR / 100.0;
    for (size_t i = first; i < last; i++)
        sum += pow(10, levels->items[i].cdb / 1000.0);
    double db = 10 * log10(sum / (double)(last - first));
    return db < LEVEL_FLOOR / 100.0 ? LEVEL_FLOOR / 100.0 : db;
}

void levels_free(struct levels *levels)
{
    free(levels->items);
    *levels = (struct levels){0};
}
