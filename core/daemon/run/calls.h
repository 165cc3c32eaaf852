/*
 * The paid calls of one attempt, as their worker tells of them: rows for the store.
 */
#ifndef CM_DAEMON_CALLS_H
#define CM_DAEMON_CALLS_H

#include "core/daemon/engine/engine.h"
#include "core/daemon/store/row.h"

struct json_object;

/* Zeroed: none yet. */
struct cm_calls {
    struct cm_llm_call_row **rows;
    size_t count, room;
};

/* "paying": a new call, with the most that it can cost. Borrowed, as all that is given here. */
const struct cm_llm_call_row *cm_calls_begin(struct cm_calls *calls, const struct cm_start *start,
                                             struct json_object *message);
/* "paid": how the last call that asked this ended; NULL: there was none. */
const struct cm_llm_call_row *cm_calls_end(struct cm_calls *calls, struct json_object *message);
/* "spent": what it cost; NULL: it was answered in an earlier attempt, whose row has that already. */
const struct cm_llm_call_row *cm_calls_spent(struct cm_calls *calls, struct json_object *message);
void cm_calls_free(struct cm_calls *calls);

#endif
