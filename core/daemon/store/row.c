/*
 * The rows that the store keeps: their columns, copies and names, and the legal moves of a task.
 */
#include "core/daemon/store/row.h"

#include <stdlib.h>
#include <string.h>

#include "core/common/text.h"

/* clang-format off */
/* A column whose type the compiler takes from the field. */
#define COLUMN(row_, field_, key_)                                                            \
    { #field_,                                                                                \
      _Generic(((struct row_ *)0)->field_, int64_t: CM_COLUMN_INT, char *: CM_COLUMN_TEXT),   \
      offsetof(struct row_, field_), key_ }
/* clang-format on */
#define KEY(type, field) COLUMN(type, field, 1)
#define PLAIN(type, field) COLUMN(type, field, 0)

static const struct cm_column pipeline_columns[] = {
    KEY(cm_pipeline_row, id),
    PLAIN(cm_pipeline_row, name),
    PLAIN(cm_pipeline_row, json),
    PLAIN(cm_pipeline_row, created_ms),
};

static const struct cm_column job_columns[] = {
    KEY(cm_job_row, id),
    PLAIN(cm_job_row, owner),
    PLAIN(cm_job_row, request_key),
    PLAIN(cm_job_row, request_hash),
    PLAIN(cm_job_row, pipeline),
    PLAIN(cm_job_row, source),
    PLAIN(cm_job_row, params),
    PLAIN(cm_job_row, state),
    PLAIN(cm_job_row, priority),
    PLAIN(cm_job_row, created_ms),
    PLAIN(cm_job_row, finished_ms),
    PLAIN(cm_job_row, reason),
    PLAIN(cm_job_row, words),
    PLAIN(cm_job_row, cancel),
};

static const struct cm_column task_columns[] = {
    KEY(cm_task_row, job),       KEY(cm_task_row, step),       KEY(cm_task_row, item),     PLAIN(cm_task_row, state),
    PLAIN(cm_task_row, fence),   PLAIN(cm_task_row, op),       PLAIN(cm_task_row, link),   PLAIN(cm_task_row, tries),
    PLAIN(cm_task_row, crashes), PLAIN(cm_task_row, ready_ms), PLAIN(cm_task_row, due_ms), PLAIN(cm_task_row, held_by),
    PLAIN(cm_task_row, reason),  PLAIN(cm_task_row, words),    PLAIN(cm_task_row, boot),
};

static const struct cm_column attempt_columns[] = {
    KEY(cm_attempt_row, job),        KEY(cm_attempt_row, step),       KEY(cm_attempt_row, item),
    KEY(cm_attempt_row, fence),      PLAIN(cm_attempt_row, instance), PLAIN(cm_attempt_row, op),
    PLAIN(cm_attempt_row, boot),     PLAIN(cm_attempt_row, folder),   PLAIN(cm_attempt_row, started_ms),
    PLAIN(cm_attempt_row, ended_ms), PLAIN(cm_attempt_row, verdict),  PLAIN(cm_attempt_row, reason),
    PLAIN(cm_attempt_row, scope),    PLAIN(cm_attempt_row, words),    PLAIN(cm_attempt_row, delay_ms),
    PLAIN(cm_attempt_row, skipped),
};

static const struct cm_column artifact_columns[] = {
    KEY(cm_artifact_row, job),     KEY(cm_artifact_row, step),    KEY(cm_artifact_row, item),
    KEY(cm_artifact_row, fence),   KEY(cm_artifact_row, role),    KEY(cm_artifact_row, key),
    PLAIN(cm_artifact_row, path),  PLAIN(cm_artifact_row, bytes), PLAIN(cm_artifact_row, sha256),
    PLAIN(cm_artifact_row, facts),
};

static const struct cm_column effect_columns[] = {
    KEY(cm_effect_row, key),       PLAIN(cm_effect_row, job),     PLAIN(cm_effect_row, step),
    PLAIN(cm_effect_row, item),    PLAIN(cm_effect_row, fence),   PLAIN(cm_effect_row, instance),
    PLAIN(cm_effect_row, state),   PLAIN(cm_effect_row, sent_ms), PLAIN(cm_effect_row, absent),
    PLAIN(cm_effect_row, post_id), PLAIN(cm_effect_row, url),
};

