/*
 * Tests of core/common/options.c.
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

#include "core/common/options.h"
#include "core/common/text.h"
#include "core/include/clipmaker/plugin.h"

struct block {
    const char *name, *key, *preset, *base, *folder;
    int64_t limit, deadline, size, rate;
    double speed;
    int draft;
};

static const struct cm_option table[] = {
    CM_OPT_STRING(struct block, name, "name", "слово", "A name"),
    CM_OPT_SECRET(struct block, key, "key", CM_OPTION_REQUIRED, "The key"),
    CM_OPT_INT(struct block, limit, "limit", "4", 1, 64, "How many at once"),
    CM_OPT_REAL(struct block, speed, "speed", "0.5", 0, 1, "How fast"),
    CM_OPT_BOOL(struct block, draft, "draft", "yes", "Say draft"),
    CM_OPT_TIME(struct block, deadline, "deadline", "1h30m", 1000, 86400000, "How long"),
    CM_OPT_SIZE(struct block, size, "size", "4GiB", 0, 0, "How large"),
    CM_OPT_RATE(struct block, rate, "rate", "5/s", "How often"),
    CM_OPT_CHOICE(struct block, preset, "preset", "fast", "slow|fast|veryfast", "How hard to try"),
    CM_OPT_URL(struct block, base, "base", 0, "", "Where it is"),
    CM_OPT_PATH(struct block, folder, "folder", CM_OPTION_WRITABLE, "", "Where to put it"),
    CM_OPT_END,
};

static struct json_object *values_of(const char *json)
{
    struct json_object *values = json_tokener_parse(json);
    assert_non_null(values);
    return values;
}

static void test_fill_defaults(void **state)
{
    (void)state;
    struct block block = {0};
    struct json_object *values = values_of("{\"key\":\"s3cret\"}");
    assert_null(cm_options_fill(table, &block, values));
    assert_string_equal(block.name, "слово");
    assert_string_equal(block.key, "s3cret");
    assert_int_equal(block.limit, 4);
    assert_true(block.speed == 0.5);
    assert_int_equal(block.draft, 1);
    assert_int_equal(block.deadline, 5400000);
    assert_int_equal(block.size, INT64_C(4294967296));
    assert_int_equal(block.rate, 200000);
    assert_string_equal(block.preset, "fast");
    assert_string_equal(block.base, "");
    assert_string_equal(block.folder, "");
    cm_options_release(table, &block);
    assert_null(block.key);
    cm_options_release(table, &block); /* twice is harmless */
    json_object_put(values);
}

static void test_fill_given(void **state)
{
    (void)state;
    struct block block = {0};
    struct json_object *values =
        values_of("{\"key\":\"k\",\"limit\":\"64\",\"speed\":\"1\",\"draft\":\"off\",\"preset\":\"slow\","
                  "\"base\":\"https://example.org/v1\",\"deadline\":\"2m\"}");
    assert_null(cm_options_fill(table, &block, values));
    assert_int_equal(block.limit, 64);
    assert_int_equal(block.draft, 0);
    assert_int_equal(block.deadline, 120000);
    assert_string_equal(block.preset, "slow");
    assert_string_equal(block.base, "https://example.org/v1");
    cm_options_release(table, &block);
    json_object_put(values);
}

static void check_refused(const char *json, const char *part)
{
    struct block block = {0};
    struct json_object *values = values_of(json);
    char *error = cm_options_fill(table, &block, values);
    assert_non_null(error);
    if (!strstr(error, part))
        fail_msg("\"%s\" does not say \"%s\"", error, part);
    assert_null(strchr(error, '\n'));
    assert_null(block.name); /* nothing is left half filled */
    free(error);
    json_object_put(values);
}

