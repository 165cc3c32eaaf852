/*
 * The store under a schedule: in memory, or a real one in an SQLite file on a disk that loses power.
 *
 * Both keep what they are given until sim_store_commit, so that the same seed gives the same story.
 */
#ifndef SIM_STORE_H
#define SIM_STORE_H

#include "core/daemon/store/store.h"
#include "tests/sim/random.h"

struct sim_store;

/* `folder`: of the SQLite file, ours alone; NULL: in memory. Aborts with a line when it cannot be opened. */
struct sim_store *sim_store_open(const char *folder, cm_store_applied_fn applied, void *arg);
void sim_store_close(struct sim_store *store);

/* As cm_store_apply and cm_store_query; queries wait for the sets before them. */
void sim_store_apply(struct sim_store *store, struct cm_change_set **sets, size_t count);
void sim_store_query(struct sim_store *store, const struct cm_query *query, cm_store_row_fn row, void *arg);
size_t sim_store_pending(const struct sim_store *store);
/* Commits the oldest `count` sets: each by itself in memory, all at once in SQLite. */
void sim_store_commit(struct sim_store *store, size_t count);
/* Tells what was committed, and answers queries that wait for nothing. */
void sim_store_dispatch(struct sim_store *store);

/* The daemon dies. In memory all that is pending is lost. With SQLite some of it may be in the
 * middle of a commit, and the power may go, too; of each such set `told` hears whether it is there.
 * NULL, or what is wrong with the file after that. */
const char *sim_store_crash(struct sim_store *store, struct sim_random *random,
                            void (*told)(void *arg, uint64_t set, int is_there), void *arg);
/* The store itself, for fsck and for reading past the queue. */
struct cm_store *sim_store_real(struct sim_store *store);
int sim_store_is_real(const struct sim_store *store);

#endif
