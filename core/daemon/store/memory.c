/*
 * The store in memory: a hash table for each kind of row, and a queue of sets that commits by
 * itself, or, for the simulator, when it is told to.
 */
#include "core/daemon/store/memory.h"

#include <stdlib.h>
#include <string.h>

#include "core/common/text.h"
#include "core/daemon/store/queue.h"

#define MEMORY_MAGIC 0x6d656d73u

/* Open addressing, linear probing; room is 0 or a power of two, at most 2/3 full. */
struct slot {
    uint64_t hash;
    void *row; /* NULL: free */
};

struct shelf {
    struct slot *slots;
    size_t room, count;
};

struct memory {
    struct cm_store store; /* first: ops get a pointer to it */
    unsigned magic;
    int manual;
    size_t pending; /* sets in the inbox */
    struct cm_inbox inbox;
    struct cm_outbox outbox;
    struct shelf shelves[CM_TABLE_COUNT_PLUS_1];
};

static struct memory *memory_of(struct cm_store *store)
{
    struct memory *memory = (struct memory *)store;
    if (memory->magic != MEMORY_MAGIC)
        abort();
    return memory;
}

/* ---- Shelves --------------------------------------------------------------------------------- */

static uint64_t hash_row(enum cm_table table, const void *row)
{
    const struct cm_row_type *type = cm_row_type(table);
    uint64_t hash = 0;
    for (size_t i = 0; i < type->column_count && type->columns[i].key; i++) {
        const struct cm_column *column = &type->columns[i];
        if (column->type == CM_COLUMN_INT) {
            int64_t number = cm_row_int(row, column);
            hash = cm_hash(&number, sizeof number, hash);
        } else {
            const char *text = cm_row_string(row, column);
            hash = cm_hash(text, strlen(text) + 1, hash); /* with the NUL: "a","bc" is not "ab","c" */
        }
    }
    return hash;
}

/* Where the row with these keys lies, or where it would be put. The shelf must have room. */
static size_t find_slot(const struct shelf *shelf, enum cm_table table, const void *row, uint64_t hash)
{
    size_t mask = shelf->room - 1, at = hash & mask;
    while (shelf->slots[at].row) {
        if (shelf->slots[at].hash == hash && cm_row_compare_keys(table, shelf->slots[at].row, row) == 0)
            return at;
        at = (at + 1) & mask;
    }
    return at;
}

static const void *find_row(const struct memory *memory, enum cm_table table, const void *keys)
{
    const struct shelf *shelf = &memory->shelves[table];
    if (shelf->count == 0)
        return NULL;
    return shelf->slots[find_slot(shelf, table, keys, hash_row(table, keys))].row;
}

static void widen(struct shelf *shelf)
{
    struct shelf wider = {.room = shelf->room ? shelf->room * 2 : 16, .count = shelf->count};
    wider.slots = cm_alloc(wider.room * sizeof *wider.slots);
    for (size_t i = 0; i < shelf->room; i++) {
        if (!shelf->slots[i].row)
            continue;
        size_t at = shelf->slots[i].hash & (wider.room - 1);
        while (wider.slots[at].row)
            at = (at + 1) & (wider.room - 1);
        wider.slots[at] = shelf->slots[i];
    }
    free(shelf->slots);
    *shelf = wider;
}

/* Takes the row. */
static void put_row(struct memory *memory, enum cm_table table, void *row)
{
    struct shelf *shelf = &memory->shelves[table];
    if ((shelf->count + 1) * 3 > shelf->room * 2)
        widen(shelf);
    uint64_t hash = hash_row(table, row);
    struct slot *slot = &shelf->slots[find_slot(shelf, table, row, hash)];
    if (slot->row)
        cm_row_free(table, slot->row);
    else
        shelf->count++;
    *slot = (struct slot){hash, row};
}

/* Empties a slot and moves back those behind it that were pushed past it. */
static void empty_slot(struct shelf *shelf, enum cm_table table, size_t hole)
{
    size_t mask = shelf->room - 1;
    cm_row_free(table, shelf->slots[hole].row);
    shelf->slots[hole].row = NULL;
    shelf->count--;
    for (size_t at = (hole + 1) & mask; shelf->slots[at].row; at = (at + 1) & mask) {
        size_t home = shelf->slots[at].hash & mask;
        if (((at - home) & mask) < ((at - hole) & mask))
            continue; /* its home lies behind the hole */
        shelf->slots[hole] = shelf->slots[at];
        shelf->slots[at].row = NULL;
        hole = at;
    }
}

