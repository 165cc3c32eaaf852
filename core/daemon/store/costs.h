/*
 * Sums over the calls that cost money: what people ask about an invoice.
 */
#ifndef CM_DAEMON_COSTS_H
#define CM_DAEMON_COSTS_H

#include "core/daemon/store/row.h"

struct cm_costs;
struct json_object;

enum cm_costs_by {
    CM_COSTS_BY_JOB = 1,
    CM_COSTS_BY_INSTANCE,
    CM_COSTS_BY_MODEL,
    CM_COSTS_BY_DAY, /* of local time */
    CM_COSTS_BY_OWNER
};

/* By its name ("job", "instance" …); 0 when there is none. */
enum cm_costs_by cm_costs_by_name(const char *name);
/* "job, instance, …", for people. */
#define CM_COSTS_BY_NAMES "job, instance, model, day, owner"

/* Calls sent before since_ms do not count. */
struct cm_costs *cm_costs_new(enum cm_costs_by by, int64_t since_ms);
void cm_costs_add(struct cm_costs *costs, const struct cm_llm_call_row *call);
/*
 * {"by": …, "rows": [sum with "key" …, in the order of their keys], "total": sum, "unpriced_models": ["INSTANCE:
 * MODEL"]} A sum: "calls", of which "answered", "unknown" (sent, and no answer came, or not yet), "failed" (refused or
 * never sent) and "unpriced" (what they cost is not known); "tokens_in", "tokens_out", "audio_s"; "roubles", what is
 * known; "estimated", how many of the others are known only at most, and "estimated_roubles", how much that is at most,
 * not in "roubles"; "billed": {"USD": …}, what is known as the invoice has it. New reference.
 */
struct json_object *cm_costs_json(const struct cm_costs *costs);
void cm_costs_free(struct cm_costs *costs);

#endif
