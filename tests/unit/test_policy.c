/*
 * The verdict table, row by row: what an attempt ended in, and what comes of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <clipmaker/plugin.h>

#include "core/common/text.h"
#include "core/daemon/engine/policy.h"
#include "core/daemon/engine/route.h"
#include "core/daemon/store/row.h"
#include <string.h>

#define NOW 1000000000
#define LAST 2 /* failed tries with which the next one is the last of three */

struct line {
    const char *what;
    int outcome, reason, scope;
    int tries, has_next;
    enum cm_policy_move move;
    int burns;
};

/* Not a publish, or a publish of which surely nothing is out. */
static const struct line plain[] = {
    {"ok", CM_OK, 0, 0, 0, 0, CM_POLICY_SUCCEED, 0},
    {"again, tries left", CM_AGAIN, CM_REASON_NETWORK, 0, 0, 1, CM_POLICY_AGAIN, 1},
    {"again, none left, next", CM_AGAIN, CM_REASON_NETWORK, 0, LAST, 1, CM_POLICY_NEXT, 1},
    {"again, none left, no next", CM_AGAIN, CM_REASON_NETWORK, 0, LAST, 0, CM_POLICY_FAIL, 1},
    {"rate burns no try", CM_AGAIN, CM_REASON_RATE, 0, LAST, 0, CM_POLICY_AGAIN, 0},
    {"processing burns no try", CM_AGAIN, CM_REASON_PROCESSING, 0, LAST, 1, CM_POLICY_AGAIN, 0},
    {"cannot, next", CM_CANNOT, CM_REASON_QUOTA, 0, 0, 1, CM_POLICY_NEXT, 1},
    {"cannot, no next", CM_CANNOT, CM_REASON_QUOTA, 0, 0, 0, CM_POLICY_FAIL, 1},
    {"hold of the instance, next", CM_HOLD, CM_REASON_AUTH, CM_SCOPE_INSTANCE, 0, 1, CM_POLICY_NEXT, 0},
    {"hold of the instance, no next", CM_HOLD, CM_REASON_AUTH, CM_SCOPE_INSTANCE, 0, 0, CM_POLICY_HOLD, 0},
    {"hold of the item, next", CM_HOLD, CM_REASON_AUTH, CM_SCOPE_ITEM, 0, 1, CM_POLICY_HOLD, 0},
    {"hold, last try", CM_HOLD, CM_REASON_AUTH, CM_SCOPE_ITEM, LAST, 0, CM_POLICY_HOLD, 0},
    {"reject", CM_REJECT, CM_REASON_NO_SPEECH, 0, 0, 1, CM_POLICY_FAIL, 1},
    {"unsure outside publish", CM_UNSURE, 0, 0, 0, 1, CM_POLICY_AGAIN, 1},
    {"crashed, first", CM_OUTCOME_CRASHED, 0, 0, 0, 1, CM_POLICY_AGAIN, 1},
    {"crashed, none left, next", CM_OUTCOME_CRASHED, 0, 0, LAST, 1, CM_POLICY_NEXT, 1},
    {"crashed, none left, no next", CM_OUTCOME_CRASHED, 0, 0, LAST, 0, CM_POLICY_FAIL, 1},
    {"timeout, first", CM_OUTCOME_TIMEOUT, 0, 0, 0, 1, CM_POLICY_AGAIN, 1},
    {"timeout, none left", CM_OUTCOME_TIMEOUT, 0, 0, LAST, 0, CM_POLICY_FAIL, 1},
    {"lost burns no try", CM_OUTCOME_LOST, 0, 0, LAST, 0, CM_POLICY_AGAIN, 0},
    {"nostart, next", CM_OUTCOME_NOSTART, 0, 0, 0, 1, CM_POLICY_NEXT, 1},
    {"nostart, no next", CM_OUTCOME_NOSTART, 0, 0, 0, 0, CM_POLICY_AGAIN, 1},
    {"nostart, no next, none left", CM_OUTCOME_NOSTART, 0, 0, LAST, 0, CM_POLICY_FAIL, 1},
    {"interrupted", CM_OUTCOME_INTERRUPTED, 0, 0, LAST, 0, CM_POLICY_AT_ONCE, 0},
    {"killed, but the job goes on", CM_OUTCOME_CANCELLED, 0, 0, LAST, 0, CM_POLICY_AT_ONCE, 0},
    {"an outcome nobody knows", 77, 0, 0, 0, 0, CM_POLICY_FAIL, 1},
};

