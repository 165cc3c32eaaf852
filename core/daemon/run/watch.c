/*
 * Looking at /proc/PID/status ten times a second.
 */
#include "core/daemon/run/watch.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/sanitizer.h"
#include "core/common/text.h"

#define LOOK_MS 100
#define THREADS_MAX 512                       /* libx264 and the decoders of one clip take a few dozen */
#define MEMORY_SPARE_BYTES (32 * 1024 * 1024) /* stacks and page tables, which the limit does not count */

struct cm_watch {
    struct event *timer;
    char path[32];
    int64_t memory_bytes;
    cm_watch_fn took;
    void *arg;
};

struct taken {
    int64_t threads, kib;
};

static void add_field(struct taken *taken, const char *line)
{
    static const char *const memory[] = {"RssAnon:", "RssShmem:", "VmPTE:", "VmSwap:"};
    if (cm_starts_with(line, "Threads:")) {
        taken->threads = atoll(line + strlen("Threads:"));
    }
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++) {
        if (cm_starts_with(line, memory[i])) {
            taken->kib += atoll(line + strlen(memory[i]));
        }
    }
}

/* All zero when the process is gone. */
static struct taken look(const struct cm_watch *watch)
{
    struct taken taken = {0};
    char line[256];
    FILE *file = fopen(watch->path, "re");
    while (file && fgets(line, sizeof line, file)) {
        add_field(&taken, line);
    }
    if (file) {
        fclose(file);
    }
    return taken;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct cm_watch *watch = arg;
    struct taken taken = look(watch);
    char *words = NULL;
    if (taken.threads > THREADS_MAX) {
        words = cm_format(_("it had %lld threads, and no plugin needs more than %d"), (long long)taken.threads,
                          THREADS_MAX);
    } else if (!CM_UNDER_ASAN && watch->memory_bytes > 0 &&
               taken.kib * 1024 > watch->memory_bytes + MEMORY_SPARE_BYTES) {
        words = cm_format(_("it took %lld MiB of memory, and its limit is %lld MiB"), (long long)(taken.kib / 1024),
                          (long long)(watch->memory_bytes / (1024 * 1024)));
    }
    if (words) {
        event_del(watch->timer);
        watch->took(watch->arg, words); /* the watch may be gone after this */
        free(words);
    }
}

struct cm_watch *cm_watch_new(struct event_base *base, pid_t pid, int64_t memory_bytes, cm_watch_fn took, void *arg)
{
    struct cm_watch *watch = cm_alloc(sizeof *watch);
    *watch = (struct cm_watch){.memory_bytes = memory_bytes, .took = took, .arg = arg};
    snprintf(watch->path, sizeof watch->path, "/proc/%d/status", (int)pid);
    watch->timer = event_new(base, -1, EV_PERSIST, on_timer, watch);
    event_add(watch->timer, &(struct timeval){.tv_usec = LOOK_MS * 1000});
    return watch;
}

void cm_watch_free(struct cm_watch *watch)
{
    if (watch) {
        event_free(watch->timer);
    }
    free(watch);
}
