/*
 * Several daemons on one store: that this one is alive, which others are, and whose jobs it may
 * take over. docs/decisions/cluster.md has the reasons.
 *
 * In a store that is its alone a daemon takes over everything at its start and needs no lease.
 */
#ifndef CM_DAEMON_CLUSTER_H
#define CM_DAEMON_CLUSTER_H

#include <stdint.h>

#include "core/daemon/loader.h"
#include "core/daemon/store/store.h"

struct cm_cluster;
struct cm_daemon;

/* The lease is over: whatever is at work here ends at once, and nothing starts before `loaded` is called again. */
typedef void (*cm_fenced_fn)(struct cm_daemon *daemon);
struct cm_cluster *cm_cluster_new(struct cm_daemon *daemon, cm_fenced_fn fenced);
void cm_cluster_free(struct cm_cluster *cluster);
/* Announces this boot, takes over what is nobody's, loads it. `loaded` is called once for each
 * begin; a begin that a fence overtook is not heard of again. */
void cm_cluster_begin(struct cm_cluster *cluster, cm_loaded_fn loaded, void *arg);
/* The last thing that the store is told: others need not wait for the lease to end. */
void cm_cluster_end(struct cm_cluster *cluster);

/* Before anything is sent or spawned: whether the lease is surely not over. When it may be, all
 * that was at work is killed and forgotten, and the daemon begins again as another boot. */
int cm_cluster_may_act(struct cm_cluster *cluster);
/* The store's word about a set of ours. */
void cm_cluster_applied(struct cm_cluster *cluster, uint64_t set, enum cm_applied how);
/* Claims a job that `from` has ("": nobody), if that is still so by then. Query it afterwards. */
void cm_cluster_take(struct cm_cluster *cluster, const char *job, const char *from);
/* Who that boot is, for people: "HOST (process N)"; malloc'd. */
char *cm_cluster_who(const struct cm_cluster *cluster, const char *boot);

#endif
