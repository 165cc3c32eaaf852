/*
 * Serving calls: from the begin message to the answer.
 */
#include "core/worker/serve.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/options.h"
#include "core/common/text.h"
#include "core/worker/call.h"
#include "core/worker/confine.h"
#include "core/worker/host.h"
#include "core/worker/link.h"
#include "core/worker/load.h"
#include "core/worker/serve.h"

#define INPUTS_MAX_BYTES (64 * 1024 * 1024)
#define EXIT_BY_PLUGIN 70

/* Who does what: the stages, which ask a plugin, and the built-in steps, which do not. */
static const struct work {
    const char *name;
    uint32_t stage; /* 0: built in */
    cm_stage_fn run;
} works[] = {
    {"source", CM_STAGE_SOURCE, cm_stage_source},
    {"prepare", CM_STAGE_PREPARE, cm_stage_prepare},
    {"stt", CM_STAGE_STT, cm_stage_stt},
    {"llm", CM_STAGE_LLM, cm_stage_llm},
    {"render", CM_STAGE_RENDER, cm_stage_render},
    {"publish", CM_STAGE_PUBLISH, cm_stage_publish},
    {"windows", 0, cm_builtin_windows},
    {"choose", 0, cm_builtin_choose},
    {"take", 0, cm_builtin_take},
};

/* What lasts from call to call in a warm worker. */
static struct {
    int lock, folder; /* of its own folder, once it has one: open; else 0 */
    struct timespec folder_changed;
    int confined;
    char *plugin_path; /* loaded, or NULL */
    struct cm_loaded loaded;
    char *options_text; /* the options that `options` was filled from */
    void *options;
    void *state; /* of the plugin's open() */
    int opened;
} the_worker;

static const struct work *find_work(struct json_object *begin)
{
    const char *builtin = cm_json_text(begin, "builtin", "");
    const char *name = *builtin ? builtin : cm_json_text(begin, "stage", "");
    for (size_t i = 0; i < sizeof works / sizeof *works; i++) {
        if (!strcmp(works[i].name, name) && !works[i].stage == (*builtin != '\0')) {
            return &works[i];
        }
    }
    return NULL;
}

/* ---- The plugin and its options ---- */

static void close_plugin(struct cm_call *call)
{
    if (the_worker.opened && the_worker.loaded.close) {
        call->ctx.state = the_worker.state;
        the_worker.loaded.close(&call->ctx);
    }
    the_worker.opened = 0;
    the_worker.state = NULL;
}

static char *load_plugin(const char *path)
{
    if (the_worker.plugin_path && !strcmp(the_worker.plugin_path, path)) {
        return NULL;
    }
    if (the_worker.plugin_path) {
        return cm_format("%s: this worker serves %s already", path, the_worker.plugin_path);
    }
    char *error = cm_load(path, &the_worker.loaded);
    if (!error) {
        the_worker.plugin_path = cm_strdup(path);
    }
    return error;
}

/* Fills the options unless they are as they were; new ones mean opening anew. */
static char *fill_options(struct cm_call *call)
{
    struct json_object *values = cm_json_object(call->begin, "options");
    const char *text = values ? json_object_to_json_string_ext(values, JSON_C_TO_STRING_PLAIN) : "";
    const struct cm_plugin *plugin = &the_worker.loaded.plugin;
    if (the_worker.options && !strcmp(the_worker.options_text, text)) {
        return NULL;
    }
    close_plugin(call);
    if (the_worker.options) {
        cm_options_release(plugin->options, the_worker.options);
        cm_wipe(the_worker.options_text, strlen(the_worker.options_text));
        free(the_worker.options_text);
        free(the_worker.options);
        the_worker.options = NULL;
    }
    void *options = cm_alloc(plugin->options_size);
    char *error = cm_options_fill(plugin->options, options, values);
    if (error) {
        free(options);
        return error;
    }
    the_worker.options = options;
    the_worker.options_text = cm_strdup(text);
    return NULL;
}

