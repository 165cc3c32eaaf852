/*
 * The schema of the SQLite store: numbered migrations, and what may be opened at all.
 */
#ifndef CM_DAEMON_STORE_SCHEMA_H
#define CM_DAEMON_STORE_SCHEMA_H

struct sqlite3;

/* "CLPM": says that a database file is ours. */
#define CM_SCHEMA_APPLICATION 0x434c504d

/* The newest schema this program knows. */
int cm_schema_newest(void);
/* What leads to schema `number` (from 1) from the one before, in SQLite's dialect. */
const char *cm_schema_migration(int number);
/* Refuses what is not ours, is damaged, or is newer than this program; brings the rest up to the
 * newest schema. 0, or -1 with one line in *error (malloc'd). */
int cm_schema_open(struct sqlite3 *db, const char *path, char **error);

#endif
