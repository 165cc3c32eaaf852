/*
 * clipmaker fsck: asks the running clipmakerd; where none runs, looks into the state folder itself,
 * such as DIR/.clipmaker/KEY of a run.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/ctl/client.h"
#include "core/ctl/ctl.h"
#include "core/ctl/offline.h"

static struct json_object *ask_daemon(const struct cm_where *where, int *status)
{
    struct json_object *answer = cm_client_once(where, cm_client_request("fsck"), status);
    struct json_object *found = answer ? json_object_get(cm_json_array(answer, "found")) : NULL;
    json_object_put(answer);
    return found;
}

static struct json_object *find_wrongs(const struct cm_where *where, int thorough, int *status)
{
    char *state = cm_offline_state(where);
    struct json_object *found = state ? cm_offline_fsck(state, thorough, status) : ask_daemon(where, status);
    free(state);
    return found;
}

int cm_ctl_fsck(const struct cm_command *self, int argc, char **argv)
{
    struct cm_where where = {0};
    int json = 0, thorough = 0, first = 0, status = 0;
    const struct cm_flag flags[] = {
        {'j', "json", NULL, N_("print JSON"), &json, NULL, NULL},
        {0, "thorough", NULL, N_("read every file too, where no clipmakerd runs"), &thorough, NULL, NULL},
        CM_WHERE_FLAGS(where),
        CM_FLAG_END,
    };
    if (cm_ctl_parse(self, flags, argc, argv, 0, 0, &first, &status) == CM_PARSED_STOP) {
        return status;
    }
    struct json_object *found = find_wrongs(&where, thorough, &status);
    if (!found) {
        return status;
    }
    size_t count = json_object_array_length(found);
    for (size_t i = 0; i < count && !json; i++) {
        puts(json_object_get_string(json_object_array_get_idx(found, i)));
    }
    if (count == 0 && !json) {
        puts(_("nothing wrong found"));
    }
    status = json ? cm_ctl_print_json(found) : cm_ctl_finish(0);
    json_object_put(found);
    return status ? status : count > 0 ? EX_DATAERR : 0;
}
