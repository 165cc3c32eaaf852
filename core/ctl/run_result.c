/*
 * clips.json: one in the folder, for people, and one with the state, so that a finished run can
 * repeat its result.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/ctl/ctl.h"
#include "core/ctl/progress.h"
#include "core/ctl/report.h"
#include "core/ctl/run.h"

#define REPORT_MAX_BYTES (64 * 1024 * 1024)
#define REPORT_STYLE (JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE)

static struct json_object *read_report(const char *folder)
{
    char *path = cm_path_join(folder, "clips.json"), *error = NULL;
    struct json_object *report = cm_json_read(path, REPORT_MAX_BYTES, &error);
    free(error);
    free(path);
    if (report && !json_object_is_type(report, json_type_object)) {
        json_object_put(report);
        report = NULL;
    }
    return report;
}

static int write_report(struct cm_run *run, const char *folder, struct json_object *report)
{
    char *path = cm_path_join(folder, "clips.json");
    char *text = cm_format("%s\n", json_object_to_json_string_ext(report, REPORT_STYLE));
    int status = 0;
    while (status == 0 && cm_file_write(path, text, strlen(text))) {
        status = cm_run_wait_for_room(run, path);
    }
    free(text);
    free(path);
    return status;
}

static int print_report(struct cm_run *run, struct json_object *report)
{
    if (run->json) {
        return cm_ctl_print_json(report);
    }
    cm_report_print(report, run->dir);
    return cm_ctl_finish(0);
}

/* The same video may have another name by now. */
static void name_source(struct cm_run *run, struct json_object *report)
{
    struct json_object *source = cm_json_object(report, "source");
    if (source) {
        json_object_object_add(source, "path", json_object_new_string(run->source));
    }
}

static int repeat(struct cm_run *run, struct json_object *report)
{
    name_source(run, report);
    struct json_object *shown = read_report(run->dir);
    int same = shown && json_object_equal(shown, report);
    json_object_put(shown);
    int status = same ? 0 : write_report(run, run->dir, report);
    return status ? status : print_report(run, report);
}

int cm_run_repeat_result(struct cm_run *run, int *status)
{
    struct json_object *report = read_report(run->state);
    int whole = report && cm_report_is_whole(report, run->dir);
    if (whole) {
        *status = repeat(run, report);
    } else if (report) {
        /* Somebody removed clips: what is left of them goes too, and all are made again. */
        cm_report_remove_files(report, run->dir);
        cm_folder_remove(run->state);
    }
    json_object_put(report);
    return whole;
}

int cm_run_finish_result(struct cm_run *run, struct json_object *shown)
{
    struct json_object *report = cm_report_make(shown, run->source, run->dir);
    cm_progress_end(run->progress);
    if (cm_report_is_draft(shown)) {
        cm_progress_note(run->progress, _("the words are a machine's draft; give better ones with --captions FILE"));
    }
    int status = write_report(run, run->dir, report);
    status = status ? status : write_report(run, run->state, report);
    status = status ? status : print_report(run, report);
    json_object_put(report);
    return status;
}
