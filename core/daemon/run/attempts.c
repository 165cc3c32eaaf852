/*
 * The life of an attempt: gather its notes, tell a worker, listen, watch the clock, judge, make
 * sure that nobody of it is left, report once.
 */
#include "core/daemon/run/attempts.h"

#include <clipmaker/plugin.h>
#include <errno.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/common/done.h"
#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/daemon/cluster.h"
#include "core/daemon/crashpoint.h"
#include "core/daemon/daemon.h"
#include "core/daemon/disk.h"
#include "core/daemon/notes.h"
#include "core/daemon/run/begin.h"
#include "core/daemon/run/calls.h"
#include "core/daemon/run/late_call.h"
#include "core/daemon/run/leftovers.h"
#include "core/daemon/run/watch.h"
#include "core/daemon/run/workers.h"

#define ATTEMPT_MAGIC 0x636d6174u
#define LATE_MS 1000 /* from then on it is told */
#define ALONE ((pid_t)-1)
#define DONE_FILE_MAX_BYTES (64 * 1024 * 1024)

enum phase {
    GATHERING = 1, /* its notes are being read */
    RUNNING,       /* a worker has it */
    LEAVING        /* it is over; the last of its processes are being waited for */
};

struct attempt {
    unsigned magic;
    struct attempt *next;
    struct cm_attempts *all;
    struct cm_action *action; /* owns start */
    const struct cm_start *start;
    char *name, *folder;
    char *worker_folder; /* whose lock it holds; NULL: that of its own folder */
    int ended_worker;    /* its worker is no more: the folder can go */
    int stage;           /* 0: built-in */
    enum phase phase;
    struct cm_worker *worker;
    struct event *warn, *deadline, *stall, *kill;
    struct cm_watch *watch; /* of a confined worker */
    struct cm_done *done;
    int stop_outcome; /* 0: nobody told it to stop */
    char *stop_words;
    double progress;
    char *checkpoint; /* name of what it saved last, or NULL */
    struct cm_calls calls;
    int64_t started_boot_ms;
};

struct cm_attempts {
    struct cm_daemon *daemon;
    struct cm_workers *workers;
    struct attempt *first;
};

static struct attempt *attempt_of(void *arg)
{
    struct attempt *attempt = arg;
    cm_assert(attempt->magic == ATTEMPT_MAGIC);
    return attempt;
}

static struct attempt *find(const struct cm_attempts *attempts, const struct cm_action *action)
{
    for (struct attempt *one = attempts->first; one; one = one->next) {
        const struct cm_start *start = one->start;
        if (start->fence == action->fence && !strcmp(start->job, action->job) && !strcmp(start->step, action->step) &&
            !strcmp(start->item, action->item)) {
            return one;
        }
    }
    return NULL;
}

/* The name of who does it, for people. */
static const char *who(const struct attempt *attempt)
{
    return *attempt->start->instance ? attempt->start->instance : attempt->start->builtin;
}

static struct cm_done *core_done(int outcome, int reason, char *words)
{
    struct cm_done *done = cm_done_new(outcome);
    done->reason = reason;
    done->scope = CM_SCOPE_ITEM;
    cm_done_text(&done->words, words);
    free(words);
    return done;
}

static void set_timer(struct event *timer, int64_t ms)
{
    struct timeval after = {ms / 1000, (ms % 1000) * 1000};
    event_add(timer, &after);
}

/* ---- The end --------------------------------------------------------------------------------- */

static void forget(struct attempt *attempt)
{
    for (struct attempt **place = &attempt->all->first; *place; place = &(*place)->next) {
        if (*place == attempt) {
            *place = attempt->next;
            break;
        }
    }
    event_free(attempt->warn);
    event_free(attempt->deadline);
    event_free(attempt->stall);
    event_free(attempt->kill);
    cm_watch_free(attempt->watch);
    cm_action_free(attempt->action);
    cm_done_free(attempt->done);
    free(attempt->stop_words);
    free(attempt->checkpoint);
    cm_calls_free(&attempt->calls);
    if (attempt->worker_folder && attempt->ended_worker) {
        cm_worker_clear(attempt->worker_folder);
    }
    free(attempt->worker_folder);
    free(attempt->name);
    free(attempt->folder);
    attempt->magic = 0;
    free(attempt);
}

