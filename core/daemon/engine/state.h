/*
 * The engine's own memory: jobs, their tasks, the groups by which tasks wait for one another, and
 * the turn: one event's worth of changes, which becomes one change set. Private to the engine's
 * files; what each of them does stands above its functions here, and each calls only those that stand before it.
 */
#ifndef CM_DAEMON_ENGINE_STATE_H
#define CM_DAEMON_ENGINE_STATE_H

#include "core/daemon/engine/engine.h"
#include "core/daemon/engine/heap.h"
#include "core/daemon/engine/index.h"
#include "core/daemon/engine/sched.h"

struct cm_job;

enum cm_group_state {
    CM_GROUP_MET = 1, /* enough of it succeeded, all of it is over */
    CM_GROUP_UNMET    /* enough of it can never succeed */
};

/* Those tasks of a step that share keys with the tasks which come after it: what a join waits
 * for. With no shared dimension it is the whole step. */
struct cm_group {
    char *key;
    size_t total, over, good, abandoned;
    int state; /* enum cm_group_state; 0: open */
    struct cm_task **dependents;
    size_t dependent_count, dependent_room;
};

/* "Step `to` comes after step `from`." */
struct cm_edge {
    size_t from, to;
    size_t shared_count;
    size_t from_places[CM_MAX_DIMENSIONS], to_places[CM_MAX_DIMENSIONS];
    struct cm_index groups; /* by the shared keys */
};

struct cm_step_state {
    struct cm_task **tasks;
    size_t total, room;
    size_t over, good;
    int expanded; /* no further task of it will be inserted */
    int closed;   /* expanded, and all its tasks are over */
    int bad;      /* closed, and less succeeded than it needs */
    size_t *makers;
    size_t maker_count;
    struct cm_edge **in, **out;
    size_t in_count, out_count;
    char *before; /* before[i]: step i is an ancestor */
};

struct cm_task {
    struct cm_task_row *row;
    struct cm_job *job;
    size_t step; /* index in the pipeline */
    char *name;  /* "STEP/ITEM" */
    char *keys[CM_MAX_DIMENSIONS];
    struct cm_sched_entry entry;
    struct cm_heap_node due;
    int64_t stored_state; /* as the last change set has it; 0: not there yet */
    struct cm_group **in, **out;
    size_t waiting; /* groups before it that are open */
    int dead;       /* a group before it can never be met */
    int dirty;
    int awaiting_gone;  /* running in the store, but not by us */
    int children_known; /* it made keys (perhaps none) */
    char **children;
    size_t child_count;
    int64_t losses, waits, link_crashes;
    int64_t fit_link;                /* position in the chain of those who can make its clip smaller */
    int64_t refusals, refused_fence; /* how often the platform found the clip too large; the first that did */
    int64_t late_ms;                 /* how long after its time it became ready; 0: no time was set, or in time */
    struct cm_attempt_row *attempt;  /* while it runs */
    struct cm_effect_row *effect;    /* publish */
    struct cm_artifact_row **artifacts;
    size_t artifact_count, artifact_room;
};

struct cm_job {
    struct cm_job_row *row;
    const struct cm_pipeline *pipeline; /* NULL until recovered */
    struct cm_step_state *steps;
    struct cm_edge *edges;
    size_t edge_count;
    struct cm_index tasks;
    struct cm_task **loaded; /* tasks in the order they came, until recovered */
    size_t loaded_count, loaded_room;
    char *language;
    char **formats, **targets;
    size_t format_count, target_count;
    int64_t publish_at_ms;
    int has_captions;
    int strategy;        /* enum cm_strategy; 0: the config's */
    uint64_t generation; /* tells this memory of a job from an earlier one */
    int64_t stored_state;
    size_t in_flight; /* change sets not yet answered */
    int loading;
    int claimed; /* by this boot, as far as was loaded */
    int rebuilding;
    int failing; /* something failed: look for what became pointless */
    int dirty;
    int queued_changed; /* a "job changed" is in this turn already */
};

