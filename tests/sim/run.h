/*
 * Running schedules: what the command line chose, and what is counted.
 */
#ifndef SIM_RUN_H
#define SIM_RUN_H

#include <stddef.h>
#include <stdint.h>

#define SIM_WAYS (1u << 18)

struct sim_options {
    size_t steps; /* of chaos in each schedule, before it calms down */
    int verbose;
    const char *folder; /* of the SQLite store; NULL: in memory */
    char *ways;         /* SIM_WAYS marks: which ways from state to state were gone; shared by all processes */
};

struct sim_totals {
    size_t schedules, steps, attempts, sets, crashes, torn, survived, posts, repeats, takeovers, fences, fits, abroad,
        failures;
};

/* 0, or not after printing what went wrong and with which seed. */
int sim_run(const struct sim_options *options, uint64_t seed, struct sim_totals *totals);

#endif
