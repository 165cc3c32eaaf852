/*
 * An owner's consent, as the control protocol shows and changes it.
 */
#include "core/daemon/control/consent.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/daemon/consents.h"
#include "core/daemon/control/client.h"
#include "core/daemon/daemon.h"

/* The client may be gone when the store has answered. */
struct asking {
    struct cm_daemon *daemon;
    uint64_t client;
    char *owner, *job;
    struct json_object *recipients; /* [{"recipient", "instances": […], "what": […]}] */
};

/* ---- To whom --------------------------------------------------------------------------------- */

static void add_once(struct json_object *list, const char *text)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        if (!strcmp(json_object_get_string(json_object_array_get_idx(list, i)), text)) {
            return;
        }
    }
    json_object_array_add(list, json_object_new_string(text));
}

static struct json_object *recipient_object(struct json_object *recipients, const char *name)
{
    for (size_t i = 0; i < json_object_array_length(recipients); i++) {
        struct json_object *one = json_object_array_get_idx(recipients, i);
        if (!strcmp(cm_json_text(one, "recipient", ""), name)) {
            return one;
        }
    }
    struct json_object *fresh = json_object_new_object();
    json_object_object_add(fresh, "recipient", json_object_new_string(name));
    json_object_object_add(fresh, "instances", json_object_new_array());
    json_object_object_add(fresh, "what", json_object_new_array());
    json_object_array_add(recipients, fresh);
    return fresh;
}

static void add_leaving(void *arg, const char *instance, int stage, const char *recipient)
{
    struct asking *asking = arg;
    struct json_object *one = recipient_object(asking->recipients, recipient);
    add_once(cm_json_array(one, "instances"), instance);
    add_once(cm_json_array(one, "what"), cm_what_leaves(stage));
}

/* Of a job those whom it may ask; else all that are configured. */
static void find_recipients(struct asking *asking)
{
    const struct cm_config *config = asking->daemon->config;
    asking->recipients = json_object_new_array();
    if (*asking->job) {
        cm_engine_leaving(asking->daemon->engine, asking->job, add_leaving, asking);
        return;
    }
    for (size_t i = 0; i < config->use_count; i++) {
        const struct cm_plugin_use *use = &config->uses[i];
        if (use->recipient && *use->recipient) {
            add_leaving(asking, use->name, use->stage, use->recipient);
        }
    }
}

/* ---- The answer ------------------------------------------------------------------------------ */

static struct json_object *answer_of(const struct asking *asking)
{
    struct json_object *answer = json_object_new_object();
    size_t count = json_object_array_length(asking->recipients), missing = 0;
    for (size_t i = 0; i < count; i++) {
        struct json_object *one = json_object_array_get_idx(asking->recipients, i);
        int64_t given_ms =
            cm_consents_given(asking->daemon->consents, asking->owner, cm_json_text(one, "recipient", ""));
        json_object_object_add(one, "given_ms", json_object_new_int64(given_ms));
        missing += given_ms == 0;
    }
    json_object_object_add(answer, "owner", json_object_new_string(asking->owner));
    json_object_object_add(answer, "recipients", json_object_get(asking->recipients));
    json_object_object_add(answer, "missing", json_object_new_int64((int64_t)missing));
    return answer;
}

static void on_read(void *arg, const char *error)
{
    struct asking *asking = arg;
    struct cm_client *client = cm_clients_find(asking->daemon->clients, asking->client);
    if (client && error) {
        cm_client_refuse(client, EX_TEMPFAIL, cm_format(_("the store does not answer: %s"), error));
    } else if (client) {
        cm_client_answer(client, answer_of(asking));
    }
    json_object_put(asking->recipients);
    free(asking->owner);
    free(asking->job);
    free(asking);
}

static void give(const struct asking *asking)
{
    size_t count = json_object_array_length(asking->recipients);
    const char **names = cm_alloc((count + 1) * sizeof *names);
    for (size_t i = 0; i < count; i++) {
        names[i] = cm_json_text(json_object_array_get_idx(asking->recipients, i), "recipient", "");
    }
    cm_consents_give(asking->daemon->consents, asking->owner, names, count);
    free(names);
}

void cm_command_consent(struct cm_client *client)
{
    struct json_object *request = cm_client_request(client);
    const char *what = cm_json_text(request, "change", ""), *owner = cm_json_text(request, "owner", "");
    int gives = !strcmp(what, "give"), withdraws = !strcmp(what, "withdraw");
    if (*what && !gives && !withdraws) {
        cm_client_refuse(client, EX_USAGE, cm_format(_("change: must be give or withdraw, not \"%.40s\""), what));
        return;
    }
    struct asking *asking = cm_alloc(sizeof *asking);
    *asking = (struct asking){
        .daemon = cm_client_daemon(client),
        .client = cm_client_number(client),
        .owner = cm_strdup(*owner ? owner : "default"),
        .job = cm_strdup(cm_json_text(request, "job", "")),
    };
    find_recipients(asking);
    if (gives) {
        give(asking);
    } else if (withdraws) {
        cm_consents_withdraw(asking->daemon->consents, asking->owner);
        cm_daemon_pump_soon(asking->daemon);
    }
    cm_consents_read(asking->daemon->consents, on_read, asking);
}
