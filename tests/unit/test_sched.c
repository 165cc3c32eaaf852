/*
 * The scheduler: limits, exact rates, the breaker, fair share, priority with ageing, and that
 * nobody starves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/common/text.h"
#include "core/daemon/engine/heap.h"
#include "core/daemon/engine/index.h"
#include "core/daemon/engine/sched.h"

static struct cm_queue *new_queue(struct cm_sched *sched, const char *name, int limit, int64_t rate_us)
{
    struct cm_queue_options options = {limit, rate_us, 3, 1000, 100, 0, 0};
    struct cm_queue *queue = cm_sched_queue(sched, name);
    cm_queue_configure(queue, &options);
    return queue;
}

static void end(struct cm_sched *sched, struct cm_sched_entry *entry, int64_t now_ms, enum cm_run how)
{
    cm_sched_released(sched, entry, entry->started_ms);
    cm_sched_ended(sched, entry, now_ms, &(struct cm_run_end){.how = how});
}

/* Who waits for another machine runs however full this one is, up to its own limit. */
static void test_work_elsewhere_takes_no_slot(void **state)
{
    (void)state;
    struct cm_sched *sched = cm_sched_new(1);
    struct cm_queue *here = new_queue(sched, "here", 5, 0), *away = cm_sched_queue(sched, "away");
    struct cm_queue_options options = {.limit = 2, .cost_ms = 100, .elsewhere = 1};
    struct cm_sched_entry entries[6] = {0};
    cm_queue_configure(away, &options);
    for (int i = 0; i < 6; i++) {
        cm_sched_add(sched, i < 3 ? here : away, &entries[i], "o", i);
    }
    assert_ptr_equal(cm_sched_pick(sched, 0), &entries[0]);
    assert_true(cm_sched_full(sched));
    assert_ptr_equal(cm_sched_pick(sched, 0), &entries[3]);
    assert_int_equal(cm_sched_next_due(sched, 0), 0);
    assert_ptr_equal(cm_sched_pick(sched, 0), &entries[4]);
    assert_null(cm_sched_pick(sched, 0)); /* its limit, and the slot is taken */
    assert_int_equal(cm_sched_next_due(sched, 0), INT64_MAX);
    end(sched, &entries[3], 5, CM_RUN_GOOD);
    assert_ptr_equal(cm_sched_pick(sched, 5), &entries[5]);
    options.elsewhere = 0; /* a new config, while two of them run */
    cm_queue_configure(away, &options);
    end(sched, &entries[4], 6, CM_RUN_GOOD);
    end(sched, &entries[5], 6, CM_RUN_GOOD);
    assert_true(cm_sched_full(sched));
    end(sched, &entries[0], 7, CM_RUN_GOOD);
    assert_false(cm_sched_full(sched));
    assert_ptr_equal(cm_sched_pick(sched, 7), &entries[1]);
    assert_true(cm_sched_full(sched));
    cm_sched_free(sched);
}

static void test_limits(void **state)
{
    (void)state;
    struct cm_sched *sched = cm_sched_new(3);
    struct cm_queue *one = new_queue(sched, "one", 2, 0), *two = new_queue(sched, "two", 5, 0);
    struct cm_sched_entry entries[8] = {0}, *picked[3];
    for (int i = 0; i < 8; i++) {
        cm_sched_add(sched, i < 4 ? one : two, &entries[i], "o", i);
    }
    for (int i = 0; i < 3; i++) {
        picked[i] = cm_sched_pick(sched, 0);
        assert_non_null(picked[i]);
    }
    assert_ptr_equal(picked[0], &entries[0]);
    assert_ptr_equal(picked[1], &entries[1]);
    assert_ptr_equal(picked[2], &entries[4]); /* the first queue is full */
    assert_null(cm_sched_pick(sched, 0));     /* and now the slots are */
    assert_true(cm_sched_full(sched));
    end(sched, picked[2], 5, CM_RUN_GOOD);
    assert_ptr_equal(cm_sched_pick(sched, 5), &entries[5]);
    cm_sched_remove(sched, &entries[6]);
    cm_sched_remove(sched, &entries[6]);
    assert_int_equal(cm_sched_waiting(sched), 3);
    assert_int_equal(cm_queue_running(one), 2);
    cm_sched_free(sched);
}

