/*
 * The job of a run: its daemon, from submit to the end.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/ctl/client.h"
#include "core/ctl/ctl.h"
#include "core/ctl/progress.h"
#include "core/ctl/run.h"

#define WATCH_POLL_MS 250
#define ROOM_MIN_BYTES (256 * 1024)
#define START_AGAIN (-1) /* no exit status: there is room again */
#define SILENCE_MS 3000
#define HELD_PATIENCE_MS 2000 /* a hold that only a person can lift counts when it lasts */

/* ---- Talking to the daemon ----------------------------------------------------------------- */

/* ENOSPC or EROFS when nothing can be kept in the state folder, else 0. */
static int lack_of_room(const struct cm_run *run)
{
    struct statvfs info;
    if (statvfs(run->home, &info)) {
        return 0;
    }
    if (info.f_flag & ST_RDONLY) {
        return EROFS;
    }
    return (uint64_t)info.f_bavail * info.f_frsize < ROOM_MIN_BYTES ? ENOSPC : 0;
}

/* A daemon that could keep nothing, not even its log, is started again when there is room. */
static int wait_until_room(struct cm_run *run)
{
    int status = 0;
    while (status == 0 && (errno = lack_of_room(run)) != 0) {
        status = cm_run_wait_for_room(run, run->home);
    }
    return status ? status : START_AGAIN;
}

/* It ended without being asked to: its own last words say why, if there were some. */
static int fail_daemon_gone(struct cm_run *run)
{
    if (cm_run_interrupted) {
        return cm_run_fail_interrupted(run);
    }
    int ended = cm_run_daemon_end(&run->daemon);
    if (lack_of_room(run)) {
        return wait_until_room(run);
    }
    int by_itself = ended >= 0 && WIFEXITED(ended) && WEXITSTATUS(ended) >= EX__BASE && WEXITSTATUS(ended) <= EX__MAX;
    int status = by_itself ? WEXITSTATUS(ended) : EX_TEMPFAIL;
    char *said = cm_run_daemon_last_words(&run->daemon);
    char *words = by_itself && *said
                      ? cm_strdup(said)
                      : cm_format(_("clipmakerd died; run the same command again (its log: %s/log)"), run->state);
    status = cm_run_fail(run, status, status == EX_CONFIG ? "config" : "internal", words);
    free(words);
    free(said);
    return status;
}

/* NULL after a failure was told, with *status. */
static struct json_object *ask(struct cm_run *run, struct json_object *request, int *status)
{
    char *words = NULL;
    struct json_object *answer = cm_client_ask(run->daemon.client, request, &cm_run_interrupted, status, &words);
    if (!answer) {
        *status = words ? cm_run_fail(run, *status, "refused", words) : fail_daemon_gone(run);
    }
    free(words);
    return answer;
}

static struct json_object *job_request(struct cm_run *run, const char *what)
{
    struct json_object *request = cm_client_request(what);
    json_object_object_add(request, "job", json_object_new_string(run->job));
    return request;
}

static struct json_object *show(struct cm_run *run, int *status)
{
    return ask(run, job_request(run, "show"), status);
}

/* ---- Submit -------------------------------------------------------------------------------- */

/* The job of an earlier run that failed or is held gets another chance; one at work needs none. */
static int revive(struct cm_run *run)
{
    int status = 0;
    struct json_object *shown = show(run, &status);
    if (!shown) {
        return status;
    }
    struct json_object *job = cm_json_object(shown, "job");
    int stuck = job && (!strcmp(cm_json_text(job, "state", ""), "failed") || cm_json_flag(job, "held", 0));
    json_object_put(shown);
    if (stuck) {
        json_object_put(ask(run, job_request(run, "retry"), &status));
    }
    return status;
}

static int submit(struct cm_run *run)
{
    struct json_object *request = cm_client_request("submit");
    json_object_object_add(request, "source", json_object_new_string(run->source));
    json_object_object_add(request, "params", json_object_get(run->params));
    json_object_object_add(request, "request_key", json_object_new_string(run->key));
    if (*run->pipeline) {
        json_object_object_add(request, "pipeline", json_object_new_string(run->pipeline));
    }
    int status = 0;
    struct json_object *answer = ask(run, request, &status);
    if (!answer) {
        return status;
    }
    run->job = cm_strdup(cm_json_text(answer, "job", ""));
    int existing = cm_json_flag(answer, "existing", 0);
    json_object_put(answer);
    return existing ? revive(run) : 0;
}

/* ---- Consent ------------------------------------------------------------------------------- */

static struct json_object *consent_request(struct cm_run *run, const char *change)
{
    struct json_object *request = job_request(run, "consent");
    json_object_object_add(request, "change", json_object_new_string(change));
    return request;
}

static int ask_and_give(struct cm_run *run)
{
    int status = 0;
    struct json_object *answer = ask(run, consent_request(run, ""), &status);
    if (answer && cm_json_int(answer, "missing", 0) > 0) {
        status = cm_run_ask_consent(run, cm_json_array(answer, "recipients"));
        if (status == 0) {
            json_object_put(ask(run, consent_request(run, "give"), &status));
        }
    }
    json_object_put(answer);
    return status;
}

