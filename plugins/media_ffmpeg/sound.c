/*
 * The sound of the whole media at its true positions: mono 16 kHz samples in a spool file without a
 * name, and the level of each 10 ms in memory. Gaps are silence; they take no room.
 */
#include "sound.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum cm_verdict sound_open(struct sound *sound, struct cm_ctx *ctx, int64_t limit_ms)
{
    const char *path = ctx->host->output(ctx, "sound.spool");
    memset(sound, 0, sizeof(*sound));
    sound->limit = limit_ms * (MEDIA_RATE / 1000);
    sound->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (sound->fd < 0)
        return media_write_failed(ctx, path, errno);
    unlink(path);
    return CM_OK;
}

void sound_close(struct sound *sound)
{
    if (sound->fd >= 0)
        close(sound->fd);
    sound->fd = -1;
    levels_free(&sound->levels);
}

static void flush(struct sound *sound)
{
    const char *bytes = (const char *)sound->buffer;
    size_t left = sound->filled * sizeof(int16_t);
    off_t at = (off_t)((sound->end - (int64_t)sound->filled) * (int64_t)sizeof(int16_t));
    while (left > 0 && sound->error == 0) {
        ssize_t wrote = pwrite(sound->fd, bytes, left, at);
        if (wrote < 0 && errno != EINTR)
            sound->error = errno;
        if (wrote > 0) {
            bytes += wrote;
            left -= (size_t)wrote;
            at += wrote;
        }
    }
    sound->filled = 0;
}

static void end_frame(struct sound *sound)
{
    levels_add(&sound->levels, sound->energy, sound->noise, MEDIA_FRAME_SAMPLES);
    sound->energy = sound->noise = 0;
}

static void keep(struct sound *sound, int16_t sample)
{
    double step = (double)sample - sound->last;
    if (sound->filled == SOUND_BUFFER)
        flush(sound);
    sound->buffer[sound->filled++] = sample;
    sound->energy += (double)sample * sample;
    sound->noise += step * step;
    sound->last = sample;
    if (++sound->end % MEDIA_FRAME_SAMPLES == 0)
        end_frame(sound);
}

/* Silence up to `next`: a hole in the file, floor levels in memory. */
static void leave_gap(struct sound *sound)
{
    int64_t gap = sound->next - sound->end;
    int64_t inside = sound->end % MEDIA_FRAME_SAMPLES;
    flush(sound);
    if (inside > 0 && inside + gap >= MEDIA_FRAME_SAMPLES)
        end_frame(sound);
    int64_t from = sound->end / MEDIA_FRAME_SAMPLES + (inside > 0), to = sound->next / MEDIA_FRAME_SAMPLES;
    if (to > from)
        levels_add_silence(&sound->levels, (size_t)(to - from));
    sound->end = sound->next;
    sound->last = 0;
}

void sound_put(void *to, const int16_t *samples, size_t count)
{
    struct sound *sound = to;
    for (size_t i = 0; i < count; i++, sound->next++) {
        if (sound->next < sound->end || sound->next >= sound->limit) {
            *(sound->next < sound->end ? &sound->early : &sound->late) += 1;
            continue;
        }
        if (sound->next > sound->end)
            leave_gap(sound);
        keep(sound, samples[i]);
    }
}

void sound_jump(struct sound *sound, int64_t position)
{
    sound->next = position;
}

int sound_finish(struct sound *sound)
{
    flush(sound);
    if (sound->end % MEDIA_FRAME_SAMPLES != 0)
        end_frame(sound);
    return sound->error;
}

int sound_read(const struct sound *sound, int64_t position, int16_t *samples, size_t count)
{
    char *bytes = (char *)samples;
    size_t left = count * sizeof(int16_t);
    off_t at = (off_t)(position * (int64_t)sizeof(int16_t));
    memset(samples, 0, left);
    while (left > 0) {
        ssize_t got = pread(sound->fd, bytes, left, at);
        if (got == 0)
            return 0;
        if (got < 0 && errno != EINTR)
            return errno;
        if (got > 0) {
            bytes += got;
            left -= (size_t)got;
            at += got;
        }
    }
    return 0;
}
