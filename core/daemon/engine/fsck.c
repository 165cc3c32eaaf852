/*
 * `clipmaker fsck`: reads a whole store and proves what must always be true of its rows and of the
 * files that they name.
 */
#include "core/daemon/engine/fsck.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/common/done.h"
#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/daemon/engine/engine.h"
#include "core/daemon/engine/pipeline.h"
#include "core/include/clipmaker/plugin.h"

enum {
    READ_TIMEOUT_MS = 30000
};

/* All rows of one table, in key order. */
struct rows {
    void **items;
    size_t count, room;
};

struct check {
    struct rows tables[CM_TABLE_COUNT_PLUS_1];
    struct cm_pipeline **pipelines; /* parsed, beside the pipeline rows; NULL: unreadable */
    int unread;                     /* tables that have not come to their end */
    int abandoned;                  /* nobody waits for them any more */
    char *error;

    const char *state_dir; /* NULL: rows only */
    int thorough;          /* read files, too */
    int64_t now_ms;
    void (*found)(void *arg, const char *line);
    void *arg;
    long violations;
};

static int compare_effects(const void *a, const void *b);

/* ---- Reading --------------------------------------------------------------------------------- */

static void free_check(struct check *check)
{
    for (size_t i = 0; check->pipelines && i < check->tables[CM_TABLE_PIPELINE].count; i++)
        cm_pipeline_free(check->pipelines[i]);
    for (enum cm_table table = CM_TABLE_PIPELINE; table < CM_TABLE_COUNT_PLUS_1; table++) {
        for (size_t i = 0; i < check->tables[table].count; i++)
            cm_row_free(table, check->tables[table].items[i]);
        free(check->tables[table].items);
    }
    free(check->pipelines);
    free(check->error);
    free(check);
}

static void take_row(void *arg, enum cm_table table, const void *row, const char *error)
{
    struct check *check = arg;
    struct rows *rows = &check->tables[table];
    if (row) {
        rows->items = cm_grow(rows->items, &rows->room, rows->count, sizeof *rows->items);
        rows->items[rows->count++] = cm_row_pack(table, row);
        return;
    }
    if (error && !check->error)
        check->error = cm_strdup(error);
    check->unread--;
    if (check->unread == 0 && check->abandoned)
        free_check(check);
}

/* Jobs come newest first; here everything is in key order. */
static void reverse(struct rows *rows)
{
    for (size_t i = 0; i < rows->count / 2; i++) {
        void *row = rows->items[i];
        rows->items[i] = rows->items[rows->count - 1 - i];
        rows->items[rows->count - 1 - i] = row;
    }
}

/* 0, or -1 when the store gave no answer; then the check frees itself when its rows do come. */
static int read_all(struct check *check, struct cm_store *store)
{
    check->unread = CM_TABLE_COUNT_PLUS_1 - 1;
    struct cm_query queries[CM_TABLE_COUNT_PLUS_1] = {0};
    for (enum cm_table table = CM_TABLE_PIPELINE; table < CM_TABLE_COUNT_PLUS_1; table++)
        queries[table].table = table;
    cm_store_query_all(store, queries + CM_TABLE_PIPELINE, CM_TABLE_COUNT_PLUS_1 - CM_TABLE_PIPELINE, take_row, check);
    cm_store_drain(store, READ_TIMEOUT_MS);
    if (check->unread > 0) {
        check->abandoned = 1;
        return -1;
    }
    reverse(&check->tables[CM_TABLE_JOB]);
    struct rows *effects = &check->tables[CM_TABLE_EFFECT];
    if (effects->count > 0)
        qsort(effects->items, effects->count, sizeof *effects->items, compare_effects);
    return 0;
}

/* ---- Looking up ------------------------------------------------------------------------------ */

