/*
 * The store in an SQLite file: a thread of its own takes everything that is queued, commits it as
 * one transaction, and tells an eventfd.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "core/common/log.h"
#include "core/common/text.h"
#include "core/daemon/store/queue.h"
#include "core/daemon/store/schema.h"
#include "core/daemon/store/sql.h"
#include "core/daemon/store/store.h"

#define SQLITE_STORE_MAGIC 0x73716c73u

enum {
    SETS_IN_A_COMMIT = 512,
    FIRST_PAUSE_MS = 50,
    LONGEST_PAUSE_MS = 2000,
    BUSY_MS = 1000, /* a backup may hold the file for a moment */
};

struct sqlite_store {
    struct cm_store store; /* first: ops get a pointer to it */
    unsigned magic;
    char *path;
    int lock_fd, event_fd;

    /* The thread's own while it runs. */
    sqlite3 *db;
    struct cm_sql *sql;
    struct cm_inbox work;    /* taken from the inbox, not done yet */
    struct cm_outbox done;   /* on its way to the outbox */
    size_t sets_in_a_commit; /* 1 after a failure, then growing again */
    int64_t pause_ms;

    /* The owner's own. */
    pthread_t thread;
    struct cm_outbox ready;

    /* Shared, under the mutex. */
    pthread_mutex_t mutex;
    pthread_cond_t wake; /* the thread: something came, or stop */
    pthread_cond_t told; /* the owner, in drain: something is in the outbox, or all is done */
    struct cm_inbox inbox;
    struct cm_outbox outbox;
    int busy, stop;
};

static struct sqlite_store *sqlite_of(struct cm_store *store)
{
    struct sqlite_store *self = (struct sqlite_store *)store;
    if (self->magic != SQLITE_STORE_MAGIC)
        abort();
    return self;
}

/* ---- The thread ------------------------------------------------------------------------------ */

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

/* What is done becomes visible to the owner. */
static void tell(struct sqlite_store *self)
{
    if (!self->done.first)
        return;
    pthread_mutex_lock(&self->mutex);
    cm_outbox_move(&self->outbox, &self->done);
    pthread_cond_broadcast(&self->told);
    pthread_mutex_unlock(&self->mutex);
    uint64_t one = 1;
    ssize_t written = write(self->event_fd, &one, sizeof one);
    (void)written; /* fails only when the counter is full: readable all the same */
}

