/*
 * A paid call whose cost is told by a later attempt.
 */
#include "core/daemon/run/late_call.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/daemon/daemon.h"
#include "core/daemon/run/calls.h"

struct search {
    struct cm_daemon *daemon;
    struct json_object *message;
    struct cm_llm_call_row *found; /* the newest that asked the same */
};

/* Its attempt is over and nobody else writes it, so that no guard is needed. */
static void put_right(const struct search *search)
{
    const struct cm_plugin_use *use = cm_config_use(search->daemon->config, search->found->instance);
    struct cm_change_set *set = cm_daemon_own_set(search->daemon);
    cm_call_settle(search->found, use ? use->prices : NULL, search->message);
    cm_change_put(set, CM_TABLE_LLM_CALL, search->found);
    cm_daemon_hand_over(search->daemon, &set, 1);
}

static void on_row(void *arg, enum cm_table table, const void *row, const char *error)
{
    struct search *search = arg;
    const struct cm_llm_call_row *call = row;
    if (call) {
        int newer = !search->found || call->sent_ms >= search->found->sent_ms;
        if (newer && cm_call_may_be_answered(call, cm_json_text(search->message, "call", ""))) {
            if (search->found) {
                cm_row_free(table, search->found);
            }
            search->found = cm_row_copy(table, row);
        }
        return;
    }
    if (error) {
        cm_warn("what a call cost could not be noted: %s", error);
    } else if (search->found && search->found->estimated) {
        put_right(search);
    }
    if (search->found) {
        cm_row_free(CM_TABLE_LLM_CALL, search->found);
    }
    json_object_put(search->message);
    free(search);
}

void cm_late_call_spent(struct cm_daemon *daemon, const struct cm_start *start, struct json_object *message)
{
    struct search *search = cm_alloc(sizeof *search);
    *search = (struct search){daemon, json_object_get(message), NULL};
    struct cm_query query = {.table = CM_TABLE_LLM_CALL, .job = start->job};
    cm_store_query(daemon->store, &query, on_row, search);
}
