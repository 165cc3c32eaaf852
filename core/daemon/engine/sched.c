/*
 * The scheduler: queues with limit, rate and breaker; owners with virtual time.
 */
#include "core/daemon/engine/sched.h"

#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/text.h"
#include "core/daemon/engine/index.h"

#define POINT_MS 60000   /* of waiting that one point of priority is worth */
#define NEARLY_MS 600000 /* … and a job at its very end */
#define REST_DOUBLINGS_MAX 5
#define WEIGHT_DEFAULT 1

struct breaker {
    int64_t rest_until_ms; /* 0: closed; past: half open */
    int failures;          /* in a row */
    int rests;             /* in a row */
};

/* What several queues have in common on the other side. */
struct cm_account {
    char *name;
    struct breaker breaker;
    size_t running; /* over all its queues */
    int64_t wait_until_ms;
};

/* What one owner has waiting in one queue. */
struct cm_lane {
    struct cm_heap_node node; /* in the queue, by the owner's virtual time */
    struct cm_heap entries;
    struct cm_queue *queue;
    struct cm_sched_owner *owner;
};

struct cm_queue {
    char *name;
    struct cm_queue_options options;
    struct cm_heap lanes;
    size_t waiting, running, unreleased;
    int64_t average_ms;
    int64_t next_start_us; /* rate */
    int64_t wait_until_ms;
    struct breaker breaker;
    struct cm_account *account; /* or NULL */
};

struct cm_sched_owner {
    char *name;
    int64_t paid_us; /* virtual time: what it took, divided by its weight */
    int weight;
    size_t busy; /* waiting + running */
    struct cm_lane **lanes;
    size_t lane_count, lane_room;
};

struct cm_sched {
    size_t slots, taken, running, waiting; /* taken: slots */
    struct cm_queue **queues;
    size_t queue_count, queue_room;
    struct cm_account **accounts;
    size_t account_count, account_room;
    struct cm_index owners, weights; /* weights: name → struct cm_weight */
    size_t sweep_at;
    int64_t paid_us; /* virtual time of the last start: where newcomers begin */
    int64_t serial;
    uint64_t breaks;
};

struct cm_sched *cm_sched_new(int slots)
{
    struct cm_sched *sched = cm_alloc(sizeof *sched);
    sched->sweep_at = 64;
    cm_sched_set_slots(sched, slots);
    return sched;
}

void cm_sched_set_slots(struct cm_sched *sched, int slots)
{
    sched->slots = slots > 0 ? (size_t)slots : 1;
}

size_t cm_sched_running(const struct cm_sched *sched)
{
    return sched->running;
}

size_t cm_sched_waiting(const struct cm_sched *sched)
{
    return sched->waiting;
}

int cm_sched_full(const struct cm_sched *sched)
{
    return sched->taken >= sched->slots;
}

int cm_sched_has_slot(const struct cm_sched *sched, const struct cm_queue *queue)
{
    return (queue && queue->options.elsewhere) || !cm_sched_full(sched);
}

uint64_t cm_sched_breaks(const struct cm_sched *sched)
{
    return sched->breaks;
}

/* ---- Owners ---------------------------------------------------------------------------------- */

struct cm_weight {
    char *name;
    int weight;
};

static int weight_of(const struct cm_sched *sched, const char *name)
{
    const struct cm_weight *found = cm_index_get(&sched->weights, name);
    return found ? found->weight : WEIGHT_DEFAULT;
}

static void forget_weights(struct cm_sched *sched)
{
    for (size_t i = 0; i < sched->weights.room; i++) {
        struct cm_weight *weight = sched->weights.entries[i].value;
        if (weight) {
            free(weight->name);
            free(weight);
        }
    }
    cm_index_free(&sched->weights);
    sched->weights = (struct cm_index){0};
}

void cm_sched_set_weights(struct cm_sched *sched, const struct cm_owner_weight *weights, size_t count)
{
    forget_weights(sched);
    for (size_t i = 0; i < count; i++) {
        if (weights[i].weight < 1 || cm_index_get(&sched->weights, weights[i].name)) {
            continue;
        }
        struct cm_weight *weight = cm_alloc(sizeof *weight);
        *weight = (struct cm_weight){cm_strdup(weights[i].name), weights[i].weight};
        cm_index_put(&sched->weights, weight->name, weight);
    }
    for (size_t i = 0; i < sched->owners.room; i++) {
        struct cm_sched_owner *owner = sched->owners.entries[i].value;
        if (owner) {
            owner->weight = weight_of(sched, owner->name);
        }
    }
}

