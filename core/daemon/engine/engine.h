/*
 * The engine: every decision about jobs, and nothing else. Pure: it is told events and the time,
 * changes its own memory, and leaves change sets to commit, each with the actions that may happen
 * once that set is durable. No clock, no I/O, no libevent; randomness from its seed only.
 *
 * Memory runs ahead of the store by the sets in flight. The caller gives the sets to the store in
 * order and reports how each ended; an action is handed out only after its set is applied. When a
 * set is refused (CM_APPLIED_NOT), the job is somebody else's: the engine forgets it and asks for
 * it to be loaded again.
 */
#ifndef CM_DAEMON_ENGINE_H
#define CM_DAEMON_ENGINE_H

#include <stdint.h>

#include "core/common/done.h"
#include "core/daemon/engine/pipeline.h"
#include "core/daemon/engine/sched.h"
#include "core/daemon/store/store.h"

/* Two clocks: due times are wall clock, deadlines and leases boot time. */
struct cm_now {
    int64_t utc_ms;
    int64_t boot_ms;
};

/* Where a job's data may go. */
enum cm_strategy {
    CM_STRATEGY_RU = 1, /* to no instance with a recipient abroad */
    CM_STRATEGY_GLOBAL  /* to those, too, with the recorded consent of its owner */
};

/* What the engine needs to know of an instance; strings borrowed for the life of the config. */
struct cm_instance {
    const char *name;
    int stage;                           /* enum cm_stage */
    int limit;                           /* attempts at once, ≥ 1 */
    int64_t rate_us;                     /* between starts; 0: no limit */
    const char *languages;               /* stt: "en", "ru en", "*" */
    int needs_captions;                  /* stt */
    uint32_t settle;                     /* publish: CM_SETTLE_* */
    int64_t settle_ms;                   /* publish */
    const char *schemes;                 /* source: "file", "http https" */
    int can_find;                        /* publish */
    int elsewhere;                       /* the work is done on another machine: takes no slot */
    int64_t max_clip_bytes, max_clip_ms; /* publish: what it takes; 0: any */
    const char *account;                 /* whose breaker and waits it shares with others; NULL or "": nobody's */
    const char *recipient;               /* who is given data abroad; NULL or "": nobody */
};

struct cm_engine_config {
    const char *boot; /* id of this daemon run */
    uint64_t seed;
    int slots;    /* attempts at once over all instances whose work is done here */
    int max_jobs; /* unfinished jobs accepted, but for those of CM_POST_SOURCE; 0: no limit */
    const struct cm_instance *instances;
    size_t instance_count;
    struct cm_pipeline *const *pipelines; /* by name; the current versions */
    size_t pipeline_count;
    int64_t backoff_base_ms, backoff_max_ms; /* 2000 and 300000 by default */
    int breaker_failures;                    /* in a row, then the instance rests */
    int64_t breaker_rest_ms;
    const struct cm_owner_weight *owners; /* those with another weight than 1 */
    size_t owner_count;
    int strategy; /* enum cm_strategy of jobs that do not say; 0: ru */
};

/*
 * What CM_ACTION_SUBMITTED may say beside a line for people.
 *
 * ok 1, CM_SUBMIT_EXISTS: `job` is an unfinished job of the same owner with the same request.
 * ok 0, CM_SUBMIT_EXISTS: the store has a job with this owner and request_key that the engine does
 *   not know, because it is over (or the store's answer was lost). Query it by owner and
 *   request_key; the same job if its request_hash equals cm_submit_hash(), else a conflict.
 * ok 0, CM_SUBMIT_CONFLICT: the same key was used with another source, parameters or pipeline.
 */
#define CM_SUBMIT_EXISTS "exists"
#define CM_SUBMIT_CONFLICT "conflict"
/* Hash of a request, as in cm_job_row.request_hash; malloc'd. */
char *cm_submit_hash(const char *source, const char *params, const char *pipeline);

/* Name of the note ("task JOB/STEP/ITEM") in which the keys that a task made are kept. Not the
 * plugin's: leave it out of what a worker is given as `saved`. */
#define CM_NOTE_CHILDREN "cm:children"

/* What the source of a job begins with that only posts a clip: it is little work, and may wait long for its time. */
#define CM_POST_SOURCE "clip:"

