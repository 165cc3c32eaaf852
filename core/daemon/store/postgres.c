/*
 * The store in a PostgreSQL database. Everything that is queued becomes one transaction of two round
 * trips: the rows that the guards look at, locked; then the changes of the sets whose guards hold.
 */
#include "core/daemon/store/postgres.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/common/log.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/daemon/store/postgres_session.h"
#include "core/daemon/store/sql.h"
#include "core/daemon/store/thread.h"

enum {
    SETS_IN_A_COMMIT = 128,
    MARKER_BYTES = 16,
};

struct postgres_store {
    struct cm_store_thread thread; /* first */
    struct cm_session *session;
    char marker[2 * MARKER_BYTES + 1]; /* our row in commit_marker */

    /* The thread's own while it runs. */
    size_t sets_in_a_commit;
    int64_t commits;                       /* that we know of; our row in commit_marker says the same */
    size_t count;                          /* of the batch at hand */
    enum cm_applied how[SETS_IN_A_COMMIT]; /* what becomes of each */
    int64_t seen[SETS_IN_A_COMMIT][2];     /* state and fence of the row that its guard looks at */
    int claimed[SETS_IN_A_COMMIT];         /* whether the claim is as it asks */
    int in_doubt;                          /* a commit was sent and nobody answered: the marker knows */
    int64_t marked;                        /* what the marker said last */
};

static struct postgres_store *postgres_of(struct cm_store_thread *thread)
{
    return (struct postgres_store *)thread;
}

/* ---- Which sets go together ------------------------------------------------------------------ */

static int same(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* Whether a change makes or unmakes the row that a guard looks at. */
static int touches_guard(const struct cm_change *change, const struct cm_guard *guard)
{
    const void *row = change->row;
    const struct cm_task_row *task = row;
    const struct cm_note_row *note = row;
    if (change->table == CM_TABLE_CLAIM && guard->claimed_by &&
        same(((const struct cm_claim_row *)row)->job, guard->claimed_job))
        return 1;
    if (change->table == CM_TABLE_JOB && change->kind == CM_CHANGE_DELETE)
        return 1; /* it takes rows of many tables along */
    if (change->table == CM_TABLE_JOB &&
        (guard->kind == CM_GUARD_NO_JOB || same(((const struct cm_job_row *)row)->id, guard->job)))
        return 1;
    switch (guard->kind) {
    case CM_GUARD_TASK:
        return change->table == CM_TABLE_TASK && same(task->item, guard->item) && same(task->step, guard->step) &&
               same(task->job, guard->job);
    case CM_GUARD_EFFECT:
        return change->table == CM_TABLE_EFFECT && same(((const struct cm_effect_row *)row)->key, guard->job);
    case CM_GUARD_NOTE:
        return change->table == CM_TABLE_NOTE && same(note->name, guard->step) && same(note->owner, guard->job);
    case CM_GUARD_BOOT:
        return change->table == CM_TABLE_BOOT && same(((const struct cm_boot_row *)row)->id, guard->job);
    case CM_GUARD_CLAIM:
        return change->table == CM_TABLE_CLAIM && same(((const struct cm_claim_row *)row)->job, guard->job);
    default:
        return 0;
    }
}

static int touches(const struct cm_change_set *earlier, const struct cm_guard *guard)
{
    for (size_t i = 0; i < earlier->count; i++)
        if (touches_guard(&earlier->changes[i], guard))
            return 1;
    return 0;
}

/* How many sets from the head go into one commit: all that look at nothing that one before them changes. */
static size_t choose_batch(struct postgres_store *self)
{
    size_t count = 0;
    const struct cm_inbox_item *item = self->thread.work.first;
    for (; item && item->set && count < self->sets_in_a_commit; item = item->next, count++) {
        const struct cm_inbox_item *earlier = self->thread.work.first;
        while (earlier != item && !touches(earlier->set, &item->set->guard))
            earlier = earlier->next;
        if (earlier != item)
            break;
    }
    return count;
}

/* ---- The first trip: what the guards see ----------------------------------------------------- */

/* What the answer to a command of the first trip is about. */
enum look {
    LOOK_NOTHING = 1,
    LOOK_MARKER,
    LOOK_GUARD,
    LOOK_CLAIM
};

struct looked {
    struct postgres_store *self;
    size_t set;
    enum look at;
};

static void take_look(void *arg, const PGresult *result)
{
    const struct looked *looked = arg;
    struct postgres_store *self = looked->self;
    int found = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) > 0;
    if (looked->at == LOOK_MARKER && found)
        self->marked = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    if (looked->at == LOOK_CLAIM)
        self->claimed[looked->set] = found;
    if (looked->at == LOOK_GUARD && found) {
        self->seen[looked->set][0] = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
        self->seen[looked->set][1] = strtoll(PQgetvalue(result, 0, 1), NULL, 10);
    }
}

