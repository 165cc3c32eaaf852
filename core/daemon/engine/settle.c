/*
 * What attempts say and how they end: sending, saving, and the one way back, attempt_done.
 */
#include <clipmaker/plugin.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/text.h"
#include "core/daemon/engine/policy.h"
#include "core/daemon/engine/state.h"

/* The running task of that fence, or NULL: then whoever speaks is late. */
static struct cm_task *running_task(const struct cm_engine *engine, const char *job_id, const char *step,
                                    const char *item, int64_t fence)
{
    struct cm_job *job = cm_engine_job(engine, job_id);
    struct cm_task *task = job ? cm_job_task(job, step, item) : NULL;
    return task && task->row->state == CM_TASK_RUNNING && task->row->fence == fence ? task : NULL;
}

/* ---- Requests of a running attempt ----------------------------------------------------------- */

static void refuse(struct cm_engine *engine, const char *job, const char *step, const char *item, int64_t fence,
                   uint64_t number)
{
    struct cm_action *action = cm_action_new(CM_ACTION_ANSWER, job);
    cm_row_text(&action->step, step);
    cm_row_text(&action->item, item);
    action->fence = fence;
    action->number = number;
    cm_engine_push_action(engine, action);
}

static void answer(struct cm_turn *turn, const struct cm_task *task, uint64_t number)
{
    struct cm_action *action = cm_turn_action(turn, CM_ACTION_ANSWER, task);
    action->number = number;
    action->ok = 1;
}

void cm_engine_sending(struct cm_engine *engine, struct cm_now now, const char *job, const char *step, const char *item,
                       int64_t fence, uint64_t number)
{
    struct cm_task *task = running_task(engine, job, step, item, fence);
    struct cm_turn turn;
    if (!task || task->awaiting_gone || !task->effect || cm_task_is_fitting(task) ||
        (task->job->row->cancel && !cm_task_is_ambiguous(task))) {
        refuse(engine, job, step, item, fence, number);
        return;
    }
    cm_turn_begin(&turn, engine, task->job, now);
    cm_turn_guard_task(&turn, task);
    if (task->effect->state != CM_EFFECT_SENDING) {
        task->effect->state = CM_EFFECT_SENDING;
        task->effect->fence = fence; /* a resend keeps the first one's: its doubt is older */
    }
    task->effect->sent_ms = now.utc_ms;
    cm_change_put(turn.set, CM_TABLE_EFFECT, task->effect);
    answer(&turn, task, number);
    cm_turn_end(&turn);
}

void cm_engine_save(struct cm_engine *engine, struct cm_now now, const char *job, const char *step, const char *item,
                    int64_t fence, const char *name, const char *value, uint64_t number)
{
    struct cm_task *task = running_task(engine, job, step, item, fence);
    struct cm_turn turn;
    if (!task || task->awaiting_gone) {
        refuse(engine, job, step, item, fence, number);
        return;
    }
    struct cm_note_row *note = cm_row_new(CM_TABLE_NOTE);
    char *owner = cm_format("task %s/%s", job, task->name);
    cm_row_text(&note->owner, owner);
    cm_row_text(&note->name, name);
    cm_row_text(&note->value, value);
    cm_turn_begin(&turn, engine, task->job, now);
    cm_turn_guard_task(&turn, task);
    cm_change_put(turn.set, CM_TABLE_NOTE, note);
    answer(&turn, task, number);
    cm_turn_end(&turn);
    cm_row_free(CM_TABLE_NOTE, note);
    free(owner);
}

void cm_engine_spend(struct cm_engine *engine, struct cm_now now, const struct cm_llm_call_row *call, uint64_t number)
{
    struct cm_task *task = running_task(engine, call->job, call->step, call->item, call->fence);
    struct cm_turn turn;
    if (!task || task->awaiting_gone) {
        if (number) {
            refuse(engine, call->job, call->step, call->item, call->fence, number);
        }
        return;
    }
    cm_turn_begin(&turn, engine, task->job, now);
    cm_turn_guard_task(&turn, task);
    cm_change_put(turn.set, CM_TABLE_LLM_CALL, call);
    if (number) {
        answer(&turn, task, number);
    }
    cm_turn_end(&turn);
}

