/*
 * Beats, observations of others' beats, takeovers, and the fence around this daemon itself.
 */
#include "core/daemon/cluster.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/common/log.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/daemon/daemon.h"
#include "core/daemon/place.h"
#include "core/daemon/run/leftovers.h"
#include "core/daemon/run/procs.h"

#define BEATS_A_LEASE 4
#define FORGET_AFTER_MS (10 * 60 * 1000) /* how long a row of an ended boot is kept for its last tasks */

/* A boot as it was last seen, ours too. */
struct seen {
    struct cm_boot_row *row;
    int64_t since_boot_ms; /* our clock: when this beat was first seen */
    int settled;           /* over, and its jobs were looked through */
    int called;            /* over by our own word */
    int present;           /* in the scan at hand */
};

/* Two of the three tables of a scan, as they came. */
struct scan {
    struct cm_cluster *cluster;
    unsigned generation;
    int left; /* queries that have not ended */
    int full; /* claims and jobs, too */
    int first;
    int failed;
    struct cm_claim_row **claims;
    size_t claim_count, claim_room;
    char **jobs;
    size_t job_count, job_room;
};

struct cm_cluster {
    struct cm_daemon *daemon;
    struct event *timer;
    int shared;
    char *place; /* "" when not shared */
    char host[256];
    int lock_fd;
    unsigned generation; /* counts begins */
    int64_t beat;        /* as the store has it */
    uint64_t beat_set;   /* on its way; 0: none */
    int64_t beat_sent_boot_ms, valid_until_boot_ms;
    uint64_t announce_set; /* the first word of this boot, on its way; 0: said */
    int proving;           /* that took too long: nothing begins before a beat that did not */
    int held_back;         /* all is loaded, and `loaded` waits for that beat */
    int again;             /* the first scan failed: once more */
    int scanning;
    struct seen *seen;
    size_t seen_count, seen_room;
    cm_fenced_fn fenced;
    cm_loaded_fn loaded;
    void *arg;
};

struct cm_cluster *cm_cluster_new(struct cm_daemon *daemon, cm_fenced_fn fenced)
{
    struct cm_cluster *cluster = cm_alloc(sizeof *cluster);
    cluster->daemon = daemon;
    cluster->fenced = fenced;
    cluster->lock_fd = -1;
    cluster->place = cm_strdup("");
    cluster->shared = daemon->store && daemon->store->shared;
    gethostname(cluster->host, sizeof cluster->host - 1);
    return cluster;
}

void cm_cluster_free(struct cm_cluster *cluster)
{
    if (!cluster) {
        return;
    }
    for (size_t i = 0; i < cluster->seen_count; i++) {
        cm_row_free(CM_TABLE_BOOT, cluster->seen[i].row);
    }
    if (cluster->timer) {
        event_free(cluster->timer);
    }
    char *workers = cm_format("%s/workers/%s", cluster->daemon->state, cluster->daemon->boot);
    rmdir(workers); /* empty by now */
    free(workers);
    cm_place_unlock(cluster->daemon->state, cluster->daemon->boot, cluster->lock_fd);
    free(cluster->seen);
    free(cluster->place);
    free(cluster);
}

static int64_t lease_ms(const struct cm_cluster *cluster)
{
    return cluster->shared ? cluster->daemon->config->settings.lease_ms : 0;
}

/* ---- Our own boot ---------------------------------------------------------------------------- */

static void put_boot(const struct cm_cluster *cluster, struct cm_change_set *set, int64_t beat, int over)
{
    struct cm_boot_row *row = cm_row_new(CM_TABLE_BOOT);
    cm_row_text(&row->id, cluster->daemon->boot);
    cm_row_text(&row->host, cluster->host);
    cm_row_text(&row->place, cluster->place);
    row->pid = getpid();
    row->started_ms = cm_utc_ms();
    row->lease_ms = lease_ms(cluster);
    row->beat = beat;
    row->over = over;
    cm_change_put(set, CM_TABLE_BOOT, row);
    cm_row_free(CM_TABLE_BOOT, row);
}

