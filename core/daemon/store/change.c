/*
 * Change sets.
 */
#include "core/daemon/store/change.h"

#include <stdlib.h>

#include "core/common/text.h"

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
