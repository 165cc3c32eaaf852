/*
 * The requests: submit, publish, targets, jobs, show, watch, cancel, retry, why, rm, resolve, status, fsck, reload.
 *
 * A client may be gone when its answer is ready, so what waits keeps its number and not the
 * client itself.
 */
#include "core/daemon/control/commands.h"
#include "core/daemon/control/client.h"
#include "core/daemon/engine/fsck.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "core/common/done.h"
#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/daemon/cluster.h"
#include "core/daemon/control/consent.h"
#include "core/daemon/control/costs.h"
#include "core/daemon/control/intake.h"
#include "core/daemon/control/post.h"
#include "core/daemon/control/targets.h"
#include "core/daemon/control/views.h"
#include "core/daemon/daemon.h"
#include "core/daemon/janitor.h"
#include "core/daemon/loader.h"
#include "core/daemon/reload.h"
#include "core/daemon/run/attempts.h"
#include "core/daemon/store/memory.h"

#define JOBS_DEFAULT 20
#define JOBS_MAX 1000

/* A request on its way through the store. */
struct errand {
    struct errand *next; /* while the engine has its submit */
    uint64_t number;     /* of that submit */
    struct cm_daemon *daemon;
    uint64_t client;
    char *job, *step, *item;
    const char *what;            /* the request's "do" */
    struct json_object *request; /* kept, where it is needed later; or NULL */
    char *claimed_by;            /* a boot; NULL: nobody */
    char *words;                 /* of why */
    char *other;                 /* the daemon that has the job, if it is not this one */
    int over;                    /* the job */
    struct cm_order order;
    struct cm_job_row *existing;  /* of a submit: the job that has its key */
    struct cm_effect_row *effect; /* of a resolve; its key is the item */
    struct json_object *list;     /* of jobs */
    char **ids;
    size_t id_count, id_room, next_id;
    char *error;
    struct cm_store *copy; /* of fsck */
    int left;              /* of fsck: tables that are still being read */
};

struct cm_commands {
    struct errand *waiting; /* submits that the engine has */
    uint64_t last_number;
};

struct cm_commands *cm_commands_new(void)
{
    return cm_alloc(sizeof(struct cm_commands));
}

static struct errand *errand_new(struct cm_client *client)
{
    struct errand *errand = cm_alloc(sizeof *errand);
    struct json_object *request = cm_client_request(client);
    errand->what = "";
    errand->daemon = cm_client_daemon(client);
    errand->client = cm_client_number(client);
    errand->job = cm_strdup(cm_json_text(request, "job", ""));
    errand->step = cm_strdup(cm_json_text(request, "step", ""));
    errand->item = cm_strdup(cm_json_text(request, "item", ""));
    return errand;
}

static void errand_free(struct errand *errand)
{
    free(errand->job);
    free(errand->step);
    free(errand->item);
    free(errand->claimed_by);
    free(errand->words);
    free(errand->other);
    free(errand->error);
    cm_store_close(errand->copy);
    cm_order_free(&errand->order);
    if (errand->existing) {
        cm_row_free(CM_TABLE_JOB, errand->existing);
    }
    if (errand->effect) {
        cm_row_free(CM_TABLE_EFFECT, errand->effect);
    }
    json_object_put(errand->list);
    json_object_put(errand->request);
    for (size_t i = 0; i < errand->id_count; i++) {
        free(errand->ids[i]);
    }
    free(errand->ids);
    free(errand);
}

/* Ends the errand with an answer, if the client is still there. */
static void answer(struct errand *errand, struct json_object *object)
{
    struct cm_client *client = cm_clients_find(errand->daemon->clients, errand->client);
    if (client) {
        cm_client_answer(client, object);
    } else {
        json_object_put(object);
    }
    errand_free(errand);
}

static void refuse(struct errand *errand, int status, char *words)
{
    struct cm_client *client = cm_clients_find(errand->daemon->clients, errand->client);
    if (client) {
        cm_client_refuse(client, status, words);
    } else {
        free(words);
    }
    errand_free(errand);
}

