/*
 * Worker messages: whatever a worker may write into its socket, as the daemon reads it. A job runs in a
 * real engine over a store in memory; its attempts go to workers that say what the input says. The input
 * is an array: an object is a message, "@" in its field "attempt" stands for the attempt that runs, a
 * string is sent as it is; null ends the worker.
 */
#include "core/daemon/run/attempts.c"
#include "core/daemon/store/memory.h"

#include <event2/event.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

#define JOB "01890000-0000-7000-8000-000000000001"
#define START_MS 1700000000000
#define ROUNDS_MAX 400

/* ---- A worker --------------------------------------------------------------------------------- */

struct cm_worker {
    struct cm_worker *next;
    cm_proc_message_fn message;
    cm_proc_ended_fn ended;
    void *arg;
    int hello;
};

static struct {
    struct cm_daemon daemon;
    struct cm_engine_config config;
    struct cm_pipeline *pipeline;
    struct cm_pipeline *pipelines[1];
    struct cm_now now;
    struct cm_worker *workers;
    int fds[2];
    char folder[64];
} the;

struct cm_workers *cm_workers_new(struct event_base *base, struct cm_procs *procs)
{
    (void)base;
    (void)procs;
    return NULL;
}

void cm_workers_free(struct cm_workers *workers)
{
    (void)workers;
}

void cm_workers_configure(struct cm_workers *workers, const struct cm_worker_rules *rules)
{
    (void)workers;
    (void)rules;
}

void cm_workers_retire(struct cm_workers *workers)
{
    (void)workers;
}

struct cm_worker *cm_worker_take(struct cm_workers *workers, const struct cm_plugin_use *use, int once,
                                 cm_proc_message_fn message, cm_proc_ended_fn ended, void *arg)
{
    (void)workers;
    (void)use;
    (void)once;
    struct cm_worker *worker = cm_alloc(sizeof *worker);
    *worker = (struct cm_worker){the.workers, message, ended, arg, 1};
    the.workers = worker;
    return worker;
}

static void drop_worker(struct cm_worker *worker)
{
    struct cm_worker **place = &the.workers;
    while (*place != worker) {
        fuzz_promise(*place);
        place = &(*place)->next;
    }
    *place = worker->next;
    free(worker);
}

void cm_worker_release(struct cm_worker *worker)
{
    drop_worker(worker);
}

enum cm_message_result cm_worker_send(struct cm_worker *worker, struct json_object *message)
{
    fuzz_promise(worker && *cm_message_type(message));
    return CM_MESSAGE_OK;
}

void cm_worker_signal(struct cm_worker *worker, int number)
{
    fuzz_promise(worker && number > 0);
}

const char *cm_worker_folder(const struct cm_worker *worker)
{
    (void)worker;
    return "";
}

void cm_worker_clear(const char *folder)
{
    fuzz_promise(*folder);
}

void cm_worker_retire(struct cm_worker *worker)
{
    fuzz_promise(worker);
}

int cm_worker_said_hello(const struct cm_worker *worker)
{
    return worker->hello;
}

pid_t cm_worker_pid(const struct cm_worker *worker)
{
    (void)worker;
    return 1;
}

/* ---- What stands around the attempts ------------------------------------------------------------ */

void cm_notes_gather(struct cm_notes *notes, const char *task, const char *instance, cm_notes_fn done, void *arg)
{
    (void)notes;
    (void)task;
    (void)instance;
    done(arg, json_object_new_object(), json_object_new_object(), NULL);
}

void cm_notes_remember(struct cm_notes *notes, const struct cm_remember *what, cm_remembered_fn done, void *arg)
{
    (void)notes;
    fuzz_promise(what->account && what->name && what->instance);
    done(arg, 1);
}

void cm_leftovers_await(struct cm_leftovers *leftovers, const char *folder, pid_t spared, cm_gone_fn gone, void *arg)
{
    (void)leftovers;
    (void)folder;
    (void)spared;
    gone(arg);
}

void cm_late_call_spent(struct cm_daemon *daemon, const struct cm_start *start, struct json_object *message)
{
    fuzz_promise(daemon && start && message);
}

int64_t cm_config_memory(const struct cm_config *config, int stage)
{
    (void)config;
    (void)stage;
    return 0;
}

void cm_leftovers_sweep(struct cm_leftovers *leftovers, const char *folder)
{
    (void)leftovers;
    (void)folder;
}

/* The files that answers may name lie in each attempt's folder. */
struct json_object *cm_begin_make(const struct cm_begin *begin, char **error)
{
    (void)error;
    json_object_put(begin->saved);
    json_object_put(begin->recalled);
    static const char *const names[] = {"out", "m", "n"};
    cm_folder_make(begin->folder);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = cm_path_join(begin->folder, names[i]);
        FILE *file = fopen(path, "w");
        if (file) {
            fputs("abc", file);
            fclose(file);
        }
        free(path);
    }
    return cm_message_new("begin");
}

