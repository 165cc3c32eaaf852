/*
 * Fitting: a clip that is too large for its target is rendered anew, smaller, before it is posted. The attempt that
 * does so belongs to the publish task (op "fit") but asks a render instance; what it makes is the task's own clip from
 * then on.
 *
 * What is remembered of it is in the rows that are there anyway: the op of the task, its attempts, its artifacts.
 */
#include <clipmaker/plugin.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/daemon/engine/state.h"

#define REFUSED_PERCENT 90 /* of a size that the platform refused without telling its limit */
#define DEADLINE_MS (60 * 60 * 1000LL)

/* ---- Who does it ----------------------------------------------------------------------------- */

static int somebody_renders(const struct cm_engine *engine, const struct cm_task *task)
{
    size_t count = 0;
    for (size_t link = 0; link == 0 || link < count; link++) {
        const char *name = cm_chain_renderer(engine, task, link, &count);
        const struct cm_known_instance *known = *name ? cm_engine_instance(engine, name) : NULL;
        if (known && known->instance.stage == CM_STAGE_RENDER) {
            return 1;
        }
    }
    return 0;
}

void cm_fit_times(const struct cm_task *task, struct cm_start *start)
{
    const struct cm_step *step = cm_chain_render_step(task);
    start->deadline_ms = step ? step->deadline_ms : DEADLINE_MS;
    start->warn_ms = step ? step->warn_ms : DEADLINE_MS / 2;
    start->stall_ms = step ? step->stall_ms : 0;
}

/* ---- How large it is, and may be ------------------------------------------------------------- */

/* The last clip that was made to fit, by an attempt before `fence`; NULL: none. */
static const struct cm_artifact_row *own_clip(const struct cm_task *task, int64_t fence)
{
    const struct cm_artifact_row *found = NULL;
    for (size_t i = 0; i < task->artifact_count; i++) {
        const struct cm_artifact_row *row = task->artifacts[i];
        if (!strcmp(row->role, "clip") && row->fence < fence && (!found || row->fence > found->fence)) {
            found = row;
        }
    }
    return found;
}

const struct cm_artifact_row *cm_fit_own_clip(const struct cm_task *task)
{
    return own_clip(task, INT64_MAX);
}

/* The instance that would be asked to publish. */
static const struct cm_instance *publisher(const struct cm_engine *engine, const struct cm_task *task)
{
    const char *name = cm_publish_chain_name(task, (size_t)task->row->link);
    const struct cm_known_instance *known = cm_engine_instance(engine, name);
    return known ? &known->instance : NULL;
}

struct size {
    int64_t bytes; /* of the clip that would be posted now; 0: there is none */
    int64_t limit; /* 0: none is known */
    int too_long;  /* in time: no smaller one helps */
};

static int64_t length_ms_of(const struct cm_artifact_row *clip)
{
    struct json_object *facts = cm_json_parse(clip->facts, strlen(clip->facts), NULL);
    int64_t length_ms = facts ? cm_json_int(facts, "duration_ms", 0) : 0;
    json_object_put(facts);
    return length_ms;
}

static struct size measure(const struct cm_engine *engine, const struct cm_task *task)
{
    const struct cm_instance *instance = publisher(engine, task);
    struct size size = {.limit = instance ? instance->max_clip_bytes : 0};
    if (!size.limit && !task->refusals && !(instance && instance->max_clip_ms)) {
        return size; /* anything goes there: what there is need not be looked for */
    }
    struct cm_artifact_row *given = cm_task_given_clip(task);
    const struct cm_artifact_row *own = own_clip(task, INT64_MAX), *refused = own_clip(task, task->refused_fence);
    size.bytes = own ? own->bytes : given ? given->bytes : 0;
    if (task->refusals && (refused || given)) {
        int64_t learned = (refused ? refused->bytes : given->bytes) * REFUSED_PERCENT / 100;
        size.limit = !size.limit || learned < size.limit ? learned : size.limit;
    }
    size.too_long = given && instance && instance->max_clip_ms > 0 && length_ms_of(given) > instance->max_clip_ms;
    if (given) {
        cm_row_free(CM_TABLE_ARTIFACT, given);
    }
    return size;
}

int64_t cm_fit_limit(const struct cm_engine *engine, const struct cm_task *task)
{
    return measure(engine, task).limit;
}

/* ---- Turning to it and back ------------------------------------------------------------------ */

static void turn_to(struct cm_turn *turn, struct cm_task *task, const char *op)
{
    cm_row_text(&task->row->op, op);
    task->row->tries = 0;
    task->link_crashes = 0;
    task->fit_link = 0;
    cm_turn_touch(turn, task);
}

int cm_fit_is_needed(const struct cm_engine *engine, const struct cm_task *task)
{
    struct size size = measure(engine, task);
    return size.limit > 0 && size.bytes > size.limit && !size.too_long && somebody_renders(engine, task);
}

void cm_fit_prepare(struct cm_turn *turn, struct cm_task *task)
{
    int fit = cm_fit_is_needed(turn->engine, task);
    if (fit != cm_task_is_fitting(task)) {
        turn_to(turn, task, fit ? CM_OP_FIT : cm_task_plain_op(task));
    }
}

int cm_fit_may_help(const struct cm_engine *engine, const struct cm_task *task)
{
    struct cm_task asked = *task;
    asked.refusals = 1; /* as it would be */
    asked.refused_fence = task->row->fence;
    struct size size = measure(engine, &asked);
    return !task->refusals && !cm_task_is_fitting(task) && size.bytes > 0 && !size.too_long &&
           somebody_renders(engine, task);
}

void cm_fit_refused(struct cm_task *task, int64_t fence)
{
    task->refused_fence = task->refusals++ ? task->refused_fence : fence;
}

struct cm_done *cm_fit_judge(const struct cm_engine *engine, const struct cm_task *task, const struct cm_done *done)
{
    int64_t limit = cm_fit_limit(engine, task), bytes = 0;
    for (size_t i = 0; i < done->artifact_count; i++) {
        bytes = strcmp(done->artifacts[i].role, "clip") ? bytes : done->artifacts[i].bytes;
    }
    if (done->outcome != CM_OK || (bytes > 0 && (!limit || bytes <= limit))) {
        return NULL;
    }
    struct cm_done *wrong = cm_done_new(CM_CANNOT);
    wrong->reason = bytes ? CM_REASON_TOO_LARGE : CM_REASON_INTERNAL;
    wrong->scope = CM_SCOPE_ITEM;
    char *words = bytes ? cm_format(_("the clip should have got at most %lld bytes and has %lld"), (long long)limit,
                                    (long long)bytes)
                        : cm_strdup(_("no smaller clip was made"));
    cm_done_text(&wrong->words, words);
    free(words);
    return wrong;
}

int cm_fit_give_up(struct cm_turn *turn, struct cm_task *task)
{
    int hold = 0;
    cm_row_text(&task->row->op, cm_task_plain_op(task));
    int64_t link = cm_task_choose_link(turn->engine, turn->now, task, task->row->link + 1, &hold, NULL, NULL);
    if (link < 0) {
        return -1;
    }
    turn_to(turn, task, cm_task_plain_op(task));
    task->row->link = link;
    return 0;
}
