/*
 * Policy: the verdict table, backoff, and the settling of ambiguous posts.
 */
#include "core/daemon/engine/policy.h"

#include <clipmaker/plugin.h>

#include "core/daemon/store/row.h"

#define ABSENT_NEEDED 2 /* how often find must say "absent" after the settle time */

/* What a row of the table says. "Left" means that tries are left on this link. */
enum act {
    ACT_HERE = 1,     /* again here, after a delay */
    ACT_ONCE_MORE,    /* again here if this link failed like this for the first time, else next */
    ACT_AT_ONCE,      /* again here, now, and nothing is burnt */
    ACT_NEXT_OR_FAIL, /* the next link, else failed */
    ACT_NEXT_OR_HERE, /* the next link, else again here */
    ACT_HOLD,         /* the next link if the whole instance is meant, else held */
    ACT_FAIL
};

struct row {
    int outcome;
    enum act left, none_left;
};

static const struct row table[] = {
    {CM_AGAIN, ACT_HERE, ACT_NEXT_OR_FAIL},
    {CM_CANNOT, ACT_NEXT_OR_FAIL, ACT_NEXT_OR_FAIL},
    {CM_HOLD, ACT_HOLD, ACT_HOLD},
    {CM_REJECT, ACT_FAIL, ACT_FAIL},
    {CM_UNSURE, ACT_HERE, ACT_NEXT_OR_FAIL}, /* not from a publish: it broke the contract */
    {CM_OUTCOME_CRASHED, ACT_ONCE_MORE, ACT_NEXT_OR_FAIL},
    {CM_OUTCOME_TIMEOUT, ACT_ONCE_MORE, ACT_NEXT_OR_FAIL},
    {CM_OUTCOME_LOST, ACT_ONCE_MORE, ACT_NEXT_OR_FAIL},
    {CM_OUTCOME_NOSTART, ACT_NEXT_OR_HERE, ACT_NEXT_OR_FAIL},
    {CM_OUTCOME_CANCELLED, ACT_AT_ONCE, ACT_AT_ONCE}, /* killed, but the job goes on */
    {CM_OUTCOME_INTERRUPTED, ACT_AT_ONCE, ACT_AT_ONCE},
};

/* The same for a publish before sending(): nothing is out, so it is simply tried again. */
static const struct row publish_table[] = {
    {CM_OUTCOME_CRASHED, ACT_HERE, ACT_NEXT_OR_FAIL},
    {CM_OUTCOME_TIMEOUT, ACT_HERE, ACT_NEXT_OR_FAIL},
    {CM_OUTCOME_LOST, ACT_HERE, ACT_NEXT_OR_FAIL},
};

static const struct row *find_row(const struct row *rows, size_t count, int outcome)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i].outcome == outcome) {
            return &rows[i];
        }
    }
    return NULL;
}

static const struct row *row_of(const struct cm_policy_case *about)
{
    static const struct row broken = {0, ACT_NEXT_OR_FAIL, ACT_NEXT_OR_FAIL};
    const struct row *row = NULL;
    if (about->publish) {
        row = find_row(publish_table, sizeof publish_table / sizeof *publish_table, about->done->outcome);
    }
    row = row ? row : find_row(table, sizeof table / sizeof *table, about->done->outcome);
    return row ? row : &broken;
}

/* ---- Delays ---------------------------------------------------------------------------------- */

int64_t cm_policy_backoff(int64_t base_ms, int64_t max_ms, int64_t failures, uint64_t random)
{
    int64_t ceiling = base_ms > 0 ? base_ms : 1;
    for (int64_t i = 1; i < failures && ceiling < max_ms; i++) {
        ceiling *= 2;
    }
    if (ceiling > max_ms && max_ms > 0) {
        ceiling = max_ms;
    }
    int64_t floor = ceiling < base_ms / 10 ? ceiling : base_ms / 10;
    int64_t delay = (int64_t)(random % (uint64_t)(ceiling + 1));
    return delay < floor ? floor : delay;
}

static int64_t asked_delay(const struct cm_policy_case *about)
{
    int64_t delay = about->done->delay_ms;
    if (delay < 0) {
        return 0;
    }
    return delay > CM_POLICY_DELAY_MAX_MS ? CM_POLICY_DELAY_MAX_MS : delay;
}

static int64_t due(const struct cm_policy_case *about, const struct cm_decision *decision, uint64_t random)
{
    int64_t failures = about->tries + decision->burns_try + about->waits + decision->burns_wait;
    int64_t delay = cm_policy_backoff(about->backoff_base_ms, about->backoff_max_ms, failures, random);
    int64_t asked = asked_delay(about);
    return about->now_ms + (asked > delay ? asked : delay);
}

