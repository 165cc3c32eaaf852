/*
 * The pump between engine, store and the world; pauses; the beginning and the end of a run.
 */
#include "core/daemon/daemon.h"

#include <clipmaker/plugin.h>
#include <errno.h>
#include <event2/event.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/daemon/clock.h"
#include "core/daemon/cluster.h"
#include "core/daemon/consents.h"
#include "core/daemon/control/commands.h"
#include "core/daemon/control/control.h"
#include "core/daemon/crashpoint.h"
#include "core/daemon/disk.h"
#include "core/daemon/janitor.h"
#include "core/daemon/loader.h"
#include "core/daemon/notes.h"
#include "core/daemon/notify.h"
#include "core/daemon/place.h"
#include "core/daemon/reload.h"
#include "core/daemon/run/attempts.h"
#include "core/daemon/run/leftovers.h"
#include "core/daemon/run/procs.h"
#include "core/daemon/store/open.h"

#define SETS_AT_ONCE 64
#define ROUNDS_MAX 256 /* then the loop gets its turn */
#define OWN_SETS (UINT64_C(1) << 63)
#define LAST_COMMITS_MS 20000
#define DRAIN_LOOK_MS 50

struct cm_daemon *cm_daemon_of(void *arg)
{
    struct cm_daemon *daemon = arg;
    cm_assert(daemon->magic == CM_DAEMON_MAGIC);
    return daemon;
}

struct cm_now cm_daemon_now(void)
{
    return (struct cm_now){cm_utc_ms(), cm_boot_ms()};
}

/* ---- To the store ---------------------------------------------------------------------------- */

struct cm_change_set *cm_daemon_own_set(struct cm_daemon *daemon)
{
    return cm_change_set_new(OWN_SETS | ++daemon->own_sets);
}

int cm_daemon_is_own_set(uint64_t id)
{
    return (id & OWN_SETS) != 0;
}

void cm_daemon_hand_over(struct cm_daemon *daemon, struct cm_change_set **sets, size_t count)
{
    cm_crash_point("before a hand-over");
    cm_store_apply(daemon->store, sets, count);
    cm_crash_point("after a hand-over");
}

static size_t hand_over_all(struct cm_daemon *daemon)
{
    struct cm_change_set *sets[SETS_AT_ONCE];
    size_t total = 0, count;
    while ((count = cm_engine_take_sets(daemon->engine, sets, SETS_AT_ONCE)) > 0) {
        cm_daemon_hand_over(daemon, sets, count);
        total += count;
    }
    return total;
}

/* ---- Actions --------------------------------------------------------------------------------- */

/* An attempt of an earlier boot, until nobody of it is left. */
static void on_gone(void *arg)
{
    struct cm_action *action = ((void **)arg)[1];
    struct cm_daemon *daemon = cm_daemon_of(((void **)arg)[0]);
    cm_engine_gone(daemon->engine, cm_daemon_now(), action->job, action->step, action->item, action->fence);
    cm_action_free(action);
    free(arg);
    cm_daemon_pump_soon(daemon);
}

static int lives(void *arg)
{
    return cm_attempts_has(cm_daemon_of(((void **)arg)[0])->attempts, ((void **)arg)[1]);
}

static void await_gone(struct cm_daemon *daemon, struct cm_action *action)
{
    void **both = cm_alloc(2 * sizeof *both);
    both[0] = daemon;
    both[1] = action;
    char *folder = cm_path_join(daemon->state, action->text);
    cm_leftovers_await_all(daemon->leftovers, folder, lives, on_gone, both);
    free(folder);
}

static void drop_folder(struct cm_daemon *daemon, const struct cm_action *action)
{
    if (!cm_starts_with(action->text, "jobs/") || strstr(action->text, "/../")) {
        cm_warn("not a folder of a job: %s", action->text);
        return;
    }
    char *folder = cm_path_join(daemon->state, action->text);
    if (access(folder, F_OK) == 0 || errno != ENOENT) { /* most attempts of warm workers never make theirs */
        cm_janitor_remove(daemon->janitor, folder);
    }
    free(folder);
}