static void free_owner(struct cm_sched_owner *owner)
{
    for (size_t i = 0; i < owner->lane_count; i++) {
        cm_heap_remove(&owner->lanes[i]->queue->lanes, &owner->lanes[i]->node);
        cm_heap_free(&owner->lanes[i]->entries);
        free(owner->lanes[i]);
    }
    free(owner->lanes);
    free(owner->name);
    free(owner);
}

/* Idle owners who owe nothing are the same as new ones: forget them now and then. */
static void sweep_owners(struct cm_sched *sched)
{
    if (sched->owners.count < sched->sweep_at) {
        return;
    }
    struct cm_index kept = {0};
    for (size_t i = 0; i < sched->owners.room; i++) {
        struct cm_sched_owner *owner = sched->owners.entries[i].value;
        if (owner && (owner->busy || owner->paid_us > sched->paid_us)) {
            cm_index_put(&kept, owner->name, owner);
        } else if (owner) {
            free_owner(owner);
        }
    }
    cm_index_free(&sched->owners);
    sched->owners = kept;
    sched->sweep_at = kept.count * 2 + 64;
}

static struct cm_sched_owner *owner_of(struct cm_sched *sched, const char *name)
{
    struct cm_sched_owner *owner = cm_index_get(&sched->owners, name);
    if (!owner) {
        sweep_owners(sched);
        owner = cm_alloc(sizeof *owner);
        owner->name = cm_strdup(name);
        owner->weight = weight_of(sched, name);
        cm_index_put(&sched->owners, owner->name, owner);
    }
    if (!owner->busy && owner->paid_us < sched->paid_us) {
        owner->paid_us = sched->paid_us; /* nobody saves up by being away */
    }
    return owner;
}

static struct cm_lane *lane_of(struct cm_sched_owner *owner, struct cm_queue *queue)
{
    for (size_t i = 0; i < owner->lane_count; i++) {
        if (owner->lanes[i]->queue == queue) {
            return owner->lanes[i];
        }
    }
    struct cm_lane *lane = cm_alloc(sizeof *lane);
    lane->queue = queue;
    lane->owner = owner;
    lane->node.owner = lane;
    owner->lanes = cm_grow(owner->lanes, &owner->lane_room, owner->lane_count, sizeof(struct cm_lane *));
    owner->lanes[owner->lane_count++] = lane;
    return lane;
}

/* Puts the lane where its owner's virtual time and its best entry say. */
static void place_lane(struct cm_lane *lane)
{
    struct cm_heap_node *top = cm_heap_top(&lane->entries);
    if (!top) {
        cm_heap_remove(&lane->queue->lanes, &lane->node);
        return;
    }
    if (!lane->node.place) {
        lane->node.key = lane->owner->paid_us;
        lane->node.tie = top->key;
        cm_heap_add(&lane->queue->lanes, &lane->node);
        return;
    }
    cm_heap_move(&lane->queue->lanes, &lane->node, lane->owner->paid_us, top->key);
}

static void charge(struct cm_sched_owner *owner, int64_t ms)
{
    owner->paid_us += ms * 1000 / owner->weight;
    for (size_t i = 0; i < owner->lane_count; i++) {
        place_lane(owner->lanes[i]);
    }
}

/* ---- Queues ---------------------------------------------------------------------------------- */

struct cm_queue *cm_sched_queue(struct cm_sched *sched, const char *name)
{
    for (size_t i = 0; i < sched->queue_count; i++) {
        if (!strcmp(sched->queues[i]->name, name)) {
            return sched->queues[i];
        }
    }
    struct cm_queue *queue = cm_alloc(sizeof *queue);
    queue->name = cm_strdup(name);
    queue->options = (struct cm_queue_options){1, 0, 5, 60000, 10000, 0, 0};
    sched->queues = cm_grow(sched->queues, &sched->queue_room, sched->queue_count, sizeof(struct cm_queue *));
    sched->queues[sched->queue_count++] = queue;
    return queue;
}

