/*
 * The commands that look: jobs, show, watch, why, status.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/ctl/client.h"
#include "core/ctl/ctl.h"
#include "core/ctl/grid.h"
#include "core/ctl/money.h"
#include "core/ctl/offline.h"
#include "core/ctl/progress.h"
#include "core/ctl/report.h"

#define WATCH_POLL_MS 60000

/* What every one of these commands is told by flags. */
struct looked {
    struct cm_where where;
    int json, first;
};

/* The usual flags and one or more of the command's own. */
static enum cm_parsed parse(const struct cm_command *self, int argc, char **argv, int least, int most,
                            struct looked *looked, const struct cm_flag *own, int *status)
{
    struct cm_flag flags[8] = {
        {'j', "json", NULL, N_("print JSON"), &looked->json, NULL, NULL},
        CM_WHERE_FLAGS(looked->where),
    };
    size_t count = 3;
    for (; own && own->name; own++) {
        flags[count++] = *own;
    }
    flags[count] = (struct cm_flag)CM_FLAG_END;
    return cm_ctl_parse(self, flags, argc, argv, least, most, &looked->first, status);
}

static char *state_text(struct json_object *job)
{
    const char *state = cm_state_words(cm_json_text(job, "state", ""));
    long long due_ms = cm_json_int(job, "publish_at_ms", 0);
    if (cm_json_flag(job, "held", 0) || !due_ms) {
        return cm_json_flag(job, "held", 0) ? cm_format("%s, %s", state, cm_state_words("held")) : cm_strdup(state);
    }
    char *due = cm_show_time(due_ms), *text = cm_format(_("due at %s"), due);
    free(due);
    return text;
}

/* ---- jobs ---------------------------------------------------------------------------------- */

static void print_jobs(struct json_object *jobs)
{
    struct cm_grid grid = {.columns = 6};
    cm_grid_add(&grid, (const char *[]){_("JOB"), _("STATE"), _("DONE"), _("OWNER"), _("CREATED"), _("SOURCE")});
    for (size_t i = 0; jobs && i < json_object_array_length(jobs); i++) {
        struct json_object *job = json_object_array_get_idx(jobs, i);
        char *state = state_text(job), *created = cm_show_time(cm_json_int(job, "created_ms", 0));
        double progress = cm_json_real(job, "progress", -1); /* an offline job has none */
        char *done = progress < 0 ? cm_strdup("") : cm_format("%3.0f%%", progress * 100);
        cm_grid_add(&grid, (const char *[]){cm_json_text(job, "id", ""), state, done, cm_json_text(job, "owner", ""),
                                            created, cm_json_text(job, "source", "")});
        free(done);
        free(created);
        free(state);
    }
    cm_grid_print(&grid);
}

static struct json_object *ask_jobs(const struct cm_where *where, const char *owner, long long limit, int *status)
{
    char *state = cm_offline_state(where);
    if (state) {
        struct json_object *answer = cm_offline_jobs(state, owner, limit, status);
        free(state);
        return answer;
    }
    struct json_object *request = cm_client_request("jobs");
    json_object_object_add(request, "limit", json_object_new_int64(limit));
    if (owner) {
        json_object_object_add(request, "owner", json_object_new_string(owner));
    }
    return cm_client_once(where, request, status);
}

int cm_ctl_jobs(const struct cm_command *self, int argc, char **argv)
{
    struct looked looked = {0};
    const char *owner = NULL, *limit = "50";
    const struct cm_flag own[] = {
        {0, "owner", "NAME", N_("only this owner's"), NULL, &owner, NULL},
        {'n', "limit", "N", N_("the newest N; without it 50"), NULL, &limit, NULL},
        CM_FLAG_END,
    };
    int status = 0;
    if (parse(self, argc, argv, 0, 0, &looked, own, &status) == CM_PARSED_STOP) {
        return status;
    }
    int64_t count = 0;
    char *error = NULL;
    if (cm_parse_int(limit, &count, &error) || count < 1) {
        free(error);
        return cm_ctl_fail(EX_USAGE, _("--limit %s: must be a number from 1"), limit);
    }
    struct json_object *answer = ask_jobs(&looked.where, owner, count, &status);
    if (!answer) {
        return status;
    }
    struct json_object *jobs = cm_json_array(answer, "jobs");
    if (looked.json) {
        status = cm_ctl_print_json(jobs);
    } else {
        print_jobs(jobs);
        status = cm_ctl_finish(0);
    }
    json_object_put(answer);
    return status;
}

/* ---- show ---------------------------------------------------------------------------------- */

static void print_steps(struct json_object *job)
{
    struct json_object *steps = cm_json_array(job, "steps");
    for (size_t i = 0; steps && i < json_object_array_length(steps); i++) {
        char *bar = cm_progress_bar(json_object_array_get_idx(steps, i), 78, -1);
        printf("  %s\n", bar);
        free(bar);
    }
}

