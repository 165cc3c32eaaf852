/*
 * clipmaker consent: what leaves the country and to whom, and an owner's word on it.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/ctl/client.h"
#include "core/ctl/ctl.h"
#include "core/ctl/grid.h"

/* "a, b" of a list of texts; malloc'd. */
static char *joined(struct json_object *list)
{
    struct cm_text text = {0};
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        cm_text_addf(&text, "%s%s", i ? ", " : "", json_object_get_string(json_object_array_get_idx(list, i)));
    }
    return cm_text_take(&text);
}

static void print_recipients(struct json_object *recipients)
{
    size_t count = recipients ? json_object_array_length(recipients) : 0;
    struct cm_grid grid = {.columns = 4};
    if (count == 0) {
        puts(_("nothing leaves Russia: no instance sends data abroad"));
        return;
    }
    cm_grid_add(&grid, (const char *[]){_("RECIPIENT"), _("WHAT IT GETS"), _("INSTANCES"), _("CONSENT")});
    for (size_t i = 0; i < count; i++) {
        struct json_object *one = json_object_array_get_idx(recipients, i);
        char *what = joined(cm_json_array(one, "what")), *instances = joined(cm_json_array(one, "instances"));
        char *given = cm_show_time(cm_json_int(one, "given_ms", 0));
        cm_grid_add(&grid,
                    (const char *[]){cm_json_text(one, "recipient", ""), what, instances, *given ? given : _("no")});
        free(what);
        free(instances);
        free(given);
    }
    cm_grid_print(&grid);
}

int cm_ctl_consent(const struct cm_command *self, int argc, char **argv)
{
    struct cm_where where = {0};
    const char *owner = "";
    int json = 0, give = 0, withdraw = 0, first = 0, status = 0;
    const struct cm_flag flags[] = {
        {0, "owner", "NAME", N_("whose jobs it is about; without it default"), NULL, &owner, NULL},
        {0, "give", NULL, N_("consent to all that is listed; jobs that wait for it go on"), &give, NULL, NULL},
        {0, "withdraw", NULL, N_("take it back, for all that has not begun"), &withdraw, NULL, NULL},
        {'j', "json", NULL, N_("print JSON"), &json, NULL, NULL},
        CM_WHERE_FLAGS(where),
        CM_FLAG_END,
    };
    if (cm_ctl_parse(self, flags, argc, argv, 0, 0, &first, &status) == CM_PARSED_STOP) {
        return status;
    }
    if (give && withdraw) {
        return cm_ctl_fail(EX_USAGE, _("--give and --withdraw exclude each other"));
    }
    struct json_object *request = cm_client_request("consent");
    json_object_object_add(request, "owner", json_object_new_string(owner));
    json_object_object_add(request, "change", json_object_new_string(give ? "give" : withdraw ? "withdraw" : ""));
    struct json_object *answer = cm_client_once(&where, request, &status);
    if (!answer) {
        return status;
    }
    json_object_object_del(answer, "ok");
    if (json) {
        status = cm_ctl_print_json(answer);
    } else {
        print_recipients(cm_json_array(answer, "recipients"));
        status = cm_ctl_finish(0);
    }
    json_object_put(answer);
    return status;
}