static struct cm_account *account_of(struct cm_sched *sched, const char *name)
{
    for (size_t i = 0; i < sched->account_count; i++) {
        if (!strcmp(sched->accounts[i]->name, name)) {
            return sched->accounts[i];
        }
    }
    struct cm_account *account = cm_alloc(sizeof *account);
    account->name = cm_strdup(name);
    sched->accounts = cm_grow(sched->accounts, &sched->account_room, sched->account_count, sizeof(struct cm_account *));
    sched->accounts[sched->account_count++] = account;
    return account;
}

void cm_queue_set_account(struct cm_sched *sched, struct cm_queue *queue, const char *name)
{
    struct cm_account *account = *name ? account_of(sched, name) : NULL;
    if (queue->account) {
        queue->account->running -= queue->running;
    }
    if (account) {
        account->running += queue->running;
    }
    queue->account = account;
}

void cm_queue_configure(struct cm_queue *queue, const struct cm_queue_options *options)
{
    queue->options = *options;
    if (queue->options.limit < 1) {
        queue->options.limit = 1;
    }
    if (!queue->average_ms) {
        queue->average_ms = options->cost_ms > 0 ? options->cost_ms : 1;
    }
}

const char *cm_queue_name(const struct cm_queue *queue)
{
    return queue->name;
}

size_t cm_queue_waiting(const struct cm_queue *queue)
{
    return queue->waiting;
}

size_t cm_queue_running(const struct cm_queue *queue)
{
    return queue->running;
}

static int64_t later(int64_t one, int64_t other)
{
    return one > other ? one : other;
}

static int64_t rest_until(const struct cm_queue *queue)
{
    return later(queue->breaker.rest_until_ms, queue->account ? queue->account->breaker.rest_until_ms : 0);
}

int cm_queue_resting(const struct cm_queue *queue, int64_t now_ms)
{
    return rest_until(queue) > now_ms;
}

static enum cm_breaker_state look_at(const struct breaker *breaker, int64_t now_ms, int64_t *until)
{
    *until = breaker->rest_until_ms;
    if (!breaker->rest_until_ms) {
        return CM_BREAKER_CLOSED;
    }
    return breaker->rest_until_ms > now_ms ? CM_BREAKER_OPEN : CM_BREAKER_HALF_OPEN;
}

enum cm_breaker_state cm_queue_breaker(const struct cm_queue *queue, int64_t now_ms, int64_t *until)
{
    return look_at(&queue->breaker, now_ms, until);
}

enum cm_breaker_state cm_queue_account_breaker(const struct cm_queue *queue, int64_t now_ms, int64_t *until)
{
    static const struct breaker none;
    return look_at(queue->account ? &queue->account->breaker : &none, now_ms, until);
}

/* Half open lets one through, and that one is on its way. */
static int is_probing(const struct cm_queue *queue)
{
    const struct cm_account *account = queue->account;
    return (queue->breaker.rest_until_ms && queue->running) ||
           (account && account->breaker.rest_until_ms && account->running);
}

static int64_t wait_until(const struct cm_queue *queue)
{
    return later(queue->wait_until_ms, queue->account ? queue->account->wait_until_ms : 0);
}

int cm_queue_is_away(const struct cm_queue *queue, int64_t now_ms)
{
    int64_t patience_ms = queue->options.patience_ms;
    return cm_queue_resting(queue, now_ms) || (patience_ms > 0 && wait_until(queue) - now_ms > patience_ms);
}

/* A start is allowed from the first whole millisecond after next_start_us. */
static int64_t rate_until(const struct cm_queue *queue)
{
    return (queue->next_start_us + 999) / 1000;
}

enum cm_queue_state cm_queue_look(const struct cm_queue *queue, int64_t now_ms, int64_t *until)
{
    *until = INT64_MAX;
    if (cm_queue_resting(queue, now_ms)) {
        *until = rest_until(queue);
        return CM_QUEUE_RESTING;
    }
    if (is_probing(queue)) {
        return CM_QUEUE_PROBING;
    }
    if (queue->running >= (size_t)queue->options.limit) {
        return CM_QUEUE_FULL;
    }
    if (queue->options.rate_us > 0 && queue->unreleased) {
        return CM_QUEUE_RATE;
    }
    if (wait_until(queue) > now_ms) {
        *until = later(wait_until(queue), rate_until(queue));
        return CM_QUEUE_WAITING;
    }
    if (rate_until(queue) > now_ms) {
        *until = rate_until(queue);
        return CM_QUEUE_RATE;
    }
    *until = now_ms;
    return CM_QUEUE_OPEN;
}

