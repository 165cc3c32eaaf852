/*
 * The host's services: what fails is told with its reason, what is emitted is checked, children end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <clipmaker/plugin.h>
#include <cmocka.h>
#undef fail /* also a service of the host */
#include <errno.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/common/done.h"
#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/worker/call.h"
#include "core/worker/host.h"

struct fixture {
    struct cm_call call;
    struct cm_ctx *ctx;
    const struct cm_host *host;
    char *folder;
};

static int open_call(void **state)
{
    static const char begin[] = "{\"stage\":\"stt\",\"instance\":\"one\",\"saved\":{\"a\":\"1\"},"
                                "\"recalled\":{\"|token\":\"t0\",\"me|token\":\"t1\"}}";
    struct fixture *fixture = cm_alloc(sizeof *fixture);
    char name[] = "/tmp/test-host-XXXXXX";
    fixture->folder = cm_strdup(mkdtemp(name));
    fixture->call.begin = cm_json_parse(begin, sizeof begin - 1, NULL);
    fixture->call.dir = fixture->folder;
    fixture->call.done = cm_done_new(CM_OUTCOME_NOSTART);
    cm_host_open(&fixture->call);
    fixture->ctx = &fixture->call.ctx;
    fixture->host = fixture->ctx->host;
    *state = fixture;
    return 0;
}

static int close_call(void **state)
{
    struct fixture *fixture = *state;
    cm_host_close(&fixture->call);
    cm_done_free(fixture->call.done);
    json_object_put(fixture->call.begin);
    cm_folder_remove(fixture->folder);
    free(fixture->folder);
    free(fixture);
    return 0;
}

static void test_fail(void **state)
{
    struct fixture *fixture = *state;
    struct cm_failure failure = {.size = sizeof failure,
                                 .verdict = CM_AGAIN,
                                 .reason = CM_REASON_RATE,
                                 .scope = CM_SCOPE_ACCOUNT,
                                 .delay_ms = -5};
    cm_log_secret("hunter2-hunter2");
    enum cm_verdict verdict =
        fixture->host->fail(fixture->ctx, &failure, "too often\nwith %s and \xff", "hunter2-hunter2");
    assert_int_equal(verdict, CM_AGAIN);
    assert_int_equal(cm_host_judge(&fixture->call, verdict), CM_AGAIN);
    assert_int_equal(fixture->call.done->outcome, CM_AGAIN);
    assert_int_equal(fixture->call.done->reason, CM_REASON_RATE);
    assert_int_equal(fixture->call.done->scope, CM_SCOPE_ACCOUNT);
    assert_int_equal(fixture->call.done->delay_ms, 0);
    assert_string_equal(fixture->call.done->words, "too often with *** and ?");
}

static void test_fail_with_nonsense(void **state)
{
    struct fixture *fixture = *state;
    struct cm_failure failure = {
        .size = sizeof failure, .verdict = 77, .reason = 99, .scope = 12, .delay_ms = INT64_MAX};
    enum cm_verdict verdict = fixture->host->fail(fixture->ctx, &failure, "x");
    cm_host_judge(&fixture->call, verdict);
    assert_int_equal(fixture->call.done->outcome, CM_CANNOT);
    assert_int_equal(fixture->call.done->reason, CM_REASON_INTERNAL);
}

static void test_silent_verdicts(void **state)
{
    struct fixture *fixture = *state;
    cm_host_judge(&fixture->call, CM_AGAIN);
    assert_int_equal(fixture->call.done->outcome, CM_AGAIN);
    assert_int_equal(fixture->call.done->reason, CM_REASON_INTERNAL);
    assert_string_not_equal(fixture->call.done->words, "");
    cm_host_judge(&fixture->call, (enum cm_verdict)0);
    assert_int_equal(fixture->call.done->outcome, CM_CANNOT);
    assert_int_equal(cm_host_judge(&fixture->call, CM_OK), CM_OK);
    assert_int_equal(fixture->call.done->outcome, CM_OK);
}

/* What the host could not write outranks what the plugin makes of it. */
static void test_full_disk(void **state)
{
    struct fixture *fixture = *state;
    cm_call_note_disk(&fixture->call, "/some/folder/file", ENOENT);
    assert_null(fixture->call.host->disk_words);
    cm_call_note_disk(&fixture->call, "/some/folder/file", ENOSPC);
    cm_host_judge(&fixture->call, CM_AGAIN);
    assert_int_equal(fixture->call.done->outcome, CM_HOLD);
    assert_int_equal(fixture->call.done->reason, CM_REASON_RESOURCE);
    assert_non_null(strstr(fixture->call.done->words, "/some/folder"));
}