/* ---- The end of an attempt ------------------------------------------------------------------- */

static struct cm_decision decide(struct cm_engine *engine, struct cm_now now, struct cm_task *task,
                                 const struct cm_done *done)
{
    const struct cm_step *step = cm_task_step(task);
    const struct cm_known_instance *known = cm_engine_instance(engine, task->attempt->instance);
    int hold = 0, ambiguous = cm_task_is_ambiguous(task),
        publish = cm_task_is_publish(task) && !cm_task_is_fitting(task);
    struct cm_policy_case about = {
        .done = done,
        .publish = publish,
        .ambiguous = ambiguous,
        .settling = ambiguous && task->effect->fence != task->row->fence,
        .find = publish && !strcmp(task->row->op, "find"),
        .settle = known ? known->instance.settle : 0,
        .can_find = known ? known->instance.can_find : 0,
        .settle_ms = known ? known->instance.settle_ms : 0,
        .sent_ms = task->effect && task->effect->sent_ms ? task->effect->sent_ms : now.utc_ms,
        .absent = task->effect ? task->effect->absent : 0,
        .tries = task->row->tries,
        .tries_max = step->tries,
        .crashes = task->row->crashes,
        .link_crashes = task->link_crashes,
        .losses = task->losses,
        .waits = task->waits,
        .cancelled = task->job->row->cancel != 0,
        .now_ms = now.utc_ms,
        .backoff_base_ms = engine->backoff_base_ms,
        .backoff_max_ms = engine->backoff_max_ms,
    };
    about.has_next = !ambiguous && step->stage &&
                     cm_task_choose_link(engine, now, task, *cm_task_link(task) + 1, &hold, NULL, NULL) >= 0;
    about.may_fit = publish && done->reason == CM_REASON_TOO_LARGE && cm_fit_may_help(engine, task);
    uint64_t random = cm_engine_random(engine);
    struct cm_decision decision = cm_policy_decide(&about, random);
    if (decision.move == CM_POLICY_FAIL && hold == CM_HELD_POLICY) {
        about.has_next = 1; /* there is one that may not be asked: rather than failing, it is held there */
        decision = cm_policy_decide(&about, random);
    }
    return decision;
}

static void record_attempt(struct cm_turn *turn, struct cm_task *task, const struct cm_done *done)
{
    struct cm_attempt_row *attempt = task->attempt;
    attempt->ended_ms = turn->now.utc_ms;
    attempt->delay_ms = done->delay_ms;
    cm_row_text(&attempt->verdict, cm_outcome_name(done->outcome));
    cm_row_text(&attempt->reason, cm_reason_name(done->reason));
    cm_row_text(&attempt->scope, cm_scope_name(done->scope));
    cm_row_text(&attempt->words, done->words);
    cm_change_put(turn->set, CM_TABLE_ATTEMPT, attempt);
}

static void accept_artifacts(struct cm_turn *turn, struct cm_task *task, const struct cm_done *done)
{
    for (size_t i = 0; i < done->artifact_count; i++) {
        const struct cm_done_artifact *one = &done->artifacts[i];
        char *path = *one->file == '/' ? cm_strdup(one->file) : cm_format("%s/%s", task->attempt->folder, one->file);
        struct cm_artifact_row row = {
            .job = task->row->job,
            .step = task->row->step,
            .item = task->row->item,
            .fence = task->row->fence,
            .role = one->role,
            .key = one->key,
            .path = path,
            .bytes = one->bytes,
            .sha256 = one->sha256,
            .facts = one->facts,
        };
        cm_change_put(turn->set, CM_TABLE_ARTIFACT, &row);
        cm_task_add_artifact(task, &row);
        free(path);
    }
}

/* The keys that it made are kept even where no task has them yet. */
static void accept_children(struct cm_turn *turn, struct cm_task *task, const struct cm_done *done)
{
    if (!*cm_task_step(task)->makes) {
        return;
    }
    struct cm_text list = {0};
    char *owner = cm_format("task %s/%s", task->row->job, task->name);
    cm_task_set_children(task, done->children, done->child_count);
    for (size_t i = 0; i < done->child_count; i++) {
        cm_text_addf(&list, "%s%s", i ? " " : "", done->children[i]);
    }
    char *value = cm_text_take(&list);
    struct cm_note_row note = {.owner = owner, .name = (char *)CM_NOTE_CHILDREN, .value = value};
    cm_change_put(turn->set, CM_TABLE_NOTE, &note);
    free(owner);
    free(value);
}