/* Nobody of it is left: the one place that tells the engine how an attempt ended. */
static void report(void *arg)
{
    struct attempt *attempt = attempt_of(arg);
    struct cm_daemon *daemon = attempt->all->daemon;
    const struct cm_start *start = attempt->start;
    const struct cm_done *done = attempt->done;
    char *task = cm_format("%s/%s", start->step, start->item);
    cm_log_context(start->job, task, start->fence);
    free(task);
    cm_info("%s by %s: %s%s%s%s%s", attempt->name, who(attempt), cm_outcome_name(done->outcome),
            done->reason ? ", " : "", cm_reason_name(done->reason), *done->words ? ": " : "", done->words);
    cm_log_context(NULL, NULL, 0);
    if (done->outcome == CM_HOLD && done->reason == CM_REASON_RESOURCE) {
        cm_disk_held(daemon->disk);
    }
    cm_crash_point("before an attempt is judged");
    cm_engine_attempt_done(daemon->engine, cm_daemon_now(), start->job, start->step, start->item, start->fence, done);
    forget(attempt);
    cm_daemon_pump_soon(daemon);
}

/* It ended with `done`, which is taken. A worker that is ending may still hold the lock for a
 * moment: it is spared. ALONE: its worker lives on and has no children. */
static void finish(struct attempt *attempt, struct cm_done *done, pid_t spared)
{
    if (attempt->phase == LEAVING) {
        cm_done_free(done);
        return;
    }
    attempt->phase = LEAVING;
    cm_watch_free(attempt->watch);
    attempt->watch = NULL;
    cm_done_free(attempt->done);
    attempt->done = done;
    event_del(attempt->warn);
    event_del(attempt->deadline);
    event_del(attempt->stall);
    event_del(attempt->kill);
    const char *locked = attempt->worker_folder ? attempt->worker_folder : attempt->folder;
    if (spared == ALONE) {
        report(attempt);
    } else {
        cm_leftovers_await(attempt->all->daemon->leftovers, locked, spared, report, attempt);
    }
}

/* What a stopped attempt ended in: a plugin that noticed says "stopped", and then our reason for
 * stopping it is what counts. */
static struct cm_done *judge(struct attempt *attempt, struct cm_done *said)
{
    int noticed = !said || (said->reason == CM_REASON_STOPPED && said->outcome != CM_UNSURE);
    if (!attempt->stop_outcome || !noticed) {
        return said;
    }
    cm_done_free(said);
    return core_done(attempt->stop_outcome, attempt->stop_outcome == CM_OUTCOME_TIMEOUT ? 0 : CM_REASON_STOPPED,
                     cm_strdup(attempt->stop_words));
}

/* ---- Stopping -------------------------------------------------------------------------------- */

static void stop(struct attempt *attempt, int outcome, const char *words)
{
    if (attempt->stop_outcome || attempt->phase == LEAVING) {
        return;
    }
    attempt->stop_outcome = outcome;
    attempt->stop_words = cm_strdup(words);
    if (attempt->phase != RUNNING) {
        return; /* it ends as soon as its notes are there */
    }
    struct json_object *message = cm_message_new("stop");
    cm_worker_send(attempt->worker, message);
    json_object_put(message);
    cm_worker_signal(attempt->worker, SIGTERM);
    set_timer(attempt->kill, attempt->all->daemon->config->settings.kill_after_ms);
}

static void on_kill(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct attempt *attempt = attempt_of(arg);
    if (attempt->phase == RUNNING) {
        cm_warn("%s by %s did not end when it was told to: killed", attempt->name, who(attempt));
        cm_worker_signal(attempt->worker, SIGKILL);
    }
}

/* How far it came, as it said itself; malloc'd. */
static char *how_far(const struct attempt *attempt)
{
    int percent = (int)(attempt->progress * 100);
    return attempt->checkpoint
               ? cm_format(_("it was at %d %%, its last checkpoint is \"%s\""), percent, attempt->checkpoint)
               : cm_format(_("it was at %d %%"), percent);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct attempt *attempt = attempt_of(arg);
    char *limit = cm_show_duration(attempt->start->deadline_ms), *far = how_far(attempt);
    char *words = cm_format(_("%s did not finish %s within %s (%s)"), who(attempt), attempt->start->step, limit, far);
    stop(attempt, CM_OUTCOME_TIMEOUT, words);
    free(words);
    free(far);
    free(limit);
}

