/*
 * Requests for jobs: any line that somebody writes to the control socket, as far as intake decides on it. What is taken
 * has complete parameters in their ranges, and taken once more they stay as they are; what is refused has words and a
 * status.
 */
#include <json-c/json.h>
#include <string.h>
#include <sysexits.h>

#include "core/common/message.h"
#include "core/common/text.h"
#include "core/daemon/control/intake.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/config_world.h"

static struct world world;

static void close_world(void)
{
    world_close(&world);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    world_open(&world);
    atexit(close_world);
    char *rest = cm_format("%s%s", world_plugins, world_pipeline);
    world_write_config(&world, rest);
    free(rest);
    world_load(&world);
    fuzz_promise(world.config);
    return 0;
}

static void check_texts(struct json_object *params, const char *name)
{
    struct json_object *list = cm_json_array(params, name);
    fuzz_promise(list && json_object_array_length(list) > 0);
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        fuzz_promise(json_object_is_type(json_object_array_get_idx(list, i), json_type_string));
    }
}

static void check_params(struct json_object *params)
{
    long long min_ms = cm_json_int(params, "min_ms", -1), max_ms = cm_json_int(params, "max_ms", -1);
    long long clips = cm_json_int(params, "clips", -1);
    fuzz_promise(min_ms >= 1000 && min_ms <= max_ms && max_ms <= 3600000 && clips >= 0 && clips <= 50);
    fuzz_promise(cm_json_int(params, "publish_at_ms", 0) >= 0);
    fuzz_promise(*cm_json_text(params, "language", "") && *cm_json_text(params, "strategy", ""));
    check_texts(params, "formats");
    check_texts(params, "targets");
}

/* What was made complete, asked for once more. */
static void check_again(struct json_object *request, struct json_object *params, const char *text)
{
    struct cm_order order;
    int status = 0;
    json_object_object_add(request, "params", json_object_get(params));
    char *words = cm_intake_check(world.config, request, &order, &status);
    fuzz_promise(!words && !strcmp(order.params, text));
    cm_order_free(&order);
}

static void ask(struct json_object *request)
{
    struct cm_order order;
    int status = 0;
    char *words = cm_intake_check(world.config, request, &order, &status);
    fuzz_promise(!words || (*words && status >= EX__BASE && status <= EX__MAX));
    if (!words) {
        struct json_object *params = cm_json_parse(order.params, strlen(order.params), NULL);
        fuzz_promise(params && *order.owner && *order.pipeline && *order.source);
        fuzz_promise(order.priority >= -100 && order.priority <= 100);
        check_params(params);
        check_again(request, params, order.params);
        json_object_put(params);
    }
    free(words);
    cm_order_free(&order);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct json_object *request = cm_json_parse((const char *)bytes, count, NULL);
    if (json_object_is_type(request, json_type_object)) {
        ask(request);
    }
    json_object_put(request);
    return 0;
}