static void on_reloaded(void *arg, const char *error)
{
    (void)arg;
    if (error) {
        cm_error("a job could not be loaded again: %s; restart clipmakerd to go on with it", error);
    }
}

/* What lets something out must not be done by one whose jobs may be another's by now. */
static void revoke_if_over(struct cm_daemon *daemon, struct cm_action *action)
{
    int lets_out = action->kind == CM_ACTION_START || (action->kind == CM_ACTION_ANSWER && action->ok);
    if (lets_out && !cm_cluster_may_act(daemon->cluster)) {
        action->ok = 0;
        action->kind = action->kind == CM_ACTION_START ? CM_ACTION_JOB_CHANGED : action->kind;
    }
}

/* Takes the action. */
static void perform(struct cm_daemon *daemon, struct cm_action *action)
{
    revoke_if_over(daemon, action);
    switch (action->kind) {
    case CM_ACTION_START:
        cm_attempts_start(daemon->attempts, action);
        return;
    case CM_ACTION_AWAIT_GONE:
        await_gone(daemon, action);
        return;
    case CM_ACTION_KILL:
        cm_attempts_kill(daemon->attempts, action);
        break;
    case CM_ACTION_ANSWER:
        cm_attempts_answer(daemon->attempts, action);
        break;
    case CM_ACTION_JOB_CHANGED:
        cm_daemon_job_changed(daemon, action->job);
        break;
    case CM_ACTION_DROP_FOLDER:
        drop_folder(daemon, action);
        break;
    case CM_ACTION_RELOAD:
        cm_loader_load(daemon, action->job, on_reloaded, NULL);
        break;
    case CM_ACTION_SUBMITTED:
        cm_command_submitted(daemon, action);
        break;
    }
    cm_action_free(action);
}

void cm_daemon_job_changed(struct cm_daemon *daemon, const char *job)
{
    if (daemon->control) {
        cm_control_job_changed(daemon->control, job);
    }
}

/* ---- The pump -------------------------------------------------------------------------------- */

static void set_due(struct cm_daemon *daemon)
{
    struct cm_now now = cm_daemon_now();
    int64_t due_ms = cm_engine_next_due(daemon->engine, now);
    if (due_ms == INT64_MAX) {
        event_del(daemon->due);
        return;
    }
    int64_t wait_ms = due_ms - now.utc_ms;
    wait_ms = wait_ms < 1 ? 1 : wait_ms > 60000 ? 60000 : wait_ms; /* the wall clock may be set meanwhile */
    struct timeval after = {wait_ms / 1000, (wait_ms % 1000) * 1000};
    event_add(daemon->due, &after);
}

static void end_if_drained(struct cm_daemon *daemon)
{
    if ((daemon->pauses & CM_PAUSE_DRAIN) && cm_attempts_count(daemon->attempts) == 0 &&
        cm_procs_count(daemon->procs) == 0) {
        event_base_loopbreak(daemon->base);
    }
}

/* With the last job its memory goes, also from the heap: an idle daemon is a small one. */
static void trim_when_idle(struct cm_daemon *daemon)
{
    int busy = cm_engine_job_count(daemon->engine) > 0;
    if (daemon->was_busy && !busy) {
        malloc_trim(0);
    }
    daemon->was_busy = busy;
}

void cm_daemon_pump(struct cm_daemon *daemon)
{
    for (int round = 0; round < ROUNDS_MAX; round++) {
        struct cm_action *action;
        size_t done = 0;
        cm_cluster_may_act(daemon->cluster);
        cm_engine_dispatch(daemon->engine, cm_daemon_now());
        done += hand_over_all(daemon);
        while ((action = cm_engine_take_action(daemon->engine))) {
            perform(daemon, action);
            done++;
        }
        if (cm_store_fd(daemon->store) < 0) {
            cm_store_dispatch(daemon->store);
        }
        if (!done) {
            break;
        }
    }
    set_due(daemon);
    trim_when_idle(daemon);
    end_if_drained(daemon);
}

