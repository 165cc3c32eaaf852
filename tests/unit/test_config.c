/*
 * The config: what is sound is taken with its defaults, and whatever is not is told with file and
 * line, all of it at once.
 */
#include <clipmaker/plugin.h>
#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "core/common/file.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "tests/unit/config_world.h"

static struct world world;

static int open_world(void **state)
{
    (void)state;
    world_open(&world);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    world_close(&world);
    return 0;
}

/* The sound config with something more at its end, which begins at this line. */
static int load_with(const char *more)
{
    char *rest = cm_format("%s%s%s", world_plugins, world_pipeline, more);
    world_write_config(&world, rest);
    int line = 3;
    for (const char *at = world_plugins; *at; at++) {
        line += *at == '\n';
    }
    for (const char *at = world_pipeline; *at; at++) {
        line += *at == '\n';
    }
    world_load(&world);
    free(rest);
    return line;
}

static void sound_config_has_defaults(void **state)
{
    (void)state;
    load_with("");
    assert_int_equal(world.complaints.count, 0);
    assert_non_null(world.config);
    const struct cm_config *config = world.config;
    assert_string_equal(config->settings.language, "ru");
    assert_int_equal(config->settings.min_free_bytes, 1024 * 1024 * 1024);
    assert_int_equal(config->settings.kill_after_ms, 5000);
    assert_int_equal(config->settings.clips_min_ms, 15000);
    assert_int_equal(config->formats.count, 1);
    assert_string_equal(config->formats.items[0], "9:16");
    assert_int_equal(config->use_count, 3);
    assert_int_equal(config->pipeline_count, 2); /* with our own, "publish" */
    char *worker = world_path(&world, "worker"), *store = world_path(&world, "state/store.sqlite");
    assert_string_equal(config->worker, worker); /* relative paths start from the file */
    assert_true(cm_starts_with(config->store, "sqlite:/"));
    assert_string_equal(config->store + strlen("sqlite:"), store);
    free(worker);
    free(store);
}

static void engine_sees_what_plugins_say(void **state)
{
    (void)state;
    load_with("slots = 3;");
    struct cm_engine_config engine = cm_config_engine(world.config, "boot", 7);
    assert_int_equal(engine.slots, 3);
    assert_int_equal(engine.instance_count, 3);
    assert_string_equal(engine.instances[0].schemes, "file http https");
    assert_string_equal(engine.instances[1].languages, "en");
    assert_int_equal(engine.instances[1].limit, 2);
    assert_int_equal(engine.instances[2].settle, CM_SETTLE_SEARCH);
    assert_int_equal(engine.instances[2].settle_ms, 100);
    assert_true(engine.instances[2].can_find);
    assert_string_equal(engine.pipelines[0]->name, "default");
}

/* "a.b" = VALUE as libconfig wants it. */
static char *assignment(const char *path, const char *value)
{
    const char *dot = strchr(path, '.');
    return dot ? cm_format("%.*s: { %s = %s; };\n", (int)(dot - path), path, dot + 1, value)
               : cm_format("%s = %s;\n", path, value);
}

static void every_wrong_type_is_told(void **state)
{
    (void)state;
    for (const struct cm_option *one = cm_settings_table(); one->name; one++) {
        static const char *const values[] = {"\"text\"", "5", "5.5", "true", "[ 1, 2 ]", "( \"a\" )", "{ a = 1; }"};
        for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
            int is_real = one->type == CM_TYPE_REAL;
            int is_text = one->type != CM_TYPE_INT && one->type != CM_TYPE_BOOL && !is_real;
            int fits = is_text ? i == 0 : (one->type == CM_TYPE_INT && i == 1) || (is_real && (i == 1 || i == 2));
            if (fits || !strcmp(one->name, "state") || !strcmp(one->name, "worker") ||
                !strcmp(one->name, "plugin_folder")) {
                continue; /* the last three would be given twice */
            }
            char *more = assignment(one->name, values[i]);
            int line = load_with(more);
            assert_null(world.config);
            assert_true(world_complains(&world, "clipmaker.conf", line, one->name));
            free(more);
        }
    }
}