static const struct cm_column llm_call_columns[] = {
    KEY(cm_llm_call_row, id),
    PLAIN(cm_llm_call_row, job),
    PLAIN(cm_llm_call_row, step),
    PLAIN(cm_llm_call_row, item),
    PLAIN(cm_llm_call_row, fence),
    PLAIN(cm_llm_call_row, instance),
    PLAIN(cm_llm_call_row, model),
    PLAIN(cm_llm_call_row, state),
    PLAIN(cm_llm_call_row, tokens_in),
    PLAIN(cm_llm_call_row, tokens_out),
    PLAIN(cm_llm_call_row, cost_nano),
    PLAIN(cm_llm_call_row, sent_ms),
    PLAIN(cm_llm_call_row, answered_ms),
    PLAIN(cm_llm_call_row, request),
    PLAIN(cm_llm_call_row, audio_ms),
    PLAIN(cm_llm_call_row, owner),
    PLAIN(cm_llm_call_row, currency),
    PLAIN(cm_llm_call_row, billed_nano),
    PLAIN(cm_llm_call_row, estimated),
};

static const struct cm_column note_columns[] = {
    KEY(cm_note_row, owner),
    KEY(cm_note_row, name),
    PLAIN(cm_note_row, value),
};

static const struct cm_column boot_columns[] = {
    KEY(cm_boot_row, id),         PLAIN(cm_boot_row, host), PLAIN(cm_boot_row, pid),  PLAIN(cm_boot_row, started_ms),
    PLAIN(cm_boot_row, lease_ms), PLAIN(cm_boot_row, beat), PLAIN(cm_boot_row, over), PLAIN(cm_boot_row, place),
};

static const struct cm_column claim_columns[] = {
    KEY(cm_claim_row, job),
    PLAIN(cm_claim_row, boot),
};

#define CM_ROW_COLUMNS_MAX 24

#define ROW_TYPE(noun)                                                                                                 \
    {                                                                                                                  \
#noun, sizeof(struct cm_##noun##_row), noun##_columns, sizeof noun##_columns / sizeof noun##_columns[0]        \
    }

static const struct cm_row_type row_types[CM_TABLE_COUNT_PLUS_1] = {
    [CM_TABLE_PIPELINE] = ROW_TYPE(pipeline), [CM_TABLE_JOB] = ROW_TYPE(job),
    [CM_TABLE_TASK] = ROW_TYPE(task),         [CM_TABLE_ATTEMPT] = ROW_TYPE(attempt),
    [CM_TABLE_ARTIFACT] = ROW_TYPE(artifact), [CM_TABLE_EFFECT] = ROW_TYPE(effect),
    [CM_TABLE_LLM_CALL] = ROW_TYPE(llm_call), [CM_TABLE_NOTE] = ROW_TYPE(note),
    [CM_TABLE_BOOT] = ROW_TYPE(boot),         [CM_TABLE_CLAIM] = ROW_TYPE(claim),
};

const struct cm_row_type *cm_row_type(enum cm_table table)
{
    if (table < CM_TABLE_PIPELINE || table >= CM_TABLE_COUNT_PLUS_1)
        abort(); /* our own bug: no table comes from outside */
    return &row_types[table];
}

/* ---- Rows as memory -------------------------------------------------------------------------- */

static char **text_field(void *row, const struct cm_column *column)
{
    return (char **)(void *)((char *)row + column->offset);
}

/*
 * A packed row's texts lie behind it, the first one at once. A row whose texts are its own is one
 * byte longer than it need be, so that no text of its own can lie there.
 */
static int is_packed(const struct cm_row_type *type, void *row)
{
    for (size_t i = 0; i < type->column_count; i++)
        if (type->columns[i].type == CM_COLUMN_TEXT)
            return *text_field(row, &type->columns[i]) == (char *)row + type->bytes;
    return 0;
}

void *cm_row_new(enum cm_table table)
{
    const struct cm_row_type *type = cm_row_type(table);
    void *row = cm_alloc(type->bytes + 1);
    for (size_t i = 0; i < type->column_count; i++)
        if (type->columns[i].type == CM_COLUMN_TEXT)
            *text_field(row, &type->columns[i]) = cm_strdup("");
    return row;
}

void *cm_row_copy(enum cm_table table, const void *row)
{
    const struct cm_row_type *type = cm_row_type(table);
    void *copy = cm_alloc(type->bytes + 1);
    memcpy(copy, row, type->bytes);
    for (size_t i = 0; i < type->column_count; i++) {
        char **field = text_field(copy, &type->columns[i]);
        if (type->columns[i].type == CM_COLUMN_TEXT)
            *field = cm_strdup(*field ? *field : "");
    }
    return copy;
}