/* Never more than the rate in any second, and not a millisecond later than it allows. */
static void test_rate(void **state)
{
    (void)state;
    struct cm_sched *sched = cm_sched_new(100);
    struct cm_queue *queue = new_queue(sched, "q", 100, 200000);
    struct cm_sched_entry entries[20] = {0};
    int64_t starts[20], now_ms = 0;
    for (int i = 0; i < 20; i++) {
        cm_sched_add(sched, queue, &entries[i], "o", i);
    }
    for (int i = 0; i < 20; i++) {
        int64_t due_ms = cm_sched_next_due(sched, now_ms);
        assert_true(due_ms < INT64_MAX);
        if (due_ms > now_ms) {
            assert_null(cm_sched_pick(sched, due_ms - 1));
            now_ms = due_ms;
        }
        struct cm_sched_entry *entry = cm_sched_pick(sched, now_ms);
        assert_non_null(entry);
        assert_null(cm_sched_pick(sched, now_ms + 5000)); /* its start is not durable yet */
        now_ms += i % 3 * 50;                             /* a slow commit */
        cm_sched_released(sched, entry, now_ms);
        starts[i] = now_ms;
        if (i > 0) {
            assert_true(starts[i] - starts[i - 1] >= 200);
            assert_true(starts[i] - starts[i - 1] <= 300);
        }
    }
    cm_sched_free(sched);
}

static void test_breaker(void **state)
{
    (void)state;
    struct cm_sched *sched = cm_sched_new(10);
    struct cm_queue *queue = new_queue(sched, "q", 2, 0);
    struct cm_sched_entry entries[20] = {0};
    int64_t until;
    for (int i = 0; i < 20; i++) {
        cm_sched_add(sched, queue, &entries[i], "o", i);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cm_queue_look(queue, 0, &until), CM_QUEUE_OPEN);
        end(sched, cm_sched_pick(sched, 0), 0, CM_RUN_FAILED);
    }
    assert_int_equal(cm_queue_look(queue, 0, &until), CM_QUEUE_RESTING);
    assert_int_equal(until, 1000);
    assert_null(cm_sched_pick(sched, 999));
    assert_int_equal(cm_sched_next_due(sched, 0), 1000);
    struct cm_sched_entry *probe = cm_sched_pick(sched, 1000);
    assert_non_null(probe);
    assert_null(cm_sched_pick(sched, 1000)); /* half open: one only */
    end(sched, probe, 1100, CM_RUN_FAILED);
    assert_null(cm_sched_pick(sched, 3099)); /* twice as long */
    probe = cm_sched_pick(sched, 3100);
    assert_non_null(probe);
    end(sched, probe, 3200, CM_RUN_NEUTRAL); /* says nothing: still half open */
    probe = cm_sched_pick(sched, 3200);
    assert_null(cm_sched_pick(sched, 3200));
    end(sched, probe, 3300, CM_RUN_GOOD);
    assert_non_null(cm_sched_pick(sched, 3300));
    assert_non_null(cm_sched_pick(sched, 3300));
    assert_int_equal(cm_sched_breaks(sched), 2);
    cm_sched_free(sched);
}

static void test_nostart_rests_at_once(void **state)
{
    (void)state;
    struct cm_sched *sched = cm_sched_new(10);
    struct cm_queue *queue = new_queue(sched, "q", 2, 0);
    struct cm_sched_entry entries[2] = {0};
    cm_sched_add(sched, queue, &entries[0], "o", 0);
    cm_sched_add(sched, queue, &entries[1], "o", 1);
    end(sched, cm_sched_pick(sched, 0), 0, CM_RUN_NOSTART);
    assert_null(cm_sched_pick(sched, 0));
    assert_true(cm_queue_resting(queue, 0));
    assert_non_null(cm_sched_pick(sched, 1000));
    cm_sched_free(sched);
}