static void every_range_is_told(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"slots", "-1"},
        {"max_jobs", "-5"},
        {"min_free", "\"lots\""},
        {"language", "\"de\""},
        {"kill_after", "\"1ms\""},
        {"drain", "\"soon\""},
        {"log", "\"loud\""},
        {"backoff.base", "\"-1s\""},
        {"breaker.failures", "0"},
        {"clips.count", "51"},
        {"clips.min", "\"0s\""},
        {"memory.stt", "\"1\""},
        {"warm.attempts", "0"},
        {"store", "\"oracle:\""},
        {"clips.formats", "[ \"4:3\" ]"},
        {"clips.formats", "[ 1 ]"},
        {"targets", "[ \"ear\" ]"},
        {"targets", "\"out\""},
        {"owners.alice", "0"},
        {"owners.alice", "\"much\""},
        {"run.target", "\"ear\""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *more = assignment(bad[i][0], bad[i][1]);
        int line = load_with(more);
        assert_null(world.config);
        assert_true(world_complains(&world, "clipmaker.conf", line, ""));
        free(more);
    }
}

static void unknown_settings_are_told_with_a_guess(void **state)
{
    (void)state;
    int line = load_with("max_job = 5;\nbackof: { base = \"1s\"; };\nbackoff: { bas = \"1s\"; };\nquux = 1;\n");
    assert_true(world_complains(&world, "clipmaker.conf", line, "unknown setting max_job; did you mean max_jobs?"));
    assert_true(world_complains(&world, "clipmaker.conf", line + 1, "unknown setting backof"));
    assert_true(world_complains(&world, "clipmaker.conf", line + 2, "did you mean backoff.base?"));
    assert_true(world_complains(&world, "clipmaker.conf", line + 3, "unknown setting quux"));
    assert_int_equal(world.complaints.count, 4); /* all of them, not only the first */
}

static void large_numbers_are_refused(void **state)
{
    (void)state;
    int line = load_with("max_jobs = 3000000000;\n");
    assert_true(world_complains(&world, "clipmaker.conf", line, "3000000000 is too large"));
    line = load_with("max_jobs = 5L;\n");
    assert_true(world_complains(&world, "clipmaker.conf", line, "5L is too large"));
    line = load_with("max_jobs = 0xFFFFFFFF;\n");
    assert_true(world_complains(&world, "clipmaker.conf", line, "0xFFFFFFFF is too large"));
    line = load_with("/* 99999999999 */ # 99999999999\n// 99999999999\nowners: { a99999999999 = 1; };\nmin_free = "
                     "\"99999999999\";\n");
    assert_int_equal(world.complaints.count, 0);
}

static void include_lines_are_refused(void **state)
{
    (void)state;
    int line = load_with("  @include \"conf.d\"\n");
    assert_true(world_complains(&world, "clipmaker.conf", line, "@include"));
}

static void broken_files_are_told(void **state)
{
    (void)state;
    load_with("slots = = 5;\n");
    assert_null(world.config);
    assert_true(world_complains(&world, "clipmaker.conf", 13, "syntax error"));
    load_with("language = \"\xff\xfe\";\n");
    assert_true(world_complains(&world, "", 0, "is not UTF-8"));
    world_write_config(&world, "");
    char *path = world_path(&world, "clipmaker.conf");
    remove(path);
    world_load(&world);
    assert_true(world_complains(&world, "", 0, "No such file"));
    mkdir(path, 0700);
    world_load(&world);
    assert_true(world_complains(&world, "", 0, "is not a regular file"));
    free(path);
}

static void later_files_win_key_by_key(void **state)
{
    (void)state;
    world_write(&world, "conf.d/20-b.conf", "slots = 7;\nbackoff: { base = \"3s\"; };\n");
    world_write(&world, "conf.d/10-a.conf", "slots = 6;\nmax_jobs = 9;\n");
    world_write(&world, "conf.d/ignored.txt", "nonsense nonsense\n");
    world_write(&world, "conf.d/.hidden.conf", "nonsense nonsense\n");
    load_with("slots = 5;\nbackoff: { max = \"9s\"; };\n");
    assert_int_equal(world.complaints.count, 0);
    assert_int_equal(world.config->settings.slots, 7);
    assert_int_equal(world.config->settings.max_jobs, 9);
    assert_int_equal(world.config->settings.backoff_base_ms, 3000);
    assert_int_equal(world.config->settings.backoff_max_ms, 9000);
}

