/*
 * Looking at jobs.
 */
#include "core/daemon/control/look.h"

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
#include "core/daemon/control/views.h"
#include "core/daemon/daemon.h"

/* ---- jobs ------------------------------------------------------------------------------------ */

#define JOBS_DEFAULT 20
#define JOBS_MAX 1000

static void next_summary(struct cm_errand *errand);

static void on_summary(void *arg, const struct cm_view *view, const char *error)
{
    struct cm_errand *errand = arg;
    if (!error && view->job) {
        json_object_array_add(errand->list, cm_view_summary(view));
    }
    next_summary(errand);
}

static void next_summary(struct cm_errand *errand)
{
    if (errand->next_id < errand->id_count) {
        cm_view_job(errand->daemon, errand->ids[errand->next_id++], 0, on_summary, errand);
        return;
    }
    struct json_object *object = json_object_new_object();
    json_object_object_add(object, "jobs", json_object_get(errand->list));
    cm_errand_answer(errand, object);
}

static void on_job_row(void *arg, enum cm_table table, const void *row, const char *error)
{
    (void)table;
    struct cm_errand *errand = arg;
    const struct cm_job_row *job = row;
    if (job) {
        errand->ids = cm_grow(errand->ids, &errand->id_room, errand->id_count, sizeof(char *));
        errand->ids[errand->id_count++] = cm_strdup(job->id);
    } else if (error) {
        cm_errand_refuse_store(errand, error);
    } else {
        next_summary(errand);
    }
}

void cm_command_jobs(struct cm_client *client)
{
    struct cm_errand *errand = cm_errand_new(client);
    struct json_object *request = cm_client_request(client);
    long long limit = cm_json_int(request, "limit", 0);
    const char *owner = cm_json_text(request, "owner", "");
    errand->list = json_object_new_array();
    struct cm_query query = {.table = CM_TABLE_JOB, .owner = *owner ? owner : NULL};
    query.limit = limit < 1 ? JOBS_DEFAULT : limit > JOBS_MAX ? JOBS_MAX : limit;
    cm_store_query(errand->daemon->store, &query, on_job_row, errand);
}

/* ---- show, watch, why ------------------------------------------------------------------------ */

static void on_show(void *arg, const struct cm_view *view, const char *error)
{
    struct cm_errand *errand = arg;
    if (!cm_errand_refuse_missing(errand, view, error)) {
        cm_errand_answer(errand, cm_view_show(view));
    }
}

void cm_command_show(struct cm_client *client)
{
    struct cm_errand *errand = cm_errand_new(client);
    cm_view_job(errand->daemon, errand->job, 1, on_show, errand);
}

static void on_watch(void *arg, const struct cm_view *view, const char *error)
{
    struct cm_errand *errand = arg;
    if (cm_errand_refuse_missing(errand, view, error)) {
        return;
    }
    struct cm_client *client = cm_clients_find(errand->daemon->clients, errand->client);
    char *job = cm_strdup(errand->job);
    cm_errand_answer(errand, json_object_new_object());
    if (client) {
        cm_client_watch(client, job);
    }
    free(job);
}

void cm_command_watch(struct cm_client *client)
{
    const char *job = cm_json_text(cm_client_request(client), "job", "");
    if (*job) {
        struct cm_errand *errand = cm_errand_new(client);
        cm_view_job(errand->daemon, errand->job, 0, on_watch, errand);
        return;
    }
    cm_client_watch(client, "");
    cm_client_answer(client, json_object_new_object());
}

static struct json_object *words_answer(char *words)
{
    struct json_object *object = json_object_new_object();
    json_object_object_add(object, "words", json_object_new_string(words));
    free(words);
    return object;
}

/* Over, paused as a whole, or what the engine says. */
static char *why_words(struct cm_errand *errand, const struct cm_view *view)
{
    const struct cm_job_row *job = view->job;
    if (cm_job_is_over(job->state)) {
        return cm_format("%s%s%s", _(cm_job_state_name(job->state)), *job->words ? ": " : "", job->words);
    }
    char *pause = cm_daemon_pause_words(errand->daemon);
    if (pause) {
        return pause;
    }
    char *words = cm_engine_why(errand->daemon->engine, cm_daemon_now(), errand->job,
                                *errand->step ? errand->step : NULL, *errand->step ? errand->item : NULL);
    return words ? words : cm_strdup(_("it is being loaded"));
}

/* Of another daemon's job nothing is known here but who that is. */
static void answer_why(struct cm_errand *errand)
{
    int elsewhere = cm_errand_is_elsewhere(errand);
    char *words = elsewhere ? cm_errand_elsewhere_words(errand) : cm_strdup(errand->words);
    cm_errand_answer(errand, words_answer(words));
}

static void on_why(void *arg, const struct cm_view *view, const char *error)
{
    struct cm_errand *errand = arg;
    if (cm_errand_refuse_missing(errand, view, error)) {
        return;
    }
    errand->words = why_words(errand, view);
    if (cm_job_is_over(view->job->state) || !errand->daemon->store->shared) {
        answer_why(errand);
        return;
    }
    cm_errand_find_owner(errand, answer_why);
}

void cm_command_why(struct cm_client *client)
{
    struct cm_errand *errand = cm_errand_new(client);
    cm_view_job(errand->daemon, errand->job, 0, on_why, errand);
}
