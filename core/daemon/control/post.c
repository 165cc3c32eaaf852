/*
 * Orders of jobs that post one clip: which files it has, what is said of it, whether it is out there already.
 */
#include "core/daemon/control/post.h"

#include <clipmaker/plugin.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/daemon/config/config.h"
#include "core/daemon/control/intake.h"
#include "core/daemon/control/views.h"
#include "core/daemon/engine/engine.h"
#include "core/daemon/engine/pipeline.h"
#include "core/daemon/store/row_json.h"

#define TITLE_MAX_BYTES 512
#define TEXT_MAX_BYTES 16384
#define LATEST_AT_MS (10LL * 366 * 24 * 3600 * 1000) /* from now */

/* What is known of the clip while the order is made. */
struct post {
    const struct cm_config *config;
    const struct cm_view *view; /* NULL: the clip is a file */
    struct json_object *request, *clip, *facts;
    const char *target;
    const struct cm_artifact_row *artifact; /* of the view */
    char *strategy;                         /* or "": as the configuration says */
    char *name;                             /* "JOB/01/9:16", or the path */
    int *status;
};

static char *refuse(const struct post *post, int status, char *words)
{
    *post->status = status;
    return words;
}

char *cm_post_job(const char *clip)
{
    return *clip == '/' ? cm_strdup("") : cm_strndup(clip, strcspn(clip, "/"));
}

/* ---- Files ----------------------------------------------------------------------------------- */

static void add_file(struct post *post, const char *role, const char *path, int64_t bytes)
{
    struct json_object *file = json_object_new_object();
    json_object_object_add(file, "role", json_object_new_string(role));
    json_object_object_add(file, "path", json_object_new_string(path));
    json_object_object_add(file, "bytes", json_object_new_int64(bytes));
    json_object_array_add(cm_json_array(post->clip, "files"), file);
}

/* ---- A clip of a job ------------------------------------------------------------------------- */

/* Whether somebody posts what this step makes: then it is no clip of the job, but one made to fit its target. */
static int is_of_publish(const struct cm_view *view, const char *step)
{
    const struct cm_step *found = view->pipeline ? cm_pipeline_step(view->pipeline, step) : NULL;
    return found && found->stage == CM_STAGE_PUBLISH;
}

/* "1" and "01" are the same rank; "9x16" and "9:16" the same shape. `wanted`: "RANK" or "RANK/FORMAT". */
static int is_wanted(const char *item, const char *wanted)
{
    char *end = NULL;
    size_t rank = strcspn(item, "/");
    char *key = cm_strndup(item, rank);
    long number = strtol(wanted, &end, 10);
    int same = end > wanted && (*end == '\0' || *end == '/') ? strtol(key, NULL, 10) == number
                                                             : !strncmp(key, wanted, rank > 0 ? rank : 1);
    free(key);
    const char *format = strchr(wanted, '/');
    if (!same || !format) {
        return same;
    }
    const char *has = item + rank + (item[rank] == '/');
    for (format++; *format && *has; format++, has++) {
        if (*format != *has && !(*format == 'x' && *has == ':')) {
            return 0;
        }
    }
    return *format == *has;
}

static char *clip_words(const struct post *post, const char *wanted, size_t found)
{
    struct cm_text names = {0};
    for (size_t i = 0; i < post->view->artifacts.count; i++) {
        const struct cm_artifact_row *row = post->view->artifacts.rows[i];
        if (!strcmp(row->role, "clip") && !is_of_publish(post->view, row->step) &&
            (!found || is_wanted(row->item, wanted))) {
            cm_text_addf(&names, " %s/%s", row->job, row->item);
        }
    }
    char *list = cm_text_take(&names), *words;
    if (!*list) {
        words = cm_format(_("job %s has no finished clip (yet)"), post->view->job->id);
    } else if (found) {
        words = cm_format(_("there are several such clips; name one of them:%s"), list);
    } else {
        words = cm_format(_("the job has no clip \"%.40s\"; it has:%s"), wanted, list);
    }
    free(list);
    return words;
}

static char *find_clip(struct post *post, const char *wanted)
{
    size_t found = 0;
    for (size_t i = 0; i < post->view->artifacts.count; i++) {
        const struct cm_artifact_row *row = post->view->artifacts.rows[i];
        if (!strcmp(row->role, "clip") && !is_of_publish(post->view, row->step) && is_wanted(row->item, wanted)) {
            int other = post->artifact && strcmp(post->artifact->item, row->item) != 0;
            found += !post->artifact || other;
            post->artifact = row;
        }
    }
    return found == 1 ? NULL : refuse(post, EX_DATAERR, clip_words(post, wanted, found));
}

