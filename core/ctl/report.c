/*
 * clips.json. The daemon knows the job by its artifacts and effects; this file turns them into
 * the one page that says what came out.
 */
#include "core/ctl/report.h"

#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/ctl/ctl.h"
#include "core/ctl/grid.h"
#include "core/ctl/money.h"

#define ARTIFACT_MAX_BYTES (256 * 1024 * 1024)

static void add_text(struct json_object *object, const char *name, const char *text)
{
    json_object_object_add(object, name, json_object_new_string(text));
}

/* Seconds and scores with at most three decimals: 12.5, not 12.500000000000002. */
static void add_real(struct json_object *object, const char *name, double value)
{
    char text[40];
    snprintf(text, sizeof text, "%.3f", value);
    size_t length = strlen(text);
    while (length > 0 && text[length - 1] == '0') {
        text[--length] = '\0';
    }
    if (length > 0 && text[length - 1] == '.') {
        text[--length] = '\0';
    }
    json_object_object_add(object, name, json_object_new_double_s(value, text));
}

static void add_int(struct json_object *object, const char *name, long long value)
{
    json_object_object_add(object, name, json_object_new_int64(value));
}

/* ---- Artifacts ----------------------------------------------------------------------------- */

/* The newest artifact of a role; of this item unless NULL. Borrowed, or NULL. */
static struct json_object *find_artifact(struct json_object *shown, const char *role)
{
    struct json_object *artifacts = cm_json_array(shown, "artifacts"), *found = NULL;
    for (size_t i = 0; artifacts && i < json_object_array_length(artifacts); i++) {
        struct json_object *artifact = json_object_array_get_idx(artifacts, i);
        if (!strcmp(cm_json_text(artifact, "role", ""), role) &&
            (!found || cm_json_int(artifact, "fence", 0) >= cm_json_int(found, "fence", 0))) {
            found = artifact;
        }
    }
    return found;
}

/* Its content; the caller puts it. An empty object when it cannot be read. */
static struct json_object *read_artifact(struct json_object *shown, const char *role)
{
    struct json_object *artifact = find_artifact(shown, role), *content = NULL;
    char *error = NULL;
    if (artifact) {
        content = cm_json_read(cm_json_text(artifact, "path", ""), ARTIFACT_MAX_BYTES, &error);
    }
    free(error);
    return content ? content : json_object_new_object();
}

/* The facts of an artifact, which may come as an object or as its text; the caller puts them. */
static struct json_object *facts_of(struct json_object *artifact)
{
    struct json_object *facts = NULL;
    json_object_object_get_ex(artifact, "facts", &facts);
    if (json_object_is_type(facts, json_type_object)) {
        return json_object_get(facts);
    }
    char *error = NULL;
    const char *text = cm_json_text(artifact, "facts", "");
    struct json_object *parsed = cm_json_parse(text, strlen(text), &error);
    free(error);
    if (parsed && !json_object_is_type(parsed, json_type_object)) {
        json_object_put(parsed);
        parsed = NULL;
    }
    return parsed ? parsed : json_object_new_object();
}

/* "start" → start_s, or start_ms / 1000. */
static double seconds_of(struct json_object *facts, const char *name)
{
    char field[32];
    snprintf(field, sizeof field, "%s_s", name);
    double seconds = cm_json_real(facts, field, NAN);
    snprintf(field, sizeof field, "%s_ms", name);
    return isnan(seconds) ? cm_json_real(facts, field, 0) / 1000 : seconds;
}

/* ---- Parts --------------------------------------------------------------------------------- */

static struct json_object *source_part(struct json_object *shown, const char *source)
{
    struct json_object *facts = read_artifact(shown, "facts"), *part = json_object_new_object();
    add_text(part, "path", source);
    add_real(part, "duration_s", seconds_of(facts, "duration"));
    add_int(part, "width", cm_json_int(facts, "width", 0));
    add_int(part, "height", cm_json_int(facts, "height", 0));
    json_object_put(facts);
    return part;
}