char *cm_begin_shorten(const struct cm_begin *begin, struct json_object *message)
{
    (void)begin;
    (void)message;
    return NULL;
}

int cm_cluster_may_act(struct cm_cluster *cluster)
{
    (void)cluster;
    return 1;
}

int cm_begin_is_confined(int stage)
{
    return stage == CM_STAGE_RENDER;
}

const struct cm_plugin_use *cm_config_use(const struct cm_config *config, const char *name)
{
    static struct cm_plugin_use use;
    (void)config;
    use.stage = !strcmp(name, "cut") ? CM_STAGE_RENDER : CM_STAGE_PUBLISH;
    return *name ? &use : NULL;
}

void cm_disk_held(struct cm_disk *disk)
{
    (void)disk;
}

struct cm_now cm_daemon_now(void)
{
    return the.now;
}

void cm_daemon_job_changed(struct cm_daemon *daemon, const char *job)
{
    (void)daemon;
    fuzz_promise(*job);
}

void cm_daemon_pump_soon(struct cm_daemon *daemon)
{
    (void)daemon;
}

/* ---- The engine -------------------------------------------------------------------------------- */

static const char pipeline_text[] =
    "{\"name\":\"default\",\"steps\":["
    "{\"step\":\"choose\",\"builtin\":\"choose\",\"makes\":\"moment\",\"tries\":2},"
    "{\"step\":\"clip\",\"stage\":\"render\",\"use\":[\"cut\"],\"after\":[\"choose\"],\"each\":\"moment*format\","
    "\"need\":\"any\",\"tries\":2},"
    "{\"step\":\"publish\",\"stage\":\"publish\",\"use\":[\"target\"],\"after\":[\"clip\"],\"each\":\"moment*format*"
    "target\",\"need\":\"any\",\"tries\":2}]}";

static const struct cm_instance instances[] = {
    {.name = "cut", .stage = CM_STAGE_RENDER, .limit = 4},
    {.name = "folder",
     .stage = CM_STAGE_PUBLISH,
     .limit = 4,
     .settle = CM_SETTLE_SEARCH,
     .settle_ms = 1000,
     .can_find = 1},
};

static void on_applied(void *arg, uint64_t set, enum cm_applied how, const char *words)
{
    (void)arg;
    (void)words;
    cm_engine_applied(the.daemon.engine, the.now, set, how);
}

static void act(struct cm_action *action)
{
    if (action->kind == CM_ACTION_START) {
        cm_attempts_start(the.daemon.attempts, action);
        return;
    }
    if (action->kind == CM_ACTION_KILL) {
        cm_attempts_kill(the.daemon.attempts, action);
    } else if (action->kind == CM_ACTION_ANSWER) {
        cm_attempts_answer(the.daemon.attempts, action);
    }
    cm_action_free(action);
}

static void pump(void)
{
    struct cm_change_set *sets[64];
    struct cm_action *action;
    size_t moved = 1;
    for (int round = 0; moved && round < ROUNDS_MAX; round++) {
        cm_engine_dispatch(the.daemon.engine, the.now);
        moved = cm_engine_take_sets(the.daemon.engine, sets, 64);
        cm_store_apply(the.daemon.store, sets, moved);
        cm_store_dispatch(the.daemon.store);
        while ((action = cm_engine_take_action(the.daemon.engine))) {
            act(action);
        }
    }
}

static void open_daemon(void)
{
    static struct cm_config config = {.settings = {.kill_after_ms = 5000}, .worker = (char *)"worker"};
    the.now = (struct cm_now){START_MS, 5000};
    the.daemon.magic = CM_DAEMON_MAGIC;
    the.daemon.config = &config;
    the.daemon.state = the.folder;
    the.daemon.store = cm_store_memory_open(on_applied, NULL);
    the.daemon.engine = cm_engine_new(&the.config);
    the.daemon.attempts = cm_attempts_new(&the.daemon);
    struct cm_submit submit = {JOB, "me", "", "default", "/v.mp4", "{\"formats\":[\"9:16\"],\"targets\":[\"folder\"]}",
                               0,   1};
    cm_engine_submit(the.daemon.engine, the.now, &submit);
    pump();
}

static void close_daemon(void)
{
    cm_attempts_free(the.daemon.attempts);
    cm_engine_free(the.daemon.engine);
    cm_store_close(the.daemon.store);
    while (the.workers) {
        drop_worker(the.workers);
    }
}

/* ---- Messages ---------------------------------------------------------------------------------- */