static void test_a_long_wait_sends_others_away(void **state)
{
    (void)state;
    static const struct cm_run_end borne = {CM_RUN_GOOD, 500, 0}, too_long = {CM_RUN_GOOD, 501, 0};
    struct cm_sched *sched = cm_sched_new(10);
    struct cm_queue *queue = cm_sched_queue(sched, "q");
    struct cm_sched_entry entries[3] = {0};
    cm_queue_configure(queue, &(struct cm_queue_options){.limit = 1, .patience_ms = 500});
    for (int i = 0; i < 3; i++) {
        cm_sched_add(sched, queue, &entries[i], "o", i);
    }
    cm_sched_ended(sched, cm_sched_pick(sched, 0), 0, &borne);
    assert_false(cm_queue_is_away(queue, 0));
    assert_int_equal(cm_sched_breaks(sched), 0);
    cm_sched_ended(sched, cm_sched_pick(sched, 500), 500, &too_long);
    assert_true(cm_queue_is_away(queue, 500));
    assert_false(cm_queue_is_away(queue, 501)); /* what is left of it can be borne */
    assert_int_equal(cm_sched_breaks(sched), 1);
    assert_false(cm_queue_resting(queue, 500)); /* it is not broken */
    cm_sched_free(sched);
}

static void test_asked_to_wait(void **state)
{
    (void)state;
    struct cm_sched *sched = cm_sched_new(10);
    struct cm_queue *queue = new_queue(sched, "q", 2, 0);
    struct cm_sched_entry entries[2] = {0};
    cm_sched_add(sched, queue, &entries[0], "o", 0);
    cm_sched_add(sched, queue, &entries[1], "o", 1);
    cm_sched_ended(sched, cm_sched_pick(sched, 0), 10, &(struct cm_run_end){CM_RUN_GOOD, 500, 0});
    assert_null(cm_sched_pick(sched, 509));
    assert_int_equal(cm_sched_next_due(sched, 10), 510);
    assert_non_null(cm_sched_pick(sched, 510));
    cm_sched_free(sched);
}

/* One owner with a thousand tasks, one with ten that come later: they take turns. */
static void test_fair_share(void **state)
{
    (void)state;
    struct cm_sched *sched = cm_sched_new(1);
    struct cm_queue *queue = new_queue(sched, "q", 1, 0);
    struct cm_sched_entry *entries = cm_alloc(1010 * sizeof *entries);
    int64_t now_ms = 0;
    int small = 0;
    for (int i = 0; i < 1000; i++) {
        cm_sched_add(sched, queue, &entries[i], "big", i);
    }
    for (int i = 0; i < 50; i++, now_ms += 100) {
        end(sched, cm_sched_pick(sched, now_ms), now_ms + 100, CM_RUN_GOOD);
    }
    for (int i = 1000; i < 1010; i++) {
        cm_sched_add(sched, queue, &entries[i], "small", 100000 + i);
    }
    for (int i = 0; i < 22; i++, now_ms += 100) {
        struct cm_sched_entry *entry = cm_sched_pick(sched, now_ms);
        small += entry >= entries + 1000;
        end(sched, entry, now_ms + 100, CM_RUN_GOOD);
    }
    assert_int_equal(small, 10);
    cm_sched_free(sched);
    free(entries);
}

/* Who takes ten times as long gets a tenth of the starts. */
static void test_share_is_by_time(void **state)
{
    (void)state;
    struct cm_sched *sched = cm_sched_new(1);
    struct cm_queue *queue = new_queue(sched, "q", 1, 0);
    struct cm_sched_entry *entries = cm_alloc(2000 * sizeof *entries);
    int64_t now_ms = 0, time[2] = {0};
    for (int i = 0; i < 2000; i++) {
        cm_sched_add(sched, queue, &entries[i], i < 1000 ? "slow" : "quick", i);
    }
    for (int i = 0; i < 500; i++) {
        struct cm_sched_entry *entry = cm_sched_pick(sched, now_ms);
        int quick = entry >= entries + 1000;
        now_ms += quick ? 100 : 1000;
        time[quick] += quick ? 100 : 1000;
        end(sched, entry, now_ms, CM_RUN_GOOD);
    }
    assert_in_range(time[0] * 100 / (time[0] + time[1]), 45, 55);
    cm_sched_free(sched);
    free(entries);
}

