/*
 * What calls cost: price lists, the calculation on them, the rows of calls and the sums over those.
 */
#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/common/file.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/daemon/config/complaints.h"
#include "core/daemon/config/prices.h"
#include "core/daemon/run/calls.h"
#include "core/daemon/store/costs.h"

static struct cm_complaints complaints;

static struct cm_price_list *read_text(const char *text)
{
    char path[] = "/tmp/clipmaker-prices-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    cm_complaints_free(&complaints);
    complaints = (struct cm_complaints){0};
    struct cm_price_list *list = cm_prices_read(path, "test", &complaints);
    unlink(path);
    return list;
}

static const char roubles[] =
    "currency = \"RUB\";\n"
    "prices: (\n"
    "  { model = \"m\"; in = 20.74; out = 61; as_of = \"2026-04\"; },\n"
    "  { model = \"long\"; in = 1; out = 2; over = 1000; over_in = 3; over_out = 4; as_of = \"x\"; },\n"
    "  { model = \"ear\"; second = 0.0061; as_of = \"2026-01\"; },\n"
    "  { model = \"both\"; in = 1; out = 1; minute = 0.6; as_of = \"2026-01\"; }\n"
    ");\n";
static const char dollars[] = "currency = \"USD\";\n"
                              "prices: ( { model = \"w\"; minute = 0.006; step = 1; as_of = \"2026-04\"; },\n"
                              "          { model = \"*\"; in = 0.1; out = 0.4; as_of = \"2026-04\"; } );\n";

static struct cm_cost cost_of(const struct cm_price_list *list, const char *model, int64_t in, int64_t out, int64_t ms)
{
    return cm_prices_cost(list, &(struct cm_used){model, model, in, out, ms});
}

/* ---- Prices ------------------------------------------------------------------------------------ */

static void less_than_a_kopeck_is_exact(void **state)
{
    (void)state;
    struct cm_price_list *list = read_text(roubles);
    assert_non_null(list);
    struct cm_cost cost = cost_of(list, "m", 1078, 20, 0);
    assert_string_equal(cost.currency, "RUB");
    assert_int_equal(cost.rouble_nano, 1078 * 20740 + 20 * 61000);
    assert_int_equal(cost.billed_nano, cost.rouble_nano);
    /* A million calls of one token each cost what a million tokens cost. */
    assert_int_equal(cost_of(list, "m", 1, 0, 0).rouble_nano * 1000000, 20740000000);
    assert_int_equal(cost_of(list, "ear", 0, 0, 60000).rouble_nano, 366000000);
    assert_int_equal(cost_of(list, "ear", 0, 0, 1).rouble_nano, 6100);
    cm_prices_free(list);
}

static void long_questions_have_their_own_price(void **state)
{
    (void)state;
    struct cm_price_list *list = read_text(roubles);
    assert_int_equal(cost_of(list, "long", 1000, 10, 0).rouble_nano, 1000 * 1000 + 10 * 2000);
    assert_int_equal(cost_of(list, "long", 1001, 10, 0).rouble_nano, 1001 * 3000 + 10 * 4000);
    cm_prices_free(list);
}

static void what_has_no_price_is_never_free(void **state)
{
    (void)state;
    struct cm_price_list *list = read_text(roubles);
    assert_string_equal(cost_of(list, "another", 5, 5, 0).currency, "");
    assert_string_equal(cost_of(NULL, "m", 5, 5, 0).currency, "");
    assert_string_equal(cost_of(list, "m", 0, 0, 5000).currency, ""); /* audio, priced by tokens */
    assert_string_equal(cost_of(list, "ear", 5, 5, 0).currency, "");  /* tokens, priced by audio */
    assert_string_equal(cost_of(list, "m", 0, 0, 0).currency, "");
    assert_int_equal(cost_of(list, "both", 10, 0, 60000).guessed, 0);
    assert_int_equal(cost_of(list, "both", 10, 0, 60000).rouble_nano, 10000);
    assert_int_equal(cost_of(list, "both", 0, 0, 60000).guessed, 1);
    assert_int_equal(cost_of(list, "both", 0, 0, 60000).rouble_nano, 600000000);
    cm_prices_free(list);
}

static void the_model_asked_counts_where_the_other_is_unknown(void **state)
{
    (void)state;
    struct cm_price_list *list = read_text(roubles);
    struct cm_used used = {"m-2026-07-18", "m", 1000, 0, 0};
    assert_int_equal(cm_prices_cost(list, &used).rouble_nano, 20740000);
    cm_prices_free(list);
}

