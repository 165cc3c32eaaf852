/*
 * One connection to PostgreSQL: connecting, the schema, and the pipeline.
 */
#include "core/daemon/store/postgres_session.h"

#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/text.h"
#include "core/daemon/store/schema.h"

#define TYPE_TEXT 25 /* pg_type.oid of text */

enum {
    STATEMENTS_MAX = 256,
    SILENCE_MS = 30000, /* the server said nothing for so long: it is gone */
    COLUMNS_MAX = 32,
    VALUES_MAX = 5,
};

/* What the answer to one command goes to. */
struct command {
    cm_session_fn take;
    void *arg; /* owned */
};

struct cm_session {
    PGconn *connection; /* NULL: none */
    char *url, *shown;  /* shown: without the password */
    char *trouble;
    int is_passing;

    char *statements[STATEMENTS_MAX]; /* prepared in this connection, by number */
    size_t statement_count;
    struct command *commands;
    size_t count, room;
};

/* ---- Trouble --------------------------------------------------------------------------------- */

static void note_trouble(struct cm_session *session, const char *words, int is_passing)
{
    char *line = cm_strndup(words, strcspn(words, "\n")), *clean = cm_log_clean(line); /* what follows are guesses */
    free(line);
    free(session->trouble);
    session->trouble = cm_format(_("the database %s: %s"), session->shown, clean);
    session->is_passing = is_passing;
    free(clean);
}

/* Resources, an operator's intervention, the system, a lock or a conflict: it passes. */
static int state_is_passing(const char *state)
{
    static const char *const passing[] = {"08", "40", "53", "55", "57", "58", "25"};
    for (size_t i = 0; state && i < sizeof passing / sizeof *passing; i++)
        if (strncmp(state, passing[i], 2) == 0)
            return 1;
    return 0;
}

static void note_result(struct cm_session *session, const PGresult *result)
{
    const char *words = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    note_trouble(session, words ? words : PQresultErrorMessage(result),
                 state_is_passing(PQresultErrorField(result, PG_DIAG_SQLSTATE)));
}

const char *cm_session_trouble(const struct cm_session *session)
{
    return session->trouble ? session->trouble : "";
}

int cm_session_is_passing(const struct cm_session *session)
{
    return session->is_passing;
}

/* ---- The connection -------------------------------------------------------------------------- */

static const char *option(const PQconninfoOption *options, const char *name, const char *fallback)
{
    for (; options && options->keyword; options++)
        if (strcmp(options->keyword, name) == 0 && options->val && *options->val)
            return options->val;
    return fallback;
}

/* "postgresql://host:port/name": the address as people may see it. */
static char *shown_url(const char *url)
{
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    const char *host = option(options, "host", "localhost"), *port = option(options, "port", "5432");
    char *shown = cm_format("postgresql://%s:%s/%s", host, port, option(options, "dbname", ""));
    PQconninfoFree(options);
    return shown;
}

struct cm_session *cm_session_new(const char *url)
{
    struct cm_session *session = cm_alloc(sizeof *session);
    session->url = cm_strdup(url);
    session->shown = shown_url(url);
    return session;
}

static void drop_commands(struct cm_session *session)
{
    for (size_t i = 0; i < session->count; i++)
        free(session->commands[i].arg);
    session->count = 0;
}

static void forget_statements(struct cm_session *session)
{
    for (size_t i = 0; i < session->statement_count; i++)
        free(session->statements[i]);
    session->statement_count = 0;
}

static void disconnect(struct cm_session *session)
{
    PQfinish(session->connection);
    session->connection = NULL;
    forget_statements(session);
    drop_commands(session);
}

void cm_session_free(struct cm_session *session)
{
    disconnect(session);
    free(session->commands);
    free(session->trouble);
    free(session->shown);
    explicit_bzero(session->url, strlen(session->url)); /* the password */
    free(session->url);
    free(session);
}

int cm_session_is_connected(const struct cm_session *session)
{
    return session->connection != NULL;
}

static int lose(struct cm_session *session, const char *words)
{
    note_trouble(session, words, 1);
    disconnect(session);
    return -1;
}

/* ---- The schema ------------------------------------------------------------------------------ */

/* Runs statements that give no row that matters; 0, or -1: trouble. */
static int execute(struct cm_session *session, const char *sql)
{
    PGresult *result = PQexec(session->connection, sql);
    ExecStatusType status = PQresultStatus(result);
    int failed = status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK;
    if (failed)
        note_result(session, result);
    PQclear(result);
    return failed ? -1 : 0;
}