/* ---- What is burnt, and who else is concerned ------------------------------------------------ */

static int waits_only(const struct cm_done *done)
{
    return done->outcome == CM_AGAIN && (done->reason == CM_REASON_RATE || done->reason == CM_REASON_PROCESSING);
}

static int burns_try(const struct cm_policy_case *about)
{
    switch (about->done->outcome) {
    case CM_OK:
        return about->find && about->done->found != CM_ABSENT; /* find could not tell */
    case CM_HOLD:
    case CM_OUTCOME_CANCELLED:
    case CM_OUTCOME_INTERRUPTED:
        return 0;
    case CM_OUTCOME_LOST:
        return about->losses >= CM_POLICY_LOSSES_MAX;
    default:
        return !waits_only(about->done) || about->waits >= CM_POLICY_WAITS_MAX;
    }
}

static int blames_instance(const struct cm_done *done)
{
    switch (done->outcome) {
    case CM_OUTCOME_CRASHED:
    case CM_OUTCOME_TIMEOUT:
        return 1;
    case CM_AGAIN:
    case CM_CANNOT:
    case CM_HOLD:
        return done->scope > CM_SCOPE_ITEM && !waits_only(done);
    default:
        return 0;
    }
}

static int64_t instance_wait(const struct cm_policy_case *about)
{
    const struct cm_done *done = about->done;
    int all = done->outcome == CM_AGAIN && done->scope > CM_SCOPE_ITEM && done->reason != CM_REASON_PROCESSING;
    return all ? asked_delay(about) : 0;
}

int cm_policy_hold(int reason)
{
    switch (reason) {
    case CM_REASON_RESOURCE:
        return CM_HELD_RESOURCE;
    case CM_REASON_AUTH:
        return CM_HELD_AUTH;
    case CM_REASON_POLICY:
        return CM_HELD_POLICY;
    case CM_REASON_QUOTA:
        return CM_HELD_BUDGET;
    case CM_REASON_INTERNAL:
        return CM_HELD_PLUGIN;
    default:
        return CM_HELD_OPERATOR;
    }
}

/* ---- The table applied ----------------------------------------------------------------------- */

static void again(const struct cm_policy_case *about, struct cm_decision *decision, uint64_t random)
{
    decision->move = CM_POLICY_AGAIN;
    decision->due_ms = due(about, decision, random);
}

static void next_or(const struct cm_policy_case *about, struct cm_decision *decision, enum cm_policy_move otherwise)
{
    decision->move = about->has_next ? CM_POLICY_NEXT : otherwise;
}

static void hold(struct cm_decision *decision, int held_by)
{
    decision->move = CM_POLICY_HOLD;
    decision->held_by = held_by;
}

static void apply_act(const struct cm_policy_case *about, enum act act, struct cm_decision *decision, uint64_t random)
{
    switch (act) {
    case ACT_HERE:
        again(about, decision, random);
        break;
    case ACT_ONCE_MORE:
        if (about->link_crashes == 0 || !decision->burns_try) {
            again(about, decision, random);
        } else {
            next_or(about, decision, CM_POLICY_FAIL);
        }
        break;
    case ACT_AT_ONCE:
        decision->move = CM_POLICY_AT_ONCE;
        break;
    case ACT_NEXT_OR_FAIL:
        next_or(about, decision, CM_POLICY_FAIL);
        break;
    case ACT_NEXT_OR_HERE:
        if (about->has_next) {
            decision->move = CM_POLICY_NEXT;
        } else {
            again(about, decision, random);
        }
        break;
    case ACT_HOLD:
        if (about->done->scope == CM_SCOPE_INSTANCE && about->has_next) {
            decision->move = CM_POLICY_NEXT;
        } else {
            hold(decision, cm_policy_hold(about->done->reason));
        }
        break;
    case ACT_FAIL:
        decision->move = CM_POLICY_FAIL;
        break;
    }
}

/* It is sure that nothing is out. */
static void decide_plain(const struct cm_policy_case *about, struct cm_decision *decision, uint64_t random)
{
    const struct row *row = row_of(about);
    int left = about->tries + decision->burns_try < about->tries_max;
    decision->effect = CM_POLICY_EFFECT_ABSENT;
    if (about->cancelled) {
        decision->move = CM_POLICY_CANCEL;
    } else if (about->may_fit && about->done->outcome == CM_CANNOT) {
        decision->move = CM_POLICY_FIT;
        decision->burns_try = 0;
    } else if (decision->burns_crash && about->crashes + 1 >= CM_POLICY_CRASHES_MAX) {
        hold(decision, CM_HELD_PLUGIN);
    } else if (about->done->reason == CM_REASON_RATE && asked_delay(about) > about->backoff_max_ms && about->has_next) {
        decision->move = CM_POLICY_NEXT; /* too long to wait while another could do it */
    } else {
        apply_act(about, left || !decision->burns_try ? row->left : row->none_left, decision, random);
    }
}

