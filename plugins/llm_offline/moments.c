/*
 * moment_selection: every run of sentences within the limits is rated, and the best that do not
 * cover each other are proposed. virality_scoring: the same rating for runs that are given.
 */
#include <clipmaker/plugin.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "answers.h"
#include "out.h"
#include "rate.h"
#include "video.h"

#define OVERLAP_MOST 0.10 /* of the shorter: proposals shall give a real choice */
#define PADDING_MS 800    /* the host lets a clip breathe on both sides */
#define ROUNDS 8          /* enough alternatives for one start */

struct run {
    size_t first, last; /* sentences */
    double total;
};

struct runs {
    struct run *list;
    size_t count;
};

/* ---- All runs ---- */

static int64_t length_ms(const struct video *video, size_t first, size_t last)
{
    return video->sentences[last].end_ms - video->sentences[first].start_ms;
}

static size_t count_runs(const struct video *video, struct run *list)
{
    int64_t min_ms = video->min_ms - PADDING_MS, max_ms = video->max_ms - PADDING_MS;
    size_t count = 0;
    for (size_t first = 0; first < video->count; first++) {
        for (size_t last = first; last < video->count && length_ms(video, first, last) <= max_ms; last++) {
            if (length_ms(video, first, last) < min_ms) {
                continue;
            }
            if (list) {
                list[count] = (struct run){first, last, rate(video, first, last).total};
            }
            count++;
        }
    }
    return count;
}

static int by_total(const void *a, const void *b)
{
    const struct run *one = a, *two = b;
    if (one->total != two->total) {
        return one->total > two->total ? -1 : 1;
    }
    if (one->first != two->first) {
        return one->first < two->first ? -1 : 1;
    }
    return one->last < two->last ? -1 : one->last > two->last;
}

/* Where no run fits the limits the host makes one fit: each sentence as a beginning. */
static struct runs single_sentences(const struct video *video)
{
    struct runs runs = {.list = video->ctx->host->alloc(video->ctx, (video->count + 1) * sizeof *runs.list)};
    for (size_t i = 0; i < video->count; i++) {
        runs.list[runs.count++] = (struct run){i, i, rate(video, i, i).total};
    }
    return runs;
}

static struct runs all_runs(const struct video *video)
{
    struct runs runs = {.count = count_runs(video, NULL)};
    if (runs.count == 0) {
        runs = single_sentences(video);
    } else {
        runs.list = video->ctx->host->alloc(video->ctx, runs.count * sizeof *runs.list);
        count_runs(video, runs.list);
    }
    if (runs.count > 1) {
        qsort(runs.list, runs.count, sizeof *runs.list, by_total);
    }
    return runs;
}

/* ---- Choosing ---- */

static double overlap(const struct video *video, const struct run *a, const struct run *b)
{
    int64_t a_start = video->sentences[a->first].start_ms, a_end = video->sentences[a->last].end_ms;
    int64_t b_start = video->sentences[b->first].start_ms, b_end = video->sentences[b->last].end_ms;
    int64_t start = a_start > b_start ? a_start : b_start, end = a_end < b_end ? a_end : b_end;
    int64_t shorter = a_end - a_start < b_end - b_start ? a_end - a_start : b_end - b_start;
    return end > start && shorter > 0 ? (double)(end - start) / (double)shorter : 0;
}

static int is_apart(const struct video *video, const struct runs *chosen, const struct run *run)
{
    for (size_t i = 0; i < chosen->count; i++) {
        if (overlap(video, &chosen->list[i], run) > OVERLAP_MOST) {
            return 0;
        }
    }
    return 1;
}

/* The best from `seed` on; the seed is taken whatever comes. */
static struct runs choose_from(const struct video *video, const struct runs *all, size_t seed, size_t want)
{
    struct runs chosen = {.list = video->ctx->host->alloc(video->ctx, (want + 1) * sizeof *chosen.list)};
    chosen.list[chosen.count++] = all->list[seed];
    for (size_t i = 0; i < all->count && chosen.count < want; i++) {
        if (is_apart(video, &chosen, &all->list[i])) {
            chosen.list[chosen.count++] = all->list[i];
        }
    }
    return chosen;
}