static void delete_row(struct memory *memory, enum cm_table table, const void *keys)
{
    struct shelf *shelf = &memory->shelves[table];
    if (shelf->count == 0)
        return;
    size_t at = find_slot(shelf, table, keys, hash_row(table, keys));
    if (shelf->slots[at].row)
        empty_slot(shelf, table, at);
}

static void clear_shelf(struct shelf *shelf, enum cm_table table)
{
    for (size_t i = 0; i < shelf->room; i++)
        if (shelf->slots[i].row)
            cm_row_free(table, shelf->slots[i].row);
    free(shelf->slots);
    *shelf = (struct shelf){0};
}

/* ---- Which job a row belongs to -------------------------------------------------------------- */

/* Whether a note's owner is "task JOB/…" of this job (of `length` bytes). */
static int is_note_of(const char *owner, const char *job, size_t length)
{
    return cm_starts_with(owner, "task ") && strncmp(owner + 5, job, length) == 0 && owner[5 + length] == '/';
}

static int belongs_to(enum cm_table table, const void *row, const char *job)
{
    if (table == CM_TABLE_NOTE)
        return is_note_of(((const struct cm_note_row *)row)->owner, job, strlen(job));
    const struct cm_column *column = cm_row_column(table, "job");
    return column && strcmp(cm_row_string(row, column), job) == 0;
}

static int outlives_its_job(enum cm_table table, const void *row)
{
    return table == CM_TABLE_LLM_CALL ||
           (table == CM_TABLE_EFFECT && ((const struct cm_effect_row *)row)->state == CM_EFFECT_CONFIRMED);
}

static void delete_of_job(struct memory *memory, enum cm_table table, const char *job)
{
    struct shelf *shelf = &memory->shelves[table];
    for (size_t i = 0; i < shelf->room;) {
        const void *row = shelf->slots[i].row;
        if (row && belongs_to(table, row, job) && !outlives_its_job(table, row))
            empty_slot(shelf, table, i); /* another may lie here now: look again */
        else
            i++;
    }
}

static void delete_job(struct memory *memory, const struct cm_job_row *job)
{
    for (enum cm_table table = CM_TABLE_TASK; table < CM_TABLE_COUNT_PLUS_1; table++)
        delete_of_job(memory, table, job->id);
    delete_row(memory, CM_TABLE_JOB, job);
}

/* ---- Applying -------------------------------------------------------------------------------- */

static int has_request(const struct memory *memory, const char *owner, const char *request_key)
{
    const struct shelf *shelf = &memory->shelves[CM_TABLE_JOB];
    for (size_t i = 0; i < shelf->room; i++) {
        const struct cm_job_row *job = shelf->slots[i].row;
        if (job && strcmp(job->request_key, request_key) == 0 && strcmp(job->owner, owner) == 0)
            return 1;
    }
    return 0;
}

static int is_claimed_by(const struct memory *memory, char *job, const char *boot)
{
    const struct cm_claim_row *claim = find_row(memory, CM_TABLE_CLAIM, &(struct cm_claim_row){.job = job});
    return claim && strcmp(claim->boot, boot) == 0;
}

/* A row that is not there reads as state 0, fence 0. */
static int guard_holds(const struct memory *memory, const struct cm_guard *guard)
{
    const struct cm_task_row *task;
    const struct cm_job_row *job;
    const struct cm_effect_row *effect;
    const struct cm_note_row *note;
    const struct cm_boot_row *boot;
    if (guard->claimed_by && !is_claimed_by(memory, guard->claimed_job, guard->claimed_by))
        return 0;
    switch (guard->kind) {
    case CM_GUARD_NONE:
    case CM_GUARD_COUNT:
        return 1;
    case CM_GUARD_TASK:
        task = find_row(memory, CM_TABLE_TASK,
                        &(struct cm_task_row){.job = guard->job, .step = guard->step, .item = guard->item});
        return (task ? task->state : 0) == guard->state && (task ? task->fence : 0) == guard->fence;
    case CM_GUARD_JOB:
        job = find_row(memory, CM_TABLE_JOB, &(struct cm_job_row){.id = guard->job});
        return (job ? job->state : 0) == guard->state;
    case CM_GUARD_NO_JOB:
        return !has_request(memory, guard->item, guard->step);
    case CM_GUARD_EFFECT:
        effect = find_row(memory, CM_TABLE_EFFECT, &(struct cm_effect_row){.key = guard->job});
        return (effect ? effect->state : 0) == guard->state && (effect ? effect->fence : 0) == guard->fence;
    case CM_GUARD_NOTE:
        note = find_row(memory, CM_TABLE_NOTE, &(struct cm_note_row){.owner = guard->job, .name = guard->step});
        return guard->state == 0 ? !note : note && strcmp(note->value, guard->item) == 0;
    case CM_GUARD_BOOT:
        boot = find_row(memory, CM_TABLE_BOOT, &(struct cm_boot_row){.id = guard->job});
        return (boot ? 1 + boot->over : 0) == guard->state && (boot ? boot->beat : 0) == guard->fence;
    case CM_GUARD_CLAIM:
        if (guard->state != 0)
            return is_claimed_by(memory, guard->job, guard->item);
        return !find_row(memory, CM_TABLE_CLAIM, &(struct cm_claim_row){.job = guard->job});
    }
    return 0;
}

