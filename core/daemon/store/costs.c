/*
 * Sums over the calls that cost money.
 */
#include "core/daemon/store/costs.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/common/text.h"

#define CURRENCIES 4 /* different ones in one sum that are told apart */

struct sum {
    char *key;
    int64_t calls, answered, unknown, failed, unpriced, estimated;
    int64_t tokens_in, tokens_out, audio_ms;
    int64_t nano, estimated_nano;
    struct {
        char name[4];
        int64_t nano;
    } billed[CURRENCIES];
};

struct cm_costs {
    enum cm_costs_by by;
    int64_t since_ms;
    struct json_object *places; /* key → index in sums */
    struct sum *sums, total;
    size_t count, room;
    struct json_object *unpriced; /* "INSTANCE: MODEL" → true */
};

static const char *const names[] = {
    [CM_COSTS_BY_JOB] = "job", [CM_COSTS_BY_INSTANCE] = "instance", [CM_COSTS_BY_MODEL] = "model",
    [CM_COSTS_BY_DAY] = "day", [CM_COSTS_BY_OWNER] = "owner",
};

enum cm_costs_by cm_costs_by_name(const char *name)
{
    for (enum cm_costs_by by = CM_COSTS_BY_JOB; by <= CM_COSTS_BY_OWNER; by++)
        if (!strcmp(names[by], name))
            return by;
    return 0;
}

struct cm_costs *cm_costs_new(enum cm_costs_by by, int64_t since_ms)
{
    struct cm_costs *costs = cm_alloc(sizeof *costs);
    costs->by = by;
    costs->since_ms = since_ms;
    costs->places = json_object_new_object();
    costs->unpriced = json_object_new_object();
    return costs;
}

void cm_costs_free(struct cm_costs *costs)
{
    for (size_t i = 0; i < costs->count; i++)
        free(costs->sums[i].key);
    free(costs->sums);
    json_object_put(costs->places);
    json_object_put(costs->unpriced);
    free(costs);
}

/* ---- Adding ---------------------------------------------------------------------------------- */

static char *day_of(int64_t utc_ms)
{
    time_t seconds = (time_t)(utc_ms / 1000);
    struct tm parts;
    char text[16] = "";
    if (localtime_r(&seconds, &parts))
        strftime(text, sizeof text, "%Y-%m-%d", &parts);
    return cm_strdup(text);
}

static char *key_of(enum cm_costs_by by, const struct cm_llm_call_row *call)
{
    switch (by) {
    case CM_COSTS_BY_INSTANCE:
        return cm_strdup(call->instance);
    case CM_COSTS_BY_MODEL:
        return cm_strdup(call->model);
    case CM_COSTS_BY_DAY:
        return day_of(call->sent_ms);
    case CM_COSTS_BY_OWNER:
        return cm_strdup(call->owner);
    default:
        return cm_strdup(call->job);
    }
}

static struct sum *sum_of(struct cm_costs *costs, const struct cm_llm_call_row *call)
{
    char *key = key_of(costs->by, call);
    struct json_object *place = NULL;
    if (json_object_object_get_ex(costs->places, key, &place)) {
        free(key);
        return &costs->sums[json_object_get_int64(place)];
    }
    json_object_object_add(costs->places, key, json_object_new_int64((int64_t)costs->count));
    costs->sums = cm_grow(costs->sums, &costs->room, costs->count, sizeof *costs->sums);
    costs->sums[costs->count] = (struct sum){.key = key};
    return &costs->sums[costs->count++];
}

static int is_failed(const struct cm_llm_call_row *call)
{
    return call->state == CM_CALL_REFUSED || call->state == CM_CALL_UNSENT;
}

static int is_unpriced(const struct cm_llm_call_row *call)
{
    int used = call->tokens_in || call->tokens_out || call->audio_ms;
    return !*call->currency && (used || !is_failed(call));
}

static void add_billed(struct sum *sum, const struct cm_llm_call_row *call)
{
    for (size_t i = 0; i < CURRENCIES; i++) {
        if (!*sum->billed[i].name && strlen(call->currency) < sizeof sum->billed[i].name)
            memcpy(sum->billed[i].name, call->currency, strlen(call->currency) + 1);
        if (!strcmp(sum->billed[i].name, call->currency)) {
            sum->billed[i].nano += call->billed_nano;
            return;
        }
    }
}

