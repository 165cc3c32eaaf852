/*
 * Policy: what comes after an attempt. The verdict table of the contract as data, backoff with
 * full jitter, and how an ambiguous post is settled. It looks at numbers only.
 */
#ifndef CM_DAEMON_POLICY_H
#define CM_DAEMON_POLICY_H

#include <stdint.h>

#include "core/common/done.h"

#define CM_POLICY_CRASHES_MAX 3 /* of one task over all links: then a person looks first */
#define CM_POLICY_LOSSES_MAX 10 /* deaths of daemons under one task that burn no try */
#define CM_POLICY_WAITS_MAX 300 /* delays in a row that burn no try; with the longest backoff, a day */
#define CM_POLICY_DELAY_MAX_MS (24 * 3600 * 1000LL)

/* What the daemon needs to know of an ended attempt's task. */
struct cm_policy_case {
    const struct cm_done *done;
    int publish;     /* the step publishes */
    int ambiguous;   /* a post may be out: this attempt or one before it called sending() */
    int settling;    /* … one before it: this attempt was to settle that */
    int find;        /* this attempt asked find */
    uint32_t settle; /* CM_SETTLE_* of the instance */
    int can_find;
    int64_t settle_ms;
    int64_t sent_ms; /* when it may have gone out; 0 when it was just now */
    int64_t absent;  /* how often find said absent, and it counted */
    int64_t tries, tries_max;
    int64_t crashes;      /* of the task */
    int64_t link_crashes; /* of the task on this link */
    int64_t losses;
    int64_t waits;  /* delays in a row that burnt nothing */
    int has_next;   /* another link of the chain may be asked */
    int may_fit;    /* publish: it found the clip too large, and a smaller one can be made */
    int cancelled;  /* the job is being cancelled */
    int64_t now_ms; /* UTC */
    int64_t backoff_base_ms, backoff_max_ms;
};

enum cm_policy_move {
    CM_POLICY_SUCCEED = 1, /* with the post, if there is one */
    CM_POLICY_AGAIN,       /* here, at due_ms */
    CM_POLICY_AT_ONCE,     /* here, as soon as there is room */
    CM_POLICY_NEXT,        /* the next link of the chain */
    CM_POLICY_HOLD,        /* held_by */
    CM_POLICY_FIT,         /* here, with a smaller clip */
    CM_POLICY_FAIL,
    CM_POLICY_CANCEL
};

enum cm_policy_effect {
    CM_POLICY_EFFECT_KEEP = 1, /* as it is */
    CM_POLICY_EFFECT_CONFIRM,  /* it is out */
    CM_POLICY_EFFECT_ABSENT,   /* it is surely not out */
    CM_POLICY_EFFECT_SENDING,  /* it may be out, though sending() was not called */
    CM_POLICY_EFFECT_UNCONFIRMED
};

struct cm_decision {
    enum cm_policy_move move;
    enum cm_policy_effect effect; /* publish only */
    int find;                     /* the next attempt asks find (else the step's own operation) */
    int counts_absent;            /* one more "absent" that counts */
    int64_t due_ms;               /* AGAIN */
    int held_by;                  /* HOLD: enum cm_hold */
    int burns_try, burns_crash, burns_wait;
    int throttle;             /* the instance cannot even start: let it rest */
    int instance_failed;      /* for the breaker */
    int64_t instance_wait_ms; /* the whole instance waits this long */
    int whole_account;        /* … and what is said of the instance is meant for its account */
};

/* random: any 64 bits. */
struct cm_decision cm_policy_decide(const struct cm_policy_case *about, uint64_t random);

/* Full jitter: between 0 and min(max, base × 2^failures), at least one tenth of base. */
int64_t cm_policy_backoff(int64_t base_ms, int64_t max_ms, int64_t failures, uint64_t random);
/* Which hold a reason stands for. */
int cm_policy_hold(int reason);

#endif
