/*
 * The simulator's dice: the same seed always throws the same.
 */
#ifndef SIM_RANDOM_H
#define SIM_RANDOM_H

#include <stdint.h>

struct sim_random {
    uint64_t state;
};

static inline uint64_t sim_next(struct sim_random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u; /* splitmix64 */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* 0 … count - 1 */
static inline int sim_below(struct sim_random *random, int count)
{
    return (int)(sim_next(random) % (uint64_t)count);
}

/* True in `per_mille` of 1000 cases. */
static inline int sim_chance(struct sim_random *random, int per_mille)
{
    return sim_below(random, 1000) < per_mille;
}

#endif
