/*
 * Change sets and queries in SQL, generated from the column tables of row.h.
 */
#include "core/daemon/store/sql.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/text.h"

/* One prepared statement each, made when first needed. */
struct cm_sql {
    sqlite3 *db;
    sqlite3_stmt *put[CM_TABLE_COUNT_PLUS_1];
    sqlite3_stmt *delete_row[CM_TABLE_COUNT_PLUS_1];
    sqlite3_stmt *delete_of_job[CM_TABLE_COUNT_PLUS_1];
    sqlite3_stmt *guard[CM_GUARD_COUNT];
    sqlite3_stmt *claim;
};

struct cm_sql *cm_sql_new(sqlite3 *db)
{
    struct cm_sql *sql = cm_alloc(sizeof *sql);
    sql->db = db;
    return sql;
}

void cm_sql_free(struct cm_sql *sql)
{
    for (int table = 0; table < CM_TABLE_COUNT_PLUS_1; table++) {
        sqlite3_finalize(sql->put[table]);
        sqlite3_finalize(sql->delete_row[table]);
        sqlite3_finalize(sql->delete_of_job[table]);
    }
    for (int kind = 0; kind < CM_GUARD_COUNT; kind++)
        sqlite3_finalize(sql->guard[kind]);
    sqlite3_finalize(sql->claim);
    free(sql);
}

/* ---- Statements ------------------------------------------------------------------------------ */

