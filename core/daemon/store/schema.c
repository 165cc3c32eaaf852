/*
 * The schema of the SQLite store: numbered migrations, and what may be opened at all.
 */
#include "core/daemon/store/schema.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/text.h"

/*
 * Each migration takes the schema from its index to the next number, in a transaction of its own.
 * What was once released is never edited: a change is a new entry at the end. Columns stand in the
 * order of row.c, which a test compares.
 */
static const char *const migrations[] = {
    /* 1: the first */
    "CREATE TABLE pipeline (id TEXT NOT NULL, name TEXT NOT NULL, json TEXT NOT NULL, created_ms INTEGER NOT NULL,"
    " PRIMARY KEY (id)) STRICT, WITHOUT ROWID;"

    "CREATE TABLE job (id TEXT NOT NULL, owner TEXT NOT NULL, request_key TEXT NOT NULL, request_hash TEXT NOT NULL,"
    " pipeline TEXT NOT NULL, source TEXT NOT NULL, params TEXT NOT NULL, state INTEGER NOT NULL,"
    " priority INTEGER NOT NULL, created_ms INTEGER NOT NULL, finished_ms INTEGER NOT NULL, reason TEXT NOT NULL,"
    " words TEXT NOT NULL, cancel INTEGER NOT NULL, PRIMARY KEY (id)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX job_state ON job (state);"
    "CREATE INDEX job_owner ON job (owner);"
    "CREATE INDEX job_request ON job (request_key, owner);"
    "CREATE INDEX job_pipeline ON job (pipeline);"

    "CREATE TABLE task (job TEXT NOT NULL, step TEXT NOT NULL, item TEXT NOT NULL, state INTEGER NOT NULL,"
    " fence INTEGER NOT NULL, op TEXT NOT NULL, link INTEGER NOT NULL, tries INTEGER NOT NULL,"
    " crashes INTEGER NOT NULL, ready_ms INTEGER NOT NULL, due_ms INTEGER NOT NULL, held_by INTEGER NOT NULL,"
    " reason TEXT NOT NULL, words TEXT NOT NULL, boot TEXT NOT NULL, PRIMARY KEY (job, step, item))"
    " STRICT, WITHOUT ROWID;"

    "CREATE TABLE attempt (job TEXT NOT NULL, step TEXT NOT NULL, item TEXT NOT NULL, fence INTEGER NOT NULL,"
    " instance TEXT NOT NULL, op TEXT NOT NULL, boot TEXT NOT NULL, folder TEXT NOT NULL,"
    " started_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL, verdict TEXT NOT NULL, reason TEXT NOT NULL,"
    " scope TEXT NOT NULL, words TEXT NOT NULL, delay_ms INTEGER NOT NULL, PRIMARY KEY (job, step, item, fence))"
    " STRICT, WITHOUT ROWID;"

    "CREATE TABLE artifact (job TEXT NOT NULL, step TEXT NOT NULL, item TEXT NOT NULL, fence INTEGER NOT NULL,"
    " role TEXT NOT NULL, \"key\" TEXT NOT NULL, path TEXT NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL,"
    " facts TEXT NOT NULL, PRIMARY KEY (job, step, item, fence, role, \"key\")) STRICT, WITHOUT ROWID;"

    "CREATE TABLE effect (\"key\" TEXT NOT NULL, job TEXT NOT NULL, step TEXT NOT NULL, item TEXT NOT NULL,"
    " fence INTEGER NOT NULL, instance TEXT NOT NULL, state INTEGER NOT NULL, sent_ms INTEGER NOT NULL,"
    " absent INTEGER NOT NULL, post_id TEXT NOT NULL, url TEXT NOT NULL, PRIMARY KEY (\"key\"))"
    " STRICT, WITHOUT ROWID;"
    "CREATE INDEX effect_job ON effect (job);"

    "CREATE TABLE llm_call (id TEXT NOT NULL, job TEXT NOT NULL, step TEXT NOT NULL, item TEXT NOT NULL,"
    " fence INTEGER NOT NULL, instance TEXT NOT NULL, model TEXT NOT NULL, state INTEGER NOT NULL,"
    " tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, cost_kopecks INTEGER NOT NULL,"
    " sent_ms INTEGER NOT NULL, answered_ms INTEGER NOT NULL, PRIMARY KEY (id)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX llm_call_job ON llm_call (job);"

    "CREATE TABLE note (owner TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (owner, name))"
    " STRICT, WITHOUT ROWID;"

    "CREATE TABLE boot (id TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL, started_ms INTEGER NOT NULL,"
    " lease_ms INTEGER NOT NULL, PRIMARY KEY (id)) STRICT, WITHOUT ROWID;",

    /* 2: several daemons: whose job it is, and who is alive */
    "ALTER TABLE boot ADD COLUMN beat INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE boot ADD COLUMN over INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE boot ADD COLUMN place TEXT NOT NULL DEFAULT '';"
    "CREATE TABLE claim (job TEXT NOT NULL, boot TEXT NOT NULL, PRIMARY KEY (job)) STRICT, WITHOUT ROWID;",

    /* 3: what a paid call asked for */
    ("ALTER TABLE llm_call ADD COLUMN request TEXT NOT NULL DEFAULT '';"
     "ALTER TABLE llm_call ADD COLUMN audio_ms INTEGER NOT NULL DEFAULT 0;"),

    /* 4: what a paid call cost */
    ("ALTER TABLE llm_call RENAME COLUMN cost_kopecks TO cost_nano;"
     "ALTER TABLE llm_call ADD COLUMN owner TEXT NOT NULL DEFAULT '';"
     "ALTER TABLE llm_call ADD COLUMN currency TEXT NOT NULL DEFAULT '';"
     "ALTER TABLE llm_call ADD COLUMN billed_nano INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE llm_call ADD COLUMN estimated INTEGER NOT NULL DEFAULT 0;"),

    /* 5: why a candidate was passed over */
    "ALTER TABLE attempt ADD COLUMN skipped TEXT NOT NULL DEFAULT '';",
};

