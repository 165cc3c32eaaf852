/*
 * How far a job is. A frame is built whole and written at once, so a terminal never shows half of
 * one.
 */
#include "core/ctl/progress.h"

#include <json-c/json.h>
#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/ctl/ctl.h"
#include "core/ctl/grid.h"

#define LABEL_COLUMNS 14
#define NUMBERS_COLUMNS 26 /* " 100%  1234/1234  ~1:23:45" */
#define BAR_MAX_COLUMNS 44
#define COLUMNS_MIN 48

/* What was seen of a step before. */
struct seen {
    char *step, *state;
    double first_progress;
    int64_t first_ms;
    int tenths; /* last plain line */
};

struct cm_progress {
    enum cm_progress_style style;
    struct seen *steps;
    size_t count, room;
    size_t lines; /* on the terminal, above the cursor */
    int held_shown;
};

static const char *const known_words[] = {
    /* the steps of the pipeline that is shipped */
    N_("fetch"),
    N_("prepare"),
    N_("transcript"),
    N_("windows"),
    N_("moments"),
    N_("score"),
    N_("choose"),
    N_("title"),
    N_("cta"),
    N_("clip"),
    N_("publish"),
    /* states of jobs and tasks */
    N_("queued"),
    N_("running"),
    N_("succeeded"),
    N_("partial"),
    N_("failed"),
    N_("cancelled"),
    N_("blocked"),
    N_("ready"),
    N_("scheduled"),
    N_("backoff"),
    N_("held"),
    N_("skipped"),
};

static const char *words_of(const char *name)
{
    for (size_t i = 0; i < sizeof known_words / sizeof *known_words; i++) {
        if (!strcmp(known_words[i], name)) {
            return cm_words(known_words[i]);
        }
    }
    return name;
}

const char *cm_step_words(const char *step)
{
    return words_of(step);
}

const char *cm_state_words(const char *state)
{
    return words_of(state);
}

enum cm_progress_style cm_progress_style_of_stderr(void)
{
    const char *terminal = getenv("TERM");
    int dumb = !terminal || !*terminal || !strcmp(terminal, "dumb");
    return isatty(STDERR_FILENO) && !dumb ? CM_PROGRESS_LIVE : CM_PROGRESS_PLAIN;
}

struct cm_progress *cm_progress_new(enum cm_progress_style style)
{
    struct cm_progress *progress = cm_alloc(sizeof *progress);
    progress->style = style;
    return progress;
}

void cm_progress_free(struct cm_progress *progress)
{
    if (!progress) {
        return;
    }
    for (size_t i = 0; i < progress->count; i++) {
        free(progress->steps[i].step);
        free(progress->steps[i].state);
    }
    free(progress->steps);
    free(progress);
}

static struct seen *seen_of(struct cm_progress *progress, struct json_object *step)
{
    const char *name = cm_json_text(step, "step", "");
    for (size_t i = 0; i < progress->count; i++) {
        if (!strcmp(progress->steps[i].step, name)) {
            return &progress->steps[i];
        }
    }
    progress->steps = cm_grow(progress->steps, &progress->room, progress->count, sizeof *progress->steps);
    struct seen *seen = &progress->steps[progress->count++];
    *seen = (struct seen){.step = cm_strdup(name), .state = cm_strdup("")};
    return seen;
}

/* ---- Bars ---------------------------------------------------------------------------------- */

/* By the pace since the first look at it: what an earlier run did is not counted. -1: not known. */
static long long eta_ms(struct seen *seen, struct json_object *step)
{
    double progress = cm_json_real(step, "progress", 0);
    if (seen->first_ms == 0 && cm_json_int(step, "running", 0) > 0) {
        seen->first_ms = cm_boot_ms();
        seen->first_progress = progress;
    }
    double gained = progress - seen->first_progress;
    int64_t spent_ms = cm_boot_ms() - seen->first_ms;
    if (seen->first_ms == 0 || gained < 0.03 || spent_ms < 1500 || progress >= 1) {
        return -1;
    }
    return (long long)((1 - progress) / gained * (double)spent_ms);
}

static const char *filled_cell(void)
{
    return !strcmp(nl_langinfo(CODESET), "UTF-8") ? "█" : "#";
}

static const char *empty_cell(void)
{
    return !strcmp(nl_langinfo(CODESET), "UTF-8") ? "░" : "-";
}

static char *clock_text(long long ms)
{
    long long seconds = (ms + 999) / 1000;
    if (seconds >= 3600) {
        return cm_format("~%lld:%02lld:%02lld", seconds / 3600, seconds / 60 % 60, seconds % 60);
    }
    return cm_format("~%lld:%02lld", seconds / 60, seconds % 60);
}

/* What stands at the end of a line: the time left, or the state where it says more. */
static char *tail_text(struct json_object *step, long long left_ms)
{
    const char *state = cm_json_text(step, "state", "");
    int said = !strcmp(state, "held") || !strcmp(state, "failed") || !strcmp(state, "backoff") ||
               !strcmp(state, "skipped") || !strcmp(state, "cancelled");
    if (said) {
        return cm_strdup(cm_state_words(state));
    }
    return left_ms >= 0 ? clock_text(left_ms) : cm_strdup("");
}