static void apply_change(struct memory *memory, struct cm_change *change)
{
    if (change->kind == CM_CHANGE_DELETE && change->table == CM_TABLE_JOB) {
        delete_job(memory, change->row);
    } else if (change->kind == CM_CHANGE_DELETE) {
        delete_row(memory, change->table, change->row);
    } else {
        put_row(memory, change->table, change->row);
        change->row = NULL; /* the shelf owns it now */
    }
}

static void commit_set(struct memory *memory, struct cm_change_set *set)
{
    int holds = guard_holds(memory, &set->guard);
    for (size_t i = 0; holds && i < set->count; i++)
        apply_change(memory, &set->changes[i]);
    cm_outbox_applied(&memory->outbox, set->id, holds ? CM_APPLIED : CM_APPLIED_NOT, NULL);
}

/* ---- Queries --------------------------------------------------------------------------------- */

static int job_matches(const struct cm_job_row *job, const struct cm_query *query)
{
    return (!query->owner || strcmp(job->owner, query->owner) == 0) &&
           (!query->request_key || strcmp(job->request_key, query->request_key) == 0) &&
           (!query->unfinished || !cm_job_is_over(job->state)) &&
           (!query->before || strcmp(job->id, query->before) < 0);
}

static int asks_about_jobs(const struct cm_query *query)
{
    return query->owner || query->request_key || query->unfinished || query->before;
}

/* Whether the job with this id (of `length` bytes) is there and is one of those asked about. */
static int job_id_matches(const struct memory *memory, const char *id, size_t length, const struct cm_query *query)
{
    char most[64], *copy = length < sizeof most ? most : cm_alloc(length + 1);
    memcpy(copy, id, length);
    copy[length] = '\0';
    const struct cm_job_row *job = find_row(memory, CM_TABLE_JOB, &(struct cm_job_row){.id = copy});
    if (copy != most)
        free(copy);
    return job && job_matches(job, query);
}

static int pipeline_matches(const struct memory *memory, const char *id, const struct cm_query *query)
{
    if (!query->job && !asks_about_jobs(query))
        return 1;
    const struct shelf *jobs = &memory->shelves[CM_TABLE_JOB];
    for (size_t i = 0; i < jobs->room; i++) {
        const struct cm_job_row *job = jobs->slots[i].row;
        if (job && strcmp(job->pipeline, id) == 0 && (!query->job || strcmp(job->id, query->job) == 0) &&
            job_matches(job, query))
            return 1;
    }
    return 0;
}

static int note_matches(const struct memory *memory, const struct cm_note_row *note, const struct cm_query *query)
{
    if (query->job && !cm_starts_with(note->owner, query->job) &&
        !is_note_of(note->owner, query->job, strlen(query->job)))
        return 0;
    if (!asks_about_jobs(query))
        return 1;
    return cm_starts_with(note->owner, "task ") &&
           job_id_matches(memory, note->owner + 5, strcspn(note->owner + 5, "/"), query);
}

static int row_matches(const struct memory *memory, const void *row, const struct cm_query *query)
{
    const struct cm_column *column;
    switch (query->table) {
    case CM_TABLE_JOB:
        return (!query->job || strcmp(((const struct cm_job_row *)row)->id, query->job) == 0) &&
               job_matches(row, query);
    case CM_TABLE_PIPELINE:
        return pipeline_matches(memory, ((const struct cm_pipeline_row *)row)->id, query);
    case CM_TABLE_NOTE:
        return note_matches(memory, row, query);
    case CM_TABLE_BOOT:
        return 1;
    default:
        column = cm_row_column(query->table, "job");
        if (query->job && strcmp(cm_row_string(row, column), query->job) != 0)
            return 0;
        return !asks_about_jobs(query) ||
               job_id_matches(memory, cm_row_string(row, column), strlen(cm_row_string(row, column)), query);
    }
}

struct sorted {
    enum cm_table table;
    const void *row;
};

