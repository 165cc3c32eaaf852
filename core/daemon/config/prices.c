/*
 * Price lists, read from their files.
 */
#include "core/daemon/config/prices.h"

#include <libconfig.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/file.h"
#include "core/common/text.h"
#include "core/daemon/config/complaints.h"
#include "core/daemon/config/scan.h"

#define LIST_MAX_BYTES (1 << 20)
#define PRICE_MAX 1e6 /* of the currency's units: anything above is a slip of the pen */
#define MICRO 1e6
#define SECOND_MS 1000
#define MINUTE_MS 60000

/* ---- Reading --------------------------------------------------------------------------------- */

struct reader {
    const char *path;
    struct cm_complaints *complaints;
    double factor; /* what `add_vat` makes of a price */
    int broken;
};

static void complain(struct reader *reader, const config_setting_t *setting, char *words)
{
    cm_complain(reader->complaints, reader->path, setting ? (int)config_setting_source_line(setting) : 0, "%s", words);
    reader->broken = 1;
    free(words);
}

/* Every key of a group is one of these; `others` are for the reader of the file only. */
static void check_keys(struct reader *reader, const config_setting_t *group, const char *const *known, size_t count)
{
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *one = config_setting_get_elem(group, (unsigned)i);
        const char *name = config_setting_name(one);
        size_t at = 0;
        while (at < count && strcmp(known[at], name) != 0) {
            at++;
        }
        if (at == count) {
            char *hint = cm_did_you_mean(name, known, count);
            complain(reader, one, cm_format("unknown key %s of a price list%s", name, hint));
            free(hint);
        }
    }
}

/* A number from 0 to `most`, or -1 where there is none. */
static double number_of(struct reader *reader, const config_setting_t *group, const char *name, double most)
{
    const config_setting_t *one = config_setting_get_member(group, name);
    if (!one) {
        return -1;
    }
    int type = config_setting_type(one);
    double number = type == CONFIG_TYPE_FLOAT   ? config_setting_get_float(one)
                    : type == CONFIG_TYPE_INT   ? config_setting_get_int(one)
                    : type == CONFIG_TYPE_INT64 ? (double)config_setting_get_int64(one)
                                                : -1;
    if (!(number >= 0 && number <= most)) {
        complain(reader, one, cm_format("%s must be a number from 0 to %.0f, without quotes", name, most));
        return -1;
    }
    return number;
}

static int64_t micro_of(struct reader *reader, const config_setting_t *group, const char *name)
{
    double price = number_of(reader, group, name, PRICE_MAX);
    return price < 0 ? CM_PRICE_NONE : llround(price * reader->factor * MICRO);
}

static const char *text_of(const config_setting_t *group, const char *name)
{
    const char *text = NULL;
    return config_setting_lookup_string(group, name, &text) ? text : "";
}

static void take_audio(struct reader *reader, const config_setting_t *group, struct cm_price *price)
{
    int64_t second = micro_of(reader, group, "second"), minute = micro_of(reader, group, "minute");
    if (second != CM_PRICE_NONE && minute != CM_PRICE_NONE) {
        complain(reader, group, cm_format("%s: its audio is priced by the second or by the minute", price->model));
    }
    price->audio_micro = second != CM_PRICE_NONE ? second : minute;
    price->audio_unit_ms = second != CM_PRICE_NONE ? SECOND_MS : MINUTE_MS;
    double step = number_of(reader, group, "step", 3600);
    price->audio_step_ms = step > 0 ? llround(step * SECOND_MS) : 0;
}

static void take_tokens(struct reader *reader, const config_setting_t *group, struct cm_price *price)
{
    price->in_micro = micro_of(reader, group, "in");
    price->out_micro = micro_of(reader, group, "out");
    price->over_in_micro = micro_of(reader, group, "over_in");
    price->over_out_micro = micro_of(reader, group, "over_out");
    double over = number_of(reader, group, "over", 1e9);
    price->over_tokens = over > 0 ? llround(over) : 0;
    if ((price->in_micro == CM_PRICE_NONE) != (price->out_micro == CM_PRICE_NONE)) {
        complain(reader, group, cm_format("%s: give both in and out, the prices of a million tokens", price->model));
    }
    int has_over = price->over_in_micro != CM_PRICE_NONE && price->over_out_micro != CM_PRICE_NONE;
    if (price->over_tokens && !has_over) {
        complain(reader, group, cm_format("%s: over needs over_in and over_out", price->model));
    }
}

