/*
 * What one schedule is about: a random pipeline, the instances it uses, and the jobs submitted.
 */
#ifndef SIM_PLAN_H
#define SIM_PLAN_H

#include "core/daemon/engine/engine.h"
#include "tests/sim/random.h"

#define SIM_JOBS_MAX 4

struct sim_job {
    char id[40];
    char owner[8], key[16];
    char *source, *params;
    int strategy; /* enum cm_strategy; 0: as configured */
    int64_t priority;
    int64_t submit_ms; /* when */
    int accepted;      /* the client knows that it is in */
    int refused;       /* for good */
};

struct sim_plan {
    struct cm_pipeline *pipeline;
    struct cm_instance *instances;
    size_t instance_count;
    struct sim_job jobs[SIM_JOBS_MAX];
    size_t job_count;
    int slots;
};

struct sim_plan *sim_plan_new(struct sim_random *random);
void sim_plan_free(struct sim_plan *plan);
/* Another limit, rate or even presence of some instances, as a reload may bring. */
void sim_plan_shake(struct sim_plan *plan, struct sim_random *random, int restore);
/* NULL: it is not configured now. */
const struct cm_instance *sim_plan_instance(const struct sim_plan *plan, const char *name);
/* Number of a job of the plan. */
size_t sim_plan_job(const struct sim_plan *plan, const char *id);

#endif
