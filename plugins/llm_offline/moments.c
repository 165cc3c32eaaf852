/*
 * moment_selection: every run of sentences within the limits is rated, and the best set of them is
 * proposed. virality_scoring: the same rating for runs that are given.
 */
#include <clipmaker/plugin.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "answers.h"
#include "out.h"
#include "rate.h"
#include "video.h"

#define PADDING_MS 800 /* the host lets a clip breathe on both sides */

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

static int by_last(const void *a, const void *b)
{
    const struct run *one = a, *two = b;
    if (one->last != two->last) {
        return one->last < two->last ? -1 : 1;
    }
    return one->first < two->first ? -1 : one->first > two->first;
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
        qsort(runs.list, runs.count, sizeof *runs.list, by_last);
    }
    return runs;
}

/* ---- Choosing ---- */

/*
 * The set of at most `want` runs that do not touch each other and are worth most together, found
 * exactly: best[k][j] is what the sentences before j are worth with k runs. Worth is the square of
 * the total, so that a great moment is not given up for two fair ones.
 */
struct table {
    double *best;
    size_t *taken; /* the run that ends before j, + 1; 0: none does */
    size_t columns;
};

static double worth(const struct run *run)
{
    return run->total * run->total;
}

static void fill_row(const struct video *video, const struct runs *all, struct table *table, size_t k)
{
    const double *above = table->best + (k - 1) * table->columns;
    double *row = table->best + k * table->columns;
    size_t *taken = table->taken + k * table->columns, run = 0;
    for (size_t j = 1; j <= video->count; j++) {
        row[j] = row[j - 1];
        for (; run < all->count && all->list[run].last + 1 == j; run++) {
            double with = above[all->list[run].first] + worth(&all->list[run]);
            if (with > row[j]) {
                row[j] = with;
                taken[j] = run + 1;
            }
        }
    }
}

static struct runs trace_back(const struct video *video, const struct runs *all, const struct table *table, size_t want)
{
    struct runs chosen = {.list = video->ctx->host->alloc(video->ctx, (want + 1) * sizeof *chosen.list)};
    for (size_t k = want, j = video->count; k > 0 && j > 0;) {
        size_t taken = table->taken[k * table->columns + j];
        if (taken) {
            chosen.list[chosen.count++] = all->list[taken - 1];
            j = all->list[taken - 1].first;
            k--;
        } else {
            j--;
        }
    }
    return chosen;
}

/* `all` is in the order of the last sentence. */
static struct runs choose(const struct video *video, const struct runs *all, size_t want)
{
    struct cm_ctx *ctx = video->ctx;
    struct table table = {.columns = video->count + 1};
    table.best = ctx->host->alloc(ctx, (want + 1) * table.columns * sizeof *table.best);
    table.taken = ctx->host->alloc(ctx, (want + 1) * table.columns * sizeof *table.taken);
    for (size_t k = 1; k <= want; k++) {
        fill_row(video, all, &table, k);
    }
    struct runs chosen = trace_back(video, all, &table, want);
    if (chosen.count > 1) {
        qsort(chosen.list, chosen.count, sizeof *chosen.list, by_total);
    }
    return chosen;
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
        long first = video_find(video, (long)host->json_int(video->ctx, host->json_at(video->ctx, one, "first"), -1));
        long last = video_find(video, (long)host->json_int(video->ctx, host->json_at(video->ctx, one, "last"), -1));
        struct rating rating = {0};
        if (first >= 0 && last >= first) {
            rating = rate(video, (size_t)first, (size_t)last);
        }
        add_score(&out, video, id, &rating);
    }
    out_add(&out, "]}");
    return out.text;
}
