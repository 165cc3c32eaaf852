/*
 * The sound of the whole media at its true positions: mono 16 kHz samples in a spool file without a
 * name, and the level of each 10 ms in memory. Gaps are silence; they take no room.
 */
#ifndef MEDIA_SOUND_H
#define MEDIA_SOUND_H

#include "levels.h"
#include "media.h"

#define SOUND_BUFFER 16384

struct sound {
    int fd;
    int64_t next;        /* where the next sample belongs; may lie before or behind `end` */
    int64_t end;         /* samples kept so far */
    int64_t limit;       /* no sample from here on is kept */
    int64_t early, late; /* samples dropped: overlapping what was there, and beyond the limit */
    int error;           /* errno of the first write that failed */
    struct levels levels;
    int16_t buffer[SOUND_BUFFER];
    size_t filled;        /* of the buffer, which ends at `end` */
    double energy, noise; /* of the frame being filled */
    int16_t last;
};

enum cm_verdict sound_open(struct sound *sound, struct cm_ctx *ctx, int64_t limit_ms);
void sound_close(struct sound *sound);
void sound_put(void *sound, const int16_t *samples, size_t count); /* a resample_to */
/* Later samples belong at this position: ahead leaves silence, back drops what is there already. */
void sound_jump(struct sound *sound, int64_t position);
/* Everything is in the file now. 0, or an errno. */
int sound_finish(struct sound *sound);
/* Reads `count` samples from `position` on; behind the end they are 0. 0, or an errno. */
int sound_read(const struct sound *sound, int64_t position, int16_t *samples, size_t count);

#endif
