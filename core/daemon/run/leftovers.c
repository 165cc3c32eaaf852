/*
 * The lock of an attempt, and who still holds it.
 */
#include "core/daemon/run/leftovers.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/text.h"

#define LEFTOVER_MAGIC 0x636d6c6fu
#define LOOK_EVERY_MS 20
#define SPARE_LOOKS 50 /* how often the worker itself may still be letting go */

struct leftover {
    unsigned magic;
    struct leftover *next;
    struct cm_leftovers *all;
    char *lock;
    pid_t spared;
    int looks;
    struct event *timer;
    cm_lives_fn lives; /* or NULL */
    int after_earlier; /* waits for the workers of earlier daemons, too */
    cm_gone_fn gone;
    void *arg;
};

struct cm_leftovers {
    struct event_base *base;
    struct leftover *first;
    size_t earlier; /* workers of an earlier daemon that are not known to be gone */
};

/* 1 when nobody has the lock, or when it was never made. */
static int is_free(const char *lock)
{
    int fd = open(lock, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        return 1;
    }
    int free_now = flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
    close(fd);
    return free_now;
}

/* Whether the process has this very file open. */
static int has_open(const char *pid, const struct stat *lock)
{
    char *folder = cm_format("/proc/%s/fd", pid);
    DIR *fds = opendir(folder);
    free(folder);
    int found = 0;
    struct dirent *entry;
    while (fds && !found && (entry = readdir(fds))) {
        struct stat info;
        found = isdigit((unsigned char)entry->d_name[0]) && fstatat(dirfd(fds), entry->d_name, &info, 0) == 0 &&
                info.st_dev == lock->st_dev && info.st_ino == lock->st_ino;
    }
    if (fds) {
        closedir(fds);
    }
    return found;
}

static void kill_holders(const struct leftover *leftover)
{
    struct stat lock;
    DIR *processes = stat(leftover->lock, &lock) == 0 ? opendir("/proc") : NULL;
    struct dirent *entry;
    while (processes && (entry = readdir(processes))) {
        pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? (pid_t)atoi(entry->d_name) : 0;
        if (pid > 1 && pid != getpid() && pid != leftover->spared && has_open(entry->d_name, &lock)) {
            cm_warn("process %d was left behind by an attempt that is over: killed", (int)pid);
            kill(pid, SIGKILL);
        }
    }
    if (processes) {
        closedir(processes);
    }
}

static void forget(struct leftover *leftover)
{
    for (struct leftover **place = &leftover->all->first; *place; place = &(*place)->next) {
        if (*place == leftover) {
            *place = leftover->next;
            break;
        }
    }
    event_free(leftover->timer);
    free(leftover->lock);
    leftover->magic = 0;
    free(leftover);
}

static void look_later(struct leftover *leftover)
{
    struct timeval pause = {0, LOOK_EVERY_MS * 1000};
    event_add(leftover->timer, &pause);
}

/* Nobody holds the lock, and nothing else is waited for. */
static int is_over(const struct leftover *leftover)
{
    int lives =
        (leftover->lives && leftover->lives(leftover->arg)) || (leftover->after_earlier && leftover->all->earlier > 0);
    return !lives && is_free(leftover->lock);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct leftover *leftover = arg;
    cm_assert(leftover->magic == LEFTOVER_MAGIC);
    leftover->looks++;
    int worker_keeps_it = leftover->spared && leftover->looks > SPARE_LOOKS;
    if (is_over(leftover) || worker_keeps_it) {
        cm_gone_fn gone = leftover->gone;
        void *gone_arg = leftover->arg;
        forget(leftover);
        gone(gone_arg);
        return;
    }
    /* The first looks give a worker time to close the lock; a dead one needs none. */
    if (!leftover->spared || leftover->looks % 5 == 0) {
        kill_holders(leftover);
    }
    look_later(leftover);
}

struct cm_leftovers *cm_leftovers_new(struct event_base *base)
{
    struct cm_leftovers *leftovers = cm_alloc(sizeof *leftovers);
    leftovers->base = base;
    return leftovers;
}

void cm_leftovers_free(struct cm_leftovers *leftovers)
{
    while (leftovers && leftovers->first) {
        forget(leftovers->first);
    }
    free(leftovers);
}

static void await(const struct leftover *asked)
{
    struct leftover *leftover = cm_alloc(sizeof *leftover);
    *leftover = *asked;
    leftover->magic = LEFTOVER_MAGIC;
    leftover->timer = evtimer_new(leftover->all->base, on_look, leftover);
    leftover->next = leftover->all->first;
    leftover->all->first = leftover;
    if (is_over(leftover)) {
        cm_gone_fn gone = leftover->gone;
        void *arg = leftover->arg;
        forget(leftover);
        gone(arg);
        return;
    }
    if (!leftover->spared) {
        kill_holders(leftover);
    }
    look_later(leftover);
}

void cm_leftovers_await(struct cm_leftovers *leftovers, const char *folder, pid_t spared, cm_gone_fn gone, void *arg)
{
    await(&(struct leftover){
        .all = leftovers, .lock = cm_path_join(folder, "lock"), .spared = spared, .gone = gone, .arg = arg});
}

void cm_leftovers_await_all(struct cm_leftovers *leftovers, const char *folder, cm_lives_fn lives, cm_gone_fn gone,
                            void *arg)
{
    await(&(struct leftover){.all = leftovers,
                             .lock = cm_path_join(folder, "lock"),
                             .lives = lives,
                             .after_earlier = 1,
                             .gone = gone,
                             .arg = arg});
}

/* ---- Workers of an earlier daemon ------------------------------------------------------------ */

struct earlier {
    struct cm_leftovers *all;
    char *folder;
};

static void on_earlier_gone(void *arg)
{
    struct earlier *earlier = arg;
    earlier->all->earlier--;
    if (cm_folder_remove(earlier->folder) != 0) {
        cm_warn("cannot remove %s: %s", earlier->folder, strerror(errno));
    }
    *strrchr(earlier->folder, '/') = '\0';
    rmdir(earlier->folder); /* the last one */
    free(earlier->folder);
    free(earlier);
}

void cm_leftovers_sweep(struct cm_leftovers *leftovers, const char *folder)
{
    DIR *entries = opendir(folder);
    struct dirent *entry;
    while (entries && (entry = readdir(entries))) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        struct earlier *earlier = cm_alloc(sizeof *earlier);
        *earlier = (struct earlier){leftovers, cm_path_join(folder, entry->d_name)};
        leftovers->earlier++;
        cm_leftovers_await(leftovers, earlier->folder, 0, on_earlier_gone, earlier);
    }
    if (entries) {
        closedir(entries);
        rmdir(folder); /* if nobody is there */
    }
}
