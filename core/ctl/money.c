/*
 * Sums of money in words.
 */
#include "core/ctl/money.h"

#include <json-c/json.h>
#include <stdlib.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"

char *cm_money_text(double roubles)
{
    if (roubles == 0) {
        return cm_strdup(_("0 kop."));
    }
    return roubles < 1 ? cm_format(_("%.4g kop."), roubles * 100) : cm_format(_("%.2f roub."), roubles);
}

char *cm_money_line(struct json_object *sum)
{
    long long calls = cm_json_int(sum, "calls", 0), unpriced = cm_json_int(sum, "unpriced", 0);
    long long estimated = cm_json_int(sum, "estimated", 0), sure = calls - estimated - unpriced;
    struct cm_text line = {0};
    if (calls == 0) {
        return NULL;
    }
    char *known = cm_money_text(cm_json_real(sum, "roubles", 0));
    char *most = cm_money_text(cm_json_real(sum, "estimated_roubles", 0));
    cm_text_addf(&line, _("Paid calls: %lld"), calls);
    if (sure > 0 || (!estimated && !unpriced)) {
        cm_text_addf(&line, ", %s", known);
    }
    if (estimated) {
        cm_text_addf(&line, _("; %lld of unknown cost, at most %s"), estimated, most);
    }
    if (unpriced) {
        cm_text_addf(&line, _("; %lld without a price"), unpriced);
    }
    free(known);
    free(most);
    return cm_text_take(&line);
}
