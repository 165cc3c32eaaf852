/*
 * publish: one finished clip to one or more targets, now or at a time.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/ctl/client.h"
#include "core/ctl/ctl.h"
#include "core/ctl/order.h"
#include "core/ctl/when.h"

struct publishing {
    struct cm_where where;
    struct cm_texts targets;
    const char *at, *title, *text, *owner, *priority, *strategy;
    int again, wait, json;
    char *clip; /* "JOB/RANK", or an absolute path */
    int64_t at_ms;
};

static void add_text(struct json_object *request, const char *field, const char *text)
{
    json_object_object_add(request, field, json_object_new_string(text));
}

/* A file, when it is one; else the name of a job's clip. 0, or the exit status. */
static int take_clip(struct publishing *publishing, const char *given)
{
    char *path = cm_path_absolute(given);
    int64_t bytes = cm_file_bytes(path);
    if (*given == '/' || bytes >= 0) {
        publishing->clip = path;
        return bytes > 0 ? 0
               : bytes   ? cm_ctl_fail(EX_NOINPUT, _("%s: no such file; check the name"), given)
                         : cm_ctl_fail(EX_DATAERR, _("%s: is empty; copy or download it again"), given);
    }
    free(path);
    publishing->clip = cm_strdup(given);
    const char *slash = strchr(given, '/');
    return slash && slash > given && slash[1]
               ? 0
               : cm_ctl_fail(EX_USAGE, _("%s: must be JOB/RANK, as `clipmaker show JOB` tells, or a file"), given);
}

static int take_time(struct publishing *publishing)
{
    char *error = NULL;
    if (!publishing->at || cm_when_parse(publishing->at, cm_utc_ms(), &publishing->at_ms, &error) == 0) {
        return 0;
    }
    int status = cm_ctl_fail(EX_USAGE, "--at: %s", error);
    free(error);
    return status;
}

static struct json_object *request_for(const struct publishing *publishing, const char *target)
{
    struct json_object *request = cm_client_request("publish");
    add_text(request, "clip", publishing->clip);
    add_text(request, "target", target);
    add_text(request, "title", publishing->title);
    add_text(request, "text", publishing->text);
    add_text(request, "owner", publishing->owner);
    add_text(request, "strategy", publishing->strategy);
    json_object_object_add(request, "at_ms", json_object_new_int64(publishing->at_ms));
    json_object_object_add(request, "again", json_object_new_boolean(publishing->again));
    return request;
}

/* Asks for one post. 0, or the exit status. */
static int order_one(const struct publishing *publishing, const char *target, struct json_object *made)
{
    struct json_object *request = request_for(publishing, target);
    int status = cm_order_priority(request, publishing->priority);
    if (status) {
        json_object_put(request);
        return status;
    }
    struct json_object *answer = cm_client_once(&publishing->where, request, &status);
    if (!answer) {
        return status ? status : EX_TEMPFAIL;
    }
    json_object_object_del(answer, "ok");
    add_text(answer, "target", target);
    json_object_object_add(answer, "publish_at_ms", json_object_new_int64(publishing->at_ms));
    json_object_array_add(made, answer);
    return 0;
}

static void say_when(const struct publishing *publishing, struct json_object *one)
{
    char *when = cm_show_time(publishing->at_ms);
    if (cm_json_flag(one, "existing", 0)) {
        cm_ctl_note(_("%s has this post already; nothing new was made"), cm_json_text(one, "job", ""));
    } else if (publishing->at_ms) {
        cm_ctl_note(_("it will be published to %s at %s"), cm_json_text(one, "target", ""), when);
    }
    free(when);
}

static int follow_all(const struct publishing *publishing, struct json_object *made)
{
    int status = 0;
    for (size_t i = 0; i < json_object_array_length(made); i++) {
        struct json_object *one = json_object_array_get_idx(made, i);
        int ended = cm_ctl_follow(&publishing->where, cm_json_text(one, "job", ""), publishing->json);
        status = status ? status : ended;
    }
    return status;
}

static int carry_out(const struct publishing *publishing)
{
    struct json_object *made = json_object_new_array();
    int status = 0;
    for (size_t i = 0; i < publishing->targets.count; i++) {
        int one = order_one(publishing, publishing->targets.items[i], made);
        status = status ? status : one;
    }
    for (size_t i = 0; !publishing->json && i < json_object_array_length(made); i++) {
        struct json_object *one = json_object_array_get_idx(made, i);
        puts(cm_json_text(one, "job", ""));
        say_when(publishing, one);
    }
    if (publishing->wait) {
        int ended = follow_all(publishing, made);
        status = status ? status : ended;
    } else if (publishing->json) {
        int printed = cm_ctl_print_json(made);
        status = status ? status : printed;
    }
    json_object_put(made);
    return cm_ctl_finish(status);
}

int cm_ctl_publish(const struct cm_command *self, int argc, char **argv)
{
    struct publishing publishing = {.title = "", .text = "", .owner = "", .strategy = ""};
    const struct cm_flag flags[] = {
        {'t', "to", "NAME", N_("publish there; may be given several times"), NULL, NULL, &publishing.targets},
        {'a', "at", "TIME", N_("not before \"2026-12-01 18:00\", \"tomorrow 10:00\", \"18:00\", \"+2h\""), NULL,
         &publishing.at, NULL},
        {0, "title", "TEXT", N_("another title"), NULL, &publishing.title, NULL},
        {0, "text", "TEXT", N_("another text of the post"), NULL, &publishing.text, NULL},
        {0, "again", NULL, N_("a second post of a clip that this target has or had"), &publishing.again, NULL, NULL},
        {0, "owner", "NAME", N_("whose job it is; without it whose the clip is"), NULL, &publishing.owner, NULL},
        {0, "priority", "N", N_("-100 to 100, higher sooner"), NULL, &publishing.priority, NULL},
        {0, "strategy", "ru|global", N_("where its data may go; without it as for the job that made it"), NULL,
         &publishing.strategy, NULL},
        {'w', "wait", NULL, N_("follow it until it is out"), &publishing.wait, NULL, NULL},
        {'j', "json", NULL, N_("print JSON"), &publishing.json, NULL, NULL},
        CM_WHERE_FLAGS(publishing.where),
        CM_FLAG_END,
    };
    int first = 0, status = 0;
    if (cm_ctl_parse(self, flags, argc, argv, 1, 1, &first, &status) == CM_PARSED_GO) {
        status = publishing.targets.count
                     ? take_clip(&publishing, argv[first])
                     : cm_ctl_fail(EX_USAGE, _("say where it goes: --to NAME; `clipmaker targets` lists them"));
        status = status ? status : take_time(&publishing);
        status = status ? status : carry_out(&publishing);
    }
    free(publishing.targets.items);
    free(publishing.clip);
    return status;
}
