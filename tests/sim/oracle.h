/*
 * The oracle: keeps its own copy of what is durable and judges every change to it, by rules that
 * are written down here a second time, slowly and plainly.
 */
#ifndef SIM_ORACLE_H
#define SIM_ORACLE_H

#include <stdint.h>

#include "core/daemon/engine/index.h"
#include "core/daemon/engine/pipeline.h"
#include "core/daemon/store/store.h"

struct sim_oracle {
    const struct cm_pipeline *pipeline;
    char *ways;
    struct cm_index tables[CM_TABLE_COUNT_PLUS_1]; /* "job/step/item[#fence]" → struct sim_seen */
    struct sim_noted *noted;                       /* sets that the store has, not yet committed */
    size_t noted_count, noted_room;
    struct cm_index answers; /* "job/step/item#fence" → keys that the attempt made */
    char problem[400];
};

/* `ways`: marks for SIM_WAYS ways from state to state. */
struct sim_oracle *sim_oracle_new(const struct cm_pipeline *pipeline, char *ways);
void sim_oracle_free(struct sim_oracle *oracle);
void sim_oracle_note(struct sim_oracle *oracle, const struct cm_change_set *set);
/* The set is durable, or came to nothing. What is wrong with it, or NULL. */
const char *sim_oracle_applied(struct sim_oracle *oracle, uint64_t set, int applied);
void sim_oracle_crash(struct sim_oracle *oracle); /* what was not committed never was */
void sim_oracle_answer(struct sim_oracle *oracle, const char *task, int64_t fence, char **keys, size_t count);
/* A row of the store: what is wrong with it, or NULL. */
const char *sim_oracle_compare(struct sim_oracle *oracle, enum cm_table table, const void *row);
/* When everything is over. What is wrong, or NULL. */
const char *sim_oracle_final(struct sim_oracle *oracle);

/* A change that somebody else made: taken as it is. */
void sim_oracle_trust(struct sim_oracle *oracle, enum cm_table table, const void *row);
/* The row behind an entry of `tables`. */
const void *sim_oracle_row(const void *entry);
const struct cm_task_row *sim_oracle_task(const struct sim_oracle *oracle, const char *job, const char *step,
                                          const char *item);
const struct cm_job_row *sim_oracle_job(const struct sim_oracle *oracle, const char *job);
const struct cm_effect_row *sim_oracle_effect(const struct sim_oracle *oracle, const char *key);

#endif