/* Counted from the hand-over: whoever waits for the next beat sees this one only later. */
static void send_beat(struct cm_cluster *cluster)
{
    struct cm_change_set *set = cm_daemon_own_set(cluster->daemon);
    cm_change_guard(set, CM_GUARD_BOOT, cluster->daemon->boot, "", "", 1, cluster->beat);
    put_boot(cluster, set, cluster->beat + 1, 0);
    cluster->beat_set = set->id;
    cluster->beat_sent_boot_ms = cm_boot_ms();
    cm_daemon_hand_over(cluster->daemon, &set, 1);
}

static void announce(struct cm_cluster *cluster)
{
    struct cm_change_set *set = cm_daemon_own_set(cluster->daemon);
    cluster->beat = 0;
    cluster->beat_set = 0;
    cluster->announce_set = set->id;
    cluster->proving = cluster->held_back = cluster->again = 0;
    cluster->valid_until_boot_ms = cm_boot_ms() + lease_ms(cluster);
    put_boot(cluster, set, 0, 0);
    cm_daemon_hand_over(cluster->daemon, &set, 1);
}

/* That boot is over: said by us of ourselves, or of one that was silent for too long. */
static void call_over(struct cm_cluster *cluster, const struct cm_boot_row *boot)
{
    struct cm_change_set *set = cm_daemon_own_set(cluster->daemon);
    struct cm_boot_row row = *boot;
    row.over = 1;
    cm_change_guard(set, CM_GUARD_BOOT, boot->id, "", "", 1, boot->beat);
    cm_change_put(set, CM_TABLE_BOOT, &row);
    cm_daemon_hand_over(cluster->daemon, &set, 1);
}

void cm_cluster_end(struct cm_cluster *cluster)
{
    struct cm_change_set *set = cm_daemon_own_set(cluster->daemon);
    put_boot(cluster, set, cluster->beat, 1);
    cm_daemon_hand_over(cluster->daemon, &set, 1);
}

/* ---- The fence ------------------------------------------------------------------------------- */

/* Whatever this daemon had may be another's by now. */
static void fence(struct cm_cluster *cluster, const char *why)
{
    struct cm_daemon *daemon = cluster->daemon;
    char before[sizeof daemon->boot];
    memcpy(before, daemon->boot, sizeof before);
    cm_warn("%s: everything at work here is stopped, and clipmakerd begins again", why);
    cm_place_unlock(daemon->state, before, cluster->lock_fd);
    cluster->lock_fd = -1;
    cm_uuid7(daemon->boot);
    cm_engine_fence(daemon->engine, cm_daemon_now(), daemon->boot);
    cluster->fenced(daemon);
    /* What was submitted under the old name a moment ago is taken up under the new one. */
    struct cm_change_set *set = cm_daemon_own_set(daemon);
    struct cm_boot_row old = {before, cluster->host, getpid(), cm_utc_ms(), lease_ms(cluster), cluster->beat,
                              1,      cluster->place};
    cm_change_put(set, CM_TABLE_BOOT, &old);
    cm_daemon_hand_over(daemon, &set, 1);
    cm_cluster_begin(cluster, cluster->loaded, cluster->arg);
}

int cm_cluster_may_act(struct cm_cluster *cluster)
{
    int owns_nothing = cluster->announce_set || cluster->proving;
    if (!cluster->shared || owns_nothing || cm_boot_ms() < cluster->valid_until_boot_ms) {
        return 1;
    }
    fence(cluster, _("the lease of this daemon may be over, for it was stopped or the store was away"));
    return 0;
}

/* The store was away for so long that the lease is over before it began: nothing is ours yet. */
static void announced(struct cm_cluster *cluster)
{
    cluster->announce_set = 0;
    cluster->proving = cm_boot_ms() >= cluster->valid_until_boot_ms - lease_ms(cluster) / 2;
    if (cluster->proving) {
        send_beat(cluster);
    }
}