/* ["captions","other"] or "captions" → "captions, other"; malloc'd. */
static char *join_names(struct json_object *object, const char *field)
{
    struct json_object *names = cm_json_array(object, field);
    if (!names) {
        return cm_strdup(cm_json_text(object, field, ""));
    }
    struct cm_text out = {0};
    for (size_t i = 0; i < json_object_array_length(names); i++) {
        cm_text_addf(&out, "%s%s", i > 0 ? ", " : "", json_object_get_string(json_object_array_get_idx(names, i)));
    }
    return cm_text_take(&out);
}

static struct json_object *transcript_part(struct json_object *shown)
{
    struct json_object *transcript = read_artifact(shown, "transcript"), *part = json_object_new_object();
    struct json_object *words = cm_json_array(transcript, "words");
    char *by = join_names(transcript, "by");
    add_text(part, "language", cm_json_text(transcript, "language", ""));
    add_int(part, "words", words ? (long long)json_object_array_length(words) : 0);
    add_text(part, "by", by);
    free(by);
    json_object_put(transcript);
    return part;
}

int cm_report_is_draft(struct json_object *shown)
{
    struct json_object *transcript = read_artifact(shown, "transcript");
    int draft = cm_json_flag(transcript, "draft", 0);
    json_object_put(transcript);
    return draft;
}

static struct json_object *score_part(struct json_object *facts)
{
    static const char *const names[] = {"total", "hook", "engagement", "flow", "trend"};
    struct json_object *given = cm_json_object(facts, "score"), *part = json_object_new_object();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        add_real(part, names[i], given ? cm_json_real(given, names[i], 0) : 0);
    }
    return part;
}

/* The file name of the post made from this clip: the effect of the item below it. "" when it is
 * not out. */
static const char *post_of(struct json_object *shown, const char *item)
{
    struct json_object *effects = cm_json_array(shown, "effects");
    for (size_t i = 0; effects && i < json_object_array_length(effects); i++) {
        struct json_object *effect = json_object_array_get_idx(effects, i);
        const char *theirs = cm_json_text(effect, "item", "");
        size_t bytes = strlen(item);
        int mine = !strncmp(theirs, item, bytes) && (theirs[bytes] == '/' || theirs[bytes] == '\0');
        if (mine && !strcmp(cm_json_text(effect, "state", ""), "confirmed")) {
            return cm_json_text(effect, "post_id", "");
        }
    }
    return "";
}

/* Adds "01-slug.jpg" as `field` when it is in `dir`, else "". */
static void add_companion(struct json_object *clip, const char *field, const char *dir, const char *file,
                          const char *extension)
{
    const char *dot = strrchr(file, '.');
    char *name = cm_format("%.*s%s", (int)(dot ? dot - file : (long)strlen(file)), file, extension);
    char *path = cm_path_join(dir, name);
    add_text(clip, field, cm_file_bytes(path) > 0 ? name : "");
    free(path);
    free(name);
}

static struct json_object *clip_part(struct json_object *artifact, const char *dir, const char *file)
{
    struct json_object *facts = facts_of(artifact), *clip = json_object_new_object();
    add_text(clip, "file", file);
    add_companion(clip, "thumbnail", dir, file, ".jpg");
    add_companion(clip, "captions", dir, file, ".srt");
    add_text(clip, "title", cm_json_text(facts, "title", ""));
    add_text(clip, "reason", cm_json_text(facts, "reason", ""));
    add_real(clip, "start_s", seconds_of(facts, "start"));
    add_real(clip, "end_s", seconds_of(facts, "end"));
    add_text(clip, "format", cm_json_text(facts, "format", ""));
    add_int(clip, "width", cm_json_int(facts, "width", 0));
    add_int(clip, "height", cm_json_int(facts, "height", 0));
    json_object_object_add(clip, "score", score_part(facts));
    add_text(clip, "cta", cm_json_text(facts, "cta", ""));
    add_text(clip, "selected_by", cm_json_text(facts, "selected_by", ""));
    json_object_put(facts);
    return clip;
}

