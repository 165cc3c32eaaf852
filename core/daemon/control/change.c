/*
 * Changing jobs. Whoever asks is answered when the change is durable.
 */
#include "core/daemon/control/change.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/daemon/cluster.h"
#include "core/daemon/control/client.h"
#include "core/daemon/control/errand.h"
#include "core/daemon/control/views.h"
#include "core/daemon/daemon.h"
#include "core/daemon/loader.h"

/* ---- cancel, retry, rm ----------------------------------------------------------------------- */

/* Whatever the engine decided is durable when the store gets to this query. */
static void on_barrier(void *arg, enum cm_table table, const void *row, const char *error)
{
    (void)table;
    struct cm_errand *errand = arg;
    if (row) {
        return;
    }
    if (error) {
        cm_errand_refuse_store(errand, error);
    } else {
        cm_errand_answer(errand, json_object_new_object());
    }
}

static void answer_when_durable(struct cm_errand *errand)
{
    struct cm_query query = {.table = CM_TABLE_JOB, .job = errand->job, .limit = 1};
    cm_daemon_hand_over_all(errand->daemon);
    cm_daemon_pump_soon(errand->daemon);
    cm_store_query(errand->daemon->store, &query, on_barrier, errand);
}

static void change(struct cm_errand *errand)
{
    struct cm_engine *engine = errand->daemon->engine;
    struct cm_now now = cm_daemon_now();
    const char *step = *errand->step ? errand->step : NULL, *item = *errand->step ? errand->item : NULL;
    const char *words = !strcmp(errand->what, "cancel")  ? cm_engine_cancel(engine, now, errand->job)
                        : !strcmp(errand->what, "retry") ? cm_engine_retry(engine, now, errand->job, step, item)
                                                         : cm_engine_remove(engine, now, errand->job);
    if (words) {
        cm_errand_refuse(errand, EX_DATAERR, cm_strdup(words));
    } else {
        answer_when_durable(errand);
    }
}

static void on_loaded(void *arg, const char *error)
{
    struct cm_errand *errand = arg;
    if (error) {
        cm_errand_refuse_store(errand, error);
    } else {
        change(errand);
    }
}

/* Anybody may take up a job that is over; another one only its owner changes. */
static void change_as_owner(struct cm_errand *errand)
{
    struct cm_daemon *daemon = errand->daemon;
    int ours = errand->claimed_by && !cm_errand_is_elsewhere(errand);
    if (!ours && !errand->over) {
        cm_errand_refuse(errand, EX_TEMPFAIL, cm_errand_elsewhere_words(errand));
        return;
    }
    if (!errand->over) {
        change(errand);
        return;
    }
    if (!ours) {
        cm_cluster_take(daemon->cluster, errand->job, errand->claimed_by ? errand->claimed_by : "");
    }
    cm_loader_load(daemon, errand->job, on_loaded, errand);
}

/* A job that is over is not in the engine's memory any more. */
static void on_change(void *arg, const struct cm_view *view, const char *error)
{
    struct cm_errand *errand = arg;
    if (cm_errand_refuse_missing(errand, view, error)) {
        return;
    }
    errand->over = cm_job_is_over(view->job->state);
    if (errand->over && !strcmp(errand->what, "cancel")) {
        cm_errand_refuse(errand, EX_DATAERR, cm_strdup(_("the job is over already")));
        return;
    }
    cm_errand_find_owner(errand, change_as_owner);
}

static void do_change(struct cm_client *client, const char *what)
{
    struct cm_errand *errand = cm_errand_new(client);
    errand->what = what;
    cm_view_job(errand->daemon, errand->job, 0, on_change, errand);
}

void cm_command_cancel(struct cm_client *client)
{
    do_change(client, "cancel");
}

void cm_command_retry(struct cm_client *client)
{
    do_change(client, "retry");
}

void cm_command_rm(struct cm_client *client)
{
    do_change(client, "rm");
}

/* ---- resolve --------------------------------------------------------------------------------- */

/* A post that is not in doubt: what is known of it. */
static char *not_in_doubt(const struct cm_effect_row *effect)
{
    switch (effect->state) {
    case CM_EFFECT_CONFIRMED:
        return cm_format(_("that post of job %s is not in doubt: it is live: %s"), effect->job,
                         *effect->url ? effect->url : effect->post_id);
    case CM_EFFECT_SENDING:
        return cm_format(_("that post of job %s is being looked into; \"clipmaker why %s\" says how far that is"),
                         effect->job, effect->job);
    default:
        return cm_format(_("that post of job %s is not in doubt: it is not out"), effect->job);
    }
}

static char *no_such_post(struct cm_errand *errand)
{
    const char *key = errand->item, *near = NULL;
    for (size_t i = 0; i < errand->id_count && !near; i++) {
        near = *key && cm_starts_with(errand->ids[i], key) ? errand->ids[i] : NULL;
    }
    near = near ? near : cm_nearest(key, (const char *const *)errand->ids, errand->id_count);
    if (near) {
        return cm_format(_("no post has the key \"%.80s\"; did you mean %s?"), key, near);
    }
    if (errand->id_count) {
        return cm_format(_("no post has the key \"%.80s\"; the first of %zu that are in doubt is %s"), key,
                         errand->id_count, errand->ids[0]);
    }
    return cm_format(_("no post has the key \"%.80s\", and none is in doubt"), key);
}

/* Only the daemon whose job the post belongs to may say what became of it. */
static void resolve_as_owner(struct cm_errand *errand)
{
    const char *url = cm_json_text(errand->request, "url", NULL);
    if (cm_errand_is_elsewhere(errand)) {
        cm_errand_refuse(errand, EX_TEMPFAIL, cm_errand_elsewhere_words(errand));
        return;
    }
    const char *words = cm_engine_resolve(errand->daemon->engine, cm_daemon_now(), errand->item, url);
    if (words) {
        cm_errand_refuse(errand, EX_DATAERR, cm_strdup(words));
    } else {
        answer_when_durable(errand);
    }
}

static void on_effect(void *arg, enum cm_table table, const void *row, const char *error)
{
    struct cm_errand *errand = arg;
    const struct cm_effect_row *effect = row;
    if (effect && !strcmp(effect->key, errand->item)) {
        errand->effect = cm_row_copy(table, effect);
    } else if (effect && effect->state == CM_EFFECT_UNCONFIRMED) {
        errand->ids = cm_grow(errand->ids, &errand->id_room, errand->id_count, sizeof(char *));
        errand->ids[errand->id_count++] = cm_strdup(effect->key);
    }
    if (row) {
        return;
    }
    if (error) {
        cm_errand_refuse_store(errand, error);
    } else if (!errand->effect) {
        cm_errand_refuse(errand, EX_NOINPUT, no_such_post(errand));
    } else if (errand->effect->state != CM_EFFECT_UNCONFIRMED) {
        cm_errand_refuse(errand, EX_DATAERR, not_in_doubt(errand->effect));
    } else {
        free(errand->job);
        errand->job = cm_strdup(errand->effect->job);
        cm_errand_find_owner(errand, resolve_as_owner);
    }
}

void cm_command_resolve(struct cm_client *client)
{
    struct cm_errand *errand = cm_errand_new(client);
    struct cm_query query = {.table = CM_TABLE_EFFECT};
    errand->request = json_object_get(cm_client_request(client));
    free(errand->item);
    errand->item = cm_strdup(cm_json_text(errand->request, "effect", ""));
    cm_store_query(errand->daemon->store, &query, on_effect, errand);
}