/* A row that may be absent cannot be locked, so its name is. */
static int may_be_absent(const struct cm_guard *guard)
{
    return guard->kind == CM_GUARD_NO_JOB || guard->state == 0;
}

static void look_at_guard(struct postgres_store *self, size_t set, const struct cm_guard *guard)
{
    struct cm_session *session = self->session;
    const char *const values[] = {guard->job, guard->step, guard->item};
    if (guard->kind == CM_GUARD_NONE)
        return;
    if (may_be_absent(guard)) {
        char *name = cm_format("%d %s/%s/%s", (int)guard->kind, guard->job, guard->step, guard->item);
        cm_session_send(session, "SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))", 1,
                        (const char *const[]){name}, NULL, NULL, 0);
        free(name);
    }
    struct looked looked = {self, set, LOOK_GUARD};
    char *text = cm_session_text(cm_sql_guard_text(guard->kind), " FOR UPDATE");
    cm_session_send(session, text, 3, values, take_look, &looked, sizeof looked);
    free(text);
}

/* Shared by all sets of the job, so locked only against those who would take the job over. */
static void look_at_claim(struct postgres_store *self, size_t set, const struct cm_guard *guard)
{
    if (!guard->claimed_by)
        return;
    struct looked looked = {self, set, LOOK_CLAIM};
    cm_session_send(self->session, "SELECT 1 FROM claim WHERE job=$1 AND boot=$2 FOR SHARE", 2,
                    (const char *const[]){guard->claimed_job, guard->claimed_by}, take_look, &looked, sizeof looked);
}

/* 0, or -1: there is trouble. */
static int look(struct postgres_store *self)
{
    struct looked marker = {self, 0, LOOK_MARKER};
    const struct cm_inbox_item *item = self->thread.work.first;
    self->marked = -1;
    cm_session_send(self->session, "BEGIN", 0, NULL, NULL, NULL, 0);
    cm_session_send(self->session, "SELECT seq FROM commit_marker WHERE id=$1 FOR UPDATE", 1,
                    (const char *const[]){self->marker}, take_look, &marker, sizeof marker);
    for (size_t i = 0; i < self->count; i++, item = item->next) {
        self->seen[i][0] = self->seen[i][1] = 0;
        self->claimed[i] = 1; /* unless a look says otherwise */
        look_at_claim(self, i, &item->set->guard);
        look_at_guard(self, i, &item->set->guard);
    }
    return cm_session_run(self->session);
}

/* ---- The second trip: what is written -------------------------------------------------------- */

static char *put_text(const struct cm_row_type *type)
{
    struct cm_text text = {0}, values = {0}, keys = {0}, others = {0};
    for (size_t i = 0; i < type->column_count; i++) {
        const struct cm_column *column = &type->columns[i];
        cm_text_addf(&text, "%s\"%s\"", i ? "," : "", column->name);
        cm_text_addf(&values, "%s$%zu", i ? "," : "", i + 1);
        if (column->key)
            cm_text_addf(&keys, "%s\"%s\"", i ? "," : "", column->name);
        else
            cm_text_addf(&others, "%s\"%s\"=EXCLUDED.\"%s\"", others.length ? "," : "", column->name, column->name);
    }
    char *whole = cm_format("INSERT INTO \"%s\" (%s) VALUES (%s) ON CONFLICT (%s) DO UPDATE SET %s", type->name,
                            text.bytes, values.bytes, keys.bytes, others.bytes);
    cm_text_free(&text);
    cm_text_free(&values);
    cm_text_free(&keys);
    cm_text_free(&others);
    return whole;
}

static void put_row(struct postgres_store *self, enum cm_table table, const void *row)
{
    char *text = put_text(cm_row_type(table));
    cm_session_send_row(self->session, text, table, row, 0);
    free(text);
}

static void delete_row(struct postgres_store *self, enum cm_table table, const void *row)
{
    char *lite = cm_sql_delete_text(cm_row_type(table)), *text = cm_session_text(lite, "");
    cm_session_send_row(self->session, text, table, row, 1);
    free(text);
    free(lite);
}

static void delete_job(struct postgres_store *self, const struct cm_job_row *job)
{
    for (enum cm_table table = CM_TABLE_TASK; table < CM_TABLE_COUNT_PLUS_1; table++) {
        char *lite = cm_sql_delete_of_job_text(table), *text = lite ? cm_session_text(lite, "") : NULL;
        if (text)
            cm_session_send(self->session, text, 1, (const char *const[]){job->id}, NULL, NULL, 0);
        free(text);
        free(lite);
    }
    delete_row(self, CM_TABLE_JOB, job);
}

