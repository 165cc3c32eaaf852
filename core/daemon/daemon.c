/*
 * The frame: what every part of the daemon may call.
 */
#include "core/daemon/daemon.h"

#include <clipmaker/plugin.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/common/log.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/daemon/crashpoint.h"
#include "core/daemon/run/procs.h"

#define SETS_AT_ONCE 64
#define OWN_SETS (UINT64_C(1) << 63)

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

void cm_daemon_pump_soon(struct cm_daemon *daemon)
{
    event_active(daemon->pump, EV_TIMEOUT, 0);
}

void cm_daemon_job_changed(struct cm_daemon *daemon, const char *job)
{
    if (daemon->listener.job_changed) {
        daemon->listener.job_changed(daemon->listener.arg, job);
    }
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

size_t cm_daemon_hand_over_all(struct cm_daemon *daemon)
{
    struct cm_change_set *sets[SETS_AT_ONCE];
    size_t total = 0, count;
    while ((count = cm_engine_take_sets(daemon->engine, sets, SETS_AT_ONCE)) > 0) {
        cm_daemon_hand_over(daemon, sets, count);
        total += count;
    }
    return total;
}

/* ---- Pauses ---------------------------------------------------------------------------------- */

static char **words_of(struct cm_daemon *daemon, enum cm_pause why)
{
    return &daemon->pause_words[__builtin_ctz((unsigned)why)];
}

void cm_daemon_pause(struct cm_daemon *daemon, enum cm_pause why, const char *words)
{
    unsigned before = daemon->pauses;
    daemon->pauses = words ? before | (unsigned)why : before & ~(unsigned)why;
    if (words) {
        free(*words_of(daemon, why));
        *words_of(daemon, why) = cm_strdup(words);
    }
    if (daemon->pauses == before) {
        return;
    }
    cm_engine_pause(daemon->engine, daemon->pauses != 0);
    if (daemon->listener.paused) {
        daemon->listener.paused(daemon->listener.arg);
    }
    cm_daemon_pump_soon(daemon);
}

char *cm_daemon_pause_words(const struct cm_daemon *daemon)
{
    static const enum cm_pause order[] = {CM_PAUSE_DRAIN, CM_PAUSE_STORE, CM_PAUSE_DISK, CM_PAUSE_LOADING};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        if (daemon->pauses & (unsigned)order[i]) {
            return cm_strdup(daemon->pause_words[__builtin_ctz((unsigned)order[i])]);
        }
    }
    return NULL;
}

/* ---- The log, and a sudden end --------------------------------------------------------------- */

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