static void on_stall(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct attempt *attempt = attempt_of(arg);
    char *limit = cm_show_duration(attempt->start->stall_ms), *far = how_far(attempt);
    char *words =
        cm_format(_("%s gave no sign of life in %s for %s (%s)"), who(attempt), attempt->start->step, limit, far);
    stop(attempt, CM_OUTCOME_TIMEOUT, words);
    free(words);
    free(far);
    free(limit);
}

/* It lives. */
static void push_stall(struct attempt *attempt)
{
    if (attempt->start->stall_ms > 0 && attempt->phase == RUNNING) {
        set_timer(attempt->stall, attempt->start->stall_ms);
    }
}

static void on_warn(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct attempt *attempt = attempt_of(arg);
    char *since = cm_show_duration(cm_boot_ms() - attempt->started_boot_ms);
    cm_warn("%s by %s has been at work for %s and is at %d %%", attempt->name, who(attempt), since,
            (int)(attempt->progress * 100));
    free(since);
}

/* ---- Listening ------------------------------------------------------------------------------- */

static void send_answer(struct attempt *attempt, int64_t number, int ok)
{
    if (attempt->phase != RUNNING) {
        return;
    }
    struct json_object *message = cm_message_new("answer");
    json_object_object_add(message, "number", json_object_new_int64(number));
    json_object_object_add(message, "ok", json_object_new_boolean(ok));
    cm_worker_send(attempt->worker, message);
    json_object_put(message);
}

static void on_progress(struct attempt *attempt, struct json_object *message)
{
    double done = cm_json_real(message, "done", 0);
    attempt->progress = done < 0 ? 0 : done > 1 ? 1 : done;
    cm_daemon_job_changed(attempt->all->daemon, attempt->start->job);
}

static void on_sending(struct attempt *attempt, struct json_object *message)
{
    const struct cm_start *start = attempt->start;
    cm_engine_sending(attempt->all->daemon->engine, cm_daemon_now(), start->job, start->step, start->item, start->fence,
                      (uint64_t)cm_json_int(message, "number", 0));
}

static void on_save(struct attempt *attempt, struct json_object *message)
{
    const struct cm_start *start = attempt->start;
    free(attempt->checkpoint);
    attempt->checkpoint = cm_strdup(cm_json_text(message, "name", ""));
    cm_engine_save(attempt->all->daemon->engine, cm_daemon_now(), start->job, start->step, start->item, start->fence,
                   cm_json_text(message, "name", ""), cm_json_text(message, "value", ""),
                   (uint64_t)cm_json_int(message, "number", 0));
}

/* What its instance is billed by; NULL: not known. */
static const struct cm_price_list *prices_of(const struct attempt *attempt)
{
    const struct cm_plugin_use *use = cm_config_use(attempt->all->daemon->config, attempt->start->instance);
    return use ? use->prices : NULL;
}

static void on_paying(struct attempt *attempt, struct json_object *message)
{
    cm_engine_spend(attempt->all->daemon->engine, cm_daemon_now(),
                    cm_calls_begin(&attempt->calls, attempt->start, prices_of(attempt), message),
                    (uint64_t)cm_json_int(message, "number", 0));
}

static void record(struct attempt *attempt, const struct cm_llm_call_row *call)
{
    if (call) {
        cm_engine_spend(attempt->all->daemon->engine, cm_daemon_now(), call, 0);
    }
}

static void on_paid(struct attempt *attempt, struct json_object *message)
{
    record(attempt, cm_calls_end(&attempt->calls, message));
}

static void on_spent(struct attempt *attempt, struct json_object *message)
{
    const struct cm_llm_call_row *call = cm_calls_spent(&attempt->calls, prices_of(attempt), message);
    record(attempt, call);
    if (!call) {
        cm_late_call_spent(attempt->all->daemon, attempt->start, message);
    }
}