/* ---- Settling -------------------------------------------------------------------------------- */

static void unconfirmed(struct cm_decision *decision)
{
    hold(decision, CM_HELD_UNCONFIRMED);
    decision->effect = CM_POLICY_EFFECT_UNCONFIRMED;
}

/* By what the platform can do: a key or phases of its own, then search, then a person. */
static void settle(const struct cm_policy_case *about, struct cm_decision *decision, uint64_t random)
{
    int resend = (about->settle & (CM_SETTLE_NATIVE_KEY | CM_SETTLE_PHASES)) != 0;
    int search = (about->settle & CM_SETTLE_SEARCH) && about->can_find;
    int left = about->tries + decision->burns_try < about->tries_max;
    if (!left || (!resend && !search)) {
        unconfirmed(decision);
        return;
    }
    decision->find = !resend;
    again(about, decision, random);
    if (about->done->outcome == CM_OUTCOME_LOST && !about->losses) {
        decision->move = CM_POLICY_AT_ONCE; /* it was our daemon that failed: nobody needs a rest */
    }
}

/* "Absent" counts only some time after the post was sent, and only when said twice. */
static void decide_absent(const struct cm_policy_case *about, struct cm_decision *decision, uint64_t random)
{
    int64_t counts_from = about->sent_ms + about->settle_ms;
    decision->counts_absent = about->now_ms >= counts_from;
    if (about->absent + decision->counts_absent >= ABSENT_NEEDED) {
        decision->effect = CM_POLICY_EFFECT_ABSENT;
        decision->move = about->cancelled ? CM_POLICY_CANCEL : CM_POLICY_AT_ONCE;
        return;
    }
    decision->find = 1;
    decision->burns_wait = 1;
    again(about, decision, random);
    if (decision->due_ms < counts_from) {
        decision->due_ms = counts_from;
    }
}

/* A post may be out. */
static void decide_ambiguous(const struct cm_policy_case *about, struct cm_decision *decision, uint64_t random)
{
    const struct cm_done *done = about->done;
    decision->effect = CM_POLICY_EFFECT_KEEP;
    if (done->outcome == CM_UNSURE && !about->settling) {
        decision->effect = CM_POLICY_EFFECT_SENDING;
    }
    if (done->outcome == CM_OK && done->found == CM_ABSENT) {
        decide_absent(about, decision, random);
    } else if (done->outcome == CM_CANNOT || done->outcome == CM_REJECT) {
        unconfirmed(decision);
    } else if (done->outcome == CM_HOLD) {
        decision->find = about->find;
        hold(decision, cm_policy_hold(done->reason));
    } else {
        settle(about, decision, random);
    }
}

static int stays_ambiguous(const struct cm_policy_case *about)
{
    int says_no = about->done->outcome >= CM_AGAIN && about->done->outcome <= CM_REJECT;
    if (!about->publish) {
        return 0;
    }
    if (about->done->outcome == CM_UNSURE) {
        return 1;
    }
    return about->ambiguous && (about->settling || !says_no);
}

struct cm_decision cm_policy_decide(const struct cm_policy_case *about, uint64_t random)
{
    const struct cm_done *done = about->done;
    struct cm_decision decision = {
        .effect = CM_POLICY_EFFECT_KEEP,
        .burns_try = burns_try(about),
        .burns_crash = done->outcome == CM_OUTCOME_CRASHED,
        .burns_wait = waits_only(done),
        .throttle = done->outcome == CM_OUTCOME_NOSTART,
        .instance_failed = blames_instance(done),
        .instance_wait_ms = instance_wait(about),
        .whole_account = done->scope == CM_SCOPE_ACCOUNT,
    };
    if (done->outcome == CM_OK && (!about->find || done->found == CM_FOUND)) {
        decision.move = CM_POLICY_SUCCEED;
        decision.effect = CM_POLICY_EFFECT_CONFIRM;
        decision.burns_try = 0;
    } else if (stays_ambiguous(about)) {
        decide_ambiguous(about, &decision, random);
    } else {
        decide_plain(about, &decision, random);
    }
    return decision;
}