static void add_to(struct sum *sum, const struct cm_llm_call_row *call)
{
    sum->calls++;
    sum->answered += call->state == CM_CALL_ANSWERED;
    sum->unknown += call->state == CM_CALL_SENT || call->state == CM_CALL_UNKNOWN;
    sum->failed += is_failed(call);
    sum->unpriced += is_unpriced(call);
    sum->tokens_in += call->tokens_in;
    sum->tokens_out += call->tokens_out;
    sum->audio_ms += call->audio_ms;
    if (!*call->currency)
        return;
    if (call->estimated) {
        sum->estimated++;
        sum->estimated_nano += call->cost_nano;
    } else {
        sum->nano += call->cost_nano;
        add_billed(sum, call);
    }
}

void cm_costs_add(struct cm_costs *costs, const struct cm_llm_call_row *call)
{
    if (call->sent_ms < costs->since_ms)
        return;
    add_to(sum_of(costs, call), call);
    add_to(&costs->total, call);
    if (is_unpriced(call)) {
        char *name = cm_format("%s: %s", call->instance, call->model);
        json_object_object_add(costs->unpriced, name, json_object_new_boolean(1));
        free(name);
    }
}

/* ---- Showing --------------------------------------------------------------------------------- */

/* All nine digits, so that sums of what is shown are exact, too. */
static struct json_object *money(int64_t nano)
{
    char *text = cm_format("%lld.%09lld", (long long)(nano / 1000000000), (long long)(nano % 1000000000));
    struct json_object *value = json_object_new_double_s((double)nano / 1e9, text);
    free(text);
    return value;
}

static struct json_object *sum_json(const struct sum *sum)
{
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {{"calls", sum->calls},         {"answered", sum->answered},    {"unknown", sum->unknown},
                   {"failed", sum->failed},       {"unpriced", sum->unpriced},    {"estimated", sum->estimated},
                   {"tokens_in", sum->tokens_in}, {"tokens_out", sum->tokens_out}};
    struct json_object *object = json_object_new_object(), *billed = json_object_new_object();
    if (sum->key)
        json_object_object_add(object, "key", json_object_new_string(sum->key));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        json_object_object_add(object, numbers[i].name, json_object_new_int64(numbers[i].value));
    char *seconds = cm_format("%lld.%03lld", (long long)(sum->audio_ms / 1000), (long long)(sum->audio_ms % 1000));
    json_object_object_add(object, "audio_s", json_object_new_double_s((double)sum->audio_ms / 1e3, seconds));
    free(seconds);
    json_object_object_add(object, "roubles", money(sum->nano));
    json_object_object_add(object, "estimated_roubles", money(sum->estimated_nano));
    for (size_t i = 0; i < CURRENCIES && *sum->billed[i].name; i++)
        json_object_object_add(billed, sum->billed[i].name, money(sum->billed[i].nano));
    json_object_object_add(object, "billed", billed);
    return object;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct sum *)a)->key, ((const struct sum *)b)->key);
}

struct json_object *cm_costs_json(const struct cm_costs *costs)
{
    struct json_object *object = json_object_new_object(), *rows = json_object_new_array();
    struct json_object *unpriced = json_object_new_array();
    struct sum *sorted = cm_alloc((costs->count + 1) * sizeof *sorted);
    for (size_t i = 0; i < costs->count; i++)
        sorted[i] = costs->sums[i];
    qsort(sorted, costs->count, sizeof *sorted, by_key);
    for (size_t i = 0; i < costs->count; i++)
        json_object_array_add(rows, sum_json(&sorted[i]));
    free(sorted);
    json_object_object_foreach(costs->unpriced, name, present)
    {
        (void)present;
        json_object_array_add(unpriced, json_object_new_string(name));
    }
    json_object_object_add(object, "by", json_object_new_string(names[costs->by]));
    json_object_object_add(object, "rows", rows);
    json_object_object_add(object, "total", sum_json(&costs->total));
    json_object_object_add(object, "unpriced_models", unpriced);
    return object;
}