/* The answer to a remember may come when the attempt is long over, so it goes by name. */
struct remembering {
    struct cm_attempts *attempts;
    char *job, *step, *item;
    int64_t fence, number;
};

static void on_remembered(void *arg, int ok)
{
    struct remembering *one = arg;
    struct cm_action key = {.job = one->job, .step = one->step, .item = one->item, .fence = one->fence};
    struct attempt *attempt = find(one->attempts, &key);
    if (attempt) {
        send_answer(attempt, one->number, ok);
    }
    free(one->job);
    free(one->step);
    free(one->item);
    free(one);
}

static void on_remember(struct attempt *attempt, struct json_object *message)
{
    const struct cm_start *start = attempt->start;
    struct cm_remember what = {
        .instance = start->instance,
        .account = cm_json_text(message, "account", ""),
        .name = cm_json_text(message, "name", ""),
        .expected = cm_json_flag(message, "had", 0) ? cm_json_text(message, "expected", "") : NULL,
        .value = cm_json_flag(message, "keep", 0) ? cm_json_text(message, "value", "") : NULL,
    };
    struct remembering *one = cm_alloc(sizeof *one);
    *one = (struct remembering){attempt->all,           cm_strdup(start->job), cm_strdup(start->step),
                                cm_strdup(start->item), start->fence,          cm_json_int(message, "number", 0)};
    cm_notes_remember(attempt->all->daemon->notes, &what, on_remembered, one);
}

/* What the worker's own checks promise is asked again: the plugin lives in the same process and may have
 * written this answer. A path elsewhere would be handed, to read, to the next step; only a source has
 * them. NULL, or what is wrong (malloc'd). */
