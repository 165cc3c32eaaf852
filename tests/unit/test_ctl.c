/*
 * The client: what it accepts on the command line, the key of a run, clips.json, and bars that
 * fit the terminal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include <fcntl.h>
#include <json-c/json.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/ctl/client.h"
#include "core/ctl/ctl.h"
#include "core/ctl/grid.h"
#include "core/ctl/order.h"
#include "core/ctl/progress.h"
#include "core/ctl/report.h"
#include "core/ctl/run_key.h"
#include "core/ctl/run_prune.h"

static char *folder; /* of this test program */

static char *put_file(const char *name, const char *text)
{
    char *path = cm_path_join(folder, name);
    assert_int_equal(cm_file_write(path, text, strlen(text)), 0);
    return path;
}

static int make_folder(void **state)
{
    (void)state;
    char *name = cm_strdup("/tmp/clipmaker-test-ctl-XXXXXX");
    folder = mkdtemp(name);
    return folder ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    int result = cm_folder_remove(folder);
    free(folder);
    return result;
}

/* ---- Flags --------------------------------------------------------------------------------- */

struct parsed {
    int on, first, status;
    const char *text;
    struct cm_texts texts;
    enum cm_parsed how;
};

static struct parsed parse(const char *const *arguments)
{
    static const struct cm_command command = {"try", "THING", "Try flags", NULL};
    struct parsed parsed = {0};
    const struct cm_flag flags[] = {
        {'s', "switch", NULL, "a switch", &parsed.on, NULL, NULL},
        {'t', "text", "WORD", "a text", NULL, &parsed.text, NULL},
        {0, "list", "WORD", "a list", NULL, NULL, &parsed.texts},
        CM_FLAG_END,
    };
    char *argv[16] = {(char *)(uintptr_t) "try"};
    int argc = 1;
    while (arguments[argc - 1]) {
        argv[argc] = (char *)(uintptr_t)arguments[argc - 1];
        argc++;
    }
    parsed.how = cm_ctl_parse(&command, flags, argc, argv, 1, 1, &parsed.first, &parsed.status);
    return parsed;
}

static void flags_are_read(void **state)
{
    (void)state;
    struct parsed parsed = parse((const char *[]){"-s", "--list", "a", "thing", "-tword", "--list=b", NULL});
    assert_int_equal(parsed.how, CM_PARSED_GO);
    assert_int_equal(parsed.on, 1);
    assert_string_equal(parsed.text, "word");
    assert_int_equal(parsed.texts.count, 2);
    assert_string_equal(parsed.texts.items[0], "a");
    assert_string_equal(parsed.texts.items[1], "b");
    assert_int_equal(parsed.first, 6);
    free(parsed.texts.items);
}

static void wrong_usage_is_64(void **state)
{
    (void)state;
    static const char *const wrong[][4] = {
        {"--swich", "x", NULL}, {"-z", "x", NULL}, {"--text", NULL}, {"-t", NULL}, {"one", "two", NULL}, {NULL},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct parsed parsed = parse(wrong[i]);
        assert_int_equal(parsed.how, CM_PARSED_STOP);
        assert_int_equal(parsed.status, EX_USAGE);
    }
    parse((const char *[]){"--swich", "x", NULL});
    assert_non_null(strstr(cm_ctl_last_words(), "did you mean --switch?"));
}

static void words_stay_on_one_line(void **state)
{
    (void)state;
    char *clean = cm_ctl_clean("two\nlines\x1b[2J \xff кино");
    assert_string_equal(clean, "two lines [2J ? кино");
    free(clean);
}

/* ---- Orders -------------------------------------------------------------------------------- */

static void parameters_are_only_what_was_asked(void **state)
{
    (void)state;
    struct json_object *params = NULL;
    struct cm_asked nothing = {0};
    assert_int_equal(cm_order_params(&nothing, &params), 0);
    assert_int_equal(json_object_object_length(params), 0);
    json_object_put(params);
    const char *formats[] = {"9:16", "1:1", "9:16"};
    struct cm_asked all = {.language = "en", .clips = "3", .min = "10s", .max = "1m", .formats = {formats, 3, 3}};
    assert_int_equal(cm_order_params(&all, &params), 0);
    assert_string_equal(json_object_to_json_string_ext(params, JSON_C_TO_STRING_PLAIN),
                        "{\"language\":\"en\",\"formats\":[\"9:16\",\"1:1\"],\"clips\":3,\"min_ms\":10000,\"max_ms\":"
                        "60000}");
    json_object_put(params);
}