/* "@" is the attempt that the worker has. */
static void name_attempt(struct json_object *message, const struct cm_worker *worker)
{
    const struct attempt *attempt = worker->arg;
    if (!strcmp(cm_json_text(message, "attempt", ""), "@")) {
        json_object_object_add(message, "attempt", json_object_new_string(attempt->name));
    }
}

/* Through a socket, as it would come. */
static struct json_object *over_socket(const char *bytes, size_t count)
{
    struct json_object *message = NULL;
    char *error = NULL;
    if (count == 0 || send(the.fds[0], bytes, count, MSG_DONTWAIT) < 0) {
        return NULL;
    }
    enum cm_message_result result = cm_message_receive(the.fds[1], 0, &message, &error);
    fuzz_promise((result == CM_MESSAGE_OK) == (message != NULL));
    fuzz_promise((result == CM_MESSAGE_BAD) == (error != NULL));
    free(error);
    return message;
}

static void end(struct cm_worker *worker)
{
    worker->ended(worker->arg, 9, "signal 9");
    drop_worker(worker);
}

/* A worker of one attempt goes when it has answered. */
static void end_if_done(struct cm_worker *worker)
{
    struct cm_worker *one = the.workers;
    while (one && one != worker) {
        one = one->next;
    }
    if (one && ((const struct attempt *)one->arg)->done) {
        end(one);
    }
}

static void say(struct json_object *one)
{
    struct cm_worker *worker = the.workers;
    size_t length = 0;
    if (!one) {
        end(worker);
        return;
    }
    if (json_object_is_type(one, json_type_object)) {
        name_attempt(one, worker);
    }
    int is_text = json_object_is_type(one, json_type_string);
    const char *bytes =
        is_text ? json_object_get_string(one) : json_object_to_json_string_length(one, JSON_C_TO_STRING_PLAIN, &length);
    length = is_text ? (size_t)json_object_get_string_len(one) : length;
    struct json_object *message = over_socket(bytes, length);
    if (message) {
        worker->message(worker->arg, message);
        end_if_done(worker);
    }
    json_object_put(message);
}

/* Every kind of message is read at least alone. */
static void read_alone(struct json_object *root)
{
    char *error = NULL;
    struct cm_done *done = cm_done_decode(root, &error);
    fuzz_promise((done != NULL) == (error == NULL));
    if (done) {
        struct cm_done *copy = cm_done_copy(done);
        struct json_object *again = cm_done_encode(copy);
        struct cm_done *twice = cm_done_decode(again, &error);
        fuzz_promise(twice && twice->outcome == done->outcome && twice->artifact_count == done->artifact_count &&
                     twice->child_count == done->child_count && !strcmp(twice->words, done->words));
        cm_done_free(twice);
        json_object_put(again);
        cm_done_free(copy);
    }
    cm_done_free(done);
    free(error);
}

static void remove_folder(void)
{
    cm_folder_remove(the.folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    const char *room = getenv("TMPDIR");
    snprintf(the.folder, sizeof the.folder, "%.40s/fuzz-messages-XXXXXX", room ? room : "/tmp");
    char *error = NULL;
    the.pipeline = cm_pipeline_parse(pipeline_text, &error);
    if (!the.pipeline || !mkdtemp(the.folder) || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, the.fds)) {
        fprintf(stderr, "%s\n", error ? error : the.folder);
        exit(70);
    }
    atexit(remove_folder);
    the.pipelines[0] = the.pipeline;
    the.daemon.base = event_base_new();
    the.config = (struct cm_engine_config){
        .boot = "boot1",
        .seed = 1,
        .slots = 4,
        .max_jobs = 2,
        .instances = instances,
        .instance_count = sizeof instances / sizeof *instances,
        .pipelines = the.pipelines,
        .pipeline_count = 1,
        .backoff_base_ms = 1000,
        .backoff_max_ms = 2000,
        .breaker_failures = 5,
        .breaker_rest_ms = 1000,
    };
    cm_log_open("fuzz", CM_LOG_PLAIN, getenv("FUZZ_LOG") ? CM_LOG_DEBUG : CM_LOG_ERROR + 1);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct json_object *root = cm_json_parse((const char *)bytes, count, NULL);
    json_object_put(over_socket((const char *)bytes, count));
    if (json_object_is_type(root, json_type_object)) {
        read_alone(root);
    }
    size_t length = json_object_is_type(root, json_type_array) ? json_object_array_length(root) : 0;
    if (length > 0) {
        open_daemon();
        for (size_t i = 0; i < length && the.workers; i++) {
            say(json_object_array_get_idx(root, i));
            the.now.utc_ms += 3000;
            the.now.boot_ms += 3000;
            pump();
        }
        close_daemon();
        cm_folder_remove(the.folder);
    }
    json_object_put(root);
    return 0;
}