/* ---- Breaker --------------------------------------------------------------------------------- */

static void rest(struct cm_sched *sched, struct breaker *breaker, int64_t now_ms, int64_t first_ms)
{
    int doublings = breaker->rests < REST_DOUBLINGS_MAX ? breaker->rests : REST_DOUBLINGS_MAX;
    int64_t length_ms = (first_ms > 0 ? first_ms : 1) << doublings;
    breaker->rest_until_ms = now_ms + length_ms;
    breaker->rests++;
    breaker->failures = 0;
    sched->breaks++;
}

static void judge(struct cm_sched *sched, struct breaker *breaker, const struct cm_queue_options *options,
                  int64_t now_ms, enum cm_run how)
{
    int half_open = breaker->rest_until_ms && breaker->rest_until_ms <= now_ms;
    if (how == CM_RUN_NEUTRAL || breaker->rest_until_ms > now_ms) {
        return; /* one that began before the rest says nothing new */
    }
    if (how == CM_RUN_GOOD) {
        *breaker = (struct breaker){0};
        return;
    }
    breaker->failures++;
    if (how == CM_RUN_NOSTART) {
        rest(sched, breaker, now_ms, options->breaker_rest_ms / 16);
    } else if (half_open || (options->breaker_failures > 0 && breaker->failures >= options->breaker_failures)) {
        rest(sched, breaker, now_ms, options->breaker_rest_ms);
    }
}

/* A success speaks for both; a failure is the account's or the queue's own. */
static void judge_both(struct cm_sched *sched, struct cm_queue *queue, int64_t now_ms, const struct cm_run_end *end)
{
    int is_account = end->whole_account && queue->account;
    if (end->how == CM_RUN_GOOD || !is_account) {
        judge(sched, &queue->breaker, &queue->options, now_ms, end->how);
    }
    if (queue->account && (end->how == CM_RUN_GOOD || is_account)) {
        judge(sched, &queue->account->breaker, &queue->options, now_ms, end->how);
    }
}

static void wait(struct cm_queue *queue, int64_t until_ms, const struct cm_run_end *end)
{
    int64_t *place = end->whole_account && queue->account ? &queue->account->wait_until_ms : &queue->wait_until_ms;
    *place = later(*place, until_ms);
}

/* ---- Entries --------------------------------------------------------------------------------- */

int64_t cm_sched_key(int64_t ready_ms, int64_t priority, double job_done)
{
    return ready_ms - priority * POINT_MS - (int64_t)(job_done * NEARLY_MS);
}

void cm_sched_add(struct cm_sched *sched, struct cm_queue *queue, struct cm_sched_entry *entry, const char *owner,
                  int64_t key)
{
    cm_assert(!entry->queue);
    entry->owner = owner_of(sched, owner);
    entry->lane = lane_of(entry->owner, queue);
    entry->queue = queue;
    entry->node.key = key;
    entry->node.tie = ++sched->serial;
    entry->node.owner = entry;
    entry->owner->busy++;
    queue->waiting++;
    sched->waiting++;
    cm_heap_add(&entry->lane->entries, &entry->node);
    place_lane(entry->lane);
}

static void take_out(struct cm_sched *sched, struct cm_sched_entry *entry)
{
    cm_heap_remove(&entry->lane->entries, &entry->node);
    place_lane(entry->lane);
    entry->lane = NULL;
    entry->queue->waiting--;
    sched->waiting--;
}

void cm_sched_remove(struct cm_sched *sched, struct cm_sched_entry *entry)
{
    if (!entry->queue || entry->running) {
        return;
    }
    take_out(sched, entry);
    entry->owner->busy--;
    entry->owner = NULL;
    entry->queue = NULL;
}

static void count_running(struct cm_sched *sched, struct cm_queue *queue, int change)
{
    queue->running += (size_t)change;
    sched->running += (size_t)change;
    if (queue->account) {
        queue->account->running += (size_t)change;
    }
}