static struct cm_policy_case new_case(struct cm_done *done)
{
    return (struct cm_policy_case){
        .done = done,
        .tries_max = 3,
        .now_ms = NOW,
        .sent_ms = NOW,
        .settle_ms = 60000,
        .backoff_base_ms = 2000,
        .backoff_max_ms = 300000,
    };
}

static void check_line(const struct line *line, int publish)
{
    struct cm_done done = {.outcome = line->outcome, .reason = line->reason, .scope = line->scope};
    struct cm_policy_case about = new_case(&done);
    about.tries = line->tries;
    about.has_next = line->has_next;
    about.publish = publish;
    struct cm_decision decision = cm_policy_decide(&about, 12345);
    if (decision.move != line->move || decision.burns_try != line->burns) {
        print_error("%s: move %d, burns %d\n", line->what, decision.move, decision.burns_try);
        fail();
    }
    if (decision.move == CM_POLICY_AGAIN) {
        assert_in_range(decision.due_ms, NOW, NOW + 300000);
    }
    if (publish && decision.move != CM_POLICY_SUCCEED) {
        assert_int_equal(decision.effect, CM_POLICY_EFFECT_ABSENT);
    }
}

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        check_line(&plain[i], 0);
        if (plain[i].outcome != CM_UNSURE) {
            check_line(&plain[i], 1);
        }
    }
}

static void test_once_more(void **state)
{
    (void)state;
    struct cm_done done = {.outcome = CM_OUTCOME_CRASHED};
    struct cm_policy_case about = new_case(&done);
    about.tries_max = 10;
    about.tries = about.crashes = about.link_crashes = 1;
    about.has_next = 1;
    assert_int_equal(cm_policy_decide(&about, 0).move, CM_POLICY_NEXT);
    about.has_next = 0;
    assert_int_equal(cm_policy_decide(&about, 0).move, CM_POLICY_FAIL);
    about.publish = 1; /* before sending it is simply tried again */
    assert_int_equal(cm_policy_decide(&about, 0).move, CM_POLICY_AGAIN);
    about.crashes = 2; /* the third crash: a person looks first */
    struct cm_decision decision = cm_policy_decide(&about, 0);
    assert_int_equal(decision.move, CM_POLICY_HOLD);
    assert_int_equal(decision.held_by, CM_HELD_PLUGIN);
}

static void test_losses_have_a_ceiling(void **state)
{
    (void)state;
    struct cm_done done = {.outcome = CM_OUTCOME_LOST};
    struct cm_policy_case about = new_case(&done);
    about.losses = CM_POLICY_LOSSES_MAX - 1;
    assert_int_equal(cm_policy_decide(&about, 0).burns_try, 0);
    about.losses = CM_POLICY_LOSSES_MAX;
    assert_int_equal(cm_policy_decide(&about, 0).burns_try, 1);
}

static void test_waits_have_a_ceiling(void **state)
{
    (void)state;
    struct cm_done done = {.outcome = CM_AGAIN, .reason = CM_REASON_PROCESSING};
    struct cm_policy_case about = new_case(&done);
    about.tries = LAST;
    about.waits = CM_POLICY_WAITS_MAX - 1;
    assert_int_equal(cm_policy_decide(&about, 0).move, CM_POLICY_AGAIN);
    about.waits = CM_POLICY_WAITS_MAX;
    assert_int_equal(cm_policy_decide(&about, 0).move, CM_POLICY_FAIL);
}

static void test_delays(void **state)
{
    (void)state;
    struct cm_done done = {.outcome = CM_AGAIN, .reason = CM_REASON_RATE, .delay_ms = 200000};
    struct cm_policy_case about = new_case(&done);
    assert_true(cm_policy_decide(&about, 7).due_ms >= NOW + 200000);
    done.delay_ms = 3600000; /* longer than we ever wait by ourselves: another does it sooner */
    about.has_next = 1;
    assert_int_equal(cm_policy_decide(&about, 7).move, CM_POLICY_NEXT);
    about.has_next = 0;
    assert_int_equal(cm_policy_decide(&about, 7).due_ms, NOW + 3600000);
    done.delay_ms = INT64_MAX;
    assert_int_equal(cm_policy_decide(&about, 7).due_ms, NOW + CM_POLICY_DELAY_MAX_MS);
    done.delay_ms = -5;
    assert_true(cm_policy_decide(&about, 7).due_ms >= NOW);
}