static void beaten(struct cm_cluster *cluster, enum cm_applied how)
{
    if (how == CM_APPLIED_NOT) {
        fence(cluster, _("another daemon found this one silent and called it over"));
        return;
    }
    if (how != CM_APPLIED) {
        return; /* unknown: the next scan shows */
    }
    cluster->beat++;
    cluster->valid_until_boot_ms = cluster->beat_sent_boot_ms + lease_ms(cluster);
    if (cluster->proving && cm_boot_ms() < cluster->valid_until_boot_ms) {
        cluster->proving = 0;
        if (cluster->held_back) {
            cluster->held_back = 0;
            cluster->loaded(cluster->arg, NULL);
        }
    }
}

void cm_cluster_applied(struct cm_cluster *cluster, uint64_t set, enum cm_applied how)
{
    if (!cluster->shared || how == CM_APPLIED_UNAVAILABLE) {
        return;
    }
    if (set == cluster->announce_set) {
        announced(cluster);
    } else if (set == cluster->beat_set) {
        cluster->beat_set = 0;
        beaten(cluster, how);
    }
}

/* ---- Others ---------------------------------------------------------------------------------- */

static struct seen *find_seen(const struct cm_cluster *cluster, const char *boot)
{
    for (size_t i = 0; i < cluster->seen_count; i++) {
        if (!strcmp(cluster->seen[i].row->id, boot)) {
            return &cluster->seen[i];
        }
    }
    return NULL;
}

static void observe(struct cm_cluster *cluster, const struct cm_boot_row *row)
{
    struct seen *seen = find_seen(cluster, row->id);
    if (!seen) {
        cluster->seen = cm_grow(cluster->seen, &cluster->seen_room, cluster->seen_count, sizeof *cluster->seen);
        seen = &cluster->seen[cluster->seen_count++];
        *seen = (struct seen){.row = cm_row_copy(CM_TABLE_BOOT, row), .since_boot_ms = cm_boot_ms(), .present = 1};
        return;
    }
    if (seen->row->beat != row->beat || seen->row->over != row->over) {
        seen->since_boot_ms = cm_boot_ms();
        seen->settled = 0;
    }
    cm_row_free(CM_TABLE_BOOT, seen->row);
    seen->row = cm_row_copy(CM_TABLE_BOOT, row);
    seen->present = 1;
}

static void forget_absent(struct cm_cluster *cluster)
{
    size_t kept = 0;
    for (size_t i = 0; i < cluster->seen_count; i++) {
        if (cluster->seen[i].present) {
            cluster->seen[kept++] = cluster->seen[i];
        } else {
            cm_row_free(CM_TABLE_BOOT, cluster->seen[i].row);
        }
    }
    cluster->seen_count = kept;
}

static int is_ours(const struct cm_cluster *cluster, const char *boot)
{
    return !strcmp(boot, cluster->daemon->boot);
}

/* Its process has ended, or never had a chance: nobody else opens a store that is not shared. */
static int is_certainly_over(const struct cm_cluster *cluster, const struct cm_boot_row *row)
{
    return !cluster->shared ||
           (!strcmp(row->place, cluster->place) && cm_place_is_left(cluster->daemon->state, row->id));
}

/* Silent for a lease and a half of our own time, or certainly ended. */
static int is_silent(const struct cm_cluster *cluster, const struct seen *seen)
{
    const struct cm_boot_row *row = seen->row;
    int64_t patience_ms = row->lease_ms + row->lease_ms / 2;
    return cm_boot_ms() - seen->since_boot_ms >= patience_ms || is_certainly_over(cluster, row);
}

/* Its jobs' files lie here, and nobody works on them. */
static int may_take_from(const struct cm_cluster *cluster, const char *boot)
{
    const struct seen *seen = find_seen(cluster, boot);
    return !is_ours(cluster, boot) &&
           (!cluster->shared || !seen || (seen->row->over && !strcmp(seen->row->place, cluster->place)));
}