/* The view has no job, or the store did not answer: refused, 1. */
static int refuse_missing(struct errand *errand, const struct cm_view *view, const char *error)
{
    if (error) {
        refuse(errand, EX_TEMPFAIL, cm_format(_("the store does not answer: %s"), error));
    } else if (!view->job) {
        refuse(errand, EX_NOINPUT, cm_format(_("there is no job %s"), errand->job));
    }
    return error || !view->job;
}

/* ---- submit ---------------------------------------------------------------------------------- */

static void answer_job(struct errand *errand, const char *job, int existing)
{
    struct json_object *object = json_object_new_object();
    json_object_object_add(object, "job", json_object_new_string(job));
    json_object_object_add(object, "existing", json_object_new_boolean(existing));
    answer(errand, object);
}

static void refuse_conflict(struct errand *errand, const char *job)
{
    if (!strcmp(errand->what, "publish")) {
        refuse(errand, EX_DATAERR,
               cm_format(_("job %s has this clip for this target already, at another time or with other words: cancel "
                           "it first, or say --again for a second post"),
                         job));
        return;
    }
    refuse(errand, EX_DATAERR,
           cm_format(_("the request key \"%s\" is taken by another request: job %s"), errand->order.request_key, job));
}

/* The key is taken: by the same request, then that job is the answer, or by another one. */
static void answer_existing(struct errand *errand)
{
    const struct cm_job_row *job = errand->existing;
    char *hash = cm_submit_hash(errand->order.source, errand->order.params, errand->order.pipeline);
    int same = !strcmp(hash, job->request_hash);
    free(hash);
    if (!strcmp(errand->what, "publish") && (job->state == CM_JOB_CANCELLED || job->state == CM_JOB_FAILED)) {
        refuse(errand, EX_DATAERR,
               cm_format(_("job %s had this clip for this target and was %s: \"clipmaker retry %s\" takes it up again, "
                           "--again makes a new post"),
                         job->id, _(cm_job_state_name(job->state)), job->id));
    } else if (same) {
        answer_job(errand, job->id, 1);
    } else {
        refuse_conflict(errand, job->id);
    }
}

static char *no_room_words(struct cm_daemon *daemon, const struct cm_order *order)
{
    int64_t max = daemon->config->settings.max_jobs;
    int counts = max && !cm_starts_with(order->source, CM_POST_SOURCE);
    if (counts && (int64_t)cm_engine_job_count(daemon->engine) >= max &&
        (int64_t)cm_engine_video_count(daemon->engine) >= max) {
        return cm_format(_("%lld jobs are unfinished and max_jobs allows no more; try again later"), (long long)max);
    }
    /* A private daemon has one job, and rather holds it until there is room. */
    return daemon->is_private ? NULL : cm_daemon_pause_words(daemon);
}

static void submit_to_engine(struct errand *errand)
{
    struct cm_daemon *daemon = errand->daemon;
    char *words = no_room_words(daemon, &errand->order);
    if (words) {
        refuse(errand, EX_TEMPFAIL, words);
        return;
    }
    char id[37];
    cm_uuid7(id);
    errand->number = ++daemon->commands->last_number;
    errand->next = daemon->commands->waiting;
    daemon->commands->waiting = errand;
    struct cm_submit submit = {
        .id = id,
        .owner = errand->order.owner,
        .request_key = errand->order.request_key,
        .pipeline = errand->order.pipeline,
        .source = errand->order.source,
        .params = errand->order.params,
        .priority = errand->order.priority,
        .number = errand->number,
    };
    cm_engine_submit(daemon->engine, cm_daemon_now(), &submit);
    cm_daemon_pump_soon(daemon);
}

static void on_existing(void *arg, enum cm_table table, const void *row, const char *error)
{
    struct errand *errand = arg;
    if (row) {
        errand->existing = errand->existing ? errand->existing : cm_row_copy(table, row);
    } else if (error) {
        refuse(errand, EX_TEMPFAIL, cm_format(_("the store does not answer: %s"), error));
    } else if (errand->existing) {
        answer_existing(errand);
    } else if (errand->number) {
        refuse(errand, EX_TEMPFAIL, cm_strdup(_("the job could not be kept; try again")));
    } else {
        submit_to_engine(errand);
    }
}