static void bad_parameters_are_64(void **state)
{
    (void)state;
    const char *formats[] = {"4:3"};
    const struct cm_asked wrong[] = {
        {.language = "de"},
        {.clips = "0"},
        {.clips = "many"},
        {.clips = "51"},
        {.min = "0"},
        {.max = "soon"},
        {.max = "2h"},
        {.min = "1m", .max = "30s"},
        {.formats = {formats, 1, 1}},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct json_object *params = NULL;
        assert_int_equal(cm_order_params(&wrong[i], &params), EX_USAGE);
        assert_null(params);
    }
}

static int source_status(const char *given, const char *expected)
{
    char *source = NULL;
    int is_url = 0, status = cm_order_source(given, &source, &is_url);
    if (expected) {
        assert_string_equal(source, expected);
    }
    free(source);
    return status;
}

static void sources_are_told_apart(void **state)
{
    (void)state;
    char *video = put_file("a b\nкино.mp4", "x"), *empty = put_file("empty.mp4", "");
    char *url = cm_format("file://%s/a%%20b%%0aкино.mp4", folder), *missing = cm_path_join(folder, "no.mp4");
    assert_int_equal(source_status(video, video), 0);
    assert_int_equal(source_status(url, video), 0);
    assert_int_equal(source_status("https://example.org/a.mp4", "https://example.org/a.mp4"), 0);
    assert_int_equal(source_status(missing, missing), EX_NOINPUT);
    assert_int_equal(source_status("", NULL), EX_NOINPUT);
    assert_int_equal(source_status(folder, folder), EX_DATAERR);
    assert_int_equal(source_status(empty, empty), EX_DATAERR);
    assert_int_equal(source_status("/dev/null", "/dev/null"), EX_DATAERR);
    char *texts[] = {video, empty, url, missing};
    for (size_t i = 0; i < 4; i++) {
        free(texts[i]);
    }
}

static void reasons_have_their_status(void **state)
{
    (void)state;
    assert_int_equal(cm_ctl_status_of_reason("not_found"), EX_NOINPUT);
    assert_int_equal(cm_ctl_status_of_reason("no_speech"), EX_DATAERR);
    assert_int_equal(cm_ctl_status_of_reason("language"), EX_UNAVAILABLE);
    assert_int_equal(cm_ctl_status_of_reason("resource"), EX_TEMPFAIL);
    assert_int_equal(cm_ctl_status_of_reason("something new"), EX_UNAVAILABLE);
}

/* ---- The key ------------------------------------------------------------------------------- */

static void key_of(const char *source, const char *options, const char *config, char key[CM_RUN_KEY_SIZE])
{
    char *cache = cm_path_join(folder, "sources.json");
    struct cm_run_subject subject = {source, 0, "", options, config};
    assert_int_equal(cm_run_key(&subject, cache, key), 0);
    assert_int_equal(strlen(key), 16);
    free(cache);
}

static void key_is_of_content_options_and_config(void **state)
{
    (void)state;
    char *one = put_file("one.mp4", "same"), *two = put_file("two.mp4", "same"), *other = put_file("three.mp4", "diff");
    char *config = put_file("a.conf", "slots = 1;\n");
    char first[CM_RUN_KEY_SIZE], again[CM_RUN_KEY_SIZE];
    key_of(one, "{}", config, first);
    key_of(one, "{}", config, again);
    assert_string_equal(first, again);
    key_of(two, "{}", config, again);
    assert_string_equal(first, again);
    key_of(other, "{}", config, again);
    assert_string_not_equal(first, again);
    key_of(one, "{\"clips\":3}", config, again);
    assert_string_not_equal(first, again);
    free(put_file("a.conf", "slots = 2;\n"));
    key_of(one, "{}", config, again);
    assert_string_not_equal(first, again);
    char *texts[] = {one, two, other, config};
    for (size_t i = 0; i < 4; i++) {
        free(texts[i]);
    }
}

static void key_counts_every_conf_file(void **state)
{
    (void)state;
    char *config = put_file("b.conf", "x"), *folder_d = cm_path_join(folder, "conf.d");
    char before[65], with[65], without[65];
    assert_int_equal(cm_folder_make(folder_d), 0);
    cm_run_hash_config(config, before);
    free(put_file("conf.d/10-a.conf", "y"));
    cm_run_hash_config(config, with);
    assert_string_not_equal(before, with);
    free(put_file("conf.d/notes.txt", "z"));
    cm_run_hash_config(config, without);
    assert_string_equal(with, without);
    assert_int_equal(cm_folder_remove(folder_d), 0);
    free(folder_d);
    free(config);
}

