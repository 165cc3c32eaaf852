/*
 * Sums over the calls that cost money, as the control protocol tells them.
 */
#include "core/daemon/control/costs.h"
#include "core/daemon/control/client.h"
#include "core/daemon/store/costs.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <sysexits.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/daemon/daemon.h"

/* The client may be gone when the store has answered. */
struct summing {
    struct cm_daemon *daemon;
    uint64_t client;
    struct cm_costs *costs;
};

static void on_call(void *arg, enum cm_table table, const void *row, const char *error)
{
    struct summing *summing = arg;
    (void)table;
    if (row) {
        cm_costs_add(summing->costs, row);
        return;
    }
    struct cm_client *client = cm_clients_find(summing->daemon->clients, summing->client);
    if (client && error) {
        cm_client_refuse(client, EX_TEMPFAIL, cm_format(_("the store does not answer: %s"), error));
    } else if (client) {
        cm_client_answer(client, cm_costs_json(summing->costs));
    }
    cm_costs_free(summing->costs);
    free(summing);
}

void cm_command_costs(struct cm_client *client)
{
    struct json_object *request = cm_client_request(client);
    const char *job = cm_json_text(request, "job", ""), *name = cm_json_text(request, "by", "job");
    enum cm_costs_by by = cm_costs_by_name(name);
    if (!by) {
        cm_client_refuse(client, EX_USAGE,
                         cm_format(_("costs are told by %s, not by \"%.40s\""), CM_COSTS_BY_NAMES, name));
        return;
    }
    struct summing *summing = cm_alloc(sizeof *summing);
    *summing = (struct summing){cm_client_daemon(client), cm_client_number(client),
                                cm_costs_new(by, cm_json_int(request, "since_ms", 0))};
    struct cm_query query = {.table = CM_TABLE_LLM_CALL, .job = *job ? job : NULL};
    cm_store_query(summing->daemon->store, &query, on_call, summing);
}