static void take_price(struct reader *reader, struct cm_price_list *list, const config_setting_t *group)
{
    static const char *const keys[] = {"model",  "in",   "out",   "over",   "over_in",    "over_out", "second",
                                       "minute", "step", "as_of", "source", "confidence", "note"};
    if (!config_setting_is_group(group) || !*text_of(group, "model")) {
        complain(reader, group, cm_strdup("a price is { model = \"…\"; in = …; out = …; as_of = \"…\"; }"));
        return;
    }
    check_keys(reader, group, keys, sizeof keys / sizeof *keys);
    list->prices = cm_grow(list->prices, &list->room, list->count, sizeof *list->prices);
    struct cm_price *price = &list->prices[list->count++];
    *price = (struct cm_price){.model = cm_strdup(text_of(group, "model"))};
    take_tokens(reader, group, price);
    take_audio(reader, group, price);
    if (price->in_micro == CM_PRICE_NONE && price->audio_micro == CM_PRICE_NONE) {
        complain(reader, group,
                 cm_format("%s has no price: give in and out (for a million tokens), second or minute (of audio), or "
                           "leave it out: its cost is then not known, and said to be so",
                           price->model));
    }
    if (!*text_of(group, "as_of")) {
        complain(reader, group, cm_format("%s: say as_of, since when its price is known", price->model));
    }
}

static void take_list(struct reader *reader, struct cm_price_list *list, const config_setting_t *root)
{
    static const char *const keys[] = {"currency", "add_vat", "prices"};
    const char *currency = text_of(root, "currency");
    check_keys(reader, root, keys, sizeof keys / sizeof *keys);
    if (strcmp(currency, "RUB") != 0 && strcmp(currency, "USD") != 0) {
        complain(reader, config_setting_get_member(root, "currency"),
                 cm_strdup("currency must be \"RUB\" or \"USD\": what the invoice is written in"));
        return;
    }
    memcpy(list->currency, currency, 4);
    double vat = number_of(reader, root, "add_vat", 100);
    reader->factor = vat > 0 ? 1 + vat / 100 : 1;
    const config_setting_t *prices = config_setting_get_member(root, "prices");
    if (!prices || !config_setting_is_list(prices)) {
        complain(reader, prices, cm_strdup("prices must be a list: ( { model = \"…\"; … }, … )"));
        return;
    }
    for (int i = 0; i < config_setting_length(prices); i++) {
        take_price(reader, list, config_setting_get_elem(prices, (unsigned)i));
    }
}

struct cm_price_list *cm_prices_read(const char *path, const char *name, struct cm_complaints *complaints)
{
    struct reader reader = {path, complaints, 1, 0};
    size_t bytes = 0;
    char *text = cm_file_read(path, LIST_MAX_BYTES, &bytes);
    if (!text) {
        complain(&reader, NULL, cm_strdup("cannot be read"));
        return NULL;
    }
    struct cm_price_list *list = cm_alloc(sizeof *list);
    list->name = cm_strdup(name);
    config_t parsed;
    config_init(&parsed);
    if (cm_conf_scan(text, bytes, path, complaints) > 0) {
        reader.broken = 1;
    } else if (config_read_string(&parsed, text) != CONFIG_TRUE) {
        cm_complain(complaints, path, config_error_line(&parsed), "%s", config_error_text(&parsed));
        reader.broken = 1;
    } else {
        take_list(&reader, list, config_root_setting(&parsed));
    }
    config_destroy(&parsed);
    free(text);
    if (reader.broken) {
        cm_prices_free(list);
        return NULL;
    }
    return list;
}

void cm_prices_free(struct cm_price_list *list)
{
    for (size_t i = 0; list && i < list->count; i++) {
        free(list->prices[i].model);
    }
    if (list) {
        free(list->prices);
        free(list->name);
    }
    free(list);
}