static void dollars_need_a_rate(void **state)
{
    (void)state;
    struct cm_price_list *list = read_text(dollars);
    assert_string_equal(cost_of(list, "w", 0, 0, 60000).currency, "");
    list->unit_micro = 79500000;
    struct cm_cost cost = cost_of(list, "w", 0, 0, 60400); /* to the nearest second */
    assert_string_equal(cost.currency, "USD");
    assert_int_equal(cost.billed_nano, 6000000);
    assert_int_equal(cost.rouble_nano, 477000000);
    assert_int_equal(cost_of(list, "anything", 3, 0, 0).billed_nano, 300);
    assert_int_equal(cost_of(list, "anything", 1000000000, 1000000000, 0).rouble_nano, 500LL * 79500000000LL);
    cm_prices_free(list);
}

static void absurd_numbers_end_at_the_most(void **state)
{
    (void)state;
    struct cm_price_list *list = read_text("currency = \"USD\"; prices: ( { model = \"m\"; in = 1000000; out = "
                                           "1000000; second = 1000000; as_of = \"x\"; } );");
    assert_non_null(list);
    list->unit_micro = 1000000000000LL;
    assert_int_equal(cost_of(list, "m", INT64_MAX, INT64_MAX, 0).rouble_nano, INT64_MAX);
    assert_int_equal(cost_of(list, "m", 0, 0, INT64_MAX).rouble_nano, INT64_MAX);
    cm_prices_free(list);
}

static void vat_is_put_on_top_where_it_is_not_in(void **state)
{
    (void)state;
    struct cm_price_list *list = read_text(
        "currency = \"RUB\"; add_vat = 22; prices: ( { model = \"m\"; in = 10; out = 10; as_of = \"x\"; } );");
    assert_int_equal(cost_of(list, "m", 1000000, 0, 0).rouble_nano, 12200000000);
    cm_prices_free(list);
}

static void wrong_lists_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"currency = \"EUR\"; prices: ();", "currency must be"},
        {"currency = \"RUB\";", "prices must be a list"},
        {"currency = \"RUB\"; prices: ( { in = 1; out = 1; } );", "a price is {"},
        {"currency = \"RUB\"; prices: ( { model = \"m\"; in = 1; as_of = \"x\"; } );", "give both in and out"},
        {"currency = \"RUB\"; prices: ( { model = \"m\"; in = \"1\"; out = 1; as_of = \"x\"; } );", "without quotes"},
        {"currency = \"RUB\"; prices: ( { model = \"m\"; in = -1; out = 1; as_of = \"x\"; } );", "from 0 to"},
        {"currency = \"RUB\"; prices: ( { model = \"m\"; as_of = \"x\"; } );", "m has no price"},
        {"currency = \"RUB\"; prices: ( { model = \"m\"; second = 1; } );", "say as_of"},
        {"currency = \"RUB\"; prices: ( { model = \"m\"; secnd = 1; as_of = \"x\"; } );", "did you mean second"},
        {"currency = \"RUB\"; prices: ( { model = \"m\"; over = 5; in = 1; out = 1; as_of = \"x\"; } );", "over needs"},
        {"currency = \"RUB\" prices", "syntax error"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_null(read_text(cases[i].text));
        int told = 0;
        for (size_t k = 0; k < complaints.count; k++) {
            told |= strstr(complaints.lines[k], cases[i].words) != NULL;
        }
        if (!told) {
            fail_msg("%s: not told \"%s\"", cases[i].text, cases[i].words);
        }
    }
}

static void the_lists_that_come_along_are_sound(void **state)
{
    (void)state;
    static const char *const names[] = {"anthropic", "cloudru", "free", "gemini", "openai"};
    const char *sources = getenv("srcdir");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = cm_format("%s/etc/prices/%s.conf", sources ? sources : ".", names[i]);
        cm_complaints_free(&complaints);
        complaints = (struct cm_complaints){0};
        struct cm_price_list *list = cm_prices_read(path, names[i], &complaints);
        assert_non_null(list);
        assert_true(list->count > 0);
        cm_prices_free(list);
        free(path);
    }
}

/* ---- Calls ------------------------------------------------------------------------------------- */

static struct json_object *message(const char *call, const char *end, const char *model, int64_t in, int64_t out)
{
    struct json_object *object = cm_message_new("m");
    json_object_object_add(object, "call", json_object_new_string(call));
    json_object_object_add(object, "end", json_object_new_string(end));
    json_object_object_add(object, "model", json_object_new_string(model));
    json_object_object_add(object, "tokens_in", json_object_new_int64(in));
    json_object_object_add(object, "tokens_out", json_object_new_int64(out));
    json_object_object_add(object, "audio_ms", json_object_new_int64(0));
    return object;
}