/* Where a format stands among those that were asked for. */
static size_t format_rank(struct json_object *formats, const char *format)
{
    size_t count = formats ? json_object_array_length(formats) : 0;
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(json_object_get_string(json_object_array_get_idx(formats, i)), format)) {
            return i;
        }
    }
    return count;
}

/* By item, "02/9:16": moment keys are in rank order, formats in the order in which they were asked
 * for. True when `left` comes behind `right`. */
static int comes_behind(struct json_object *left, struct json_object *right, struct json_object *formats)
{
    const char *one = cm_json_text(left, "item", ""), *two = cm_json_text(right, "item", "");
    size_t one_bytes = strcspn(one, "/"), two_bytes = strcspn(two, "/");
    int order = strncmp(one, two, one_bytes > two_bytes ? one_bytes : two_bytes);
    if (order || one_bytes != two_bytes || one[one_bytes] == '\0') {
        return order > 0;
    }
    return format_rank(formats, one + one_bytes + 1) > format_rank(formats, two + two_bytes + 1);
}

/* A stable sort of few things. */
static void sort_clips(struct json_object **clips, size_t count, struct json_object *formats)
{
    for (size_t i = 1; i < count; i++) {
        for (size_t j = i; j > 0 && comes_behind(clips[j - 1], clips[j], formats); j--) {
            struct json_object *moved = clips[j];
            clips[j] = clips[j - 1];
            clips[j - 1] = moved;
        }
    }
}

/* Made for one post, to fit its target: no clip of the job. */
static int is_of_post(struct json_object *shown, struct json_object *artifact)
{
    struct json_object *effects = cm_json_array(shown, "effects");
    for (size_t i = 0; effects && i < json_object_array_length(effects); i++) {
        struct json_object *effect = json_object_array_get_idx(effects, i);
        if (!strcmp(cm_json_text(effect, "step", ""), cm_json_text(artifact, "step", "")) &&
            !strcmp(cm_json_text(effect, "item", ""), cm_json_text(artifact, "item", ""))) {
            return 1;
        }
    }
    return 0;
}

int cm_report_is_clip(struct json_object *shown, struct json_object *artifact)
{
    return !strcmp(cm_json_text(artifact, "role", ""), "clip") && !is_of_post(shown, artifact);
}

static struct json_object *clips_part(struct json_object *shown, const char *dir)
{
    struct json_object *artifacts = cm_json_array(shown, "artifacts"), *part = json_object_new_array();
    size_t all = artifacts ? json_object_array_length(artifacts) : 0, count = 0;
    struct json_object **clips = cm_alloc((all + 1) * sizeof *clips);
    for (size_t i = 0; i < all; i++) {
        struct json_object *artifact = json_object_array_get_idx(artifacts, i);
        if (cm_report_is_clip(shown, artifact)) {
            clips[count++] = artifact;
        }
    }
    struct json_object *job = cm_json_object(shown, "job"), *params = job ? cm_json_object(job, "params") : NULL;
    sort_clips(clips, count, params ? cm_json_array(params, "formats") : NULL);
    for (size_t i = 0; i < count; i++) {
        const char *file = post_of(shown, cm_json_text(clips[i], "item", ""));
        if (*file) {
            json_object_array_add(part, clip_part(clips[i], dir, file));
        }
    }
    free(clips);
    return part;
}

/* ---- The report ---------------------------------------------------------------------------- */

/* Only where there were calls that cost money. */
static void add_costs(struct json_object *report, struct json_object *shown)
{
    struct json_object *costs = cm_json_object(shown, "costs"), *total = costs ? cm_json_object(costs, "total") : NULL;
    if (total && cm_json_int(total, "calls", 0) > 0) {
        json_object_object_add(report, "costs", json_object_get(total));
    }
}