/* Jobs newest first, other rows by key. */
static int compare_sorted(const void *a, const void *b)
{
    const struct sorted *left = a, *right = b;
    int order = cm_row_compare_keys(left->table, left->row, right->row);
    return left->table == CM_TABLE_JOB ? -order : order;
}

static void answer_query(struct memory *memory, const struct cm_asked *asked)
{
    const struct cm_query *query = &asked->query;
    const struct shelf *shelf = &memory->shelves[query->table];
    struct sorted *rows = cm_alloc((shelf->count + 1) * sizeof *rows);
    size_t count = 0;
    for (size_t i = 0; i < shelf->room; i++)
        if (shelf->slots[i].row && row_matches(memory, shelf->slots[i].row, query))
            rows[count++] = (struct sorted){query->table, shelf->slots[i].row};
    qsort(rows, count, sizeof *rows, compare_sorted);
    if (query->limit > 0 && count > (uint64_t)query->limit)
        count = (size_t)query->limit;
    for (size_t i = 0; i < count; i++)
        cm_outbox_row(&memory->outbox, asked, cm_row_pack(query->table, rows[i].row));
    cm_outbox_end(&memory->outbox, asked, NULL);
    free(rows);
}

/* Commits at most `count` sets; a query is answered when no set before it is pending. */
static void work(struct memory *memory, size_t count)
{
    struct cm_inbox_item *item;
    while ((item = memory->inbox.first) && (!item->set || count > 0)) {
        if (item->set) {
            commit_set(memory, item->set);
            memory->pending--;
            count--;
        } else {
            answer_query(memory, &item->asked);
        }
        cm_inbox_drop_first(&memory->inbox);
    }
}

/* ---- The backend's functions ----------------------------------------------------------------- */

static void memory_apply(struct cm_store *store, struct cm_change_set **sets, size_t count)
{
    struct memory *memory = memory_of(store);
    for (size_t i = 0; i < count; i++)
        cm_inbox_add_set(&memory->inbox, sets[i]);
    memory->pending += count;
    if (!memory->manual)
        work(memory, memory->pending);
}

static void memory_query(struct cm_store *store, const struct cm_query *queries, size_t count, cm_store_row_fn row,
                         void *arg)
{
    struct memory *memory = memory_of(store);
    for (size_t i = 0; i < count; i++)
        cm_inbox_add_query(&memory->inbox, &queries[i], row, arg);
    work(memory, 0);
}

static int memory_fd(struct cm_store *store)
{
    (void)store;
    return -1;
}

static void memory_dispatch(struct cm_store *store)
{
    struct memory *memory = memory_of(store);
    cm_outbox_deliver(&memory->outbox, store);
}

/* There is nothing to wait for: what is pending in manual mode stays so. */
static int memory_drain(struct cm_store *store, int64_t timeout_ms)
{
    (void)timeout_ms;
    struct memory *memory = memory_of(store);
    while (memory->outbox.first)
        memory_dispatch(store);
    return memory->inbox.first ? -1 : 0;
}

static void memory_close(struct cm_store *store)
{
    struct memory *memory = memory_of(store);
    cm_inbox_clear(&memory->inbox);
    cm_outbox_clear(&memory->outbox);
    for (enum cm_table table = CM_TABLE_PIPELINE; table < CM_TABLE_COUNT_PLUS_1; table++)
        clear_shelf(&memory->shelves[table], table);
    memory->magic = 0;
    free(memory);
}

static const struct cm_store_ops memory_ops = {
    .apply = memory_apply,
    .query = memory_query,
    .fd = memory_fd,
    .dispatch = memory_dispatch,
    .drain = memory_drain,
    .close = memory_close,
};

struct cm_store *cm_store_memory_open(cm_store_applied_fn applied, void *arg)
{
    struct memory *memory = cm_alloc(sizeof *memory);
    memory->magic = MEMORY_MAGIC;
    memory->store = (struct cm_store){&memory_ops, applied, arg, 0};
    return &memory->store;
}

/* ---- The simulator's handles ----------------------------------------------------------------- */

size_t cm_store_memory_pending(struct cm_store *store)
{
    return memory_of(store)->pending;
}

void cm_store_memory_commit(struct cm_store *store, size_t count)
{
    work(memory_of(store), count);
}

void cm_store_memory_crash(struct cm_store *store)
{
    struct memory *memory = memory_of(store);
    cm_inbox_clear(&memory->inbox);
    cm_outbox_clear(&memory->outbox);
    memory->pending = 0;
}

void cm_store_memory_manual(struct cm_store *store, int manual)
{
    struct memory *memory = memory_of(store);
    memory->manual = manual;
    if (!manual)
        work(memory, memory->pending);
}