static double sum(const struct runs *runs, size_t most)
{
    double total = 0;
    for (size_t i = 0; i < runs->count && i < most; i++) {
        total += runs->list[i].total;
    }
    return total;
}

/* The best run of all may stand in the way of two good ones: a few other beginnings are tried, and
 * the set that is worth most wins. Matters only where there is little material. */
static struct runs choose(const struct video *video, const struct runs *all, size_t want)
{
    struct runs best = choose_from(video, all, 0, want);
    size_t step = all->count / (ROUNDS * 4) + 1;
    for (size_t seed = step; seed < all->count && seed < step * ROUNDS * 2; seed += step) {
        struct runs other = choose_from(video, all, seed, want);
        if (best.count < want && sum(&other, want) > sum(&best, want)) {
            best = other;
        }
    }
    if (best.count > 1) {
        qsort(best.list, best.count, sizeof *best.list, by_total);
    }
    return best;
}

static void add_moment(struct out *out, const struct video *video, const struct run *run, int first)
{
    struct cm_ctx *ctx = video->ctx;
    struct rating rating = rate(video, run->first, run->last);
    out_add(out, ctx->host->format(ctx, "%s{\"first\":%ld,\"last\":%ld,\"reason\":%s}", first ? "" : ",",
                                   video->sentences[run->first].id, video->sentences[run->last].id,
                                   ctx->host->json_quote(ctx, rate_reason(video, &rating))));
}

const char *answer_moments(struct video *video, const struct cm_json *input)
{
    struct out out = out_new(video->ctx);
    (void)input;
    out_add(&out, "{\"moments\":[");
    if (video->count > 0) {
        struct runs all = all_runs(video);
        struct runs chosen = choose(video, &all, video->want > 0 ? video->want : 1);
        for (size_t i = 0; i < chosen.count; i++) {
            add_moment(&out, video, &chosen.list[i], i == 0);
        }
    }
    out_add(&out, "]}");
    return out.text;
}

/* ---- Scoring ---- */

static void add_score(struct out *out, const struct video *video, const char *id, const struct rating *rating)
{
    struct cm_ctx *ctx = video->ctx;
    out_add(out, ctx->host->format(ctx,
                                   "%s{\"id\":%s,\"hook\":%ld,\"engagement\":%ld,\"flow\":%ld,\"trend\":%ld,"
                                   "\"reason\":%s}",
                                   out->text[out->length - 1] == '[' ? "" : ",", ctx->host->json_quote(ctx, id),
                                   lround(rating->hook), lround(rating->engagement), lround(rating->flow),
                                   lround(rating->trend), ctx->host->json_quote(ctx, rate_reason(video, rating))));
}

const char *answer_scores(struct video *video, const struct cm_json *input)
{
    const struct cm_host *host = video->ctx->host;
    const struct cm_json *list = host->json_at(video->ctx, input, "candidates");
    struct out out = out_new(video->ctx);
    out_add(&out, "{\"scores\":[");
    for (size_t i = 0; i < host->json_count(video->ctx, list); i++) {
        char path[24];
        snprintf(path, sizeof path, "%zu", i);
        const struct cm_json *one = host->json_at(video->ctx, list, path);
        const char *id = host->json_string(video->ctx, host->json_at(video->ctx, one, "id"), "");
        long first =
            video_find(video, (long)host->json_number(video->ctx, host->json_at(video->ctx, one, "first"), -1));
        long last = video_find(video, (long)host->json_number(video->ctx, host->json_at(video->ctx, one, "last"), -1));
        struct rating rating = {0};
        if (first >= 0 && last >= first) {
            rating = rate(video, (size_t)first, (size_t)last);
        }
        add_score(&out, video, id, &rating);
    }
    out_add(&out, "]}");
    return out.text;
}