static void instances_are_overlaid_or_replaced(void **state)
{
    (void)state;
    world_write(&world, "conf.d/10.conf",
                "plugins: { ear: { beams = 7; }; out: { plugin = \"publish_a\"; dir = \"/elsewhere\"; }; };\n");
    char *rest = cm_format("plugins: { src: { plugin = \"source_a\"; }; ear: { plugin = \"stt_a\"; model = \"big\"; };"
                           " out: { plugin = \"publish_a\"; limit = 3; dir = \"clips\"; }; };\n%s",
                           world_pipeline);
    world_write_config(&world, rest);
    world_load(&world);
    assert_int_equal(world.complaints.count, 0);
    const struct cm_plugin_use *ear = cm_config_use(world.config, "ear"), *out = cm_config_use(world.config, "out");
    assert_string_equal(cm_json_text(ear->options, "beams", ""), "7");
    assert_string_equal(cm_json_text(ear->options, "model", ""), "big");
    assert_string_equal(cm_json_text(out->options, "dir", ""), "/elsewhere");
    assert_int_equal(out->limit, 1);
    free(rest);
}

static void complaints_name_the_file_of_conf_d(void **state)
{
    (void)state;
    world_write(&world, "conf.d/10.conf", "\nslots = \"5\";\n");
    world_write(&world, "conf.d/20.conf", "slots = ;\n");
    load_with("mn_free = \"1GiB\";\n");
    assert_true(world_complains(&world, "conf.d/10.conf", 2, "slots must be a whole number"));
    assert_true(world_complains(&world, "conf.d/20.conf", 1, "syntax error"));
    assert_true(world_complains(&world, "clipmaker.conf", 13, "did you mean min_free?"));
}

/* One instance of stt_a with this text in it, at line 4. */
static void load_ear(const char *inside)
{
    char *rest =
        cm_format("plugins: {\n  ear: { plugin = \"stt_a\"; %s };\n  src: { plugin = \"source_a\"; };\n  out: { "
                  "plugin = \"publish_a\"; dir = \"clips\"; };\n};\n%s",
                  inside, world_pipeline);
    world_write_config(&world, rest);
    world_load(&world);
    free(rest);
}

static void plugin_options_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *inside, *words;
    } bad[] = {
        {"modle = \"big\";", "unknown option modle of plugin stt_a; did you mean model?"},
        {"model = 5;", "must be text in quotes"},
        {"beams = \"5\";", "must be a whole number"},
        {"beams = 10;", "beams"},
        {"wait = 5;", "must be text in quotes"},
        {"wait = \"later\";", "wait"},
        {"share = \"half\";", "must be a number"},
        {"fast = 1;", "must be true or false"},
        {"key = \"hunter2hunter2\";", "a secret does not stand in the config"},
        {"limit = 0;", "limit must be a number"},
        {"limit = \"2\";", "limit must be a number"},
        {"rate = 5;", "a rate is written as text"},
        {"rate = \"often\";", "rate"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        load_ear(bad[i].inside);
        assert_null(world.config);
        assert_true(world_complains(&world, "clipmaker.conf", 4, bad[i].words));
    }
    load_ear("beams = 3; wait = \"90s\"; share = 0.25; fast = true; key = \"env:KEY\"; limit = 5; rate = \"5/s\";");
    assert_int_equal(world.complaints.count, 0);
    const struct cm_plugin_use *ear = cm_config_use(world.config, "ear");
    assert_int_equal(ear->limit, 5);
    assert_int_equal(ear->rate_us, 200000);
    assert_string_equal(cm_json_text(ear->options, "key", ""), "env:KEY"); /* resolved at each start only */
    assert_string_equal(cm_json_text(ear->options, "share", ""), "0.25");
    assert_string_equal(cm_json_text(ear->options, "fast", ""), "true");
}

static void secrets_do_not_reach_complaints(void **state)
{
    (void)state;
    load_ear("key = \"hunter2hunter2\";");
    for (size_t i = 0; i < world.complaints.count; i++) {
        assert_null(strstr(world.complaints.lines[i], "hunter2"));
    }
}

static void plugins_that_cannot_be_loaded_are_told(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"crash", "signal 11"},
        {"words", "it has no ops"},
        {"garbage", "makes no sense"},
        {"stage", "names no stage"},
        {"absent", "there is no such plugin"},
        {"../x", "must name a plugin"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *more = cm_format("plugins: {\n  bad: { plugin = \"%s\"; };\n};\n%s", bad[i][0], world_pipeline);
        world_write_config(&world, more);
        world_load(&world);
        assert_null(world.config);
        assert_true(world_complains(&world, "clipmaker.conf", 4, bad[i][1]));
        free(more);
    }
}

