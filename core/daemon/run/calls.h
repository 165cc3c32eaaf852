/*
 * The paid calls of one attempt, as their worker tells of them: rows for the store, priced. `prices` is the list of
 * the instance, NULL where it has none.
 */
#ifndef CM_DAEMON_CALLS_H
#define CM_DAEMON_CALLS_H

#include "core/daemon/engine/engine.h"
#include "core/daemon/store/row.h"

struct cm_call_record;
struct cm_price_list;
struct json_object;

/* Zeroed: none yet. */
struct cm_calls {
    struct cm_call_record *records;
    size_t count, room;
};

/* "paying": a new call, with the most that it can cost. Borrowed, as all that is given here. */
const struct cm_llm_call_row *cm_calls_begin(struct cm_calls *calls, const struct cm_start *start,
                                             const struct cm_price_list *prices, struct json_object *message);
/* "paid": how the last call that asked this ended; NULL: there was none. */
const struct cm_llm_call_row *cm_calls_end(struct cm_calls *calls, struct json_object *message);
/* "spent": what it cost; NULL: it was answered in an earlier attempt. */
const struct cm_llm_call_row *cm_calls_spent(struct cm_calls *calls, const struct cm_price_list *prices,
                                             struct json_object *message);
void cm_calls_free(struct cm_calls *calls);

/* The newest of these that asked this is whose answer lies on the disk. */
int cm_call_may_be_answered(const struct cm_llm_call_row *row, const char *request);
/* It is only an estimate, for its attempt died, and "spent" of a later one tells what it cost. */
void cm_call_settle(struct cm_llm_call_row *row, const struct cm_price_list *prices, struct json_object *message);

#endif
