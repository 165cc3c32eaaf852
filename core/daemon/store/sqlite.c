/*
 * The store in an SQLite file: a thread of its own takes everything that is queued, commits it as
 * one transaction, and tells an eventfd.
 */
#include "core/daemon/store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/common/log.h"
#include "core/common/text.h"
#include "core/daemon/store/queue.h"
#include "core/daemon/store/schema.h"
#include "core/daemon/store/sql.h"
#include "core/daemon/store/thread.h"

enum {
    SETS_IN_A_COMMIT = 512,
    BUSY_MS = 1000, /* a backup may hold the file for a moment */
};

struct sqlite_store {
    struct cm_store_thread thread; /* first */
    char *path;
    int lock_fd;

    /* The thread's own while it runs. */
    sqlite3 *db;
    struct cm_sql *sql;
    size_t sets_in_a_commit; /* 1 after a failure, then growing again */
};

/* ---- Committing ------------------------------------------------------------------------------ */

/* One line for people: what is wrong with the file. */
static char *trouble(struct sqlite_store *self)
{
    switch (sqlite3_errcode(self->db) & 0xff) {
    case SQLITE_FULL:
        return cm_format(_("the disk is full: %s cannot grow"), self->path);
    case SQLITE_READONLY:
        return cm_format(_("%s cannot be written: it is read-only"), self->path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return cm_format(_("%s is locked by another program"), self->path);
    default:
        return cm_format(_("%s cannot be used: %s"), self->path, sqlite3_errmsg(self->db));
    }
}

/* Applies sets from the head of the queue until a query, the limit or an error; sets how[]. */
static int apply_sets(struct sqlite_store *self, enum cm_applied *how, size_t *count)
{
    int result = sqlite3_exec(self->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    struct cm_inbox_item *item = self->thread.work.first;
    for (*count = 0; result == SQLITE_OK && item && item->set && *count < self->sets_in_a_commit; item = item->next) {
        int holds = 0;
        result = cm_sql_apply(self->sql, item->set, &holds);
        how[(*count)++] = holds ? CM_APPLIED : CM_APPLIED_NOT;
    }
    if (result == SQLITE_OK)
        result = sqlite3_exec(self->db, "COMMIT", NULL, NULL, NULL);
    return result == SQLITE_OK ? 0 : -1;
}

/* 0 when at least one set is durable now; -1: nothing was written, and the owner has a notice. */
static int commit_sets(struct cm_store_thread *thread)
{
    struct sqlite_store *self = (struct sqlite_store *)thread;
    enum cm_applied how[SETS_IN_A_COMMIT];
    size_t count;
    if (apply_sets(self, how, &count) != 0) {
        char *words = trouble(self);
        if (!sqlite3_get_autocommit(self->db))
            sqlite3_exec(self->db, "ROLLBACK", NULL, NULL, NULL);
        cm_outbox_applied(&self->thread.done, self->thread.work.first->set->id, CM_APPLIED_UNAVAILABLE, words);
        free(words);
        self->sets_in_a_commit = 1; /* what is small may still fit */
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        cm_outbox_applied(&self->thread.done, self->thread.work.first->set->id, how[i], NULL);
        cm_inbox_drop_first(&self->thread.work);
    }
    if (self->sets_in_a_commit < SETS_IN_A_COMMIT)
        self->sets_in_a_commit *= 2;
    return 0;
}

static void answer_query(struct cm_store_thread *thread)
{
    struct sqlite_store *self = (struct sqlite_store *)thread;
    const struct cm_asked *asked = &self->thread.work.first->asked;
    char *words = cm_sql_query(self->sql, asked, &self->thread.done) == SQLITE_OK ? NULL : trouble(self);
    cm_outbox_end(&self->thread.done, asked, words);
    free(words);
    cm_inbox_drop_first(&self->thread.work);
}

static void release(struct sqlite_store *self)
{
    if (self->sql)
        cm_sql_free(self->sql);
    sqlite3_close(self->db);
    cm_store_thread_release(&self->thread);
    if (self->lock_fd >= 0)
        close(self->lock_fd); /* the last: another daemon may come now */
    free(self->path);
    free(self);
}

static void sqlite_release(struct cm_store_thread *thread)
{
    release((struct sqlite_store *)thread);
}

static const struct cm_store_backend sqlite_backend = {
    .commit = commit_sets,
    .answer = answer_query,
    .release = sqlite_release,
};

/* ---- Opening --------------------------------------------------------------------------------- */

/* Who holds the lock, as the lock file says. */
static char *in_use(struct sqlite_store *self, int fd)
{
    char pid[16] = "";
    ssize_t count = pread(fd, pid, sizeof pid - 1, 0);
    pid[count > 0 ? count : 0] = '\0';
    pid[strspn(pid, "0123456789")] = '\0';
    return cm_format(_("%s is in use by another ClipMaker (process %s); stop it, or use another state folder"),
                     self->path, pid[0] ? pid : "unknown");
}

/* Two daemons on one store would each undo what the other does. */
static int take_lock(struct sqlite_store *self, char **error)
{
    char *name = cm_format("%s.lock", self->path), pid[32];
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        *error = cm_format(_("cannot open %s: %s"), name, strerror(errno));
    } else if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        *error = errno == EWOULDBLOCK ? in_use(self, fd) : cm_format(_("cannot lock %s: %s"), name, strerror(errno));
        close(fd);
        fd = -1;
    }
    free(name);
    self->lock_fd = fd;
    if (fd < 0)
        return -1;
    int length = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)length, 0) != length)
        return 0; /* a full disk: the lock holds, only its words are missing */
    return 0;
}