static char *check_artifacts(const struct attempt *attempt, const struct cm_done *done)
{
    char *error = NULL;
    for (size_t i = 0; i < done->artifact_count && !error; i++) {
        const struct cm_done_artifact *one = &done->artifacts[i];
        struct stat info;
        if (*one->file == '/') {
            error =
                attempt->stage == CM_STAGE_SOURCE ? NULL : cm_format(_("its %s is outside of its folder"), one->role);
            continue;
        }
        char *path = cm_path_join(attempt->folder, one->file);
        if (lstat(path, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size != one->bytes) {
            error =
                cm_format(_("its %s is not the file %.80s of %lld bytes"), one->role, one->file, (long long)one->bytes);
        }
        free(path);
    }
    return error;
}

/* The answer itself, or the file of the attempt folder that has it. */
static struct cm_done *read_done(struct attempt *attempt, struct json_object *message, char **error)
{
    const char *file = cm_json_text(message, "file", "");
    if (!*file) {
        return cm_done_decode(message, error);
    }
    if (strchr(file, '/') || *file == '.') {
        *error = cm_format(_("its answer is in a file of no good name: %.80s"), file);
        return NULL;
    }
    char *path = cm_path_join(attempt->folder, file);
    struct json_object *whole = cm_json_read(path, DONE_FILE_MAX_BYTES, error);
    struct cm_done *done = whole ? cm_done_decode(whole, error) : NULL;
    json_object_put(whole);
    free(path);
    return done;
}

static struct cm_done *decode_done(struct attempt *attempt, struct json_object *message, char **error)
{
    struct cm_done *done = read_done(attempt, message, error);
    *error = done ? check_artifacts(attempt, done) : *error;
    if (*error) {
        cm_done_free(done);
        done = NULL;
    }
    return done;
}

static void on_done(struct attempt *attempt, struct json_object *message)
{
    if (attempt->done) {
        return; /* only the first answer counts */
    }
    char *error = NULL;
    attempt->done = decode_done(attempt, message, &error);
    if (!attempt->done) {
        attempt->done = core_done(CM_OUTCOME_CRASHED, CM_REASON_INTERNAL,
                                  cm_format(_("%s gave an answer that makes no sense: %s"), who(attempt), error));
        free(error);
        cm_worker_signal(attempt->worker, SIGKILL);
        return; /* its end reports */
    }
    int lives_on = attempt->stage && !cm_begin_is_confined(attempt->stage) && !attempt->stop_outcome;
    if (!lives_on) {
        if (!attempt->stage) {
            struct json_object *quit = cm_message_new("quit");
            cm_worker_send(attempt->worker, quit);
            json_object_put(quit);
        }
        if (!attempt->stop_outcome) {
            set_timer(attempt->kill, attempt->all->daemon->config->settings.kill_after_ms);
        }
        return; /* the same */
    }
    struct cm_worker *worker = attempt->worker;
    struct cm_done *done = attempt->done;
    pid_t pid = cm_worker_pid(worker);
    int alone = cm_json_flag(message, "alone", 0);
    attempt->worker = NULL;
    attempt->done = NULL;
    if (!alone) {
        attempt->ended_worker = 1;
        cm_worker_retire(worker); /* it ends, and its lock tells when its children have */
    }
    cm_worker_release(worker);
    finish(attempt, done, alone ? ALONE : pid);
}

/* The worker took more than it may: that is how it ends, whatever it says. */
static void on_took(void *arg, const char *words)
{
    struct attempt *attempt = attempt_of(arg);
    cm_done_free(attempt->done);
    attempt->done = core_done(CM_OUTCOME_CRASHED, CM_REASON_RESOURCE,
                              cm_format(_("%s was ended in %s: %s"), who(attempt), attempt->start->step, words));
    cm_worker_signal(attempt->worker, SIGKILL); /* its end reports */
}

static const struct {
    const char *type;
    void (*take)(struct attempt *attempt, struct json_object *message);
} messages[] = {
    {"progress", on_progress}, {"sending", on_sending}, {"save", on_save},   {"remember", on_remember},
    {"paying", on_paying},     {"paid", on_paid},       {"spent", on_spent}, {"done", on_done},
};

static void on_message(void *arg, struct json_object *message)
{
    struct attempt *attempt = attempt_of(arg);
    const char *type = cm_message_type(message);
    if (strcmp(cm_json_text(message, "attempt", ""), attempt->name) != 0) {
        cm_debug("%s: a late \"%s\" of another attempt was ignored", attempt->name, type);
        return;
    }
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        if (!strcmp(messages[i].type, type)) {
            push_stall(attempt);
            struct cm_daemon *daemon = attempt->all->daemon;
            messages[i].take(attempt, message); /* the attempt may be over and gone after this */
            cm_daemon_pump_soon(daemon);
            return;
        }
    }
    cm_warn("%s: a message of unknown type \"%.40s\" was ignored", attempt->name, type);
}

static void on_ended(void *arg, int status, const char *words)
{
    (void)status;
    struct attempt *attempt = attempt_of(arg);
    int hello = cm_worker_said_hello(attempt->worker);
    attempt->worker = NULL;
    attempt->ended_worker = 1;
    struct cm_done *done = judge(attempt, attempt->done);
    attempt->done = NULL;
    if (!done && !hello) {
        done = core_done(CM_OUTCOME_NOSTART, CM_REASON_INTERNAL,
                         cm_format(_("the worker ended before it began (%s)"), words));
    } else if (!done) {
        done = core_done(CM_OUTCOME_CRASHED, CM_REASON_INTERNAL,
                         cm_format(_("%s crashed in %s: %s"), who(attempt), attempt->start->step, words));
    }
    finish(attempt, done, 0);
}

/* ---- The beginning --------------------------------------------------------------------------- */

static void fail_start(struct attempt *attempt, char *words)
{
    finish(attempt, core_done(CM_OUTCOME_NOSTART, CM_REASON_INTERNAL, words), 0);
}

/* Its worker serves nothing else. */
static int is_once(const struct attempt *attempt)
{
    return !attempt->stage || cm_begin_is_confined(attempt->stage);
}

static int send_begin(struct attempt *attempt, const struct cm_begin *begin, struct json_object *message)
{
    enum cm_message_result result = cm_worker_send(attempt->worker, message);
    if (result != CM_MESSAGE_TOO_LARGE) {
        return result == CM_MESSAGE_OK;
    }
    char *error = cm_begin_shorten(begin, message);
    if (error) {
        attempt->stop_outcome = CM_OUTCOME_NOSTART;
        attempt->stop_words = error;
        return 0;
    }
    return cm_worker_send(attempt->worker, message) == CM_MESSAGE_OK;
}