/* Loads, fills, opens. NULL, or why the plugin cannot be asked (malloc'd). A failing open() is a
 * verdict of the plugin: *verdict. */
static char *ready_plugin(struct cm_call *call, const struct work *work, enum cm_verdict *verdict)
{
    char *error = load_plugin(cm_json_text(call->begin, "plugin", ""));
    if (!error && the_worker.loaded.plugin.stage != work->stage) {
        error = cm_format(_("%s is no %s plugin"), the_worker.plugin_path, work->name);
    }
    error = error ? error : fill_options(call);
    if (error) {
        return error;
    }
    call->ops = &the_worker.loaded.ops;
    call->ctx.options = the_worker.options;
    if (!the_worker.opened && the_worker.loaded.open) {
        call->ctx.state = NULL;
        *verdict = the_worker.loaded.open(&call->ctx);
    }
    if (*verdict == CM_OK && !the_worker.opened) {
        the_worker.opened = 1;
        the_worker.state = call->ctx.state;
    }
    call->ctx.state = the_worker.state;
    return NULL;
}

/* ---- One call ---- */

/* Where a call is at home: a warm worker has a folder of its own, others that of the attempt. */
static const char *work_folder(const struct cm_call *call)
{
    return cm_json_text(call->begin, "work", call->dir);
}

static struct timespec changed_at(int folder)
{
    struct stat info = {0};
    (void)fstat(folder, &info);
    return info.st_mtim;
}

/* The lock says for as long as anyone lives whom this attempt started: they inherit it. A warm
 * worker holds that of its own folder as long as it lives. */
static enum cm_verdict take_lock(struct cm_call *call, int *fd)
{
    char *path = cm_path_join(work_folder(call), "lock");
    enum cm_verdict verdict = CM_OK;
    *fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    if (*fd >= 0 && flock(*fd, LOCK_EX | LOCK_NB)) {
        verdict = cm_call_fail(call, CM_AGAIN, CM_REASON_RESOURCE,
                               N_("the attempt folder %s is in use by another process"), call->dir);
    } else if (*fd < 0 || ftruncate(*fd, 0) || dprintf(*fd, "%d\n", (int)getpid()) < 0) {
        verdict = cm_call_fail_write(call, path, errno);
    }
    free(path);
    return verdict;
}

static enum cm_verdict lock_once(struct cm_call *call, int *fd)
{
    if (the_worker.folder) {
        return CM_OK;
    }
    enum cm_verdict verdict = take_lock(call, fd);
    const char *work = cm_json_text(call->begin, "work", NULL);
    if (verdict == CM_OK && work) {
        the_worker.lock = *fd;
        the_worker.folder = open(work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        the_worker.folder_changed = changed_at(the_worker.folder);
        *fd = -1;
    }
    return verdict;
}

/* What a call left in the worker's folder is gone before the next one. */
static void tidy(struct cm_call *call)
{
    const char *work = cm_json_text(call->begin, "work", NULL);
    struct timespec now = changed_at(the_worker.folder);
    if (!work || (now.tv_sec == the_worker.folder_changed.tv_sec && now.tv_nsec == the_worker.folder_changed.tv_nsec)) {
        return;
    }
    DIR *entries = opendir(work);
    struct dirent *entry;
    while (entries && (entry = readdir(entries))) {
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") && strcmp(entry->d_name, "lock")) {
            char *path = cm_path_join(work, entry->d_name);
            cm_folder_remove(path);
            free(path);
        }
    }
    if (entries) {
        closedir(entries);
    }
    the_worker.folder_changed = changed_at(the_worker.folder);
}

/* No process is left that the call started: whoever loses its parent becomes our child. */
static int is_alone(void)
{
    pid_t pid;
    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0 || (pid < 0 && errno == EINTR)) {
    }
    return pid < 0;
}

