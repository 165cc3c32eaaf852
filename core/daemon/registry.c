/*
 * Asking `clipmaker-worker --describe`, with a deadline, and keeping the answer.
 */
#include "core/daemon/registry.h"

#include <clipmaker/plugin.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/common/done.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/daemon/run/spawn.h"

#define DESCRIBE_DEADLINE_MS 10000
#define OUTPUT_MAX_BYTES (1024 * 1024)

struct known {
    char *path;
    dev_t device;
    ino_t inode;
    struct timespec changed;
    off_t bytes;
    struct json_object *described;
};

struct cm_registry {
    struct known *known;
    size_t count, room;
};

/* One run of --describe. */
struct asking {
    pid_t pid;
    int fds[2]; /* its output and its errors; -1 when ended */
    struct cm_text texts[2];
    int64_t until_boot_ms;
    int late, too_long;
};

struct cm_registry *cm_registry_new(void)
{
    return cm_alloc(sizeof(struct cm_registry));
}

void cm_registry_free(struct cm_registry *registry)
{
    for (size_t i = 0; registry && i < registry->count; i++) {
        json_object_put(registry->known[i].described);
        free(registry->known[i].path);
    }
    if (registry) {
        free(registry->known);
    }
    free(registry);
}

/* ---- The run --------------------------------------------------------------------------------- */

static void close_both(int pair[2])
{
    close(pair[0]);
    close(pair[1]);
}

static int start_asking(struct asking *asking, const char *worker, const char *path)
{
    int out[2], err[2];
    if (pipe2(out, O_CLOEXEC) != 0) {
        return -1;
    }
    if (pipe2(err, O_CLOEXEC) != 0) {
        close_both(out);
        return -1;
    }
    const char *argv[] = {worker, "--describe", path, NULL};
    asking->pid = cm_spawn(&(struct cm_spawn){argv, -1, out[1], err[1]});
    int saved = errno;
    close(out[1]);
    close(err[1]);
    asking->fds[0] = out[0];
    asking->fds[1] = err[0];
    if (asking->pid < 0) {
        close(out[0]);
        close(err[0]);
    }
    errno = saved;
    return asking->pid < 0 ? -1 : 0;
}

static void take_output(struct asking *asking, int which)
{
    char block[4096];
    ssize_t got = read(asking->fds[which], block, sizeof block);
    if (got > 0 && asking->texts[which].length + (size_t)got <= OUTPUT_MAX_BYTES) {
        cm_text_add_bytes(&asking->texts[which], block, (size_t)got);
        return;
    }
    if (got < 0 && errno == EINTR) {
        return;
    }
    asking->too_long |= got > 0;
    close(asking->fds[which]);
    asking->fds[which] = -1;
}

/* Reads both pipes to their end, or to the deadline. */
static void listen_to(struct asking *asking)
{
    while (asking->fds[0] >= 0 || asking->fds[1] >= 0) {
        int64_t left = asking->until_boot_ms - cm_boot_ms();
        if (left <= 0) {
            asking->late = 1;
            break;
        }
        struct pollfd both[2] = {{asking->fds[0], POLLIN, 0}, {asking->fds[1], POLLIN, 0}};
        if (poll(both, 2, (int)left) < 0 && errno != EINTR) {
            break;
        }
        for (int i = 0; i < 2; i++) {
            if (asking->fds[i] >= 0 && both[i].revents) {
                take_output(asking, i);
            }
        }
    }
    for (int i = 0; i < 2; i++) {
        if (asking->fds[i] >= 0) {
            close(asking->fds[i]);
        }
    }
}

