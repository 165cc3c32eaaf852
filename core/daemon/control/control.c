/*
 * Clients, lines and watchers. A slow reader costs itself, never the loop.
 */
#include "core/daemon/control/control.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/daemon/control/commands.h"
#include "core/daemon/control/views.h"
#include "core/daemon/daemon.h"

#define CONTROL_MAGIC 0x636d636fu
#define CLIENT_MAGIC 0x636d636cu
#define LINE_MAX_BYTES (64 * 1024)
#define CLIENTS_MAX 64
#define BACKLOG 16
#define SLOW_BYTES (256 * 1024)        /* more than this unread: progress is left out */
#define STUCK_BYTES (32 * 1024 * 1024) /* more than this unread: the client goes */
#define TELL_EVERY_MS 250

struct cm_client {
    unsigned magic;
    struct cm_client *next;
    struct cm_control *control;
    uint64_t number;
    struct bufferevent *stream;
    struct json_object *request; /* being answered; NULL: ready for the next */
    char *watch;                 /* a job, "" for all; NULL: none */
    struct json_object *last;    /* what it was told last of the watched job */
    int is_parent;               /* the inherited descriptor of private mode */
    int closing;
};

struct cm_control {
    unsigned magic;
    struct cm_daemon *daemon;
    int listen_fd, lock_fd;
    struct event *acceptable;
    struct cm_client *first;
    size_t count;
    uint64_t last_number;
    char **changed; /* jobs whose watchers are to be told */
    size_t changed_count, changed_room;
    struct event *tell;
    int64_t told_boot_ms;
};

static struct cm_client *client_of(void *arg)
{
    struct cm_client *client = arg;
    cm_assert(client->magic == CLIENT_MAGIC);
    return client;
}

/* ---- Clients --------------------------------------------------------------------------------- */

static void drop(struct cm_client *client)
{
    struct cm_control *control = client->control;
    for (struct cm_client **place = &control->first; *place; place = &(*place)->next) {
        if (*place == client) {
            *place = client->next;
            break;
        }
    }
    control->count--;
    bufferevent_free(client->stream);
    json_object_put(client->request);
    json_object_put(client->last);
    free(client->watch);
    client->magic = 0;
    free(client);
}

static void send_line(struct cm_client *client, struct json_object *object)
{
    size_t bytes;
    json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    const char *text =
        json_object_to_json_string_length(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &bytes);
    bufferevent_write(client->stream, text, bytes);
    bufferevent_write(client->stream, "\n", 1);
}

static size_t unread(const struct cm_client *client)
{
    return evbuffer_get_length(bufferevent_get_output(client->stream));
}

static void refuse_line(struct cm_client *client, int status, const char *words)
{
    struct json_object *answer = json_object_new_object();
    json_object_object_add(answer, "ok", json_object_new_boolean(0));
    json_object_object_add(answer, "status", json_object_new_int(status));
    json_object_object_add(answer, "words", json_object_new_string(words));
    send_line(client, answer);
    json_object_put(answer);
}

/* Takes lines until one of them is being answered. */
static void take_lines(struct cm_client *client)
{
    struct evbuffer *input = bufferevent_get_input(client->stream);
    while (!client->request && !client->closing && unread(client) < SLOW_BYTES) {
        size_t bytes = 0;
        char *line = evbuffer_readln(input, &bytes, EVBUFFER_EOL_LF);
        if (!line) {
            break;
        }
        char *error = NULL;
        client->request = bytes <= LINE_MAX_BYTES ? cm_json_parse(line, bytes, &error) : NULL;
        free(line);
        if (client->request && json_object_is_type(client->request, json_type_object)) {
            cm_command_run(client);
            continue;
        }
        char *words = cm_format(_("a request must be one JSON object a line: %s"), error ? error : "it is none");
        cm_client_refuse(client, EX_USAGE, words);
        free(error);
    }
    if (!client->request && !client->closing && evbuffer_get_length(input) > LINE_MAX_BYTES &&
        unread(client) < SLOW_BYTES) {
        refuse_line(client, EX_USAGE, _("the line is too long"));
        client->closing = 1;
        bufferevent_disable(client->stream, EV_READ);
    }
}

static void on_read(struct bufferevent *stream, void *arg)
{
    (void)stream;
    take_lines(client_of(arg));
}

/* All that was written is read: what waited goes on. */
static void on_written(struct bufferevent *stream, void *arg)
{
    (void)stream;
    struct cm_client *client = client_of(arg);
    if (client->closing) {
        drop(client);
        return;
    }
    take_lines(client);
}

static void on_event(struct bufferevent *stream, short what, void *arg)
{
    (void)stream;
    struct cm_client *client = client_of(arg);
    if (!(what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))) {
        return;
    }
    struct cm_daemon *daemon = client->control->daemon;
    int is_parent = client->is_parent;
    drop(client);
    if (is_parent) {
        cm_daemon_end_now(daemon);
    }
}

