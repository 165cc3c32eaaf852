/*
 * Change sets and queries in SQL, generated from the column tables of row.h. Everything here is
 * synchronous and gives SQLite's result code: SQLITE_OK, or why not.
 */
#ifndef CM_DAEMON_STORE_SQL_H
#define CM_DAEMON_STORE_SQL_H

#include "core/daemon/store/queue.h"
#include "core/daemon/store/store.h"

struct sqlite3;
struct cm_sql;

/* Keeps prepared statements for `db`, which stays the caller's. */
struct cm_sql *cm_sql_new(struct sqlite3 *db);
void cm_sql_free(struct cm_sql *sql);

/* Checks the guard and applies the set inside the open transaction; *holds: whether the guard did. */
int cm_sql_apply(struct cm_sql *sql, const struct cm_change_set *set, int *holds);
/* Puts the rows into the outbox, without their end. */
int cm_sql_query(struct cm_sql *sql, const struct cm_asked *asked, struct cm_outbox *outbox);

#endif