/* A change set on its way, with what may happen once it is durable. */
struct cm_pending {
    uint64_t id;
    struct cm_change_set *set; /* NULL once taken */
    char *job;
    uint64_t generation;
    struct cm_action **actions;
    size_t action_count, action_room;
};

struct cm_known_instance {
    struct cm_instance instance; /* strings owned */
    struct cm_queue *queue;
};

struct cm_engine {
    char *boot;
    uint64_t random;
    int max_jobs, slots;
    int64_t backoff_base_ms, backoff_max_ms;
    struct cm_known_instance *instances;
    size_t instance_count;
    struct cm_pipeline **pipelines; /* every version that a job may need */
    size_t pipeline_count, pipeline_room;
    char **current; /* ids of the configured ones */
    size_t current_count;
    struct cm_index jobs, effects;
    struct cm_index consents; /* "OWNER\nRECIPIENT" → that text, owned */
    int strategy;             /* of jobs that do not say */
    size_t open_jobs, visitors;
    struct cm_sched *sched;
    struct cm_heap due;
    int paused, stalled, reroute;
    uint64_t breaks_seen;
    uint64_t set_serial, generation, due_serial;
    struct cm_pending **pending; /* in order of their ids */
    size_t pending_count, pending_room;
    struct cm_action **actions;
    size_t action_first, action_count, action_room;
};

/* One event and all that follows from it: becomes one change set. */
struct cm_turn {
    struct cm_engine *engine;
    struct cm_job *job;
    struct cm_now now;
    struct cm_change_set *set;
    struct cm_task **dirty;
    size_t dirty_count, dirty_room;
    struct cm_action **actions;
    size_t action_count, action_room;
};

/* ---- turn.c: change sets and actions -------------------------------------------------- */

void cm_turn_begin(struct cm_turn *turn, struct cm_engine *engine, struct cm_job *job, struct cm_now now);
/* The set applies only if the store has the task (the job) as the last set left it. First thing
 * in a turn, before anything is changed. */
void cm_turn_guard_task(struct cm_turn *turn, const struct cm_task *task);
void cm_turn_guard_job(struct cm_turn *turn);
/* An action to hand out once the set is durable; the caller fills in the rest. */
struct cm_action *cm_turn_action(struct cm_turn *turn, enum cm_action_kind kind, const struct cm_task *task);
void cm_turn_touch(struct cm_turn *turn, struct cm_task *task);
void cm_turn_touch_job(struct cm_turn *turn);
/* Hands an action out now. */
void cm_engine_push_action(struct cm_engine *engine, struct cm_action *action);
struct cm_action *cm_action_new(enum cm_action_kind kind, const char *job);

/* ---- known.c: what the engine knows of the configuration -------------------------------- */

const struct cm_known_instance *cm_engine_instance(const struct cm_engine *engine, const char *name);
const struct cm_pipeline *cm_engine_pipeline(const struct cm_engine *engine, const char *id);
void cm_engine_keep_pipeline(struct cm_engine *engine, struct cm_pipeline *pipeline); /* frees it at the end */

/* ---- task.c: a task's memory ------------------------------------------------------------ */

struct cm_task *cm_task_new(struct cm_job *job, const struct cm_task_row *row);
void cm_task_free(struct cm_engine *engine, struct cm_task *task);
const struct cm_step *cm_task_step(const struct cm_task *task);
/* Puts its keys where its step's dimensions are; 0, or -1 when the item does not fit. */
int cm_task_split_item(struct cm_task *task);
int cm_task_is_ambiguous(const struct cm_task *task); /* a post may be out */
int cm_task_is_publish(const struct cm_task *task);
void cm_task_add_artifact(struct cm_task *task, const struct cm_artifact_row *row);
void cm_task_set_children(struct cm_task *task, char **children, size_t count); /* copies */
char *cm_task_folder(const struct cm_task *task, int64_t fence);
const char *cm_task_plain_op(const struct cm_task *task); /* what its step does */
int cm_task_is_fitting(const struct cm_task *task);       /* it makes its clip smaller before it posts it */