/* Three owners of weights 1, 2 and 5 who all want everything: 1, 2 and 5 eighths of the time. */
static void test_share_is_by_weight(void **state)
{
    (void)state;
    static const struct cm_owner_weight weights[] = {{"two", 2}, {"five", 5}};
    static const char *const names[] = {"one", "two", "five"};
    struct cm_sched *sched = cm_sched_new(2);
    struct cm_queue *queue = new_queue(sched, "q", 2, 0);
    struct cm_sched_entry *entries = cm_alloc(3000 * sizeof *entries);
    int64_t now_ms = 0;
    int starts[3] = {0};
    cm_sched_set_weights(sched, weights, 2);
    for (int i = 0; i < 3000; i++) {
        cm_sched_add(sched, queue, &entries[i], names[i / 1000], i);
    }
    for (int i = 0; i < 800; i++, now_ms += 7) {
        struct cm_sched_entry *entry = cm_sched_pick(sched, now_ms);
        starts[(entry - entries) / 1000]++;
        end(sched, entry, now_ms + 7, CM_RUN_GOOD);
    }
    assert_in_range(starts[0], 90, 110);
    assert_in_range(starts[1], 190, 210);
    assert_in_range(starts[2], 490, 510);
    cm_sched_set_weights(sched, NULL, 0); /* and equal again */
    memset(starts, 0, sizeof starts);
    for (int i = 0; i < 300; i++, now_ms += 7) {
        struct cm_sched_entry *entry = cm_sched_pick(sched, now_ms);
        starts[(entry - entries) / 1000]++;
        end(sched, entry, now_ms + 7, CM_RUN_GOOD);
    }
    assert_in_range(starts[0], 95, 105);
    assert_in_range(starts[2], 95, 105);
    cm_sched_free(sched);
    free(entries);
}

/* Two instances of one account rest and wait together; what is the instance's own stays its own. */
static void test_accounts(void **state)
{
    (void)state;
    static const struct cm_run_end bad = {CM_RUN_FAILED, 0, 1}, slow = {CM_RUN_GOOD, 300, 1},
                                   good = {CM_RUN_GOOD, 0, 0};
    struct cm_sched *sched = cm_sched_new(10);
    struct cm_queue *one = new_queue(sched, "one", 4, 0), *two = new_queue(sched, "two", 4, 0);
    struct cm_queue *other = new_queue(sched, "other", 4, 0);
    struct cm_sched_entry entries[30] = {0};
    int64_t until;
    cm_queue_set_account(sched, one, "shop");
    cm_queue_set_account(sched, two, "shop");
    for (int i = 0; i < 30; i++) {
        cm_sched_add(sched, i % 2 ? two : one, &entries[i], "o", i);
    }
    for (int i = 0; i < 3; i++) {
        cm_sched_ended(sched, cm_sched_pick(sched, 0), 0, &bad);
    }
    assert_null(cm_sched_pick(sched, 999));
    assert_true(cm_queue_resting(one, 0) && cm_queue_resting(two, 0) && !cm_queue_resting(other, 0));
    assert_int_equal(cm_queue_breaker(one, 0, &until), CM_BREAKER_CLOSED);
    assert_int_equal(cm_queue_account_breaker(two, 0, &until), CM_BREAKER_OPEN);
    assert_int_equal(until, 1000);
    assert_int_equal(cm_queue_account_breaker(other, 0, &until), CM_BREAKER_CLOSED);
    struct cm_sched_entry *probe = cm_sched_pick(sched, 1000);
    assert_non_null(probe);
    assert_int_equal(cm_queue_account_breaker(one, 1000, &until), CM_BREAKER_HALF_OPEN);
    assert_null(cm_sched_pick(sched, 1000)); /* one probe for both */
    cm_sched_ended(sched, probe, 1100, &good);
    probe = cm_sched_pick(sched, 1100);
    assert_non_null(probe);
    cm_sched_ended(sched, probe, 1100, &slow);
    assert_null(cm_sched_pick(sched, 1399));
    assert_int_equal(cm_sched_next_due(sched, 1100), 1400);
    probe = cm_sched_pick(sched, 1400);
    assert_non_null(probe);
    cm_queue_set_account(sched, one, ""); /* a reload */
    cm_queue_set_account(sched, two, "");
    cm_sched_ended(sched, probe, 1500, &bad); /* without an account it is the instance's */
    assert_int_equal(cm_queue_account_breaker(one, 1500, &until), CM_BREAKER_CLOSED);
    cm_sched_free(sched);
}

