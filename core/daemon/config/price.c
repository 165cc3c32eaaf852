/*
 * What a call costs by a price list. Pure.
 */
#include "core/daemon/config/prices.h"

#include <string.h>

/* number × by / unit, to the nearest; as much as fits where it would be too much. None is below 0. */
static int64_t scaled(int64_t number, int64_t by, int64_t unit)
{
    int64_t whole, rest, sum;
    if (__builtin_mul_overflow(number / unit, by, &whole) || __builtin_mul_overflow(number % unit, by, &rest) ||
        __builtin_add_overflow(rest, unit / 2, &rest) || __builtin_add_overflow(whole, rest / unit, &sum)) {
        return INT64_MAX;
    }
    return sum;
}

static int64_t sum_of(int64_t a, int64_t b)
{
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

static const struct cm_price *price_named(const struct cm_price_list *list, const char *model)
{
    for (size_t i = 0; i < list->count; i++) {
        if (!strcmp(list->prices[i].model, model)) {
            return &list->prices[i];
        }
    }
    return NULL;
}

static const struct cm_price *price_of(const struct cm_price_list *list, const struct cm_used *used)
{
    const struct cm_price *price = price_named(list, used->model);
    price = price ? price : price_named(list, used->asked);
    return price ? price : price_named(list, "*");
}

/* A millionth of the currency for a million tokens is 1e-12 of it for one. */
static int64_t tokens_nano(const struct cm_price *price, const struct cm_used *used)
{
    int over = price->over_tokens > 0 && used->tokens_in > price->over_tokens;
    return sum_of(scaled(used->tokens_in, over ? price->over_in_micro : price->in_micro, 1000),
                  scaled(used->tokens_out, over ? price->over_out_micro : price->out_micro, 1000));
}

static int64_t audio_nano(const struct cm_price *price, const struct cm_used *used)
{
    int64_t ms = used->audio_ms, step = price->audio_step_ms;
    ms = step > 0 ? (ms + step / 2) / step * step : ms;
    return scaled(ms, price->audio_micro * 1000, price->audio_unit_ms);
}

struct cm_cost cm_prices_cost(const struct cm_price_list *list, const struct cm_used *used)
{
    static const struct cm_cost unknown = {.currency = ""};
    const struct cm_price *price = list ? price_of(list, used) : NULL;
    struct cm_cost cost = {.currency = list ? list->currency : ""};
    if (!price || (strcmp(list->currency, "RUB") != 0 && list->unit_micro <= 0)) {
        return unknown;
    }
    int by_tokens = price->in_micro != CM_PRICE_NONE, by_audio = price->audio_micro != CM_PRICE_NONE;
    if (by_tokens && (used->tokens_in > 0 || used->tokens_out > 0)) {
        cost.billed_nano = tokens_nano(price, used);
    } else if (by_audio && used->audio_ms > 0) {
        cost.billed_nano = audio_nano(price, used);
        cost.guessed = by_tokens;
    } else {
        return unknown;
    }
    cost.rouble_nano =
        strcmp(list->currency, "RUB") ? scaled(cost.billed_nano, list->unit_micro, 1000000) : cost.billed_nano;
    return cost;
}