static char *read_inputs(struct cm_call *call)
{
    const char *file = cm_json_text(call->begin, "inputs_file", "");
    if (!*file) {
        call->inputs = json_object_get(cm_json_array(call->begin, "inputs"));
        return NULL;
    }
    char *path = cm_path_join(call->dir, file), *error = NULL;
    struct json_object *inputs = cm_json_read(path, INPUTS_MAX_BYTES, &error);
    if (inputs && json_object_is_type(inputs, json_type_object)) {
        struct json_object *list = json_object_get(cm_json_array(inputs, "inputs"));
        json_object_put(inputs);
        inputs = list;
    }
    call->inputs = inputs;
    free(path);
    return error;
}

static void register_secrets(struct json_object *begin)
{
    struct json_object *names = cm_json_array(begin, "secrets");
    struct json_object *options = cm_json_object(begin, "options");
    for (size_t i = 0; names && i < json_object_array_length(names); i++) {
        const char *name = json_object_get_string(json_object_array_get_idx(names, i));
        cm_log_secret(name ? cm_json_text(options, name, NULL) : NULL);
    }
}

static void enter(struct cm_call *call)
{
    char *task = cm_format("%s/%s", cm_json_text(call->begin, "step", ""), call->item);
    register_secrets(call->begin);
    cm_link_attempt(cm_json_text(call->begin, "attempt", ""));
    cm_log_context(cm_json_text(call->begin, "job", ""), task, cm_json_int(call->begin, "fence", 0));
    setenv("TMPDIR", work_folder(call), 1);
    free(task);
}

/* The whole call; NULL, or why it could not even be made (malloc'd). call->done is filled. */
static char *make_call(struct cm_call *call)
{
    const struct work *work = find_work(call->begin);
    enum cm_verdict verdict = CM_OK;
    if (!work) {
        return cm_format(_("this worker knows no stage \"%s\" and no built-in step \"%s\""),
                         cm_json_text(call->begin, "stage", ""), cm_json_text(call->begin, "builtin", ""));
    }
    if (chdir(work_folder(call))) {
        return cm_format(_("cannot enter the folder %s: %s"), work_folder(call), strerror(errno));
    }
    char *error = read_inputs(call);
    if (!error && !the_worker.confined) {
        error = cm_confine(call->begin, call->inputs);
        the_worker.confined = 1;
    }
    if (!error && work->stage) {
        error = ready_plugin(call, work, &verdict);
    }
    if (error) {
        return error;
    }
    if (verdict == CM_OK) {
        verdict = work->run(call);
    }
    cm_host_judge(call, verdict);
    return NULL;
}

/* ---- The answer ---- */

/* A failed attempt leaves nothing: only its verdict. */
static void drop_results(struct cm_call *call)
{
    struct cm_done *bare = cm_done_new(call->done->outcome);
    bare->reason = call->done->reason;
    bare->scope = call->done->scope;
    bare->delay_ms = call->done->delay_ms;
    cm_done_text(&bare->words, call->done->words);
    cm_done_free(call->done);
    call->done = bare;
}

/* An answer that fits in no message goes into a file, and the message names it. */
static struct json_object *fit(struct cm_call *call, struct json_object *message)
{
    size_t count;
    const char *text = json_object_to_json_string_length(message, JSON_C_TO_STRING_PLAIN, &count);
    if (count < CM_MESSAGE_MAX - 1024) {
        return message;
    }
    char *path = cm_path_join(call->dir, "done.json");
    struct json_object *shorter = cm_message_new("done");
    json_object_object_add(shorter, "file", json_object_new_string("done.json"));
    if (cm_call_folder(call) || cm_file_write(path, text, count)) {
        json_object_put(shorter);
        cm_host_judge(call, cm_call_fail_write(call, path, errno));
        drop_results(call);
        shorter = cm_done_encode(call->done);
    }
    free(path);
    json_object_put(message);
    return shorter;
}

static void answer(struct cm_call *call)
{
    if (call->done->outcome != CM_OK) {
        drop_results(call);
        cm_info("%s, %s: %s", cm_outcome_name(call->done->outcome), cm_reason_name(call->done->reason),
                call->done->words);
    }
    struct json_object *message =
        fit(call, the_worker.folder ? cm_done_encode_short(call->done) : cm_done_encode(call->done));
    if (the_worker.folder) {
        tidy(call);
        json_object_object_add(message, "alone", json_object_new_boolean(is_alone()));
    }
    cm_link_say(message);
}