static int read_version(struct cm_session *session, int *version)
{
    PGresult *result = PQexec(session->connection, "SELECT coalesce(max(version), 0) FROM clipmaker_schema");
    int failed = PQresultStatus(result) != PGRES_TUPLES_OK;
    if (failed)
        note_result(session, result);
    else
        *version = atoi(PQgetvalue(result, 0, 0));
    PQclear(result);
    return failed ? -1 : 0;
}

/* `text` with every `from` as `to`; malloc'd. */
static char *replaced(const char *text, const char *from, const char *to)
{
    struct cm_text out = {0};
    for (const char *at; (at = strstr(text, from)); text = at + strlen(from)) {
        cm_text_add_bytes(&out, text, (size_t)(at - text));
        cm_text_add(&out, to);
    }
    cm_text_add(&out, text);
    return cm_text_take(&out);
}

/* Replaces each pair in turn; the text is freed. */
static char *translated(char *text, const char *const (*pairs)[2], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *next = replaced(text, pairs[i][0], pairs[i][1]);
        free(text);
        text = next;
    }
    return text;
}

/* The same tables; texts are compared byte by byte there too. */
static int migrate(struct cm_session *session, int number)
{
    static const char *const pairs[][2] = {
        {" STRICT, WITHOUT ROWID", ""}, {" INTEGER", " BIGINT"}, {" TEXT", " TEXT COLLATE \"C\""}};
    char *tables = translated(cm_strdup(cm_schema_migration(number)), pairs, sizeof pairs / sizeof *pairs);
    char *sql = cm_format("%s; INSERT INTO clipmaker_schema (version) VALUES (%d)", tables, number);
    int failed = execute(session, sql);
    free(sql);
    free(tables);
    return failed;
}

static int bring_up_to_date(struct cm_session *session)
{
    int version = 0, failed = read_version(session, &version);
    if (!failed && version > cm_schema_newest()) {
        char *words =
            cm_format(_("written by a newer ClipMaker (schema %d, this one knows %d); upgrade, or use another "
                        "database"),
                      version, cm_schema_newest());
        note_trouble(session, words, 0);
        free(words);
        return -1;
    }
    for (; !failed && version < cm_schema_newest(); version++)
        failed = migrate(session, version + 1);
    return failed;
}

/* One at a time, however many daemons begin at once. */
static int open_schema(struct cm_session *session)
{
    int failed = execute(session, "BEGIN; SELECT pg_advisory_xact_lock(1129075789);"
                                  "CREATE TABLE IF NOT EXISTS clipmaker_schema (version BIGINT NOT NULL);"
                                  "CREATE TABLE IF NOT EXISTS commit_marker (id TEXT COLLATE \"C\" PRIMARY KEY,"
                                  " seq BIGINT NOT NULL, used TIMESTAMPTZ NOT NULL)") ||
                 bring_up_to_date(session);
    if (!failed)
        return execute(session, "COMMIT");
    char *words = session->trouble;
    int is_passing = session->is_passing;
    session->trouble = NULL;
    execute(session, "ROLLBACK");
    free(session->trouble);
    session->trouble = words;
    session->is_passing = is_passing;
    return -1;
}

/* ---- Connecting ------------------------------------------------------------------------------ */

/* What the URL says comes later and so wins, but for the encoding. */
static const char *const connect_keys[] = {
    "connect_timeout", "application_name", "keepalives_idle", "tcp_user_timeout", "dbname", "client_encoding", NULL};
enum {
    CONNECT_KEYS = sizeof connect_keys / sizeof *connect_keys
};
#define CONNECT_VALUES(url)                                                                                            \
    {                                                                                                                  \
        "5", "clipmaker", "15", "30000", url, "UTF8", NULL                                                             \
    }

/* A server that answers but does not let us in will not let us in later either. */
static int refuse(struct cm_session *session)
{
    const char *const values[CONNECT_KEYS] = CONNECT_VALUES(session->url);
    const char *words = PQerrorMessage(session->connection);
    note_trouble(session, words, PQpingParams(connect_keys, values, 1) != PQPING_OK);
    disconnect(session);
    return -1;
}

/* In another encoding there are texts that cannot be stored, and bytes do not compare as ours do. */
static int check_encoding(struct cm_session *session)
{
    const char *encoding = PQparameterStatus(session->connection, "server_encoding");
    if (encoding && strcmp(encoding, "UTF8") == 0)
        return 0;
    char *words = cm_format(_("its encoding is %s: create it with ENCODING UTF8"), encoding ? encoding : "?");
    note_trouble(session, words, 0);
    free(words);
    return -1;
}

