/*
 * The socket, and news for those who watch.
 */
#include "core/daemon/control/control.h"

#include <errno.h>
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
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/daemon/control/client.h"
#include "core/daemon/control/views.h"
#include "core/daemon/daemon.h"

#define CLIENTS_MAX 64
#define BACKLOG 16
#define TELL_EVERY_MS 250

struct cm_control {
    struct cm_daemon *daemon;
    int listen_fd, lock_fd;
    struct event *acceptable;
    char **changed; /* jobs whose watchers are to be told */
    size_t changed_count, changed_room;
    struct event *tell;
    int64_t told_boot_ms;
};

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct cm_control *control = arg;
    int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (accepted < 0) {
        return;
    }
    struct cm_clients *clients = control->daemon->clients;
    struct cm_client *client = cm_client_add(clients, accepted, 0);
    if (cm_clients_count(clients) > CLIENTS_MAX) {
        cm_client_turn_away(client, EX_TEMPFAIL, _("too many clients; try again"));
        return;
    }
    cm_client_open(client);
}

/* ---- Watching -------------------------------------------------------------------------------- */

/* Something about this job changed: its watchers are told within 250 ms. */
static void on_job_changed(void *arg, const char *job)
{
    struct cm_control *control = arg;
    struct cm_client *client = NULL;
    int watched = 0;
    while ((client = cm_clients_next(control->daemon->clients, client))) {
        watched |= cm_client_watches(client, job);
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

/* The daemon paused, or goes on. While the store answers nothing, whoever waits for it is told so, and watchers see
 * their job held. */
static void on_paused(void *arg)
{
    struct cm_control *control = arg;
    struct cm_client *client = NULL;
    char *words = cm_daemon_pause_words(control->daemon);
    int store_away = (control->daemon->pauses & CM_PAUSE_STORE) != 0;
    while ((client = cm_clients_next(control->daemon->clients, client))) {
        const char *watched = cm_client_watched(client);
        if (store_away) {
            cm_client_give_up(client, words);
        }
        if (words && watched && !cm_client_is_slow(client)) {
            cm_client_tell_held(client, words);
        } else if (watched && *watched) {
            on_job_changed(control, watched);
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
    struct cm_client *client = NULL;
    while ((client = cm_clients_next(control->daemon->clients, client))) {
        if (cm_client_watches(client, view->job->id)) {
            cm_client_tell(client, line, over ? end : NULL);
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
    control->daemon = daemon;
    control->listen_fd = control->lock_fd = -1;
    control->tell = evtimer_new(daemon->base, on_tell, control);
    daemon->listener = (struct cm_listener){on_job_changed, on_paused, control};
    if (daemon->is_private) {
        cm_client_add(daemon->clients, daemon->control_fd, 1);
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
    struct cm_client *client = NULL;
    while ((client = cm_clients_next(control->daemon->clients, client))) {
        cm_client_open(client);
    }
}

void cm_control_free(struct cm_control *control)
{
    if (!control) {
        return;
    }
    control->daemon->listener = (struct cm_listener){0};
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