char *cm_cluster_who(const struct cm_cluster *cluster, const char *boot)
{
    const struct seen *seen = find_seen(cluster, boot);
    return seen ? cm_format(_("%s (process %lld)"), seen->row->host, (long long)seen->row->pid) : cm_strdup(boot);
}

/* ---- Takeovers ------------------------------------------------------------------------------- */

void cm_cluster_take(struct cm_cluster *cluster, const char *job, const char *from)
{
    struct cm_change_set *set = cm_daemon_own_set(cluster->daemon);
    cm_engine_forget_job(cluster->daemon->engine, cm_daemon_now(), job);
    cm_change_guard(set, CM_GUARD_CLAIM, job, "", from, *from != '\0', 0);
    cm_change_put(set, CM_TABLE_CLAIM, &(struct cm_claim_row){(char *)job, cluster->daemon->boot});
    cm_daemon_hand_over(cluster->daemon, &set, 1);
}

static void on_taken(void *arg, const char *error)
{
    (void)arg;
    if (error) {
        cm_error("a job that was taken over could not be loaded: %s; restart clipmakerd to go on with it", error);
    }
}

/* Its queries stand behind the claim in the store's queue: who got the job is known by then. */
static void take_and_load(struct scan *scan, const char *job, const char *from)
{
    struct cm_cluster *cluster = scan->cluster;
    cm_cluster_take(cluster, job, from);
    if (!scan->first) {
        cm_info("job %s is taken over from a daemon that is over", job);
        cm_loader_load(cluster->daemon, job, on_taken, NULL);
    }
}

static int compare_claims(const void *a, const void *b)
{
    return cm_row_compare_keys(CM_TABLE_CLAIM, *(void *const *)a, *(void *const *)b);
}

static const char *claimed_by(const struct scan *scan, const char *job)
{
    for (size_t low = 0, high = scan->claim_count; low < high;) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(job, scan->claims[middle]->job);
        if (order == 0) {
            return scan->claims[middle]->boot;
        }
        low = order > 0 ? middle + 1 : low;
        high = order < 0 ? middle : high;
    }
    return "";
}

/* Before any of their jobs is loaded: what their workers began is waited for until they are gone. */
static void sweep(struct cm_cluster *cluster, const char *boot)
{
    char *folder = cm_format("%s/workers/%s", cluster->daemon->state, boot);
    cm_leftovers_sweep(cluster->daemon->leftovers, folder);
    free(folder);
}

static void sweep_left(void *arg, const char *boot)
{
    struct cm_cluster *cluster = arg;
    if (!is_ours(cluster, boot) && (!cluster->shared || cm_place_is_left(cluster->daemon->state, boot))) {
        sweep(cluster, boot);
    }
}

static void sweep_all(struct scan *scan)
{
    struct cm_cluster *cluster = scan->cluster;
    if (scan->first) {
        cm_place_each_worker_folder(cluster->daemon->state, sweep_left, cluster);
    }
    for (size_t i = 0; cluster->shared && i < cluster->seen_count; i++) {
        const struct seen *seen = &cluster->seen[i];
        if (!seen->settled && may_take_from(cluster, seen->row->id)) {
            sweep(cluster, seen->row->id);
        }
    }
}

static void take_over(struct scan *scan)
{
    struct cm_cluster *cluster = scan->cluster;
    sweep_all(scan);
    if (scan->claim_count > 0) {
        qsort(scan->claims, scan->claim_count, sizeof *scan->claims, compare_claims);
    }
    for (size_t i = 0; i < scan->job_count; i++) {
        const char *boot = claimed_by(scan, scan->jobs[i]);
        if (!*boot || may_take_from(cluster, boot)) {
            take_and_load(scan, scan->jobs[i], boot);
        }
    }
}

