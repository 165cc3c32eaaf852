/*
 * `clipmakerd -t` first, then the same again in here.
 */
#include "core/daemon/reload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "core/common/log.h"
#include "core/common/text.h"
#include "core/daemon/config/complaints.h"
#include "core/daemon/config/load.h"
#include "core/daemon/daemon.h"
#include "core/daemon/notify.h"
#include "core/daemon/run/attempts.h"
#include "core/daemon/run/procs.h"
#include "core/daemon/run/spawn.h"

struct cm_reload {
    struct cm_daemon *daemon;
    char *program;
    pid_t pid; /* of the check; 0: none runs */
    int again; /* asked once more meanwhile */
};

/* Everything that holds a piece of the config gets the new one; running attempts keep what they
 * began with. */
static void take_over(struct cm_daemon *daemon, struct cm_config *fresh)
{
    struct cm_config *old = daemon->config;
    char *fixed = cm_settings_needs_restart(&old->settings, &fresh->settings);
    if (*fixed) {
        cm_warn("a reload does not change %s: restart clipmakerd for that", fixed);
    }
    free(fixed);
    daemon->config = fresh;
    cm_daemon_log_level(daemon);
    struct cm_engine_config engine = cm_config_engine(fresh, daemon->boot, 0);
    cm_engine_configure(daemon->engine, &engine);
    cm_attempts_configure(daemon->attempts);
    cm_config_free(old);
    cm_info("the new config is in force: %zu plugin instances, %zu pipelines", fresh->use_count, fresh->pipeline_count);
    cm_daemon_pump_soon(daemon);
}

static void load(struct cm_daemon *daemon)
{
    struct cm_complaints complaints = {0};
    struct cm_config *fresh = cm_config_load(daemon->config->path, &daemon->overrides, daemon->registry, &complaints);
    for (size_t i = 0; i < complaints.count; i++) {
        cm_error("%s", complaints.lines[i]);
    }
    if (fresh) {
        take_over(daemon, fresh);
    } else {
        cm_error("the new config is not used; the one before stays in force");
    }
    cm_complaints_free(&complaints);
}

static void on_checked(void *arg, int status);

static void start_check(struct cm_reload *reload)
{
    struct cm_daemon *daemon = reload->daemon;
    const char *argv[] = {reload->program,
                          "-t",
                          daemon->log_format == CM_LOG_PLAIN ? "--plain-log" : "--json-log",
                          "-c",
                          daemon->config->path,
                          "--state",
                          daemon->state,
                          NULL,
                          NULL,
                          NULL};
    if (daemon->overrides.output) {
        argv[7] = "--output";
        argv[8] = daemon->overrides.output;
    }
    reload->again = 0;
    cm_notify_reloading(daemon->notify);
    reload->pid = cm_spawn(&(struct cm_spawn){argv, -1, -1, -1});
    if (reload->pid < 0) {
        cm_error("cannot check the new config: %s", strerror(errno));
        cm_notify_reloaded(daemon->notify);
        reload->pid = 0;
        return;
    }
    cm_procs_await_child(daemon->procs, reload->pid, on_checked, reload);
}

static void on_checked(void *arg, int status)
{
    struct cm_reload *reload = arg;
    reload->pid = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        load(reload->daemon);
    } else {
        cm_error("the new config is not used; the one before stays in force");
    }
    cm_notify_reloaded(reload->daemon->notify);
    if (reload->again) {
        start_check(reload);
    }
}

void cm_reload_ask(struct cm_reload *reload)
{
    if (reload->pid) {
        reload->again = 1;
        return;
    }
    cm_info("reading the config again");
    start_check(reload);
}

struct cm_reload *cm_reload_new(struct cm_daemon *daemon, const char *program)
{
    struct cm_reload *reload = cm_alloc(sizeof *reload);
    reload->daemon = daemon;
    reload->program = cm_strdup(program);
    return reload;
}

void cm_reload_free(struct cm_reload *reload)
{
    if (reload) {
        free(reload->program);
    }
    free(reload);
}