/* A file changed in place, same size, within the same second: the hash must change with it. */
static void cache_notices_a_change(void **state)
{
    (void)state;
    char *cache = cm_path_join(folder, "cache.json"), *path = put_file("video.mp4", "aaaa"), hex[65], direct[65];
    assert_int_equal(cm_run_hash_file(cache, path, hex), 0);
    for (int i = 0; i < 3; i++) {
        char text[5];
        snprintf(text, sizeof text, "%04d", i);
        free(put_file("video.mp4", text));
        assert_int_equal(cm_run_hash_file(cache, path, hex), 0);
        assert_int_equal(cm_file_sha256(path, direct), 0);
        assert_string_equal(hex, direct);
    }
    free(put_file("cache.json", "{broken"));
    assert_int_equal(cm_run_hash_file(cache, path, hex), 0);
    assert_string_equal(hex, direct);
    free(path);
    free(cache);
}

/* ---- clips.json ---------------------------------------------------------------------------- */

static struct json_object *shown_job(void)
{
    char *facts = put_file("facts.json", "{\"duration_ms\":73600,\"width\":1280,\"height\":720}");
    char *transcript = put_file("transcript.json", "{\"language\":\"en\",\"by\":[\"one\",\"two\"],\"draft\":true,"
                                                   "\"words\":[{\"t\":\"a\"},{\"t\":\"b\"}]}");
    char *text = cm_format(
        "{\"job\":{\"id\":\"J\",\"state\":\"succeeded\"},"
        "\"artifacts\":[{\"role\":\"facts\",\"path\":\"/gone\",\"fence\":1,\"facts\":{}},"
        "{\"role\":\"facts\",\"path\":\"%s\",\"fence\":2,\"facts\":{}},"
        "{\"role\":\"transcript\",\"path\":\"%s\",\"fence\":1,\"facts\":{}},"
        "{\"role\":\"clip\",\"item\":\"02/9:16\",\"facts\":{\"title\":\"Second\",\"start_s\":1,\"end_s\":2}},"
        "{\"role\":\"clip\",\"item\":\"03/9:16\",\"facts\":{\"title\":\"Not out\"}},"
        "{\"role\":\"clip\",\"item\":\"01/9:16\",\"facts\":\"{\\\"title\\\":\\\"First\\\",\\\"start_ms\\\":1500,"
        "\\\"end_ms\\\":31250,\\\"format\\\":\\\"9:16\\\",\\\"width\\\":1080,\\\"height\\\":1920,"
        "\\\"score\\\":{\\\"total\\\":71.5,\\\"hook\\\":20},\\\"cta\\\":\\\"Subscribe\\\"}\"}],"
        "\"effects\":[{\"item\":\"02/9:16/folder\",\"state\":\"confirmed\",\"post_id\":\"02-second.mp4\"},"
        "{\"item\":\"01/9:16/folder\",\"state\":\"confirmed\",\"post_id\":\"01-first.mp4\"},"
        "{\"item\":\"03/9:16/folder\",\"state\":\"intent\",\"post_id\":\"\"}]}",
        facts, transcript);
    char *error = NULL;
    struct json_object *shown = cm_json_parse(text, strlen(text), &error);
    assert_non_null(shown);
    free(text);
    free(transcript);
    free(facts);
    return shown;
}