/* What a publish task does before it publishes, when its clip is too large for the target: a render instance makes a
 * smaller one, of at most cm_start.max_bytes, from the inputs of the clip. */
#define CM_OP_FIT "fit"

/* An attempt to start. Strings live until the action is freed. */
/* A folder of each job, beside those of its attempts: answers that were paid for. */
#define CM_ANSWERS_FOLDER "answers"

struct cm_start {
    char *job, *step, *item;
    int64_t fence;
    char *instance; /* "" for a built-in step */
    char *builtin;  /* or "" */
    char *op;
    int64_t warn_ms, deadline_ms;    /* lengths */
    int64_t stall_ms;                /* the longest silence; 0: any */
    struct cm_artifact_row **inputs; /* what it may read: rows of its ancestors, packed */
    size_t input_count;
    char *folder; /* below the state folder, "jobs/JOB/STEP.ITEM.FENCE" */
    char *params, *source, *language;
    char *ask;         /* llm: the question's name */
    char *effect_key;  /* publish */
    char *post_id;     /* remove, stats */
    char *owner;       /* of the job */
    int64_t max_bytes; /* "fit": how large the clip may get */
    int64_t late_ms;   /* publish at a time: so long after it this begins, because nothing ran here then; else 0 */
};

enum cm_action_kind {
    CM_ACTION_START = 1,   /* start: spawn or reuse a worker */
    CM_ACTION_KILL,        /* the attempt must end; text says why */
    CM_ACTION_ANSWER,      /* to the worker's sending/save request `number`: ok or not */
    CM_ACTION_JOB_CHANGED, /* tell watchers */
    CM_ACTION_AWAIT_GONE,  /* an attempt that this engine did not start (of an earlier boot, or of a
                              job loaded again): make sure it is dead, then cm_engine_gone. text is
                              its folder below the state folder */
    CM_ACTION_DROP_FOLDER, /* text: a folder below the state folder that nobody needs any more */
    CM_ACTION_RELOAD,      /* query this job's rows, cm_engine_load each, then cm_engine_recover */
    CM_ACTION_SUBMITTED    /* to the client request `number`: job accepted, or text says why not */
};

struct cm_action {
    enum cm_action_kind kind;
    struct cm_start *start;
    char *job, *step, *item;
    int64_t fence;
    uint64_t number;
    int ok;
    char *text;
};

void cm_action_free(struct cm_action *action);

struct cm_engine;

struct cm_engine *cm_engine_new(const struct cm_engine_config *config);
void cm_engine_free(struct cm_engine *engine);
/* Reload: running jobs keep the pipeline they began with. The old config must live until this
 * returns, the new one until the next. */
void cm_engine_configure(struct cm_engine *engine, const struct cm_engine_config *config);

/* Start-up: every row of every unfinished job, in the order pipeline, job, claim, task, then the
 * others; then recover. The same for one job after CM_ACTION_RELOAD, and for a finished job before
 * cm_engine_retry: its rows are forgotten again at the next dispatch unless the retry took it up.
 * A job that is not claimed by this boot is somebody else's, and is forgotten again in recover. */
void cm_engine_load(struct cm_engine *engine, enum cm_table table, const void *row);
void cm_engine_recover(struct cm_engine *engine, struct cm_now now);

/* What is remembered of a job that was just claimed anew is old: forgotten, before it is loaded. */
void cm_engine_forget_job(struct cm_engine *engine, struct cm_now now, const char *job);
/* This daemon may have been silent for longer than its lease: whatever it had may be somebody
 * else's by now. Every job is forgotten, its attempts are to be killed, nothing decided before is
 * done any more; from here on it acts as `boot`, which owns nothing yet. */
void cm_engine_fence(struct cm_engine *engine, struct cm_now now, const char *boot);

struct cm_submit {
    const char *id; /* a new UUIDv7 */
    const char *owner, *request_key, *pipeline, *source, *params;
    int64_t priority;
    uint64_t number; /* comes back with CM_ACTION_SUBMITTED */
};
void cm_engine_submit(struct cm_engine *engine, struct cm_now now, const struct cm_submit *submit);

/* Starts what may start. Call after every event and at next_due. */
void cm_engine_dispatch(struct cm_engine *engine, struct cm_now now);
/* UTC time at which dispatch has something to do though no event came; INT64_MAX: never. */
int64_t cm_engine_next_due(const struct cm_engine *engine, struct cm_now now);