static void test_backoff(void **state)
{
    (void)state;
    int64_t most[40] = {0};
    for (uint64_t random = 0; random < 200000; random += 37) {
        for (int64_t failures = 0; failures < 40; failures++) {
            int64_t delay = cm_policy_backoff(2000, 300000, failures, random * 2654435761u);
            assert_in_range(delay, 200, 300000);
            most[failures] = delay > most[failures] ? delay : most[failures];
        }
    }
    assert_true(most[1] <= 2000 && most[1] > 1800);
    assert_true(most[2] <= 4000 && most[2] > 3600);
    assert_true(most[39] > 280000);
}

static void test_who_else_waits(void **state)
{
    (void)state;
    struct cm_done done = {.outcome = CM_AGAIN, .reason = CM_REASON_RATE, .scope = CM_SCOPE_KEY, .delay_ms = 5000};
    struct cm_policy_case about = new_case(&done);
    struct cm_decision decision = cm_policy_decide(&about, 0);
    assert_int_equal(decision.instance_wait_ms, 5000);
    assert_int_equal(decision.instance_failed, 0);
    done.scope = CM_SCOPE_ITEM;
    assert_int_equal(cm_policy_decide(&about, 0).instance_wait_ms, 0);
    done = (struct cm_done){.outcome = CM_AGAIN, .reason = CM_REASON_UNAVAILABLE, .scope = CM_SCOPE_INSTANCE};
    assert_int_equal(cm_policy_decide(&about, 0).instance_failed, 1);
    done = (struct cm_done){.outcome = CM_OUTCOME_NOSTART};
    assert_int_equal(cm_policy_decide(&about, 0).throttle, 1);
}

static void test_holds(void **state)
{
    (void)state;
    assert_int_equal(cm_policy_hold(CM_REASON_RESOURCE), CM_HELD_RESOURCE);
    assert_int_equal(cm_policy_hold(CM_REASON_AUTH), CM_HELD_AUTH);
    assert_int_equal(cm_policy_hold(CM_REASON_POLICY), CM_HELD_POLICY);
    assert_int_equal(cm_policy_hold(CM_REASON_QUOTA), CM_HELD_BUDGET);
    assert_int_equal(cm_policy_hold(CM_REASON_OPERATOR), CM_HELD_OPERATOR);
    assert_int_equal(cm_policy_hold(0), CM_HELD_OPERATOR);
}

/* ---- Settling -------------------------------------------------------------------------------- */

static struct cm_policy_case ambiguous_case(struct cm_done *done, uint32_t settle)
{
    struct cm_policy_case about = new_case(done);
    about.publish = about.ambiguous = 1;
    about.settle = settle;
    about.can_find = (settle & CM_SETTLE_SEARCH) != 0;
    return about;
}

static void test_ambiguous(void **state)
{
    (void)state;
    static const int outcomes[] = {CM_UNSURE,       CM_OUTCOME_CRASHED,     CM_OUTCOME_TIMEOUT,
                                   CM_OUTCOME_LOST, CM_OUTCOME_INTERRUPTED, CM_OUTCOME_CANCELLED};
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
        struct cm_done done = {.outcome = outcomes[i]};
        /* The first loss was our daemon's: looked for at once. */
        int64_t soon = outcomes[i] == CM_OUTCOME_LOST ? CM_POLICY_AT_ONCE : CM_POLICY_AGAIN;
        struct cm_policy_case about = ambiguous_case(&done, CM_SETTLE_NATIVE_KEY);
        struct cm_decision decision = cm_policy_decide(&about, 0);
        assert_int_equal(decision.move, soon);
        assert_int_equal(decision.find, 0); /* resend with the same key */
        assert_int_not_equal(decision.effect, CM_POLICY_EFFECT_ABSENT);
        about = ambiguous_case(&done, CM_SETTLE_PHASES);
        assert_int_equal(cm_policy_decide(&about, 0).find, 0);
        about = ambiguous_case(&done, CM_SETTLE_SEARCH);
        decision = cm_policy_decide(&about, 0);
        assert_int_equal(decision.move, soon);
        assert_int_equal(decision.find, 1);
        about = ambiguous_case(&done, 0);
        decision = cm_policy_decide(&about, 0);
        assert_int_equal(decision.move, CM_POLICY_HOLD);
        assert_int_equal(decision.held_by, CM_HELD_UNCONFIRMED);
        about = ambiguous_case(&done, CM_SETTLE_SEARCH);
        about.cancelled = 1; /* a cancel settles first */
        assert_int_equal(cm_policy_decide(&about, 0).move, soon);
        about.losses = 1;
        assert_int_equal(cm_policy_decide(&about, 0).move, CM_POLICY_AGAIN);
    }
}