/* Higher priority first, but a stream of it does not hold up the rest for ever. */
static void test_nobody_starves(void **state)
{
    (void)state;
    struct cm_sched *sched = cm_sched_new(1);
    struct cm_queue *queue = new_queue(sched, "q", 1, 0);
    struct cm_sched_entry *entries = cm_alloc(5000 * sizeof *entries), patient = {0};
    int64_t now_ms = 0, waited = -1;
    cm_sched_add(sched, queue, &patient, "o", cm_sched_key(0, -10, 0));
    for (int i = 0; i < 5000; i++, now_ms += 1000) {
        cm_sched_add(sched, queue, &entries[i], "o", cm_sched_key(now_ms, 10, 0));
        struct cm_sched_entry *entry = cm_sched_pick(sched, now_ms);
        if (entry == &patient) {
            waited = now_ms;
            break;
        }
        end(sched, entry, now_ms + 1000, CM_RUN_GOOD);
    }
    assert_in_range(waited, 19 * 60000, 21 * 60000); /* twenty points: twenty minutes */
    cm_sched_free(sched);
    free(entries);
}

static void test_nearly_done_first(void **state)
{
    (void)state;
    assert_true(cm_sched_key(1000, 0, 0.9) < cm_sched_key(0, 0, 0.1));
    assert_true(cm_sched_key(1000, 1, 0) < cm_sched_key(0, 0, 0));
    assert_true(cm_sched_key(0, 0, 0) < cm_sched_key(700000, 0, 1.0)); /* but it does not overtake for ever */
}

static void test_many_owners(void **state)
{
    (void)state;
    struct cm_sched *sched = cm_sched_new(1);
    struct cm_queue *queue = new_queue(sched, "q", 1, 0);
    struct cm_sched_entry entry = {0};
    char name[32];
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "owner%d", i);
        cm_sched_add(sched, queue, &entry, name, i);
        end(sched, cm_sched_pick(sched, i), i, CM_RUN_GOOD);
    }
    assert_int_equal(cm_sched_running(sched), 0);
    assert_int_equal(cm_sched_waiting(sched), 0);
    cm_sched_free(sched);
}

/* ---- Heap and index under them --------------------------------------------------------------- */

static void test_heap(void **state)
{
    (void)state;
    struct cm_heap heap = {0};
    struct cm_heap_node nodes[500] = {{0}};
    unsigned random = 1;
    for (int i = 0; i < 500; i++) {
        random = random * 1103515245 + 12345;
        nodes[i].key = random >> 16 & 0xff;
        nodes[i].tie = i;
        cm_heap_add(&heap, &nodes[i]);
    }
    for (int i = 0; i < 500; i += 3) {
        cm_heap_remove(&heap, &nodes[i]);
        cm_heap_remove(&heap, &nodes[i]);
    }
    for (int i = 1; i < 500; i += 3) {
        cm_heap_move(&heap, &nodes[i], 1000 - nodes[i].key, i);
    }
    int64_t key = INT64_MIN, tie = INT64_MIN;
    size_t count = 0;
    for (struct cm_heap_node *top; (top = cm_heap_top(&heap)); count++) {
        assert_true(top->key > key || (top->key == key && top->tie > tie));
        key = top->key;
        tie = top->tie;
        cm_heap_remove(&heap, top);
    }
    assert_int_equal(count, 333);
    cm_heap_free(&heap);
}

static void test_index(void **state)
{
    (void)state;
    struct cm_index index = {0};
    char names[1000][8];
    assert_null(cm_index_get(&index, "none"));
    cm_index_remove(&index, "none");
    for (int i = 0; i < 1000; i++) {
        snprintf(names[i], sizeof names[i], "k%d", i);
        cm_index_put(&index, names[i], names[i]);
    }
    for (int i = 0; i < 1000; i += 2) {
        cm_index_remove(&index, names[i]);
    }
    for (int i = 0; i < 1000; i++) {
        assert_ptr_equal(cm_index_get(&index, names[i]), i % 2 ? names[i] : NULL);
    }
    assert_int_equal(index.count, 500);
    cm_index_free(&index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_work_elsewhere_takes_no_slot),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_breaker),
        cmocka_unit_test(test_nostart_rests_at_once),
        cmocka_unit_test(test_a_long_wait_sends_others_away),
        cmocka_unit_test(test_asked_to_wait),
        cmocka_unit_test(test_fair_share),
        cmocka_unit_test(test_share_is_by_time),
        cmocka_unit_test(test_share_is_by_weight),
        cmocka_unit_test(test_accounts),
        cmocka_unit_test(test_nobody_starves),
        cmocka_unit_test(test_nearly_done_first),
        cmocka_unit_test(test_many_owners),
        cmocka_unit_test(test_heap),
        cmocka_unit_test(test_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
