/*
 * The PostgreSQL backend: a server, and as many daemons as like.
 */
#ifndef CM_DAEMON_STORE_POSTGRES_H
#define CM_DAEMON_STORE_POSTGRES_H

#include "core/daemon/store/store.h"

/* Several daemons may share one database. */
struct cm_store *cm_store_postgres_open(const char *url, cm_store_applied_fn applied, void *arg, char **error);

#endif
