/*
 * Intake: what may become a job, and in which words and with which exit status the rest is refused.
 */
#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <cmocka.h>

#include "core/common/message.h"
#include "core/common/text.h"
#include "core/daemon/control/intake.h"
#include "tests/unit/config_world.h"

static struct world world;
static char *video;

static int open_world(void **state)
{
    (void)state;
    world_open(&world);
    char *rest = cm_format("%s%s", world_plugins, world_pipeline);
    world_write_config(&world, rest);
    free(rest);
    world_load(&world);
    world_write(&world, "video.mp4", "not really");
    video = world_path(&world, "video.mp4");
    return world.config ? 0 : -1;
}

static int close_world(void **state)
{
    (void)state;
    free(video);
    world_close(&world);
    return 0;
}

/* The refusal's words, or NULL and the complete parameters. */
static char *check(const char *source, const char *params, const char *more, int *status, struct json_object **complete)
{
    char *error = NULL;
    struct json_object *request = json_object_new_object();
    json_object_object_add(request, "source", json_object_new_string(source));
    struct json_object *given = cm_json_parse(params, strlen(params), &error);
    assert_non_null(given);
    json_object_object_add(request, "params", given);
    struct json_object *extra = cm_json_parse(more, strlen(more), &error);
    json_object_object_foreach(extra, name, value)
    {
        json_object_object_add(request, name, json_object_get(value));
    }
    struct cm_order order;
    char *words = cm_intake_check(world.config, request, &order, status);
    if (complete) {
        *complete = words ? NULL : cm_json_parse(order.params, strlen(order.params), &error);
    }
    cm_order_free(&order);
    json_object_put(extra);
    json_object_put(request);
    return words;
}

static void defaults_are_filled_in(void **state)
{
    (void)state;
    int status = 0;
    struct json_object *params;
    assert_null(check(video, "{}", "{}", &status, &params));
    assert_string_equal(cm_json_text(params, "language", ""), "ru");
    assert_int_equal(cm_json_int(params, "min_ms", 0), 15000);
    assert_int_equal(cm_json_int(params, "max_ms", 0), 60000);
    assert_int_equal(cm_json_int(params, "clips", -1), 0);
    assert_string_equal(json_object_get_string(json_object_array_get_idx(cm_json_array(params, "formats"), 0)), "9:16");
    /* The only instance that publishes. */
    assert_string_equal(json_object_get_string(json_object_array_get_idx(cm_json_array(params, "targets"), 0)), "out");
    json_object_put(params);
}

static void bad_requests_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *params, *more, *words;
    } bad[] = {
        {"{\"language\":\"de\"}", "{}", "language \"de\""},
        {"{\"language\":5}", "{}", "language"},
        {"{\"formats\":[\"4:3\"]}", "{}", "format \"4:3\""},
        {"{\"formats\":[]}", "{}", "formats"},
        {"{\"formats\":\"9:16\"}", "{}", "formats: must be a list"},
        {"{\"clips\":51}", "{}", "clips: must be a whole number from 0 to 50"},
        {"{\"clips\":-1}", "{}", "clips"},
        {"{\"clips\":\"three\"}", "{}", "clips"},
        {"{\"min_ms\":90000}", "{}", "the shortest clip (1m30s) is longer than the longest (1m)"},
        {"{\"min_ms\":0}", "{}", "min_ms"},
        {"{\"targets\":[\"ear\"]}", "{}", "target \"ear\""},
        {"{\"targets\":[\"nowhere\"]}", "{}", "target \"nowhere\""},
        {"{\"targets\":[]}", "{}", "no target"},
        {"{\"captions\":\"relative.srt\"}", "{}", "must be an absolute path"},
        {"{\"fromats\":[]}", "{}", "did you mean \"formats\"?"},
        {"{}", "{\"pipeline\":\"other\"}", "pipeline \"other\""},
        {"{}", "{\"priority\":101}", "priority"},
        {"{}", "{\"params\":[]}", "params: must be an object"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int status = 0;
        char *words = check(video, bad[i].params, bad[i].more, &status, NULL);
        assert_non_null(words);
        assert_non_null(strstr(words, bad[i].words));
        assert_int_equal(status, EX_USAGE);
        free(words);
    }
}

static void sources_are_looked_at(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        int status;
    } bad[] = {
        {"/no/such/file.mp4", EX_NOINPUT},    {"/tmp", EX_DATAERR}, {"/dev/null", EX_DATAERR}, {"video.mp4", EX_USAGE},
        {"rtmp://host/live", EX_UNAVAILABLE}, {"", EX_USAGE},       {"://x", EX_USAGE},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int status = 0;
        char *words = check(bad[i].source, "{}", "{}", &status, NULL);
        assert_non_null(words);
        assert_int_equal(status, bad[i].status);
        free(words);
    }
    int status = 0;
    assert_null(check("https://example.org/talk.mp4", "{}", "{}", &status, NULL));
    char *words = check(video, "{\"captions\":\"/no/such.srt\"}", "{}", &status, NULL);
    assert_non_null(words);
    assert_int_equal(status, EX_NOINPUT);
    free(words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defaults_are_filled_in, open_world, close_world),
        cmocka_unit_test_setup_teardown(bad_requests_are_refused, open_world, close_world),
        cmocka_unit_test_setup_teardown(sources_are_looked_at, open_world, close_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