static char *take_artifacts(struct post *post)
{
    static const char *const roles[] = {"clip", "thumbnail", "thumbnail_small", "captions_srt"};
    const struct cm_artifact_row *clip = post->artifact;
    for (size_t i = 0; i < post->view->artifacts.count; i++) {
        const struct cm_artifact_row *row = post->view->artifacts.rows[i];
        int ours = !strcmp(row->step, clip->step) && !strcmp(row->item, clip->item) && row->fence == clip->fence;
        for (size_t k = 0; ours && k < sizeof roles / sizeof *roles; k++) {
            if (!strcmp(row->role, roles[k])) {
                char *path = *row->path == '/' ? cm_strdup(row->path) : cm_path_join(post->config->state, row->path);
                add_file(post, row->role, path, row->bytes);
                free(path);
            }
        }
    }
    struct json_object *facts = cm_json_parse(clip->facts, strlen(clip->facts), NULL);
    post->facts = facts && json_object_is_type(facts, json_type_object) ? facts : json_object_new_object();
    if (post->facts != facts) {
        json_object_put(facts);
    }
    json_object_object_add(post->clip, "facts", post->facts);
    post->name = cm_format("%s/%s", clip->job, clip->item);
    struct json_object *first = json_object_array_get_idx(cm_json_array(post->clip, "files"), 0);
    const char *path = cm_json_text(first, "path", "");
    return access(path, R_OK) == 0 ? NULL
                                   : refuse(post, EX_NOINPUT,
                                            cm_format(_("the files of clip %s are not on this machine: %s: %s"),
                                                      post->name, path, strerror(errno)));
}

static const struct cm_effect_row *effect_of(const struct cm_view *view, const char *step, const char *item)
{
    for (size_t i = 0; i < view->effects.count; i++) {
        const struct cm_effect_row *row = view->effects.rows[i];
        if (!strcmp(row->step, step) && !strcmp(row->item, item)) {
            return row;
        }
    }
    return NULL;
}

/* The job that made the clip may publish it there itself. */
static char *check_own_posts(const struct post *post)
{
    char *item = cm_format("%s/%s", post->artifact->item, post->target), *words = NULL;
    const char *job = post->artifact->job;
    for (size_t i = 0; i < post->view->tasks.count && !words; i++) {
        const struct cm_task_row *task = post->view->tasks.rows[i];
        if (strcmp(task->item, item) != 0 || !is_of_publish(post->view, task->step)) {
            continue;
        }
        const struct cm_effect_row *effect = effect_of(post->view, task->step, item);
        if (!cm_task_is_over(task->state)) {
            words = cm_format(_("job %s is about to publish this clip to %s itself; --again makes a second post"), job,
                              post->target);
        } else if (effect && effect->state == CM_EFFECT_CONFIRMED) {
            words = cm_format(_("job %s has published this clip to %s: %s; --again makes a second post"), job,
                              post->target, *effect->url ? effect->url : effect->post_id);
        }
    }
    free(item);
    return words ? refuse(post, EX_DATAERR, words) : NULL;
}

static char *take_from_job(struct post *post, const char *clip)
{
    const char *slash = strchr(clip, '/');
    if (!slash || !slash[1]) {
        return refuse(post, EX_USAGE, cm_strdup(_("a clip is named JOB/RANK, as \"clipmaker show JOB\" tells")));
    }
    char *error = find_clip(post, slash + 1);
    error = error ? error : take_artifacts(post);
    return error || cm_json_flag(post->request, "again", 0) ? error : check_own_posts(post);
}

/* ---- A file ---------------------------------------------------------------------------------- */

/* The file of the same name with another extension, when it is there. */
static void add_beside(struct post *post, const char *clip, const char *role, const char *extension)
{
    const char *dot = strrchr(clip, '.');
    char *path = cm_format("%.*s%s", (int)(dot ? dot - clip : (long)strlen(clip)), clip, extension);
    int64_t bytes = cm_file_bytes(path);
    if (bytes > 0 && access(path, R_OK) == 0) {
        add_file(post, role, path, bytes);
    }
    free(path);
}

static void add_text_beside(struct post *post, const char *clip)
{
    const char *dot = strrchr(clip, '.');
    char *path = cm_format("%.*s.txt", (int)(dot ? dot - clip : (long)strlen(clip)), clip);
    size_t count = 0;
    char *text = cm_file_read(path, TEXT_MAX_BYTES, &count);
    while (text && count > 0 && text[count - 1] == '\n') {
        text[--count] = '\0';
    }
    if (text && cm_is_utf8(text, count)) {
        json_object_object_add(post->facts, "text", json_object_new_string(text));
    }
    free(text);
    free(path);
}

static char *take_from_folder(struct post *post, const char *clip)
{
    int64_t bytes = cm_file_bytes(clip);
    if (bytes <= 0 || access(clip, R_OK) != 0) {
        return refuse(post, EX_NOINPUT,
                      cm_format(_("cannot read %s: %s"), clip, strerror(bytes == 0 ? EINVAL : errno)));
    }
    const char *slash = strrchr(clip, '/'), *dot = strrchr(slash, '.');
    char *name = dot && dot > slash + 1 ? cm_strndup(slash + 1, (size_t)(dot - slash - 1)) : cm_strdup(slash + 1);
    post->facts = json_object_new_object();
    json_object_object_add(post->facts, "name", json_object_new_string(name));
    json_object_object_add(post->facts, "title", json_object_new_string(name));
    json_object_object_add(post->facts, "text", json_object_new_string(""));
    json_object_object_add(post->clip, "facts", post->facts);
    free(name);
    add_text_beside(post, clip);
    add_file(post, "clip", clip, bytes);
    add_beside(post, clip, "thumbnail", ".jpg");
    add_beside(post, clip, "captions_srt", ".srt");
    post->name = cm_strdup(clip);
    return NULL;
}