static void drop_folder(struct cm_turn *turn, const struct cm_task *task)
{
    cm_row_text(&cm_turn_action(turn, CM_ACTION_DROP_FOLDER, task)->text, task->attempt->folder);
}

static int needs_folder(const struct cm_done *done)
{
    for (size_t i = 0; i < done->artifact_count; i++) {
        if (*done->artifacts[i].file != '/') {
            return 1;
        }
    }
    return 0;
}

static void record_effect(struct cm_turn *turn, struct cm_task *task, const struct cm_decision *decision,
                          const struct cm_done *done)
{
    struct cm_effect_row *effect = task->effect;
    if (!effect || cm_task_is_fitting(task)) {
        return;
    }
    effect->absent += decision->counts_absent;
    if (strcmp(task->attempt->op, "find")) {
        effect->sent_ms = turn->now.utc_ms; /* until its end it may have been sending */
    }
    switch (decision->effect) {
    case CM_POLICY_EFFECT_KEEP:
        break;
    case CM_POLICY_EFFECT_CONFIRM:
        effect->state = CM_EFFECT_CONFIRMED;
        cm_row_text(&effect->post_id, *done->post_id || *done->url ? done->post_id : effect->key);
        cm_row_text(&effect->url, done->url);
        break;
    case CM_POLICY_EFFECT_ABSENT:
        effect->state = CM_EFFECT_ABSENT;
        break;
    case CM_POLICY_EFFECT_SENDING:
        effect->state = CM_EFFECT_SENDING;
        break;
    case CM_POLICY_EFFECT_UNCONFIRMED:
        effect->state = CM_EFFECT_UNCONFIRMED;
        break;
    }
    cm_change_put(turn->set, CM_TABLE_EFFECT, effect);
}

static void record_burns(struct cm_turn *turn, struct cm_task *task, const struct cm_decision *decision, int outcome)
{
    int crash_like = outcome == CM_OUTCOME_CRASHED || outcome == CM_OUTCOME_TIMEOUT || outcome == CM_OUTCOME_LOST;
    task->row->tries += decision->burns_try;
    task->row->crashes += decision->burns_crash;
    task->link_crashes += crash_like && decision->burns_try;
    task->losses += outcome == CM_OUTCOME_LOST;
    task->waits = decision->burns_wait ? task->waits + 1 : 0;
    if (!cm_task_is_fitting(task)) {
        cm_row_text(&task->row->op, decision->find ? "find" : cm_task_plain_op(task));
    }
    cm_turn_touch(turn, task);
}

static void fail_task(struct cm_turn *turn, struct cm_task *task, const struct cm_done *done)
{
    const char *reason = cm_reason_name(done->reason);
    char *words = *done->words ? cm_strdup(done->words)
                               : cm_format(_("step \"%s\": the last attempt ended in \"%s\""), task->row->step,
                                           cm_outcome_name(done->outcome));
    cm_task_finish(turn, task, CM_TASK_FAILED, *reason ? reason : cm_outcome_name(done->outcome), words);
    free(words);
}

static void say_why(struct cm_task *task, const struct cm_done *done)
{
    const char *reason = cm_reason_name(done->reason);
    cm_row_text(&task->row->reason, *reason ? reason : cm_outcome_name(done->outcome));
    cm_row_text(&task->row->words, done->words);
}

static void hold_task(struct cm_turn *turn, struct cm_task *task, const struct cm_decision *decision,
                      const struct cm_done *done)
{
    const char *words = done->words;
    if (decision->held_by == CM_HELD_UNCONFIRMED) {
        words = _("it was sent, and nobody can tell whether it is out: look on the platform, then say so");
    } else if (decision->held_by == CM_HELD_PLUGIN && done->outcome == CM_OUTCOME_CRASHED) {
        words = _("it crashed its plugin three times: look at the input, then retry");
    }
    cm_task_hold(turn, task, decision->held_by, cm_reason_name(done->reason), words);
}

