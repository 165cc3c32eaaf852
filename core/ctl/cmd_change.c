/*
 * The commands that change something: submit, cancel, retry, rm, resolve.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/ctl/client.h"
#include "core/ctl/ctl.h"
#include "core/ctl/order.h"
#include "core/ctl/when.h"

static void add_text(struct json_object *request, const char *field, const char *text)
{
    json_object_object_add(request, field, json_object_new_string(text));
}

/* Asks, and prints the answer as JSON when that is wanted. 0, or the exit status. */
static int change(const struct cm_where *where, struct json_object *request, int json)
{
    int status = 0;
    struct json_object *answer = cm_client_once(where, request, &status);
    if (answer && json) {
        json_object_object_del(answer, "ok");
        status = cm_ctl_print_json(answer);
    }
    json_object_put(answer);
    return answer ? status : status ? status : EX_TEMPFAIL;
}

/* ---- submit -------------------------------------------------------------------------------- */

struct submitted {
    struct cm_where where;
    struct cm_asked asked;
    const char *owner, *priority, *request_key, *at;
    struct cm_texts targets;
    int json;
};

static int add_time(struct json_object *params, const char *at)
{
    int64_t at_ms = 0;
    char *error = NULL;
    if (at && cm_when_parse(at, cm_utc_ms(), &at_ms, &error)) {
        int status = cm_ctl_fail(EX_USAGE, "--at: %s", error);
        free(error);
        return status;
    }
    if (at) {
        json_object_object_add(params, "publish_at_ms", json_object_new_int64(at_ms));
    }
    return 0;
}

static int fill_submit(struct submitted *submitted, const char *given, struct json_object *request)
{
    struct json_object *params = NULL;
    char *source = NULL;
    int is_url = 0, status = cm_order_params(&submitted->asked, &params);
    status = status ? status : cm_order_source(given, &source, &is_url);
    status = status ? status : cm_order_priority(request, submitted->priority);
    if (status == 0 && submitted->targets.count > 0) {
        struct json_object *targets = json_object_new_array();
        for (size_t i = 0; i < submitted->targets.count; i++) {
            json_object_array_add(targets, json_object_new_string(submitted->targets.items[i]));
        }
        json_object_object_add(params, "targets", targets);
    }
    status = status ? status : add_time(params, submitted->at);
    if (status == 0) {
        add_text(request, "source", source);
        add_text(request, "owner", submitted->owner);
        add_text(request, "request_key", submitted->request_key);
        add_text(request, "pipeline", submitted->asked.pipeline ? submitted->asked.pipeline : "");
        json_object_object_add(request, "params", json_object_get(params));
    }
    json_object_put(params);
    free(source);
    return status;
}

static int send_submit(struct submitted *submitted, struct json_object *request)
{
    int status = 0;
    struct json_object *answer = cm_client_once(&submitted->where, request, &status);
    if (!answer) {
        return status;
    }
    if (submitted->json) {
        json_object_object_del(answer, "ok");
        status = cm_ctl_print_json(answer);
    } else {
        puts(cm_json_text(answer, "job", ""));
        status = cm_ctl_finish(0);
    }
    json_object_put(answer);
    return status;
}

int cm_ctl_submit(const struct cm_command *self, int argc, char **argv)
{
    struct submitted submitted = {.owner = "", .request_key = ""};
    const struct cm_flag flags[] = {
        CM_ASKED_FLAGS(submitted.asked),
        {'t', "target", "NAME", N_("publish there; may be given several times"), NULL, NULL, &submitted.targets},
        {'a', "at", "TIME", N_("publish not before \"2026-12-01 18:00\", \"tomorrow 10:00\", \"18:00\", \"+2h\""), NULL,
         &submitted.at, NULL},
        {0, "owner", "NAME", N_("whose job it is"), NULL, &submitted.owner, NULL},
        {0, "priority", "N", N_("-100 to 100, higher sooner"), NULL, &submitted.priority, NULL},
        {0, "request-key", "KEY", N_("the same key again gives the same job, never a second one"), NULL,
         &submitted.request_key, NULL},
        {'j', "json", NULL, N_("print JSON"), &submitted.json, NULL, NULL},
        CM_WHERE_FLAGS(submitted.where),
        CM_FLAG_END,
    };
    int first = 0, status = 0;
    if (cm_ctl_parse(self, flags, argc, argv, 1, 1, &first, &status) == CM_PARSED_GO) {
        struct json_object *request = cm_client_request("submit");
        status = fill_submit(&submitted, argv[first], request);
        if (status == 0) {
            status = send_submit(&submitted, json_object_get(request));
        }
        json_object_put(request);
    }
    free(submitted.asked.formats.items);
    free(submitted.targets.items);
    return status;
}

