/*
 * Simulated workers: each attempt's script, thrown by the dice, in every order that the contract
 * allows and a few that it does not.
 */
#include <clipmaker/plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/text.h"
#include "tests/sim/world.h"

/* A living attempt of that task; `fence` 0: any. */
static struct sim_worker *find_worker(const struct sim_world *world, const char *job, const char *step,
                                      const char *item, int64_t fence)
{
    for (size_t i = 0; i < world->worker_count; i++) {
        struct sim_worker *worker = world->workers[i];
        if ((!fence || worker->fence == fence) && !strcmp(worker->job, job) && !strcmp(worker->step, step) &&
            !strcmp(worker->item, item) && !worker->dead) {
            return worker;
        }
    }
    return NULL;
}

void sim_worker_free(struct sim_world *world, struct sim_worker *worker)
{
    size_t at = 0;
    while (world->workers[at] != worker) {
        at++;
    }
    world->worker_count--;
    memmove(&world->workers[at], &world->workers[at + 1], (world->worker_count - at) * sizeof(struct sim_worker *));
    free(worker->job);
    free(worker->step);
    free(worker->item);
    free(worker->instance);
    free(worker->op);
    free(worker->key);
    free(worker->upload);
    cm_done_free(worker->done);
    free(worker);
}

/* ---- Start ----------------------------------------------------------------------------------- */

/* Limits, slots, rates, and that nobody else is at it: not even an orphan. */
static void check_start(struct sim_world *world, const struct cm_start *start)
{
    const struct cm_instance *instance = sim_plan_instance(world->plan, start->instance);
    size_t self = sim_index_of(world, world->self);
    int same = 0, all = 0;
    const struct sim_worker *other = find_worker(world, start->job, start->step, start->item, 0);
    if (other && !other->stale && sim_owns(world, start->job)) {
        sim_fail(world, "%s/%s starts while another attempt of it is alive", start->step, start->item);
    }
    for (size_t i = 0; i < world->worker_count; i++) {
        const struct sim_worker *worker = world->workers[i];
        int counts = !worker->orphan && !worker->forgotten && !worker->dead && worker->daemon == self;
        all += counts && !worker->elsewhere;
        same += counts && !strcmp(worker->instance, start->instance);
    }
    if (all >= world->plan->slots && !(instance && instance->elsewhere)) {
        sim_fail(world, "%d attempts at once on %d slots", all + 1, world->plan->slots);
    }
    if (!instance || !*start->instance) {
        return;
    }
    int64_t *last = &world->self->last_start_ms[instance - world->plan->instances];
    if (same >= instance->limit) {
        sim_fail(world, "%s: %d attempts at once, its limit is %d", start->instance, same + 1, instance->limit);
    }
    if (*last && (world->now.boot_ms - *last) * 1000 < instance->rate_us) {
        sim_fail(world, "%s starts %lld ms after the last, its rate is %lld us", start->instance,
                 (long long)(world->now.boot_ms - *last), (long long)instance->rate_us);
    }
    *last = world->now.boot_ms;
}

static void check_route(struct sim_world *world, const struct cm_start *start, const struct cm_instance *instance)
{
    if (instance && instance->stage == CM_STAGE_STT) {
        int captions = strstr(start->params, "captions") != NULL;
        for (size_t i = 0; i < start->input_count; i++) {
            captions |= !strcmp(start->inputs[i]->role, "captions");
        }
        if (instance->needs_captions && !captions) {
            sim_fail(world, "%s is asked without captions", start->instance);
        }
        if (strcmp(start->language, "auto") && !strstr(instance->languages, "*") &&
            !strstr(instance->languages, start->language)) {
            sim_fail(world, "%s is asked for %s", start->instance, start->language);
        }
    }
    if (instance && instance->stage == CM_STAGE_SOURCE && !strcmp(start->instance, "file") && *start->source != '/') {
        sim_fail(world, "file is asked for %s", start->source);
    }
}