static void test_ambiguous_none_left(void **state)
{
    (void)state;
    struct cm_done done = {.outcome = CM_UNSURE};
    struct cm_policy_case about = ambiguous_case(&done, CM_SETTLE_SEARCH);
    about.tries = LAST;
    struct cm_decision decision = cm_policy_decide(&about, 0);
    assert_int_equal(decision.move, CM_POLICY_HOLD);
    assert_int_equal(decision.held_by, CM_HELD_UNCONFIRMED);
    assert_int_equal(decision.effect, CM_POLICY_EFFECT_UNCONFIRMED);
}

/* A definite no after sending() means that nothing is out, unless an earlier attempt is in doubt. */
static void test_definite_no(void **state)
{
    (void)state;
    static const int outcomes[] = {CM_AGAIN, CM_CANNOT, CM_HOLD, CM_REJECT};
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
        struct cm_done done = {.outcome = outcomes[i], .reason = CM_REASON_AUTH};
        struct cm_policy_case about = ambiguous_case(&done, CM_SETTLE_NATIVE_KEY);
        assert_int_equal(cm_policy_decide(&about, 0).effect, CM_POLICY_EFFECT_ABSENT);
        about.settling = 1;
        assert_int_not_equal(cm_policy_decide(&about, 0).effect, CM_POLICY_EFFECT_ABSENT);
        assert_int_not_equal(cm_policy_decide(&about, 0).move, CM_POLICY_FAIL);
    }
}

static void test_unsure_without_sending(void **state)
{
    (void)state;
    struct cm_done done = {.outcome = CM_UNSURE};
    struct cm_policy_case about = ambiguous_case(&done, 0);
    about.ambiguous = 0;
    struct cm_decision decision = cm_policy_decide(&about, 0);
    assert_int_equal(decision.held_by, CM_HELD_UNCONFIRMED);
}

static void test_find(void **state)
{
    (void)state;
    struct cm_done done = {.outcome = CM_OK, .found = CM_FOUND};
    struct cm_policy_case about = ambiguous_case(&done, CM_SETTLE_SEARCH);
    about.settling = about.find = 1;
    struct cm_decision decision = cm_policy_decide(&about, 0);
    assert_int_equal(decision.move, CM_POLICY_SUCCEED);
    assert_int_equal(decision.effect, CM_POLICY_EFFECT_CONFIRM);
    done.found = CM_ABSENT; /* too early to count */
    decision = cm_policy_decide(&about, 0);
    assert_int_equal(decision.counts_absent, 0);
    assert_int_equal(decision.burns_try, 0);
    assert_true(decision.due_ms >= NOW + about.settle_ms);
    about.sent_ms = NOW - about.settle_ms; /* the first that counts */
    decision = cm_policy_decide(&about, 0);
    assert_int_equal(decision.counts_absent, 1);
    assert_int_equal(decision.move, CM_POLICY_AGAIN);
    assert_int_equal(decision.find, 1);
    about.absent = 1; /* the second */
    decision = cm_policy_decide(&about, 0);
    assert_int_equal(decision.move, CM_POLICY_AT_ONCE);
    assert_int_equal(decision.find, 0);
    assert_int_equal(decision.effect, CM_POLICY_EFFECT_ABSENT);
    about.cancelled = 1;
    assert_int_equal(cm_policy_decide(&about, 0).move, CM_POLICY_CANCEL);
    about.cancelled = 0;
    done.found = CM_UNKNOWN; /* burns a try; at the end a person looks */
    assert_int_equal(cm_policy_decide(&about, 0).move, CM_POLICY_AGAIN);
    about.tries = LAST;
    assert_int_equal(cm_policy_decide(&about, 0).held_by, CM_HELD_UNCONFIRMED);
}