static int refuse(struct sqlite_store *self, char **error)
{
    *error = cm_format(_("cannot open the store %s: %s"), self->path,
                       self->db ? sqlite3_errmsg(self->db) : sqlite3_errstr(SQLITE_NOMEM));
    return -1;
}

/* Whether the pragma answers (or sets and answers) with that word. */
static int pragma_gives(sqlite3 *db, const char *pragma, const char *word)
{
    sqlite3_stmt *statement = NULL;
    int same = 0;
    if (sqlite3_prepare_v2(db, pragma, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        const char *given = (const char *)sqlite3_column_text(statement, 0);
        same = given && strcmp(given, word) == 0;
    }
    sqlite3_finalize(statement);
    return same;
}

static int open_database(struct sqlite_store *self, char **error)
{
    /* Made here first, so that nobody else may read it: SQLite would ask the umask only. */
    int fd = open(self->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        *error = cm_format(_("cannot write the store %s: %s"), self->path, strerror(errno));
        return -1;
    }
    close(fd);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (sqlite3_open_v2(self->path, &self->db, flags, NULL) != SQLITE_OK)
        return refuse(self, error);
    sqlite3_busy_timeout(self->db, BUSY_MS);
    if (cm_schema_open(self->db, self->path, error) != 0)
        return -1;
    if (!pragma_gives(self->db, "PRAGMA journal_mode=WAL", "wal"))
        return refuse(self, error);
    if (sqlite3_exec(self->db,
                     "PRAGMA synchronous=FULL; PRAGMA journal_size_limit=67108864; PRAGMA temp_store=MEMORY;"
                     "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON",
                     NULL, NULL, NULL) != SQLITE_OK)
        return refuse(self, error);
    return 0;
}

/* What may be gone when somebody makes room or the other program ends. */
static int is_passing(struct sqlite_store *self, int error)
{
    int code = self->db ? sqlite3_errcode(self->db) & 0xff : 0;
    error = self->db && sqlite3_system_errno(self->db) ? sqlite3_system_errno(self->db) : error;
    return code == SQLITE_FULL || code == SQLITE_BUSY || code == SQLITE_LOCKED || error == ENOSPC || error == EDQUOT ||
           error == EROFS || error == EWOULDBLOCK;
}

struct cm_store *cm_store_sqlite_open(const char *path, cm_store_applied_fn applied, void *arg, char **error)
{
    struct sqlite_store *self = cm_alloc(sizeof *self);
    self->path = cm_strdup(path);
    self->lock_fd = -1;
    self->sets_in_a_commit = SETS_IN_A_COMMIT;
    int failed = cm_store_thread_init(&self->thread, &sqlite_backend, applied, arg, error) != 0 ||
                 take_lock(self, error) != 0 || open_database(self, error) != 0;
    if (!failed) {
        self->sql = cm_sql_new(self->db);
        failed = cm_store_thread_start(&self->thread, error) != 0;
    }
    if (!failed)
        return &self->thread.store;
    int is_over_soon = is_passing(self, errno);
    release(self);
    errno = is_over_soon ? EAGAIN : EINVAL;
    return NULL;
}
