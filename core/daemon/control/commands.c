/*
 * The table of requests.
 */
#include "core/daemon/control/commands.h"

#include <json-c/json.h>
#include <string.h>
#include <sysexits.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/daemon/control/change.h"
#include "core/daemon/control/client.h"
#include "core/daemon/control/consent.h"
#include "core/daemon/control/costs.h"
#include "core/daemon/control/look.h"
#include "core/daemon/control/status.h"
#include "core/daemon/control/submit.h"
#include "core/daemon/control/targets.h"
#include "core/daemon/daemon.h"

static const struct {
    const char *name;
    void (*run)(struct cm_client *client);
    int needs_store;
} commands[] = {
    {"submit", cm_command_submit, 1}, {"publish", cm_command_publish, 1}, {"targets", cm_targets_list, 0},
    {"check", cm_targets_check, 1},   {"jobs", cm_command_jobs, 1},       {"show", cm_command_show, 1},
    {"watch", cm_command_watch, 1},   {"why", cm_command_why, 1},         {"cancel", cm_command_cancel, 1},
    {"retry", cm_command_retry, 1},   {"rm", cm_command_rm, 1},           {"resolve", cm_command_resolve, 1},
    {"status", cm_command_status, 0}, {"fsck", cm_command_fsck, 1},       {"reload", cm_command_reload, 0},
    {"costs", cm_command_costs, 1},   {"consent", cm_command_consent, 1},
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
