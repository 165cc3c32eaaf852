/*
 * The paid calls of one attempt, and what they cost.
 */
#include "core/daemon/run/calls.h"

#include <stdlib.h>
#include <string.h>

#include "core/common/message.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/daemon/config/prices.h"

#define AMOUNT_MAX 1000000000LL /* what a worker may claim without sums overflowing */

struct cm_call_record {
    struct cm_llm_call_row *row;
    char *asked; /* the model that was asked; another may answer */
};

/* ---- Amounts and prices ---------------------------------------------------------------------- */

/* What the answer does not tell (-1) stays at its most. */
static void take_amount(int64_t *amount, int64_t *untold, struct json_object *message, const char *name)
{
    int64_t value = cm_json_int(message, name, 0);
    if (value < 0) {
        *untold = 1;
    } else {
        *amount = value > AMOUNT_MAX ? AMOUNT_MAX : value;
    }
}

static void take_amounts(struct cm_llm_call_row *row, struct json_object *message, int are_most)
{
    const char *model = cm_json_text(message, "model", "");
    row->estimated = are_most;
    if (*model) {
        cm_row_text(&row->model, model);
    }
    take_amount(&row->tokens_in, &row->estimated, message, "tokens_in");
    take_amount(&row->tokens_out, &row->estimated, message, "tokens_out");
    take_amount(&row->audio_ms, &row->estimated, message, "audio_ms");
}

static void price(struct cm_llm_call_row *row, const char *asked, const struct cm_price_list *prices)
{
    struct cm_used used = {row->model, asked, row->tokens_in, row->tokens_out, row->audio_ms};
    struct cm_cost cost = cm_prices_cost(prices, &used);
    cm_row_text(&row->currency, cost.currency);
    row->billed_nano = cost.billed_nano;
    row->cost_nano = cost.rouble_nano;
    row->estimated |= cost.guessed;
}

/* Nobody bills what he did not do. */
static void cost_nothing(struct cm_llm_call_row *row)
{
    row->tokens_in = row->tokens_out = row->audio_ms = 0;
    row->billed_nano = row->cost_nano = row->estimated = 0;
}

/* ---- The calls ------------------------------------------------------------------------------- */

static struct cm_call_record *last_of(const struct cm_calls *calls, struct json_object *message)
{
    const char *request = cm_json_text(message, "call", "");
    for (size_t i = calls->count; i > 0; i--) {
        if (!strcmp(calls->records[i - 1].row->request, request)) {
            return &calls->records[i - 1];
        }
    }
    return NULL;
}

const struct cm_llm_call_row *cm_calls_begin(struct cm_calls *calls, const struct cm_start *start,
                                             const struct cm_price_list *prices, struct json_object *message)
{
    struct cm_llm_call_row *row = cm_row_new(CM_TABLE_LLM_CALL);
    calls->records = cm_grow(calls->records, &calls->room, calls->count, sizeof *calls->records);
    calls->records[calls->count++] = (struct cm_call_record){row, cm_strdup(cm_json_text(message, "model", ""))};
    free(row->id);
    row->id =
        cm_format("%s/%s/%s#%lld.%zu", start->job, start->step, start->item, (long long)start->fence, calls->count);
    cm_row_text(&row->job, start->job);
    cm_row_text(&row->step, start->step);
    cm_row_text(&row->item, start->item);
    cm_row_text(&row->owner, start->owner);
    row->fence = start->fence;
    cm_row_text(&row->instance, start->instance);
    cm_row_text(&row->request, cm_json_text(message, "call", ""));
    row->state = CM_CALL_SENT;
    row->sent_ms = cm_utc_ms();
    take_amounts(row, message, 1);
    price(row, row->model, prices);
    return row;
}

const struct cm_llm_call_row *cm_calls_end(struct cm_calls *calls, struct json_object *message)
{
    static const struct {
        const char *name;
        enum cm_call_state state;
    } ends[] = {{"answered", CM_CALL_ANSWERED}, {"refused", CM_CALL_REFUSED}, {"unsent", CM_CALL_UNSENT}};
    struct cm_call_record *record = last_of(calls, message);
    if (!record) {
        return NULL;
    }
    struct cm_llm_call_row *row = record->row;
    row->state = CM_CALL_UNKNOWN;
    row->answered_ms = cm_utc_ms();
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (!strcmp(cm_json_text(message, "end", ""), ends[i].name)) {
            row->state = ends[i].state;
        }
    }
    if (row->state == CM_CALL_REFUSED || row->state == CM_CALL_UNSENT) {
        cost_nothing(row);
    }
    return row;
}

const struct cm_llm_call_row *cm_calls_spent(struct cm_calls *calls, const struct cm_price_list *prices,
                                             struct json_object *message)
{
    struct cm_call_record *record = last_of(calls, message);
    if (!record) {
        return NULL;
    }
    take_amounts(record->row, message, 0);
    price(record->row, record->asked, prices);
    return record->row;
}

int cm_call_may_be_answered(const struct cm_llm_call_row *row, const char *request)
{
    return !strcmp(row->request, request) && row->state != CM_CALL_REFUSED && row->state != CM_CALL_UNSENT;
}

void cm_call_settle(struct cm_llm_call_row *row, const struct cm_price_list *prices, struct json_object *message)
{
    char *asked = cm_strdup(row->model);
    row->answered_ms = row->answered_ms ? row->answered_ms : cm_utc_ms();
    row->state = CM_CALL_ANSWERED;
    take_amounts(row, message, 0);
    price(row, asked, prices);
    free(asked);
}

void cm_calls_free(struct cm_calls *calls)
{
    for (size_t i = 0; i < calls->count; i++) {
        cm_row_free(CM_TABLE_LLM_CALL, calls->records[i].row);
        free(calls->records[i].asked);
    }
    free(calls->records);
    *calls = (struct cm_calls){0};
}