/* Gives the attempt to a worker. */
static void launch(struct attempt *attempt, struct json_object *saved, struct json_object *recalled)
{
    struct cm_attempts *attempts = attempt->all;
    struct cm_daemon *daemon = attempts->daemon;
    char *error = NULL;
    struct cm_begin begin = {daemon->config, attempt->start, attempt->name, attempt->folder,
                             daemon->state,  saved,          recalled};
    struct json_object *message = cm_begin_make(&begin, &error);
    if (!message) {
        fail_start(attempt, error);
        return;
    }
    const struct cm_plugin_use *use = cm_config_use(daemon->config, attempt->start->instance);
    attempt->worker = cm_worker_take(attempts->workers, use, is_once(attempt), on_message, on_ended, attempt);
    if (!attempt->worker) {
        fail_start(attempt, cm_format(_("cannot start %s: %s"), daemon->config->worker, strerror(errno)));
    } else {
        attempt->phase = RUNNING;
        if (*cm_worker_folder(attempt->worker)) {
            attempt->worker_folder = cm_strdup(cm_worker_folder(attempt->worker));
            json_object_object_add(message, "work", json_object_new_string(attempt->worker_folder));
        }
        attempt->started_boot_ms = cm_boot_ms();
        set_timer(attempt->deadline, attempt->start->deadline_ms);
        if (attempt->stage && cm_begin_is_confined(attempt->stage)) {
            attempt->watch = cm_watch_new(daemon->base, cm_worker_pid(attempt->worker),
                                          cm_config_memory(daemon->config, attempt->stage), on_took, attempt);
        }
        if (attempt->start->warn_ms > 0) {
            set_timer(attempt->warn, attempt->start->warn_ms);
        }
        push_stall(attempt);
        if (!send_begin(attempt, &begin, message)) {
            cm_worker_signal(attempt->worker, SIGKILL); /* its end reports */
        }
    }
    json_object_put(message);
}

static void on_notes(void *arg, struct json_object *saved, struct json_object *recalled, const char *error)
{
    struct attempt *attempt = attempt_of(arg);
    cm_cluster_may_act(attempt->all->daemon->cluster); /* if not, it is told to stop by this */
    if (attempt->stop_outcome || error) {
        json_object_put(saved);
        json_object_put(recalled);
        struct cm_done *done = judge(attempt, NULL);
        finish(attempt, done ? done : core_done(CM_OUTCOME_INTERRUPTED, CM_REASON_RESOURCE, cm_strdup(error)), 0);
        return;
    }
    launch(attempt, saved, recalled);
}

/* A disk that takes no folder holds the task until there is room again. */
static int make_folder(struct attempt *attempt)
{
    if (cm_folder_make(attempt->folder) == 0) {
        return 0;
    }
    int is_room = errno == ENOSPC || errno == EDQUOT || errno == EROFS || errno == EACCES;
    struct cm_done *done = core_done(is_room ? CM_HOLD : CM_AGAIN, CM_REASON_RESOURCE,
                                     cm_format(_("cannot make the folder %s: %s"), attempt->folder, strerror(errno)));
    finish(attempt, done, 0);
    return -1;
}

/* A post whose time came while nothing ran here. */
static void say_late(const struct attempt *attempt)
{
    if (attempt->start->late_ms > LATE_MS) {
        char *late = cm_show_duration(attempt->start->late_ms / 1000 * 1000);
        cm_warn("%s was due %s ago, when nothing was started here: it is published now", attempt->name, late);
        free(late);
    }
}