void *cm_row_pack(enum cm_table table, const void *row)
{
    const struct cm_row_type *type = cm_row_type(table);
    size_t lengths[CM_ROW_COLUMNS_MAX], bytes = type->bytes;
    for (size_t i = 0; i < type->column_count; i++) {
        if (type->columns[i].type != CM_COLUMN_TEXT)
            continue;
        const char *text = cm_row_string(row, &type->columns[i]);
        lengths[i] = text ? strlen(text) : 0;
        bytes += lengths[i] + 1;
    }
    char *pack = cm_realloc(NULL, bytes), *end = pack + type->bytes;
    memcpy(pack, row, type->bytes);
    for (size_t i = 0; i < type->column_count; i++) {
        char **field = text_field(pack, &type->columns[i]);
        if (type->columns[i].type != CM_COLUMN_TEXT)
            continue;
        if (lengths[i] > 0)
            memcpy(end, *field, lengths[i]);
        end[lengths[i]] = '\0';
        *field = end;
        end += lengths[i] + 1;
    }
    return pack;
}

void cm_row_free(enum cm_table table, void *row)
{
    if (!row)
        return;
    const struct cm_row_type *type = cm_row_type(table);
    int packed = is_packed(type, row);
    for (size_t i = 0; !packed && i < type->column_count; i++)
        if (type->columns[i].type == CM_COLUMN_TEXT)
            free(*text_field(row, &type->columns[i]));
    free(row);
}

void cm_row_text(char **field, const char *text)
{
    char *copy = cm_strdup(text ? text : ""); /* first: text may be (part of) what is freed */
    free(*field);
    *field = copy;
}

/* ---- Fields by column ------------------------------------------------------------------------ */

int64_t cm_row_int(const void *row, const struct cm_column *column)
{
    return *(const int64_t *)(const void *)((const char *)row + column->offset);
}

const char *cm_row_string(const void *row, const struct cm_column *column)
{
    return *(char *const *)(const void *)((const char *)row + column->offset);
}

const struct cm_column *cm_row_column(enum cm_table table, const char *name)
{
    const struct cm_row_type *type = cm_row_type(table);
    for (size_t i = 0; i < type->column_count; i++)
        if (strcmp(type->columns[i].name, name) == 0)
            return &type->columns[i];
    return NULL;
}

int cm_row_compare_keys(enum cm_table table, const void *a, const void *b)
{
    const struct cm_row_type *type = cm_row_type(table);
    for (size_t i = 0; i < type->column_count && type->columns[i].key; i++) {
        const struct cm_column *column = &type->columns[i];
        if (column->type == CM_COLUMN_TEXT) {
            int order = strcmp(cm_row_string(a, column), cm_row_string(b, column));
            if (order != 0)
                return order;
        } else if (cm_row_int(a, column) != cm_row_int(b, column)) {
            return cm_row_int(a, column) < cm_row_int(b, column) ? -1 : 1;
        }
    }
    return 0;
}

/* ---- Names ----------------------------------------------------------------------------------- */

static const char *const job_states[] = {
    [CM_JOB_QUEUED] = "queued",   [CM_JOB_RUNNING] = "running", [CM_JOB_SUCCEEDED] = "succeeded",
    [CM_JOB_PARTIAL] = "partial", [CM_JOB_FAILED] = "failed",   [CM_JOB_CANCELLED] = "cancelled",
};

static const char *const task_states[] = {
    [CM_TASK_BLOCKED] = "blocked",     [CM_TASK_READY] = "ready",         [CM_TASK_SCHEDULED] = "scheduled",
    [CM_TASK_RUNNING] = "running",     [CM_TASK_BACKOFF] = "backoff",     [CM_TASK_HELD] = "held",
    [CM_TASK_SKIPPED] = "skipped",     [CM_TASK_SUCCEEDED] = "succeeded", [CM_TASK_FAILED] = "failed",
    [CM_TASK_CANCELLED] = "cancelled",
};

static const char *const effect_states[] = {
    [CM_EFFECT_INTENT] = "intent", [CM_EFFECT_SENDING] = "sending",         [CM_EFFECT_CONFIRMED] = "confirmed",
    [CM_EFFECT_ABSENT] = "absent", [CM_EFFECT_UNCONFIRMED] = "unconfirmed", [CM_EFFECT_REMOVED] = "removed",
};

static const char *const holds[] = {
    [CM_HELD_BUDGET] = "budget",           [CM_HELD_AUTH] = "auth",
    [CM_HELD_POLICY] = "policy",           [CM_HELD_OPERATOR] = "operator",
    [CM_HELD_UNCONFIRMED] = "unconfirmed", [CM_HELD_RESOURCE] = "resource",
    [CM_HELD_PLUGIN] = "plugin",
};

