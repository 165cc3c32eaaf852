/*
 * The store's front: change sets, and the way to the backend that the URL names.
 */
#include "core/daemon/store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/text.h"

/* ---- Change sets ----------------------------------------------------------------------------- */

struct cm_change_set *cm_change_set_new(uint64_t id)
{
    struct cm_change_set *set = cm_alloc(sizeof *set);
    set->id = id;
    set->guard.job = cm_strdup("");
    set->guard.step = cm_strdup("");
    set->guard.item = cm_strdup("");
    return set;
}

static void add_change(struct cm_change_set *set, enum cm_change_kind kind, enum cm_table table, const void *row)
{
    set->changes = cm_grow(set->changes, &set->room, set->count, sizeof *set->changes);
    set->changes[set->count++] = (struct cm_change){kind, table, cm_row_pack(table, row)};
}

void cm_change_put(struct cm_change_set *set, enum cm_table table, const void *row)
{
    add_change(set, CM_CHANGE_PUT, table, row);
}

void cm_change_delete(struct cm_change_set *set, enum cm_table table, const void *row)
{
    add_change(set, CM_CHANGE_DELETE, table, row);
}

void cm_change_guard(struct cm_change_set *set, enum cm_guard_kind kind, const char *job, const char *step,
                     const char *item, int64_t state, int64_t fence)
{
    set->guard.kind = kind;
    cm_row_text(&set->guard.job, job);
    cm_row_text(&set->guard.step, step);
    cm_row_text(&set->guard.item, item);
    set->guard.state = state;
    set->guard.fence = fence;
}

void cm_change_claimed(struct cm_change_set *set, const char *job, const char *boot)
{
    free(set->guard.claimed_job);
    free(set->guard.claimed_by);
    set->guard.claimed_job = cm_strdup(job);
    set->guard.claimed_by = cm_strdup(boot);
}

void cm_change_set_free(struct cm_change_set *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->count; i++)
        cm_row_free(set->changes[i].table, set->changes[i].row);
    free(set->changes);
    free(set->guard.job);
    free(set->guard.step);
    free(set->guard.item);
    free(set->guard.claimed_job);
    free(set->guard.claimed_by);
    free(set);
}

/* ---- The backend ----------------------------------------------------------------------------- */

struct cm_store *cm_store_open(const char *url, cm_store_applied_fn applied, void *arg, char **error)
{
    if (strcmp(url, "memory:") == 0)
        return cm_store_memory_open(applied, arg);
    if (cm_starts_with(url, "sqlite:/"))
        return cm_store_sqlite_open(url + strlen("sqlite:"), applied, arg, error);
    if (cm_starts_with(url, "postgresql://") || cm_starts_with(url, "postgres://"))
        return cm_store_postgres_open(url, applied, arg, error);
    *error = cm_format(
        _("\"%.200s\" names no store: write memory:, sqlite:/path/to/file or postgresql://host/database"), url);
    errno = EINVAL;
    return NULL;
}

int cm_store_may_be_shared(const char *url)
{
    return !cm_starts_with(url, "memory:") && !cm_starts_with(url, "sqlite:");
}

void cm_store_apply(struct cm_store *store, struct cm_change_set **sets, size_t count)
{
    if (count > 0)
        store->ops->apply(store, sets, count);
}

void cm_store_query(struct cm_store *store, const struct cm_query *query, cm_store_row_fn row, void *arg)
{
    store->ops->query(store, query, 1, row, arg);
}

void cm_store_query_all(struct cm_store *store, const struct cm_query *queries, size_t count, cm_store_row_fn row,
                        void *arg)
{
    store->ops->query(store, queries, count, row, arg);
}

int cm_store_fd(struct cm_store *store)
{
    return store->ops->fd(store);
}

void cm_store_dispatch(struct cm_store *store)
{
    store->ops->dispatch(store);
}

int cm_store_drain(struct cm_store *store, int64_t timeout_ms)
{
    return store->ops->drain(store, timeout_ms);
}

void cm_store_close(struct cm_store *store)
{
    if (store)
        store->ops->close(store);
}
