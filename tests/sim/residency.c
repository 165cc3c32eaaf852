/*
 * Where data may go: who is abroad, what jobs and owners say about it, and that nobody else is asked.
 *
 * One schedule in four is about it. Its dice are its own: the others tell the stories that they always told.
 */
#include <stdlib.h>
#include <string.h>

#include "core/common/text.h"
#include "tests/sim/world.h"

static const char *const recipients[SIM_RECIPIENTS] = {"one company", "another company"};

/* ---- Who is abroad --------------------------------------------------------------------------- */

static int may_be_abroad(const struct cm_instance *instance)
{
    static const char *const names[] = {"http", "stt2", "llm1", "llm2", "search", "blind"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!strcmp(instance->name, names[i])) {
            return 1;
        }
    }
    return 0;
}

void sim_residency_shake(struct sim_world *world, int restore)
{
    struct sim_residency *residency = &world->residency;
    if (!residency->on) {
        return;
    }
    residency->strategy = sim_chance(&residency->random, 500) ? CM_STRATEGY_GLOBAL : CM_STRATEGY_RU;
    for (size_t i = 0; !restore && i < world->plan->instance_count; i++) {
        struct cm_instance *instance = &world->plan->instances[i];
        if (may_be_abroad(instance) && sim_chance(&residency->random, 400)) {
            instance->recipient = recipients[sim_below(&residency->random, SIM_RECIPIENTS)];
        }
    }
}

/* ---- Jobs and their owners ------------------------------------------------------------------- */

static void choose_strategy(struct sim_world *world, struct sim_job *job)
{
    static const char *const names[] = {"", "ru", "global"};
    static const int strategies[] = {0, CM_STRATEGY_RU, CM_STRATEGY_GLOBAL};
    int choice = sim_below(&world->residency.random, 3);
    job->strategy = strategies[choice];
    if (choice > 0) {
        size_t length = strlen(job->params); /* …} */
        char *params = cm_format("%.*s,\"strategy\":\"%s\"}", (int)length - 1, job->params, names[choice]);
        free(job->params);
        job->params = params;
    }
}

static void say_consent(struct sim_world *world, int owner, int recipient)
{
    char name[8] = {'o', (char)('0' + owner)};
    cm_engine_consent(world->self->engine, name, recipients[recipient], world->residency.consents[owner][recipient]);
}

void sim_residency_tell(struct sim_world *world)
{
    for (int owner = 0; world->residency.on && owner < SIM_OWNERS; owner++) {
        for (int recipient = 0; recipient < SIM_RECIPIENTS; recipient++) {
            say_consent(world, owner, recipient);
        }
    }
}

void sim_residency_begin(struct sim_world *world, uint64_t seed)
{
    struct sim_residency *residency = &world->residency;
    residency->random.state = sim_next(&(struct sim_random){~seed});
    residency->on = sim_chance(&residency->random, 250);
    if (!residency->on) {
        return;
    }
    sim_residency_shake(world, 0);
    for (int owner = 0; owner < SIM_OWNERS; owner++) {
        for (int recipient = 0; recipient < SIM_RECIPIENTS; recipient++) {
            residency->consents[owner][recipient] = (char)sim_chance(&residency->random, 700);
        }
    }
    for (size_t i = 0; i < world->plan->job_count; i++) {
        choose_strategy(world, &world->plan->jobs[i]);
    }
}

/* All that was decided so far is on its way, and whoever is frozen did not decide what is not. */
static int all_sent(struct sim_world *world)
{
    struct sim_daemon *self = world->self;
    for (size_t i = 0; i < world->daemon_count; i++) {
        if (sim_hears_ms(world, &world->daemons[i]) > world->now.utc_ms) {
            return 0;
        }
    }
    for (size_t i = 0; i < world->daemon_count; i++) {
        world->self = &world->daemons[i];
        sim_hand_over(world);
    }
    world->self = self;
    return 1;
}

static void change_consent(struct sim_world *world, int owner, int recipient, int given)
{
    struct sim_daemon *self = world->self;
    world->residency.consents[owner][recipient] = (char)given;
    for (size_t i = 0; i < world->daemon_count; i++) {
        world->self = &world->daemons[i];
        say_consent(world, owner, recipient);
        cm_engine_consents_changed(world->self->engine);
    }
    world->self = self;
}

void sim_residency_chaos(struct sim_world *world)
{
    struct sim_residency *residency = &world->residency;
    if (!residency->on || !sim_chance(&residency->random, 20) || !all_sent(world)) {
        return;
    }
    int owner = sim_below(&residency->random, SIM_OWNERS), recipient = sim_below(&residency->random, SIM_RECIPIENTS);
    int given = !residency->consents[owner][recipient];
    sim_say(world, "o%d %s that data goes to %s", owner, given ? "consents" : "consents no more",
            recipients[recipient]);
    change_consent(world, owner, recipient, given);
}

void sim_residency_calm(struct sim_world *world)
{
    for (int owner = 0; world->residency.on && owner < SIM_OWNERS; owner++) {
        for (int recipient = 0; recipient < SIM_RECIPIENTS; recipient++) {
            change_consent(world, owner, recipient, 1);
        }
    }
}

/* ---- Nobody else is asked -------------------------------------------------------------------- */

static int has_consent(const struct sim_world *world, const struct sim_job *job, const char *recipient)
{
    int to = strcmp(recipient, recipients[0]) != 0;
    return world->residency.consents[job->owner[1] - '0'][to];
}

/* Whoever sent a post must be asked what became of it, whatever the rules are now. */
static void check_attempt(struct sim_world *world, const struct cm_attempt_row *attempt)
{
    const struct cm_instance *instance = sim_plan_instance(world->plan, attempt->instance);
    const struct sim_job *job = &world->plan->jobs[sim_plan_job(world->plan, attempt->job)];
    int strategy = job->strategy ? job->strategy : world->residency.strategy;
    if (!instance || !instance->recipient || !strcmp(attempt->op, "find")) {
        return;
    }
    world->abroad++;
    if (strategy != CM_STRATEGY_GLOBAL) {
        sim_fail(world, "%s/%s of a job that stays at home goes to %s", attempt->step, attempt->item,
                 attempt->instance);
    }
    if (!has_consent(world, job, instance->recipient)) {
        sim_fail(world, "%s/%s goes to %s without the consent of %s", attempt->step, attempt->item, attempt->instance,
                 job->owner);
    }
}

void sim_residency_check(struct sim_world *world, const struct cm_change_set *set)
{
    for (size_t i = 0; world->residency.on && i < set->count; i++) {
        const struct cm_attempt_row *attempt = set->changes[i].row;
        if (set->changes[i].table != CM_TABLE_ATTEMPT || set->changes[i].kind != CM_CHANGE_PUT || *attempt->verdict) {
            continue;
        }
        const struct cm_task_row *task = sim_oracle_task(world->oracle, attempt->job, attempt->step, attempt->item);
        if (!task || task->fence < attempt->fence) { /* its first word */
            check_attempt(world, attempt);
        }
    }
}