/* ---- job.c: a job's memory ------------------------------------------------------------- */

struct cm_job *cm_job_new(struct cm_engine *engine, const struct cm_job_row *row);
void cm_job_free(struct cm_engine *engine, struct cm_job *job);
struct cm_job *cm_engine_job(const struct cm_engine *engine, const char *id); /* recovered ones only */
/* Reads the parameters; NULL, or one line (malloc'd) what is wrong with them. */
char *cm_job_read_params(struct cm_job *job);
/* Steps and edges by its pipeline. */
void cm_job_build(struct cm_job *job, const struct cm_pipeline *pipeline);
void cm_job_unbuild(struct cm_job *job);
void cm_job_drop_groups(struct cm_job *job);
struct cm_task *cm_job_task(const struct cm_job *job, const char *step, const char *item);

/* ---- residency.c: where data may go ------------------------------------------------------ */

/* Whether the task's job lets this instance have its data. */
int cm_residency_allows(const struct cm_engine *engine, const struct cm_job *job, const struct cm_instance *instance);
/* What leaves, and to whom, of a global job whose owner did not consent to all of it; NULL: nothing lacks. malloc'd. */
char *cm_residency_consent_words(const struct cm_engine *engine, const struct cm_job *job);
/* Why nobody is left who may be asked. malloc'd. */
char *cm_residency_refused_words(const struct cm_instance *instance);
/* The reasons of tasks held for one of the two. */
#define CM_HELD_FOR_CONSENT "consent"
#define CM_HELD_FOR_RESIDENCY "residency"
int cm_residency_holds(const struct cm_task *task);

/* ---- chain.c: who may do a task ---------------------------------------------------------- */

size_t cm_task_chain_length(const struct cm_engine *engine, const struct cm_task *task);
const char *cm_task_chain_name(const struct cm_engine *engine, const struct cm_task *task, size_t link);
/* … of publishing, whatever the task does now. */
const char *cm_publish_chain_name(const struct cm_task *task, size_t link);
/* Where it is in the chain of what it does now. */
int64_t *cm_task_link(struct cm_task *task);
/* The first link from `from` on that may be asked, or -1 with *reason and *words (malloc'd; may be
 * NULL pointers). *hold: what it must wait for (enum cm_hold), 0 when waiting would not help. */
int64_t cm_task_choose_link(const struct cm_engine *engine, struct cm_now now, const struct cm_task *task, int64_t from,
                            int *hold, int *reason, char **words);
/* Who comes before its link and was not asked, with why; "" when all were. malloc'd. */
char *cm_task_skipped(const struct cm_engine *engine, const struct cm_task *task);
/* Link number `link` of those who can make a clip smaller, "" behind the last; how many there are. */
const char *cm_chain_renderer(const struct cm_engine *engine, const struct cm_task *task, size_t link, size_t *count);
/* The render step that its clips come from: the last one before it, or NULL. */
const struct cm_step *cm_chain_render_step(const struct cm_task *task);

/* ---- inputs.c: what an attempt may read --------------------------------------------------- */

void cm_task_inputs(const struct cm_task *task, struct cm_start *start); /* fills in start->inputs */
/* The clip that steps before it made; a copy (cm_row_free), or NULL. */
struct cm_artifact_row *cm_task_given_clip(const struct cm_task *task);

/* ---- fit.c: clips that are too large for their target ------------------------------------ */

