/*
 * targets: where clips can go, what each takes, and whether it works.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/ctl/client.h"
#include "core/ctl/ctl.h"
#include "core/ctl/grid.h"

/* The field as `show` writes it; "any" for 0. malloc'd. */
static char *limit_text(struct json_object *target, const char *field, char *(*show)(int64_t value))
{
    int64_t limit = cm_json_int(target, field, 0);
    return limit > 0 ? show(limit) : cm_strdup(_("any"));
}

static char *show_chars(int64_t chars)
{
    return cm_format("%lld", (long long)chars);
}

static void print_targets(struct json_object *targets)
{
    struct cm_grid grid = {.columns = 7};
    cm_grid_add(&grid, (const char *[]){_("TARGET"), _("PLUGIN"), _("ACCOUNT"), _("CLIPS UP TO"), _("LENGTH"),
                                        _("CHARACTERS"), _("PLATFORM")});
    for (size_t i = 0; targets && i < json_object_array_length(targets); i++) {
        struct json_object *one = json_object_array_get_idx(targets, i);
        char *bytes = limit_text(one, "max_clip_bytes", cm_show_size);
        char *length = limit_text(one, "max_clip_ms", cm_show_duration);
        char *chars = limit_text(one, "max_text_chars", show_chars);
        cm_grid_add(&grid, (const char *[]){cm_json_text(one, "name", ""), cm_json_text(one, "plugin", ""),
                                            cm_json_text(one, "account", ""), bytes, length, chars,
                                            cm_words(cm_json_text(one, "platform", ""))});
        free(chars);
        free(length);
        free(bytes);
    }
    cm_grid_print(&grid);
}

static int list(const struct cm_where *where, int json)
{
    int status = 0;
    struct json_object *answer = cm_client_once(where, cm_client_request("targets"), &status);
    if (!answer) {
        return status;
    }
    if (json) {
        status = cm_ctl_print_json(cm_json_array(answer, "targets"));
    } else {
        print_targets(cm_json_array(answer, "targets"));
        status = cm_ctl_finish(0);
    }
    json_object_put(answer);
    return status;
}

/* Whether one of them works; adds what it said to `said`. The exit status. */
static int check(const struct cm_where *where, const char *target, struct json_object *said)
{
    int status = 0;
    struct json_object *request = cm_client_request("check");
    json_object_object_add(request, "target", json_object_new_string(target));
    struct json_object *answer = cm_client_once(where, request, &status);
    if (!answer) {
        return status;
    }
    json_object_object_del(answer, "ok");
    json_object_array_add(said, answer);
    if (!strcmp(cm_json_text(answer, "verdict", ""), "ok")) {
        return 0;
    }
    const char *words = cm_json_text(answer, "words", "");
    return cm_ctl_fail(cm_ctl_status_of_reason(cm_json_text(answer, "reason", "")), "%s: %s", target,
                       *words ? words : cm_json_text(answer, "verdict", ""));
}

static int check_all(const struct cm_where *where, const struct cm_texts *targets, int json)
{
    struct json_object *said = json_object_new_array();
    int status = 0;
    for (size_t i = 0; i < targets->count; i++) {
        int one = check(where, targets->items[i], said);
        if (one == 0 && !json) {
            printf(_("%s works\n"), targets->items[i]);
        }
        status = status ? status : one;
    }
    if (json) {
        int printed = cm_ctl_print_json(said);
        status = status ? status : printed;
    }
    json_object_put(said);
    return cm_ctl_finish(status);
}

int cm_ctl_targets(const struct cm_command *self, int argc, char **argv)
{
    struct cm_where where = {0};
    struct cm_texts checked = {0};
    int json = 0, first = 0, status = 0;
    const struct cm_flag flags[] = {
        {0, "check", "NAME", N_("ask this one whether it works; may be given several times"), NULL, NULL, &checked},
        {'j', "json", NULL, N_("print JSON"), &json, NULL, NULL},
        CM_WHERE_FLAGS(where),
        CM_FLAG_END,
    };
    if (cm_ctl_parse(self, flags, argc, argv, 0, 0, &first, &status) == CM_PARSED_GO) {
        status = checked.count ? check_all(&where, &checked, json) : list(&where, json);
    }
    free(checked.items);
    return status;
}
