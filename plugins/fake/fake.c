/*
 * The misbehaving plugin: script, tally and the acts that every stage can do.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fake.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILE_MAX_BYTES (8 * 1024 * 1024)
#define LEAK_STEP_BYTES (4 * 1024 * 1024)
#define LEAK_MAX_BYTES (1024LL * 1024 * 1024)
#define NAP_MS 20

static long long utc_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void nap(long long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* "200ms", "3s", "2m", a bare number: ms; the fallback where there is no number. */
static long long duration_ms(const char *text, long long fallback)
{
    char *unit;
    double value = strtod(text, &unit);
    if (unit == text || value < 0 || value > 1e9) {
        return fallback;
    }
    return (long long)(value * (!strcmp(unit, "s") ? 1000 : !strcmp(unit, "m") ? 60000 : 1));
}

/* "64M", "1G", a bare number: bytes. */
static long long size_bytes(const char *text, long long fallback)
{
    char *unit;
    double value = strtod(text, &unit);
    if (unit == text || value < 0 || value > 1e12) {
        return fallback;
    }
    return (long long)(value * (*unit == 'G' ? 1 << 30 : *unit == 'M' ? 1 << 20 : *unit == 'K' ? 1 << 10 : 1));
}

const char *fake_read(const struct fake *fake, const char *path)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) || !S_ISREG(info.st_mode) || info.st_size > FILE_MAX_BYTES) {
        if (fd >= 0) {
            close(fd);
        }
        return "";
    }
    char *text = fake->host->alloc(fake->ctx, (size_t)info.st_size + 1);
    ssize_t got = read(fd, text, (size_t)info.st_size);
    close(fd);
    text[got > 0 ? got : 0] = '\0';
    return text;
}

