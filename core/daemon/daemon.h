/*
 * clipmakerd's own frame: what its I/O files share. One thread runs all of it, driven by events;
 * nothing here waits.
 *
 *   control, attempts, timers ──▶ engine ──▶ change sets ──▶ store
 *                                   ▲                          │ applied
 *                                   └── actions ◀──────────────┘
 */
#ifndef CM_DAEMON_DAEMON_H
#define CM_DAEMON_DAEMON_H

#include <stdint.h>

#include "core/daemon/config/config.h"
#include "core/daemon/config/load.h"
#include "core/daemon/engine/engine.h"
#include "core/daemon/store/store.h"

#define CM_DAEMON_MAGIC 0x636d6461u

struct event;
struct event_base;
struct cm_attempts;
struct cm_clients;
struct cm_cluster;
struct cm_consents;
struct cm_control;
struct cm_disk;
struct cm_janitor;
struct cm_leftovers;
struct cm_loader;
struct cm_notes;
struct cm_notify;
struct cm_procs;
struct cm_reload;
struct cm_submits;

/* Why nothing is started at the moment; several may hold at once. */
enum cm_pause {
    CM_PAUSE_LOADING = 1, /* the jobs of earlier runs are still being read */
    CM_PAUSE_STORE = 2,
    CM_PAUSE_DISK = 4,
    CM_PAUSE_DRAIN = 8
};
#define CM_PAUSES 4

/* Who wants to hear of what happens: people on the control socket. Zeroed: nobody. */
struct cm_listener {
    void (*job_changed)(void *arg, const char *job);
    void (*paused)(void *arg); /* or goes on */
    void *arg;
};

struct cm_daemon {
    unsigned magic;
    struct event_base *base;
    struct cm_config *config;
    struct cm_overrides overrides;
    struct cm_registry *registry;
    struct cm_engine *engine;
    struct cm_store *store;
    struct cm_attempts *attempts;
    struct cm_clients *clients;
    struct cm_cluster *cluster;
    struct cm_submits *submits;
    struct cm_consents *consents;
    struct cm_control *control;
    struct cm_disk *disk;
    struct cm_janitor *janitor;
    struct cm_leftovers *leftovers;
    struct cm_notes *notes;
    struct cm_notify *notify;
    struct cm_procs *procs;
    struct cm_reload *reload;
    struct event *pump, *due, *drain, *store_ready;
    int64_t drain_until_boot_ms;
    int drain_over, was_busy;
    char *state; /* absolute, without links */
    int lock_fd;
    char boot[37];
    unsigned pauses; /* enum cm_pause */
    char *pause_words[CM_PAUSES];
    struct cm_listener listener;
    int control_fd;     /* private mode; else -1 */
    char *control_path; /* of the socket, absolute */
    int is_private;
    int log_format; /* enum cm_log_format */
    uint64_t seed;
    uint64_t own_sets; /* how many sets of our own (notes, boot) were made */
};

/* As the config says. */
void cm_daemon_log_level(struct cm_daemon *daemon);

struct cm_daemon *cm_daemon_of(void *arg); /* checks the magic */
struct cm_now cm_daemon_now(void);

/* Something happened: soon, take what the engine decided and do it. */
void cm_daemon_pump_soon(struct cm_daemon *daemon);
/* Private mode, and the other side is gone: every worker is killed, and this process ends. */
void cm_daemon_end_now(struct cm_daemon *daemon) __attribute__((noreturn));
/* words: why nothing starts, for people; copied. NULL: this is no cause any more. */
void cm_daemon_pause(struct cm_daemon *daemon, enum cm_pause why, const char *words);
/* Tell those who watch it. */
void cm_daemon_job_changed(struct cm_daemon *daemon, const char *job);
/* Why nothing starts, for people; NULL when things may start. malloc'd. */
char *cm_daemon_pause_words(const struct cm_daemon *daemon);

/* A set that is ours and not the engine's: its id never meets one of the engine's. */
struct cm_change_set *cm_daemon_own_set(struct cm_daemon *daemon);
void cm_daemon_hand_over(struct cm_daemon *daemon, struct cm_change_set **sets, size_t count);
/* All that the engine decided so far is on its way; how many sets. A query after this sees it. */
size_t cm_daemon_hand_over_all(struct cm_daemon *daemon);
int cm_daemon_is_own_set(uint64_t id);

#endif
