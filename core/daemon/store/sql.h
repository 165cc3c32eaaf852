/*
 * Change sets and queries in SQL, generated from the column tables of row.h. Everything here is
 * synchronous and gives SQLite's result code: SQLITE_OK, or why not.
 */
#ifndef CM_DAEMON_STORE_SQL_H
#define CM_DAEMON_STORE_SQL_H

#include "core/daemon/store/queue.h"
#include "core/daemon/store/store.h"

/*
 * The texts, in SQLite's dialect, ?1 … for parameters (the others are malloc'd). guard: state and fence of
 * the row that it looks at; parameters job, step, item. delete: by the key's columns. delete_of_job: NULL
 * where a table knows no job. query: job, owner, request key, before, limit.
 */
const char *cm_sql_guard_text(enum cm_guard_kind kind);
char *cm_sql_delete_text(const struct cm_row_type *type);
char *cm_sql_delete_of_job_text(enum cm_table table);
char *cm_sql_query_text(const struct cm_query *query);
/* Whether a guard holds for what its text gave; 0, 0 for no row. */
int cm_sql_guard_agrees(const struct cm_guard *guard, int64_t state, int64_t fence);

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