const char *fake_write(const struct fake *fake, const char *name, const char *text)
{
    int fd = open(fake->host->output(fake->ctx, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    size_t bytes = strlen(text);
    int good = fd >= 0 && write(fd, text, bytes) == (ssize_t)bytes;
    if (fd >= 0) {
        close(fd);
    }
    return good ? name : NULL;
}

void fake_fact(const struct fake *fake, const char *name, long long value)
{
    fake->host->emit_fact(fake->ctx, name, fake->host->format(fake->ctx, "%lld", value));
}

/* ---- Whose turn it is ---- */

/* …/JOB/STEP.ITEM.FENCE/x: a plugin is not told these, so the fake reads them off its folder. */
static void read_names(struct fake *fake)
{
    char *path = fake->host->format(fake->ctx, "%s", fake->host->output(fake->ctx, "x"));
    const char *parts[3] = {"", "", ""};
    for (int i = 2; i >= 0; i--) {
        char *slash = strrchr(path, '/');
        if (!slash) {
            break;
        }
        *slash = '\0';
        parts[i] = slash + 1;
    }
    char *step = fake->host->format(fake->ctx, "%s", parts[1]);
    char *first = strchr(step, '.'), *last = strrchr(step, '.');
    fake->job = parts[0];
    fake->step = step;
    fake->item = fake->fence = "";
    if (first && last > first) {
        *first = *last = '\0';
        fake->item = first + 1;
        fake->fence = last + 1;
    }
}

static const char *tally_path(const struct fake *fake, const char *name)
{
    return fake->host->format(fake->ctx, "%s/%s", fake->options->tally, name);
}

static const char *who(const struct fake *fake)
{
    return fake->host->format(fake->ctx, "\t%s\t%s\t%s\t", fake->job, fake->step, fake->item);
}

void fake_note(const struct fake *fake, const char *what)
{
    if (!*fake->options->tally) {
        return;
    }
    const char *line = fake->host->format(fake->ctx, "%lld\t%d\t%s\t%s%s%s\t%d\t%s\n", utc_ms(), (int)getpid(),
                                          fake->stage, fake->ctx->instance, who(fake), fake->fence, fake->number, what);
    int fd = open(tally_path(fake, "acts.log"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd >= 0) {
        /* One write of one line: lines of several processes never mix. */
        if (write(fd, line, strlen(line)) < 0) {
            fake->host->log(fake->ctx, CM_LOG_WARN, "the tally cannot be written: %s", strerror(errno));
        }
        close(fd);
    }
}

/* How often this item was begun before: by the tally, or else by what the task has saved. */
static int count_before(struct fake *fake)
{
    int count = 0;
    if (*fake->options->tally) {
        char *rest = fake->host->format(fake->ctx, "%s", fake_read(fake, tally_path(fake, "acts.log"))), *line;
        const char *stage = fake->host->format(fake->ctx, "\t%s\t", fake->stage), *mine = who(fake);
        while ((line = strsep(&rest, "\n"))) {
            count += strstr(line, mine) && strstr(line, stage) && strstr(line, "\tbegin ");
        }
        return count;
    }
    const char *saved = fake->host->saved(fake->ctx, "fake_attempts");
    count = saved ? atoi(saved) : 0;
    fake->host->save(fake->ctx, "fake_attempts", fake->host->format(fake->ctx, "%d", count + 1));
    return count;
}

/* ---- Which act is due ---- */

static int same(const char *name, const char *text, size_t bytes)
{
    return strlen(name) == bytes && !strncmp(name, text, bytes);
}

/* Asked for a word about a post, not for the step's own work: its script is written under the
 * operation's name. */
static int is_aside(const struct fake *fake)
{
    return !strcmp(fake->stage, "find") || !strcmp(fake->stage, "remove") || !strcmp(fake->stage, "check");
}

/* True when "STEP", "STAGE", "STEP/ITEM", "/ITEM" or "*" means this call. */
static int is_meant(const struct fake *fake, const char *selector)
{
    const char *slash = strchr(selector, '/');
    size_t bytes = slash ? (size_t)(slash - selector) : strlen(selector);
    int step = bytes == 0 || same("*", selector, bytes) || same(fake->step, selector, bytes);
    step = (step && !is_aside(fake)) || same(fake->stage, selector, bytes);
    return step && (!slash || !strcmp(slash + 1, fake->item));
}

/* The list of acts for this call in "SELECTOR=acts;…" (or on lines), or the whole text when it has
 * no selector; NULL when none is meant. */
static const char *find_acts(const struct fake *fake, const char *script)
{
    if (!strchr(script, '=')) {
        return *script && !is_aside(fake) ? script : NULL;
    }
    char *rest = fake->host->format(fake->ctx, "%s", script), *entry;
    while ((entry = strsep(&rest, ";\n"))) {
        char *equals = strchr(entry, '=');
        if (!equals) {
            continue;
        }
        *equals = '\0';
        if (is_meant(fake, entry)) {
            return equals + 1;
        }
    }
    return NULL;
}

static const char *acts_of(const struct fake *fake)
{
    const char *acts = NULL;
    if (*fake->options->tally) {
        acts = find_acts(fake, fake_read(fake, tally_path(fake, fake->host->format(fake->ctx, "%s.plan", fake->job))));
        acts = acts ? acts : find_acts(fake, fake_read(fake, tally_path(fake, "plan")));
    }
    acts = acts ? acts : find_acts(fake, fake->options->script);
    return acts ? acts : "ok";
}

/* The act of this attempt: the number-th, and the last one for ever after. */
static void choose_act(struct fake *fake)
{
    char *rest = fake->host->format(fake->ctx, "%s", acts_of(fake)), *act = rest;
    for (int i = 0; i < fake->number && rest; i++) {
        act = strsep(&rest, ",");
    }
    char *colon = strchr(act, ':');
    fake->argument = colon ? colon + 1 : "";
    if (colon) {
        *colon = '\0';
    }
    fake->act = act;
}

struct fake fake_begin(struct cm_ctx *ctx, const struct fake_options *options, const char *stage)
{
    struct fake fake = {.ctx = ctx, .host = ctx->host, .options = options, .stage = stage};
    read_names(&fake);
    fake.number = count_before(&fake) + 1;
    choose_act(&fake);
    fake_note(&fake, ctx->host->format(ctx, "begin %s", fake.act));
    return fake;
}

int fake_is(const struct fake *fake, const char *act)
{
    return !strcmp(fake->act, act);
}

/* ---- The acts ---- */

void fake_crash(void)
{
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
    _exit(1);
}

static enum cm_verdict do_abort(struct fake *fake)
{
    (void)fake;
    signal(SIGABRT, SIG_DFL);
    abort();
}

static enum cm_verdict do_crash(struct fake *fake)
{
    (void)fake;
    fake_crash();
}

static enum cm_verdict do_exit(struct fake *fake)
{
    exit(atoi(fake->argument));
}

/* Deaf to stopping(); SIGTERM is caught by the worker, so only SIGKILL ends it. */
static enum cm_verdict do_hang(struct fake *fake)
{
    while (fake) {
        nap(1000);
    }
    return 0;
}

/* Deaf to SIGTERM itself, too, and busy. */
static enum cm_verdict do_stubborn(struct fake *fake)
{
    signal(SIGTERM, SIG_IGN);
    volatile int spinning = fake != NULL;
    while (spinning) {
    }
    return 0;
}

void fake_linger(const struct fake *fake)
{
    nap(duration_ms(fake->argument, 1000));
}

/* Works for a while, shows progress, and stops when asked. */
static enum cm_verdict do_slow(struct fake *fake)
{
    long long total_ms = duration_ms(fake->argument, 1000), until_ms = utc_ms() + total_ms;
    for (long long now = utc_ms(); now < until_ms; now = utc_ms()) {
        if (fake->host->stopping(fake->ctx)) {
            return fake_fail(fake, CM_AGAIN, CM_REASON_STOPPED, 0);
        }
        fake->host->progress(fake->ctx, 1 - (double)(until_ms - now) / (double)total_ms);
        nap(NAP_MS);
    }
    return 0;
}

/* Comes half of the way, saves that, and then gives no sign of life, deaf to stopping(). */
static enum cm_verdict do_stall(struct fake *fake)
{
    fake->host->progress(fake->ctx, 0.4);
    fake->host->save(fake->ctx, "uploaded", "part-7");
    return do_hang(fake);
}

/* A child that outlives the call, and so holds what the attempt had open. */
static enum cm_verdict leave_child(struct fake *fake, int own_session)
{
    pid_t child = fork();
    if (child == 0) {
        signal(SIGTERM, SIG_DFL);
        if (own_session) {
            setsid();
        }
        nap(duration_ms(fake->argument, 30000));
        _exit(0);
    }
    fake_note(fake, fake->host->format(fake->ctx, "child %d", (int)child));
    return 0;
}

static enum cm_verdict do_leave(struct fake *fake)
{
    return leave_child(fake, 0);
}

static enum cm_verdict do_escape(struct fake *fake)
{
    return leave_child(fake, 1);
}

/* Takes memory until there is no more, and then does what most programs do. */
static enum cm_verdict do_leak(struct fake *fake)
{
    long long limit = size_bytes(fake->argument, LEAK_MAX_BYTES);
    for (long long taken = 0; taken < limit; taken += LEAK_STEP_BYTES) {
        char *memory = malloc(LEAK_STEP_BYTES);
        if (!memory) {
            fake_crash();
        }
        memset(memory, 1, LEAK_STEP_BYTES);
    }
    return 0;
}

/* A verdict without a reason: the contract asks for fail(). */
static enum cm_verdict do_silent(struct fake *fake)
{
    return fake_end(fake, CM_AGAIN);
}

static const struct {
    const char *name;
    enum cm_verdict (*act)(struct fake *fake);
} acts[] = {
    {"crash", do_crash},       {"abort", do_abort},   {"exit", do_exit},   {"hang", do_hang},
    {"stubborn", do_stubborn}, {"slow", do_slow},     {"leave", do_leave}, {"escape", do_escape},
    {"leak", do_leak},         {"silent", do_silent}, {"stall", do_stall},
};

static const struct {
    const char *name;
    enum cm_verdict verdict;
    enum cm_reason reason;
    enum cm_scope scope;
} failures[] = {
    {"again", CM_AGAIN, CM_REASON_UNAVAILABLE, CM_SCOPE_ITEM},
    {"network", CM_AGAIN, CM_REASON_NETWORK, CM_SCOPE_INSTANCE},
    {"rate", CM_AGAIN, CM_REASON_RATE, CM_SCOPE_INSTANCE},
    {"flood", CM_AGAIN, CM_REASON_RATE, CM_SCOPE_ACCOUNT},
    {"banned", CM_AGAIN, CM_REASON_UNAVAILABLE, CM_SCOPE_ACCOUNT},
    {"down", CM_AGAIN, CM_REASON_UNAVAILABLE, CM_SCOPE_INSTANCE},
    {"processing", CM_AGAIN, CM_REASON_PROCESSING, CM_SCOPE_ITEM},
    {"cannot", CM_CANNOT, CM_REASON_UNSUPPORTED, CM_SCOPE_ITEM},
    {"quota", CM_CANNOT, CM_REASON_QUOTA, CM_SCOPE_KEY},
    {"malformed", CM_CANNOT, CM_REASON_MALFORMED, CM_SCOPE_ITEM},
    {"hold", CM_HOLD, CM_REASON_OPERATOR, CM_SCOPE_ITEM},
    {"auth", CM_HOLD, CM_REASON_AUTH, CM_SCOPE_INSTANCE},
    {"full", CM_HOLD, CM_REASON_RESOURCE, CM_SCOPE_ITEM},
    {"reject", CM_REJECT, CM_REASON_INPUT, CM_SCOPE_ITEM},
    {"silence", CM_REJECT, CM_REASON_NO_SPEECH, CM_SCOPE_ITEM},
    {"unsure", CM_UNSURE, CM_REASON_NETWORK, CM_SCOPE_ITEM},
};

static const char *const left_to_the_stage[] = {"ok",   "garbage", "early", "sent",  "posted",
                                                "lost", "doubt",   "blind", "linger"};

static enum cm_verdict fail_with_scope(const struct fake *fake, enum cm_verdict verdict, enum cm_reason reason,
                                       enum cm_scope scope, int64_t delay_ms)
{
    struct cm_failure failure = {.size = sizeof failure,
                                 .verdict = (uint32_t)verdict,
                                 .reason = (uint32_t)reason,
                                 .scope = (uint32_t)scope,
                                 .delay_ms = delay_ms};
    fake_end(fake, verdict);
    return fake->host->fail(fake->ctx, &failure, "the script says \"%s\" for attempt %d of %s/%s", fake->act,
                            fake->number, fake->step, fake->item);
}

enum cm_verdict fake_fail(const struct fake *fake, enum cm_verdict verdict, enum cm_reason reason, int64_t delay_ms)
{
    return fail_with_scope(fake, verdict, reason, CM_SCOPE_ITEM, delay_ms);
}

enum cm_verdict fake_act(struct fake *fake)
{
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        if (fake_is(fake, acts[i].name)) {
            return acts[i].act(fake);
        }
    }
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
        if (fake_is(fake, failures[i].name)) {
            return fail_with_scope(fake, failures[i].verdict, failures[i].reason, failures[i].scope,
                                   duration_ms(fake->argument, 0));
        }
    }
    for (size_t i = 0; i < sizeof left_to_the_stage / sizeof *left_to_the_stage; i++) {
        if (fake_is(fake, left_to_the_stage[i])) {
            return 0;
        }
    }
    /* A script with a slip of the pen must not look like a plugin that works. */
    return fake_fail(fake, CM_CANNOT, CM_REASON_INTERNAL, 0);
}

enum cm_verdict fake_end(const struct fake *fake, enum cm_verdict verdict)
{
    static const char *const names[] = {[CM_OK] = "ok",     [CM_AGAIN] = "again",   [CM_CANNOT] = "cannot",
                                        [CM_HOLD] = "hold", [CM_REJECT] = "reject", [CM_UNSURE] = "unsure"};
    fake_note(fake, fake->host->format(fake->ctx, "end %s", names[verdict]));
    return verdict;
}