static struct cm_client *add_client(struct cm_control *control, int fd)
{
    struct cm_client *client = cm_alloc(sizeof *client);
    client->magic = CLIENT_MAGIC;
    client->control = control;
    client->number = ++control->last_number;
    evutil_make_socket_nonblocking(fd);
    evutil_make_socket_closeonexec(fd);
    client->stream = bufferevent_socket_new(control->daemon->base, fd, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    bufferevent_setcb(client->stream, on_read, on_written, on_event, client);
    bufferevent_setwatermark(client->stream, EV_READ, 0, LINE_MAX_BYTES + 2);
    client->next = control->first;
    control->first = client;
    control->count++;
    return client;
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct cm_control *control = arg;
    int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (accepted < 0) {
        return;
    }
    struct cm_client *client = add_client(control, accepted);
    if (control->count > CLIENTS_MAX) {
        refuse_line(client, EX_TEMPFAIL, _("too many clients; try again"));
        client->closing = 1;
        return;
    }
    bufferevent_enable(client->stream, EV_READ | EV_WRITE);
}

/* ---- What commands.c uses -------------------------------------------------------------------- */

struct cm_client *cm_control_client(struct cm_control *control, uint64_t number)
{
    for (struct cm_client *client = control->first; client; client = client->next) {
        if (client->number == number) {
            return client;
        }
    }
    return NULL;
}

uint64_t cm_client_number(const struct cm_client *client)
{
    return client->number;
}

struct cm_daemon *cm_client_daemon(const struct cm_client *client)
{
    return client->control->daemon;
}

struct json_object *cm_client_request(const struct cm_client *client)
{
    return client->request;
}

/* The next line is taken when what was written has gone out, or now when nothing was. */
static void ready_again(struct cm_client *client)
{
    json_object_put(client->request);
    client->request = NULL;
    bufferevent_trigger(client->stream, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

void cm_client_answer(struct cm_client *client, struct json_object *answer)
{
    json_object_object_add(answer, "ok", json_object_new_boolean(1));
    send_line(client, answer);
    json_object_put(answer);
    ready_again(client);
}

void cm_client_refuse(struct cm_client *client, int status, char *words)
{
    refuse_line(client, status, words);
    free(words);
    ready_again(client);
}

/* ---- Watching -------------------------------------------------------------------------------- */

void cm_client_watch(struct cm_client *client, const char *job)
{
    free(client->watch);
    client->watch = cm_strdup(job);
    if (*job) {
        cm_control_job_changed(client->control, job);
    }
}

static int watches(const struct cm_client *client, const char *job)
{
    return client->watch && (!*client->watch || !strcmp(client->watch, job));
}

static void tell_client(struct cm_client *client, struct json_object *line, int over)
{
    if (unread(client) > STUCK_BYTES) {
        client->closing = 1;
        bufferevent_disable(client->stream, EV_READ);
        return;
    }
    int is_last = over && *client->watch;
    if (!is_last && unread(client) > SLOW_BYTES) {
        return;
    }
    send_line(client, line);
    json_object_put(client->last);
    client->last = is_last ? NULL : json_object_get(line);
    if (is_last) {
        free(client->watch);
        client->watch = NULL;
    }
}

static void put_text(struct json_object *object, const char *field, const char *text)
{
    json_object_object_add(object, field, json_object_new_string(text));
}

/* What it knows of its job, and that this waits. */
static void tell_held(struct cm_client *client, const char *words)
{
    struct json_object *line = NULL, *summary = NULL;
    if (!client->last || json_object_deep_copy(client->last, &line, NULL) != 0) {
        return;
    }
    summary = cm_json_object(line, "job");
    json_object_object_add(summary, "held", json_object_new_boolean(1));
    put_text(summary, "reason", cm_hold_name(CM_HELD_RESOURCE));
    put_text(summary, "words", words);
    send_line(client, line);
    json_object_put(line);
}

/* The request stays with the store, but its answer will find nobody. */
static void give_up_waiting(struct cm_client *client, const char *words)
{
    if (client->request && !client->closing) {
        client->number = ++client->control->last_number;
        cm_client_refuse(client, EX_TEMPFAIL, cm_strdup(words));
    }
}

void cm_control_paused(struct cm_control *control)
{
    char *words = cm_daemon_pause_words(control->daemon);
    int store_away = (control->daemon->pauses & CM_PAUSE_STORE) != 0;
    for (struct cm_client *client = control->first; client; client = client->next) {
        if (store_away) {
            give_up_waiting(client, words);
        }
        if (words && client->watch && unread(client) < SLOW_BYTES) {
            tell_held(client, words);
        } else if (client->watch && *client->watch) {
            cm_control_job_changed(control, client->watch);
        }
    }
    free(words);
}

static void on_view(void *arg, const struct cm_view *view, const char *error)
{
    struct cm_control *control = arg;
    if (error || !view->job) {
        return;
    }
    int over = cm_job_is_over(view->job->state);
    struct json_object *line = json_object_new_object(), *end = json_object_new_object();
    struct json_object *summary = cm_view_summary(view);
    json_object_object_add(line, "event", json_object_new_string("job"));
    json_object_object_add(line, "job", json_object_get(summary));
    json_object_object_add(end, "event", json_object_new_string("end"));
    json_object_object_add(end, "job", summary);
    for (struct cm_client *client = control->first; client; client = client->next) {
        if (watches(client, view->job->id) && !client->closing) {
            tell_client(client, over && *client->watch ? end : line, over);
        }
    }
    json_object_put(line);
    json_object_put(end);
}

static void on_tell(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct cm_control *control = arg;
    size_t count = control->changed_count;
    char **changed = control->changed;
    control->changed = NULL;
    control->changed_count = control->changed_room = 0;
    control->told_boot_ms = cm_boot_ms();
    for (size_t i = 0; i < count; i++) {
        if (!(control->daemon->pauses & CM_PAUSE_STORE)) { /* else all are told when it is back */
            cm_view_job(control->daemon, changed[i], 0, on_view, control);
        }
        free(changed[i]);
    }
    free(changed);
}

void cm_control_job_changed(struct cm_control *control, const char *job)
{
    int watched = 0;
    for (struct cm_client *client = control->first; client; client = client->next) {
        watched |= watches(client, job);
    }
    for (size_t i = 0; i < control->changed_count; i++) {
        watched &= strcmp(control->changed[i], job) != 0;
    }
    if (!watched) {
        return;
    }
    control->changed = cm_grow(control->changed, &control->changed_room, control->changed_count, sizeof(char *));
    control->changed[control->changed_count++] = cm_strdup(job);
    int64_t wait_ms = control->told_boot_ms + TELL_EVERY_MS - cm_boot_ms();
    struct timeval after = {0, (wait_ms > 0 ? wait_ms : 0) * 1000};
    if (!evtimer_pending(control->tell, NULL)) {
        event_add(control->tell, &after);
    }
}

/* ---- The socket ------------------------------------------------------------------------------ */

/* Locks PATH.lock: several daemons may share a state folder, but not a socket. */
static int lock_socket(int folder, const char *name)
{
    char *lock = cm_format("%s.lock", name);
    int fd = openat(folder, lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        fd = -1;
        errno = EADDRINUSE;
    }
    free(lock);
    return fd;
}

/* Binds the socket however long its path is; one left by an earlier daemon goes: the lock says
 * that nobody serves it. */
static int listen_at(struct cm_control *control, const char *path)
{
    const char *name = strrchr(path, '/') + 1;
    char *parent = cm_strndup(path, (size_t)(name - path));
    int folder = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    free(parent);
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%.80s", folder, name);
    control->lock_fd = folder < 0 ? -1 : lock_socket(folder, name);
    int failed = control->lock_fd < 0 || fd < 0;
    if (!failed) {
        unlinkat(folder, name, 0);
        mode_t old = umask(0177);
        failed = bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, BACKLOG) != 0;
        umask(old);
    }
    int saved = errno;
    if (folder >= 0) {
        close(folder);
    }
    if (failed && fd >= 0) {
        close(fd);
    }
    errno = saved;
    return failed ? -1 : fd;
}

static char *not_served(const char *path)
{
    return errno == EADDRINUSE
               ? cm_format(_("another clipmakerd serves %s: give this one a socket of its own with --control PATH"),
                           path)
               : cm_format(_("cannot serve %s: %s"), path, strerror(errno));
}

struct cm_control *cm_control_new(struct cm_daemon *daemon, char **error)
{
    struct cm_control *control = cm_alloc(sizeof *control);
    control->magic = CONTROL_MAGIC;
    control->daemon = daemon;
    control->listen_fd = control->lock_fd = -1;
    control->tell = evtimer_new(daemon->base, on_tell, control);
    if (daemon->is_private) {
        add_client(control, daemon->control_fd)->is_parent = 1;
        return control;
    }
    control->listen_fd = listen_at(control, daemon->control_path);
    if (control->listen_fd < 0) {
        *error = not_served(daemon->control_path);
        cm_control_free(control);
        return NULL;
    }
    control->acceptable = event_new(daemon->base, control->listen_fd, EV_READ | EV_PERSIST, on_acceptable, control);
    return control;
}

void cm_control_open(struct cm_control *control)
{
    if (control->acceptable) {
        event_add(control->acceptable, NULL);
    }
    for (struct cm_client *client = control->first; client; client = client->next) {
        bufferevent_enable(client->stream, EV_READ | EV_WRITE);
    }
}

void cm_control_free(struct cm_control *control)
{
    if (!control) {
        return;
    }
    while (control->first) {
        drop(control->first);
    }
    for (size_t i = 0; i < control->changed_count; i++) {
        free(control->changed[i]);
    }
    free(control->changed);
    if (control->acceptable) {
        event_free(control->acceptable);
    }
    event_free(control->tell);
    if (control->listen_fd >= 0) {
        close(control->listen_fd);
        unlink(control->daemon->control_path);
    }
    if (control->lock_fd >= 0) {
        close(control->lock_fd); /* the file stays: another may have it open already */
    }
    free(control);
}