static void on_pump(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    cm_daemon_pump(cm_daemon_of(arg));
}

void cm_daemon_pump_soon(struct cm_daemon *daemon)
{
    event_active(daemon->pump, EV_TIMEOUT, 0);
}

/* What was due at a time of day may be due now. */
static void on_clock_set(void *arg)
{
    cm_info("the clock was set");
    cm_daemon_pump_soon(cm_daemon_of(arg));
}

static void on_store_ready(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct cm_daemon *daemon = cm_daemon_of(arg);
    cm_store_dispatch(daemon->store);
    cm_daemon_pump_soon(daemon);
}

/* The store's word for a set, ours or the engine's. */
static void on_applied(void *arg, uint64_t set, enum cm_applied how, const char *words)
{
    struct cm_daemon *daemon = cm_daemon_of(arg);
    cm_crash_point("before a completion");
    if (how == CM_APPLIED_UNAVAILABLE && !(daemon->pauses & CM_PAUSE_STORE)) {
        cm_warn("the store takes nothing at the moment: %s", words ? words : "");
        free(daemon->store_words);
        daemon->store_words = cm_strdup(words ? words : "");
    } else if (how != CM_APPLIED_UNAVAILABLE && (daemon->pauses & CM_PAUSE_STORE)) {
        cm_info("the store works again");
    }
    cm_daemon_pause(daemon, CM_PAUSE_STORE, how == CM_APPLIED_UNAVAILABLE);
    if (cm_daemon_is_own_set(set)) {
        cm_notes_applied(daemon->notes, set, how);
        cm_cluster_applied(daemon->cluster, set, how);
    } else {
        cm_engine_applied(daemon->engine, cm_daemon_now(), set, how);
    }
    cm_crash_point("after a completion");
    cm_daemon_pump_soon(daemon);
}

/* ---- Pauses ---------------------------------------------------------------------------------- */

void cm_daemon_pause(struct cm_daemon *daemon, enum cm_pause why, int on)
{
    unsigned before = daemon->pauses;
    daemon->pauses = on ? before | (unsigned)why : before & ~(unsigned)why;
    if (daemon->pauses != before) {
        cm_engine_pause(daemon->engine, daemon->pauses != 0);
        if (daemon->control) {
            cm_control_paused(daemon->control);
        }
        cm_daemon_pump_soon(daemon);
    }
}

char *cm_daemon_pause_words(const struct cm_daemon *daemon)
{
    if (daemon->pauses & CM_PAUSE_DRAIN) {
        return cm_strdup(_("clipmakerd is stopping; start it again and it goes on"));
    }
    if (daemon->pauses & CM_PAUSE_STORE) {
        return cm_format(_("the store takes nothing at the moment: %s"), daemon->store_words);
    }
    if (daemon->pauses & CM_PAUSE_DISK) {
        return cm_disk_words(daemon->disk);
    }
    return daemon->pauses ? cm_strdup(_("clipmakerd is still reading its jobs")) : NULL;
}

/* ---- Signals --------------------------------------------------------------------------------- */

/* While it stops: looks whether everybody has ended, and when the time is over, sees to it. */
static void on_drain(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct cm_daemon *daemon = cm_daemon_of(arg);
    size_t left = cm_attempts_count(daemon->attempts);
    if (!daemon->drain_over && cm_boot_ms() >= daemon->drain_until_boot_ms) {
        daemon->drain_over = 1;
        if (left > 0) {
            cm_info("%zu running attempts are interrupted; they will begin again", left);
        }
        cm_attempts_interrupt(daemon->attempts);
    }
    cm_attempts_retire_workers(daemon->attempts); /* one that was on its way when it all began came later */
    cm_daemon_pump(daemon);
}