static void required_options_are_asked_for(void **state)
{
    (void)state;
    char *rest = cm_format("plugins: { src: { plugin = \"source_a\"; }; ear: { plugin = \"stt_a\"; };\n"
                           " out: { plugin = \"publish_a\"; }; };\n%s",
                           world_pipeline);
    world_write_config(&world, rest);
    world_load(&world);
    assert_true(world_complains(&world, "clipmaker.conf", 4, "out: plugin publish_a needs the option dir: the folder"));
    free(rest);
}

static void output_fills_the_option_that_run_names(void **state)
{
    (void)state;
    world.overrides = (struct cm_overrides){.output = "/my/clips", .state = "/my/state", .is_private = 1};
    load_with("run: { target = \"out\"; option = \"dir\"; };\n");
    assert_int_equal(world.complaints.count, 0);
    assert_string_equal(cm_json_text(cm_config_use(world.config, "out")->options, "dir", ""), "/my/clips");
    assert_string_equal(world.config->state, "/my/state");
    assert_true(world.config->settings.min_free_bytes < 1024 * 1024 * 1024);
    int line = load_with("run: {\n target = \"out\";\n option = \"folder\"; };\n");
    assert_true(world_complains(&world, "clipmaker.conf", line + 2, "publish_a has no option \"folder\""));
    load_with("");
    assert_true(world_complains(&world, "", 0, "is needed for --output"));
}

/* Whatever the service keeps its jobs in. */
static void a_private_run_has_a_store_of_its_own(void **state)
{
    (void)state;
    world.overrides = (struct cm_overrides){.output = "/my/clips", .state = "/my/state", .is_private = 1};
    load_with("run: { target = \"out\"; option = \"dir\"; };\nstore = \"postgresql://host/database\";\n");
    assert_int_equal(world.complaints.count, 0);
    assert_string_equal(world.config->store, "sqlite:/my/state/store.sqlite");
    world.overrides = (struct cm_overrides){.state = "/my/state"};
    load_with("store = \"postgresql://host/database\";\n");
    assert_string_equal(world.config->store, "postgresql://host/database");
}

/* A pipeline of one step more, which stands at line 10. */
static void load_step(const char *step)
{
    char *rest = cm_format("%spipeline: (\n  { step = \"fetch\"; stage = \"source\"; use = [ \"src\" ]; },\n  %s\n);\n",
                           world_plugins, step);
    world_write_config(&world, rest);
    world_load(&world);
    free(rest);
}

static void steps_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *step, *words;
    } bad[] = {
        {"{ step = \"a\"; stage = \"stt\"; use = [ \"eer\" ]; }", "which is not in plugins; did you mean ear?"},
        {"{ step = \"a\"; stage = \"stt\"; use = [ \"src\" ]; }",
         "is of stage stt, but src (plugin source_a) is for source"},
        {"{ step = \"a\"; stage = \"stt\"; use = [ \"target\" ]; each = \"target\"; }", "which only publish can"},
        {"{ step = \"a\"; stage = \"stt\"; use = \"ear\"; }", "use of a step must be a list of names"},
        {"{ step = \"a\"; stage = \"stt\"; use = [ 1 ]; }", "use of a step must be a list of names"},
        {"{ step = 5; stage = \"stt\"; use = [ \"ear\" ]; }", "step of a step must be text"},
        {"{ step = \"a\"; stage = \"stt\"; use = [ \"ear\" ]; tries = \"3\"; }",
         "tries of a step must be a whole number"},
        {"{ step = \"a\"; stage = \"stt\"; use = [ \"ear\" ]; deadline = 5; }", "deadline of a step must be text"},
        {"{ step = \"a\"; stage = \"stt\"; use = [ \"ear\" ]; optional = \"yes\"; }",
         "optional of a step must be true or false"},
        {"{ step = \"a\"; stage = \"stt\"; use = [ \"ear\" ]; atfer = [ \"fetch\" ]; }",
         "unknown setting atfer of a step; did you mean after?"},
        {"{ step = \"a\"; stage = \"stt\"; use = [ \"ear\" ]; after = [ \"nobody\" ]; }", "nobody"},
        {"{ step = \"a\"; stage = \"cooking\"; use = [ \"ear\" ]; }", "stage"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        load_step(bad[i].step);
        assert_null(world.config);
        assert_true(world_complains(&world, "clipmaker.conf", 10, bad[i].words));
    }
    load_step("{ step = \"a\"; stage = \"cooking\"; tries = 0; use = [ \"ear\" ]; },\n  { step = \"b\"; after = [ "
              "\"a\" ]; }");
    assert_true(world_complains(&world, "clipmaker.conf", 10, "stage: must be"));
    assert_true(world_complains(&world, "clipmaker.conf", 10, "tries: must be"));
    assert_true(world_complains(&world, "clipmaker.conf", 11, "either a stage or a builtin"));
    load_step("\"words\"");
    assert_true(world_complains(&world, "", 0, "a step must be a group"));
    world_write_config(&world, world_plugins);
    world_load(&world);
    assert_true(world_complains(&world, "", 0, "there is no pipeline"));
}