/* By itself libpq writes to stderr, where our log is. What matters comes as an error, too. */
static void ignore_notice(void *arg, const char *words)
{
    (void)arg;
    (void)words;
}

/*
 * Whatever the database's own settings are: a guard sees what is there at that moment and no older snapshot, and what
 * is committed lies on the disk. What waits for a lock is tried again, what was left half-done locks nobody out for
 * long.
 */
static const char session_settings[] =
    "SET default_transaction_isolation='read committed';"
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit')='off';"
    "SET lock_timeout='10s'; SET idle_in_transaction_session_timeout='15s'; SET client_min_messages=warning";

int cm_session_connect(struct cm_session *session)
{
    const char *const values[CONNECT_KEYS] = CONNECT_VALUES(session->url);
    if (session->connection)
        return 0;
    session->connection = PQconnectdbParams(connect_keys, values, 1);
    PQsetNoticeProcessor(session->connection, ignore_notice, NULL);
    if (PQstatus(session->connection) != CONNECTION_OK)
        return refuse(session);
    if (check_encoding(session) || execute(session, session_settings) || open_schema(session) ||
        !PQenterPipelineMode(session->connection)) {
        disconnect(session);
        return -1;
    }
    PQsetnonblocking(session->connection, 1);
    return 0;
}

/* ---- Sending --------------------------------------------------------------------------------- */

static void expect(struct cm_session *session, cm_session_fn take, const void *arg, size_t arg_bytes)
{
    struct command command = {.take = take};
    if (arg_bytes > 0) {
        command.arg = cm_alloc(arg_bytes);
        memcpy(command.arg, arg, arg_bytes);
    }
    session->commands = cm_grow(session->commands, &session->room, session->count, sizeof *session->commands);
    session->commands[session->count++] = command;
}

/* The name of a statement, prepared on the way when it is new. */
static void prepare(struct cm_session *session, const char *text, int count, const Oid *types, char name[16])
{
    size_t number = 0;
    while (number < session->statement_count && strcmp(session->statements[number], text) != 0)
        number++;
    snprintf(name, 16, "s%zu", number % STATEMENTS_MAX);
    if (number < session->statement_count)
        return;
    if (number == STATEMENTS_MAX) { /* never yet: there are some sixty */
        name[0] = '\0';
        number--;
    } else {
        session->statements[session->statement_count++] = cm_strdup(text);
    }
    PQsendPrepare(session->connection, name, text, count, types);
    expect(session, NULL, NULL, 0);
}

static void send_values(struct cm_session *session, const char *text, int count, const char *const *values,
                        const Oid *types)
{
    char name[16];
    prepare(session, text, count, types, name);
    PQsendQueryPrepared(session->connection, name, count, values, NULL, NULL, 0);
}

/* The database takes no text that is not UTF-8: rather a mended one than none. NULL when it is good. */
static char *mended(const char *text)
{
    return cm_is_utf8(text, strlen(text)) ? NULL : cm_log_clean(text);
}

void cm_session_send(struct cm_session *session, const char *text, int count, const char *const *values,
                     cm_session_fn take, const void *arg, size_t arg_bytes)
{
    static const Oid types[VALUES_MAX] = {TYPE_TEXT, TYPE_TEXT, TYPE_TEXT, TYPE_TEXT, TYPE_TEXT};
    const char *sent[VALUES_MAX];
    char *texts[VALUES_MAX] = {0};
    if (!session->connection)
        return;
    for (int i = 0; i < count; i++) {
        texts[i] = values[i] ? mended(values[i]) : NULL;
        sent[i] = texts[i] ? texts[i] : values[i];
    }
    send_values(session, text, count, sent, types);
    expect(session, take, arg, arg_bytes);
    for (int i = 0; i < count; i++)
        free(texts[i]);
}

void cm_session_send_row(struct cm_session *session, const char *text, enum cm_table table, const void *row,
                         int keys_only)
{
    const struct cm_row_type *type = cm_row_type(table);
    const char *values[COLUMNS_MAX];
    char numbers[COLUMNS_MAX][24], *texts[COLUMNS_MAX] = {0};
    int count = 0;
    if (!session->connection)
        return;
    for (; (size_t)count < type->column_count && (!keys_only || type->columns[count].key); count++) {
        const struct cm_column *column = &type->columns[count];
        if (column->type == CM_COLUMN_INT) {
            snprintf(numbers[count], sizeof numbers[count], "%lld", (long long)cm_row_int(row, column));
            values[count] = numbers[count];
        } else {
            const char *value = cm_row_string(row, column);
            texts[count] = mended(value);
            values[count] = texts[count] ? texts[count] : value;
        }
    }
    send_values(session, text, count, values, NULL);
    expect(session, NULL, NULL, 0);
    for (int i = 0; i < count; i++)
        free(texts[i]);
}