static void on_stop(evutil_socket_t number, short what, void *arg)
{
    (void)number;
    (void)what;
    struct cm_daemon *daemon = cm_daemon_of(arg);
    if (daemon->pauses & CM_PAUSE_DRAIN) {
        cm_info("stopping at once");
        cm_attempts_interrupt(daemon->attempts);
        cm_procs_kill_all(daemon->procs);
        return;
    }
    int64_t drain_ms = daemon->config->settings.drain_ms;
    char *limit = cm_show_duration(drain_ms);
    cm_info("stopping: %zu running attempts have %s to end", cm_attempts_count(daemon->attempts), limit);
    free(limit);
    cm_daemon_pause(daemon, CM_PAUSE_DRAIN, 1);
    cm_notify_stopping(daemon->notify, drain_ms + daemon->config->settings.kill_after_ms + LAST_COMMITS_MS);
    cm_attempts_retire_workers(daemon->attempts);
    daemon->drain_until_boot_ms = cm_boot_ms() + drain_ms;
    struct timeval often = {0, DRAIN_LOOK_MS * 1000};
    event_add(daemon->drain, &often);
}

static void on_hangup(evutil_socket_t number, short what, void *arg)
{
    (void)number;
    (void)what;
    cm_reload_ask(cm_daemon_of(arg)->reload);
}

void cm_daemon_end_now(struct cm_daemon *daemon)
{
    cm_procs_kill_all(daemon->procs);
    cm_info("the other side is gone: ending");
    _exit(0);
}

void cm_daemon_log_level(struct cm_daemon *daemon)
{
    static const char *const names[] = {"", "debug", "info", "warn", "error"};
    int level = CM_LOG_INFO;
    for (int i = CM_LOG_DEBUG; i <= CM_LOG_ERROR; i++) {
        level = strcmp(names[i], daemon->config->settings.log) ? level : i;
    }
    cm_log_open("clipmakerd", daemon->log_format, level);
    /* Workers learn of it by their environment. */
    if (level == CM_LOG_DEBUG) {
        setenv("CLIPMAKER_DEBUG", "1", 1);
    } else {
        unsetenv("CLIPMAKER_DEBUG");
    }
}

/* ---- A run ----------------------------------------------------------------------------------- */

static void on_loaded(void *arg, const char *error)
{
    struct cm_daemon *daemon = cm_daemon_of(arg);
    if (error) {
        cm_procs_kill_all(daemon->procs);
        cm_fatal(EX_TEMPFAIL, "the jobs of earlier runs cannot be read: %s", error);
    }
    cm_info("ready: %zu unfinished jobs, state in %s", cm_engine_job_count(daemon->engine), daemon->state);
    cm_daemon_pause(daemon, CM_PAUSE_LOADING, 0);
    cm_control_open(daemon->control);
    cm_notify_ready(daemon->notify);
}

/* NULL, or one line why the run cannot begin (malloc'd), and *status. */
static char *make_parts(struct cm_daemon *daemon, const char *program, int *status)
{
    char *error = NULL;
    *status = EX_CONFIG;
    daemon->store = cm_store_open(daemon->config->store, on_applied, daemon, &error);
    if (!daemon->store) {
        *status = errno == EAGAIN ? EX_TEMPFAIL : EX_CONFIG;
        return error;
    }
    const char *store = daemon->is_private ? "sqlite:" : daemon->config->settings.store;
    if (cm_place_note_store(daemon->state, store) != 0) {
        cm_warn("%s/store cannot be written (%s): without a daemon clipmaker does not find the jobs", daemon->state,
                strerror(errno));
    }
    daemon->pauses = CM_PAUSE_LOADING;
    struct cm_engine_config engine = cm_config_engine(daemon->config, daemon->boot, daemon->seed);
    daemon->engine = cm_engine_new(&engine);
    cm_engine_pause(daemon->engine, 1);
    daemon->cluster = cm_cluster_new(daemon);
    daemon->procs = cm_procs_new(daemon->base);
    daemon->leftovers = cm_leftovers_new(daemon->base);
    daemon->janitor = cm_janitor_new(daemon->base);
    daemon->notes = cm_notes_new(daemon);
    daemon->attempts = cm_attempts_new(daemon);
    daemon->commands = cm_commands_new();
    daemon->consents = cm_consents_new(daemon);
    daemon->disk = cm_disk_new(daemon);
    daemon->reload = cm_reload_new(daemon, program);
    daemon->notify = cm_notify_new(daemon);
    daemon->control = cm_control_new(daemon, &error);
    return error;
}

