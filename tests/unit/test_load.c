/*
 * A plugin's descriptor is checked before anything in it is believed.
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
#include <unistd.h>

#include "core/common/message.h"
#include "core/worker/load.h"

static enum cm_verdict transcribe(struct cm_ctx *ctx, const struct cm_stt_request *request)
{
    (void)ctx;
    (void)request;
    return CM_OK;
}

static enum cm_verdict publish(struct cm_ctx *ctx, const struct cm_publish_request *request, struct cm_post *post)
{
    (void)ctx;
    (void)request;
    (void)post;
    return CM_OK;
}

struct options {
    const char *text;
};

static const struct cm_option options[] = {
    CM_OPT_STRING(struct options, text, "text", "x", "some text"),
    CM_OPT_END,
};

static struct cm_stt_ops stt_ops;
static struct cm_publish_ops publish_ops;

/* A good descriptor, made bad by each test in its own way. */
static struct cm_plugin good(void)
{
    stt_ops = (struct cm_stt_ops){.size = sizeof stt_ops, .languages = "ru en", .transcribe = transcribe};
    publish_ops = (struct cm_publish_ops){.size = sizeof publish_ops, .publish = publish};
    return (struct cm_plugin){.magic = CM_PLUGIN_MAGIC,
                              .abi_major = CM_ABI_MAJOR,
                              .abi_minor = CM_ABI_MINOR,
                              .size = sizeof(struct cm_plugin),
                              .stage = CM_STAGE_STT,
                              .name = "stt_test",
                              .version = "1",
                              .summary = "A test",
                              .options = options,
                              .options_size = sizeof(struct options),
                              .ops = &stt_ops};
}

static void check_refused(const struct cm_plugin *plugin, const char *says)
{
    struct cm_loaded loaded;
    char *error = cm_load_check("/x/stt_test.so", plugin, &loaded);
    assert_non_null(error);
    assert_non_null(strstr(error, "/x/stt_test.so"));
    assert_non_null(strstr(error, says));
    free(error);
}

static void test_good(void **state)
{
    (void)state;
    struct cm_plugin plugin = good();
    struct cm_loaded loaded;
    assert_null(cm_load_check("/x/stt_test.so", &plugin, &loaded));
    assert_ptr_equal(loaded.ops.stt.transcribe, transcribe);
    assert_null(loaded.open);
    struct json_object *described = cm_load_describe(&loaded);
    assert_string_equal(cm_json_text(described, "stage", ""), "stt");
    assert_string_equal(cm_json_text(cm_json_object(described, "stage_facts"), "languages", ""), "ru en");
    assert_int_equal(json_object_array_length(cm_json_array(described, "options")), 1);
    json_object_put(described);
}

static void test_versions(void **state)
{
    (void)state;
    struct cm_plugin plugin = good();
    plugin.magic = 7;
    check_refused(&plugin, "magic");
    plugin = good();
    plugin.abi_major = CM_ABI_MAJOR + 1;
    check_refused(&plugin, "rebuild");
    plugin = good();
    plugin.abi_minor = CM_ABI_MINOR + 1;
    check_refused(&plugin, "newer");
    plugin = good();
    plugin.size = sizeof plugin + 8;
    check_refused(&plugin, "newer");
    plugin = good();
    plugin.size = 20;
    check_refused(&plugin, "20 bytes");
}

static void test_contents(void **state)
{
    (void)state;
    struct cm_plugin plugin = good();
    plugin.stage = 77;
    check_refused(&plugin, "77");
    plugin = good();
    plugin.ops = NULL;
    check_refused(&plugin, "no ops");
    plugin = good();
    plugin.name = "other";
    check_refused(&plugin, "other.so");
    plugin = good();
    plugin.summary = NULL;
    check_refused(&plugin, "summary");
    plugin = good();
    stt_ops.transcribe = NULL;
    check_refused(&plugin, "transcribe()");
    plugin = good();
    stt_ops.languages = "";
    check_refused(&plugin, ".languages");
    plugin = good();
    stt_ops.size = sizeof stt_ops + 8;
    check_refused(&plugin, "update clipmaker");
    plugin = good();
    plugin.options_size = 1;
    check_refused(&plugin, "\"text\"");
    plugin = good();
    plugin.stage = CM_STAGE_PUBLISH;
    plugin.ops = &publish_ops;
    publish_ops.settle = CM_SETTLE_SEARCH;
    check_refused(&plugin, "find()");
}

/* An older plugin's ops end earlier: what it does not have reads as absent. */
static void test_older_ops(void **state)
{
    (void)state;
    struct cm_plugin plugin = good();
    struct cm_loaded loaded;
    plugin.stage = CM_STAGE_PUBLISH;
    plugin.ops = &publish_ops;
    publish_ops.size = offsetof(struct cm_publish_ops, stats);
    publish_ops.stats = publish_ops.remove =
        (enum cm_verdict(*)(struct cm_ctx *, const struct cm_publish_request *))(void (*)(void))publish;
    assert_null(cm_load_check("/x/stt_test.so", &plugin, &loaded));
    assert_non_null(loaded.ops.publish.publish);
    assert_null(loaded.ops.publish.stats);
    assert_null(loaded.ops.publish.remove);
    publish_ops.size = offsetof(struct cm_publish_ops, publish);
    check_refused(&plugin, "publish()");
}

static void test_no_plugin(void **state)
{
    (void)state;
    struct cm_loaded loaded;
    char *error = cm_load("/nonexistent/x.so", &loaded);
    assert_non_null(strstr(error, "/nonexistent/x.so"));
    free(error);
    char name[] = "/tmp/test-load-XXXXXX";
    int fd = mkstemp(name);
    assert_int_equal(write(fd, "text", 4), 4);
    close(fd);
    error = cm_load(name, &loaded);
    assert_non_null(strstr(error, name));
    free(error);
    unlink(name);
    error = cm_load("libc.so.6", &loaded); /* never searched for where libraries are */
    assert_non_null(error);
    free(error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),      cmocka_unit_test(test_versions),  cmocka_unit_test(test_contents),
        cmocka_unit_test(test_older_ops), cmocka_unit_test(test_no_plugin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
