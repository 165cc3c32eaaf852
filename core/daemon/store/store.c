/*
 * The store's front: every call goes to the backend.
 */
#include "core/daemon/store/store.h"

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