/* ---- What is said of it ---------------------------------------------------------------------- */

static char *take_words(struct post *post, const char *field, size_t max)
{
    const char *text = cm_json_text(post->request, field, "");
    if (strlen(text) > max) {
        return refuse(post, EX_USAGE, cm_format(_("%s: at most %zu bytes"), field, max));
    }
    if (*text) {
        json_object_object_add(post->facts, field, json_object_new_string(text));
    }
    return NULL;
}

static char *take_time(const struct post *post, int64_t *at_ms)
{
    *at_ms = cm_json_int(post->request, "at_ms", 0);
    if (*at_ms < 0 || *at_ms > cm_utc_ms() + LATEST_AT_MS) {
        return refuse(post, EX_USAGE, cm_strdup(_("at_ms: must be a time within ten years, in ms since 1970")));
    }
    return NULL;
}

/* Where its data may go: as asked, else as for the job that made it, else as the configuration says. */
static char *take_strategy(struct post *post)
{
    const char *job = post->view ? post->view->job->params : "{}";
    struct json_object *theirs = cm_json_parse(job, strlen(job), NULL);
    const char *asked = cm_json_text(post->request, "strategy", "");
    post->strategy = cm_strdup(*asked ? asked : theirs ? cm_json_text(theirs, "strategy", "") : "");
    json_object_put(theirs);
    if (!*post->strategy || !strcmp(post->strategy, "ru") || !strcmp(post->strategy, "global")) {
        return NULL;
    }
    return refuse(post, EX_USAGE, cm_format(_("strategy \"%.40s\": must be ru or global"), post->strategy));
}

static char *check_target(struct post *post)
{
    const struct cm_plugin_use *use = cm_config_use(post->config, post->target);
    if (use && use->stage == CM_STAGE_PUBLISH) {
        return NULL;
    }
    return refuse(post, EX_USAGE, cm_intake_no_target(post->config, post->target));
}

/* ---- The order ------------------------------------------------------------------------------- */

static char *params_of(const struct post *post, int64_t at_ms)
{
    struct json_object *params = json_object_new_object(), *targets = json_object_new_array();
    json_object_array_add(targets, json_object_new_string(post->target));
    json_object_object_add(params, "targets", targets);
    json_object_object_add(params, "publish_at_ms", json_object_new_int64(at_ms));
    json_object_object_add(params, "clip", json_object_get(post->clip));
    if (*post->strategy) {
        json_object_object_add(params, "strategy", json_object_new_string(post->strategy));
    }
    char *text =
        cm_strdup(json_object_to_json_string_ext(params, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(params);
    return text;
}

/* By what the same request is known again; with `again` one that nobody has asked under. */
static char *key_of(const struct post *post)
{
    char hash[65], id[37];
    char *what = cm_format("%s\n%s", post->name, post->target);
    cm_sha256(what, strlen(what), hash);
    free(what);
    cm_uuid7(id);
    int again = cm_json_flag(post->request, "again", 0);
    return cm_format("publish:%.40s%s%s", hash, again ? ":" : "", again ? id : "");
}

static void fill_order(const struct post *post, int64_t at_ms, struct cm_order *order)
{
    const char *owner = cm_json_text(post->request, "owner", "");
    const char *theirs = post->view ? post->view->job->owner : "default";
    struct json_object *clip = post->clip;
    json_object_object_add(clip, "from", json_object_new_string(post->name));
    *order = (struct cm_order){
        .owner = cm_strdup(*owner ? owner : theirs),
        .request_key = key_of(post),
        .pipeline = cm_strdup(CM_POST_PIPELINE),
        .source = cm_format(CM_POST_SOURCE "%s", post->name),
        .params = params_of(post, at_ms),
        .priority = cm_json_int(post->request, "priority", 0),
    };
}

char *cm_post_check(const struct cm_config *config, const struct cm_view *view, struct json_object *request,
                    struct cm_order *order, int *status)
{
    const char *clip = cm_json_text(request, "clip", "");
    struct post post = {.config = config, .view = view, .request = request, .status = status};
    int64_t at_ms = 0;
    *order = (struct cm_order){0};
    post.target = cm_json_text(request, "target", "");
    post.clip = json_object_new_object();
    json_object_object_add(post.clip, "files", json_object_new_array());
    char *error = check_target(&post);
    error = error ? error : take_time(&post, &at_ms);
    error = error ? error : cm_intake_sender(request, status);
    error = error ? error : view ? take_from_job(&post, clip) : take_from_folder(&post, clip);
    error = error ? error : take_strategy(&post);
    error = error ? error : take_words(&post, "title", TITLE_MAX_BYTES);
    error = error ? error : take_words(&post, "text", TEXT_MAX_BYTES);
    if (!error) {
        fill_order(&post, at_ms, order);
    }
    json_object_put(post.clip);
    free(post.strategy);
    free(post.name);
    return error;
}