/* How an attempt ended: its own answer, or core's word (crashed, timeout, nostart, lost). Ignored
 * when the fence is not the running one. */
void cm_engine_attempt_done(struct cm_engine *engine, struct cm_now now, const char *job, const char *step,
                            const char *item, int64_t fence, const struct cm_done *done);
/* A running worker asks: may I send, please keep this. Answered by CM_ACTION_ANSWER. */
void cm_engine_sending(struct cm_engine *engine, struct cm_now now, const char *job, const char *step, const char *item,
                       int64_t fence, uint64_t number);
/* It is about to make a call that costs money (number: answered as above), or tells how that ended (0). */
void cm_engine_spend(struct cm_engine *engine, struct cm_now now, const struct cm_llm_call_row *call, uint64_t number);
void cm_engine_save(struct cm_engine *engine, struct cm_now now, const char *job, const char *step, const char *item,
                    int64_t fence, const char *name, const char *value, uint64_t number);
/* After CM_ACTION_AWAIT_GONE: no process of that attempt is left. */
void cm_engine_gone(struct cm_engine *engine, struct cm_now now, const char *job, const char *step, const char *item,
                    int64_t fence);

/* What owners consented to, as the store has it (or not any more): that what leaves of their jobs goes to this
 * recipient. Then, once, cm_engine_consents_changed: who is held for that looks again. */
void cm_engine_consent(struct cm_engine *engine, const char *owner, const char *recipient, int given);
void cm_engine_consents_forget(struct cm_engine *engine);
void cm_engine_consents_changed(struct cm_engine *engine);
/* What leaves the country through an instance of that stage, for people. */
const char *cm_what_leaves(int stage);
/* For each instance that this unfinished job may ask and that has a recipient. */
typedef void (*cm_leaving_fn)(void *arg, const char *instance, int stage, const char *recipient);
void cm_engine_leaving(const struct cm_engine *engine, const char *job, cm_leaving_fn each, void *arg);

/* People. Each returns NULL, or one static line why not. */
const char *cm_engine_cancel(struct cm_engine *engine, struct cm_now now, const char *job);
/* Failed, held and backoff tasks of the job (or one task: step, item) go to ready. A finished
 * job must have been loaded first. */
const char *cm_engine_retry(struct cm_engine *engine, struct cm_now now, const char *job, const char *step,
                            const char *item);
/* An unconfirmed effect: live with this URL, or (url NULL) surely absent. */
const char *cm_engine_resolve(struct cm_engine *engine, struct cm_now now, const char *effect_key, const char *url);
/* Only of a job that is over; it need not be loaded. Its rows go, then CM_ACTION_DROP_FOLDER. */
const char *cm_engine_remove(struct cm_engine *engine, struct cm_now now, const char *job);
/* Tasks held for CM_HELD_RESOURCE become ready: there is room again. */
void cm_engine_resource_back(struct cm_engine *engine, struct cm_now now);
/* No new starts (drain, store away), and on again. */
void cm_engine_pause(struct cm_engine *engine, int paused);
/* Attempts that a shutdown ends: burns no try. done->outcome is CM_OUTCOME_INTERRUPTED. */

/* One line: why is this job (or task) not running? malloc'd. */
char *cm_engine_why(const struct cm_engine *engine, struct cm_now now, const char *job, const char *step,
                    const char *item);
/* The breaker of that instance, or of its account. *until_ms: UTC, when its rest ends or ended; 0
 * when closed. */
enum cm_breaker_state cm_engine_breaker(const struct cm_engine *engine, struct cm_now now, const char *instance,
                                        int of_account, int64_t *until_ms);
size_t cm_engine_running(const struct cm_engine *engine);
size_t cm_engine_job_count(const struct cm_engine *engine);
/* Those that max_jobs counts. */
size_t cm_engine_video_count(const struct cm_engine *engine);

/* Sets to hand to the store, in order; the caller owns them. Returns how many, 0 for none. */
size_t cm_engine_take_sets(struct cm_engine *engine, struct cm_change_set **sets, size_t room);
/* The store's word for a set. */
void cm_engine_applied(struct cm_engine *engine, struct cm_now now, uint64_t set_id, enum cm_applied how);
/* The next action that may happen now; NULL when there is none. The caller frees it. */
struct cm_action *cm_engine_take_action(struct cm_engine *engine);

#endif