void cm_fit_times(const struct cm_task *task, struct cm_start *start);
/* The clip that was made to fit, or NULL. */
const struct cm_artifact_row *cm_fit_own_clip(const struct cm_task *task);
int64_t cm_fit_limit(const struct cm_engine *engine, const struct cm_task *task); /* 0: none */
/* A publish task that goes on, and is not in doubt: whether it publishes, or makes its clip smaller first. */
void cm_fit_prepare(struct cm_turn *turn, struct cm_task *task);
int cm_fit_is_needed(const struct cm_engine *engine, const struct cm_task *task);
/* After "too large" from the platform: whether a smaller clip may be the answer, once; and that it said so. */
int cm_fit_may_help(const struct cm_engine *engine, const struct cm_task *task);
void cm_fit_refused(struct cm_task *task, int64_t fence);
/* NULL, or how an attempt that says it made the clip smaller did in truth end; the caller frees it. */
struct cm_done *cm_fit_judge(const struct cm_engine *engine, const struct cm_task *task, const struct cm_done *done);
/* Nobody can make it smaller: 0 when the chain of targets has another one, which is asked then; else -1. */
int cm_fit_give_up(struct cm_turn *turn, struct cm_task *task);

/* ---- move.c: from state to state ----------------------------------------------------------- */

/* The only place where a task's state changes; checks that the move is legal. */
void cm_task_move(struct cm_turn *turn, struct cm_task *task, int64_t state);
void cm_task_wait_until(struct cm_turn *turn, struct cm_task *task, int64_t state, int64_t due_ms);
void cm_task_hold(struct cm_turn *turn, struct cm_task *task, int held_by, const char *reason, const char *words);
/* Into the queue of this link. */
void cm_task_queue(struct cm_engine *engine, struct cm_now now, struct cm_task *task, int64_t link);
/* Ready, without a turn, when only memory changes: into the queue of the first link that may be asked. 0, or -1 when
 * there is none. */
int cm_task_enqueue(struct cm_engine *engine, struct cm_now now, struct cm_task *task);

/* ---- expand.c: fan-out --------------------------------------------------------------------- */

typedef void (*cm_expand_fn)(struct cm_turn *turn, size_t step, const char *item);
/* Every item that step `step` should have, as far as its keys are known; only those under `maker` unless it is NULL. */
void cm_expand_step(struct cm_turn *turn, size_t step, const struct cm_task *maker, cm_expand_fn each);
/* … of every step with the dimension that this task made keys of. */
void cm_expand_from(struct cm_turn *turn, const struct cm_task *maker, cm_expand_fn each);

/* ---- graph.c: what the end of a task means for the others ---------------------------------- */

size_t cm_need_required(const struct cm_need *need, size_t total);
/* All before it is done: into the queue of the first link that may be asked. */
void cm_task_ready(struct cm_turn *turn, struct cm_task *task);
/* Over, with all that follows for others. A failed task of an optional step is skipped. */
void cm_task_finish(struct cm_turn *turn, struct cm_task *task, int64_t state, const char *reason, const char *words);
void cm_task_abandon(struct cm_turn *turn, struct cm_task *task); /* nothing can come of it */
/* Everything computed afresh from the tasks' states: after loading, and after a retry. */
void cm_graph_rebuild(struct cm_turn *turn);
/* Abandons what can no longer lead to anything. */
void cm_graph_prune(struct cm_turn *turn);

/* ---- commit.c: from the end of a turn to the store's word ---------------------------------- */

/* Prunes, ends the job if it is over, and queues the set. */
void cm_turn_end(struct cm_turn *turn);
void cm_pending_free(struct cm_pending *pending); /* with its actions and what is left of its set */
/* Everything of this job not yet handed to the store is dropped, its attempts are killed, and it
 * is asked for again when `reload`. */
void cm_engine_forget(struct cm_engine *engine, struct cm_now now, struct cm_job *job, int reload);

/* ---- start.c: claims ------------------------------------------------------------------- */

void cm_task_claim(struct cm_engine *engine, struct cm_now now, struct cm_task *task);

/* ---- engine.c: the engine itself --------------------------------------------------------- */

/* The next number of its own row: the same seed gives the same row. */
uint64_t cm_engine_random(struct cm_engine *engine);

#endif
