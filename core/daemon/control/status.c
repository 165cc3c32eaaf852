/*
 * The daemon itself, as people ask for it.
 */
#include "core/daemon/control/status.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/daemon/control/client.h"
#include "core/daemon/control/errand.h"
#include "core/daemon/daemon.h"
#include "core/daemon/engine/fsck.h"
#include "core/daemon/janitor.h"
#include "core/daemon/reload.h"
#include "core/daemon/run/attempts.h"
#include "core/daemon/store/memory.h"

static void put_breaker(struct cm_daemon *daemon, struct json_object *object, const char *instance, int of_account)
{
    static const char *const names[] = {
        [CM_BREAKER_CLOSED] = "closed", [CM_BREAKER_OPEN] = "open", [CM_BREAKER_HALF_OPEN] = "half_open"};
    int64_t until_ms;
    enum cm_breaker_state state = cm_engine_breaker(daemon->engine, cm_daemon_now(), instance, of_account, &until_ms);
    json_object_object_add(object, of_account ? "account_breaker" : "breaker", json_object_new_string(names[state]));
    json_object_object_add(object, of_account ? "account_until_ms" : "until_ms", json_object_new_int64(until_ms));
}

static struct json_object *instance_object(struct cm_daemon *daemon, const struct cm_plugin_use *use)
{
    struct json_object *object = json_object_new_object();
    json_object_object_add(object, "name", json_object_new_string(use->name));
    json_object_object_add(object, "plugin", json_object_new_string(use->plugin));
    json_object_object_add(object, "stage", json_object_new_string(cm_stage_name(use->stage)));
    json_object_object_add(object, "limit", json_object_new_int64(use->limit));
    size_t running = cm_attempts_running_of(daemon->attempts, use->name);
    json_object_object_add(object, "running", json_object_new_int64((int64_t)running));
    json_object_object_add(object, "state", json_object_new_string(running ? "running" : "ready"));
    put_breaker(daemon, object, use->name, 0);
    json_object_object_add(object, "account", json_object_new_string(use->account ? use->account : ""));
    put_breaker(daemon, object, use->name, 1);
    return object;
}

void cm_command_status(struct cm_client *client)
{
    struct cm_daemon *daemon = cm_client_daemon(client);
    struct json_object *object = json_object_new_object(), *instances = json_object_new_array();
    for (size_t i = 0; i < daemon->config->use_count; i++) {
        json_object_array_add(instances, instance_object(daemon, &daemon->config->uses[i]));
    }
    char *pause = cm_daemon_pause_words(daemon);
    json_object_object_add(object, "running", json_object_new_int64((int64_t)cm_engine_running(daemon->engine)));
    json_object_object_add(object, "jobs", json_object_new_int64((int64_t)cm_engine_job_count(daemon->engine)));
    json_object_object_add(object, "words", json_object_new_string(pause ? pause : ""));
    json_object_object_add(object, "version", json_object_new_string(CM_VERSION));
    json_object_object_add(object, "boot", json_object_new_string(daemon->boot));
    json_object_object_add(object, "instances", instances);
    free(pause);
    cm_client_answer(client, object);
}

/* Only that it was asked for: the config is checked in a process of its own, and the log says how it went. */
void cm_command_reload(struct cm_client *client)
{
    cm_reload_ask(cm_client_daemon(client)->reload);
    cm_client_answer(client, json_object_new_object());
}

static void on_found(void *arg, const char *line)
{
    struct cm_errand *errand = arg;
    json_object_array_add(errand->list, json_object_new_string(line));
}

static void no_word(void *arg, uint64_t set, enum cm_applied how, const char *words)
{
    (void)arg;
    (void)set;
    (void)how;
    (void)words;
}

/* On the janitor's thread: proving takes as long as it takes. */
static void fsck_work(void *arg)
{
    struct cm_errand *errand = arg;
    if (cm_store_check(errand->copy, errand->daemon->state, on_found, errand) < 0) {
        errand->error = cm_strdup(_("the store could not be read"));
    }
}

static void fsck_done(void *arg)
{
    struct cm_errand *errand = arg;
    if (errand->error) {
        cm_errand_refuse(errand, EX_TEMPFAIL, cm_strdup(errand->error));
        return;
    }
    struct json_object *object = json_object_new_object();
    json_object_object_add(object, "found", json_object_get(errand->list));
    cm_errand_answer(errand, object);
}

static void copy_row(void *arg, enum cm_table table, const void *row, const char *error)
{
    struct cm_errand *errand = arg;
    if (row) {
        struct cm_change_set *set = cm_change_set_new(1);
        cm_change_put(set, table, row);
        cm_store_apply(errand->copy, &set, 1);
        return;
    }
    if (error && !errand->error) {
        errand->error = cm_strdup(error);
    }
    if (--errand->left == 0 && errand->error) {
        fsck_done(errand);
    } else if (errand->left == 0) {
        cm_janitor_do(errand->daemon->janitor, fsck_work, fsck_done, errand);
    }
}

/* What is checked is a copy of the rows as they stand at one moment. */
void cm_command_fsck(struct cm_client *client)
{
    struct cm_errand *errand = cm_errand_new(client);
    errand->list = json_object_new_array();
    errand->copy = cm_store_memory_open(no_word, NULL);
    errand->left = CM_TABLE_COUNT_PLUS_1 - 1;
    struct cm_query queries[CM_TABLE_COUNT_PLUS_1] = {0};
    for (enum cm_table table = CM_TABLE_PIPELINE; table < CM_TABLE_COUNT_PLUS_1; table++) {
        queries[table].table = table;
    }
    cm_store_query_all(errand->daemon->store, queries + CM_TABLE_PIPELINE, (size_t)errand->left, copy_row, errand);
}
