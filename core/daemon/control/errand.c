/*
 * Errands: what a request still needs when its answer comes later.
 */
#include "core/daemon/control/errand.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/daemon/cluster.h"
#include "core/daemon/control/client.h"
#include "core/daemon/control/views.h"
#include "core/daemon/daemon.h"

struct cm_errand *cm_errand_new(struct cm_client *client)
{
    struct cm_errand *errand = cm_alloc(sizeof *errand);
    struct json_object *request = cm_client_request(client);
    errand->what = "";
    errand->daemon = cm_client_daemon(client);
    errand->client = cm_client_number(client);
    errand->job = cm_strdup(cm_json_text(request, "job", ""));
    errand->step = cm_strdup(cm_json_text(request, "step", ""));
    errand->item = cm_strdup(cm_json_text(request, "item", ""));
    return errand;
}

void cm_errand_free(struct cm_errand *errand)
{
    free(errand->job);
    free(errand->step);
    free(errand->item);
    free(errand->claimed_by);
    free(errand->words);
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

void cm_errand_answer(struct cm_errand *errand, struct json_object *object)
{
    struct cm_client *client = cm_clients_find(errand->daemon->clients, errand->client);
    if (client) {
        cm_client_answer(client, object);
    } else {
        json_object_put(object);
    }
    cm_errand_free(errand);
}

void cm_errand_refuse(struct cm_errand *errand, int status, char *words)
{
    struct cm_client *client = cm_clients_find(errand->daemon->clients, errand->client);
    if (client) {
        cm_client_refuse(client, status, words);
    } else {
        free(words);
    }
    cm_errand_free(errand);
}

int cm_errand_refuse_missing(struct cm_errand *errand, const struct cm_view *view, const char *error)
{
    if (error) {
        cm_errand_refuse_store(errand, error);
    } else if (!view->job) {
        cm_errand_refuse(errand, EX_NOINPUT, cm_format(_("there is no job %s"), errand->job));
    }
    return error || !view->job;
}

void cm_errand_refuse_store(struct cm_errand *errand, const char *error)
{
    cm_errand_refuse(errand, EX_TEMPFAIL, cm_format(_("the store does not answer: %s"), error));
}

static void on_claim(void *arg, enum cm_table table, const void *row, const char *error)
{
    struct cm_errand *errand = arg;
    (void)table;
    if (row) {
        free(errand->claimed_by);
        errand->claimed_by = cm_strdup(((const struct cm_claim_row *)row)->boot);
    } else if (error) {
        cm_errand_refuse_store(errand, error);
    } else {
        errand->found(errand);
    }
}

void cm_errand_find_owner(struct cm_errand *errand, cm_errand_fn found)
{
    struct cm_query query = {.table = CM_TABLE_CLAIM, .job = errand->job};
    errand->found = found;
    cm_store_query(errand->daemon->store, &query, on_claim, errand);
}

int cm_errand_is_elsewhere(const struct cm_errand *errand)
{
    return errand->claimed_by && strcmp(errand->claimed_by, errand->daemon->boot) != 0;
}

char *cm_errand_elsewhere_words(const struct cm_errand *errand)
{
    char *who = cm_cluster_who(errand->daemon->cluster, errand->claimed_by ? errand->claimed_by : "");
    char *words = cm_format(_("clipmakerd on %s works on this job: ask that one"), who);
    free(who);
    return words;
}