/* ---- cancel, retry, rm, resolve ------------------------------------------------------------ */

static enum cm_parsed parse(const struct cm_command *self, int argc, char **argv, int least, int most,
                            struct cm_where *where, int *json, int *first, int *status)
{
    const struct cm_flag flags[] = {
        {'j', "json", NULL, N_("print JSON"), json, NULL, NULL},
        CM_WHERE_FLAGS(*where),
        CM_FLAG_END,
    };
    return cm_ctl_parse(self, flags, argc, argv, least, most, first, status);
}

int cm_ctl_cancel(const struct cm_command *self, int argc, char **argv)
{
    struct cm_where where = {0};
    int json = 0, first = 0, status = 0;
    if (parse(self, argc, argv, 1, 1, &where, &json, &first, &status) == CM_PARSED_STOP) {
        return status;
    }
    struct json_object *request = cm_client_request("cancel");
    add_text(request, "job", argv[first]);
    return change(&where, request, json);
}

int cm_ctl_retry(const struct cm_command *self, int argc, char **argv)
{
    struct cm_where where = {0};
    int json = 0, first = 0, status = 0;
    if (parse(self, argc, argv, 1, 3, &where, &json, &first, &status) == CM_PARSED_STOP) {
        return status;
    }
    struct json_object *request = cm_client_request("retry");
    add_text(request, "job", argv[first]);
    add_text(request, "step", argc > first + 1 ? argv[first + 1] : "");
    add_text(request, "item", argc > first + 2 ? argv[first + 2] : "");
    return change(&where, request, json);
}

int cm_ctl_rm(const struct cm_command *self, int argc, char **argv)
{
    struct cm_where where = {0};
    int json = 0, first = 0, status = 0;
    if (parse(self, argc, argv, 1, 1000, &where, &json, &first, &status) == CM_PARSED_STOP) {
        return status;
    }
    for (int i = first; i < argc; i++) {
        struct json_object *request = cm_client_request("rm");
        add_text(request, "job", argv[i]);
        int one = change(&where, request, json);
        status = status ? status : one;
    }
    return status;
}

int cm_ctl_resolve(const struct cm_command *self, int argc, char **argv)
{
    struct cm_where where = {0};
    const char *live = NULL;
    int json = 0, absent = 0, first = 0, status = 0;
    const struct cm_flag flags[] = {
        {'l', "live", "URL", N_("it is live, at this address"), NULL, &live, NULL},
        {'a', "absent", NULL, N_("it is surely not out: post it again"), &absent, NULL, NULL},
        {'j', "json", NULL, N_("print JSON"), &json, NULL, NULL},
        CM_WHERE_FLAGS(where),
        CM_FLAG_END,
    };
    if (cm_ctl_parse(self, flags, argc, argv, 1, 2, &first, &status) == CM_PARSED_STOP) {
        return status;
    }
    const char *word = argc > first + 1 ? argv[first + 1] : NULL; /* as it was said before there were flags */
    absent = absent || (word && !strcmp(word, "absent"));
    live = live ? live : word && strcmp(word, "absent") ? word : NULL;
    if (!live == !absent) {
        return cm_ctl_fail(EX_USAGE, _("%s: say either --live URL or --absent"), argv[first]);
    }
    if (live && !strstr(live, "://")) {
        return cm_ctl_fail(EX_USAGE, _("%s: must be the post's address, https://…"), live);
    }
    struct json_object *request = cm_client_request("resolve");
    add_text(request, "effect", argv[first]);
    json_object_object_add(request, "url", absent ? NULL : json_object_new_string(live));
    return change(&where, request, json);
}