/* Every task sees what the one before it made; a chunk's task sees its own chunk only. */
static void check_inputs(struct sim_world *world, const struct cm_start *start)
{
    int media = 0, chunks = 0;
    const struct cm_step *step = cm_pipeline_step(world->plan->pipeline, start->step);
    for (size_t i = 0; i < start->input_count; i++) {
        media += !strcmp(start->inputs[i]->role, "media");
        chunks += !strcmp(start->inputs[i]->role, "chunk");
    }
    if (strcmp(start->step, "fetch") && media != 1 && !world->plan->pipeline->steps[0].optional) {
        const struct cm_task_row *fetch = sim_oracle_task(world->oracle, start->job, "fetch", "");
        if (!fetch || fetch->state == CM_TASK_SUCCEEDED) {
            sim_fail(world, "%s/%s sees %d media", start->step, start->item, media);
        }
    }
    if (step->each_count && !strcmp(step->each[0], "chunk") && chunks != 1) {
        sim_fail(world, "%s/%s sees %d chunks", start->step, start->item, chunks);
    }
}

static int64_t clip_bytes_of(const struct cm_start *start)
{
    for (size_t i = 0; i < start->input_count; i++) {
        if (!strcmp(start->inputs[i]->role, "clip")) {
            return start->inputs[i]->bytes;
        }
    }
    return 0;
}

/* A clip is made smaller only where it is too large, by who can, and never under the key of a post. */
static void check_fit(struct sim_world *world, const struct cm_start *start, int64_t clip_bytes)
{
    const struct cm_instance *instance = sim_plan_instance(world->plan, start->instance);
    if (strcmp(start->op, CM_OP_FIT)) {
        if (start->max_bytes) {
            sim_fail(world, "%s/%s: %s has a size to keep to", start->step, start->item, start->op);
        }
        return;
    }
    world->fits++;
    if (start->max_bytes < 1 || clip_bytes <= start->max_bytes || *start->effect_key || *start->post_id) {
        sim_fail(world, "%s/%s: a clip of %lld bytes is made to fit into %lld under the key \"%s\"", start->step,
                 start->item, (long long)clip_bytes, (long long)start->max_bytes, start->effect_key);
    }
    if (instance && instance->stage != CM_STAGE_RENDER) {
        sim_fail(world, "%s/%s: %s is asked for a smaller clip", start->step, start->item, start->instance);
    }
}

void sim_worker_start(struct sim_world *world, const struct cm_start *start)
{
    const struct cm_instance *instance = sim_plan_instance(world->plan, start->instance);
    const struct cm_task_row *row = sim_oracle_task(world->oracle, start->job, start->step, start->item);
    int owns = sim_owns(world, start->job);
    if (owns && (!row || row->state != CM_TASK_RUNNING || row->fence != start->fence)) {
        sim_fail(world, "%s/%s starts before its claim is durable", start->step, start->item);
    }
    check_start(world, start);
    check_route(world, start, instance);
    check_inputs(world, start);
    struct sim_worker *worker = cm_alloc(sizeof *worker);
    worker->job = cm_strdup(start->job);
    worker->step = cm_strdup(start->step);
    worker->item = cm_strdup(start->item);
    worker->instance = cm_strdup(start->instance);
    worker->elsewhere =
        sim_plan_instance(world->plan, start->instance) && sim_plan_instance(world->plan, start->instance)->elsewhere;
    worker->op = cm_strdup(start->op);
    worker->key = cm_strdup(start->effect_key);
    worker->upload = cm_strdup("");
    worker->fence = start->fence;
    worker->stage =
        strcmp(start->op, CM_OP_FIT) ? cm_pipeline_step(world->plan->pipeline, start->step)->stage : CM_STAGE_RENDER;
    worker->max_bytes = start->max_bytes;
    worker->clip_bytes = clip_bytes_of(start);
    check_fit(world, start, worker->clip_bytes);
    worker->daemon = sim_index_of(world, world->self);
    worker->stale = !owns;
    worker->phase = SIM_WORK;
    worker->at_ms = world->now.utc_ms + 1 + sim_below(&world->random, world->calm ? 500 : 20000);
    world->workers = cm_grow(world->workers, &world->worker_room, world->worker_count, sizeof(struct sim_worker *));
    world->workers[world->worker_count++] = worker;
    world->attempts++;
    sim_say(world, "start %s/%s/%s#%lld %s on %s", worker->job + 24, worker->step, worker->item,
            (long long)worker->fence, worker->op, worker->instance);
}

