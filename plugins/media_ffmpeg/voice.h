/*
 * Where somebody speaks, and where to cut, from the levels alone. Pure: no file, no host.
 */
#ifndef MEDIA_VOICE_H
#define MEDIA_VOICE_H

#include <stddef.h>
#include <stdint.h>

#include "levels.h"

struct span {
    int64_t start_ms, end_ms;
    double value; /* level in dBFS, or what the list says */
};

struct spans {
    struct span *items;
    size_t count, room;
};

/* The energy gate: what is louder counts as voice. */
struct voice_gate {
    double floor_db, top_db; /* 10th and 95th percentile of what is not digital silence */
    double threshold_db;
    enum {
        VOICE_HEARD = 1,
        VOICE_SILENT,
        VOICE_STEADY
    } finding; /* STEADY: one unbroken noise or tone */
};

struct voice_gate voice_gate(const struct levels *levels);
/* Stretches of speech, short gaps closed, a little room on both sides. */
void voice_find(const struct levels *levels, const struct voice_gate *gate, struct spans *speech);
/* Chunks, each up to the next, so that nothing lies between two of them; value: where its speech has
 * ended, at most max_ms behind its start. They are cut at pauses; where there is none, at the
 * quietest 30 ms, and the interval in `speech` is split there. A silence of 15 s always cuts. */
void voice_chunks(const struct levels *levels, int64_t max_ms, struct spans *speech, struct spans *chunks);

/* Gaps of at least 300 ms between the speech, from 0 to duration_ms; value: level. */
void voice_silences(const struct levels *levels, const struct spans *speech, int64_t duration_ms, struct spans *found);
/* Louder by 6 dB and more than the median of what was heard in the 30 s around; value: dB over it. */
void voice_loud(const struct levels *levels, const struct voice_gate *gate, struct spans *found);
/* Noisy for longer than any consonant: laughter, applause; value: strength 0..1. */
void voice_bursts(const struct levels *levels, const struct voice_gate *gate, struct spans *found);

void spans_add(struct spans *spans, int64_t start_ms, int64_t end_ms, double value);
void spans_free(struct spans *spans);

#endif
