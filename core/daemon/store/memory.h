/*
 * The memory backend: nothing lasts, and the simulator says when a commit is done.
 */
#ifndef CM_DAEMON_STORE_MEMORY_H
#define CM_DAEMON_STORE_MEMORY_H

#include "core/daemon/store/store.h"

/* For the simulator: sets stay pending until cm_store_memory_commit, which
 * commits the oldest `count` of them, and cm_store_memory_crash drops all that are pending. */
struct cm_store *cm_store_memory_open(cm_store_applied_fn applied, void *arg);
size_t cm_store_memory_pending(struct cm_store *store);
void cm_store_memory_commit(struct cm_store *store, size_t count);
void cm_store_memory_crash(struct cm_store *store);
/* Manual mode (the simulator): nothing commits by itself. Default is automatic. */
void cm_store_memory_manual(struct cm_store *store, int manual);

#endif