/* ---- Verdicts -------------------------------------------------------------------------------- */

static void fail_with(struct sim_world *world, struct cm_done *done, int outcome)
{
    static const int reasons[] = {CM_REASON_TOO_LARGE,
                                  CM_REASON_NETWORK,
                                  CM_REASON_RATE,
                                  CM_REASON_PROCESSING,
                                  CM_REASON_QUOTA,
                                  CM_REASON_RESOURCE,
                                  CM_REASON_AUTH,
                                  CM_REASON_OPERATOR,
                                  CM_REASON_UNSUPPORTED,
                                  CM_REASON_POLICY,
                                  CM_REASON_INTERNAL,
                                  CM_REASON_MALFORMED,
                                  0};
    done->outcome = outcome;
    done->reason = reasons[sim_below(&world->random, sizeof reasons / sizeof *reasons)];
    done->scope = sim_below(&world->random, 5);
    done->delay_ms = sim_chance(&world->random, 300) ? sim_below(&world->random, 200000) : 0;
    cm_done_text(&done->words, "thrown by the dice");
}

/* Anything but ok, from what is possible here. */
static void fail_somehow(struct sim_world *world, struct cm_done *done, int definite_only)
{
    static const int outcomes[] = {CM_AGAIN,
                                   CM_AGAIN,
                                   CM_AGAIN,
                                   CM_AGAIN,
                                   CM_CANNOT,
                                   CM_CANNOT,
                                   CM_HOLD,
                                   CM_REJECT,
                                   CM_OUTCOME_CRASHED,
                                   CM_OUTCOME_CRASHED,
                                   CM_OUTCOME_TIMEOUT,
                                   CM_OUTCOME_NOSTART,
                                   CM_OUTCOME_LOST,
                                   CM_OUTCOME_INTERRUPTED,
                                   CM_UNSURE};
    int definite = 8, all = sizeof outcomes / sizeof *outcomes;
    fail_with(world, done, outcomes[sim_below(&world->random, definite_only ? definite : all)]);
}

static void succeed(struct sim_world *world, struct sim_worker *worker, struct cm_done *done)
{
    const struct cm_step *step = cm_pipeline_step(world->plan->pipeline, worker->step);
    char key[24];
    done->outcome = CM_OK;
    int children = *step->makes ? sim_below(&world->random, 5) : 0;
    for (int i = 1; i <= children; i++) {
        snprintf(key, sizeof key, "%02d", i);
        cm_done_add_child(done, key);
        cm_done_add_artifact(done, step->makes, key, key, 1, "", "{}");
    }
    if (*step->makes) {
        cm_done_text(&done->dimension, step->makes);
    }
    if (worker->stage == CM_STAGE_SOURCE) {
        cm_done_add_artifact(done, "media", "", "/v.mp4", 1, "", "{}");
        if (sim_chance(&world->random, 200)) {
            cm_done_add_artifact(done, "captions", "", "c.srt", 1, "", "{}");
        }
    } else if (worker->max_bytes) { /* now and then by one that does not obey */
        cm_done_add_artifact(done, "clip", "", "out",
                             1 + sim_below(&world->random, (int)worker->max_bytes + (world->calm ? 0 : 2)), "", "{}");
    } else {
        cm_done_add_artifact(done, worker->step, "", "out", 1 + sim_below(&world->random, SIM_CLIP_BYTES), "", "{}");
    }
}

