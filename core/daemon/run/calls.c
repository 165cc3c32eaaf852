/*
 * The paid calls of one attempt.
 */
#include "core/daemon/run/calls.h"

#include <stdlib.h>
#include <string.h>

#include "core/common/message.h"
#include "core/common/text.h"
#include "core/common/units.h"

#define AMOUNT_MAX 1000000000000LL /* what a worker may claim without sums overflowing */

static int64_t amount(struct json_object *message, const char *name)
{
    int64_t value = cm_json_int(message, name, 0);
    return value < 0 ? 0 : value > AMOUNT_MAX ? AMOUNT_MAX : value;
}

static void take_amounts(struct cm_llm_call_row *row, struct json_object *message)
{
    cm_row_text(&row->model, cm_json_text(message, "model", ""));
    row->tokens_in = amount(message, "tokens_in");
    row->tokens_out = amount(message, "tokens_out");
    row->audio_ms = amount(message, "audio_ms");
}

static struct cm_llm_call_row *last_of(const struct cm_calls *calls, struct json_object *message)
{
    const char *request = cm_json_text(message, "call", "");
    for (size_t i = calls->count; i > 0; i--) {
        if (!strcmp(calls->rows[i - 1]->request, request)) {
            return calls->rows[i - 1];
        }
    }
    return NULL;
}

const struct cm_llm_call_row *cm_calls_begin(struct cm_calls *calls, const struct cm_start *start,
                                             struct json_object *message)
{
    struct cm_llm_call_row *row = cm_row_new(CM_TABLE_LLM_CALL);
    calls->rows = cm_grow(calls->rows, &calls->room, calls->count, sizeof *calls->rows);
    calls->rows[calls->count++] = row;
    free(row->id);
    row->id =
        cm_format("%s/%s/%s#%lld.%zu", start->job, start->step, start->item, (long long)start->fence, calls->count);
    cm_row_text(&row->job, start->job);
    cm_row_text(&row->step, start->step);
    cm_row_text(&row->item, start->item);
    row->fence = start->fence;
    cm_row_text(&row->instance, start->instance);
    cm_row_text(&row->request, cm_json_text(message, "call", ""));
    row->state = CM_CALL_SENT;
    row->sent_ms = cm_utc_ms();
    take_amounts(row, message);
    return row;
}

const struct cm_llm_call_row *cm_calls_end(struct cm_calls *calls, struct json_object *message)
{
    static const struct {
        const char *name;
        enum cm_call_state state;
    } ends[] = {{"answered", CM_CALL_ANSWERED}, {"refused", CM_CALL_REFUSED}, {"unsent", CM_CALL_UNSENT}};
    struct cm_llm_call_row *row = last_of(calls, message);
    if (!row) {
        return NULL;
    }
    row->state = CM_CALL_UNKNOWN;
    row->answered_ms = cm_utc_ms();
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (!strcmp(cm_json_text(message, "end", ""), ends[i].name)) {
            row->state = ends[i].state;
        }
    }
    if (row->state == CM_CALL_REFUSED || row->state == CM_CALL_UNSENT) {
        row->tokens_in = row->tokens_out = row->audio_ms = 0;
    }
    return row;
}

const struct cm_llm_call_row *cm_calls_spent(struct cm_calls *calls, struct json_object *message)
{
    struct cm_llm_call_row *row = last_of(calls, message);
    if (row) {
        take_amounts(row, message);
    }
    return row;
}

void cm_calls_free(struct cm_calls *calls)
{
    for (size_t i = 0; i < calls->count; i++) {
        cm_row_free(CM_TABLE_LLM_CALL, calls->rows[i]);
    }
    free(calls->rows);
    *calls = (struct cm_calls){0};
}
