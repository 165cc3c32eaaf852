/*
 * The pump between engine, store and the world; the beginning and the end of a run.
 */
#include "core/daemon/loop.h"

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
#include "core/daemon/control/client.h"
#include "core/daemon/control/commands.h"
#include "core/daemon/control/control.h"
#include "core/daemon/control/submit.h"
#include "core/daemon/crashpoint.h"
#include "core/daemon/daemon.h"
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

#define ROUNDS_MAX 256 /* then the loop gets its turn */
#define LAST_COMMITS_MS 20000
#define DRAIN_LOOK_MS 50

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
        cm_submits_answered(daemon, action);
        break;
    }
    cm_action_free(action);
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

static void pump(struct cm_daemon *daemon)
{
    for (int round = 0; round < ROUNDS_MAX; round++) {
        struct cm_action *action;
        size_t done = 0;
        cm_cluster_may_act(daemon->cluster);
        cm_engine_dispatch(daemon->engine, cm_daemon_now());
        done += cm_daemon_hand_over_all(daemon);
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
    pump(cm_daemon_of(arg));
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

/* Whether the store takes anything. */
static void note_store(struct cm_daemon *daemon, int is_away, const char *why)
{
    int was_away = (daemon->pauses & CM_PAUSE_STORE) != 0;
    if (is_away) {
        char *words = cm_format(_("the store takes nothing at the moment: %s"), why ? why : "");
        if (!was_away) {
            cm_warn("%s", words);
        }
        cm_daemon_pause(daemon, CM_PAUSE_STORE, words);
        free(words);
    } else if (was_away) {
        cm_info("the store works again");
        cm_daemon_pause(daemon, CM_PAUSE_STORE, NULL);
    }
}

/* The store's word for a set, ours or the engine's. */
static void on_applied(void *arg, uint64_t set, enum cm_applied how, const char *words)
{
    struct cm_daemon *daemon = cm_daemon_of(arg);
    cm_crash_point("before a completion");
    note_store(daemon, how == CM_APPLIED_UNAVAILABLE, words);
    if (cm_daemon_is_own_set(set)) {
        cm_notes_applied(daemon->notes, set, how);
        cm_cluster_applied(daemon->cluster, set, how);
    } else {
        cm_engine_applied(daemon->engine, cm_daemon_now(), set, how);
    }
    cm_crash_point("after a completion");
    cm_daemon_pump_soon(daemon);
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
    pump(daemon);
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
    cm_daemon_pause(daemon, CM_PAUSE_DRAIN, _("clipmakerd is stopping; start it again and it goes on"));
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

/* ---- A run ----------------------------------------------------------------------------------- */

static void on_loaded(void *arg, const char *error)
{
    struct cm_daemon *daemon = cm_daemon_of(arg);
    if (error) {
        cm_procs_kill_all(daemon->procs);
        cm_fatal(EX_TEMPFAIL, "the jobs of earlier runs cannot be read: %s", error);
    }
    cm_info("ready: %zu unfinished jobs, state in %s", cm_engine_job_count(daemon->engine), daemon->state);
    cm_daemon_pause(daemon, CM_PAUSE_LOADING, NULL);
    cm_control_open(daemon->control);
    cm_notify_ready(daemon->notify);
}

static void pause_for_loading(struct cm_daemon *daemon)
{
    cm_daemon_pause(daemon, CM_PAUSE_LOADING, _("clipmakerd is still reading its jobs"));
}

/* Its jobs may be others' by now: what is at work here is nobody's. */
static void on_fenced(struct cm_daemon *daemon)
{
    cm_attempts_interrupt(daemon->attempts);
    cm_procs_kill_all(daemon->procs);
    cm_attempts_configure(daemon->attempts);
    pause_for_loading(daemon);
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
    struct cm_engine_config engine = cm_config_engine(daemon->config, daemon->boot, daemon->seed);
    daemon->engine = cm_engine_new(&engine);
    pause_for_loading(daemon);
    daemon->cluster = cm_cluster_new(daemon, on_fenced);
    daemon->procs = cm_procs_new(daemon->base);
    daemon->leftovers = cm_leftovers_new(daemon->base);
    daemon->janitor = cm_janitor_new(daemon->base);
    daemon->notes = cm_notes_new(daemon);
    daemon->attempts = cm_attempts_new(daemon);
    daemon->submits = cm_submits_new();
    daemon->consents = cm_consents_new(daemon);
    daemon->disk = cm_disk_new(daemon);
    daemon->reload = cm_reload_new(daemon, program);
    daemon->notify = cm_notify_new(daemon);
    daemon->clients = cm_clients_new(daemon, cm_command_run);
    daemon->control = cm_control_new(daemon, &error);
    return error;
}

static void free_parts(struct cm_daemon *daemon)
{
    cm_control_free(daemon->control);
    cm_clients_free(daemon->clients);
    cm_reload_free(daemon->reload);
    cm_notify_free(daemon->notify);
    cm_disk_free(daemon->disk);
    cm_submits_free(daemon->submits);
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
    for (size_t i = 0; i < sizeof daemon->pause_words / sizeof *daemon->pause_words; i++) {
        free(daemon->pause_words[i]);
    }
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
    cm_daemon_hand_over_all(daemon);
    cm_cluster_end(daemon->cluster);
    if (cm_store_drain(daemon->store, LAST_COMMITS_MS) != 0) {
        cm_warn("the store did not take the last changes; the next start finds out what is missing");
    }
}

int cm_loop_run(struct cm_daemon *daemon, const char *program)
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