static void test_cancelled(void **state)
{
    (void)state;
    struct cm_done done = {.outcome = CM_AGAIN};
    struct cm_policy_case about = new_case(&done);
    about.cancelled = 1;
    assert_int_equal(cm_policy_decide(&about, 0).move, CM_POLICY_CANCEL);
    done.outcome = CM_OK; /* it was faster */
    assert_int_equal(cm_policy_decide(&about, 0).move, CM_POLICY_SUCCEED);
}

/* ---- Routing --------------------------------------------------------------------------------- */

static void test_routes(void **state)
{
    (void)state;
    static const struct {
        const char *language, *languages;
        int has, needs;
        enum cm_route_answer answer;
    } stt[] = {
        {"ru", "ru en", 0, 0, CM_ROUTE_YES},      {"ru", "en", 0, 0, CM_ROUTE_LANGUAGE},
        {"ru", "*", 0, 0, CM_ROUTE_YES},          {"auto", "en", 0, 0, CM_ROUTE_YES},
        {"ru", "*", 0, 1, CM_ROUTE_CAPTIONS},     {"ru", "*", 1, 1, CM_ROUTE_YES},
        {"en", "en-us", 0, 0, CM_ROUTE_LANGUAGE}, {"en", "ru,en", 0, 0, CM_ROUTE_YES},
        {"ru", NULL, 0, 0, CM_ROUTE_LANGUAGE},
    };
    for (size_t i = 0; i < sizeof stt / sizeof *stt; i++) {
        struct cm_instance instance = {
            .stage = CM_STAGE_STT, .languages = stt[i].languages, .needs_captions = stt[i].needs};
        struct cm_route_case about = {CM_STAGE_STT, stt[i].language, "/v", stt[i].has};
        assert_int_equal(cm_route_ask(&about, &instance), stt[i].answer);
    }
    struct cm_instance http = {.stage = CM_STAGE_SOURCE, .schemes = "http https"};
    struct cm_instance file = {.stage = CM_STAGE_SOURCE, .schemes = "file"};
    struct cm_route_case about = {CM_STAGE_SOURCE, "auto", "https://x/y.mp4", 0};
    assert_int_equal(cm_route_ask(&about, &http), CM_ROUTE_YES);
    assert_int_equal(cm_route_ask(&about, &file), CM_ROUTE_SCHEME);
    about.source = "/a://b.mp4";
    assert_int_equal(cm_route_ask(&about, &http), CM_ROUTE_SCHEME);
    assert_int_equal(cm_route_ask(&about, &file), CM_ROUTE_YES);
    about.stage = CM_STAGE_RENDER;
    assert_int_equal(cm_route_ask(&about, &file), CM_ROUTE_STAGE);
}

static void test_route_words(void **state)
{
    (void)state;
    int reason = 0;
    struct cm_route_case about = {CM_STAGE_STT, "ru", "ftp://x", 0};
    char *words = cm_route_words(&about, CM_ROUTE_LANGUAGE, &reason);
    assert_int_equal(reason, CM_REASON_LANGUAGE);
    assert_non_null(strstr(words, "Russian"));
    assert_non_null(strstr(words, "--captions FILE"));
    assert_non_null(strstr(words, "--lang en"));
    free(words);
    words = cm_route_words(&about, CM_ROUTE_SCHEME, &reason);
    assert_int_equal(reason, CM_REASON_UNSUPPORTED);
    assert_non_null(strstr(words, "\"ftp\""));
    free(words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_once_more),
        cmocka_unit_test(test_losses_have_a_ceiling),
        cmocka_unit_test(test_waits_have_a_ceiling),
        cmocka_unit_test(test_delays),
        cmocka_unit_test(test_backoff),
        cmocka_unit_test(test_who_else_waits),
        cmocka_unit_test(test_holds),
        cmocka_unit_test(test_ambiguous),
        cmocka_unit_test(test_ambiguous_none_left),
        cmocka_unit_test(test_definite_no),
        cmocka_unit_test(test_unsure_without_sending),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_route_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