static struct cm_lane *best_lane(const struct cm_queue *queue, int64_t now_ms)
{
    int64_t until;
    struct cm_heap_node *top = cm_heap_top(&queue->lanes);
    return top && cm_queue_look(queue, now_ms, &until) == CM_QUEUE_OPEN ? top->owner : NULL;
}

struct cm_sched_entry *cm_sched_pick(struct cm_sched *sched, int64_t now_ms)
{
    struct cm_lane *best = NULL;
    if (!sched->waiting) {
        return NULL;
    }
    for (size_t i = 0; i < sched->queue_count; i++) {
        struct cm_lane *lane = cm_sched_has_slot(sched, sched->queues[i]) ? best_lane(sched->queues[i], now_ms) : NULL;
        if (lane && (!best || lane->node.key < best->node.key ||
                     (lane->node.key == best->node.key && lane->node.tie < best->node.tie))) {
            best = lane;
        }
    }
    if (!best) {
        return NULL;
    }
    struct cm_queue *queue = best->queue;
    struct cm_sched_entry *entry = cm_heap_top(&best->entries)->owner;
    take_out(sched, entry);
    entry->running = 1;
    entry->started_ms = now_ms;
    entry->paid_ms = queue->average_ms;
    entry->unreleased = 1;
    entry->takes_slot = !queue->options.elsewhere;
    sched->taken += entry->takes_slot != 0;
    queue->unreleased++;
    count_running(sched, queue, 1);
    queue->next_start_us = now_ms * 1000 + queue->options.rate_us;
    if (entry->owner->paid_us > sched->paid_us) {
        sched->paid_us = entry->owner->paid_us;
    }
    charge(entry->owner, entry->paid_ms);
    return entry;
}

void cm_sched_released(struct cm_sched *sched, struct cm_sched_entry *entry, int64_t now_ms)
{
    (void)sched;
    if (entry->running && entry->unreleased) {
        entry->unreleased = 0;
        entry->queue->unreleased--;
        entry->queue->next_start_us = now_ms * 1000 + entry->queue->options.rate_us;
    }
}

void cm_sched_ended(struct cm_sched *sched, struct cm_sched_entry *entry, int64_t now_ms, const struct cm_run_end *end)
{
    struct cm_queue *queue = entry->queue;
    if (!entry->running) {
        return;
    }
    int64_t length_ms = now_ms > entry->started_ms ? now_ms - entry->started_ms : 0;
    if (end->how == CM_RUN_GOOD) {
        queue->average_ms = (queue->average_ms * 7 + length_ms) / 8 + 1;
    }
    charge(entry->owner, length_ms - entry->paid_ms);
    judge_both(sched, queue, now_ms, end);
    if (end->wait_ms > 0) {
        wait(queue, now_ms + end->wait_ms, end);
        sched->breaks += cm_queue_is_away(queue, now_ms) != 0;
    }
    queue->unreleased -= entry->unreleased != 0;
    entry->unreleased = 0;
    sched->taken -= entry->takes_slot != 0;
    entry->takes_slot = 0;
    count_running(sched, queue, -1);
    entry->owner->busy--;
    entry->owner = NULL;
    entry->queue = NULL;
    entry->running = 0;
}

int64_t cm_sched_next_due(const struct cm_sched *sched, int64_t now_ms)
{
    int64_t first = INT64_MAX;
    for (size_t i = 0; i < sched->queue_count; i++) {
        int64_t until;
        if (sched->queues[i]->waiting && cm_sched_has_slot(sched, sched->queues[i])) {
            cm_queue_look(sched->queues[i], now_ms, &until);
            first = until < first ? until : first;
        }
    }
    return first;
}

void cm_sched_free(struct cm_sched *sched)
{
    for (size_t i = 0; i < sched->owners.room; i++) {
        if (sched->owners.entries[i].value) {
            free_owner(sched->owners.entries[i].value);
        }
    }
    cm_index_free(&sched->owners);
    for (size_t i = 0; i < sched->queue_count; i++) {
        cm_heap_free(&sched->queues[i]->lanes);
        free(sched->queues[i]->name);
        free(sched->queues[i]);
    }
    for (size_t i = 0; i < sched->account_count; i++) {
        free(sched->accounts[i]->name);
        free(sched->accounts[i]);
    }
    forget_weights(sched);
    free(sched->accounts);
    free(sched->queues);
    free(sched);
}