static void free_parts(struct cm_daemon *daemon)
{
    cm_control_free(daemon->control);
    cm_reload_free(daemon->reload);
    cm_notify_free(daemon->notify);
    cm_disk_free(daemon->disk);
    cm_commands_free(daemon->commands);
    cm_consents_free(daemon->consents);
    cm_attempts_free(daemon->attempts);
    cm_procs_free(daemon->procs);
    cm_leftovers_free(daemon->leftovers);
    cm_janitor_free(daemon->janitor);
    if (daemon->store) {
        cm_store_close(daemon->store);
    }
    cm_cluster_free(daemon->cluster);
    cm_notes_free(daemon->notes);
    if (daemon->engine) {
        cm_engine_free(daemon->engine);
    }
    free(daemon->store_words);
}

/* A private daemon belongs to its client: the keyboard's ^C is for that one. */
static void add_signals(struct cm_daemon *daemon, struct event **signals)
{
    signals[0] = evsignal_new(daemon->base, SIGTERM, on_stop, daemon);
    signals[1] = evsignal_new(daemon->base, SIGHUP, on_hangup, daemon);
    signals[2] = daemon->is_private ? NULL : evsignal_new(daemon->base, SIGINT, on_stop, daemon);
    for (int i = 0; i < 3; i++) {
        if (signals[i]) {
            event_add(signals[i], NULL);
        }
    }
    signal(SIGPIPE, SIG_IGN);
    if (daemon->is_private) {
        signal(SIGINT, SIG_IGN);
    }
}

static void add_events(struct cm_daemon *daemon)
{
    if (cm_store_fd(daemon->store) >= 0) {
        daemon->store_ready =
            event_new(daemon->base, cm_store_fd(daemon->store), EV_READ | EV_PERSIST, on_store_ready, daemon);
        event_add(daemon->store_ready, NULL);
    }
}

static void serve(struct cm_daemon *daemon)
{
    cm_consents_read(daemon->consents, NULL, NULL); /* answered before any job is */
    cm_cluster_begin(daemon->cluster, on_loaded, daemon);
    cm_daemon_pump_soon(daemon);
    event_base_dispatch(daemon->base);
    /* What the last attempts ended in must be durable, or they would count as lost. */
    hand_over_all(daemon);
    cm_cluster_end(daemon->cluster);
    if (cm_store_drain(daemon->store, LAST_COMMITS_MS) != 0) {
        cm_warn("the store did not take the last changes; the next start finds out what is missing");
    }
}

int cm_daemon_run(struct cm_daemon *daemon, const char *program)
{
    struct event_config *options = event_config_new();
    event_config_set_flag(options, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_PRECISE_TIMER);
    daemon->base = event_base_new_with_config(options);
    event_config_free(options);
    struct event *signals[3];
    add_signals(daemon, signals);
    struct cm_clock *watch = cm_clock_watch(daemon->base, on_clock_set, daemon);
    daemon->pump = event_new(daemon->base, -1, 0, on_pump, daemon);
    daemon->due = evtimer_new(daemon->base, on_pump, daemon);
    daemon->drain = event_new(daemon->base, -1, EV_PERSIST, on_drain, daemon);
    int status;
    char *error = make_parts(daemon, program, &status);
    if (!error) {
        add_events(daemon);
        serve(daemon);
        cm_info("stopped; crash points passed: %ld", cm_crash_points_passed());
    } else {
        cm_error("%s", error);
    }
    if (daemon->store_ready) {
        event_free(daemon->store_ready);
    }
    free_parts(daemon);
    cm_clock_free(watch);
    for (int i = 0; i < 3; i++) {
        if (signals[i]) {
            event_free(signals[i]);
        }
    }
    event_free(daemon->pump);
    event_free(daemon->due);
    event_free(daemon->drain);
    event_base_free(daemon->base);
    status = error ? status : 0;
    free(error);
    return status;
}
