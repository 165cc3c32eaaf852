/*
 * The oracle: a second, plain opinion on every change that becomes durable.
 */
#include "tests/sim/oracle.h"

#include <clipmaker/plugin.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/done.h"
#include "core/common/text.h"
#include "tests/sim/run.h"

struct sim_seen {
    char *key;
    void *row;
    int taken;      /* by another daemon, once */
    int64_t before; /* its state before this one */
};

struct key {
    char text[200]; /* job, step and four keys of at most 20 bytes */
};

struct sim_noted {
    uint64_t id;
    struct key guarded; /* the task that the set is guarded by, or "" */
    struct cm_change *changes;
    char *released;         /* changes that let a task go which waited for others */
    struct sim_seen **seen; /* what each change became, once it is durable */
    size_t count;
};

struct keys {
    char *key;
    char **names;
    size_t count;
};

static const char *problem(struct sim_oracle *oracle, const char *format, ...) __attribute__((format(printf, 2, 3)));

static const char *problem(struct sim_oracle *oracle, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(oracle->problem, sizeof oracle->problem, format, arguments);
    va_end(arguments);
    return oracle->problem;
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static int is_watched(enum cm_table table)
{
    return table == CM_TABLE_JOB || table == CM_TABLE_TASK || table == CM_TABLE_ATTEMPT || table == CM_TABLE_EFFECT;
}

/* "job/step/item", and "#fence" when there is one. */
static struct key key_of_attempt(const char *job, const char *step, const char *item, int64_t fence)
{
    struct key key;
    size_t job_bytes = strlen(job), step_bytes = strlen(step), item_bytes = strlen(item);
    char *at = key.text;
    if (job_bytes + step_bytes + item_bytes + 24 > sizeof key.text) {
        abort();
    }
    memcpy(at, job, job_bytes);
    at += job_bytes;
    *at++ = '/';
    memcpy(at, step, step_bytes);
    at += step_bytes;
    *at++ = '/';
    memcpy(at, item, item_bytes + 1);
    if (fence) {
        snprintf(at + item_bytes, 22, "#%lld", (long long)fence);
    }
    return key;
}

static struct key key_of_name(const char *name)
{
    struct key key;
    snprintf(key.text, sizeof key.text, "%s", name);
    return key;
}

static struct key key_of(enum cm_table table, const void *row)
{
    const struct cm_task_row *task = row;
    const struct cm_attempt_row *attempt = row;
    switch (table) {
    case CM_TABLE_JOB:
        return key_of_name(((const struct cm_job_row *)row)->id);
    case CM_TABLE_TASK:
        return key_of_attempt(task->job, task->step, task->item, 0);
    case CM_TABLE_ATTEMPT:
        return key_of_attempt(attempt->job, attempt->step, attempt->item, attempt->fence);
    default:
        return key_of_name(((const struct cm_effect_row *)row)->key);
    }
}

static const void *seen(const struct sim_oracle *oracle, enum cm_table table, const char *key)
{
    const struct sim_seen *found = cm_index_get(&oracle->tables[table], key);
    return found ? found->row : NULL;
}

const struct cm_task_row *sim_oracle_task(const struct sim_oracle *oracle, const char *job, const char *step,
                                          const char *item)
{
    struct key key = key_of_attempt(job, step, item, 0);
    return seen(oracle, CM_TABLE_TASK, key.text);
}

const struct cm_job_row *sim_oracle_job(const struct sim_oracle *oracle, const char *job)
{
    return seen(oracle, CM_TABLE_JOB, job);
}

const struct cm_effect_row *sim_oracle_effect(const struct sim_oracle *oracle, const char *key)
{
    return seen(oracle, CM_TABLE_EFFECT, key);
}

static void mark_way(struct sim_oracle *oracle, struct sim_seen *found, enum cm_table table, const void *row);

/* Takes the row. */
static struct sim_seen *remember(struct sim_oracle *oracle, enum cm_table table, void *row)
{
    struct key key = key_of(table, row);
    struct sim_seen *found = cm_index_get(&oracle->tables[table], key.text);
    if (!found) {
        found = cm_alloc(sizeof *found);
        found->key = cm_strdup(key.text);
        cm_index_put(&oracle->tables[table], found->key, found);
    }
    mark_way(oracle, found, table, row);
    cm_row_free(table, found->row);
    found->row = row;
    return found;
}

void sim_oracle_trust(struct sim_oracle *oracle, enum cm_table table, const void *row)
{
    remember(oracle, table, cm_row_pack(table, row))->taken = 1;
}

const void *sim_oracle_row(const void *entry)
{
    return ((const struct sim_seen *)entry)->row;
}

/* ---- Ways ------------------------------------------------------------------------------------ */

/* Marks the way that a row goes: over which state, from which to which, of what kind of step, by
 * what attempt, why. How many different ones were gone says how much the schedules reach. */
static void mark_way(struct sim_oracle *oracle, struct sim_seen *found, enum cm_table table, const void *row)
{
    const struct cm_task_row *task = row, *old_task = found->row;
    const struct cm_effect_row *effect = row, *old_effect = found->row;
    int64_t way[9] = {table, found->before};
    if (table == CM_TABLE_TASK) {
        const struct cm_step *step = cm_pipeline_step(oracle->pipeline, task->step);
        const char *reason = task->reason;
        way[2] = old_task ? old_task->state : 0;
        way[3] = task->state;
        way[4] = step->stage;
        way[5] = !strcmp(task->op, "find") + 2 * (task->link > 0) + 4 * (task->crashes > 0) + 8 * step->optional;
        way[6] = task->held_by;
        way[7] = (int64_t)cm_hash(reason, strlen(reason), 0);
        way[8] = task->tries > 2 ? 3 : task->tries;
    } else if (table == CM_TABLE_EFFECT) {
        way[2] = old_effect ? old_effect->state : 0;
        way[3] = effect->state;
        way[4] = (int64_t)cm_hash(effect->instance, strlen(effect->instance), 0);
        way[5] = effect->absent;
        way[6] = old_effect && old_effect->fence != effect->fence;
    } else {
        return;
    }
    found->before = way[2];
    oracle->ways[cm_hash(way, sizeof way, 0) % SIM_WAYS] = 1;
}

/* ---- Sets ------------------------------------------------------------------------------------ */

struct sim_oracle *sim_oracle_new(const struct cm_pipeline *pipeline, char *ways)
{
    struct sim_oracle *oracle = cm_alloc(sizeof *oracle);
    oracle->pipeline = pipeline;
    oracle->ways = ways;
    return oracle;
}

static void free_noted(struct sim_noted *noted)
{
    for (size_t i = 0; i < noted->count; i++) {
        cm_row_free(noted->changes[i].table, noted->changes[i].row);
    }
    free(noted->changes);
    free(noted->released);
    free(noted->seen);
}

void sim_oracle_crash(struct sim_oracle *oracle)
{
    for (size_t i = 0; i < oracle->noted_count; i++) {
        free_noted(&oracle->noted[i]);
    }
    oracle->noted_count = 0;
}

void sim_oracle_free(struct sim_oracle *oracle)
{
    sim_oracle_crash(oracle);
    free(oracle->noted);
    for (enum cm_table table = CM_TABLE_PIPELINE; table < CM_TABLE_COUNT_PLUS_1; table++) {
        for (size_t i = 0; i < oracle->tables[table].room; i++) {
            struct sim_seen *found = oracle->tables[table].entries[i].value;
            if (found) {
                cm_row_free(table, found->row);
                free(found->key);
                free(found);
            }
        }
        cm_index_free(&oracle->tables[table]);
    }
    for (size_t i = 0; i < oracle->answers.room; i++) {
        struct keys *keys = oracle->answers.entries[i].value;
        for (size_t k = 0; keys && k < keys->count; k++) {
            free(keys->names[k]);
        }
        if (keys) {
            free(keys->names);
            free(keys->key);
            free(keys);
        }
    }
    cm_index_free(&oracle->answers);
    free(oracle);
}

void sim_oracle_note(struct sim_oracle *oracle, const struct cm_change_set *set)
{
    oracle->noted = cm_grow(oracle->noted, &oracle->noted_room, oracle->noted_count, sizeof *oracle->noted);
    struct sim_noted *noted = &oracle->noted[oracle->noted_count++];
    *noted = (struct sim_noted){.id = set->id};
    if (set->guard.kind == CM_GUARD_TASK) {
        noted->guarded = key_of_attempt(set->guard.job, set->guard.step, set->guard.item, 0);
    }
    noted->changes = cm_alloc((set->count + 1) * sizeof *noted->changes);
    noted->released = cm_alloc(set->count + 1);
    noted->seen = cm_alloc((set->count + 1) * sizeof *noted->seen);
    for (size_t i = 0; i < set->count; i++) {
        const struct cm_change *change = &set->changes[i];
        if (change->kind == CM_CHANGE_PUT && is_watched(change->table)) {
            noted->changes[noted->count] = *change;
            noted->changes[noted->count++].row = cm_row_pack(change->table, change->row);
        }
    }
}

void sim_oracle_answer(struct sim_oracle *oracle, const char *task, int64_t fence, char **names, size_t count)
{
    struct keys *keys = cm_alloc(sizeof *keys);
    keys->key = cm_format("%s#%lld", task, (long long)fence);
    keys->names = cm_alloc((count + 1) * sizeof *keys->names);
    keys->count = count;
    for (size_t i = 0; i < count; i++) {
        keys->names[i] = cm_strdup(names[i]);
    }
    if (cm_index_get(&oracle->answers, keys->key)) {
        for (size_t i = 0; i < count; i++) {
            free(keys->names[i]);
        }
        free(keys->names);
        free(keys->key);
        free(keys);
        return;
    }
    cm_index_put(&oracle->answers, keys->key, keys);
}

/* ---- Items ----------------------------------------------------------------------------------- */

/* The key of dimension number `place` in an item. */
static void key_at(const char *item, size_t place, char *key, size_t room)
{
    for (; place > 0; place--) {
        item += strcspn(item, "/");
        item += *item == '/';
    }
    snprintf(key, room, "%.*s", (int)strcspn(item, "/"), item);
}

static int place_of(const struct cm_step *step, const char *dimension)
{
    for (size_t i = 0; i < step->each_count; i++) {
        if (!strcmp(step->each[i], dimension)) {
            return (int)i;
        }
    }
    return -1;
}

/* Two tasks agree on the dimensions that both steps have. */
static int agree(const struct cm_step *a, const char *item_a, const struct cm_step *b, const char *item_b)
{
    char key_a[80], key_b[80];
    for (size_t i = 0; i < a->each_count; i++) {
        int place = place_of(b, a->each[i]);
        if (place >= 0) {
            key_at(item_a, i, key_a, sizeof key_a);
            key_at(item_b, (size_t)place, key_b, sizeof key_b);
            if (strcmp(key_a, key_b)) {
                return 0;
            }
        }
    }
    return 1;
}

static long required(const struct cm_need *need, long total)
{
    long number = (long)need->number;
    switch (need->kind) {
    case CM_NEED_ANY:
        return total < 1 ? total : 1;
    case CM_NEED_COUNT:
        return number < total ? number : total;
    case CM_NEED_PERCENT:
        return (total * number + 99) / 100;
    default:
        return total;
    }
}

/* ---- Judging a change ------------------------------------------------------------------------ */

/* A post of it may be out: then it goes on until that is settled, whatever happens around it. */
static int is_in_doubt(const struct sim_oracle *oracle, const struct cm_task_row *task)
{
    const struct cm_index *effects = &oracle->tables[CM_TABLE_EFFECT];
    for (size_t i = 0; i < effects->room; i++) {
        const struct sim_seen *found = effects->entries[i].value;
        const struct cm_effect_row *effect = found ? found->row : NULL;
        if (effect && (effect->state == CM_EFFECT_SENDING || effect->state == CM_EFFECT_UNCONFIRMED) &&
            !strcmp(effect->job, task->job) && !strcmp(effect->step, task->step) && !strcmp(effect->item, task->item)) {
            return 1;
        }
    }
    return 0;
}

/* Everything that this task comes after is over, and enough of it succeeded. */
static const char *check_join(struct sim_oracle *oracle, const struct cm_task_row *task)
{
    const struct cm_step *step = cm_pipeline_step(oracle->pipeline, task->step);
    if (step->stage == CM_STAGE_PUBLISH && is_in_doubt(oracle, task)) {
        return NULL;
    }
    for (size_t i = 0; i < step->after_count; i++) {
        const struct cm_step *before = &oracle->pipeline->steps[step->after[i]];
        const struct cm_index *tasks = &oracle->tables[CM_TABLE_TASK];
        long total = 0, good = 0;
        for (size_t k = 0; k < tasks->room; k++) {
            const struct sim_seen *found = tasks->entries[k].value;
            const struct cm_task_row *other = found ? found->row : NULL;
            if (!other || strcmp(other->step, before->name) || strcmp(other->job, task->job) ||
                !agree(before, other->item, step, task->item)) {
                continue;
            }
            total++;
            good += other->state == CM_TASK_SUCCEEDED || (other->state == CM_TASK_SKIPPED && before->optional);
            if (!cm_task_is_over(other->state)) {
                return problem(oracle, "%s/%s is %s, but %s/%s before it is %s", task->step, task->item,
                               cm_task_state_name(task->state), other->step, other->item,
                               cm_task_state_name(other->state));
            }
        }
        if (!before->optional && good < required(&before->need, total)) {
            return problem(oracle, "%s/%s is %s, but only %ld of %ld of %s succeeded", task->step, task->item,
                           cm_task_state_name(task->state), good, total, before->name);
        }
    }
    return NULL;
}

static const char *check_task(struct sim_oracle *oracle, const struct cm_task_row *old, const struct cm_task_row *row)
{
    int64_t from = old ? old->state : 0, fence = old ? old->fence : 0;
    /* In one set a task may appear, or be retried, and go on from there. */
    int fresh = from == 0 || (cm_task_is_over(from) && from != CM_TASK_SUCCEEDED);
    if (!cm_task_may_move(from, row->state) && !(fresh && cm_task_may_move(CM_TASK_BLOCKED, row->state))) {
        return problem(oracle, "%s/%s moved from %s to %s", row->step, row->item, cm_task_state_name(from),
                       cm_task_state_name(row->state));
    }
    if (row->fence != fence && !(row->state == CM_TASK_RUNNING && row->fence == fence + 1)) {
        return problem(oracle, "%s/%s: fence went from %lld to %lld in state %s", row->step, row->item,
                       (long long)fence, (long long)row->fence, cm_task_state_name(row->state));
    }
    if (row->state == CM_TASK_RUNNING && from != CM_TASK_RUNNING && row->fence != fence + 1) {
        return problem(oracle, "%s/%s runs without a new fence", row->step, row->item);
    }
    if ((row->state == CM_TASK_HELD) != (row->held_by != 0)) {
        return problem(oracle, "%s/%s is %s, held by %s", row->step, row->item, cm_task_state_name(row->state),
                       cm_hold_name(row->held_by));
    }
    return NULL;
}

static const char *check_change(struct sim_oracle *oracle, const struct sim_noted *noted, const struct sim_seen *found,
                                const struct cm_change *change)
{
    const void *old = found ? found->row : NULL;
    const char *wrong = NULL;
    /* A set is guarded by one task or by the job: of the others it may not know that they were taken. */
    int unknown = found && found->taken && strcmp(found->key, noted->guarded.text) != 0;
    if (change->table == CM_TABLE_TASK && !unknown) {
        wrong = check_task(oracle, old, change->row);
    } else if (change->table == CM_TABLE_EFFECT && old) {
        const struct cm_effect_row *before = old, *after = change->row;
        if (before->state == CM_EFFECT_CONFIRMED && after->state != CM_EFFECT_CONFIRMED) {
            wrong = problem(oracle, "a confirmed effect of %s/%s became %s", after->step, after->item,
                            cm_effect_state_name(after->state));
        }
    }
    return wrong;
}

/* It waited for others, and does so no longer: its join fired. */
static int is_released(const struct sim_seen *found, const struct cm_change *change)
{
    const struct cm_task_row *row = change->row, *old = found ? found->row : NULL;
    if (change->table != CM_TABLE_TASK) {
        return 0;
    }
    int waited = !old || old->state == CM_TASK_BLOCKED || cm_task_is_over(old->state);
    return waited && (row->state == CM_TASK_READY || row->state == CM_TASK_RUNNING || row->state == CM_TASK_SCHEDULED);
}

/* The set's change of the task whose attempt this is, if it has one. */
static const struct cm_task_row *task_in_set(const struct sim_noted *noted, const struct cm_attempt_row *attempt)
{
    const struct cm_task_row *found = NULL;
    for (size_t i = 0; i < noted->count; i++) {
        const struct cm_task_row *task = noted->changes[i].row;
        if (noted->changes[i].table == CM_TABLE_TASK && !strcmp(task->item, attempt->item) &&
            !strcmp(task->step, attempt->step) && !strcmp(task->job, attempt->job)) {
            found = task;
        }
    }
    return found;
}

/* An end that is nobody's fault burns no try: a rate limit, a wait, a stop. */
static const char *check_burns(struct sim_oracle *oracle, const struct sim_noted *noted,
                               const struct cm_attempt_row *attempt)
{
    int outcome = cm_outcome_from_name(attempt->verdict), reason = cm_reason_from_name(attempt->reason);
    int waits = outcome == CM_AGAIN && (reason == CM_REASON_RATE || reason == CM_REASON_PROCESSING);
    const struct cm_task_row *after = task_in_set(noted, attempt);
    const struct cm_task_row *before = sim_oracle_task(oracle, attempt->job, attempt->step, attempt->item);
    if (!waits && outcome != CM_HOLD && outcome != CM_OUTCOME_CANCELLED && outcome != CM_OUTCOME_INTERRUPTED) {
        return NULL;
    }
    if (after && before && after->fence == attempt->fence && after->tries > before->tries) {
        return problem(oracle, "%s/%s#%lld burnt a try, though it ended in %s %s", attempt->step, attempt->item,
                       (long long)attempt->fence, attempt->verdict, attempt->reason);
    }
    return NULL;
}

static const char *merge(struct sim_oracle *oracle, struct sim_noted *noted)
{
    const char *wrong = NULL;
    for (size_t i = 0; i < noted->count && !wrong; i++) {
        const struct cm_change *change = &noted->changes[i];
        struct key key = key_of(change->table, change->row);
        const struct sim_seen *found = cm_index_get(&oracle->tables[change->table], key.text);
        wrong = check_change(oracle, noted, found, change);
        if (!wrong && change->table == CM_TABLE_ATTEMPT) {
            wrong = check_burns(oracle, noted, change->row);
        }
        noted->released[i] = (char)is_released(found, change);
    }
    for (size_t i = 0; i < noted->count; i++) {
        noted->seen[i] = remember(oracle, noted->changes[i].table, noted->changes[i].row);
    }
    for (size_t i = 0; i < noted->count && !wrong; i++) {
        if (noted->released[i]) {
            wrong = check_join(oracle, noted->seen[i]->row);
        }
    }
    noted->count = 0; /* the rows are remembered now */
    return wrong;
}

const char *sim_oracle_applied(struct sim_oracle *oracle, uint64_t set, int applied)
{
    size_t at = 0;
    while (at < oracle->noted_count && oracle->noted[at].id != set) {
        at++;
    }
    if (at == oracle->noted_count) {
        return NULL;
    }
    struct sim_noted noted = oracle->noted[at];
    oracle->noted_count--;
    memmove(&oracle->noted[at], &oracle->noted[at + 1], (oracle->noted_count - at) * sizeof noted);
    const char *wrong = applied ? merge(oracle, &noted) : NULL;
    free_noted(&noted);
    return wrong;
}

const char *sim_oracle_compare(struct sim_oracle *oracle, enum cm_table table, const void *row)
{
    struct key key = key_of(table, row);
    const struct cm_row_type *type = cm_row_type(table);
    const void *known = seen(oracle, table, key.text);
    if (!known) {
        return problem(oracle, "the store has %s %s, which was never durable", type->name, key.text);
    }
    for (size_t i = 0; i < type->column_count; i++) {
        const struct cm_column *column = &type->columns[i];
        int same = column->type == CM_COLUMN_INT ? cm_row_int(row, column) == cm_row_int(known, column)
                                                 : !strcmp(cm_row_string(row, column), cm_row_string(known, column));
        if (!same) {
            return problem(oracle, "%s of %s %s is not what was durable", column->name, type->name, key.text);
        }
    }
    return NULL;
}

/* ---- The end --------------------------------------------------------------------------------- */

/* The keys that the accepted attempt of this task made; NULL when it did not succeed. */
static const struct keys *keys_of(const struct sim_oracle *oracle, const char *job, const char *step, const char *item)
{
    const struct cm_task_row *task = sim_oracle_task(oracle, job, step, item);
    if (!task || task->state != CM_TASK_SUCCEEDED) {
        return NULL;
    }
    struct key key = key_of_attempt(job, step, item, task->fence);
    return cm_index_get(&oracle->answers, key.text);
}

/* Counts the items that this step should have, and checks that each is there. Fills in dimension
 * after dimension; `item` holds those before `place`. */
static long count_items(struct sim_oracle *oracle, const struct cm_job_row *job, const struct cm_step *step,
                        size_t place, const char *item)
{
    if (place == step->each_count) {
        if (!sim_oracle_task(oracle, job->id, step->name, item)) {
            problem(oracle, "job %s: %s/%s was never made", job->id, step->name, item);
            return -1;
        }
        return 1;
    }
    const char *dimension = step->each[place];
    const struct keys *keys = NULL;
    struct keys given = {0};
    char *names[8];
    if (!strcmp(dimension, "format") || !strcmp(dimension, "target")) {
        static const char *const known[] = {"9:16", "1:1", "native", "phased", "search", "blind"};
        given.names = names;
        for (size_t i = 0; i < 6; i++) {
            char *quoted = cm_format("\"%s\"", known[i]);
            if ((*dimension == 'f') == (i < 2) && strstr(job->params, quoted)) {
                names[given.count++] = (char *)known[i];
            }
            free(quoted);
        }
        keys = &given;
    } else {
        const struct cm_step *maker = oracle->pipeline->steps;
        while (strcmp(maker->makes, dimension)) {
            maker++;
        }
        keys = keys_of(oracle, job->id, maker->name, maker->each_count ? item : "");
    }
    long total = 0;
    for (size_t i = 0; keys && i < keys->count; i++) {
        char *longer = cm_format("%s%s%s", item, place ? "/" : "", keys->names[i]);
        long count = count_items(oracle, job, step, place + 1, longer);
        free(longer);
        if (count < 0) {
            return -1;
        }
        total += count;
    }
    return total;
}

struct tally {
    long total, good, over, cancelled, flawed;
};

static struct tally tally_step(const struct sim_oracle *oracle, const char *job, const struct cm_step *step)
{
    struct tally tally = {0};
    const struct cm_index *tasks = &oracle->tables[CM_TABLE_TASK];
    for (size_t k = 0; k < tasks->room; k++) {
        const struct sim_seen *found = tasks->entries[k].value;
        const struct cm_task_row *task = found ? found->row : NULL;
        if (task && !strcmp(task->step, step->name) && !strcmp(task->job, job)) {
            tally.total++;
            tally.over += cm_task_is_over(task->state);
            tally.good += task->state == CM_TASK_SUCCEEDED || (task->state == CM_TASK_SKIPPED && step->optional);
            tally.cancelled += task->state == CM_TASK_CANCELLED;
            tally.flawed += task->state == CM_TASK_FAILED || (task->state == CM_TASK_SKIPPED && *task->reason);
        }
    }
    return tally;
}

static const char *check_job(struct sim_oracle *oracle, const struct cm_job_row *job)
{
    long bad = 0, cancelled = 0, flawed = 0;
    for (size_t i = 0; i < oracle->pipeline->step_count; i++) {
        const struct cm_step *step = &oracle->pipeline->steps[i];
        struct tally tally = tally_step(oracle, job->id, step);
        long expected = count_items(oracle, job, step, 0, "");
        if (expected < 0) {
            return oracle->problem;
        }
        if (expected != tally.total) {
            return problem(oracle, "job %s: step %s has %ld tasks, not %ld", job->id, step->name, tally.total,
                           expected);
        }
        if (tally.over != tally.total) {
            return problem(oracle, "job %s is %s with %ld open tasks in %s", job->id, cm_job_state_name(job->state),
                           tally.total - tally.over, step->name);
        }
        bad += !step->optional && tally.good < required(&step->need, tally.total);
        cancelled += tally.cancelled;
        flawed += tally.flawed;
    }
    int64_t state = job->cancel && cancelled ? CM_JOB_CANCELLED
                    : bad                    ? CM_JOB_FAILED
                    : flawed                 ? CM_JOB_PARTIAL
                                             : CM_JOB_SUCCEEDED;
    if (state != job->state) {
        return problem(oracle, "job %s is %s and should be %s", job->id, cm_job_state_name(job->state),
                       cm_job_state_name(state));
    }
    return NULL;
}

const char *sim_oracle_final(struct sim_oracle *oracle)
{
    const char *wrong = NULL;
    for (size_t i = 0; i < oracle->tables[CM_TABLE_JOB].room && !wrong; i++) {
        const struct sim_seen *found = oracle->tables[CM_TABLE_JOB].entries[i].value;
        wrong = found ? check_job(oracle, found->row) : NULL;
    }
    return wrong;
}
