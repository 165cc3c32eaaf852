/*
 * Looking at the free space of the state folder.
 */
#include "core/daemon/disk.h"

#include <event2/event.h>
#include <stdlib.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/daemon/daemon.h"

#define LOOK_MS 10000     /* when nothing is wrong */
#define HELD_LOOK_MS 2000 /* when something is; doubled while it stays so */
#define HELD_LOOK_MAX_MS 30000

struct cm_disk {
    struct cm_daemon *daemon;
    struct event *timer;
    int low;
    int held;         /* tasks wait for room */
    int64_t again_ms; /* how long after being held they are tried again */
};

static int is_low(const struct cm_disk *disk)
{
    int64_t free_bytes = cm_disk_free_bytes(disk->daemon->state);
    return free_bytes >= 0 && free_bytes < disk->daemon->config->settings.min_free_bytes;
}

static void look_in(struct cm_disk *disk, int64_t ms)
{
    struct timeval after = {ms / 1000, (ms % 1000) * 1000};
    event_add(disk->timer, &after);
}

static char *low_words(const struct cm_disk *disk)
{
    char *size = cm_show_size(disk->daemon->config->settings.min_free_bytes);
    char *words = cm_format(_("less than %s is free in %s: make room, or set min_free"), size, disk->daemon->state);
    free(size);
    return words;
}

static void set_low(struct cm_disk *disk, int low)
{
    char *words = low ? low_words(disk) : NULL;
    if (low && !disk->low) {
        cm_warn("nothing is started: %s", words);
    } else if (!low && disk->low) {
        cm_info("there is room on the disk again");
    }
    disk->low = low;
    cm_daemon_pause(disk->daemon, CM_PAUSE_DISK, words);
    free(words);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct cm_disk *disk = arg;
    set_low(disk, is_low(disk));
    if (disk->held && !disk->low) {
        disk->held = 0;
        cm_engine_resource_back(disk->daemon->engine, cm_daemon_now());
        cm_daemon_pump_soon(disk->daemon);
    } else if (!disk->held) {
        disk->again_ms = HELD_LOOK_MS; /* what was tried again did not come back */
    }
    look_in(disk, disk->low ? HELD_LOOK_MS : LOOK_MS);
}

void cm_disk_held(struct cm_disk *disk)
{
    if (disk->held) {
        return;
    }
    disk->held = 1;
    look_in(disk, disk->again_ms);
    disk->again_ms = disk->again_ms * 2 > HELD_LOOK_MAX_MS ? HELD_LOOK_MAX_MS : disk->again_ms * 2;
}

struct cm_disk *cm_disk_new(struct cm_daemon *daemon)
{
    struct cm_disk *disk = cm_alloc(sizeof *disk);
    disk->daemon = daemon;
    disk->again_ms = HELD_LOOK_MS;
    disk->timer = evtimer_new(daemon->base, on_timer, disk);
    disk->held = 1; /* an earlier run may have left some: they are tried once */
    look_in(disk, 0);
    return disk;
}

void cm_disk_free(struct cm_disk *disk)
{
    if (disk) {
        event_free(disk->timer);
    }
    free(disk);
}