/* Ends the whole group and gives the status; a process that closed its output may still hang. */
static int finish_asking(struct asking *asking)
{
    siginfo_t info = {0};
    struct timespec pause = {0, 5000000};
    while (!asking->late) {
        if (waitid(P_PID, (id_t)asking->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid) {
            break;
        }
        asking->late = cm_boot_ms() >= asking->until_boot_ms;
        nanosleep(&pause, NULL);
    }
    kill(-asking->pid, SIGKILL);
    int status = 0;
    while (waitpid(asking->pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

/* The last line that is not empty, in place. */
static const char *last_line(struct cm_text *text)
{
    while (text->length > 0 && strchr("\r\n ", text->bytes[text->length - 1])) {
        text->bytes[--text->length] = '\0';
    }
    const char *newline = text->length ? strrchr(text->bytes, '\n') : NULL;
    return newline ? newline + 1 : text->length ? text->bytes : "";
}

static char *problem_of(struct asking *asking, int status)
{
    if (asking->late) {
        return cm_format("it did not describe itself within %d s", DESCRIBE_DEADLINE_MS / 1000);
    }
    if (asking->too_long) {
        return cm_strdup("its description is too long");
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return NULL;
    }
    const char *words = last_line(&asking->texts[1]);
    if (WIFEXITED(status) && *words) {
        return cm_strdup(words);
    }
    char *how = cm_spawn_status_words(status);
    char *problem = cm_format("loading it ended with %s%s%.200s", how, *words ? ": " : "", words);
    free(how);
    return problem;
}

static struct json_object *ask(const char *worker, const char *path, char **error)
{
    struct asking asking = {.fds = {-1, -1}, .until_boot_ms = cm_boot_ms() + DESCRIBE_DEADLINE_MS};
    if (start_asking(&asking, worker, path) != 0) {
        *error = cm_format("cannot start %s: %s", worker, strerror(errno));
        return NULL;
    }
    listen_to(&asking);
    int status = finish_asking(&asking);
    struct json_object *described = NULL;
    *error = problem_of(&asking, status);
    if (!*error) {
        char *why = NULL;
        described = cm_json_parse(asking.texts[0].bytes ? asking.texts[0].bytes : "", asking.texts[0].length, &why);
        *error = described ? NULL : cm_format("its description makes no sense: %s", why);
        free(why);
    }
    cm_text_free(&asking.texts[0]);
    cm_text_free(&asking.texts[1]);
    return described;
}

/* ---- The memory ------------------------------------------------------------------------------ */

static int is_same_file(const struct known *known, const struct stat *info)
{
    return known->device == info->st_dev && known->inode == info->st_ino && known->bytes == info->st_size &&
           known->changed.tv_sec == info->st_mtim.tv_sec && known->changed.tv_nsec == info->st_mtim.tv_nsec;
}

static struct known *find_known(struct cm_registry *registry, const char *path)
{
    for (size_t i = 0; i < registry->count; i++) {
        if (!strcmp(registry->known[i].path, path)) {
            return &registry->known[i];
        }
    }
    registry->known = cm_grow(registry->known, &registry->room, registry->count, sizeof *registry->known);
    struct known *fresh = &registry->known[registry->count++];
    *fresh = (struct known){.path = cm_strdup(path)};
    return fresh;
}

struct json_object *cm_registry_describe(struct cm_registry *registry, const char *worker, const char *path,
                                         char **error)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        *error = cm_format("there is no such plugin: %s: %s", path, strerror(errno));
        return NULL;
    }
    struct known *known = find_known(registry, path);
    if (known->described && is_same_file(known, &info)) {
        return json_object_get(known->described);
    }
    struct json_object *described = ask(worker, path, error);
    if (described && !cm_stage_from_name(cm_json_text(described, "stage", ""))) {
        *error = cm_strdup("its description names no stage that this program knows");
        json_object_put(described);
        described = NULL;
    }
    if (!described) {
        return NULL;
    }
    json_object_put(known->described);
    known->described = json_object_get(described);
    known->device = info.st_dev;
    known->inode = info.st_ino;
    known->changed = info.st_mtim;
    known->bytes = info.st_size;
    return described;
}