int cm_schema_newest(void)
{
    return (int)(sizeof migrations / sizeof migrations[0]);
}

const char *cm_schema_migration(int number)
{
    return migrations[number - 1];
}

static int say(sqlite3 *db, const char *path, char **error)
{
    if ((sqlite3_errcode(db) & 0xff) == SQLITE_NOTADB)
        *error = cm_format(_("%s is not a database; move it away, or use another state folder"), path);
    else if ((sqlite3_errcode(db) & 0xff) == SQLITE_CORRUPT)
        *error = cm_format(_("%s is damaged (%s); restore it from a backup"), path, sqlite3_errmsg(db));
    else
        *error = cm_format(_("cannot open the store %s: %s"), path, sqlite3_errmsg(db));
    return -1;
}

/* The single number that `sql` gives. */
static int read_number(sqlite3 *db, const char *path, const char *sql, int64_t *number, char **error)
{
    sqlite3_stmt *statement = NULL;
    int row = sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW;
    if (row)
        *number = sqlite3_column_int64(statement, 0);
    else
        say(db, path, error);
    sqlite3_finalize(statement);
    return row ? 0 : -1;
}

/* Whether the file is new, or ours and not newer than we are: its schema, or -1. */
static int read_version(sqlite3 *db, const char *path, char **error)
{
    int64_t application = 0, version = 0, tables = 0;
    if (read_number(db, path, "SELECT count(*) FROM sqlite_schema", &tables, error) != 0 ||
        read_number(db, path, "PRAGMA application_id", &application, error) != 0 ||
        read_number(db, path, "PRAGMA user_version", &version, error) != 0)
        return -1;
    if (tables == 0 && version == 0)
        return 0;
    if (application != CM_SCHEMA_APPLICATION || version < 1) {
        *error = cm_format(_("%s is a database of another program; use another state folder"), path);
        return -1;
    }
    if (version > cm_schema_newest()) {
        *error = cm_format(_("%s was written by a newer ClipMaker (schema %lld, this one knows %d); upgrade, or use "
                             "another state folder"),
                           path, (long long)version, cm_schema_newest());
        return -1;
    }
    return (int)version;
}

/* A damaged file is found now, with words, and not in the middle of a job. */
static int check_pages(sqlite3 *db, const char *path, char **error)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW) {
        say(db, path, error);
        sqlite3_finalize(statement);
        return -1;
    }
    const char *verdict = (const char *)sqlite3_column_text(statement, 0);
    int sound = verdict && strcmp(verdict, "ok") == 0;
    if (!sound)
        *error = cm_format(_("%s is damaged (%.200s); restore it from a backup"), path, verdict ? verdict : "?");
    for (char *at = sound ? NULL : *error; at && *at; at++)
        if (*at == '\n')
            *at = ' ';
    sqlite3_finalize(statement);
    return sound ? 0 : -1;
}

static int migrate(sqlite3 *db, const char *path, int from, char **error)
{
    char *sql = cm_format("BEGIN IMMEDIATE; %s; PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
                          migrations[from], CM_SCHEMA_APPLICATION, from + 1);
    int result = sqlite3_exec(db, sql, NULL, NULL, NULL);
    free(sql);
    if (result == SQLITE_OK)
        return 0;
    *error = cm_format(_("%s could not be brought to schema %d: %s"), path, from + 1, sqlite3_errmsg(db));
    if (!sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return -1;
}

int cm_schema_open(sqlite3 *db, const char *path, char **error)
{
    int version = read_version(db, path, error);
    if (version < 0 || (version > 0 && check_pages(db, path, error) != 0))
        return -1;
    for (; version < cm_schema_newest(); version++)
        if (migrate(db, path, version, error) != 0)
            return -1;
    return 0;
}