static void find_post(struct sim_world *world, struct sim_worker *worker, struct cm_done *done)
{
    done->outcome = CM_OK;
    if (!world->calm && sim_chance(&world->random, 200)) {
        done->found = CM_UNKNOWN;
    } else if (sim_platform_sees(world->platform, worker->key, world->now.utc_ms)) {
        done->found = CM_FOUND;
        cm_done_text(&done->url, "https://platform/post");
    } else {
        done->found = CM_ABSENT;
    }
}

/* ---- Telling --------------------------------------------------------------------------------- */

static void tell_later(struct sim_world *world, const struct sim_worker *worker, const struct cm_done *done)
{
    struct sim_event *event =
        sim_event_add(world, SIM_EVENT_LATE, world->now.utc_ms + sim_below(&world->random, 60000));
    cm_row_text(&event->job, worker->job);
    cm_row_text(&event->step, worker->step);
    cm_row_text(&event->item, worker->item);
    event->fence = worker->fence;
    event->done = cm_done_copy(done);
}

static void tell(struct sim_world *world, struct sim_worker *worker, struct cm_done *done)
{
    char *task = cm_format("%s/%s/%s", worker->job, worker->step, worker->item);
    sim_say(world, "%s  %s/%s/%s#%lld %s: %s %s scope %d%s", worker->orphan ? "(unheard)" : "done", worker->job + 24,
            worker->step, worker->item, (long long)worker->fence, worker->op, cm_outcome_name(done->outcome),
            cm_reason_name(done->reason), done->scope, done->found == CM_ABSENT ? " absent" : "");
    if (!worker->orphan && sim_hears_ms(world, world->self) > world->now.utc_ms) {
        worker->phase = SIM_ENDING; /* in the socket until its daemon runs again */
        worker->at_ms = sim_hears_ms(world, world->self);
        worker->done = done;
        free(task);
        return;
    }
    if (!worker->orphan) {
        if (done->outcome == CM_OK) {
            sim_oracle_answer(world->oracle, task, worker->fence, done->children, done->child_count);
        }
        cm_engine_attempt_done(world->self->engine, sim_now(world), worker->job, worker->step, worker->item,
                               worker->fence, done);
        if (!world->calm && sim_chance(&world->random, 50)) {
            tell_later(world, worker, done);
        }
    }
    free(task);
    sim_worker_free(world, worker);
    cm_done_free(done);
}

/* ---- Publishing ------------------------------------------------------------------------------ */

static void ask_sending(struct sim_world *world, struct sim_worker *worker)
{
    worker->phase = SIM_SENDING;
    worker->at_ms = INT64_MAX;
    worker->number = ++world->number;
    if (!worker->orphan) {
        cm_engine_sending(world->self->engine, sim_now(world), worker->job, worker->step, worker->item, worker->fence,
                          worker->number);
    }
}

/* What an earlier attempt saved durably, or a new upload that is saved now. */
static void ask_save(struct sim_world *world, struct sim_worker *worker)
{
    free(worker->upload);
    worker->upload = cm_format("upload-%s-%lld", worker->key, (long long)worker->fence);
    worker->phase = SIM_SAVING;
    worker->at_ms = INT64_MAX;
    worker->number = ++world->number;
    if (!worker->orphan) {
        cm_engine_save(world->self->engine, sim_now(world), worker->job, worker->step, worker->item, worker->fence,
                       "upload", worker->upload, worker->number);
    }
}

struct recall {
    char *value;
};

static void recalled(void *arg, enum cm_table table, const void *row, const char *error)
{
    struct recall *recall = arg;
    const struct cm_note_row *note = row;
    (void)table;
    (void)error;
    if (note && !strcmp(note->name, "upload")) {
        free(recall->value);
        recall->value = cm_strdup(note->value);
    }
}