static char start_job[] = "j", start_step[] = "s", start_item[] = "", start_instance[] = "i", start_owner[] = "anna";
static const struct cm_start start = {.job = start_job,
                                      .step = start_step,
                                      .item = start_item,
                                      .fence = 1,
                                      .instance = start_instance,
                                      .owner = start_owner};

static struct cm_price_list *list;
static struct cm_calls calls;

static const struct cm_llm_call_row *begin(const char *call, int64_t in, int64_t out)
{
    struct json_object *object = message(call, "", "m", in, out);
    const struct cm_llm_call_row *row = cm_calls_begin(&calls, &start, list, object);
    json_object_put(object);
    return row;
}

static const struct cm_llm_call_row *end(const char *call, const char *how)
{
    struct json_object *object = message(call, how, "", 0, 0);
    const struct cm_llm_call_row *row = cm_calls_end(&calls, object);
    json_object_put(object);
    return row;
}

static const struct cm_llm_call_row *spent(const char *call, const char *model, int64_t in, int64_t out)
{
    struct json_object *object = message(call, "", model, in, out);
    const struct cm_llm_call_row *row = cm_calls_spent(&calls, list, object);
    json_object_put(object);
    return row;
}

static int open_calls(void **state)
{
    (void)state;
    list = read_text(roubles);
    return list ? 0 : -1;
}

static int close_calls(void **state)
{
    (void)state;
    cm_calls_free(&calls);
    cm_prices_free(list);
    return 0;
}

static void a_call_is_estimated_until_its_answer_tells(void **state)
{
    (void)state;
    const struct cm_llm_call_row *row = begin("a", 1000, 2000);
    assert_string_equal(row->owner, "anna");
    assert_int_equal(row->estimated, 1);
    assert_int_equal(row->cost_nano, 1000 * 20740 + 2000 * 61000);
    row = end("a", "answered");
    assert_int_equal(row->estimated, 1);
    row = spent("a", "m-1", 900, 20); /* another name, priced as the one that was asked */
    assert_int_equal(row->estimated, 0);
    assert_string_equal(row->model, "m-1");
    assert_int_equal(row->cost_nano, 900 * 20740 + 20 * 61000);
}

static void what_failed_costs_nothing_unless_told(void **state)
{
    (void)state;
    begin("a", 1000, 2000);
    const struct cm_llm_call_row *row = end("a", "refused");
    assert_int_equal(row->cost_nano, 0);
    assert_int_equal(row->estimated, 0);
    row = spent("a", "", 10, 0); /* billed all the same */
    assert_int_equal(row->cost_nano, 207400);
    assert_string_equal(row->model, "m");
    begin("b", 1000, 2000);
    assert_int_equal(end("b", "unsent")->cost_nano, 0);
    begin("c", 1000, 2000);
    row = end("c", "broken"); /* any word that is not known */
    assert_int_equal(row->state, CM_CALL_UNKNOWN);
    assert_int_equal(row->estimated, 1);
    assert_true(row->cost_nano > 0);
}

static void an_answer_that_does_not_tell_counts_at_its_most(void **state)
{
    (void)state;
    begin("a", 1000, 2000);
    end("a", "answered");
    const struct cm_llm_call_row *row = spent("a", "m", -1, -1);
    assert_int_equal(row->estimated, 1);
    assert_int_equal(row->tokens_in, 1000);
    assert_int_equal(row->cost_nano, 1000 * 20740 + 2000 * 61000);
    row = spent("a", "m", 5, -1);
    assert_int_equal(row->estimated, 1);
    assert_int_equal(row->tokens_in, 5);
}

static void the_same_request_twice_is_two_calls(void **state)
{
    (void)state;
    begin("a", 1000, 2000);
    end("a", "answered");
    spent("a", "m", 1, 1);
    const struct cm_llm_call_row *first = &*spent("a", "m", 1, 1);
    begin("a", 1000, 2000);
    const struct cm_llm_call_row *second = spent("a", "m", 2, 2);
    assert_ptr_not_equal(first, second);
    assert_int_equal(first->tokens_in, 1);
    assert_int_equal(second->tokens_in, 2);
    assert_null(spent("b", "m", 1, 1));
}

