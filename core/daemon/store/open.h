/*
 * From the URL of the configuration to the store that it names.
 */
#ifndef CM_DAEMON_STORE_OPEN_H
#define CM_DAEMON_STORE_OPEN_H

#include "core/daemon/store/store.h"

/* "memory:", "sqlite:/path/to/file" or "postgresql://…" as libpq takes it. NULL with one line in *error (malloc'd) when
 * it cannot be opened: no permission, a newer schema, not a database; errno is then EAGAIN when that may pass by itself
 * (a full disk, a lock, a server that is away), else EINVAL. Migrations run here. */
struct cm_store *cm_store_open(const char *url, cm_store_applied_fn applied, void *arg, char **error);
/* Whether several daemons can work on a store with this URL at once. */
int cm_store_may_be_shared(const char *url);

#endif