/* Reads what is committed; the daemon would have put it into the begin message. */
static char *saved_upload(struct sim_world *world, const struct sim_worker *worker)
{
    struct recall recall = {0};
    char *owner = cm_format("task %s/%s/%s", worker->job, worker->step, worker->item);
    if (!sim_store_pending(world->store)) {
        struct cm_query query = {.table = CM_TABLE_NOTE, .job = owner};
        sim_store_query(world->store, &query, recalled, &recall);
        sim_store_dispatch(world->store);
    }
    free(owner);
    return recall.value;
}

/* What the worker of the real one does before it asks the plugin; and platforms that told of no limit. */
static int is_too_large(struct sim_world *world, const struct sim_worker *worker)
{
    const struct cm_instance *instance = sim_plan_instance(world->plan, worker->instance);
    int told = instance && instance->max_clip_bytes && worker->clip_bytes > instance->max_clip_bytes;
    return told || (!strcmp(worker->instance, "search") && worker->clip_bytes > SIM_UNTOLD_LIMIT);
}

static void begin_publish(struct sim_world *world, struct sim_worker *worker)
{
    if (is_too_large(world, worker)) {
        struct cm_done *done = cm_done_new(CM_CANNOT);
        done->reason = CM_REASON_TOO_LARGE;
        tell(world, worker, done);
        return;
    }
    if (!world->calm && sim_chance(&world->random, 250)) {
        struct cm_done *done = cm_done_new(CM_AGAIN);
        fail_somehow(world, done, 0);
        if (done->outcome == CM_UNSURE) {
            done->outcome = CM_AGAIN;
        }
        tell(world, worker, done);
        return;
    }
    if (strcmp(worker->instance, "phased")) {
        ask_sending(world, worker);
        return;
    }
    if (sim_store_pending(world->store)) {
        worker->at_ms = world->now.utc_ms + 1; /* reading comes after what is being written */
        return;
    }
    char *saved = saved_upload(world, worker);
    if (saved) {
        free(worker->upload);
        worker->upload = saved;
        ask_sending(world, worker);
    } else {
        ask_save(world, worker);
    }
}

/* It has permission: the post goes out or not, and the answer comes or not. */
static void post(struct sim_world *world, struct sim_worker *worker)
{
    static const int lost[] = {CM_UNSURE,          CM_UNSURE,       CM_OUTCOME_CRASHED,
                               CM_OUTCOME_TIMEOUT, CM_OUTCOME_LOST, CM_OUTCOME_INTERRUPTED};
    struct cm_done *done = cm_done_new(CM_OK);
    int out = world->calm || sim_chance(&world->random, 700), known = world->calm || sim_chance(&world->random, 600);
    if (out) {
        const struct cm_instance *instance = sim_plan_instance(world->plan, worker->instance);
        int64_t settle_ms = instance && instance->settle_ms ? instance->settle_ms : 1;
        sim_platform_post(world->platform, worker->instance, worker->key, worker->upload, world->now.utc_ms,
                          world->now.utc_ms + (world->calm ? 0 : sim_below(&world->random, (int)settle_ms)));
        sim_say(world, "POST %s on %s", worker->key, worker->instance);
    }
    if (!known) {
        fail_with(world, done, lost[sim_below(&world->random, sizeof lost / sizeof *lost)]);
    } else if (out) {
        cm_done_text(&done->post_id, worker->key);
        cm_done_add_artifact(done, "post", "", "out", 1, "", "{}");
    } else {
        fail_somehow(world, done, 1);
    }
    tell(world, worker, done);
}

/* ---- Steps ----------------------------------------------------------------------------------- */

static void end_work(struct sim_world *world, struct sim_worker *worker)
{
    struct cm_done *done = cm_done_new(CM_OK);
    int trouble = world->calm ? 0 : worker->stage == 0 ? 120 : 280;
    if (sim_chance(&world->random, trouble)) {
        fail_somehow(world, done, 0);
    } else if (!strcmp(worker->op, "find")) {
        find_post(world, worker, done);
    } else {
        succeed(world, worker, done);
    }
    tell(world, worker, done);
}