static void test_structs_of_other_sizes(void **state)
{
    struct fixture *fixture = *state;
    struct cm_word word = {.size = offsetof(struct cm_word, confidence),
                           .text = "old",
                           .start_ms = 1,
                           .end_ms = 2,
                           .confidence = 0.7,
                           .speaker = 3};
    fixture->host->emit_word(fixture->ctx, &word);
    word.size = 0; /* forgotten */
    fixture->host->emit_word(fixture->ctx, &word);
    assert_true(fixture->call.emitted->words[0].confidence == 0);
    assert_string_equal(fixture->call.emitted->words[0].text, "old");
    assert_true(fixture->call.emitted->words[1].confidence == 0.7);
    struct cm_interval speech[] = {{.size = sizeof *speech, .start_ms = 1, .end_ms = 2, .level_db = -3}};
    fixture->call.host->chunk_speech = cm_alloc(sizeof speech);
    memcpy(fixture->call.host->chunk_speech, speech, sizeof speech);
    fixture->call.host->chunk_speech_count = 1;
    struct cm_interval got = {.size = offsetof(struct cm_interval, level_db), .level_db = 9};
    assert_int_equal(fixture->host->speech(fixture->ctx, 0, &got), 1);
    assert_int_equal(got.end_ms, 2);
    assert_true(got.level_db == 9); /* beyond what the caller knows */
    assert_int_equal(fixture->host->speech(fixture->ctx, 1, &got), 0);
}

static void test_files(void **state)
{
    struct fixture *fixture = *state;
    struct cm_file file = {.size = sizeof file, .role = "clip", .file = "a.mp4"};
    assert_int_equal(fixture->host->emit_file(fixture->ctx, &file), -1);
    const char *path = fixture->host->output(fixture->ctx, "a.mp4");
    assert_int_equal(cm_file_write(path, "", 0), 0);
    assert_int_equal(fixture->host->emit_file(fixture->ctx, &file), -1);
    assert_int_equal(cm_file_write(path, "x", 1), 0);
    assert_int_equal(fixture->host->emit_file(fixture->ctx, &file), 0);
    assert_string_equal(cm_call_emitted_file(&fixture->call, "clip"), "a.mp4");
    file.file = "../a.mp4";
    assert_int_equal(fixture->host->emit_file(fixture->ctx, &file), -1);
    assert_int_equal(symlink("/etc/passwd", fixture->host->output(fixture->ctx, "link")), 0);
    file.file = "link";
    assert_int_equal(fixture->host->emit_file(fixture->ctx, &file), -1);
    file.file = NULL;
    file.path = "/etc/passwd"; /* only a source may */
    assert_int_equal(fixture->host->emit_file(fixture->ctx, &file), -1);
    json_object_object_add(fixture->call.begin, "stage", json_object_new_string("source"));
    assert_int_equal(fixture->host->emit_file(fixture->ctx, &file), 0);
    assert_string_equal(fixture->host->output(fixture->ctx, "a/b"), "");
    assert_string_equal(fixture->host->output(fixture->ctx, ".."), "");
}

static void test_kept_strings(void **state)
{
    struct fixture *fixture = *state;
    char long_value[5000];
    memset(long_value, 'x', sizeof long_value);
    long_value[4999] = '\0';
    assert_string_equal(fixture->host->saved(fixture->ctx, "a"), "1");
    assert_null(fixture->host->saved(fixture->ctx, "b"));
    assert_int_equal(fixture->host->save(fixture->ctx, "b", "2"), 0);
    assert_string_equal(fixture->host->saved(fixture->ctx, "b"), "2");
    assert_int_equal(fixture->host->save(fixture->ctx, "c", long_value), -1);
    assert_int_equal(fixture->host->save(fixture->ctx, "c", "\xff"), -1);
    assert_int_equal(fixture->host->save(fixture->ctx, "", "x"), -1);
    assert_string_equal(fixture->host->recall(fixture->ctx, NULL, "token"), "t0");
    assert_string_equal(fixture->host->recall(fixture->ctx, "me", "token"), "t1");
    assert_int_equal(fixture->host->remember(fixture->ctx, "me", "token", "t1", NULL), 0);
    assert_null(fixture->host->recall(fixture->ctx, "me", "token"));
    assert_int_equal(fixture->host->sending(fixture->ctx), -1); /* not a publish call */
}

static void test_json(void **state)
{
    struct fixture *fixture = *state;
    static const char text[] = "{\"choices\":[{\"text\":\"да\",\"n\":3,\"b\":true,\"z\":null}]}";
    const struct cm_host *host = fixture->host;
    const struct cm_json *json = host->json_parse(fixture->ctx, text, sizeof text - 1);
    assert_string_equal(host->json_string(fixture->ctx, host->json_at(fixture->ctx, json, "choices.0.text"), "?"),
                        "да");
    assert_true(host->json_number(fixture->ctx, host->json_at(fixture->ctx, json, "choices.0.n"), 0) == 3);
    assert_int_equal(host->json_bool(fixture->ctx, host->json_at(fixture->ctx, json, "choices.0.b"), 0), 1);
    assert_int_equal(host->json_count(fixture->ctx, host->json_at(fixture->ctx, json, "choices")), 1);
    assert_null(host->json_at(fixture->ctx, json, "choices.1.text"));
    assert_null(host->json_at(fixture->ctx, json, "choices.0.text.deeper"));
    assert_null(host->json_at(fixture->ctx, json, "choices.0.z"));
    assert_null(host->json_at(fixture->ctx, json,
                              ""
                              "nothing"));
    assert_null(host->json_parse(fixture->ctx, text, 5));
    assert_null(host->json_string(fixture->ctx, NULL, NULL));
    assert_int_equal(host->json_count(fixture->ctx, NULL), 0);
    assert_string_equal(host->json_text(fixture->ctx, NULL), "null");
    assert_string_equal(host->json_quote(fixture->ctx, "a\"b\n\xff"), "\"a\\\"b\\n?\"");
}

