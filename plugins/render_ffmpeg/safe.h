/*
 * The part of a clip that no platform's buttons and texts cover.
 */
#ifndef RENDER_SAFE_H
#define RENDER_SAFE_H

struct safe {
    double left, right, top, bottom; /* pixels from the picture's left and top */
};

/* Upright clips are covered by the players of VK, Shorts, Rutube and Dzen: 14 % at the top, 21 % at the
 * bottom, 12 % at the right; the left the same, so that what is centred stays so. */
static inline struct safe safe_area(int width, int height)
{
    double below = height > width ? 0.215 : height == width ? 0.14 : 0.10;
    return (struct safe){0.12 * width, 0.88 * width, 0.14 * height, (1 - below) * height};
}

#endif