/* Applies sets from the head of the queue until a query, the limit or an error; sets how[]. */
static int apply_sets(struct sqlite_store *self, enum cm_applied *how, size_t *count)
{
    int result = sqlite3_exec(self->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    struct cm_inbox_item *item = self->work.first;
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
static int commit_sets(struct sqlite_store *self)
{
    enum cm_applied how[SETS_IN_A_COMMIT];
    size_t count;
    if (apply_sets(self, how, &count) != 0) {
        char *words = trouble(self);
        if (!sqlite3_get_autocommit(self->db))
            sqlite3_exec(self->db, "ROLLBACK", NULL, NULL, NULL);
        cm_outbox_applied(&self->done, self->work.first->set->id, CM_APPLIED_UNAVAILABLE, words);
        free(words);
        self->sets_in_a_commit = 1; /* what is small may still fit */
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        cm_outbox_applied(&self->done, self->work.first->set->id, how[i], NULL);
        cm_inbox_drop_first(&self->work);
    }
    if (self->sets_in_a_commit < SETS_IN_A_COMMIT)
        self->sets_in_a_commit *= 2;
    self->pause_ms = FIRST_PAUSE_MS;
    return 0;
}

static void answer_query(struct sqlite_store *self)
{
    const struct cm_asked *asked = &self->work.first->asked;
    char *words = cm_sql_query(self->sql, asked, &self->done) == SQLITE_OK ? NULL : trouble(self);
    cm_outbox_end(&self->done, asked, words);
    free(words);
    cm_inbox_drop_first(&self->work);
}

static struct timespec after_ms(int64_t ms)
{
    struct timespec when;
    clock_gettime(CLOCK_MONOTONIC, &when);
    when.tv_sec += ms / 1000;
    when.tv_nsec += ms % 1000 * 1000000;
    if (when.tv_nsec >= 1000000000) {
        when.tv_sec++;
        when.tv_nsec -= 1000000000;
    }
    return when;
}

/* Waits before the next try, longer each time; whether to go on. */
static int pause_after_failure(struct sqlite_store *self)
{
    struct timespec until = after_ms(self->pause_ms);
    self->pause_ms = self->pause_ms * 2 < LONGEST_PAUSE_MS ? self->pause_ms * 2 : LONGEST_PAUSE_MS;
    pthread_mutex_lock(&self->mutex);
    while (!self->stop && pthread_cond_timedwait(&self->wake, &self->mutex, &until) == 0)
        continue;
    int stop = self->stop;
    pthread_mutex_unlock(&self->mutex);
    return !stop;
}

/* Takes what came, waiting for it when there is nothing to do; 0: time to end. */
static int take_work(struct sqlite_store *self)
{
    pthread_mutex_lock(&self->mutex);
    while (!self->work.first && !self->inbox.first && !self->stop) {
        self->busy = 0;
        pthread_cond_broadcast(&self->told);
        pthread_cond_wait(&self->wake, &self->mutex);
    }
    self->busy = 1;
    cm_inbox_move(&self->work, &self->inbox);
    pthread_mutex_unlock(&self->mutex);
    return self->work.first != NULL;
}

static void *serve(void *arg)
{
    struct sqlite_store *self = arg;
    while (take_work(self)) {
        if (!self->work.first->set) {
            answer_query(self);
            tell(self);
            continue;
        }
        int failed = commit_sets(self) != 0;
        tell(self);
        if (failed && !pause_after_failure(self))
            break;
    }
    return NULL;
}

/* ---- The backend's functions ----------------------------------------------------------------- */

static void sqlite_apply(struct cm_store *store, struct cm_change_set **sets, size_t count)
{
    struct sqlite_store *self = sqlite_of(store);
    struct cm_inbox fresh = {0};
    for (size_t i = 0; i < count; i++)
        cm_inbox_add_set(&fresh, sets[i]);
    pthread_mutex_lock(&self->mutex);
    cm_inbox_move(&self->inbox, &fresh);
    pthread_cond_signal(&self->wake);
    pthread_mutex_unlock(&self->mutex);
}

static void sqlite_query(struct cm_store *store, const struct cm_query *query, cm_store_row_fn row, void *arg)
{
    struct sqlite_store *self = sqlite_of(store);
    pthread_mutex_lock(&self->mutex);
    cm_inbox_add_query(&self->inbox, query, row, arg);
    pthread_cond_signal(&self->wake);
    pthread_mutex_unlock(&self->mutex);
}

static int sqlite_fd(struct cm_store *store)
{
    return sqlite_of(store)->event_fd;
}

static void sqlite_dispatch(struct cm_store *store)
{
    struct sqlite_store *self = sqlite_of(store);
    uint64_t told;
    ssize_t got = read(self->event_fd, &told, sizeof told);
    (void)got; /* nothing to read is fine: look all the same */
    pthread_mutex_lock(&self->mutex);
    cm_outbox_move(&self->ready, &self->outbox);
    pthread_mutex_unlock(&self->mutex);
    cm_outbox_deliver(&self->ready, store);
}

/* Waits for the outbox to have something, or for all to be done; 0: nothing came in time. */
static int wait_told(struct sqlite_store *self, const struct timespec *until, int *idle)
{
    int late = 0;
    pthread_mutex_lock(&self->mutex);
    while (!self->outbox.first && (self->busy || self->inbox.first) && !late)
        late = pthread_cond_timedwait(&self->told, &self->mutex, until) == ETIMEDOUT;
    *idle = !self->busy && !self->inbox.first && !self->outbox.first;
    pthread_mutex_unlock(&self->mutex);
    return !late;
}

static int past(const struct timespec *until)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > until->tv_sec || (now.tv_sec == until->tv_sec && now.tv_nsec >= until->tv_nsec);
}

static int sqlite_drain(struct cm_store *store, int64_t timeout_ms)
{
    struct sqlite_store *self = sqlite_of(store);
    struct timespec until = after_ms(timeout_ms);
    for (;;) {
        int idle = 0, in_time = wait_told(self, &until, &idle);
        sqlite_dispatch(store);
        if (idle)
            return 0;
        if (!in_time || past(&until))
            return -1;
    }
}

static void release(struct sqlite_store *self)
{
    if (self->sql)
        cm_sql_free(self->sql);
    sqlite3_close(self->db);
    if (self->event_fd >= 0)
        close(self->event_fd);
    if (self->lock_fd >= 0)
        close(self->lock_fd); /* the last: another daemon may come now */
    cm_inbox_clear(&self->work);
    cm_inbox_clear(&self->inbox);
    cm_outbox_clear(&self->done);
    cm_outbox_clear(&self->outbox);
    cm_outbox_clear(&self->ready);
    pthread_mutex_destroy(&self->mutex);
    pthread_cond_destroy(&self->wake);
    pthread_cond_destroy(&self->told);
    self->magic = 0;
    free(self->path);
    free(self);
}

/* Commits what is queued if that works at once; nobody hears of it any more. */
static void sqlite_close(struct cm_store *store)
{
    struct sqlite_store *self = sqlite_of(store);
    pthread_mutex_lock(&self->mutex);
    self->stop = 1;
    pthread_cond_signal(&self->wake);
    pthread_mutex_unlock(&self->mutex);
    pthread_join(self->thread, NULL);
    release(self);
}

static const struct cm_store_ops sqlite_ops = {
    .apply = sqlite_apply,
    .query = sqlite_query,
    .fd = sqlite_fd,
    .dispatch = sqlite_dispatch,
    .drain = sqlite_drain,
    .close = sqlite_close,
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

/* Signals belong to the owner's thread. */
static int start_thread(struct sqlite_store *self, char **error)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int problem = pthread_create(&self->thread, NULL, serve, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (problem != 0)
        *error = cm_format(_("cannot start the store's thread: %s"), strerror(problem));
    return problem == 0 ? 0 : -1;
}

static struct sqlite_store *new_store(const char *path, cm_store_applied_fn applied, void *arg)
{
    struct sqlite_store *self = cm_alloc(sizeof *self);
    self->store = (struct cm_store){&sqlite_ops, applied, arg, 0};
    self->magic = SQLITE_STORE_MAGIC;
    self->path = cm_strdup(path);
    self->lock_fd = -1;
    self->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->sets_in_a_commit = SETS_IN_A_COMMIT;
    self->pause_ms = FIRST_PAUSE_MS;
    self->busy = 1; /* until the thread says otherwise */
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&self->mutex, NULL);
    pthread_cond_init(&self->wake, &monotonic);
    pthread_cond_init(&self->told, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return self;
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
    struct sqlite_store *self = new_store(path, applied, arg);
    int failed = self->event_fd < 0;
    if (failed)
        *error = cm_format(_("cannot make an eventfd: %s"), strerror(errno));
    failed = failed || take_lock(self, error) != 0 || open_database(self, error) != 0;
    if (!failed) {
        self->sql = cm_sql_new(self->db);
        failed = start_thread(self, error) != 0;
    }
    if (!failed)
        return &self->store;
    int is_over_soon = is_passing(self, errno);
    release(self);
    errno = is_over_soon ? EAGAIN : EINVAL;
    return NULL;
}