static void more_pipelines_have_names(void **state)
{
    (void)state;
    load_with("pipelines: { short = ( { step = \"fetch\"; stage = \"source\"; use = [ \"src\" ]; } ); };\n");
    assert_int_equal(world.complaints.count, 0);
    assert_non_null(cm_config_pipeline(world.config, "short"));
    assert_non_null(cm_config_pipeline(world.config, "default"));
    assert_null(cm_config_pipeline(world.config, "long"));
}

static void reload_knows_what_it_cannot_change(void **state)
{
    (void)state;
    load_with("");
    struct cm_config *old = world.config;
    world.config = NULL;
    load_with("store = \"memory:\";\nslots = 4;\n");
    char *names = cm_settings_needs_restart(&old->settings, &world.config->settings);
    assert_string_equal(names, "store");
    free(names);
    cm_config_free(old);
}

static void chains_take_the_place_of_use(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"{ words = [ \"eer\" ]; }", "step \"words\" uses \"eer\", which is not in plugins; did you mean ear?"},
        {"{ words = [ \"src\" ]; }", "is of stage stt, but src"},
        {"{ words = \"ear\"; }", "chains.words must be a list of names"},
        {"{ words = [ ]; }", "chains.words must be a list of names"},
        {"{ word = [ \"ear\" ]; }", "no pipeline has a step \"word\"; did you mean words?"},
    };
    world_write(&world, "conf.d/10.conf",
                "plugins: { second: { plugin = \"stt_a\"; }; };\nchains: { words = [ \"second\", \"ear\" ]; };\n");
    load_with("");
    assert_int_equal(world.complaints.count, 0);
    const struct cm_step *step = &world.config->pipelines[0]->steps[1];
    assert_int_equal(step->use_count, 2);
    assert_string_equal(step->use[0], "second");
    assert_string_equal(step->use[1], "ear");
    world_write(&world, "conf.d/10.conf", "");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *more = cm_format("chains: %s;\n", bad[i][0]);
        int line = load_with(more);
        assert_null(world.config);
        assert_true(world_complains(&world, "clipmaker.conf", line, bad[i][1]));
        free(more);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
        WORLD_TEST(sound_config_has_defaults),
        WORLD_TEST(engine_sees_what_plugins_say),
        WORLD_TEST(every_wrong_type_is_told),
        WORLD_TEST(every_range_is_told),
        WORLD_TEST(unknown_settings_are_told_with_a_guess),
        WORLD_TEST(large_numbers_are_refused),
        WORLD_TEST(include_lines_are_refused),
        WORLD_TEST(broken_files_are_told),
        WORLD_TEST(later_files_win_key_by_key),
        WORLD_TEST(instances_are_overlaid_or_replaced),
        WORLD_TEST(complaints_name_the_file_of_conf_d),
        WORLD_TEST(plugin_options_are_checked),
        WORLD_TEST(secrets_do_not_reach_complaints),
        WORLD_TEST(plugins_that_cannot_be_loaded_are_told),
        WORLD_TEST(required_options_are_asked_for),
        WORLD_TEST(output_fills_the_option_that_run_names),
        WORLD_TEST(a_private_run_has_a_store_of_its_own),
        WORLD_TEST(steps_are_checked),
        WORLD_TEST(chains_take_the_place_of_use),
        WORLD_TEST(more_pipelines_have_names),
        WORLD_TEST(reload_knows_what_it_cannot_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
