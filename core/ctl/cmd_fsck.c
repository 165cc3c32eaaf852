/*
 * clipmaker fsck: asks the running clipmakerd; where none runs, looks into the state folder itself,
 * such as DIR/.clipmaker/KEY of a run.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/ctl/client.h"
#include "core/ctl/ctl.h"
#include "core/daemon/store.h"

static void add_line(void *arg, const char *line)
{
    json_object_array_add(arg, json_object_new_string(line));
}

/* Nothing is written here, so nothing is applied. */
static void no_word(void *arg, uint64_t set, enum cm_applied how, const char *words)
{
    (void)arg;
    (void)set;
    (void)how;
    (void)words;
}

/* What is wrong, as an array of lines; NULL after a line on stderr, with *status. */
static struct json_object *look_myself(const char *state, const char *store, int thorough, int *status)
{
    char *url = cm_format("sqlite:%s", store), *error = NULL;
    struct cm_store *opened = cm_store_open(url, no_word, NULL, &error);
    free(url);
    if (!opened) {
        *status = cm_ctl_fail(EX_TEMPFAIL, "%s", error);
        free(error);
        return NULL;
    }
    struct json_object *found = json_object_new_array();
    long count = thorough ? cm_store_check_thorough(opened, state, add_line, found)
                          : cm_store_check(opened, state, add_line, found);
    cm_store_close(opened);
    if (count < 0) {
        *status = cm_ctl_fail(EX_TEMPFAIL, _("%s: cannot be read; check the disk"), store);
        json_object_put(found);
        return NULL;
    }
    return found;
}

static struct json_object *ask_daemon(const struct cm_where *where, int *status)
{
    struct json_object *answer = cm_client_once(where, cm_client_request("fsck"), status);
    struct json_object *found = answer ? json_object_get(cm_json_array(answer, "found")) : NULL;
    json_object_put(answer);
    return found;
}

/* A socket that nobody serves is left behind when a daemon is killed. */
static struct json_object *find_wrongs(const struct cm_where *where, int thorough, int *status)
{
    char *state = where->state ? cm_path_absolute(where->state) : cm_place(CM_PLACE_STATE);
    char *store = cm_path_join(state, "store.sqlite");
    int offline = !where->socket && cm_file_bytes(store) >= 0 && !cm_client_answers(where);
    struct json_object *found = offline ? look_myself(state, store, thorough, status) : ask_daemon(where, status);
    free(store);
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