char *cm_progress_bar(struct json_object *step, int columns, long long left_ms)
{
    int bar_columns = columns - LABEL_COLUMNS - NUMBERS_COLUMNS - 2;
    bar_columns = bar_columns > BAR_MAX_COLUMNS ? BAR_MAX_COLUMNS : bar_columns < 4 ? 4 : bar_columns;
    double progress = cm_json_real(step, "progress", 0);
    progress = progress < 0 ? 0 : progress > 1 ? 1 : progress;
    int filled = (int)(progress * bar_columns + 0.5);
    char *label = cm_fit(cm_step_words(cm_json_text(step, "step", "")), LABEL_COLUMNS);
    char *tail = tail_text(step, left_ms);
    char *fitted = cm_fit(tail, 8);
    long long total = cm_json_int(step, "total", 0);
    char *count = total > 1 ? cm_format("%lld/%lld", cm_json_int(step, "done", 0), total) : cm_strdup("");
    struct cm_text line = {0};
    cm_text_addf(&line, "%s ", label);
    for (int i = 0; i < bar_columns; i++) {
        cm_text_add(&line, i < filled ? filled_cell() : empty_cell());
    }
    cm_text_addf(&line, " %3d%% %9s %s", (int)(progress * 100), count, fitted);
    free(label);
    free(tail);
    free(fitted);
    free(count);
    return cm_text_take(&line);
}

static void terminal_size(int *columns, int *rows)
{
    struct winsize size = {0};
    ioctl(STDERR_FILENO, TIOCGWINSZ, &size);
    *columns = size.ws_col > 0 ? size.ws_col : 80;
    *columns = *columns < COLUMNS_MIN ? COLUMNS_MIN : *columns;
    *rows = size.ws_row > 1 ? size.ws_row : 24;
}

static void write_frame(struct cm_text *frame)
{
    size_t left = frame->length;
    const char *next = frame->bytes;
    while (left > 0) {
        ssize_t done = write(STDERR_FILENO, next, left);
        if (done <= 0) {
            break;
        }
        next += done;
        left -= (size_t)done;
    }
    cm_text_free(frame);
}

static void add_to_top(struct cm_progress *progress, struct cm_text *frame)
{
    if (progress->lines > 0) {
        cm_text_addf(frame, "\033[%zuA\r", progress->lines);
    }
}

static void show_live(struct cm_progress *progress, struct json_object *steps)
{
    int columns, rows;
    terminal_size(&columns, &rows);
    size_t count = json_object_array_length(steps);
    size_t first = count >= (size_t)rows ? count - (size_t)rows + 1 : 0;
    struct cm_text frame = {0};
    add_to_top(progress, &frame);
    for (size_t i = 0; i < count; i++) {
        struct json_object *step = json_object_array_get_idx(steps, i);
        long long left_ms = eta_ms(seen_of(progress, step), step);
        char *line = cm_progress_bar(step, columns, left_ms);
        if (i >= first) {
            cm_text_addf(&frame, "%s\033[K\n", line);
        }
        free(line);
    }
    progress->lines = count - first;
    write_frame(&frame);
}

/* ---- Plain lines --------------------------------------------------------------------------- */

static void show_plain_step(struct cm_progress *progress, struct json_object *step)
{
    struct seen *seen = seen_of(progress, step);
    const char *state = cm_json_text(step, "state", "");
    int tenths = (int)(cm_json_real(step, "progress", 0) * 10);
    int started = strcmp(state, "blocked") && strcmp(state, "ready") && *state;
    int changed = strcmp(seen->state, state) || (tenths > seen->tenths && !strcmp(state, "running"));
    if (!started || !changed) {
        return;
    }
    free(seen->state);
    seen->state = cm_strdup(state);
    seen->tenths = tenths;
    long long total = cm_json_int(step, "total", 0);
    struct cm_text line = {0};
    cm_text_addf(&line, "%s: %s", cm_step_words(seen->step), cm_state_words(state));
    if (!strcmp(state, "running") && tenths > 0) {
        cm_text_addf(&line, " %d %%", tenths * 10);
    }
    if (total > 1) {
        cm_text_addf(&line, _(" (%lld of %lld)"), cm_json_int(step, "done", 0), total);
    }
    cm_text_add(&line, "\n");
    write_frame(&line);
}

void cm_progress_show(struct cm_progress *progress, struct json_object *summary)
{
    struct json_object *steps = cm_json_array(summary, "steps");
    if (!steps) {
        return;
    }
    if (progress->style == CM_PROGRESS_LIVE) {
        show_live(progress, steps);
        return;
    }
    for (size_t i = 0; i < json_object_array_length(steps); i++) {
        show_plain_step(progress, json_object_array_get_idx(steps, i));
    }
}

void cm_progress_end(struct cm_progress *progress)
{
    progress->lines = 0;
}

void cm_progress_note(struct cm_progress *progress, const char *text)
{
    struct cm_text frame = {0};
    add_to_top(progress, &frame);
    if (progress->lines > 0) {
        cm_text_add(&frame, "\033[J");
        write_frame(&frame);
        progress->lines = 0;
    }
    cm_ctl_note("%s", text);
}
