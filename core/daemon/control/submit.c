/*
 * New jobs: a video, or the publishing of a clip that is there.
 */
#include "core/daemon/control/submit.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "core/common/done.h"
#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/daemon/control/client.h"
#include "core/daemon/control/errand.h"
#include "core/daemon/control/intake.h"
#include "core/daemon/control/post.h"
#include "core/daemon/control/views.h"
#include "core/daemon/daemon.h"

struct cm_submits {
    struct cm_errand *waiting; /* those that the engine has */
    uint64_t last_number;
};

struct cm_submits *cm_submits_new(void)
{
    return cm_alloc(sizeof(struct cm_submits));
}

/* ---- submit ---------------------------------------------------------------------------------- */

static void answer_job(struct cm_errand *errand, const char *job, int existing)
{
    struct json_object *object = json_object_new_object();
    json_object_object_add(object, "job", json_object_new_string(job));
    json_object_object_add(object, "existing", json_object_new_boolean(existing));
    cm_errand_answer(errand, object);
}

static void refuse_conflict(struct cm_errand *errand, const char *job)
{
    if (!strcmp(errand->what, "publish")) {
        cm_errand_refuse(
            errand, EX_DATAERR,
            cm_format(_("job %s has this clip for this target already, at another time or with other words: cancel "
                        "it first, or say --again for a second post"),
                      job));
        return;
    }
    cm_errand_refuse(
        errand, EX_DATAERR,
        cm_format(_("the request key \"%s\" is taken by another request: job %s"), errand->order.request_key, job));
}

/* The key is taken: by the same request, then that job is the answer, or by another one. */
static void answer_existing(struct cm_errand *errand)
{
    const struct cm_job_row *job = errand->existing;
    char *hash = cm_submit_hash(errand->order.source, errand->order.params, errand->order.pipeline);
    int same = !strcmp(hash, job->request_hash);
    free(hash);
    if (!strcmp(errand->what, "publish") && (job->state == CM_JOB_CANCELLED || job->state == CM_JOB_FAILED)) {
        cm_errand_refuse(
            errand, EX_DATAERR,
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

static void submit_to_engine(struct cm_errand *errand)
{
    struct cm_daemon *daemon = errand->daemon;
    char *words = no_room_words(daemon, &errand->order);
    if (words) {
        cm_errand_refuse(errand, EX_TEMPFAIL, words);
        return;
    }
    char id[37];
    cm_uuid7(id);
    errand->number = ++daemon->submits->last_number;
    errand->next = daemon->submits->waiting;
    daemon->submits->waiting = errand;
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
    struct cm_errand *errand = arg;
    if (row) {
        errand->existing = errand->existing ? errand->existing : cm_row_copy(table, row);
    } else if (error) {
        cm_errand_refuse_store(errand, error);
    } else if (errand->existing) {
        answer_existing(errand);
    } else if (errand->number) {
        cm_errand_refuse(errand, EX_TEMPFAIL, cm_strdup(_("the job could not be kept; try again")));
    } else {
        submit_to_engine(errand);
    }
}

static void look_for_existing(struct cm_errand *errand)
{
    struct cm_query query = {
        .table = CM_TABLE_JOB, .owner = errand->order.owner, .request_key = errand->order.request_key, .limit = 1};
    cm_store_query(errand->daemon->store, &query, on_existing, errand);
}

void cm_command_submit(struct cm_client *client)
{
    struct cm_errand *errand = cm_errand_new(client);
    errand->what = "submit";
    int status = EX_USAGE;
    char *words = cm_intake_check(errand->daemon->config, cm_client_request(client), &errand->order, &status);
    if (words) {
        cm_errand_refuse(errand, status, words);
    } else if (*errand->order.request_key) {
        look_for_existing(errand);
    } else {
        submit_to_engine(errand);
    }
}

/* ---- publish --------------------------------------------------------------------------------- */

static void order_post(struct cm_errand *errand, const struct cm_view *view, struct json_object *request)
{
    int status = EX_USAGE;
    char *words = cm_post_check(errand->daemon->config, view, request, &errand->order, &status);
    if (words) {
        cm_errand_refuse(errand, status, words);
    } else {
        look_for_existing(errand);
    }
}

static void on_clip(void *arg, const struct cm_view *view, const char *error)
{
    struct cm_errand *errand = arg;
    if (!cm_errand_refuse_missing(errand, view, error)) {
        order_post(errand, view, errand->request);
    }
}

void cm_command_publish(struct cm_client *client)
{
    struct cm_errand *errand = cm_errand_new(client);
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

void cm_submits_answered(struct cm_daemon *daemon, const struct cm_action *action)
{
    struct cm_errand **place = &daemon->submits->waiting;
    while (*place && (*place)->number != action->number) {
        place = &(*place)->next;
    }
    struct cm_errand *errand = *place;
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
        cm_errand_refuse(errand, EX_TEMPFAIL, cm_strdup(text));
    }
}

void cm_submits_free(struct cm_submits *submits)
{
    while (submits && submits->waiting) {
        struct cm_errand *next = submits->waiting->next;
        cm_errand_free(submits->waiting);
        submits->waiting = next;
    }
    free(submits);
}