static void a_dead_attempts_call_is_settled(void **state)
{
    (void)state;
    struct cm_llm_call_row *row = cm_row_copy(CM_TABLE_LLM_CALL, begin("a", 1000, 2000));
    assert_true(cm_call_may_be_answered(row, "a") && !cm_call_may_be_answered(row, "b"));
    struct json_object *object = message("a", "", "m-1", 900, 20);
    cm_call_settle(row, list, object);
    assert_int_equal(row->state, CM_CALL_ANSWERED);
    assert_int_equal(row->estimated, 0);
    assert_int_equal(row->cost_nano, 900 * 20740 + 20 * 61000);
    json_object_put(object);
    cm_row_free(CM_TABLE_LLM_CALL, row);
}

/* ---- Sums -------------------------------------------------------------------------------------- */

static void add(struct cm_costs *costs, const char *model, int64_t state, int64_t nano, int64_t estimated, int64_t sent)
{
    struct cm_llm_call_row *row = cm_row_new(CM_TABLE_LLM_CALL);
    cm_row_text(&row->instance, "i");
    cm_row_text(&row->model, model);
    cm_row_text(&row->currency, *model == '?' ? "" : "RUB");
    row->state = state;
    row->tokens_in = state == CM_CALL_REFUSED ? 0 : 10;
    row->cost_nano = row->billed_nano = nano;
    row->estimated = estimated;
    row->sent_ms = sent;
    cm_costs_add(costs, row);
    cm_row_free(CM_TABLE_LLM_CALL, row);
}

static void sums_keep_apart_what_is_not_known(void **state)
{
    (void)state;
    struct cm_costs *costs = cm_costs_new(CM_COSTS_BY_MODEL, 1000);
    add(costs, "b", CM_CALL_ANSWERED, 1, 0, 2000);
    add(costs, "a", CM_CALL_ANSWERED, 1000000002, 0, 2000);
    add(costs, "a", CM_CALL_SENT, 7, 1, 2000);
    add(costs, "a", CM_CALL_REFUSED, 0, 0, 2000);
    add(costs, "?", CM_CALL_ANSWERED, 0, 0, 2000);
    add(costs, "a", CM_CALL_ANSWERED, 50, 0, 999); /* too old */
    struct json_object *object = cm_costs_json(costs), *rows = cm_json_array(object, "rows");
    struct json_object *total = cm_json_object(object, "total");
    assert_int_equal(json_object_array_length(rows), 3);
    assert_string_equal(cm_json_text(json_object_array_get_idx(rows, 1), "key", ""), "a");
    assert_int_equal(cm_json_int(total, "calls", 0), 5);
    assert_int_equal(cm_json_int(total, "unknown", 0), 1);
    assert_int_equal(cm_json_int(total, "estimated", 0), 1);
    assert_int_equal(cm_json_int(total, "failed", 0), 1);
    assert_int_equal(cm_json_int(total, "unpriced", 0), 1);
    const char *text = json_object_to_json_string_ext(total, JSON_C_TO_STRING_PLAIN);
    assert_non_null(strstr(text, "\"roubles\":1.000000003"));
    assert_non_null(strstr(text, "\"estimated_roubles\":0.000000007"));
    assert_non_null(strstr(text, "\"billed\":{\"RUB\":1.000000003}"));
    struct json_object *unpriced = cm_json_array(object, "unpriced_models");
    assert_int_equal(json_object_array_length(unpriced), 1);
    assert_string_equal(json_object_get_string(json_object_array_get_idx(unpriced, 0)), "i: ?");
    json_object_put(object);
    cm_costs_free(costs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(less_than_a_kopeck_is_exact),
        cmocka_unit_test(long_questions_have_their_own_price),
        cmocka_unit_test(what_has_no_price_is_never_free),
        cmocka_unit_test(the_model_asked_counts_where_the_other_is_unknown),
        cmocka_unit_test(dollars_need_a_rate),
        cmocka_unit_test(absurd_numbers_end_at_the_most),
        cmocka_unit_test(vat_is_put_on_top_where_it_is_not_in),
        cmocka_unit_test(wrong_lists_are_told),
        cmocka_unit_test(the_lists_that_come_along_are_sound),
        cmocka_unit_test_setup_teardown(a_call_is_estimated_until_its_answer_tells, open_calls, close_calls),
        cmocka_unit_test_setup_teardown(what_failed_costs_nothing_unless_told, open_calls, close_calls),
        cmocka_unit_test_setup_teardown(an_answer_that_does_not_tell_counts_at_its_most, open_calls, close_calls),
        cmocka_unit_test_setup_teardown(the_same_request_twice_is_two_calls, open_calls, close_calls),
        cmocka_unit_test_setup_teardown(a_dead_attempts_call_is_settled, open_calls, close_calls),
        cmocka_unit_test(sums_keep_apart_what_is_not_known),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cm_complaints_free(&complaints);
    return failed;
}
