/*
 * clipmaker run: one video into clips in a folder, with a private clipmakerd.
 *
 *   flags → folders → lock → key → (finished before: print) → daemon → job → clips.json
 *
 * Everything that must outlive this process lies in DIR/.clipmaker/KEY, so the same command goes
 * on where it was, whoever was killed.
 */
#include <json-c/json.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/ctl/ctl.h"
#include "core/ctl/order.h"
#include "core/ctl/progress.h"
#include "core/ctl/report.h"
#include "core/ctl/run.h"
#include "core/ctl/run_prune.h"

#define NAME_CUT_BYTES 240

static volatile sig_atomic_t has_daemon; /* from then on an interrupt is dealt with in order */
static char *interrupted_line;

static void on_signal(int number)
{
    (void)number;
    cm_run_interrupted = 1;
    if (!has_daemon) {
        ssize_t ignored = write(STDERR_FILENO, interrupted_line, strlen(interrupted_line));
        (void)ignored;
        _exit(CM_EX_INTERRUPTED);
    }
}

static void catch_signals(void)
{
    static const int all[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal};
    interrupted_line = cm_format("clipmaker: %s\n", _("interrupted; the same command goes on where it was"));
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        sigaction(all[i], &action, NULL);
    }
}

/* "/a/talk.mp4" and "https://host/talk.mp4?x" → "talk-clips"; malloc'd. */
static char *default_dir(const char *source, int is_url)
{
    size_t end = is_url ? strcspn(source, "?#") : strlen(source);
    while (end > 0 && source[end - 1] == '/') {
        end--;
    }
    size_t start = end;
    while (start > 0 && source[start - 1] != '/') {
        start--;
    }
    char *name = cm_strndup(source + start, end - start);
    char *dot = strrchr(name, '.');
    if (dot && dot != name) {
        *dot = '\0';
    }
    size_t bytes = strlen(name) > NAME_CUT_BYTES ? NAME_CUT_BYTES : strlen(name);
    while (bytes > 0 && ((unsigned char)name[bytes] & 0xc0) == 0x80) {
        bytes--;
    }
    char *dir = cm_format("%.*s-clips", bytes > 0 ? (int)bytes : 5, bytes > 0 ? name : "video");
    free(name);
    return dir;
}

static char *config_path(const char *given)
{
    if (given) {
        return cm_path_absolute(given);
    }
    char *folder = cm_place(CM_PLACE_CONFIG), *path = cm_path_join(folder, "clipmaker.conf");
    free(folder);
    return path;
}

/* Flags and arguments into *run. CM_PARSED_STOP with *status. */
static enum cm_parsed read_order(const struct cm_command *self, int argc, char **argv, struct cm_run *run, int *status)
{
    struct cm_asked asked = {0};
    const char *dir = NULL, *config = NULL;
    const struct cm_flag flags[] = {
        {'o', "output", "DIR", N_("where the clips go; without it ./NAME-clips"), NULL, &dir, NULL},
        CM_ASKED_FLAGS(asked),
        {'c', "config", "FILE", N_("another configuration file"), NULL, &config, NULL},
        {0, "consent", NULL, N_("yes to what leaves Russia with --strategy global, which is named"), &run->consents,
         NULL, NULL},
        {'j', "json", NULL, N_("print the result as JSON, and nothing else, on standard output"), &run->json, NULL,
         NULL},
        CM_FLAG_END,
    };
    int first = 0;
    enum cm_parsed parsed = cm_ctl_parse(self, flags, argc, argv, 1, 1, &first, status);
    if (parsed == CM_PARSED_GO) {
        *status = cm_order_params(&asked, &run->params);
        *status = *status ? *status : cm_order_source(argv[first], &run->source, &run->is_url);
        parsed = *status ? CM_PARSED_STOP : CM_PARSED_GO;
    }
    if (parsed == CM_PARSED_GO) {
        char *own = dir ? NULL : default_dir(run->source, run->is_url);
        run->dir = cm_path_absolute(dir ? dir : own);
        run->home = cm_path_join(run->dir, ".clipmaker");
        run->config = config_path(config);
        run->pipeline = asked.pipeline ? asked.pipeline : "";
        free(own);
    }
    free(asked.formats.items);
    return parsed;
}

static int carry_out(struct cm_run *run)
{
    int status = cm_run_prepare_folders(run);
    status = status ? status : cm_run_take_lock(run);
    status = status ? status : cm_run_find_key(run);
    if (status || cm_run_repeat_result(run, &status)) {
        return status;
    }
    struct json_object *shown = NULL;
    cm_run_prune(run->home, run->key, cm_utc_ms());
    has_daemon = 1;
    status = cm_run_note_source(run);
    status = status ? status : cm_run_job(run, &shown);
    status = status ? status : cm_run_finish_result(run, shown);
    json_object_put(shown);
    return status;
}

/* The video itself was refused: a program that asked for JSON gets it. */
static int print_failure(struct cm_run *run, int status)
{
    struct json_object *report =
        cm_report_failed("", run->source, status == EX_NOINPUT ? "not_found" : "input", cm_ctl_last_words());
    int printed = cm_ctl_print_json(report);
    json_object_put(report);
    return printed ? printed : status;
}

static void release(struct cm_run *run)
{
    char *texts[] = {run->source, run->dir, run->config, run->home, run->state, run->job, run->told};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        free(texts[i]);
    }
    json_object_put(run->params);
    cm_progress_free(run->progress);
    if (run->lock >= 0) {
        close(run->lock);
    }
}

int cm_ctl_run(const struct cm_command *self, int argc, char **argv)
{
    struct cm_run run = {.lock = -1, .daemon = {.pid = -1}};
    int status = 0;
    if (read_order(self, argc, argv, &run, &status) == CM_PARSED_GO) {
        catch_signals();
        run.progress = cm_progress_new(cm_progress_style_of_stderr());
        status = carry_out(&run);
    } else if (run.json && run.source) {
        status = print_failure(&run, status);
    }
    release(&run);
    free(interrupted_line);
    return status;
}