static int64_t whole(struct fixture *fixture, const char *text)
{
    const struct cm_host *host = fixture->host;
    return host->json_int(fixture->ctx, host->json_parse(fixture->ctx, text, strlen(text)), -7);
}

static void test_whole_numbers(void **state)
{
    assert_int_equal(whole(*state, "42"), 42);
    assert_int_equal(whole(*state, "-1001234567890"), -1001234567890);
    assert_true(whole(*state, "9007199254740993") == 9007199254740993); /* no double has it */
    assert_int_equal(whole(*state, "3.9"), 3);
    assert_int_equal(whole(*state, "\"42\""), -7);
    assert_int_equal(whole(*state, "true"), -7);
    assert_int_equal(whole(*state, "[]"), -7);
    assert_int_equal(whole(*state, "1e300"), -7);
    assert_int_equal(whole(*state, "-1e300"), -7);
    assert_int_equal(whole(*state, "9999999999999999999999"), -7);
    assert_int_equal(whole(*state, "-9999999999999999999999"), -7);
    assert_int_equal(whole(*state, "18446744073709551615"), -7);
    assert_int_equal(whole(*state, "null"), -7);
}

static void test_facts(void **state)
{
    struct fixture *fixture = *state;
    fixture->host->emit_fact(fixture->ctx, "width", "1920");
    fixture->host->emit_fact(fixture->ctx, "bad", "{");
    fixture->host->emit_fact(fixture->ctx, "Bad Name", "1");
    fixture->host->emit_fact(fixture->ctx, NULL, NULL);
    assert_int_equal(json_object_object_length(fixture->call.facts), 1);
    assert_int_equal(cm_json_int(fixture->call.facts, "width", 0), 1920);
}

static int run(struct fixture *fixture, const char *command, int64_t deadline_ms, const char **out, const char **err)
{
    const char *const argv[] = {"/bin/sh", "-c", command, NULL};
    return fixture->host->run(fixture->ctx, argv, deadline_ms, out, err);
}

static void test_run(void **state)
{
    struct fixture *fixture = *state;
    const char *out, *err;
    assert_int_equal(run(fixture, "echo yes; echo no >&2; exit 3", 5000, &out, &err), 3);
    assert_string_equal(out, "yes\n");
    assert_string_equal(err, "no\n");
    assert_int_equal(run(fixture, "kill -9 $$", 5000, NULL, NULL), 128 + 9);
    assert_int_equal(run(fixture, "cat", 5000, &out, NULL), 0); /* its input is empty */
    assert_int_equal(run(fixture, "head -c 200000 /dev/zero | tr '\\0' x", 5000, &out, &err), 0);
    assert_int_equal(strlen(out), 64 * 1024);
    const char *const nothing[] = {"/nonexistent/command", NULL};
    assert_int_equal(fixture->host->run(fixture->ctx, nothing, 1000, &out, &err), -1);
    assert_string_equal(out, "");
}

/* Past its deadline a child goes with all its own children; one that forks and ends is not waited
 * for. */
static void test_run_ends(void **state)
{
    struct fixture *fixture = *state;
    const char *out, *err;
    time_t began = time(NULL);
    assert_int_equal(run(fixture, "sleep 60 & echo $!; sleep 60", 200, &out, &err), 128 + SIGTERM);
    int grandchild = atoi(out);
    assert_true(grandchild > 0);
    struct timespec moment = {.tv_nsec = 50000000};
    for (int i = 0; i < 40 && kill(grandchild, 0) == 0; i++) {
        nanosleep(&moment, NULL);
    }
    char *stat = cm_format("/proc/%d/stat", grandchild), *text = cm_file_read(stat, 4096, NULL);
    assert_true(!text || strstr(text, ") Z ")); /* gone, or only waiting to be reaped by init */
    free(text);
    free(stat);
    assert_int_equal(run(fixture, "sleep 60 & exit 0", 30000, &out, &err), 0);
    assert_true(time(NULL) - began < 20);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, open_call, close_call)

int main(void)
{
    cm_log_open("test", CM_LOG_PLAIN, 5);
    const struct CMUnitTest tests[] = {
        TEST(test_fail),
        TEST(test_fail_with_nonsense),
        TEST(test_silent_verdicts),
        TEST(test_full_disk),
        TEST(test_structs_of_other_sizes),
        TEST(test_files),
        TEST(test_kept_strings),
        TEST(test_json),
        TEST(test_whole_numbers),
        TEST(test_facts),
        TEST(test_run),
        TEST(test_run_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