struct json_object *cm_report_make(struct json_object *shown, const char *source, const char *dir)
{
    struct json_object *job = cm_json_object(shown, "job"), *report = json_object_new_object();
    add_text(report, "job", job ? cm_json_text(job, "id", "") : "");
    add_text(report, "state", job ? cm_json_text(job, "state", "") : "");
    json_object_object_add(report, "source", source_part(shown, source));
    json_object_object_add(report, "transcript", transcript_part(shown));
    json_object_object_add(report, "clips", clips_part(shown, dir));
    add_costs(report, shown);
    return report;
}

struct json_object *cm_report_failed(const char *job, const char *source, const char *reason, const char *words)
{
    struct json_object *report = json_object_new_object(), *part = json_object_new_object();
    struct json_object *error = json_object_new_object();
    add_text(report, "job", job);
    add_text(report, "state", "failed");
    add_text(part, "path", source);
    json_object_object_add(report, "source", part);
    json_object_object_add(report, "clips", json_object_new_array());
    add_text(error, "reason", reason);
    add_text(error, "words", words);
    json_object_object_add(report, "error", error);
    return report;
}

static const char *const file_fields[] = {"file", "thumbnail", "captions"};

int cm_report_is_whole(struct json_object *report, const char *dir)
{
    struct json_object *clips = cm_json_array(report, "clips");
    int whole = clips && json_object_array_length(clips) > 0;
    for (size_t i = 0; whole && i < json_object_array_length(clips) * 3; i++) {
        const char *name = cm_json_text(json_object_array_get_idx(clips, i / 3), file_fields[i % 3], "");
        char *path = cm_path_join(dir, name);
        whole = *name ? cm_file_bytes(path) > 0 : i % 3 != 0;
        free(path);
    }
    return whole;
}

void cm_report_remove_files(struct json_object *report, const char *dir)
{
    struct json_object *clips = cm_json_array(report, "clips");
    for (size_t i = 0; clips && i < json_object_array_length(clips) * 3; i++) {
        const char *name = cm_json_text(json_object_array_get_idx(clips, i / 3), file_fields[i % 3], "");
        if (*name && !strchr(name, '/')) {
            char *path = cm_path_join(dir, name);
            unlink(path);
            free(path);
        }
    }
}

static char *clock_of(double seconds)
{
    long long whole = (long long)(seconds + 0.5);
    if (whole >= 3600) {
        return cm_format("%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
    }
    return cm_format("%lld:%02lld", whole / 60, whole % 60);
}

void cm_report_print(struct json_object *report, const char *dir)
{
    struct json_object *clips = cm_json_array(report, "clips");
    struct cm_grid grid = {.columns = 5};
    cm_grid_add(&grid, (const char *[]){_("FILE"), _("FROM"), _("TO"), _("SCORE"), _("TITLE")});
    for (size_t i = 0; clips && i < json_object_array_length(clips); i++) {
        struct json_object *clip = json_object_array_get_idx(clips, i);
        struct json_object *score = cm_json_object(clip, "score");
        char *from = clock_of(cm_json_real(clip, "start_s", 0)), *to = clock_of(cm_json_real(clip, "end_s", 0));
        char *total = cm_format("%.0f", score ? cm_json_real(score, "total", 0) : 0);
        cm_grid_add(&grid,
                    (const char *[]){cm_json_text(clip, "file", ""), from, to, total, cm_json_text(clip, "title", "")});
        free(total);
        free(from);
        free(to);
    }
    cm_grid_print(&grid);
    char *clean = cm_ctl_clean(dir);
    printf(_("\nThe clips are in %s\n"), clean);
    struct json_object *costs = cm_json_object(report, "costs");
    char *line = costs ? cm_money_line(costs) : NULL;
    if (line) {
        puts(line);
    }
    free(line);
    free(clean);
}