static void look_for_existing(struct errand *errand)
{
    struct cm_query query = {
        .table = CM_TABLE_JOB, .owner = errand->order.owner, .request_key = errand->order.request_key, .limit = 1};
    cm_store_query(errand->daemon->store, &query, on_existing, errand);
}

static void do_submit(struct cm_client *client)
{
    struct errand *errand = errand_new(client);
    errand->what = "submit";
    int status = EX_USAGE;
    char *words = cm_intake_check(errand->daemon->config, cm_client_request(client), &errand->order, &status);
    if (words) {
        refuse(errand, status, words);
    } else if (*errand->order.request_key) {
        look_for_existing(errand);
    } else {
        submit_to_engine(errand);
    }
}

/* ---- publish --------------------------------------------------------------------------------- */

static void order_post(struct errand *errand, const struct cm_view *view, struct json_object *request)
{
    int status = EX_USAGE;
    char *words = cm_post_check(errand->daemon->config, view, request, &errand->order, &status);
    if (words) {
        refuse(errand, status, words);
    } else {
        look_for_existing(errand);
    }
}

static void on_clip(void *arg, const struct cm_view *view, const char *error)
{
    struct errand *errand = arg;
    if (!refuse_missing(errand, view, error)) {
        order_post(errand, view, errand->request);
    }
}

static void do_publish(struct cm_client *client)
{
    struct errand *errand = errand_new(client);
    const char *clip = cm_json_text(cm_client_request(client), "clip", "");
    errand->what = "publish";
    errand->request = json_object_get(cm_client_request(client));
    free(errand->job);
    errand->job = cm_post_job(clip);
    if (*clip == '/') {
        order_post(errand, NULL, errand->request);
    } else {
        cm_view_job(errand->daemon, errand->job, 1, on_clip, errand);
    }
}

void cm_command_submitted(struct cm_daemon *daemon, const struct cm_action *action)
{
    struct errand **place = &daemon->commands->waiting;
    while (*place && (*place)->number != action->number) {
        place = &(*place)->next;
    }
    struct errand *errand = *place;
    if (!errand) {
        return;
    }
    *place = errand->next;
    const char *text = action->text ? action->text : "";
    if (action->ok) {
        answer_job(errand, action->job, !strcmp(text, CM_SUBMIT_EXISTS));
    } else if (!strcmp(text, CM_SUBMIT_CONFLICT)) {
        refuse_conflict(errand, action->job);
    } else if (!strcmp(text, CM_SUBMIT_EXISTS)) {
        look_for_existing(errand); /* another request with this key was faster */
    } else {
        refuse(errand, EX_TEMPFAIL, cm_strdup(text));
    }
}