/* Prepares `text` (which is freed) into *statement. */
static int prepare(struct cm_sql *sql, sqlite3_stmt **statement, char *text)
{
    int result = sqlite3_prepare_v3(sql->db, text, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
    free(text);
    return result;
}

/* Runs a statement that gives no rows, and makes it ready for the next time. */
static int run(sqlite3_stmt *statement)
{
    int result = sqlite3_step(statement);
    int again = sqlite3_reset(statement);
    if (result == SQLITE_DONE)
        return SQLITE_OK;
    return again != SQLITE_OK ? again : SQLITE_ERROR;
}

/* Borrowed: the row outlives the step. */
static int bind_text(sqlite3_stmt *statement, int number, const char *text)
{
    return sqlite3_bind_text(statement, number, text, -1, SQLITE_STATIC);
}

static int bind_columns(sqlite3_stmt *statement, const struct cm_row_type *type, const void *row, int keys_only)
{
    int result = SQLITE_OK;
    for (size_t i = 0; result == SQLITE_OK && i < type->column_count; i++) {
        const struct cm_column *column = &type->columns[i];
        if (keys_only && !column->key)
            break;
        if (column->type == CM_COLUMN_INT)
            result = sqlite3_bind_int64(statement, (int)i + 1, cm_row_int(row, column));
        else
            result = bind_text(statement, (int)i + 1, cm_row_string(row, column));
    }
    return result;
}

static char *names_of_columns(const struct cm_row_type *type)
{
    struct cm_text text = {0};
    for (size_t i = 0; i < type->column_count; i++)
        cm_text_addf(&text, "%s\"%s\"", i ? "," : "", type->columns[i].name);
    return cm_text_take(&text);
}

static char *put_text(const struct cm_row_type *type)
{
    struct cm_text text = {0};
    char *names = names_of_columns(type);
    cm_text_addf(&text, "INSERT OR REPLACE INTO \"%s\" (%s) VALUES (", type->name, names);
    for (size_t i = 0; i < type->column_count; i++)
        cm_text_add(&text, i ? ",?" : "?");
    cm_text_add(&text, ")");
    free(names);
    return cm_text_take(&text);
}

char *cm_sql_delete_text(const struct cm_row_type *type)
{
    struct cm_text text = {0};
    cm_text_addf(&text, "DELETE FROM \"%s\" WHERE ", type->name);
    for (size_t i = 0; i < type->column_count && type->columns[i].key; i++)
        cm_text_addf(&text, "%s\"%s\"=?", i ? " AND " : "", type->columns[i].name);
    return cm_text_take(&text);
}

/* The rows of job ?1 that go with it; NULL for a table that knows no job. */
char *cm_sql_delete_of_job_text(enum cm_table table)
{
    if (table == CM_TABLE_NOTE) /* '0' follows '/': all owners that begin with "task JOB/" */
        return cm_strdup("DELETE FROM note WHERE owner >= 'task '||?1||'/' AND owner < 'task '||?1||'0'");
    if (!cm_row_column(table, "job") || table == CM_TABLE_LLM_CALL) /* what is on an invoice stays */
        return NULL;
    const char *name = cm_row_type(table)->name;
    if (table == CM_TABLE_EFFECT) /* what is out stays in the ledger */
        return cm_format("DELETE FROM \"%s\" WHERE job=?1 AND state<>%d", name, CM_EFFECT_CONFIRMED);
    return cm_format("DELETE FROM \"%s\" WHERE job=?1", name);
}

/* ---- Applying -------------------------------------------------------------------------------- */

/* What each guard looks at: state and fence of the row, no row for none. */
static const char *const guard_texts[CM_GUARD_COUNT] = {
    [CM_GUARD_TASK] = "SELECT state, fence FROM task WHERE job=?1 AND step=?2 AND item=?3",
    [CM_GUARD_JOB] = "SELECT state, 0 FROM job WHERE id=?1",
    [CM_GUARD_NO_JOB] = "SELECT 1, 0 FROM job WHERE request_key=?2 AND owner=?3 LIMIT 1",
    [CM_GUARD_EFFECT] = "SELECT state, fence FROM effect WHERE \"key\"=?1",
    [CM_GUARD_NOTE] = "SELECT CASE value WHEN ?3 THEN 1 ELSE 2 END, 0 FROM note WHERE owner=?1 AND name=?2",
    [CM_GUARD_BOOT] = "SELECT 1 + over, beat FROM boot WHERE id=?1",
    [CM_GUARD_CLAIM] = "SELECT CASE boot WHEN ?3 THEN 1 ELSE 2 END, 0 FROM claim WHERE job=?1",
};

int cm_sql_guard_agrees(const struct cm_guard *guard, int64_t state, int64_t fence)
{
    switch (guard->kind) {
    case CM_GUARD_TASK:
    case CM_GUARD_EFFECT:
    case CM_GUARD_BOOT:
        return state == guard->state && fence == guard->fence;
    case CM_GUARD_JOB:
        return state == guard->state;
    case CM_GUARD_NO_JOB:
        return state == 0;
    case CM_GUARD_NOTE:
    case CM_GUARD_CLAIM:
        return state == (guard->state != 0);
    case CM_GUARD_NONE:
    case CM_GUARD_COUNT:
        break;
    }
    return 1;
}

static int check_claim(struct cm_sql *sql, const struct cm_guard *guard, int *holds)
{
    static const char text[] = "SELECT 1 FROM claim WHERE job=?1 AND boot=?2";
    *holds = 1;
    if (!guard->claimed_by)
        return SQLITE_OK;
    int result = sql->claim ? SQLITE_OK : prepare(sql, &sql->claim, cm_strdup(text));
    if (result == SQLITE_OK)
        result = bind_text(sql->claim, 1, guard->claimed_job);
    if (result == SQLITE_OK)
        result = bind_text(sql->claim, 2, guard->claimed_by);
    if (result != SQLITE_OK)
        return result;
    *holds = sqlite3_step(sql->claim) == SQLITE_ROW;
    return sqlite3_reset(sql->claim);
}

const char *cm_sql_guard_text(enum cm_guard_kind kind)
{
    return guard_texts[kind];
}

static int check_guard(struct cm_sql *sql, const struct cm_guard *guard, int *holds)
{
    *holds = 1;
    if (guard->kind == CM_GUARD_NONE)
        return SQLITE_OK;
    sqlite3_stmt **statement = &sql->guard[guard->kind];
    int result = *statement ? SQLITE_OK : prepare(sql, statement, cm_strdup(guard_texts[guard->kind]));
    const char *const values[] = {guard->job, guard->step, guard->item};
    int count = result == SQLITE_OK ? sqlite3_bind_parameter_count(*statement) : 0;
    for (int i = 0; result == SQLITE_OK && i < count; i++)
        result = bind_text(*statement, i + 1, values[i]);
    if (result != SQLITE_OK)
        return result;
    int row = sqlite3_step(*statement) == SQLITE_ROW;
    int64_t state = row ? sqlite3_column_int64(*statement, 0) : 0;
    int64_t fence = row ? sqlite3_column_int64(*statement, 1) : 0;
    *holds = cm_sql_guard_agrees(guard, state, fence);
    return sqlite3_reset(*statement);
}

static int put_row(struct cm_sql *sql, enum cm_table table, const void *row)
{
    const struct cm_row_type *type = cm_row_type(table);
    sqlite3_stmt **statement = &sql->put[table];
    int result = *statement ? SQLITE_OK : prepare(sql, statement, put_text(type));
    if (result == SQLITE_OK)
        result = bind_columns(*statement, type, row, 0);
    return result == SQLITE_OK ? run(*statement) : result;
}

static int delete_row(struct cm_sql *sql, enum cm_table table, const void *row)
{
    const struct cm_row_type *type = cm_row_type(table);
    sqlite3_stmt **statement = &sql->delete_row[table];
    int result = *statement ? SQLITE_OK : prepare(sql, statement, cm_sql_delete_text(type));
    if (result == SQLITE_OK)
        result = bind_columns(*statement, type, row, 1);
    return result == SQLITE_OK ? run(*statement) : result;
}

static int delete_of_job(struct cm_sql *sql, enum cm_table table, const char *job)
{
    sqlite3_stmt **statement = &sql->delete_of_job[table];
    if (!*statement) {
        char *text = cm_sql_delete_of_job_text(table);
        int result = text ? prepare(sql, statement, text) : SQLITE_OK;
        if (!text || result != SQLITE_OK)
            return result;
    }
    int result = bind_text(*statement, 1, job);
    return result == SQLITE_OK ? run(*statement) : result;
}

static int delete_job(struct cm_sql *sql, const struct cm_job_row *job)
{
    int result = SQLITE_OK;
    for (enum cm_table table = CM_TABLE_TASK; result == SQLITE_OK && table < CM_TABLE_COUNT_PLUS_1; table++)
        result = delete_of_job(sql, table, job->id);
    return result == SQLITE_OK ? delete_row(sql, CM_TABLE_JOB, job) : result;
}

static int apply_change(struct cm_sql *sql, const struct cm_change *change)
{
    if (change->kind == CM_CHANGE_PUT)
        return put_row(sql, change->table, change->row);
    if (change->table == CM_TABLE_JOB)
        return delete_job(sql, change->row);
    return delete_row(sql, change->table, change->row);
}

int cm_sql_apply(struct cm_sql *sql, const struct cm_change_set *set, int *holds)
{
    int result = check_claim(sql, &set->guard, holds);
    if (result == SQLITE_OK && *holds)
        result = check_guard(sql, &set->guard, holds);
    for (size_t i = 0; result == SQLITE_OK && *holds && i < set->count; i++)
        result = apply_change(sql, &set->changes[i]);
    return result;
}

/* ---- Queries --------------------------------------------------------------------------------- */

/* Numbers of the parameters in every query's text. */
enum {
    ASK_JOB = 1,
    ASK_OWNER,
    ASK_REQUEST,
    ASK_BEFORE,
    ASK_LIMIT
};

/* What is asked of jobs, as conditions on the table job; "" for nothing. */
static char *conditions_on_jobs(const struct cm_query *query)
{
    struct cm_text text = {0};
    if (query->owner)
        cm_text_addf(&text, " AND owner=?%d", ASK_OWNER);
    if (query->request_key)
        cm_text_addf(&text, " AND request_key=?%d", ASK_REQUEST);
    if (query->unfinished)
        cm_text_addf(&text, " AND state<%d", CM_JOB_SUCCEEDED);
    if (query->before)
        cm_text_addf(&text, " AND id<?%d", ASK_BEFORE);
    return cm_text_take(&text);
}

/* Two ranges of the key, which SQLite looks up one after the other: a prefix ends before itself
 * with the last character behind it, and '0' follows '/'. */
static void add_note_conditions(struct cm_text *text, const struct cm_query *query, const char *on_jobs)
{
    if (query->job)
        cm_text_add(text, " AND ((owner>=?1 AND owner<?1||char(1114111)) OR"
                          " (owner>='task '||?1||'/' AND owner<'task '||?1||'0'))");
    if (on_jobs[0])
        cm_text_addf(text,
                     " AND owner>='task ' AND owner<'task!' AND"
                     " substr(owner,6,instr(substr(owner,6)||'/','/')-1) IN (SELECT id FROM job WHERE 1%s)",
                     on_jobs);
}

static void add_conditions(struct cm_text *text, const struct cm_query *query, const char *on_jobs)
{
    switch (query->table) {
    case CM_TABLE_BOOT:
        break;
    case CM_TABLE_JOB:
        if (query->job)
            cm_text_addf(text, " AND id=?%d", ASK_JOB);
        cm_text_add(text, on_jobs);
        break;
    case CM_TABLE_PIPELINE:
        if (query->job || on_jobs[0])
            cm_text_addf(text, " AND id IN (SELECT pipeline FROM job WHERE %s%s)", query->job ? "id=?1" : "1", on_jobs);
        break;
    case CM_TABLE_NOTE:
        add_note_conditions(text, query, on_jobs);
        break;
    default:
        if (query->job)
            cm_text_addf(text, " AND job=?%d", ASK_JOB);
        if (on_jobs[0])
            cm_text_addf(text, " AND job IN (SELECT id FROM job WHERE 1%s)", on_jobs);
    }
}

char *cm_sql_query_text(const struct cm_query *query)
{
    const struct cm_row_type *type = cm_row_type(query->table);
    struct cm_text text = {0};
    char *names = names_of_columns(type), *on_jobs = conditions_on_jobs(query);
    cm_text_addf(&text, "SELECT %s FROM \"%s\" WHERE 1", names, type->name);
    add_conditions(&text, query, on_jobs);
    for (size_t i = 0; i < type->column_count && type->columns[i].key; i++)
        cm_text_addf(&text, "%s \"%s\"%s", i ? "," : " ORDER BY", type->columns[i].name,
                     query->table == CM_TABLE_JOB ? " DESC" : "");
    cm_text_addf(&text, " LIMIT ?%d", ASK_LIMIT);
    free(names);
    free(on_jobs);
    return cm_text_take(&text);
}

static int bind_query(sqlite3_stmt *statement, const struct cm_query *query)
{
    const char *const values[] = {[ASK_JOB] = query->job,
                                  [ASK_OWNER] = query->owner,
                                  [ASK_REQUEST] = query->request_key,
                                  [ASK_BEFORE] = query->before};
    int result = SQLITE_OK;
    for (int i = ASK_JOB; result == SQLITE_OK && i <= ASK_BEFORE; i++)
        if (values[i])
            result = bind_text(statement, i, values[i]);
    if (result == SQLITE_OK)
        result = sqlite3_bind_int64(statement, ASK_LIMIT, query->limit > 0 ? query->limit : -1);
    return result;
}

static void *read_row(sqlite3_stmt *statement, enum cm_table table)
{
    const struct cm_row_type *type = cm_row_type(table);
    char *row = cm_row_new(table);
    for (size_t i = 0; i < type->column_count; i++) {
        void *field = row + type->columns[i].offset;
        if (type->columns[i].type == CM_COLUMN_INT)
            *(int64_t *)field = sqlite3_column_int64(statement, (int)i);
        else
            cm_row_text(field, (const char *)sqlite3_column_text(statement, (int)i));
    }
    return row;
}

int cm_sql_query(struct cm_sql *sql, const struct cm_asked *asked, struct cm_outbox *outbox)
{
    sqlite3_stmt *statement = NULL;
    int result = prepare(sql, &statement, cm_sql_query_text(&asked->query));
    if (result == SQLITE_OK)
        result = bind_query(statement, &asked->query);
    while (result == SQLITE_OK && (result = sqlite3_step(statement)) == SQLITE_ROW) {
        cm_outbox_row(outbox, asked, read_row(statement, asked->query.table));
        result = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    return result == SQLITE_DONE ? SQLITE_OK : result;
}