static void test_fill_refuses(void **state)
{
    (void)state;
    check_refused("{}", "key (secret) is required");
    check_refused("{\"key\":\"\"}", "required");
    check_refused("{\"key\":\"k\",\"limt\":\"1\"}", "did you mean \"limit\"");
    check_refused("{\"key\":\"k\",\"zzzzzzzz\":\"1\"}", "unknown option \"zzzzzzzz\"");
    check_refused("{\"key\":\"k\",\"limit\":5}", "must be given as text");
    check_refused("{\"key\":\"k\",\"limit\":\"65\"}", "from 1 to 64");
    check_refused("{\"key\":\"k\",\"limit\":\"many\"}", "limit (int)");
    check_refused("{\"key\":\"k\",\"speed\":\"1.5\"}", "from 0 to 1");
    check_refused("{\"key\":\"k\",\"deadline\":\"1ms\"}", "from 1s to 1d");
    check_refused("{\"key\":\"k\",\"preset\":\"fas\"}", "slow|fast|veryfast");
    check_refused("{\"key\":\"k\",\"preset\":\"\"}", "not one of");
    check_refused("{\"key\":\"k\",\"base\":\"ftp://x\"}", "http");
    check_refused("{\"key\":\"k\",\"base\":\"https://\"}", "http");
    check_refused("{\"key\":\"k\",\"base\":\"https://a b\"}", "space");
    check_refused("{\"key\":\"k\",\"draft\":\"maybe\"}", "true or false");
}

static void test_a_secret_stays_out_of_words(void **state)
{
    (void)state;
    struct block block = {0};
    struct json_object *values = json_object_new_object();
    json_object_object_add(values, "key", json_object_new_string("hunter2\xff"));
    char *error = cm_options_fill(table, &block, values);
    assert_non_null(error);
    assert_null(strstr(error, "hunter2"));
    free(error);
    json_object_put(values);
}

static struct json_object *described(struct json_object *list, const char *name)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *one = json_object_array_get_idx(list, i), *member = NULL;
        json_object_object_get_ex(one, "name", &member);
        if (strcmp(json_object_get_string(member), name) == 0)
            return one;
    }
    fail_msg("no option %s", name);
    return NULL;
}

/* The daemon sees the description only after it went through a pipe as text. */
static struct json_object *described_again(void)
{
    struct json_object *list = cm_options_describe(table);
    struct json_object *again = json_tokener_parse(json_object_to_json_string(list));
    json_object_put(list);
    assert_int_equal(json_object_array_length(again), 11);
    return again;
}

static void test_describe(void **state)
{
    (void)state;
    struct json_object *list = described_again(), *member = NULL;
    struct json_object *preset = described(list, "preset");
    json_object_object_get_ex(preset, "choices", &member);
    assert_int_equal(json_object_array_length(member), 3);
    json_object_object_get_ex(preset, "default", &member);
    assert_string_equal(json_object_get_string(member), "fast");
    struct json_object *key = described(list, "key");
    json_object_object_get_ex(key, "required", &member);
    assert_true(json_object_get_boolean(member));
    assert_true(json_object_object_get_ex(key, "default", &member));
    assert_null(member);
    json_object_object_get_ex(described(list, "folder"), "writable", &member);
    assert_true(json_object_get_boolean(member));
    json_object_put(list);
    list = cm_options_describe(NULL);
    assert_int_equal(json_object_array_length(list), 0);
    json_object_put(list);
}

static void check_value(struct json_object *list, const char *name, const char *text, const char *part)
{
    char *error = cm_option_check(described(list, name), text);
    if (!part && error)
        fail_msg("%s = %s: %s", name, text, error);
    if (part && (!error || !strstr(error, part)))
        fail_msg("%s = %s: \"%s\" does not say \"%s\"", name, text, error ? error : "(nothing)", part);
    free(error);
}