/* Its end was said while its daemon was frozen. */
static void tell_at_last(struct sim_world *world, struct sim_worker *worker)
{
    struct cm_done *done = worker->done;
    worker->done = NULL;
    tell(world, worker, done);
}

void sim_worker_step(struct sim_world *world, struct sim_worker *worker)
{
    world->self = &world->daemons[worker->daemon];
    int64_t hears_ms = worker->orphan ? 0 : sim_hears_ms(world, world->self);
    if (hears_ms > world->now.utc_ms && worker->phase != SIM_POSTING && worker->phase != SIM_ENDING) {
        worker->at_ms = hears_ms; /* what it has to say, nobody hears yet */
        return;
    }
    if (worker->phase == SIM_ENDING) {
        tell_at_last(world, worker);
        return;
    }
    if (worker->killed) {
        struct cm_done *done = cm_done_new(CM_OUTCOME_CANCELLED);
        tell(world, worker, done);
        return;
    }
    switch (worker->phase) {
    case SIM_WORK:
        if (worker->stage == CM_STAGE_PUBLISH && strcmp(worker->op, "find")) {
            begin_publish(world, worker);
        } else {
            end_work(world, worker);
        }
        break;
    case SIM_SAVED:
        ask_sending(world, worker);
        break;
    case SIM_POSTING:
        post(world, worker);
        break;
    default:
        worker->at_ms = INT64_MAX;
        break;
    }
}

void sim_worker_answer(struct sim_world *world, const struct cm_action *answer)
{
    struct sim_worker *worker = find_worker(world, answer->job, answer->step, answer->item, answer->fence);
    if (!worker || worker->number != answer->number || worker->orphan || worker->killed) {
        return;
    }
    sim_say(world, "answer %s/%s#%lld: %s", worker->step, worker->item, (long long)worker->fence,
            answer->ok ? "go" : "no");
    if (!answer->ok) {
        struct cm_done *done = cm_done_new(CM_AGAIN);
        done->reason = CM_REASON_STOPPED;
        tell(world, worker, done);
        return;
    }
    worker->phase = worker->phase == SIM_SAVING ? SIM_SAVED : SIM_POSTING;
    worker->at_ms = world->now.utc_ms + sim_below(&world->random, 3000);
}

/* It may still finish before the kill reaches it. */
void sim_worker_kill(struct sim_world *world, const struct cm_action *kill)
{
    struct sim_worker *worker = find_worker(world, kill->job, kill->step, kill->item, kill->fence);
    if (!worker || worker->orphan) {
        return;
    }
    worker->forgotten |= strstr(kill->text, "another daemon") != NULL;
    if (worker->phase != SIM_POSTING || sim_chance(&world->random, 500)) {
        worker->killed = 1;
        worker->at_ms = world->now.utc_ms + sim_below(&world->random, 500);
    }
}

static int is_attempt_of(const struct sim_worker *worker, const char *job, const char *step, const char *item)
{
    return !strcmp(worker->job, job) && !strcmp(worker->step, step) && !strcmp(worker->item, item);
}

/* The daemon makes sure that nothing of that attempt is left. Another one's worker dies, too, and
 * that one hears of it. */
void sim_worker_gone(struct sim_world *world, const char *job, const char *step, const char *item, int64_t fence)
{
    for (size_t i = 0; i < world->worker_count; i++) {
        struct sim_worker *worker = world->workers[i];
        if (worker->fence > fence || !is_attempt_of(worker, job, step, item)) {
            continue;
        }
        if (worker->orphan || world->self == &world->daemons[worker->daemon]) {
            sim_worker_free(world, worker);
            i--;
            continue;
        }
        worker->dead = 1;
        worker->killed |= worker->phase != SIM_ENDING;
        worker->at_ms = worker->phase == SIM_ENDING ? worker->at_ms : world->now.utc_ms;
        worker->phase = worker->phase == SIM_ENDING ? SIM_ENDING : SIM_WORK;
    }
}
