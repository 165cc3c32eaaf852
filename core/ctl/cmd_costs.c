/*
 * clipmaker costs: what the calls that cost money came to.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/ctl/client.h"
#include "core/ctl/ctl.h"
#include "core/ctl/grid.h"
#include "core/ctl/money.h"
#include "core/ctl/offline.h"

/* Midnight, local time, at the beginning of "2026-11-20"; -1 when it is no day. */
static int64_t day_ms(const char *text)
{
    struct tm parts = {.tm_isdst = -1};
    const char *end = strptime(text, "%Y-%m-%d", &parts);
    time_t seconds = end && !*end ? mktime(&parts) : -1;
    return seconds < 0 ? -1 : (int64_t)seconds * 1000;
}

static struct json_object *ask(const struct cm_where *where, const char *job, const char *by, int64_t since_ms,
                               int *status)
{
    char *state = cm_offline_state(where);
    if (state) {
        struct json_object *answer = cm_offline_costs(state, job, by, since_ms, status);
        free(state);
        return answer;
    }
    struct json_object *request = cm_client_request("costs");
    json_object_object_add(request, "job", json_object_new_string(job));
    json_object_object_add(request, "by", json_object_new_string(by));
    json_object_object_add(request, "since_ms", json_object_new_int64(since_ms));
    return cm_client_once(where, request, status);
}

/* ---- For people ---------------------------------------------------------------------------- */

static char *count_text(struct json_object *sum, const char *field)
{
    long long count = cm_json_int(sum, field, 0);
    return count ? cm_format("%lld", count) : cm_strdup("-");
}

static char *audio_text(struct json_object *sum)
{
    long long seconds = (long long)(cm_json_real(sum, "audio_s", 0) + 0.5);
    return seconds ? cm_format("%lld:%02lld:%02lld", seconds / 3600, seconds / 60 % 60, seconds % 60) : cm_strdup("-");
}

/* "3, at most 0.2 kop." or "-". */
static char *estimated_text(struct json_object *sum)
{
    long long count = cm_json_int(sum, "estimated", 0);
    char *most = cm_money_text(cm_json_real(sum, "estimated_roubles", 0));
    char *text = count ? cm_format(_("%lld: at most %s"), count, most) : cm_strdup("-");
    free(most);
    return text;
}

static void add_row(struct cm_grid *grid, const char *key, struct json_object *sum)
{
    char *cells[] = {count_text(sum, "calls"),
                     count_text(sum, "tokens_in"),
                     count_text(sum, "tokens_out"),
                     audio_text(sum),
                     cm_money_text(cm_json_real(sum, "roubles", 0)),
                     estimated_text(sum),
                     count_text(sum, "unpriced")};
    cm_grid_add(
        grid, (const char *[]){*key ? key : "-", cells[0], cells[1], cells[2], cells[3], cells[4], cells[5], cells[6]});
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
        free(cells[i]);
    }
}

static const char *heading_of(const char *by)
{
    static const struct {
        const char *by, *heading;
    } headings[] = {{"job", N_("JOB")},
                    {"instance", N_("INSTANCE")},
                    {"model", N_("MODEL")},
                    {"day", N_("DAY")},
                    {"owner", N_("OWNER")}};
    for (size_t i = 0; i < sizeof headings / sizeof *headings; i++) {
        if (!strcmp(headings[i].by, by)) {
            return _(headings[i].heading);
        }
    }
    return "";
}

/* What the operator can do about it: the models that no price list has. */
static void print_unpriced(struct json_object *models)
{
    size_t count = models ? json_object_array_length(models) : 0;
    if (count) {
        printf("%s\n", _("\nWithout a price, so that what they cost is not known (clipmaker.conf(5), PRICES):"));
    }
    for (size_t i = 0; i < count; i++) {
        char *clean = cm_ctl_clean(json_object_get_string(json_object_array_get_idx(models, i)));
        printf("  %s\n", clean);
        free(clean);
    }
}

static void print_costs(struct json_object *costs, const char *by)
{
    struct json_object *rows = cm_json_array(costs, "rows"), *total = cm_json_object(costs, "total");
    struct cm_grid grid = {.columns = 8};
    if (!rows || json_object_array_length(rows) == 0) {
        puts(_("no call that costs money was made"));
        return;
    }
    cm_grid_add(&grid, (const char *[]){heading_of(by), _("CALLS"), _("TOKENS IN"), _("TOKENS OUT"), _("AUDIO"),
                                        _("COST"), _("UNKNOWN COST"), _("NO PRICE")});
    for (size_t i = 0; i < json_object_array_length(rows); i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        add_row(&grid, cm_json_text(row, "key", ""), row);
    }
    if (json_object_array_length(rows) > 1) {
        add_row(&grid, _("all"), total);
    }
    cm_grid_print(&grid);
    print_unpriced(cm_json_array(costs, "unpriced_models"));
}

/* ---- The command --------------------------------------------------------------------------- */

int cm_ctl_costs(const struct cm_command *self, int argc, char **argv)
{
    struct cm_where where = {0};
    const char *since = NULL, *by = "job";
    int json = 0, first = 0, status = 0;
    const struct cm_flag flags[] = {
        {'j', "json", NULL, N_("print JSON"), &json, NULL, NULL},
        {0, "since", "DATE", N_("only calls since this day, as 2026-11-20"), NULL, &since, NULL},
        {0, "by", "WHAT", N_("job, instance, model, day or owner; without it job"), NULL, &by, NULL},
        CM_WHERE_FLAGS(where),
        CM_FLAG_END,
    };
    if (cm_ctl_parse(self, flags, argc, argv, 0, 1, &first, &status) == CM_PARSED_STOP) {
        return status;
    }
    int64_t since_ms = since ? day_ms(since) : 0;
    if (since_ms < 0) {
        return cm_ctl_fail(EX_USAGE, _("--since %s: must be a day, as 2026-11-20"), since);
    }
    struct json_object *costs = ask(&where, first < argc ? argv[first] : "", by, since_ms, &status);
    if (!costs) {
        return status;
    }
    json_object_object_del(costs, "ok");
    if (json) {
        status = cm_ctl_print_json(costs);
    } else {
        print_costs(costs, by);
        status = cm_ctl_finish(0);
    }
    json_object_put(costs);
    return status;
}
