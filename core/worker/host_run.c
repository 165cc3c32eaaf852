/*
 * A plugin's child command: without a shell, in a process group of its own, with a deadline.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/common/log.h"
#include "core/common/text.h"
#include "core/worker/call.h"
#include "core/worker/host.h"

#define KEPT_BYTES (64 * 1024)
#define LOOK_EVERY_MS 100
#define GRACE_MS 1000
#define DEADLINE_MS 60000

/* One output of the child. Beyond what is kept it is read and thrown away: a full pipe would stop
 * the child. */
struct capture {
    int fd;
    struct cm_text text;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* `report` closes by itself when the command starts; otherwise it carries why not. */
static void become(const char *const *argv, int out, int err, int report)
{
    sigset_t none;
    int null = open("/dev/null", O_RDONLY);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    if (dup2(null, 0) >= 0 && dup2(out, 1) >= 0 && dup2(err, 2) >= 0) {
        execvp(argv[0], (char *const *)(uintptr_t)argv);
    }
    int why = errno;
    _exit(write(report, &why, sizeof why) == sizeof why ? 127 : 126);
}

static void read_some(struct capture *capture)
{
    char block[4096];
    ssize_t got = read(capture->fd, block, sizeof block);
    if (got > 0) {
        size_t room = KEPT_BYTES - capture->text.length;
        cm_text_add_bytes(&capture->text, block, (size_t)got < room ? (size_t)got : room);
    } else if (got == 0 || (errno != EINTR && errno != EAGAIN)) {
        close(capture->fd);
        capture->fd = -1;
    }
}

/* Reads both outputs until they end, the child ends, or time is up. 0 when it ended by itself. */
static int attend(struct cm_ctx *ctx, pid_t child, struct capture captures[2], int64_t until_ms, int *status)
{
    int ended = 0;
    while (!ended || captures[0].fd >= 0 || captures[1].fd >= 0) {
        struct pollfd polled[2] = {{.fd = captures[0].fd, .events = POLLIN}, {.fd = captures[1].fd, .events = POLLIN}};
        int ready = poll(polled, 2, ended ? 0 : LOOK_EVERY_MS);
        for (int i = 0; i < 2 && ready > 0; i++) {
            if (polled[i].revents) {
                read_some(&captures[i]);
            }
        }
        if (ended && ready <= 0) {
            return 0; /* a grandchild keeps the pipe open: what it says is of no interest */
        }
        ended = ended || waitpid(child, status, WNOHANG) == child;
        if (!ended && (now_ms() >= until_ms || cm_host_stopping(ctx))) {
            return -1;
        }
    }
    return 0;
}

/* The whole group: first asked, then killed. */
static void put_down(pid_t child, int *status)
{
    kill(-child, SIGTERM);
    for (int waited_ms = 0; waited_ms < GRACE_MS; waited_ms += 50) {
        if (waitpid(child, status, WNOHANG) == child) {
            kill(-child, SIGKILL);
            return;
        }
        nanosleep(&(struct timespec){.tv_nsec = 50 * 1000000}, NULL);
    }
    kill(-child, SIGKILL);
    while (waitpid(child, status, 0) < 0 && errno == EINTR) {
    }
}

static const char *taken(struct cm_ctx *ctx, struct capture *capture)
{
    char *text = cm_text_take(&capture->text);
    char *copy = cm_host_clean(ctx, text);
    free(text);
    if (capture->fd >= 0) {
        close(capture->fd);
    }
    return copy;
}

static int exit_status(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* The ends of a pipe that no later child inherits, or -1 twice. */
struct channel {
    int from, to;
};

static struct channel open_channel(void)
{
    int ends[2];
    return pipe2(ends, O_CLOEXEC) ? (struct channel){-1, -1} : (struct channel){ends[0], ends[1]};
}

static void close_end(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

/* Starts it; the child's process id, or -1 with errno. */
static pid_t start(const char *const *argv, struct capture captures[2])
{
    struct channel out = open_channel(), err = open_channel(), report = open_channel();
    int why = errno;
    pid_t child = out.to >= 0 && err.to >= 0 && report.to >= 0 ? fork() : -1;
    if (child == 0) {
        become(argv, out.to, err.to, report.to);
    }
    close_end(out.to);
    close_end(err.to);
    close_end(report.to);
    captures[0].fd = out.from;
    captures[1].fd = err.from;
    if (child > 0) {
        setpgid(child, child); /* the child does it too: whoever is first */
        if (read(report.from, &why, sizeof why) == sizeof why) {
            waitpid(child, NULL, 0);
            child = -1;
        }
    }
    close_end(report.from);
    errno = why;
    return child;
}

int cm_host_run(struct cm_ctx *ctx, const char *const *argv, int64_t deadline_ms, const char **out, const char **err)
{
    struct capture captures[2] = {{.fd = -1}, {.fd = -1}};
    int status = 0, result = -1;
    pid_t child = start(argv, captures);
    if (child < 0) {
        cm_error("cannot run %s: %s", argv[0], strerror(errno));
    } else if (attend(ctx, child, captures, now_ms() + (deadline_ms > 0 ? deadline_ms : DEADLINE_MS), &status)) {
        put_down(child, &status);
        result = exit_status(status);
    } else {
        kill(-child, SIGKILL); /* whoever it left behind in its group */
        result = exit_status(status);
    }
    const char *said = taken(ctx, &captures[0]), *complained = taken(ctx, &captures[1]);
    if (out) {
        *out = said;
    }
    if (err) {
        *err = complained;
    }
    return result;
}