/* Rows in the order in which a job goes through its steps; those of no step (posts) stay as they came. */
static struct json_object *in_order(struct json_object *rows, struct json_object *steps)
{
    struct json_object *ordered = json_object_new_array();
    size_t count = rows ? json_object_array_length(rows) : 0, step_count = steps ? json_object_array_length(steps) : 0;
    for (size_t step = 0; step <= step_count; step++) {
        const char *name = step < step_count ? cm_json_text(json_object_array_get_idx(steps, step), "step", "")
                                             : ""; /* the rest, which names none */
        for (size_t i = 0; i < count; i++) {
            struct json_object *row = json_object_array_get_idx(rows, i);
            if (strcmp(cm_json_text(row, "step", ""), name) == 0) {
                json_object_array_add(ordered, json_object_get(row));
            }
        }
    }
    return ordered;
}

/* One column of a table: the field of a row's object and what stands above it. */
struct field {
    const char *name, *heading;
};

/* Absent fields are empty. `fields` ends with a NULL name. */
static void print_rows(const char *heading, struct json_object *rows, struct json_object *steps,
                       const struct field *fields)
{
    if (!rows || json_object_array_length(rows) == 0) {
        return;
    }
    struct json_object *ordered = in_order(rows, steps);
    struct cm_grid grid = {0};
    const char *cells[CM_GRID_COLUMNS];
    for (; grid.columns < CM_GRID_COLUMNS && fields[grid.columns].name; grid.columns++) {
        cells[grid.columns] = _(fields[grid.columns].heading);
    }
    printf("\n%s\n", heading);
    cm_grid_add(&grid, cells);
    for (size_t i = 0; i < json_object_array_length(ordered); i++) {
        struct json_object *row = json_object_array_get_idx(ordered, i);
        for (size_t column = 0; column < grid.columns; column++) {
            struct json_object *value = NULL;
            json_object_object_get_ex(row, fields[column].name, &value);
            cells[column] = value ? json_object_get_string(value) : "";
        }
        cm_grid_add(&grid, cells);
    }
    cm_grid_print(&grid);
    json_object_put(ordered);
}

/* The clips under the names by which `publish` takes them. */
static void print_clips(struct json_object *shown)
{
    static const struct field fields[] = {
        {"clip", N_("CLIP")}, {"size", N_("SIZE")}, {"title", N_("TITLE")}, {NULL, NULL}};
    struct json_object *artifacts = cm_json_array(shown, "artifacts"), *clips = json_object_new_array();
    for (size_t i = 0; artifacts && i < json_object_array_length(artifacts); i++) {
        struct json_object *artifact = json_object_array_get_idx(artifacts, i);
        if (!cm_report_is_clip(shown, artifact) || !*cm_json_text(artifact, "item", "")) {
            continue;
        }
        struct json_object *clip = json_object_new_object(), *facts = cm_json_object(artifact, "facts");
        char *name = cm_format("%s/%s", cm_json_text(artifact, "job", ""), cm_json_text(artifact, "item", ""));
        char *size = cm_show_size(cm_json_int(artifact, "bytes", 0));
        json_object_object_add(clip, "clip", json_object_new_string(name));
        json_object_object_add(clip, "size", json_object_new_string(size));
        json_object_object_add(clip, "title", json_object_new_string(cm_json_text(facts, "title", "")));
        json_object_array_add(clips, clip);
        free(size);
        free(name);
    }
    print_rows(_("Clips"), clips, NULL, fields);
    json_object_put(clips);
}

static void print_cost(struct json_object *shown)
{
    struct json_object *costs = cm_json_object(shown, "costs"), *total = costs ? cm_json_object(costs, "total") : NULL;
    char *line = total ? cm_money_line(total) : NULL;
    if (line) {
        puts(line);
    }
    free(line);
}