/* Rows of boots that are long over and have no job. */
static void forget_ended(struct scan *scan)
{
    struct cm_cluster *cluster = scan->cluster;
    for (size_t i = 0; i < cluster->seen_count; i++) {
        struct seen *seen = &cluster->seen[i];
        int old = cm_utc_ms() - seen->row->started_ms > FORGET_AFTER_MS &&
                  (cluster->shared ? cm_boot_ms() - seen->since_boot_ms > FORGET_AFTER_MS : !seen->called);
        int has_jobs = 0;
        for (size_t k = 0; k < scan->claim_count && !has_jobs; k++) {
            has_jobs = !strcmp(scan->claims[k]->boot, seen->row->id);
        }
        seen->settled = seen->row->over;
        if (!seen->row->over || !old || has_jobs || is_ours(cluster, seen->row->id)) {
            continue;
        }
        struct cm_change_set *set = cm_daemon_own_set(cluster->daemon);
        cm_change_guard(set, CM_GUARD_BOOT, seen->row->id, "", "", 2, seen->row->beat);
        cm_change_delete(set, CM_TABLE_BOOT, seen->row);
        cm_daemon_hand_over(cluster->daemon, &set, 1);
    }
}

/* ---- Scans ----------------------------------------------------------------------------------- */

static void begin_scan(struct cm_cluster *cluster, int full, int first);

static void free_scan(struct scan *scan)
{
    for (size_t i = 0; i < scan->claim_count; i++) {
        cm_row_free(CM_TABLE_CLAIM, scan->claims[i]);
    }
    for (size_t i = 0; i < scan->job_count; i++) {
        free(scan->jobs[i]);
    }
    free(scan->claims);
    free(scan->jobs);
    free(scan);
}

/* Boots that are over and whose jobs nobody looked through: 1. Silent ones are called over. */
static int find_over(struct cm_cluster *cluster)
{
    int found = 0;
    for (size_t i = 0; i < cluster->seen_count; i++) {
        struct seen *seen = &cluster->seen[i];
        if (is_ours(cluster, seen->row->id)) {
            continue;
        }
        if (!seen->row->over && is_silent(cluster, seen)) {
            call_over(cluster, seen->row);
            seen->called = 1;
            seen->row->over = is_certainly_over(cluster, seen->row);
            found = 1; /* one that was only silent may have beaten meanwhile: the next scan shows */
        } else if (seen->row->over && !seen->settled && !strcmp(seen->row->place, cluster->place)) {
            found = 1;
        }
    }
    return found;
}

/* The word about a beat was lost, or has not come yet: the row itself says. */
static int read_own_beat(struct cm_cluster *cluster)
{
    const struct seen *own = find_seen(cluster, cluster->daemon->boot);
    if (own && own->row->over) {
        fence(cluster, _("another daemon found this one silent and called it over"));
        return -1;
    }
    if (own && !cluster->beat_set) {
        cluster->beat = own->row->beat;
    }
    return 0;
}

/* The rows of a begin that a fence overtook were not ours any more when they came. */
static void on_first_load(void *arg, const char *error)
{
    struct scan *scan = arg;
    struct cm_cluster *cluster = scan->cluster;
    if (scan->generation == cluster->generation && error && cluster->shared) {
        cm_warn("the jobs could not be read: %s; once more", error);
        cluster->again = 1;
    } else if (scan->generation == cluster->generation && cluster->proving) {
        cluster->held_back = 1;
    } else if (scan->generation == cluster->generation) {
        cluster->loaded(cluster->arg, error);
    }
    free_scan(scan);
}

static void end_scan(struct scan *scan)
{
    struct cm_cluster *cluster = scan->cluster;
    int full = scan->full;
    cluster->scanning = 0;
    if (scan->failed && scan->first) {
        on_first_load(scan, _("the store does not answer"));
        return;
    }
    if (scan->failed) {
        free_scan(scan); /* the next beat looks again */
        return;
    }
    forget_absent(cluster);
    if (read_own_beat(cluster) != 0 || !cm_cluster_may_act(cluster)) {
        free_scan(scan);
        return;
    }
    int over = find_over(cluster);
    if (full) {
        take_over(scan);
        forget_ended(scan);
    }
    if (scan->first) {
        cm_loader_load(cluster->daemon, NULL, on_first_load, scan);
        return;
    }
    free_scan(scan);
    if (over && !full) {
        begin_scan(cluster, 1, 0);
    }
    cm_daemon_pump_soon(cluster->daemon);
}

