/*
 * The answer of an attempt survives its message, and a wrong message is refused with words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <clipmaker/plugin.h>
#include <cmocka.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/done.h"
#include "core/common/message.h"
#include "core/common/text.h"

static struct cm_done *sample(void)
{
    struct cm_done *done = cm_done_new(CM_AGAIN);
    done->reason = CM_REASON_RATE;
    done->scope = CM_SCOPE_ACCOUNT;
    done->delay_ms = 1500;
    done->found = CM_ABSENT;
    cm_done_text(&done->words, "слишком часто");
    cm_done_text(&done->dimension, "chunk");
    cm_done_text(&done->post_id, "42");
    cm_done_text(&done->url, "https://example.org/42");
    for (int i = 0; i < 5; i++) {
        char *key = cm_format("%04d", i + 1);
        cm_done_add_artifact(done, "chunk", key, "chunk.flac", 10 + i, NULL, "{\"start_ms\":7}");
        cm_done_add_child(done, key);
        free(key);
    }
    return done;
}

static void check_same(const struct cm_done *done)
{
    assert_int_equal(done->outcome, CM_AGAIN);
    assert_int_equal(done->reason, CM_REASON_RATE);
    assert_int_equal(done->scope, CM_SCOPE_ACCOUNT);
    assert_int_equal(done->delay_ms, 1500);
    assert_int_equal(done->found, CM_ABSENT);
    assert_string_equal(done->words, "слишком часто");
    assert_string_equal(done->dimension, "chunk");
    assert_string_equal(done->post_id, "42");
    assert_int_equal(done->artifact_count, 5);
    assert_int_equal(done->child_count, 5);
    assert_string_equal(done->artifacts[4].key, "0005");
    assert_int_equal(done->artifacts[4].bytes, 14);
    assert_non_null(strstr(done->artifacts[4].facts, "\"start_ms\":7"));
    assert_string_equal(done->children[0], "0001");
}

static void test_round_trip(void **state)
{
    (void)state;
    struct cm_done *done = sample();
    struct cm_done *copy = cm_done_copy(done);
    check_same(copy);
    struct json_object *message = cm_done_encode(copy);
    assert_string_equal(cm_message_type(message), "done");
    struct cm_done *back = cm_done_decode(message, NULL);
    assert_non_null(back);
    check_same(back);
    json_object_put(message);
    cm_done_free(back);
    message = cm_done_encode_short(copy);
    back = cm_done_decode(message, NULL);
    assert_non_null(back);
    check_same(back);
    json_object_put(message);
    cm_done_free(done);
    cm_done_free(copy);
    cm_done_free(back);
    cm_done_free(NULL);
}

/* Decodes a text; "" when it was accepted, else the complaint. */
static char *complaint(const char *text)
{
    struct json_object *message = cm_json_parse(text, strlen(text), NULL);
    assert_non_null(message);
    char *error = NULL;
    struct cm_done *done = cm_done_decode(message, &error);
    assert_true((done == NULL) == (error != NULL));
    cm_done_free(done);
    json_object_put(message);
    return error ? error : cm_strdup("");
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"{\"verdict\":\"ok\"}", ""},
        {"[]", "verdict"},
        {"{}", "verdict"},
        {"{\"verdict\":\"fine\"}", "fine"},
        {"{\"verdict\":3}", "verdict"},
        {"{\"verdict\":\"again\",\"reason\":\"mood\"}", "mood"},
        {"{\"verdict\":\"ok\",\"children\":[\"a/b\"]}", "children"},
        {"{\"verdict\":\"ok\",\"children\":[7]}", "children"},
        {"{\"verdict\":\"ok\",\"children\":[\"9:16\"]}", ""},
        {"{\"verdict\":\"ok\",\"dimension\":\"../x\"}", "dimension"},
        {"{\"verdict\":\"ok\",\"artifacts\":[{\"role\":\"x\",\"file\":\"../etc\",\"bytes\":1}]}", "artifacts.file"},
        {"{\"verdict\":\"ok\",\"artifacts\":[{\"role\":\"x\",\"file\":\"..\",\"bytes\":1}]}", "artifacts.file"},
        {"{\"verdict\":\"ok\",\"artifacts\":[{\"role\":\"\",\"file\":\"a\",\"bytes\":1}]}", "artifacts.role"},
        {"{\"verdict\":\"ok\",\"artifacts\":[{\"role\":\"x\",\"file\":\"a\"}]}", "bytes"},
        {"{\"verdict\":\"ok\",\"artifacts\":[{\"role\":\"x\",\"file\":\"a\",\"bytes\":1,\"sha256\":\"zz\"}]}",
         "sha256"},
        {"{\"verdict\":\"ok\",\"artifacts\":[5]}", "artifacts.role"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *error = complaint(cases[i].text);
        if (!*cases[i].says) {
            assert_string_equal(error, "");
        } else {
            assert_non_null(strstr(error, cases[i].says));
        }
        free(error);
    }
}

static void test_delay_is_clamped(void **state)
{
    (void)state;
    static const char text[] = "{\"verdict\":\"again\",\"delay_ms\":99999999999}";
    struct json_object *message = cm_json_parse(text, sizeof text - 1, NULL);
    struct cm_done *done = cm_done_decode(message, NULL);
    assert_int_equal(done->delay_ms, 24 * 3600 * 1000);
    cm_done_free(done);
    json_object_put(message);
}

static void test_names(void **state)
{
    (void)state;
    for (int reason = CM_REASON_NETWORK; reason <= CM_REASON_INTERNAL; reason++) {
        assert_string_not_equal(cm_reason_name(reason), "");
        assert_int_equal(cm_reason_from_name(cm_reason_name(reason)), reason);
    }
    for (int stage = CM_STAGE_SOURCE; stage <= CM_STAGE_PUBLISH; stage++) {
        assert_int_equal(cm_stage_from_name(cm_stage_name(stage)), stage);
    }
    assert_string_equal(cm_outcome_name(CM_OUTCOME_INTERRUPTED), "interrupted");
    assert_int_equal(cm_outcome_from_name("crashed"), CM_OUTCOME_CRASHED);
    assert_int_equal(cm_outcome_from_name(""), 0);
    assert_int_equal(cm_scope_from_name("instance"), CM_SCOPE_INSTANCE);
    assert_string_equal(cm_reason_name(0), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_delay_is_clamped),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