void cm_commands_free(struct cm_commands *commands)
{
    while (commands && commands->waiting) {
        struct errand *next = commands->waiting->next;
        errand_free(commands->waiting);
        commands->waiting = next;
    }
    free(commands);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static void next_summary(struct errand *errand);

static void on_summary(void *arg, const struct cm_view *view, const char *error)
{
    struct errand *errand = arg;
    if (!error && view->job) {
        json_object_array_add(errand->list, cm_view_summary(view));
    }
    next_summary(errand);
}

static void next_summary(struct errand *errand)
{
    if (errand->next_id < errand->id_count) {
        cm_view_job(errand->daemon, errand->ids[errand->next_id++], 0, on_summary, errand);
        return;
    }
    struct json_object *object = json_object_new_object();
    json_object_object_add(object, "jobs", json_object_get(errand->list));
    answer(errand, object);
}

static void on_job_row(void *arg, enum cm_table table, const void *row, const char *error)
{
    (void)table;
    struct errand *errand = arg;
    const struct cm_job_row *job = row;
    if (job) {
        errand->ids = cm_grow(errand->ids, &errand->id_room, errand->id_count, sizeof(char *));
        errand->ids[errand->id_count++] = cm_strdup(job->id);
    } else if (error) {
        refuse(errand, EX_TEMPFAIL, cm_format(_("the store does not answer: %s"), error));
    } else {
        next_summary(errand);
    }
}

static void do_jobs(struct cm_client *client)
{
    struct errand *errand = errand_new(client);
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
    struct errand *errand = arg;
    if (!refuse_missing(errand, view, error)) {
        answer(errand, cm_view_show(view));
    }
}

static void do_show(struct cm_client *client)
{
    struct errand *errand = errand_new(client);
    cm_view_job(errand->daemon, errand->job, 1, on_show, errand);
}

static void on_watch(void *arg, const struct cm_view *view, const char *error)
{
    struct errand *errand = arg;
    if (refuse_missing(errand, view, error)) {
        return;
    }
    struct cm_client *client = cm_clients_find(errand->daemon->clients, errand->client);
    char *job = cm_strdup(errand->job);
    answer(errand, json_object_new_object());
    if (client) {
        cm_client_watch(client, job);
    }
    free(job);
}

static void do_watch(struct cm_client *client)
{
    const char *job = cm_json_text(cm_client_request(client), "job", "");
    if (*job) {
        struct errand *errand = errand_new(client);
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
static char *why_words(struct errand *errand, const struct cm_view *view)
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

/* Another daemon's job: nothing is known of it here but who that is. */
static void on_owner(void *arg, enum cm_table table, const void *row, const char *error)
{
    struct errand *errand = arg;
    (void)table;
    if (row) {
        const char *boot = ((const struct cm_claim_row *)row)->boot;
        errand->other = strcmp(boot, errand->daemon->boot) ? cm_cluster_who(errand->daemon->cluster, boot) : NULL;
    } else if (error) {
        refuse(errand, EX_TEMPFAIL, cm_format(_("the store does not answer: %s"), error));
    } else if (errand->other) {
        answer(errand, words_answer(cm_format(_("clipmakerd on %s works on this job: ask that one"), errand->other)));
    } else {
        answer(errand, words_answer(cm_strdup(errand->words)));
    }
}

static void on_why(void *arg, const struct cm_view *view, const char *error)
{
    struct errand *errand = arg;
    if (refuse_missing(errand, view, error)) {
        return;
    }
    errand->words = why_words(errand, view);
    if (cm_job_is_over(view->job->state) || !errand->daemon->store->shared) {
        answer(errand, words_answer(cm_strdup(errand->words)));
        return;
    }
    struct cm_query query = {.table = CM_TABLE_CLAIM, .job = errand->job};
    cm_store_query(errand->daemon->store, &query, on_owner, errand);
}

static void do_why(struct cm_client *client)
{
    struct errand *errand = errand_new(client);
    cm_view_job(errand->daemon, errand->job, 0, on_why, errand);
}

/* ---- cancel, retry, rm ----------------------------------------------------------------------- */

/* Whatever the engine decided is durable when the store gets to this query. */
static void on_barrier(void *arg, enum cm_table table, const void *row, const char *error)
{
    (void)table;
    struct errand *errand = arg;
    if (row) {
        return;
    }
    if (error) {
        refuse(errand, EX_TEMPFAIL, cm_format(_("the store does not answer: %s"), error));
    } else {
        answer(errand, json_object_new_object());
    }
}

static void answer_when_durable(struct errand *errand)
{
    struct cm_query query = {.table = CM_TABLE_JOB, .job = errand->job, .limit = 1};
    cm_daemon_hand_over_all(errand->daemon);
    cm_daemon_pump_soon(errand->daemon);
    cm_store_query(errand->daemon->store, &query, on_barrier, errand);
}

static void change(struct errand *errand)
{
    struct cm_engine *engine = errand->daemon->engine;
    struct cm_now now = cm_daemon_now();
    const char *step = *errand->step ? errand->step : NULL, *item = *errand->step ? errand->item : NULL;
    const char *words = !strcmp(errand->what, "cancel")  ? cm_engine_cancel(engine, now, errand->job)
                        : !strcmp(errand->what, "retry") ? cm_engine_retry(engine, now, errand->job, step, item)
                                                         : cm_engine_remove(engine, now, errand->job);
    if (words) {
        refuse(errand, EX_DATAERR, cm_strdup(words));
    } else {
        answer_when_durable(errand);
    }
}

static void on_loaded(void *arg, const char *error)
{
    struct errand *errand = arg;
    if (error) {
        refuse(errand, EX_TEMPFAIL, cm_format(_("the store does not answer: %s"), error));
    } else {
        change(errand);
    }
}

/* Anybody may take up a job that is over; another one only its owner changes. */
static void change_as_owner(struct errand *errand)
{
    struct cm_daemon *daemon = errand->daemon;
    const char *boot = errand->claimed_by ? errand->claimed_by : "";
    int ours = !strcmp(boot, daemon->boot);
    if (!ours && !errand->over) {
        char *who = cm_cluster_who(daemon->cluster, boot);
        refuse(errand, EX_TEMPFAIL, cm_format(_("clipmakerd on %s works on this job: ask that one"), who));
        free(who);
        return;
    }
    if (!errand->over) {
        change(errand);
        return;
    }
    if (!ours) {
        cm_cluster_take(daemon->cluster, errand->job, boot);
    }
    cm_loader_load(daemon, errand->job, on_loaded, errand);
}

static void on_claim(void *arg, enum cm_table table, const void *row, const char *error)
{
    struct errand *errand = arg;
    (void)table;
    if (row) {
        free(errand->claimed_by);
        errand->claimed_by = cm_strdup(((const struct cm_claim_row *)row)->boot);
    } else if (error) {
        refuse(errand, EX_TEMPFAIL, cm_format(_("the store does not answer: %s"), error));
    } else {
        change_as_owner(errand);
    }
}

/* A job that is over is not in the engine's memory any more. */
static void on_change(void *arg, const struct cm_view *view, const char *error)
{
    struct errand *errand = arg;
    if (refuse_missing(errand, view, error)) {
        return;
    }
    errand->over = cm_job_is_over(view->job->state);
    if (errand->over && !strcmp(errand->what, "cancel")) {
        refuse(errand, EX_DATAERR, cm_strdup(_("the job is over already")));
        return;
    }
    struct cm_query query = {.table = CM_TABLE_CLAIM, .job = errand->job};
    cm_store_query(errand->daemon->store, &query, on_claim, errand);
}

static void do_change(struct cm_client *client, const char *what)
{
    struct errand *errand = errand_new(client);
    errand->what = what;
    cm_view_job(errand->daemon, errand->job, 0, on_change, errand);
}

static void do_cancel(struct cm_client *client)
{
    do_change(client, "cancel");
}

static void do_retry(struct cm_client *client)
{
    do_change(client, "retry");
}

static void do_rm(struct cm_client *client)
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

static char *no_such_post(struct errand *errand)
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

static void resolve_here(struct errand *errand)
{
    const char *url = cm_json_text(errand->request, "url", NULL);
    const char *words = cm_engine_resolve(errand->daemon->engine, cm_daemon_now(), errand->item, url);
    if (words) {
        refuse(errand, EX_DATAERR, cm_strdup(words));
    } else {
        answer_when_durable(errand);
    }
}

/* Whose job the post belongs to: only that daemon may say what became of it. */
static void on_resolve_claim(void *arg, enum cm_table table, const void *row, const char *error)
{
    struct errand *errand = arg;
    (void)table;
    if (row) {
        const char *boot = ((const struct cm_claim_row *)row)->boot;
        errand->other = strcmp(boot, errand->daemon->boot) ? cm_cluster_who(errand->daemon->cluster, boot) : NULL;
    } else if (error) {
        refuse(errand, EX_TEMPFAIL, cm_format(_("the store does not answer: %s"), error));
    } else if (errand->other) {
        refuse(errand, EX_TEMPFAIL, cm_format(_("clipmakerd on %s works on this job: ask that one"), errand->other));
    } else {
        resolve_here(errand);
    }
}

static void on_effect(void *arg, enum cm_table table, const void *row, const char *error)
{
    struct errand *errand = arg;
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
        refuse(errand, EX_TEMPFAIL, cm_format(_("the store does not answer: %s"), error));
    } else if (!errand->effect) {
        refuse(errand, EX_NOINPUT, no_such_post(errand));
    } else if (errand->effect->state != CM_EFFECT_UNCONFIRMED) {
        refuse(errand, EX_DATAERR, not_in_doubt(errand->effect));
    } else {
        struct cm_query query = {.table = CM_TABLE_CLAIM, .job = errand->effect->job};
        free(errand->job);
        errand->job = cm_strdup(errand->effect->job);
        cm_store_query(errand->daemon->store, &query, on_resolve_claim, errand);
    }
}

static void do_resolve(struct cm_client *client)
{
    struct errand *errand = errand_new(client);
    struct cm_query query = {.table = CM_TABLE_EFFECT};
    errand->request = json_object_get(cm_client_request(client));
    free(errand->item);
    errand->item = cm_strdup(cm_json_text(errand->request, "effect", ""));
    cm_store_query(errand->daemon->store, &query, on_effect, errand);
}

/* ---- status, fsck ---------------------------------------------------------------------------- */

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

static void do_status(struct cm_client *client)
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
static void do_reload(struct cm_client *client)
{
    cm_reload_ask(cm_client_daemon(client)->reload);
    cm_client_answer(client, json_object_new_object());
}

static void on_found(void *arg, const char *line)
{
    struct errand *errand = arg;
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
    struct errand *errand = arg;
    if (cm_store_check(errand->copy, errand->daemon->state, on_found, errand) < 0) {
        errand->error = cm_strdup(_("the store could not be read"));
    }
}

static void fsck_done(void *arg)
{
    struct errand *errand = arg;
    if (errand->error) {
        refuse(errand, EX_TEMPFAIL, cm_strdup(errand->error));
        return;
    }
    struct json_object *object = json_object_new_object();
    json_object_object_add(object, "found", json_object_get(errand->list));
    answer(errand, object);
}

static void copy_row(void *arg, enum cm_table table, const void *row, const char *error)
{
    struct errand *errand = arg;
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
static void do_fsck(struct cm_client *client)
{
    struct errand *errand = errand_new(client);
    errand->list = json_object_new_array();
    errand->copy = cm_store_memory_open(no_word, NULL);
    errand->left = CM_TABLE_COUNT_PLUS_1 - 1;
    struct cm_query queries[CM_TABLE_COUNT_PLUS_1] = {0};
    for (enum cm_table table = CM_TABLE_PIPELINE; table < CM_TABLE_COUNT_PLUS_1; table++) {
        queries[table].table = table;
    }
    cm_store_query_all(errand->daemon->store, queries + CM_TABLE_PIPELINE, (size_t)errand->left, copy_row, errand);
}

/* ---- The table ------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*run)(struct cm_client *client);
    int needs_store;
} commands[] = {
    {"submit", do_submit, 1},
    {"publish", do_publish, 1},
    {"targets", cm_targets_list, 0},
    {"check", cm_targets_check, 1},
    {"jobs", do_jobs, 1},
    {"show", do_show, 1},
    {"watch", do_watch, 1},
    {"why", do_why, 1},
    {"cancel", do_cancel, 1},
    {"retry", do_retry, 1},
    {"rm", do_rm, 1},
    {"resolve", do_resolve, 1},
    {"status", do_status, 0},
    {"fsck", do_fsck, 1},
    {"reload", do_reload, 0},
    {"costs", cm_command_costs, 1},
    {"consent", cm_command_consent, 1},
};

void cm_command_run(struct cm_client *client)
{
    struct json_object *request = cm_client_request(client);
    const char *name = cm_json_text(request, "do", "");
    if (cm_json_int(request, "v", 0) != 1) {
        cm_client_refuse(client, EX_USAGE, cm_strdup(_("the request must say \"v\":1; this is another version")));
        return;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, name) != 0) {
            continue;
        }
        struct cm_daemon *daemon = cm_client_daemon(client);
        if (commands[i].needs_store && (daemon->pauses & CM_PAUSE_STORE)) {
            cm_client_refuse(client, EX_TEMPFAIL, cm_daemon_pause_words(daemon));
        } else {
            commands[i].run(client);
        }
        return;
    }
    cm_client_refuse(client, EX_USAGE, cm_format(_("there is no request \"%.40s\""), name));
}