static void report_says_what_came_out(void **state)
{
    (void)state;
    struct json_object *shown = shown_job();
    free(put_file("01-first.mp4", "v"));
    free(put_file("01-first.jpg", "j"));
    free(put_file("01-first.srt", "s"));
    struct json_object *report = cm_report_make(shown, "/videos/talk.mp4", folder);
    struct json_object *clips = cm_json_array(report, "clips"), *first = json_object_array_get_idx(clips, 0);
    assert_string_equal(json_object_to_json_string_ext(cm_json_object(report, "source"),
                                                       JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
                        "{\"path\":\"/videos/talk.mp4\",\"duration_s\":73.6,\"width\":1280,\"height\":720}");
    assert_string_equal(json_object_to_json_string_ext(cm_json_object(report, "transcript"), JSON_C_TO_STRING_PLAIN),
                        "{\"language\":\"en\",\"words\":2,\"by\":\"one, two\"}");
    assert_int_equal(json_object_array_length(clips), 2);
    assert_string_equal(json_object_to_json_string_ext(first, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
                        "{\"file\":\"01-first.mp4\",\"thumbnail\":\"01-first.jpg\",\"captions\":\"01-first.srt\","
                        "\"title\":\"First\",\"reason\":\"\",\"start_s\":1.5,\"end_s\":31.25,\"format\":\"9:16\","
                        "\"width\":1080,\"height\":1920,\"score\":{\"total\":71.5,\"hook\":20,\"engagement\":0,"
                        "\"flow\":0,\"trend\":0},\"cta\":\"Subscribe\",\"selected_by\":\"\"}");
    assert_int_equal(cm_report_is_draft(shown), 1);
    json_object_put(report);
    json_object_put(shown);
}

static void clips_stand_by_rank_and_asked_format(void **state)
{
    (void)state;
    static const char *const expected[] = {"01-a.mp4", "01-b.mp4", "02-a.mp4"};
    static const char text[] = "{\"job\":{\"params\":{\"formats\":[\"9:16\",\"1:1\"]}},\"artifacts\":["
                               "{\"role\":\"clip\",\"item\":\"02/9:16\"},{\"role\":\"clip\",\"item\":\"01/1:1\"},"
                               "{\"role\":\"clip\",\"item\":\"01/9:16\"}],\"effects\":["
                               "{\"item\":\"01/9:16/f\",\"state\":\"confirmed\",\"post_id\":\"01-a.mp4\"},"
                               "{\"item\":\"01/1:1/f\",\"state\":\"confirmed\",\"post_id\":\"01-b.mp4\"},"
                               "{\"item\":\"02/9:16/f\",\"state\":\"confirmed\",\"post_id\":\"02-a.mp4\"}]}";
    char *error = NULL;
    struct json_object *shown = cm_json_parse(text, strlen(text), &error);
    struct json_object *report = cm_report_make(shown, "x", folder), *clips = cm_json_array(report, "clips");
    assert_int_equal(json_object_array_length(clips), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(cm_json_text(json_object_array_get_idx(clips, i), "file", ""), expected[i]);
    }
    json_object_put(report);
    json_object_put(shown);
}

static void report_is_whole_while_its_files_are(void **state)
{
    (void)state;
    struct json_object *shown = shown_job();
    char *files[] = {put_file("01-first.mp4", "v"), put_file("01-first.jpg", "j"), put_file("02-second.mp4", "v")};
    struct json_object *report = cm_report_make(shown, "x", folder);
    assert_int_equal(cm_report_is_whole(report, folder), 1);
    assert_int_equal(unlink(files[1]), 0);
    assert_int_equal(cm_report_is_whole(report, folder), 0);
    cm_report_remove_files(report, folder);
    assert_int_equal(access(files[0], F_OK), -1);
    assert_int_equal(access(files[2], F_OK), -1);
    for (size_t i = 0; i < 3; i++) {
        free(files[i]);
    }
    json_object_put(report);
    json_object_put(shown);
}

static void a_failed_run_has_no_clips(void **state)
{
    (void)state;
    struct json_object *report = cm_report_failed("J", "/a.mp4", "no_speech", "nobody speaks");
    assert_string_equal(json_object_to_json_string_ext(report, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
                        "{\"job\":\"J\",\"state\":\"failed\",\"source\":{\"path\":\"/a.mp4\"},\"clips\":[],"
                        "\"error\":{\"reason\":\"no_speech\",\"words\":\"nobody speaks\"}}");
    assert_int_equal(cm_report_is_whole(report, folder), 0);
    json_object_put(report);
}

/* ---- The terminal -------------------------------------------------------------------------- */

static void widths_are_of_a_terminal(void **state)
{
    (void)state;
    assert_int_equal(cm_width("кино"), 4);
    assert_int_equal(cm_width("e\xcc\x81"), 1); /* a letter and a combining accent */
    char *cut = cm_fit("длинное слово", 8), *padded = cm_fit("ab", 4);
    assert_string_equal(cut, "длинное…");
    assert_string_equal(padded, "ab  ");
    free(cut);
    free(padded);
}

static void bars_fit_the_terminal(void **state)
{
    (void)state;
    const char *text = "{\"step\":\"transcript\",\"state\":\"running\",\"total\":1234,\"done\":617,\"progress\":0.5}";
    char *error = NULL;
    struct json_object *step = cm_json_parse(text, strlen(text), &error);
    static const int widths[] = {48, 60, 80, 200};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        char *bar = cm_progress_bar(step, widths[i], 754000);
        assert_true(cm_width(bar) < (size_t)widths[i]);
        assert_non_null(strstr(bar, " 50%"));
        assert_non_null(strstr(bar, "617/1234"));
        assert_non_null(strstr(bar, "~12:34"));
        free(bar);
    }
    json_object_put(step);
}

/* ---- The protocol -------------------------------------------------------------------------- */

static void answers_are_found_between_events(void **state)
{
    (void)state;
    static const char lines[] = "{\"event\":\"job\",\"job\":{}}\nnonsense\n{\"ok\":true,\"job\":\"J\"}\n"
                                "{\"ok\":false,\"status\":66,\"words\":\"no such job\"}\n{\"event\":";
    int ends[2], status = 0;
    char *words = NULL;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(write(ends[1], lines, sizeof lines - 1), sizeof lines - 1);
    struct cm_client *client = cm_client_over(ends[0]);
    struct json_object *answer = cm_client_ask(client, cm_client_request("submit"), NULL, &status, &words);
    assert_non_null(answer);
    assert_int_equal(status, 0);
    assert_string_equal(cm_json_text(answer, "job", ""), "J");
    json_object_put(answer);
    assert_null(cm_client_ask(client, cm_client_request("show"), NULL, &status, &words));
    assert_int_equal(status, 66);
    assert_string_equal(words, "no such job");
    free(words);
    close(ends[1]);
    assert_null(cm_client_ask(client, cm_client_request("show"), NULL, &status, &words));
    assert_null(words);
    cm_client_free(client);
}

/* A state folder; finished so many days ago, or never when below 0. */
static void put_state(const char *home, const char *key, int days, int64_t now_ms)
{
    char *state = cm_path_join(home, key), *result = cm_path_join(state, "clips.json");
    char *store = cm_path_join(state, "store.sqlite");
    assert_int_equal(cm_folder_make(state), 0);
    assert_int_equal(cm_file_write(store, "x", 1), 0);
    if (days >= 0) {
        struct timespec when = {now_ms / 1000 - (int64_t)days * 24 * 3600, 0}, times[2] = {when, when};
        assert_int_equal(cm_file_write(result, "{}", 2), 0);
        assert_int_equal(utimensat(AT_FDCWD, result, times, 0), 0);
    }
    free(store);
    free(result);
    free(state);
}

static int is_there(const char *home, const char *key)
{
    char *state = cm_path_join(home, key);
    int there = access(state, F_OK) == 0;
    free(state);
    return there;
}

static void old_states_go_the_current_and_the_unfinished_stay(void **state)
{
    (void)state;
    char *home = cm_path_join(folder, "home"), *cache = cm_path_join(home, "sources.json");
    int64_t now_ms = 1800000000000;
    put_state(home, "old", CM_RUN_STATE_DAYS + 1, now_ms);
    put_state(home, "current", CM_RUN_STATE_DAYS + 100, now_ms);
    put_state(home, "fresh", CM_RUN_STATE_DAYS - 1, now_ms);
    put_state(home, "unfinished", -1, now_ms);
    assert_int_equal(cm_file_write(cache, "[]", 2), 0);
    assert_int_equal(cm_run_prune(home, "current", now_ms), 1);
    assert_false(is_there(home, "old"));
    assert_true(is_there(home, "current") && is_there(home, "fresh") && is_there(home, "unfinished"));
    assert_true(is_there(home, "sources.json"));
    assert_int_equal(cm_run_prune("/nowhere/at/all", "current", now_ms), 0);
    free(cache);
    free(home);
}

int main(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_are_read),
        cmocka_unit_test(wrong_usage_is_64),
        cmocka_unit_test(words_stay_on_one_line),
        cmocka_unit_test(parameters_are_only_what_was_asked),
        cmocka_unit_test(bad_parameters_are_64),
        cmocka_unit_test(sources_are_told_apart),
        cmocka_unit_test(reasons_have_their_status),
        cmocka_unit_test(key_is_of_content_options_and_config),
        cmocka_unit_test(key_counts_every_conf_file),
        cmocka_unit_test(cache_notices_a_change),
        cmocka_unit_test(old_states_go_the_current_and_the_unfinished_stay),
        cmocka_unit_test(report_says_what_came_out),
        cmocka_unit_test(clips_stand_by_rank_and_asked_format),
        cmocka_unit_test(report_is_whole_while_its_files_are),
        cmocka_unit_test(a_failed_run_has_no_clips),
        cmocka_unit_test(widths_are_of_a_terminal),
        cmocka_unit_test(bars_fit_the_terminal),
        cmocka_unit_test(answers_are_found_between_events),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