/* A job that is held for its owner's consent is so from its beginning. */
static int settle_consent(struct cm_run *run)
{
    int status = 0;
    struct json_object *shown = show(run, &status), *job = shown ? cm_json_object(shown, "job") : NULL;
    int waits = job && cm_json_flag(job, "consent", 0);
    json_object_put(shown);
    return status || !waits ? status : ask_and_give(run);
}

/* ---- Follow -------------------------------------------------------------------------------- */

static long long count_running(struct json_object *summary)
{
    struct json_object *steps = cm_json_array(summary, "steps");
    long long running = 0;
    for (size_t i = 0; steps && i < json_object_array_length(steps); i++) {
        running += cm_json_int(json_object_array_get_idx(steps, i), "running", 0);
    }
    return running;
}

/* What a held job waits for. Room comes back by itself; for the rest somebody must act, and the
 * run ends when nothing else is at work. 0: go on. */
static int look_at_hold(struct cm_run *run, struct json_object *summary, int64_t *held_since_ms)
{
    if (!cm_json_flag(summary, "held", 0)) {
        *held_since_ms = 0;
        return 0;
    }
    const char *words = cm_json_text(summary, "words", ""), *reason = cm_json_text(summary, "reason", "");
    if (!strcmp(reason, "resource")) {
        char *line = cm_format(_("waiting: %s"), words);
        cm_run_tell(run, line);
        free(line);
        return 0;
    }
    if (count_running(summary) > 0) {
        *held_since_ms = 0;
        return 0;
    }
    *held_since_ms = *held_since_ms ? *held_since_ms : cm_boot_ms();
    return cm_boot_ms() - *held_since_ms < HELD_PATIENCE_MS ? 0 : cm_run_fail(run, EX_TEMPFAIL, reason, words);
}

static int judge_end(struct cm_run *run, struct json_object *summary)
{
    const char *state = cm_json_text(summary, "state", ""), *reason = cm_json_text(summary, "reason", "");
    if (!strcmp(state, "succeeded") || !strcmp(state, "partial")) {
        return 0;
    }
    const char *words = cm_json_text(summary, "words", "");
    if (!strcmp(state, "cancelled")) {
        return cm_run_fail(run, EX_TEMPFAIL, state, *words ? words : _("the job was cancelled"));
    }
    char *fallback = cm_format(_("the job failed; see %s/log"), run->state);
    int status = cm_run_fail(run, cm_ctl_status_of_reason(reason), reason, *words ? words : fallback);
    free(fallback);
    return status;
}

/* One line of the watch. 1: the job is over, or the run fails (*status). */
static int take_line(struct cm_run *run, struct json_object *line, struct json_object **last, int *status)
{
    const char *event = cm_json_text(line, "event", "");
    struct json_object *summary = cm_json_object(line, "job");
    if (!*event && !cm_json_flag(line, "ok", 1)) {
        *status =
            cm_run_fail(run, (int)cm_json_int(line, "status", EX_TEMPFAIL), "refused", cm_json_text(line, "words", ""));
        return 1;
    }
    if (!summary) {
        return 0;
    }
    cm_progress_show(run->progress, summary);
    json_object_put(*last);
    *last = json_object_get(summary);
    if (strcmp(event, "end")) {
        return 0;
    }
    *status = judge_end(run, summary);
    return 1;
}

/* A daemon whose store finds no room cannot say so in a summary: look at the disk ourselves. */
static void look_at_silence(struct cm_run *run, int64_t last_line_ms)
{
    int error = cm_boot_ms() - last_line_ms < SILENCE_MS ? 0 : lack_of_room(run);
    if (error) {
        char *words = cm_format(_("%s: %s; waiting, goes on as soon as there is room"), run->home, strerror(error));
        cm_run_tell(run, words);
        free(words);
    }
}

static int follow(struct cm_run *run)
{
    int status = 0, over = cm_client_send(run->daemon.client, job_request(run, "watch")) != 0;
    int64_t held_since_ms = 0, last_line_ms = cm_boot_ms();
    struct json_object *last = NULL;
    status = over ? fail_daemon_gone(run) : 0;
    while (!over) {
        struct json_object *line = NULL;
        enum cm_client_result result = cm_client_receive(run->daemon.client, WATCH_POLL_MS, &line);
        if (cm_run_interrupted || result == CM_CLIENT_CLOSED) {
            status = fail_daemon_gone(run);
            over = 1;
        } else if (result == CM_CLIENT_LINE) {
            over = take_line(run, line, &last, &status);
            last_line_ms = cm_boot_ms();
        } else {
            look_at_silence(run, last_line_ms);
        }
        json_object_put(line);
        if (!over && last) {
            status = look_at_hold(run, last, &held_since_ms);
            over = status != 0;
        }
    }
    json_object_put(last);
    return status;
}

static int run_once(struct cm_run *run, struct json_object **shown)
{
    int status = cm_run_daemon_start(&run->daemon, run->config, run->state, run->dir);
    status = status ? status : submit(run);
    status = status ? status : settle_consent(run);
    status = status ? status : follow(run);
    if (status == 0) {
        *shown = show(run, &status);
    }
    cm_run_daemon_release(&run->daemon);
    return status;
}

int cm_run_job(struct cm_run *run, struct json_object **shown)
{
    int status;
    do {
        free(run->job);
        run->job = NULL;
        status = run_once(run, shown);
    } while (status == START_AGAIN);
    return status;
}