/* ---- Running --------------------------------------------------------------------------------- */

/* Waits until something can be read, sending meanwhile. 0, or -1: the connection is lost. */
static int wait_for_answer(struct cm_session *session)
{
    PGconn *connection = session->connection;
    while (PQisBusy(connection)) {
        int left = PQflush(connection);
        struct pollfd look = {PQsocket(connection), (short)(left == 1 ? POLLIN | POLLOUT : POLLIN), 0};
        if (left < 0)
            return lose(session, PQerrorMessage(connection));
        if (poll(&look, 1, SILENCE_MS) == 0)
            return lose(session, _("no answer"));
        if ((look.revents & (POLLIN | POLLERR | POLLHUP)) && !PQconsumeInput(connection))
            return lose(session, PQerrorMessage(connection));
    }
    return 0;
}

/* Takes the answers to one command. 1: a good one; 0: it failed, or was not executed; -1: lost. */
static int take_answers(struct cm_session *session, const struct command *command)
{
    int good = 1;
    for (;;) {
        if (wait_for_answer(session) != 0)
            return -1;
        PGresult *result = PQgetResult(session->connection);
        ExecStatusType status = PQresultStatus(result);
        if (!result)
            return good;
        if (status == PGRES_FATAL_ERROR) {
            note_result(session, result);
            good = 0;
        } else if (status == PGRES_PIPELINE_ABORTED) {
            good = 0;
        } else if (command->take) {
            command->take(command->arg, result);
        }
        PQclear(result);
    }
}

/* The mark behind the last command. */
static int take_sync(struct cm_session *session)
{
    for (int seen = 0; !seen;) {
        if (wait_for_answer(session) != 0)
            return -1;
        PGresult *result = PQgetResult(session->connection);
        seen = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
        if (!result && PQstatus(session->connection) != CONNECTION_OK)
            return lose(session, PQerrorMessage(session->connection));
        PQclear(result);
    }
    return 0;
}

int cm_session_run(struct cm_session *session)
{
    int failed = 0;
    if (!session->connection)
        return -1;
    if (!PQpipelineSync(session->connection))
        return lose(session, PQerrorMessage(session->connection));
    for (size_t i = 0; i < session->count; i++) {
        int good = take_answers(session, &session->commands[i]);
        if (good < 0)
            return -1;
        failed |= !good;
        if (PQstatus(session->connection) != CONNECTION_OK)
            return lose(session, cm_session_trouble(session));
    }
    drop_commands(session);
    return take_sync(session) != 0 || failed ? -1 : 0;
}

void cm_session_roll_back(struct cm_session *session)
{
    if (!session->connection)
        return;
    char *words = session->trouble ? cm_strdup(session->trouble) : NULL;
    int is_passing = session->is_passing;
    drop_commands(session);
    PGTransactionStatusType status = PQtransactionStatus(session->connection);
    if (status != PQTRANS_IDLE) {
        forget_statements(session); /* some of them were gathered, but never prepared */
        PQsendQueryParams(session->connection, "ROLLBACK", 0, NULL, NULL, NULL, NULL, 0);
        expect(session, NULL, NULL, 0);
        PQsendQueryParams(session->connection, "DEALLOCATE ALL", 0, NULL, NULL, NULL, NULL, 0);
        expect(session, NULL, NULL, 0);
        cm_session_run(session);
    }
    free(session->trouble);
    session->trouble = words;
    session->is_passing = is_passing;
}

/* ---- Texts ----------------------------------------------------------------------------------- */

/* ?1 is $1; a bare ? counts. */
static char *with_dollars(const char *lite)
{
    struct cm_text out = {0};
    int number = 0;
    for (const char *c = lite; *c; c++) {
        if (*c != '?')
            cm_text_add_bytes(&out, c, 1);
        else if (c[1] >= '1' && c[1] <= '9')
            cm_text_add(&out, "$");
        else
            cm_text_addf(&out, "$%d", ++number);
    }
    return cm_text_take(&out);
}

char *cm_session_text(const char *lite, const char *behind)
{
    static const char *const pairs[][2] = {{"char(", "chr("}, {"instr(", "strpos("}, {"WHERE 1", "WHERE true"}};
    char *text = translated(with_dollars(lite), pairs, sizeof pairs / sizeof *pairs);
    char *whole = cm_format("%s%s", text, behind);
    free(text);
    return whole;
}
