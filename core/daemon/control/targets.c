/*
 * Listing targets, and asking one whether it works.
 */
#include "core/daemon/control/targets.h"

#include <clipmaker/plugin.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "core/common/done.h"
#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/daemon/control/client.h"
#include "core/daemon/control/intake.h"
#include "core/daemon/daemon.h"
#include "core/daemon/notes.h"
#include "core/daemon/run/ask.h"

#define CHECK_DEADLINE_MS 30000

/* One check on its way; the client may be gone when it is done. */
struct checking {
    struct cm_daemon *daemon;
    uint64_t client;
    char *target;
};

/* ---- The list -------------------------------------------------------------------------------- */

static void put_text(struct json_object *object, const char *field, const char *text)
{
    json_object_object_add(object, field, json_object_new_string(text));
}

static void put_number(struct json_object *object, const char *field, int64_t number)
{
    json_object_object_add(object, field, json_object_new_int64(number));
}

/* How it is found out whether a post is out of which nobody heard: the first thing that is tried. */
static const char *settle_of(struct json_object *facts)
{
    long long settle = cm_json_int(facts, "settle", 0);
    return settle & CM_SETTLE_NATIVE_KEY ? "key"
           : settle & CM_SETTLE_PHASES   ? "phases"
           : settle & CM_SETTLE_SEARCH   ? "search"
                                         : "person";
}

static struct json_object *target_object(const struct cm_plugin_use *use)
{
    struct json_object *object = json_object_new_object(), *facts = cm_json_object(use->described, "stage_facts");
    put_text(object, "name", use->name);
    put_text(object, "plugin", use->plugin);
    put_text(object, "platform", cm_json_text(use->described, "summary", ""));
    put_text(object, "account", use->account ? use->account : "");
    put_number(object, "max_clip_bytes", use->max_clip_bytes);
    put_number(object, "max_clip_ms", use->max_clip_ms);
    put_number(object, "max_text_chars", cm_json_int(facts, "max_text_chars", 0));
    put_text(object, "settle", settle_of(facts));
    return object;
}

void cm_targets_list(struct cm_client *client)
{
    const struct cm_config *config = cm_client_daemon(client)->config;
    struct json_object *answer = json_object_new_object(), *targets = json_object_new_array();
    for (size_t i = 0; i < config->use_count; i++) {
        if (config->uses[i].stage == CM_STAGE_PUBLISH) {
            json_object_array_add(targets, target_object(&config->uses[i]));
        }
    }
    json_object_object_add(answer, "targets", targets);
    cm_client_answer(client, answer);
}

/* ---- The check ------------------------------------------------------------------------------- */

static void on_checked(void *arg, const struct cm_done *done, struct json_object *result)
{
    struct checking *checking = arg;
    struct cm_client *client = cm_clients_find(checking->daemon->clients, checking->client);
    (void)result;
    cm_info("check of %s: %s%s%s", checking->target, cm_outcome_name(done->outcome), *done->words ? ": " : "",
            done->words);
    if (client) {
        struct json_object *answer = json_object_new_object();
        put_text(answer, "target", checking->target);
        put_text(answer, "verdict", cm_outcome_name(done->outcome));
        put_text(answer, "reason", cm_reason_name(done->reason));
        put_text(answer, "words", done->words);
        cm_client_answer(client, answer);
    }
    free(checking->target);
    free(checking);
}

/* With what the instance remembers: its tokens may be there. */
static void on_notes(void *arg, struct json_object *saved, struct json_object *recalled, const char *error)
{
    struct checking *checking = arg;
    struct cm_daemon *daemon = checking->daemon;
    struct cm_question question = {daemon->config, checking->target, "check", CHECK_DEADLINE_MS, recalled};
    json_object_put(saved);
    if (error) {
        json_object_put(recalled);
        struct cm_done *done = cm_done_new(CM_AGAIN);
        done->reason = CM_REASON_RESOURCE;
        cm_done_text(&done->words, error);
        on_checked(checking, done, NULL);
        cm_done_free(done);
        return;
    }
    cm_ask(daemon->base, daemon->procs, &question, on_checked, checking);
}

void cm_targets_check(struct cm_client *client)
{
    struct cm_daemon *daemon = cm_client_daemon(client);
    const char *target = cm_json_text(cm_client_request(client), "target", "");
    const struct cm_plugin_use *use = cm_config_use(daemon->config, target);
    if (!use || use->stage != CM_STAGE_PUBLISH) {
        cm_client_refuse(client, EX_USAGE, cm_intake_no_target(daemon->config, target));
        return;
    }
    struct checking *checking = cm_alloc(sizeof *checking);
    *checking = (struct checking){daemon, cm_client_number(client), cm_strdup(target)};
    cm_notes_gather(daemon->notes, NULL, target, on_notes, checking);
}
