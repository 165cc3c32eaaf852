/*
 * Cutting a transcript into windows.
 */
#include "core/moments/windows.h"

#include "core/common/text.h"
#include "core/moments/transcript.h"

#define WINDOW_MS (10 * 60 * 1000) /* about 1500 words: small enough for any model, large enough to compare */
#define WINDOW_CLIPS 4             /* and never less than so many clips of the longest kind */
#define TAIL_SHARE 4               /* a rest shorter than a quarter of a window joins the one before */

static size_t last_within(const struct cm_transcript *transcript, size_t first, int64_t length_ms)
{
    const struct cm_sentence *sentences = transcript->sentences;
    size_t count = transcript->sentence_count, last = first;
    while (last + 1 < count && sentences[last + 1].end_ms - sentences[first].start_ms <= length_ms) {
        last++;
    }
    int64_t rest_ms = sentences[count - 1].end_ms - sentences[last].end_ms;
    return rest_ms < length_ms / TAIL_SHARE ? count - 1 : last;
}

/* The first sentence from which a clip of full length would not end inside the window. */
static size_t next_start(const struct cm_transcript *transcript, const struct cm_window *window, int64_t max_clip_ms)
{
    const struct cm_sentence *sentences = transcript->sentences;
    size_t next = window->first + 1;
    while (next <= window->last && sentences[next].start_ms + max_clip_ms <= sentences[window->last].end_ms) {
        next++;
    }
    return next;
}

struct cm_window *cm_windows_cut(const struct cm_transcript *transcript, int64_t max_clip_ms, size_t *count)
{
    struct cm_window *windows = NULL;
    size_t room = 0, first = 0;
    int64_t length_ms = WINDOW_MS > WINDOW_CLIPS * max_clip_ms ? WINDOW_MS : WINDOW_CLIPS * max_clip_ms;
    *count = 0;
    while (first < transcript->sentence_count) {
        windows = cm_grow(windows, &room, *count, sizeof *windows);
        struct cm_window *window = &windows[(*count)++];
        *window = (struct cm_window){first, last_within(transcript, first, length_ms)};
        if (window->last + 1 == transcript->sentence_count) {
            break;
        }
        first = next_start(transcript, window, max_clip_ms);
    }
    return windows;
}
