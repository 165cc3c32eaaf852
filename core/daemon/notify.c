/*
 * The protocol of sd_notify(3): one datagram, NAME=value lines.
 */
#include "core/daemon/notify.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "core/common/log.h"
#include "core/common/text.h"
#include "core/daemon/daemon.h"

#define STATUS_MS 5000 /* a status is no older than this */

struct cm_notify {
    struct cm_daemon *daemon;
    struct sockaddr_un address;
    socklen_t address_bytes;
    int fd; /* -1: nobody listens */
    int64_t beat_ms;
    int wants_beat, is_ready;
    struct event *beat;
    char *status; /* told last */
};

static void tell(struct cm_notify *notify, const char *text)
{
    if (notify->fd < 0) {
        return;
    }
    ssize_t sent = sendto(notify->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
                          (const struct sockaddr *)&notify->address, notify->address_bytes);
    if (sent < 0) {
        cm_debug("the service manager was not told: %s", strerror(errno));
    }
}

/* ---- Status and signs of life ---------------------------------------------------------------- */

static char *status_words(const struct cm_daemon *daemon)
{
    char *pause = cm_daemon_pause_words(daemon);
    char *words = pause ? cm_format("STATUS=%s\n", pause)
                        : cm_format(_("STATUS=%zu unfinished jobs, %zu attempts running\n"),
                                    cm_engine_job_count(daemon->engine), cm_engine_running(daemon->engine));
    free(pause);
    return words;
}

static void tell_status(struct cm_notify *notify)
{
    char *words = status_words(notify->daemon);
    if (notify->status && !strcmp(notify->status, words)) {
        free(words);
        return;
    }
    tell(notify, words);
    free(notify->status);
    notify->status = words;
}

static void on_beat(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct cm_notify *notify = arg;
    if (notify->wants_beat) {
        tell(notify, "WATCHDOG=1\n");
    }
    if (notify->is_ready) {
        tell_status(notify);
    }
}

/* The watchdog's time in ms, 0: nobody waits for signs of life of this process. */
static int64_t watchdog_ms(void)
{
    const char *text = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    if (!text || (pid && strtol(pid, NULL, 10) != (long)getpid())) {
        return 0;
    }
    long long us = strtoll(text, NULL, 10);
    return us > 0 ? us / 1000 : 0;
}

static void start_beat(struct cm_notify *notify)
{
    int64_t watchdog = watchdog_ms();
    notify->wants_beat = watchdog > 0;
    notify->beat_ms = watchdog > 0 && watchdog / 3 < STATUS_MS ? watchdog / 3 : STATUS_MS;
    notify->beat_ms = notify->beat_ms > 0 ? notify->beat_ms : 1;
    notify->beat = event_new(notify->daemon->base, -1, EV_PERSIST, on_beat, notify);
    struct timeval each = {notify->beat_ms / 1000, notify->beat_ms % 1000 * 1000};
    event_add(notify->beat, &each);
}

/* ---- The socket ------------------------------------------------------------------------------ */

/* A path, or with '@' an abstract name. */
static int read_address(struct cm_notify *notify, const char *name)
{
    size_t bytes = strlen(name);
    if ((*name != '/' && *name != '@') || bytes < 2 || bytes >= sizeof notify->address.sun_path) {
        cm_warn("NOTIFY_SOCKET is no address of a socket: %.100s", name);
        return -1;
    }
    notify->address.sun_family = AF_UNIX;
    memcpy(notify->address.sun_path, name, bytes + 1);
    notify->address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes);
    if (*name == '@') {
        notify->address.sun_path[0] = '\0';
    } else {
        notify->address_bytes++;
    }
    return 0;
}

struct cm_notify *cm_notify_new(struct cm_daemon *daemon)
{
    struct cm_notify *notify = cm_alloc(sizeof *notify);
    const char *name = getenv("NOTIFY_SOCKET");
    notify->daemon = daemon;
    notify->fd = -1;
    if (!name || daemon->is_private || read_address(notify, name) != 0) {
        return notify;
    }
    notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (notify->fd >= 0) {
        start_beat(notify);
    }
    return notify;
}

void cm_notify_free(struct cm_notify *notify)
{
    if (!notify) {
        return;
    }
    if (notify->beat) {
        event_free(notify->beat);
    }
    if (notify->fd >= 0) {
        close(notify->fd);
    }
    free(notify->status);
    free(notify);
}

/* ---- What happens ---------------------------------------------------------------------------- */

void cm_notify_ready(struct cm_notify *notify)
{
    notify->is_ready = 1;
    tell(notify, "READY=1\n");
    if (notify->fd >= 0) {
        tell_status(notify);
    }
}

void cm_notify_reloading(struct cm_notify *notify)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long long us = (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000;
    char *text = cm_format("RELOADING=1\nMONOTONIC_USEC=%lld\n", us);
    tell(notify, text);
    free(text);
}

void cm_notify_reloaded(struct cm_notify *notify)
{
    tell(notify, "READY=1\n");
}

void cm_notify_stopping(struct cm_notify *notify, int64_t within_ms)
{
    char *text = cm_format("STOPPING=1\nEXTEND_TIMEOUT_USEC=%lld\n", (long long)within_ms * 1000);
    tell(notify, text);
    free(text);
    if (notify->fd >= 0) {
        tell_status(notify);
    }
}