static const void *find(const struct check *check, enum cm_table table, const void *keys)
{
    const struct rows *rows = &check->tables[table];
    size_t low = 0, high = rows->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = cm_row_compare_keys(table, rows->items[middle], keys);
        if (order == 0)
            return rows->items[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static const struct cm_job_row *find_job(const struct check *check, const char *id)
{
    return find(check, CM_TABLE_JOB, &(struct cm_job_row){.id = (char *)id});
}

static const struct cm_task_row *find_task(const struct check *check, const char *job, const char *step,
                                           const char *item)
{
    return find(check, CM_TABLE_TASK,
                &(struct cm_task_row){.job = (char *)job, .step = (char *)step, .item = (char *)item});
}

static const struct cm_attempt_row *find_attempt(const struct check *check, const char *job, const char *step,
                                                 const char *item, int64_t fence)
{
    return find(
        check, CM_TABLE_ATTEMPT,
        &(struct cm_attempt_row){.job = (char *)job, .step = (char *)step, .item = (char *)item, .fence = fence});
}

/* The pipeline of a job as it can be read; NULL when it cannot (which is found elsewhere). */
static const struct cm_pipeline *pipeline_of(const struct check *check, const struct cm_job_row *job)
{
    const struct rows *rows = &check->tables[CM_TABLE_PIPELINE];
    for (size_t i = 0; i < rows->count; i++)
        if (strcmp(((const struct cm_pipeline_row *)rows->items[i])->id, job->pipeline) == 0)
            return check->pipelines[i];
    return NULL;
}

/* The job's tasks: index of the first, and how many. */
static size_t tasks_of(const struct check *check, const char *job, size_t *count)
{
    const struct rows *rows = &check->tables[CM_TABLE_TASK];
    size_t low = 0, high = rows->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(((const struct cm_task_row *)rows->items[middle])->job, job) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    size_t end = low;
    while (end < rows->count && strcmp(((const struct cm_task_row *)rows->items[end])->job, job) == 0)
        end++;
    *count = end - low;
    return low;
}

static int compare_effects(const void *a, const void *b)
{
    const struct cm_effect_row *left = *(void *const *)a, *right = *(void *const *)b;
    int order = strcmp(left->job, right->job);
    order = order ? order : strcmp(left->step, right->step);
    return order ? order : strcmp(left->item, right->item);
}

/* Effects lie by the task they belong to, since that is how they are looked up here. */
static const struct cm_effect_row *find_effect(const struct check *check, const struct cm_task_row *task)
{
    const struct cm_effect_row wanted = {.job = task->job, .step = task->step, .item = task->item}, *key = &wanted;
    const struct rows *rows = &check->tables[CM_TABLE_EFFECT];
    void *const *at =
        rows->count ? bsearch(&key, rows->items, rows->count, sizeof *rows->items, compare_effects) : NULL;
    return at ? *at : NULL;
}

/* ---- Telling --------------------------------------------------------------------------------- */

static void report(struct check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void report(struct check *check, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *line = cm_vformat(format, arguments);
    va_end(arguments);
    check->violations++;
    if (check->found)
        check->found(check->arg, line);
    free(line);
}

/* A row's name in a line: "task JOB/STEP/ITEM" and, for what has one, "#FENCE". */
#define TASK_ARGS(row) (row)->job, (row)->step, (row)->item
#define ATTEMPT_ARGS(row) TASK_ARGS(row), (long long)(row)->fence

/* ---- Pipelines and jobs ---------------------------------------------------------------------- */

static void check_pipelines(struct check *check)
{
    const struct rows *rows = &check->tables[CM_TABLE_PIPELINE];
    check->pipelines = cm_alloc((rows->count + 1) * sizeof *check->pipelines);
    for (size_t i = 0; i < rows->count; i++) {
        const struct cm_pipeline_row *row = rows->items[i];
        char *error = NULL;
        check->pipelines[i] = cm_pipeline_parse(row->json, &error);
        if (!check->pipelines[i])
            report(check, _("pipeline %s (%s): cannot be read: %s"), row->id, row->name, error ? error : "?");
        free(error);
    }
}

/* A finished job has finished tasks only, and a job whose tasks are all finished is so, too. */
static void check_job_and_tasks(struct check *check, const struct cm_job_row *job)
{
    size_t count, first = tasks_of(check, job->id, &count), over = 0;
    for (size_t i = 0; i < count; i++) {
        const struct cm_task_row *task = check->tables[CM_TABLE_TASK].items[first + i];
        over += (size_t)cm_task_is_over(task->state);
        if (cm_job_is_over(job->state) && !cm_task_is_over(task->state))
            report(check, _("job %s: is %s, but its task %s/%s is %s"), job->id, cm_job_state_name(job->state),
                   task->step, task->item, cm_task_state_name(task->state));
    }
    if (!cm_job_is_over(job->state) && count > 0 && over == count)
        report(check, _("job %s: is %s, but all its tasks are over"), job->id, cm_job_state_name(job->state));
    if (!cm_job_is_over(job->state) && count == 0)
        report(check, _("job %s: is %s, but has no task"), job->id, cm_job_state_name(job->state));
}

static void check_jobs(struct check *check)
{
    const struct rows *rows = &check->tables[CM_TABLE_JOB];
    for (size_t i = 0; i < rows->count; i++) {
        const struct cm_job_row *job = rows->items[i];
        if (cm_job_state_name(job->state)[0] == '\0')
            report(check, _("job %s: its state %lld is none"), job->id, (long long)job->state);
        if (!find(check, CM_TABLE_PIPELINE, &(struct cm_pipeline_row){.id = job->pipeline}))
            report(check, _("job %s: its pipeline \"%s\" is not there"), job->id, job->pipeline);
        check_job_and_tasks(check, job);
    }
}

/* ---- Tasks ----------------------------------------------------------------------------------- */

static void check_running(struct check *check, const struct cm_task_row *task)
{
    const struct cm_boot_row *boot = find(check, CM_TABLE_BOOT, &(struct cm_boot_row){.id = task->boot});
    if (!boot)
        report(check, _("task %s/%s/%s: runs under boot \"%s\", which is not known"), TASK_ARGS(task), task->boot);
    else if (boot->over)
        report(check, _("task %s/%s/%s: runs under boot \"%s\", which is not alive"), TASK_ARGS(task), task->boot);
    const struct cm_attempt_row *attempt = find_attempt(check, TASK_ARGS(task), task->fence);
    if (!attempt)
        report(check, _("task %s/%s/%s: runs attempt %lld, which is not there"), TASK_ARGS(task),
               (long long)task->fence);
    else if (attempt->verdict[0] != '\0')
        report(check, _("task %s/%s/%s: runs attempt %lld, which ended (%s)"), TASK_ARGS(task), (long long)task->fence,
               attempt->verdict);
}

static void check_task_state(struct check *check, const struct cm_task_row *task)
{
    const char *state = cm_task_state_name(task->state);
    if (state[0] == '\0')
        report(check, _("task %s/%s/%s: its state %lld is none"), TASK_ARGS(task), (long long)task->state);
    if (task->state == CM_TASK_RUNNING)
        check_running(check, task);
    if (task->state == CM_TASK_HELD && cm_hold_name(task->held_by)[0] == '\0')
        report(check, _("task %s/%s/%s: is held, and nothing says by what"), TASK_ARGS(task));
    if (task->fence < 0)
        report(check, _("task %s/%s/%s: its fence %lld is negative"), TASK_ARGS(task), (long long)task->fence);
}

static void mark_ancestors(const struct cm_pipeline *pipeline, const struct cm_step *step, char *marks)
{
    for (size_t i = 0; i < step->after_count; i++) {
        if (marks[step->after[i]])
            continue;
        marks[step->after[i]] = 1;
        mark_ancestors(pipeline, &pipeline->steps[step->after[i]], marks);
    }
}

/* Whether every task of every step before this one is over. */
static int ancestors_are_over(const struct check *check, const struct cm_pipeline *pipeline, const struct cm_step *step,
                              const char *job)
{
    char *marks = cm_alloc(pipeline->step_count + 1);
    mark_ancestors(pipeline, step, marks);
    size_t count, first = tasks_of(check, job, &count);
    int over = 1;
    for (size_t i = 0; over && i < count; i++) {
        const struct cm_task_row *task = check->tables[CM_TABLE_TASK].items[first + i];
        const struct cm_step *other = cm_pipeline_step(pipeline, task->step);
        if (other && marks[other - pipeline->steps])
            over = cm_task_is_over(task->state);
    }
    free(marks);
    return over;
}

static void check_publish(struct check *check, const struct cm_task_row *task)
{
    const struct cm_effect_row *effect = find_effect(check, task);
    if (effect && (effect->state == CM_EFFECT_CONFIRMED || effect->state == CM_EFFECT_REMOVED))
        return;
    report(check, _("task %s/%s/%s: published, but no effect of it is confirmed"), TASK_ARGS(task));
}

static void check_task_in_pipeline(struct check *check, const struct cm_job_row *job, const struct cm_task_row *task)
{
    const struct cm_pipeline *pipeline = pipeline_of(check, job);
    if (!pipeline)
        return;
    const struct cm_step *step = cm_pipeline_step(pipeline, task->step);
    if (!step) {
        report(check, _("task %s/%s/%s: its pipeline has no such step"), TASK_ARGS(task));
        return;
    }
    if (task->state == CM_TASK_BLOCKED && !cm_job_is_over(job->state) &&
        ancestors_are_over(check, pipeline, step, task->job))
        report(check, _("task %s/%s/%s: is blocked, but everything before it is over"), TASK_ARGS(task));
    if (task->state == CM_TASK_SUCCEEDED && step->stage == CM_STAGE_PUBLISH)
        check_publish(check, task);
}

static void check_tasks(struct check *check)
{
    const struct rows *rows = &check->tables[CM_TABLE_TASK];
    for (size_t i = 0; i < rows->count; i++) {
        const struct cm_task_row *task = rows->items[i];
        const struct cm_job_row *job = find_job(check, task->job);
        check_task_state(check, task);
        if (job)
            check_task_in_pipeline(check, job, task);
        else
            report(check, _("task %s/%s/%s: its job is not there"), TASK_ARGS(task));
    }
}

/* ---- Attempts -------------------------------------------------------------------------------- */

/* Whether it is one that may bring a task's output: looking for a post and removing it do not. */
static int is_accepted(const struct cm_attempt_row *attempt)
{
    static const char *const aside[] = {"find", CM_OP_FIT, "remove", "stats", "check", "refresh"};
    for (size_t i = 0; i < sizeof aside / sizeof aside[0]; i++)
        if (strcmp(attempt->op, aside[i]) == 0)
            return 0;
    return strcmp(attempt->verdict, cm_outcome_name(CM_OK)) == 0;
}

static int same_task(const struct cm_attempt_row *a, const struct cm_attempt_row *b)
{
    return strcmp(a->job, b->job) == 0 && strcmp(a->step, b->step) == 0 && strcmp(a->item, b->item) == 0;
}

static void check_attempt(struct check *check, const struct cm_attempt_row *attempt)
{
    const struct cm_task_row *task = find_task(check, TASK_ARGS(attempt));
    int open = attempt->verdict[0] == '\0';
    if (!task)
        report(check, _("attempt %s/%s/%s#%lld: its task is not there"), ATTEMPT_ARGS(attempt));
    else if (attempt->fence < 1 || attempt->fence > task->fence)
        report(check, _("attempt %s/%s/%s#%lld: its task has had %lld attempts only"), ATTEMPT_ARGS(attempt),
               (long long)task->fence);
    else if (open && (task->state != CM_TASK_RUNNING || task->fence != attempt->fence))
        report(check, _("attempt %s/%s/%s#%lld: never ended, but its task is %s with fence %lld"),
               ATTEMPT_ARGS(attempt), cm_task_state_name(task->state), (long long)task->fence);
    if (!open && cm_outcome_from_name(attempt->verdict) == 0)
        report(check, _("attempt %s/%s/%s#%lld: its verdict \"%s\" is none"), ATTEMPT_ARGS(attempt), attempt->verdict);
}

static void check_attempts(struct check *check)
{
    const struct rows *rows = &check->tables[CM_TABLE_ATTEMPT];
    const struct cm_attempt_row *accepted = NULL;
    for (size_t i = 0; i < rows->count; i++) {
        const struct cm_attempt_row *attempt = rows->items[i];
        check_attempt(check, attempt);
        if (!is_accepted(attempt))
            continue;
        if (accepted && same_task(accepted, attempt))
            report(check, _("attempt %s/%s/%s#%lld: accepted, and so was attempt %lld of the same task"),
                   ATTEMPT_ARGS(attempt), (long long)accepted->fence);
        accepted = attempt;
    }
}

/* ---- Artifacts ------------------------------------------------------------------------------- */

#define ARTIFACT_ARGS(row) ATTEMPT_ARGS(row), (row)->role, (row)->key

static void check_contents(struct check *check, const struct cm_artifact_row *artifact, const char *path)
{
    char sha256[65] = "";
    if (cm_file_sha256(path, sha256) != 0)
        report(check, _("artifact %s/%s/%s#%lld %s %s: cannot read %s: %s"), ARTIFACT_ARGS(artifact), path,
               strerror(errno));
    else if (strcmp(sha256, artifact->sha256) != 0)
        report(check, _("artifact %s/%s/%s#%lld %s %s: %s is not what it was when it was accepted"),
               ARTIFACT_ARGS(artifact), path);
}

static void check_file(struct check *check, const struct cm_artifact_row *artifact)
{
    const struct cm_job_row *job = find_job(check, artifact->job);
    int elsewhere = artifact->path[0] == '/';
    if (elsewhere && (!job || cm_job_is_over(job->state)))
        return; /* the user's own file, and the user may do with it as they like by now */
    char *path = elsewhere ? cm_strdup(artifact->path) : cm_path_join(check->state_dir, artifact->path);
    int64_t bytes = cm_file_bytes(path);
    if (bytes < 0)
        report(check, _("artifact %s/%s/%s#%lld %s %s: its file %s is not there"), ARTIFACT_ARGS(artifact), path);
    else if (bytes != artifact->bytes)
        report(check, _("artifact %s/%s/%s#%lld %s %s: %s has %lld bytes and should have %lld"),
               ARTIFACT_ARGS(artifact), path, (long long)bytes, (long long)artifact->bytes);
    else if (check->thorough && artifact->sha256[0] != '\0')
        check_contents(check, artifact, path);
    free(path);
}

static void check_artifacts(struct check *check)
{
    const struct rows *rows = &check->tables[CM_TABLE_ARTIFACT];
    for (size_t i = 0; i < rows->count; i++) {
        const struct cm_artifact_row *artifact = rows->items[i];
        const struct cm_attempt_row *attempt = find_attempt(check, TASK_ARGS(artifact), artifact->fence);
        if (!attempt)
            report(check, _("artifact %s/%s/%s#%lld %s %s: its attempt is not there"), ARTIFACT_ARGS(artifact));
        else if (strcmp(attempt->verdict, cm_outcome_name(CM_OK)) != 0)
            report(check, _("artifact %s/%s/%s#%lld %s %s: its attempt was not accepted (%s)"), ARTIFACT_ARGS(artifact),
                   attempt->verdict);
        if (check->state_dir)
            check_file(check, artifact);
    }
}

/* ---- Effects and notes ----------------------------------------------------------------------- */

static void check_effect(struct check *check, const struct cm_effect_row *effect)
{
    if (cm_effect_state_name(effect->state)[0] == '\0')
        report(check, _("effect %s: its state %lld is none"), effect->key, (long long)effect->state);
    if (effect->key[0] == '\0')
        report(check, _("effect of %s/%s/%s: has no key"), TASK_ARGS(effect));
    if (effect->state == CM_EFFECT_CONFIRMED && effect->post_id[0] == '\0' && effect->url[0] == '\0')
        report(check, _("effect %s: is confirmed, but names no post"), effect->key);
    if (!find_job(check, effect->job)) {
        if (effect->state != CM_EFFECT_CONFIRMED)
            report(check, _("effect %s: its job %s is not there, and it is %s"), effect->key, effect->job,
                   cm_effect_state_name(effect->state));
        return; /* a confirmed one outlives its job */
    }
    const struct cm_task_row *task = find_task(check, TASK_ARGS(effect));
    if (!task)
        report(check, _("effect %s: its task %s/%s/%s is not there"), effect->key, TASK_ARGS(effect));
    else if (effect->state == CM_EFFECT_SENDING && cm_task_is_over(task->state))
        report(check, _("effect %s: may be out, but its task is %s"), effect->key, cm_task_state_name(task->state));
}

static void check_effects(struct check *check)
{
    const struct rows *rows = &check->tables[CM_TABLE_EFFECT];
    for (size_t i = 0; i < rows->count; i++) {
        const struct cm_effect_row *effect = rows->items[i];
        check_effect(check, effect);
        if (i > 0 && compare_effects(&rows->items[i - 1], &rows->items[i]) == 0)
            report(check, _("effect %s: task %s/%s/%s has another, %s"), effect->key, TASK_ARGS(effect),
                   ((const struct cm_effect_row *)rows->items[i - 1])->key);
    }
}

static void check_notes(struct check *check)
{
    const struct rows *rows = &check->tables[CM_TABLE_NOTE];
    for (size_t i = 0; i < rows->count; i++) {
        const struct cm_note_row *note = rows->items[i];
        if (!cm_starts_with(note->owner, "task "))
            continue;
        char *job = cm_strndup(note->owner + 5, strcspn(note->owner + 5, "/"));
        if (!find_job(check, job))
            report(check, _("note \"%s\" of \"%s\": its job is not there"), note->name, note->owner);
        free(job);
    }
}

/* ---- Folders --------------------------------------------------------------------------------- */

struct names {
    const char **items;
    size_t count;
};

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The folders that attempts name, sorted. */
static struct names known_folders(const struct check *check)
{
    const struct rows *rows = &check->tables[CM_TABLE_ATTEMPT];
    struct names names = {cm_alloc((rows->count + 1) * sizeof *names.items), rows->count};
    for (size_t i = 0; i < rows->count; i++)
        names.items[i] = ((const struct cm_attempt_row *)rows->items[i])->folder;
    qsort(names.items, names.count, sizeof *names.items, compare_names);
    return names;
}

typedef void (*folder_fn)(struct check *check, const struct names *known, const char *name, int fresh);

/* Calls `each` with "folder/NAME" for the folders in it. Fresh: made (or worked in) since the rows
 * were read, by a daemon that goes on while we look. */
static void each_folder(struct check *check, const struct names *known, const char *folder, folder_fn each)
{
    char *path = cm_path_join(check->state_dir, folder);
    DIR *open = opendir(path);
    if (!open && errno != ENOENT)
        report(check, _("folder %s: cannot be read: %s"), folder, strerror(errno));
    struct dirent *entry;
    while (open && (entry = readdir(open))) {
        struct stat facts;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(dirfd(open), entry->d_name, &facts, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(facts.st_mode))
            continue;
        char *name = cm_format("%s/%s", folder, entry->d_name);
        int64_t changed_ms = (int64_t)facts.st_ctim.tv_sec * 1000 + facts.st_ctim.tv_nsec / 1000000;
        each(check, known, name, changed_ms > check->now_ms);
        free(name);
    }
    if (open)
        closedir(open);
    free(path);
}

static void check_attempt_folder(struct check *check, const struct names *known, const char *name, int fresh)
{
    const char *own = strrchr(name, '/');
    if (own && !strcmp(own + 1, CM_ANSWERS_FOLDER))
        return;
    if (!fresh && !bsearch(&name, known->items, known->count, sizeof *known->items, compare_names))
        report(check, _("folder %s: stray, no attempt names it"), name);
}

static void check_job_folder(struct check *check, const struct names *known, const char *name, int fresh)
{
    if (find_job(check, name + strlen("jobs/")))
        each_folder(check, known, name, check_attempt_folder);
    else if (!fresh)
        report(check, _("folder %s: stray, there is no such job"), name);
}

static void check_folders(struct check *check)
{
    if (!check->state_dir)
        return;
    struct names known = known_folders(check);
    each_folder(check, &known, "jobs", check_job_folder);
    free(known.items);
}

/* ---- All of it ------------------------------------------------------------------------------- */

static void (*const checks[])(struct check *check) = {
    check_pipelines, check_jobs,    check_tasks, check_attempts,
    check_artifacts, check_effects, check_notes, check_folders,
};

static long run_checks(struct cm_store *store, const struct check *how)
{
    struct check *check = cm_alloc(sizeof *check);
    *check = *how;
    check->now_ms = cm_utc_ms();
    if (read_all(check, store) != 0)
        return -1;
    if (check->error) {
        free_check(check);
        return -1;
    }
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
        checks[i](check);
    long violations = check->violations;
    free_check(check);
    return violations;
}

long cm_store_check(struct cm_store *store, const char *state_dir, void (*found)(void *arg, const char *line),
                    void *arg)
{
    return run_checks(store, &(struct check){.state_dir = state_dir, .found = found, .arg = arg});
}

long cm_store_check_thorough(struct cm_store *store, const char *state_dir, void (*found)(void *arg, const char *line),
                             void *arg)
{
    return run_checks(store, &(struct check){.state_dir = state_dir, .found = found, .arg = arg, .thorough = 1});
}
