/*
 * Where the topic changes (Hearst's TextTiling): between which sentences the words before and the
 * words behind have least in common.
 */
#include "video.h"

#include <clipmaker/plugin.h>
#include <math.h>
#include <string.h>

#define BLOCK 8     /* sentences compared on each side */
#define SMOOTHING 1 /* neighbours on each side */
#define FEWEST (2 * BLOCK)

/* Adds `sign` times the content words of a sentence to the counts. */
static void count(const struct video *video, size_t index, double *counts, double sign)
{
    const struct sentence *sentence = &video->sentences[index];
    for (size_t i = 0; i < sentence->word_count; i++) {
        const struct stem *stem = &video->stems.list[sentence->words[i].stem];
        counts[sentence->words[i].stem] += stem->content ? sign : 0;
    }
}

/* Over the words of one block: the other's norm needs the words of that block. */
static double product(const struct video *video, size_t first, size_t last, const double *a, const double *b,
                      double *seen)
{
    double sum = 0;
    for (size_t i = first; i < last; i++) {
        const struct sentence *sentence = &video->sentences[i];
        for (size_t k = 0; k < sentence->word_count; k++) {
            unsigned stem = sentence->words[k].stem;
            sum += seen[stem] > 0 ? 0 : a[stem] * b[stem];
            seen[stem] = 1;
        }
    }
    for (size_t i = first; i < last; i++) {
        const struct sentence *sentence = &video->sentences[i];
        for (size_t k = 0; k < sentence->word_count; k++) {
            seen[sentence->words[k].stem] = 0;
        }
    }
    return sum;
}

/* The likeness of the blocks before and behind each gap; gap i is before sentence i. */
static void compare(const struct video *video, double *likeness)
{
    struct cm_ctx *ctx = video->ctx;
    double *before = ctx->host->alloc(ctx, 3 * (video->stems.count + 1) * sizeof *before);
    double *behind = before + video->stems.count + 1, *seen = behind + video->stems.count + 1;
    for (size_t i = 0; i < BLOCK && i < video->count; i++) {
        count(video, i, behind, 1);
    }
    for (size_t gap = 1; gap < video->count; gap++) {
        size_t first = gap > BLOCK ? gap - BLOCK : 0, last = gap + BLOCK < video->count ? gap + BLOCK : video->count;
        count(video, gap - 1, before, 1);
        count(video, gap - 1, behind, -1);
        if (gap > BLOCK) {
            count(video, gap - BLOCK - 1, before, -1);
        }
        if (gap - 1 + BLOCK < video->count) {
            count(video, gap - 1 + BLOCK, behind, 1);
        }
        double scale =
            sqrt(product(video, first, gap, before, before, seen) * product(video, gap, last, behind, behind, seen));
        likeness[gap] = scale > 0 ? product(video, first, gap, before, behind, seen) / scale : 0;
    }
    likeness[0] = video->count > 1 ? likeness[1] : 0;
}

static void smooth(const struct video *video, const double *from, double *to)
{
    for (size_t i = 0; i < video->count; i++) {
        size_t first = i > SMOOTHING ? i - SMOOTHING : 0;
        size_t last = i + SMOOTHING < video->count ? i + SMOOTHING : video->count - 1;
        double sum = 0;
        for (size_t k = first; k <= last; k++) {
            sum += from[k];
        }
        to[i] = sum / (double)(last - first + 1);
    }
}

/* How high the likeness rises from here in one direction before it falls again. */
static double peak(const struct video *video, const double *likeness, size_t from, int step)
{
    double highest = likeness[from];
    for (size_t i = from; (step > 0 ? i + 1 < video->count : i > 0);) {
        i = step > 0 ? i + 1 : i - 1;
        if (likeness[i] < highest) {
            break;
        }
        highest = likeness[i];
    }
    return highest;
}

static int is_valley(const struct video *video, size_t i)
{
    const struct sentence *sentences = video->sentences;
    return i > 0 && sentences[i].depth >= sentences[i - 1].depth &&
           (i + 1 == video->count || sentences[i].depth > sentences[i + 1].depth);
}

void topics_find(struct video *video)
{
    if (video->count < FEWEST) {
        return; /* too short to have topics */
    }
    double *raw = video->ctx->host->alloc(video->ctx, 2 * video->count * sizeof *raw), *likeness = raw + video->count;
    double sum = 0, squares = 0;
    compare(video, raw);
    smooth(video, raw, likeness);
    for (size_t i = 1; i < video->count; i++) {
        double depth = peak(video, likeness, i, -1) + peak(video, likeness, i, 1) - 2 * likeness[i];
        video->sentences[i].depth = fmin(1, depth);
        sum += video->sentences[i].depth;
        squares += video->sentences[i].depth * video->sentences[i].depth;
    }
    double mean = sum / (double)(video->count - 1);
    double deviation = sqrt(fmax(0, squares / (double)(video->count - 1) - mean * mean));
    for (size_t i = 1; i < video->count; i++) {
        video->sentences[i].new_topic = video->sentences[i].depth > mean + deviation && is_valley(video, i);
    }
}
