/*
 * The way to the backend that the URL names.
 */
#include "core/daemon/store/open.h"

#include <errno.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/text.h"
#include "core/daemon/store/memory.h"
#include "core/daemon/store/postgres.h"
#include "core/daemon/store/sqlite.h"

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