static void print_shown(struct json_object *shown)
{
    static const struct field task_fields[] = {{"step", N_("STEP")},   {"item", N_("ITEM")}, {"state", N_("STATE")},
                                               {"tries", N_("TRIES")}, {"words", N_("WHY")}, {NULL, NULL}};
    static const struct field attempt_fields[] = {
        {"step", N_("STEP")},   {"item", N_("ITEM")},         {"fence", N_("FENCE")},
        {"instance", N_("BY")}, {"op", N_("CALL")},           {"verdict", N_("VERDICT")},
        {"words", N_("WHY")},   {"skipped", N_("NOT ASKED")}, {NULL, NULL}};
    static const struct field artifact_fields[] = {
        {"role", N_("ROLE")}, {"key", N_("KEY")}, {"bytes", N_("BYTES")}, {"path", N_("PATH")}, {NULL, NULL}};
    static const struct field call_fields[] = {{"step", N_("STEP")},
                                               {"item", N_("ITEM")},
                                               {"fence", N_("FENCE")},
                                               {"instance", N_("BY")},
                                               {"model", N_("MODEL")},
                                               {"state", N_("STATE")},
                                               {NULL, NULL}};
    static const struct field effect_fields[] = {{"key", N_("KEY")}, {"instance", N_("TARGET")}, {"state", N_("STATE")},
                                                 {"url", N_("URL")}, {"post_id", N_("POST")},    {NULL, NULL}};
    struct json_object *job = cm_json_object(shown, "job");
    if (job) {
        char *state = state_text(job), *created = cm_show_time(cm_json_int(job, "created_ms", 0));
        char *source = cm_ctl_clean(cm_json_text(job, "source", ""));
        printf("%s  %s  %s\n%s\n", cm_json_text(job, "id", ""), state, created, source);
        if (*cm_json_text(job, "words", "")) {
            printf("%s\n", cm_json_text(job, "words", ""));
        }
        free(source);
        free(created);
        free(state);
        print_steps(job);
        print_cost(shown);
    }
    struct json_object *steps = job ? cm_json_array(job, "steps") : NULL;
    print_rows(_("Tasks"), cm_json_array(shown, "tasks"), steps, task_fields);
    print_rows(_("Attempts"), cm_json_array(shown, "attempts"), steps, attempt_fields);
    print_rows(_("Files"), cm_json_array(shown, "artifacts"), steps, artifact_fields);
    print_rows(_("Paid calls"), cm_json_array(shown, "calls"), steps, call_fields);
    print_rows(_("Posts"), cm_json_array(shown, "effects"), steps, effect_fields);
    print_clips(shown);
}

static struct json_object *about_job(const char *what, const char *job)
{
    struct json_object *request = cm_client_request(what);
    json_object_object_add(request, "job", json_object_new_string(job));
    return request;
}

static struct json_object *ask_show(const struct cm_where *where, const char *job, int *status)
{
    char *state = cm_offline_state(where);
    struct json_object *shown =
        state ? cm_offline_show(state, job, status) : cm_client_once(where, about_job("show", job), status);
    free(state);
    return shown;
}

int cm_ctl_show(const struct cm_command *self, int argc, char **argv)
{
    struct looked looked = {0};
    int status = 0;
    if (parse(self, argc, argv, 1, 1, &looked, NULL, &status) == CM_PARSED_STOP) {
        return status;
    }
    struct json_object *shown = ask_show(&looked.where, argv[looked.first], &status);
    if (!shown) {
        return status;
    }
    json_object_object_del(shown, "ok");
    if (looked.json) {
        status = cm_ctl_print_json(shown);
    } else {
        print_shown(shown);
        status = cm_ctl_finish(0);
    }
    json_object_put(shown);
    return status;
}

/* ---- watch --------------------------------------------------------------------------------- */

static int status_of_end(struct json_object *summary)
{
    const char *state = cm_json_text(summary, "state", "");
    if (!strcmp(state, "succeeded") || !strcmp(state, "partial")) {
        return 0;
    }
    const char *words = cm_json_text(summary, "words", "");
    return cm_ctl_fail(cm_ctl_status_of_reason(cm_json_text(summary, "reason", "")), "%s",
                       *words ? words : cm_state_words(state));
}