static void apply_move(struct cm_turn *turn, struct cm_task *task, const struct cm_decision *decision,
                       const struct cm_done *done)
{
    switch (decision->move) {
    case CM_POLICY_SUCCEED:
        if (cm_task_is_fitting(task)) {
            accept_artifacts(turn, task, done);
            cm_task_ready(turn, task); /* and now it is published */
            break;
        }
        accept_artifacts(turn, task, done);
        accept_children(turn, task, done);
        cm_task_finish(turn, task, CM_TASK_SUCCEEDED, "", "");
        break;
    case CM_POLICY_AGAIN:
        say_why(task, done);
        cm_task_wait_until(turn, task, CM_TASK_BACKOFF, decision->due_ms);
        break;
    case CM_POLICY_AT_ONCE:
        cm_task_ready(turn, task);
        break;
    case CM_POLICY_NEXT:
        say_why(task, done);
        ++*cm_task_link(task);
        task->row->tries = 0;
        task->link_crashes = 0;
        cm_task_ready(turn, task);
        break;
    case CM_POLICY_HOLD:
        hold_task(turn, task, decision, done);
        break;
    case CM_POLICY_FIT:
        say_why(task, done);
        cm_fit_refused(task, task->row->fence);
        cm_task_ready(turn, task);
        break;
    case CM_POLICY_FAIL:
        if (cm_task_is_fitting(task) && cm_fit_give_up(turn, task) == 0) {
            say_why(task, done);
            cm_task_ready(turn, task);
        } else {
            fail_task(turn, task, done);
        }
        break;
    case CM_POLICY_CANCEL:
        cm_task_finish(turn, task, CM_TASK_CANCELLED, "", "");
        break;
    }
}

static enum cm_run judge_run(const struct cm_decision *decision, const struct cm_done *done)
{
    if (decision->throttle) {
        return CM_RUN_NOSTART;
    }
    if (decision->instance_failed) {
        return CM_RUN_FAILED;
    }
    return done->outcome > CM_UNSURE ? CM_RUN_NEUTRAL : CM_RUN_GOOD;
}

static void end_attempt(struct cm_engine *engine, struct cm_now now, struct cm_task *task, const struct cm_done *said)
{
    struct cm_turn turn;
    struct cm_done *wrong = cm_task_is_fitting(task) ? cm_fit_judge(engine, task, said) : NULL;
    const struct cm_done *done = wrong ? wrong : said;
    struct cm_decision decision = decide(engine, now, task, done);
    cm_turn_begin(&turn, engine, task->job, now);
    cm_turn_guard_task(&turn, task);
    struct cm_run_end end = {judge_run(&decision, done), decision.instance_wait_ms, decision.whole_account};
    cm_sched_ended(engine->sched, &task->entry, now.boot_ms, &end);
    task->awaiting_gone = 0;
    record_attempt(&turn, task, done);
    if (decision.move != CM_POLICY_SUCCEED || !needs_folder(done)) {
        drop_folder(&turn, task);
    }
    record_effect(&turn, task, &decision, done);
    record_burns(&turn, task, &decision, done->outcome);
    apply_move(&turn, task, &decision, done);
    cm_row_free(CM_TABLE_ATTEMPT, task->attempt);
    task->attempt = NULL;
    cm_turn_end(&turn);
    cm_done_free(wrong);
}

void cm_engine_attempt_done(struct cm_engine *engine, struct cm_now now, const char *job, const char *step,
                            const char *item, int64_t fence, const struct cm_done *done)
{
    struct cm_task *task = running_task(engine, job, step, item, fence);
    if (task && !task->awaiting_gone) {
        end_attempt(engine, now, task, done);
    }
}

void cm_engine_gone(struct cm_engine *engine, struct cm_now now, const char *job, const char *step, const char *item,
                    int64_t fence)
{
    struct cm_task *task = running_task(engine, job, step, item, fence);
    if (!task || !task->awaiting_gone) {
        return;
    }
    struct cm_done *done = cm_done_new(CM_OUTCOME_LOST);
    cm_done_text(&done->words, _("the daemon stopped while it was at work"));
    end_attempt(engine, now, task, done);
    cm_done_free(done);
}
