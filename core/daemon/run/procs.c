/*
 * Worker processes, their sockets, and SIGCHLD.
 */
#include "core/daemon/run/procs.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/common/log.h"
#include "core/common/text.h"
#include "core/daemon/crashpoint.h"
#include "core/daemon/run/spawn.h"

#define PROC_MAGIC 0x636d7063u

struct cm_proc {
    unsigned magic;
    struct cm_procs *procs;
    struct cm_proc *next;
    pid_t pid;
    int fd; /* -1: closed by the other side */
    struct event *readable;
    int bad; /* it said something that is no message: nothing more is heard */
    cm_proc_message_fn message;
    cm_proc_ended_fn ended;
    void *arg;
};

struct child {
    struct child *next;
    pid_t pid;
    cm_child_ended_fn ended;
    void *arg;
};

struct cm_procs {
    struct event_base *base;
    struct event *signal;
    struct cm_proc *first;
    struct child *children;
    int err; /* where their log goes; -1: to ours */
};

static struct cm_proc *proc_of(void *arg)
{
    struct cm_proc *proc = arg;
    cm_assert(proc->magic == PROC_MAGIC);
    return proc;
}

/* ---- Listening ------------------------------------------------------------------------------- */

static void hang_up(struct cm_proc *proc)
{
    if (proc->readable) {
        event_free(proc->readable);
        proc->readable = NULL;
    }
    if (proc->fd >= 0) {
        close(proc->fd);
        proc->fd = -1;
    }
}

/* Delivers one message; 0 when there is none (left). */
static int take_message(struct cm_proc *proc)
{
    struct json_object *message = NULL;
    char *error = NULL;
    if (proc->fd < 0 || proc->bad) {
        return 0;
    }
    switch (cm_message_receive(proc->fd, 0, &message, &error)) {
    case CM_MESSAGE_OK:
        proc->message(proc->arg, message);
        json_object_put(message);
        return 1;
    case CM_MESSAGE_BAD:
        cm_warn("worker %d said what is no message: %s", (int)proc->pid, error);
        free(error);
        proc->bad = 1;
        kill(-proc->pid, SIGKILL);
        return 0;
    case CM_MESSAGE_CLOSED:
        /* Alive without its socket it can never answer; when it is just ending, its status is
         * settled and this kill changes nothing. */
        hang_up(proc);
        kill(-proc->pid, SIGKILL);
        return 0;
    default:
        return 0;
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    take_message(proc_of(arg)); /* what is left makes it readable again, and others have their turn */
}

/* ---- Ending ---------------------------------------------------------------------------------- */

static void forget(struct cm_procs *procs, struct cm_proc *proc)
{
    for (struct cm_proc **place = &procs->first; *place; place = &(*place)->next) {
        if (*place == proc) {
            *place = proc->next;
            return;
        }
    }
}

/* The process is dead but not yet reaped, so its group id is still its own. */
static void bury(struct cm_proc *proc)
{
    while (take_message(proc)) {
    }
    kill(-proc->pid, SIGKILL);
    int status = 0;
    while (waitpid(proc->pid, &status, 0) < 0 && errno == EINTR) {
    }
    hang_up(proc);
    forget(proc->procs, proc);
    char *words = proc->bad ? cm_strdup(_("it sent what is no message")) : cm_spawn_status_words(status);
    proc->ended(proc->arg, status, words);
    free(words);
    proc->magic = 0;
    free(proc);
}

static struct cm_proc *find_proc(struct cm_procs *procs, pid_t pid)
{
    struct cm_proc *proc = procs->first;
    while (proc && proc->pid != pid) {
        proc = proc->next;
    }
    return proc;
}

/* A child without a socket; or a grandchild that its parent left behind, which came to us as the
 * next reaper: nobody else would ever bury it. */
static void bury_other(struct cm_procs *procs, pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    for (struct child **place = &procs->children; *place; place = &(*place)->next) {
        struct child *child = *place;
        if (child->pid == pid) {
            *place = child->next;
            child->ended(child->arg, status);
            free(child);
            return;
        }
    }
}

/* One signal may stand for many children. */
static void on_child(evutil_socket_t number, short what, void *arg)
{
    (void)number;
    (void)what;
    struct cm_procs *procs = arg;
    for (;;) {
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) {
            return;
        }
        struct cm_proc *proc = find_proc(procs, info.si_pid);
        if (proc) {
            bury(proc);
        } else {
            bury_other(procs, info.si_pid);
        }
    }
}

