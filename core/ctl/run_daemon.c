/*
 * The private clipmakerd of one run.
 */
#include "core/ctl/run_daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/ctl/client.h"
#include "core/ctl/ctl.h"

#define CONTROL_FD 3
#define END_WAIT_MS 8000
#define LOG_TAIL_BYTES (64 * 1024)

char *cm_run_program(int place, const char *name)
{
    char self[PATH_MAX];
    ssize_t bytes = readlink("/proc/self/exe", self, sizeof self - 1);
    self[bytes > 0 ? bytes : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (slash) {
        slash[1] = '\0';
        char *beside = cm_path_join(self, name);
        if (access(beside, X_OK) == 0) {
            return beside;
        }
        free(beside);
    }
    char *folder = cm_place(place);
    char *path = cm_path_join(folder, name);
    free(folder);
    return path;
}

/* In the child. The lock of the run is inherited on purpose: it lasts as long as the daemon. */
static void become_daemon(char *const argv[], int control, int log)
{
    setsid();
    int null = open("/dev/null", O_RDONLY);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    if (null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0) {
        _exit(EX_OSERR);
    }
    /* dup2 onto itself would keep close-on-exec. */
    if (control == CONTROL_FD ? fcntl(control, F_SETFD, 0) : dup2(control, CONTROL_FD) < 0) {
        _exit(EX_OSERR);
    }
    execv(argv[0], argv);
    dprintf(2, "%s: %s\n", argv[0], strerror(errno));
    _exit(EX_CONFIG);
}

static int start_failed(const char *what)
{
    return cm_ctl_fail(EX_TEMPFAIL, _("cannot start clipmakerd: %s (%s); try again"), what, strerror(errno));
}

static pid_t fork_daemon(char *const argv[], int control, int log)
{
    pid_t pid = fork();
    if (pid == 0) {
        become_daemon(argv, control, log);
    }
    return pid;
}

int cm_run_daemon_start(struct cm_run_daemon *daemon, const char *config, const char *state, const char *output)
{
    *daemon = (struct cm_run_daemon){.pid = -1, .log_path = cm_path_join(state, "log")};
    int log = open(daemon->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    struct stat info;
    if (log < 0 || fstat(log, &info)) {
        return start_failed(daemon->log_path);
    }
    daemon->log_start = info.st_size;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
        close(log);
        return start_failed("socketpair");
    }
    char *program = cm_run_program(CM_PLACE_SBIN, "clipmakerd");
    const char *argv[] = {program, "-c", config, "--state", state, "--control-fd", "3", "--output", output, NULL};
    daemon->pid = fork_daemon((char *const *)argv, pair[1], log);
    int error = errno;
    free(program);
    close(log);
    close(pair[1]);
    daemon->client = cm_client_over(pair[0]);
    errno = error;
    return daemon->pid < 0 ? start_failed("fork") : 0;
}

/* Waits for the daemon at most so long; its wait status, or -1. */
static int wait_for_end(pid_t pid, int64_t wait_ms)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    int status = -1;
    for (int64_t until_ms = cm_boot_ms() + wait_ms;;) {
        pid_t ended = waitpid(pid, &status, WNOHANG);
        if (ended == pid) {
            return status;
        }
        if ((ended < 0 && errno != EINTR) || cm_boot_ms() >= until_ms) {
            return -1;
        }
        nanosleep(&pause, NULL);
    }
}

int cm_run_daemon_end(struct cm_run_daemon *daemon)
{
    int status = -1;
    cm_client_free(daemon->client);
    daemon->client = NULL;
    if (daemon->pid > 0) {
        status = wait_for_end(daemon->pid, END_WAIT_MS);
        if (status < 0 && kill(daemon->pid, SIGKILL) == 0) {
            status = wait_for_end(daemon->pid, END_WAIT_MS);
        }
        daemon->pid = -1;
    }
    return status;
}

void cm_run_daemon_release(struct cm_run_daemon *daemon)
{
    cm_run_daemon_end(daemon);
    free(daemon->log_path);
    daemon->log_path = NULL;
}

/* Its lines are JSON; one that is not comes from a library or from the system, and counts too. */
static char *words_of_line(const char *line, size_t bytes)
{
    char *error = NULL;
    struct json_object *entry = cm_json_parse(line, bytes, &error);
    free(error);
    const char *level = entry ? cm_json_text(entry, "level", "") : "error";
    char *words = NULL;
    if (!strcmp(level, "error") || !strcmp(level, "warn")) {
        words = entry ? cm_strdup(cm_json_text(entry, "text", "")) : cm_strndup(line, bytes);
    }
    json_object_put(entry);
    return words;
}

char *cm_run_daemon_last_words(const struct cm_run_daemon *daemon)
{
    char *words = cm_strdup("");
    FILE *log = fopen(daemon->log_path, "re");
    char *text = cm_alloc(LOG_TAIL_BYTES + 1);
    size_t got = 0;
    if (log) {
        int64_t end = cm_file_bytes(daemon->log_path);
        int64_t from = end - LOG_TAIL_BYTES > daemon->log_start ? end - LOG_TAIL_BYTES : daemon->log_start;
        got = fseek(log, (long)from, SEEK_SET) ? 0 : fread(text, 1, LOG_TAIL_BYTES, log);
        fclose(log);
    }
    for (size_t start = 0; start < got;) {
        size_t bytes = strcspn(text + start, "\n");
        char *found = bytes > 0 ? words_of_line(text + start, bytes) : NULL;
        if (found) {
            free(words);
            words = found;
        }
        start += bytes + 1;
    }
    free(text);
    return words;
}
