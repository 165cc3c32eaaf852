/*
 * Messages cross a socket whole, and what is no message is refused with words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/common/message.h"
#include "core/common/text.h"

static void open_pair(int pair[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
}

static void test_round_trip(void **state)
{
    (void)state;
    int pair[2];
    open_pair(pair);
    struct json_object *sent = cm_message_new("save"), *got = NULL;
    json_object_object_add(sent, "value", json_object_new_string("слово \" \n"));
    assert_int_equal(cm_message_send(pair[0], sent, 0), CM_MESSAGE_OK);
    assert_int_equal(cm_message_receive(pair[1], 1, &got, NULL), CM_MESSAGE_OK);
    assert_string_equal(cm_message_type(got), "save");
    assert_string_equal(cm_json_text(got, "value", ""), "слово \" \n");
    assert_int_equal(cm_message_receive(pair[1], 0, &got, NULL), CM_MESSAGE_WOULD_BLOCK);
    close(pair[0]);
    assert_int_equal(cm_message_receive(pair[1], 1, &got, NULL), CM_MESSAGE_CLOSED);
    assert_int_equal(cm_message_send(pair[1], sent, 0), CM_MESSAGE_CLOSED);
    close(pair[1]);
    json_object_put(sent);
    json_object_put(got);
}

/* Beyond ASCII in every length that UTF-8 has; a backslash escapes none of it. */
static void test_characters(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":\"\\\\я€😀\\n\"}";
    struct json_object *object = cm_json_parse(text, sizeof text - 1, NULL);
    assert_string_equal(cm_json_text(object, "a", ""), "\\я€😀\n");
    json_object_put(object);
    assert_null(cm_json_parse("\"\\я\"", 5, NULL));
    assert_null(cm_json_parse("\"\xd1\"", 3, NULL));
    assert_null(cm_json_parse("{\"я\":1,}", 9, NULL));
}

static void test_sizes(void **state)
{
    (void)state;
    int pair[2];
    open_pair(pair);
    char *big = cm_alloc(CM_MESSAGE_MAX + 1);
    memset(big, 'x', CM_MESSAGE_MAX);
    struct json_object *message = cm_message_new("save"), *got = NULL;
    json_object_object_add(message, "value", json_object_new_string(big));
    assert_int_equal(cm_message_send(pair[0], message, 0), CM_MESSAGE_TOO_LARGE);
    big[CM_MESSAGE_MAX - 100] = '\0';
    json_object_object_add(message, "value", json_object_new_string(big));
    assert_int_equal(cm_message_send(pair[0], message, 0), CM_MESSAGE_OK);
    int sent = 1;
    enum cm_message_result result;
    while ((result = cm_message_send(pair[0], message, 0)) == CM_MESSAGE_OK) {
        sent++;
    }
    assert_int_equal(result, CM_MESSAGE_WOULD_BLOCK);
    while (sent-- > 0) {
        assert_int_equal(cm_message_receive(pair[1], 0, &got, NULL), CM_MESSAGE_OK);
        assert_int_equal(strlen(cm_json_text(got, "value", "")), CM_MESSAGE_MAX - 100);
        json_object_put(got);
    }
    json_object_put(message);
    free(big);
    close(pair[0]);
    close(pair[1]);
}

static void test_bad_datagrams(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{", "null", "{\"v\":2,\"type\":\"x\"}", "{\"v\":1}", "{\"v\":1,\"type\":\"x\"} y", "\xff"};
    int pair[2];
    open_pair(pair);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct json_object *got = NULL;
        char *error = NULL;
        assert_int_equal(send(pair[0], bad[i], strlen(bad[i]), 0), strlen(bad[i]));
        assert_int_equal(cm_message_receive(pair[1], 1, &got, &error), CM_MESSAGE_BAD);
        assert_null(got);
        assert_non_null(error);
        free(error);
    }
    size_t count = CM_MESSAGE_MAX + 1000;
    char *big = cm_alloc(count);
    memset(big, ' ', count);
    char *error = NULL;
    struct json_object *got = NULL;
    assert_int_equal(send(pair[0], big, count, 0), count);
    assert_int_equal(cm_message_receive(pair[1], 1, &got, &error), CM_MESSAGE_BAD);
    assert_non_null(strstr(error, "65536"));
    free(error);
    free(big);
    close(pair[0]);
    close(pair[1]);
}