static void write_set(struct postgres_store *self, const struct cm_change_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct cm_change *change = &set->changes[i];
        if (change->kind == CM_CHANGE_PUT)
            put_row(self, change->table, change->row);
        else if (change->table == CM_TABLE_JOB)
            delete_job(self, change->row);
        else
            delete_row(self, change->table, change->row);
    }
}

static int write_batch(struct postgres_store *self)
{
    const struct cm_inbox_item *item = self->thread.work.first;
    char number[24];
    for (size_t i = 0; i < self->count; i++, item = item->next) {
        const struct cm_guard *guard = &item->set->guard;
        int holds = self->claimed[i] && cm_sql_guard_agrees(guard, self->seen[i][0], self->seen[i][1]);
        self->how[i] = holds ? CM_APPLIED : CM_APPLIED_NOT;
        if (holds)
            write_set(self, item->set);
    }
    snprintf(number, sizeof number, "%lld", (long long)self->commits + 1);
    cm_session_send(self->session,
                    "INSERT INTO commit_marker (id, seq, used) VALUES ($1, $2::bigint, now())"
                    " ON CONFLICT (id) DO UPDATE SET seq=EXCLUDED.seq, used=EXCLUDED.used",
                    2, (const char *const[]){self->marker, number}, NULL, NULL, 0);
    cm_session_send(self->session, "COMMIT", 0, NULL, NULL, NULL, 0);
    return cm_session_run(self->session);
}

/* ---- Committing ------------------------------------------------------------------------------ */

/* The batch is durable: the owner hears of each set. */
static void finish_batch(struct postgres_store *self)
{
    self->commits++;
    self->in_doubt = 0;
    for (size_t i = 0; i < self->count; i++) {
        cm_outbox_applied(&self->thread.done, self->thread.work.first->set->id, self->how[i], NULL);
        cm_inbox_drop_first(&self->thread.work);
    }
    self->sets_in_a_commit =
        self->sets_in_a_commit * 2 < SETS_IN_A_COMMIT ? self->sets_in_a_commit * 2 : SETS_IN_A_COMMIT;
}

/* Nothing was written, or nobody knows: the owner has a notice. */
static int fail_batch(struct postgres_store *self, const char *words)
{
    cm_session_roll_back(self->session);
    cm_outbox_applied(&self->thread.done, self->thread.work.first->set->id, CM_APPLIED_UNAVAILABLE, words);
    if (!self->in_doubt)
        self->sets_in_a_commit = 1; /* what is small may still go through */
    return -1;
}

/*
 * Before the connection broke a commit was sent. Our marker's row stays locked as long as the server is
 * still at it, and its number says whether it came to the end.
 */
static int settle_doubt(struct postgres_store *self)
{
    size_t count = self->count;
    self->count = 0;
    int failed = look(self) != 0;
    self->count = count;
    if (failed)
        return fail_batch(self, cm_session_trouble(self->session));
    if (self->marked < 0) /* who starts again reads what there is */
        return fail_batch(self, _("somebody took away the row of commit_marker that says whether the last changes "
                                  "came through: restart the daemon"));
    cm_session_roll_back(self->session);
    if (self->marked == self->commits + 1)
        finish_batch(self);
    self->in_doubt = 0;
    return 0;
}

static int postgres_commit(struct cm_store_thread *thread)
{
    struct postgres_store *self = postgres_of(thread);
    if (cm_session_connect(self->session) != 0)
        return fail_batch(self, cm_session_trouble(self->session));
    if (self->in_doubt)
        return settle_doubt(self);
    self->count = choose_batch(self);
    if (look(self) != 0)
        return fail_batch(self, cm_session_trouble(self->session));
    if (write_batch(self) != 0) {
        self->in_doubt = !cm_session_is_connected(self->session);
        return fail_batch(self, cm_session_trouble(self->session));
    }
    finish_batch(self);
    return 0;
}

/* ---- Queries --------------------------------------------------------------------------------- */

/* A query and where its rows go; queries that came side by side are answered from one snapshot. */
struct asking {
    struct cm_outbox *done;
    const struct cm_asked *asked;
    size_t *ended; /* how many of them have all their rows */
};