static const char *const call_states[] = {
    [CM_CALL_SENT] = "sent",       [CM_CALL_ANSWERED] = "answered", [CM_CALL_UNKNOWN] = "unknown",
    [CM_CALL_REFUSED] = "refused", [CM_CALL_UNSENT] = "unsent",
};

#define NAME_OF(names, value) name_of(names, sizeof(names) / sizeof((names)[0]), value)

static const char *name_of(const char *const *names, size_t count, int64_t value)
{
    return value > 0 && value < (int64_t)count ? names[value] : "";
}

const char *cm_job_state_name(int64_t state)
{
    return NAME_OF(job_states, state);
}

const char *cm_task_state_name(int64_t state)
{
    return NAME_OF(task_states, state);
}

const char *cm_effect_state_name(int64_t state)
{
    return NAME_OF(effect_states, state);
}

const char *cm_hold_name(int64_t hold)
{
    return NAME_OF(holds, hold);
}

const char *cm_call_state_name(int64_t state)
{
    return NAME_OF(call_states, state);
}

/* ---- Moves ----------------------------------------------------------------------------------- */

#define TO(state) (1u << CM_TASK_##state)

/*
 * From which state a task may go where. Row 0 is a task that is not there yet. What a person's
 * retry does is marked: it takes tasks out of states that are otherwise final, and puts those that
 * depend on them back behind them. Nothing ever leaves "succeeded".
 */
static const unsigned task_moves[] = {
    [0] = TO(BLOCKED) | TO(READY) | TO(SCHEDULED) | TO(HELD) | TO(SKIPPED),
    [CM_TASK_BLOCKED] = TO(READY) | TO(SCHEDULED) | TO(HELD) | TO(SKIPPED) | TO(FAILED) | TO(CANCELLED),
    [CM_TASK_READY] = TO(RUNNING) | TO(SCHEDULED) | TO(BACKOFF) /* throttled before it began */ | TO(HELD) |
                      TO(SUCCEEDED) /* its effect turned out to be there */ | TO(SKIPPED) | TO(FAILED) | TO(CANCELLED) |
                      TO(BLOCKED) /* retry of one before it */,
    [CM_TASK_SCHEDULED] = TO(READY) | TO(RUNNING) | TO(HELD) | TO(SKIPPED) | TO(FAILED) | TO(CANCELLED) |
                          TO(BLOCKED) /* retry of one before it */,
    [CM_TASK_RUNNING] = TO(SUCCEEDED) | TO(READY) /* next link, interrupted */ | TO(SCHEDULED) /* its clip fits now */ |
                        TO(BACKOFF) | TO(HELD) | TO(SKIPPED) | TO(FAILED) | TO(CANCELLED),
    [CM_TASK_BACKOFF] = TO(READY) | TO(RUNNING) | TO(SCHEDULED) /* its clip need not be smaller any more */ | TO(HELD) |
                        TO(SUCCEEDED) /* settled by a person */ | TO(SKIPPED) | TO(FAILED) | TO(CANCELLED) |
                        TO(BLOCKED) /* retry of one before it */,
    [CM_TASK_HELD] = TO(READY) | TO(SCHEDULED) | TO(BACKOFF) | TO(SUCCEEDED) /* a person says it is out */ |
                     TO(SKIPPED) | TO(FAILED) | TO(CANCELLED) | TO(BLOCKED) /* retry of one before it */,
    [CM_TASK_SUCCEEDED] = 0,
    [CM_TASK_SKIPPED] = TO(READY) | TO(SCHEDULED) | TO(BLOCKED) /* all three: retry */,
    [CM_TASK_FAILED] = TO(READY) | TO(SCHEDULED) | TO(BLOCKED) /* all three: retry */,
    [CM_TASK_CANCELLED] = TO(READY) | TO(SCHEDULED) | TO(BLOCKED) /* all three: retry */,
};

int cm_task_may_move(int64_t from, int64_t to)
{
    if (from < 0 || from > CM_TASK_CANCELLED || to < CM_TASK_BLOCKED || to > CM_TASK_CANCELLED)
        return 0;
    return from == to || (task_moves[from] >> to & 1u);
}

int cm_job_is_over(int64_t state)
{
    return state >= CM_JOB_SUCCEEDED && state <= CM_JOB_CANCELLED;
}

int cm_task_is_over(int64_t state)
{
    return state >= CM_TASK_SUCCEEDED && state <= CM_TASK_CANCELLED;
}