void cm_procs_await_child(struct cm_procs *procs, pid_t pid, cm_child_ended_fn ended, void *arg)
{
    struct child *child = cm_alloc(sizeof *child);
    *child = (struct child){procs->children, pid, ended, arg};
    procs->children = child;
}

/* ---- Starting -------------------------------------------------------------------------------- */

struct cm_procs *cm_procs_new(struct event_base *base)
{
    struct cm_procs *procs = cm_alloc(sizeof *procs);
    procs->base = base;
    procs->err = -1;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    procs->signal = evsignal_new(base, SIGCHLD, on_child, procs);
    event_add(procs->signal, NULL);
    return procs;
}

void cm_procs_hush(struct cm_procs *procs)
{
    procs->err = procs->err < 0 ? open("/dev/null", O_WRONLY | O_CLOEXEC) : procs->err;
}

void cm_procs_kill_all(struct cm_procs *procs)
{
    for (struct cm_proc *proc = procs->first; proc; proc = proc->next) {
        kill(-proc->pid, SIGKILL);
    }
}

void cm_procs_free(struct cm_procs *procs)
{
    if (!procs) {
        return;
    }
    cm_procs_kill_all(procs);
    while (procs->first) {
        struct cm_proc *proc = procs->first;
        procs->first = proc->next;
        waitpid(proc->pid, NULL, 0);
        hang_up(proc);
        free(proc);
    }
    while (procs->children) {
        struct child *child = procs->children;
        procs->children = child->next;
        kill(-child->pid, SIGKILL);
        waitpid(child->pid, NULL, 0);
        free(child);
    }
    while (waitpid(-1, NULL, WNOHANG) > 0) { /* what they had left behind came to us */
    }
    event_free(procs->signal);
    if (procs->err >= 0) {
        close(procs->err);
    }
    free(procs);
}

struct cm_proc *cm_proc_start(struct cm_procs *procs, const char *program, cm_proc_message_fn message,
                              cm_proc_ended_fn ended, void *arg)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        return NULL;
    }
    const char *argv[] = {program, "--serve", NULL};
    cm_crash_point("before a start");
    pid_t pid = cm_spawn(&(struct cm_spawn){argv, pair[1], -1, procs->err});
    cm_crash_point("after a start");
    int saved = errno;
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        errno = saved;
        return NULL;
    }
    struct cm_proc *proc = cm_alloc(sizeof *proc);
    *proc = (struct cm_proc){.magic = PROC_MAGIC, .procs = procs, .pid = pid, .fd = pair[0]};
    proc->message = message;
    proc->ended = ended;
    proc->arg = arg;
    proc->next = procs->first;
    procs->first = proc;
    proc->readable = event_new(procs->base, pair[0], EV_READ | EV_PERSIST, on_readable, proc);
    event_add(proc->readable, NULL);
    return proc;
}

pid_t cm_proc_pid(const struct cm_proc *proc)
{
    return proc->pid;
}

enum cm_message_result cm_proc_send(struct cm_proc *proc, struct json_object *message)
{
    if (proc->fd < 0) {
        return CM_MESSAGE_CLOSED;
    }
    cm_crash_point("before a message");
    enum cm_message_result result = cm_message_send(proc->fd, message, 0);
    cm_crash_point("after a message");
    return result;
}

void cm_proc_signal(struct cm_proc *proc, int number)
{
    kill(-proc->pid, number);
}

size_t cm_procs_count(const struct cm_procs *procs)
{
    size_t count = 0;
    for (const struct cm_proc *proc = procs->first; proc; proc = proc->next) {
        count++;
    }
    return count;
}