/* The plugin could not even be asked. */
static void note_no_start(struct cm_call *call, const char *why)
{
    char *words = cm_log_clean(why);
    call->done->outcome = CM_OUTCOME_NOSTART;
    call->done->scope = CM_SCOPE_INSTANCE;
    cm_done_text(&call->done->words, words);
    free(words);
}

/* Makes the call that `begin` asks for and answers it; 1 for ok. */
static int attempt(struct json_object *begin)
{
    struct cm_call call = {.begin = begin, .params = cm_json_object(begin, "params")};
    call.dir = cm_json_text(begin, "dir", "");
    call.item = cm_json_text(begin, "item", "");
    call.op = cm_json_text(begin, "op", "");
    call.done = cm_done_new(CM_OUTCOME_NOSTART);
    cm_host_open(&call);
    enter(&call);
    char *error = NULL;
    int lock = -1;
    enum cm_verdict locked = lock_once(&call, &lock);
    if (locked != CM_OK) {
        cm_host_judge(&call, locked);
    } else {
        error = make_call(&call);
    }
    if (error) {
        note_no_start(&call, error);
    }
    answer(&call);
    int ok = call.done->outcome == CM_OK;
    if (lock >= 0) {
        close(lock);
    }
    if (!the_worker.folder && chdir("/")) {
        cm_debug("the attempt's folder cannot be left: %s", strerror(errno));
    }
    free(error);
    cm_done_free(call.done);
    cm_host_close(&call);
    json_object_put(call.inputs);
    cm_log_context(NULL, NULL, 0);
    return ok;
}

/* ---- Serving ---- */

/* A plugin that calls exit() must not look like a worker that had nothing more to do. */
static void on_exit_by_plugin(void)
{
    cm_error("the plugin ended its process by exit()");
    _exit(EXIT_BY_PLUGIN);
}

static void say_hello(void)
{
    struct json_object *hello = cm_message_new("hello");
    json_object_object_add(hello, "pid", json_object_new_int((int)getpid()));
    json_object_object_add(hello, "version", json_object_new_string(CM_VERSION));
    cm_link_say(hello);
}

/* close() needs a call around it, though nobody asked for one. */
static void close_at_the_end(void)
{
    if (the_worker.opened) {
        struct cm_call call = {.begin = json_object_new_object(), .dir = "/", .op = "", .item = ""};
        cm_host_open(&call);
        call.ctx.options = the_worker.options;
        close_plugin(&call);
        cm_host_close(&call);
        json_object_put(call.begin);
    }
}

int cm_serve(int fd)
{
    atexit(on_exit_by_plugin);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    cm_link_open(fd);
    say_hello();
    struct json_object *begin;
    int more = 1;
    while (more && (begin = cm_link_next())) {
        more = !cm_json_flag(begin, "confine", 0);
        attempt(begin);
        json_object_put(begin);
    }
    close_at_the_end();
    _exit(0); /* a plugin's destructors have nothing to say any more */
}

int cm_serve_file(const char *path)
{
    char *error = NULL;
    struct json_object *begin = cm_json_read(path, INPUTS_MAX_BYTES, &error);
    if (!begin) {
        cm_fatal(65, "%s", error);
    }
    char *dir = cm_path_absolute(cm_json_text(begin, "dir", "attempt"));
    if (cm_folder_make(dir)) {
        cm_fatal(73, _("cannot make the folder %s: %s"), dir, strerror(errno));
    }
    json_object_object_add(begin, "dir", json_object_new_string(dir));
    free(dir);
    atexit(on_exit_by_plugin);
    cm_link_open(-1);
    int ok = attempt(begin);
    json_object_put(begin);
    close_at_the_end();
    _exit(ok ? 0 : 1);
}