static void test_check(void **state)
{
    (void)state;
    struct json_object *list = described_again();
    check_value(list, "limit", "64", NULL);
    check_value(list, "limit", "0", "limit (int): the number must be from 1 to 64");
    check_value(list, "deadline", "90s", NULL);
    check_value(list, "deadline", "2d", "from 1s to 1d");
    check_value(list, "preset", "veryfast", NULL);
    check_value(list, "preset", "very", "not one of slow|fast|veryfast");
    check_value(list, "key", "env:KEY", NULL);
    check_value(list, "key", "AKIA123", "file:/path");
    check_value(list, "base", "", NULL);
    check_value(list, "rate", "fast", "a rate such as");
    check_value(list, "size", "4 apples", "a size such as");
    json_object_put(list);
    struct json_object *newer = values_of("{\"name\":\"x\",\"type\":\"colour\"}");
    char *error = cm_option_check(newer, "red");
    assert_non_null(strstr(error, "colour"));
    free(error);
    json_object_put(newer);
}

static char *write_secret(const char *bytes, size_t count)
{
    char *path = cm_strdup("/tmp/cm-secret-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, count), (ssize_t)count);
    close(fd);
    return path;
}

static void check_secret_file(const char *bytes, size_t count, const char *expected, const char *part)
{
    char *path = write_secret(bytes, count), *reference = cm_format("file:%s", path), *error = NULL;
    char *secret = cm_secret_resolve(reference, &error);
    if (expected) {
        assert_string_equal(secret, expected);
    } else {
        assert_null(secret);
        assert_non_null(strstr(error, part));
    }
    free(secret);
    free(error);
    unlink(path);
    free(path);
    free(reference);
}

static void test_secret_files(void **state)
{
    (void)state;
    check_secret_file("s3cret\n", 7, "s3cret", NULL);
    check_secret_file("s3cret\r\n", 8, "s3cret", NULL);
    check_secret_file("s3cret", 6, "s3cret", NULL);
    check_secret_file("", 0, NULL, "empty");
    check_secret_file("\n\n", 2, NULL, "empty");
    check_secret_file("a\nb\n", 4, NULL, "one line");
    check_secret_file("a\0b", 3, NULL, "one line");
    char *large = cm_alloc(70000);
    memset(large, 'x', 70000);
    check_secret_file(large, 70000, NULL, "too large");
    free(large);
}

static void check_unresolved(const char *reference, const char *part)
{
    char *error = NULL;
    assert_null(cm_secret_resolve(reference, &error));
    if (!strstr(error, part))
        fail_msg("%s: \"%s\" does not say \"%s\"", reference, error, part);
    free(error);
}

static void test_secret_references(void **state)
{
    (void)state;
    setenv("CM_TEST_SECRET", "from the environment", 1);
    char *error = NULL, *secret = cm_secret_resolve("env:CM_TEST_SECRET", &error);
    assert_string_equal(secret, "from the environment");
    free(secret);
    unsetenv("CM_TEST_SECRET");
    check_unresolved("env:CM_TEST_SECRET", "no such variable");
    check_unresolved("AKIA123", "file:/path");
    check_unresolved("file:relative", "absolute");
    check_unresolved("file:/nowhere/at/all", "No such file");
    check_unresolved("file:/tmp", "not a regular file");
    unsetenv("CREDENTIALS_DIRECTORY");
    check_unresolved("credential:x", "LoadCredential");
}

static void test_credentials(void **state)
{
    (void)state;
    char *path = write_secret("from systemd\n", 13), *error = NULL;
    setenv("CREDENTIALS_DIRECTORY", "/tmp", 1);
    char *reference = cm_format("credential:%s", path + strlen("/tmp/"));
    char *secret = cm_secret_resolve(reference, &error);
    assert_string_equal(secret, "from systemd");
    check_unresolved("credential:../etc/passwd", "'/'");
    check_unresolved("credential:..", "'.'");
    unsetenv("CREDENTIALS_DIRECTORY");
    unlink(path);
    free(secret);
    free(path);
    free(reference);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fill_defaults), cmocka_unit_test(test_fill_given),
        cmocka_unit_test(test_fill_refuses),  cmocka_unit_test(test_a_secret_stays_out_of_words),
        cmocka_unit_test(test_describe),      cmocka_unit_test(test_check),
        cmocka_unit_test(test_secret_files),  cmocka_unit_test(test_secret_references),
        cmocka_unit_test(test_credentials),
    };
    return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
