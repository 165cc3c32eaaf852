/*
 * The SQLite backend: one file, one daemon.
 */
#ifndef CM_DAEMON_STORE_SQLITE_H
#define CM_DAEMON_STORE_SQLITE_H

#include "core/daemon/store/store.h"

/* The file's folder is locked by PATH.lock: one daemon at a time. */
struct cm_store *cm_store_sqlite_open(const char *path, cm_store_applied_fn applied, void *arg, char **error);

#endif