/* One line of the watch; 1 when it was the last. */
static int take_line(int json, struct cm_progress *progress, struct json_object *line, int *status)
{
    struct json_object *summary = cm_json_object(line, "job");
    const char *event = cm_json_text(line, "event", "");
    if (!*event && !cm_json_flag(line, "ok", 1)) {
        *status = cm_ctl_fail((int)cm_json_int(line, "status", EX_TEMPFAIL), "%s", cm_json_text(line, "words", ""));
        return 1;
    }
    if (!summary) {
        return 0;
    }
    if (json) {
        puts(json_object_to_json_string_ext(summary, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
        fflush(stdout);
    } else {
        cm_progress_show(progress, summary);
    }
    if (strcmp(event, "end")) {
        return 0;
    }
    *status = status_of_end(summary);
    return 1;
}

int cm_ctl_follow(const struct cm_where *where, const char *job, int json)
{
    int status = 0, over = 0;
    struct cm_client *client = cm_client_connect(where);
    if (!client) {
        return EX_TEMPFAIL;
    }
    struct cm_progress *progress = cm_progress_new(cm_progress_style_of_stderr());
    over = cm_client_send(client, about_job("watch", job)) != 0;
    while (!over) {
        struct json_object *line = NULL;
        enum cm_client_result result = cm_client_receive(client, WATCH_POLL_MS, &line);
        if (result == CM_CLIENT_LINE) {
            over = take_line(json, progress, line, &status);
        } else if (result == CM_CLIENT_CLOSED) {
            status = cm_ctl_fail(EX_TEMPFAIL, _("clipmakerd went away; watch again when it is back"));
            over = 1;
        }
        json_object_put(line);
    }
    cm_progress_free(progress);
    cm_client_free(client);
    return cm_ctl_finish(status);
}

int cm_ctl_watch(const struct cm_command *self, int argc, char **argv)
{
    struct looked looked = {0};
    int status = 0;
    if (parse(self, argc, argv, 1, 1, &looked, NULL, &status) == CM_PARSED_STOP) {
        return status;
    }
    return cm_ctl_follow(&looked.where, argv[looked.first], looked.json);
}

/* ---- why, status --------------------------------------------------------------------------- */

int cm_ctl_why(const struct cm_command *self, int argc, char **argv)
{
    struct looked looked = {0};
    int status = 0;
    if (parse(self, argc, argv, 1, 3, &looked, NULL, &status) == CM_PARSED_STOP) {
        return status;
    }
    struct json_object *request = about_job("why", argv[looked.first]);
    json_object_object_add(request, "step",
                           json_object_new_string(argc > looked.first + 1 ? argv[looked.first + 1] : ""));
    json_object_object_add(request, "item",
                           json_object_new_string(argc > looked.first + 2 ? argv[looked.first + 2] : ""));
    struct json_object *answer = cm_client_once(&looked.where, request, &status);
    if (!answer) {
        return status;
    }
    if (looked.json) {
        json_object_object_del(answer, "ok");
        status = cm_ctl_print_json(answer);
    } else {
        char *clean = cm_ctl_clean(cm_json_text(answer, "words", ""));
        puts(clean);
        free(clean);
        status = cm_ctl_finish(0);
    }
    json_object_put(answer);
    return status;
}

/* "closed", "open until 12:03:11", "half open" in place of what the daemon says. */
static void word_breaker(struct json_object *instance, const char *field, const char *until_field)
{
    const char *state = cm_json_text(instance, field, "");
    time_t until = (time_t)(cm_json_int(instance, until_field, 0) / 1000);
    char clock[16] = "";
    struct tm parts;
    if (localtime_r(&until, &parts)) {
        strftime(clock, sizeof clock, "%H:%M:%S", &parts);
    }
    char *words = !strcmp(state, "open")        ? cm_format(_("open until %s"), clock)
                  : !strcmp(state, "half_open") ? cm_strdup(_("half open"))
                                                : cm_strdup(_("closed"));
    json_object_object_add(instance, field, json_object_new_string(words));
    free(words);
}

static void print_instances(struct json_object *instances)
{
    static const struct field fields[] = {{"name", N_("INSTANCE")},
                                          {"plugin", N_("PLUGIN")},
                                          {"stage", N_("STAGE")},
                                          {"running", N_("RUNNING")},
                                          {"limit", N_("LIMIT")},
                                          {"breaker", N_("BREAKER")},
                                          {"account", N_("ACCOUNT")},
                                          {"account_breaker", N_("ITS BREAKER")},
                                          {NULL, NULL}};
    struct field shown[sizeof fields / sizeof *fields];
    size_t count = instances ? json_object_array_length(instances) : 0;
    int any_account = 0;
    for (size_t i = 0; i < count; i++) {
        struct json_object *one = json_object_array_get_idx(instances, i);
        any_account |= *cm_json_text(one, "account", "") != 0;
        word_breaker(one, "breaker", "until_ms");
        word_breaker(one, "account_breaker", "account_until_ms");
    }
    memcpy(shown, fields, sizeof fields);
    shown[any_account ? 8 : 6] = (struct field){NULL, NULL};
    print_rows(_("Instances"), instances, NULL, shown);
}

int cm_ctl_status(const struct cm_command *self, int argc, char **argv)
{
    struct looked looked = {0};
    int status = 0;
    if (parse(self, argc, argv, 0, 0, &looked, NULL, &status) == CM_PARSED_STOP) {
        return status;
    }
    struct json_object *answer = cm_client_once(&looked.where, cm_client_request("status"), &status);
    if (!answer) {
        return status;
    }
    json_object_object_del(answer, "ok");
    if (looked.json) {
        status = cm_ctl_print_json(answer);
    } else {
        printf(_("%lld attempts running, %lld jobs unfinished\n"), cm_json_int(answer, "running", 0),
               cm_json_int(answer, "jobs", 0));
        const char *words = cm_json_text(answer, "words", "");
        if (*words) {
            printf(_("Nothing is started: %s\n"), words);
        }
        print_instances(cm_json_array(answer, "instances"));
        status = cm_ctl_finish(0);
    }
    json_object_put(answer);
    return status;
}