static void take_rows(void *arg, const PGresult *result)
{
    const struct asking *asking = arg;
    const struct cm_row_type *type = cm_row_type(asking->asked->query.table);
    for (int line = 0; line < PQntuples(result); line++) {
        char *row = cm_row_new(asking->asked->query.table);
        for (size_t i = 0; i < type->column_count; i++) {
            void *field = row + type->columns[i].offset;
            const char *value = PQgetvalue(result, line, (int)i);
            if (type->columns[i].type == CM_COLUMN_INT)
                *(int64_t *)field = strtoll(value, NULL, 10);
            else
                cm_row_text(field, value);
        }
        cm_outbox_row(asking->done, asking->asked, row);
    }
    cm_outbox_end(asking->done, asking->asked, NULL);
    ++*asking->ended;
}

static void ask(struct postgres_store *self, const struct asking *asking)
{
    const struct cm_query *query = &asking->asked->query;
    char limit[24];
    snprintf(limit, sizeof limit, "%lld", (long long)(query->limit > 0 ? query->limit : INT64_MAX));
    const char *const values[] = {query->job, query->owner, query->request_key, query->before, limit};
    char *lite = cm_sql_query_text(query), *text = cm_session_text(lite, "::bigint");
    cm_session_send(self->session, text, 5, values, take_rows, asking, sizeof *asking);
    free(text);
    free(lite);
}

/* Asks all that stand at the head of the queue side by side; how many they are. 0, or -1: trouble. */
static int ask_all(struct postgres_store *self, size_t *count, size_t *ended)
{
    const struct cm_inbox_item *item = self->thread.work.first;
    cm_session_send(self->session, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", 0, NULL, NULL, NULL, 0);
    for (*count = 0; item && !item->set; item = item->next, ++*count)
        ask(self, &(struct asking){&self->thread.done, &item->asked, ended});
    cm_session_send(self->session, "COMMIT", 0, NULL, NULL, NULL, 0);
    return cm_session_run(self->session);
}

static void postgres_answer(struct cm_store_thread *thread)
{
    struct postgres_store *self = postgres_of(thread);
    size_t count = 0, ended = 0;
    int failed = cm_session_connect(self->session) != 0;
    failed = ask_all(self, &count, &ended) != 0 || failed;
    for (size_t i = 0; i < count; i++) {
        if (i >= ended)
            cm_outbox_end(&self->thread.done, &self->thread.work.first->asked, cm_session_trouble(self->session));
        cm_inbox_drop_first(&self->thread.work);
    }
    if (failed)
        cm_session_roll_back(self->session);
}

/* ---- Birth and end --------------------------------------------------------------------------- */

static void postgres_release(struct cm_store_thread *thread)
{
    struct postgres_store *self = postgres_of(thread);
    if (cm_session_is_connected(self->session)) {
        cm_session_send(self->session, "DELETE FROM commit_marker WHERE id=$1", 1, (const char *const[]){self->marker},
                        NULL, NULL, 0);
        cm_session_run(self->session);
    }
    cm_session_free(self->session);
    cm_store_thread_release(&self->thread);
    free(self);
}

static const struct cm_store_backend postgres_backend = {
    .commit = postgres_commit,
    .answer = postgres_answer,
    .release = postgres_release,
};

static void name_marker(struct postgres_store *self)
{
    unsigned char bytes[MARKER_BYTES];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        abort(); /* 16 bytes are always given whole */
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(self->marker + 2 * i, 3, "%02x", bytes[i]);
}

/* Our own row, and an end to those that were left behind a month ago. */
static int make_marker(struct postgres_store *self)
{
    cm_session_send(self->session, "DELETE FROM commit_marker WHERE used < now() - interval '30 days'", 0, NULL, NULL,
                    NULL, 0);
    cm_session_send(self->session, "INSERT INTO commit_marker (id, seq, used) VALUES ($1, 0, now())", 1,
                    (const char *const[]){self->marker}, NULL, NULL, 0);
    return cm_session_run(self->session);
}

struct cm_store *cm_store_postgres_open(const char *url, cm_store_applied_fn applied, void *arg, char **error)
{
    struct postgres_store *self = cm_alloc(sizeof *self);
    self->sets_in_a_commit = SETS_IN_A_COMMIT;
    self->session = cm_session_new(url);
    name_marker(self);
    int problem = 0, failed = cm_store_thread_init(&self->thread, &postgres_backend, applied, arg, error) != 0;
    if (!failed && (cm_session_connect(self->session) != 0 || make_marker(self) != 0)) {
        *error = cm_format(_("cannot open the store: %s"), cm_session_trouble(self->session));
        problem = cm_session_is_passing(self->session) ? EAGAIN : EINVAL;
        failed = 1;
    }
    failed = failed || cm_store_thread_start(&self->thread, error) != 0;
    self->thread.store.shared = 1;
    if (!failed)
        return &self->thread.store;
    postgres_release(&self->thread);
    errno = problem ? problem : EINVAL;
    return NULL;
}
