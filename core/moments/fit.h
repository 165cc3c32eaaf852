/*
 * Fitting: a run of sentences that someone proposed becomes a moment within the limits, by whole
 * sentences where that is possible.
 */
#ifndef CM_MOMENTS_FIT_H
#define CM_MOMENTS_FIT_H

#include <stddef.h>
#include <stdint.h>

#include "core/moments/snap.h"

struct cm_transcript;

struct cm_limits {
    int64_t min_ms, max_ms; /* of a clip; 0 < min <= max */
};

struct cm_moment {
    size_t first, last; /* sentences that it touches, inclusive */
    struct cm_span span;
};

/* Limits that make sense, whatever the job's parameters say. */
struct cm_limits cm_limits_of(int64_t min_ms, int64_t max_ms);

/* 1 and *moment, or 0 when even all of the media would be too short or the ids are none. */
int cm_fit(const struct cm_transcript *transcript, const struct cm_limits *limits, size_t first, size_t last,
           struct cm_moment *moment);

#endif