static void on_row(void *arg, enum cm_table table, const void *row, const char *error)
{
    struct scan *scan = arg;
    struct cm_cluster *cluster = scan->cluster;
    int current = scan->generation == cluster->generation;
    if (row && table == CM_TABLE_BOOT && current) {
        observe(cluster, row);
    } else if (row && table == CM_TABLE_CLAIM) {
        scan->claims = cm_grow(scan->claims, &scan->claim_room, scan->claim_count, sizeof *scan->claims);
        scan->claims[scan->claim_count++] = cm_row_copy(table, row);
    } else if (row && table == CM_TABLE_JOB) {
        scan->jobs = cm_grow(scan->jobs, &scan->job_room, scan->job_count, sizeof *scan->jobs);
        scan->jobs[scan->job_count++] = cm_strdup(((const struct cm_job_row *)row)->id);
    }
    if (row) {
        return;
    }
    scan->failed |= error != NULL;
    if (--scan->left == 0 && current) {
        end_scan(scan);
    } else if (scan->left == 0) {
        free_scan(scan);
    }
}

static void begin_scan(struct cm_cluster *cluster, int full, int first)
{
    static const enum cm_table tables[] = {CM_TABLE_BOOT, CM_TABLE_CLAIM, CM_TABLE_JOB};
    struct scan *scan = cm_alloc(sizeof *scan);
    *scan = (struct scan){.cluster = cluster, .generation = cluster->generation, .full = full, .first = first};
    scan->left = full ? 3 : 1;
    cluster->scanning = 1;
    for (size_t i = 0; i < cluster->seen_count; i++) {
        cluster->seen[i].present = 0;
    }
    struct cm_query queries[3] = {0};
    for (int i = 0; i < 3; i++) {
        queries[i] = (struct cm_query){.table = tables[i], .unfinished = 1};
    }
    cm_store_query_all(cluster->daemon->store, queries, (size_t)scan->left, on_row, scan);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct cm_cluster *cluster = arg;
    if (!cm_cluster_may_act(cluster)) {
        return;
    }
    if (cluster->announce_set) {
        return;
    }
    if (!cluster->beat_set) {
        send_beat(cluster);
    }
    if (cluster->again) {
        cluster->again = 0;
        begin_scan(cluster, 1, 1);
    } else if (!cluster->scanning) {
        begin_scan(cluster, 0, 0);
    }
}

void cm_cluster_begin(struct cm_cluster *cluster, cm_loaded_fn loaded, void *arg)
{
    struct cm_daemon *daemon = cluster->daemon;
    cluster->loaded = loaded;
    cluster->arg = arg;
    cluster->generation++;
    if (cluster->shared) {
        free(cluster->place);
        cluster->place = cm_place_id(daemon->state);
        cluster->lock_fd = cluster->place ? cm_place_lock(daemon->state, daemon->boot) : -1;
        if (cluster->lock_fd < 0) {
            cm_procs_kill_all(daemon->procs);
            cm_fatal(75, _("cannot write into the state folder %s: %s"), daemon->state, strerror(errno));
        }
        int64_t every_ms = lease_ms(cluster) / BEATS_A_LEASE;
        struct timeval often = {every_ms / 1000, (every_ms % 1000) * 1000};
        if (!cluster->timer) {
            cluster->timer = event_new(daemon->base, -1, EV_PERSIST, on_timer, cluster);
        }
        event_add(cluster->timer, &often);
    }
    announce(cluster);
    begin_scan(cluster, 1, 1);
}