static void test_readers(void **state)
{
    (void)state;
    static const char text[] =
        "{\"s\":\"a\",\"i\":7,\"d\":2.5,\"w\":3.0,\"b\":true,\"n\":null,\"l\":[1],\"o\":{},\"big\":1e300}";
    struct json_object *object = cm_json_parse(text, sizeof text - 1, NULL);
    assert_string_equal(cm_json_text(object, "s", "?"), "a");
    assert_string_equal(cm_json_text(object, "i", "?"), "?");
    assert_string_equal(cm_json_text(object, "n", "?"), "?");
    assert_int_equal(cm_json_int(object, "i", -1), 7);
    assert_int_equal(cm_json_int(object, "w", -1), 3);
    assert_int_equal(cm_json_int(object, "d", -1), -1);
    assert_int_equal(cm_json_int(object, "big", -1), -1);
    assert_true(cm_json_real(object, "d", 0) == 2.5);
    assert_true(cm_json_real(object, "i", 0) == 7.0);
    assert_true(cm_json_real(object, "s", 1.5) == 1.5);
    assert_int_equal(cm_json_flag(object, "b", 0), 1);
    assert_int_equal(cm_json_flag(object, "i", 0), 0);
    assert_non_null(cm_json_array(object, "l"));
    assert_null(cm_json_array(object, "o"));
    assert_non_null(cm_json_object(object, "o"));
    assert_int_equal(cm_json_int(NULL, "i", 5), 5);
    json_object_put(object);
}

/* Times that no medium has are absent: what is computed from them would overflow. */
static void test_times(void **state)
{
    (void)state;
    static const char text[] = "{\"s\":1500,\"r\":2500.0,\"far\":9223372036854775807,\"before\":-9223372036854775808,"
                               "\"most\":1099511627776,\"beyond\":1099511627777,"
                               "\"l\":[7,8.9,\"9\",9223372036854775807]}";
    struct json_object *object = cm_json_parse(text, sizeof text - 1, NULL);
    assert_int_equal(cm_json_ms(object, "s", -1), 1500);
    assert_int_equal(cm_json_ms(object, "r", -1), 2500);
    assert_int_equal(cm_json_ms(object, "far", -1), -1);
    assert_int_equal(cm_json_ms(object, "before", -1), -1);
    assert_true(cm_json_ms(object, "most", -1) == CM_JSON_MS_MAX);
    assert_int_equal(cm_json_ms(object, "beyond", -1), -1);
    struct json_object *list = cm_json_array(object, "l");
    assert_int_equal(cm_json_ms_at(list, 0), 7);
    assert_int_equal(cm_json_ms_at(list, 1), 8);
    assert_int_equal(cm_json_ms_at(list, 2), 0);
    assert_int_equal(cm_json_ms_at(list, 3), 0);
    assert_int_equal(cm_json_ms_at(list, 4), 0);
    json_object_put(object);
}

static void test_parse_is_strict(void **state)
{
    (void)state;
    char deep[101];
    memset(deep, '[', 50);
    memset(deep + 50, ']', 50);
    deep[100] = '\0';
    const char *const bad[] = {"", "{\"a\":1,}", "[1] [2]", "\"\xc3\x28\"", "{\"a\":", deep, "// c\n1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *error = NULL;
        assert_null(cm_json_parse(bad[i], strlen(bad[i]), &error));
        assert_non_null(error);
        free(error);
    }
    struct json_object *number = cm_json_parse("12", 2, NULL);
    assert_int_equal(json_object_get_int(number), 12);
    json_object_put(number);
    /* Not ended by a NUL: only the given bytes are read. */
    struct json_object *cut = cm_json_parse("123", 2, NULL);
    assert_int_equal(json_object_get_int(cut), 12);
    json_object_put(cut);
    char *error = NULL;
    assert_null(cm_json_read("/nonexistent/x.json", 10, &error));
    assert_non_null(strstr(error, "/nonexistent/x.json"));
    free(error);
}

/* What was read before, and how it ended, makes no difference. */
static void test_parse_after_others(void **state)
{
    (void)state;
    size_t large = 200000;
    char *text = cm_alloc(large + 1);
    memset(text, 'x', large);
    text[0] = text[large - 1] = '"';
    const struct {
        const char *text;
        size_t bytes;
        int good;
    } turns[] = {{"{\"a\": [1, {\"b\": \"cut", 20, 0},
                 {"[1]", 3, 1},
                 {text, large, 1},
                 {"[1]", 3, 1},
                 {text, large - 1, 0},
                 {"[1]", 3, 1},
                 {"[1] [2]", 7, 0},
                 {"12", 2, 1}};
    for (size_t i = 0; i < sizeof turns / sizeof *turns; i++) {
        struct json_object *value = cm_json_parse(turns[i].text, turns[i].bytes, NULL);
        assert_int_equal(value != NULL, turns[i].good);
        json_object_put(value);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_characters),
        cmocka_unit_test(test_sizes),      cmocka_unit_test(test_bad_datagrams),
        cmocka_unit_test(test_readers),    cmocka_unit_test(test_parse_is_strict),
        cmocka_unit_test(test_times),      cmocka_unit_test(test_parse_after_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