void cm_attempts_start(struct cm_attempts *attempts, struct cm_action *action)
{
    struct cm_daemon *daemon = attempts->daemon;
    struct cm_start *start = action->start;
    struct attempt *attempt = cm_alloc(sizeof *attempt);
    *attempt = (struct attempt){.magic = ATTEMPT_MAGIC, .all = attempts, .action = action, .start = start};
    attempt->phase = GATHERING;
    attempt->name = cm_format("%s/%s/%s#%lld", start->job, start->step, start->item, (long long)start->fence);
    attempt->folder = cm_path_join(daemon->state, start->folder);
    const struct cm_plugin_use *use = cm_config_use(daemon->config, start->instance);
    attempt->stage = use ? use->stage : 0;
    attempt->warn = evtimer_new(daemon->base, on_warn, attempt);
    attempt->deadline = evtimer_new(daemon->base, on_deadline, attempt);
    attempt->stall = evtimer_new(daemon->base, on_stall, attempt);
    attempt->kill = evtimer_new(daemon->base, on_kill, attempt);
    attempt->next = attempts->first;
    attempts->first = attempt;
    say_late(attempt);
    if (daemon->pauses & CM_PAUSE_DRAIN) {
        finish(attempt, core_done(CM_OUTCOME_INTERRUPTED, CM_REASON_STOPPED, cm_strdup("")), 0);
    } else if (!is_once(attempt) || make_folder(attempt) == 0) { /* a warm worker makes it when it is needed */
        char *task = start->fence > 1 ? cm_format("%s/%s/%s", start->job, start->step, start->item) : NULL;
        cm_notes_gather(daemon->notes, task, start->instance, on_notes, attempt);
        free(task);
    }
}

void cm_attempts_kill(struct cm_attempts *attempts, const struct cm_action *action)
{
    struct attempt *attempt = find(attempts, action);
    if (attempt) {
        stop(attempt, CM_OUTCOME_CANCELLED, action->text ? action->text : "");
    }
}

void cm_attempts_answer(struct cm_attempts *attempts, const struct cm_action *action)
{
    struct attempt *attempt = find(attempts, action);
    if (attempt) {
        send_answer(attempt, (int64_t)action->number, action->ok);
    }
}

/* ---- All of them ----------------------------------------------------------------------------- */

struct cm_attempts *cm_attempts_new(struct cm_daemon *daemon)
{
    struct cm_attempts *attempts = cm_alloc(sizeof *attempts);
    attempts->daemon = daemon;
    attempts->workers = cm_workers_new(daemon->base, daemon->procs);
    cm_attempts_configure(attempts);
    return attempts;
}

void cm_attempts_configure(struct cm_attempts *attempts)
{
    const struct cm_config *config = attempts->daemon->config;
    char *folder = cm_format("%s/workers/%s", attempts->daemon->state, attempts->daemon->boot);
    struct cm_worker_rules rules = {config->worker, folder, config->settings.warm_idle_ms,
                                    config->settings.warm_attempts, config->settings.kill_after_ms};
    cm_workers_configure(attempts->workers, &rules);
    free(folder);
    cm_workers_retire(attempts->workers);
}

void cm_attempts_free(struct cm_attempts *attempts)
{
    while (attempts && attempts->first) {
        forget(attempts->first);
    }
    if (attempts) {
        cm_workers_free(attempts->workers);
    }
    free(attempts);
}

void cm_attempts_interrupt(struct cm_attempts *attempts)
{
    for (struct attempt *one = attempts->first; one; one = one->next) {
        stop(one, CM_OUTCOME_INTERRUPTED, _("clipmakerd was stopped"));
    }
}

void cm_attempts_retire_workers(struct cm_attempts *attempts)
{
    cm_workers_retire(attempts->workers);
}

size_t cm_attempts_count(const struct cm_attempts *attempts)
{
    size_t count = 0;
    for (const struct attempt *one = attempts->first; one; one = one->next) {
        count++;
    }
    return count;
}

int cm_attempts_has(const struct cm_attempts *attempts, const struct cm_action *action)
{
    return find(attempts, action) != NULL;
}

size_t cm_attempts_running_of(const struct cm_attempts *attempts, const char *instance)
{
    size_t count = 0;
    for (const struct attempt *one = attempts->first; one; one = one->next) {
        count += !strcmp(one->start->instance, instance);
    }
    return count;
}

void cm_attempts_progress(const struct cm_attempts *attempts, const char *job, cm_attempt_progress_fn each, void *arg)
{
    for (const struct attempt *one = attempts->first; one; one = one->next) {
        if (!strcmp(one->start->job, job)) {
            each(arg, one->start->step, one->start->item, one->progress);
        }
    }
}
