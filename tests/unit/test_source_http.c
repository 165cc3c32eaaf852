/*
 * source_http: what a server can do to a download, without a server.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#undef fail /* it hides host->fail() */

#include <time.h>
#include <unistd.h>

static int no_pause(const struct timespec *wanted, struct timespec *left)
{
    (void)wanted;
    (void)left;
    return 0;
}
#define nanosleep no_pause
#include "plugins/source_http/source_http.c"
#undef nanosleep

#include "core/common/file.h"
#include "tests/unit/plugin_host.h"

static const char whole[] = "0123456789abcdef";

/* One connection as the server of the test has it. */
struct turn {
    enum cm_http_outcome outcome;
    int status;
    size_t send_until; /* bytes of `file` up to here arrive */
    const char *tag, *type, *problem, *file;
    int64_t asked_from; /* where the plugin must have asked to begin */
};

static const struct turn *turns;
static size_t turn_count, turn_at;
static const char *if_range;

static enum cm_http_outcome fake_http(struct cm_ctx *ctx, const struct cm_http_request *request,
                                      struct cm_http_answer *answer)
{
    (void)ctx;
    assert_true(turn_at < turn_count);
    const struct turn *turn = &turns[turn_at++];
    assert_int_equal(request->resume_bytes, turn->asked_from);
    if_range = request->headers[1];
    assert_true((request->resume_bytes > 0) == (if_range != NULL));
    size_t from = turn->status == 206 ? (size_t)request->resume_bytes : 0;
    if (turn->status / 100 == 2 && turn->send_until > from) {
        FILE *file = fopen(request->save_path, from > 0 ? "r+e" : "we");
        assert_non_null(file);
        fseek(file, (long)from, SEEK_SET);
        fwrite((turn->file ? turn->file : whole) + from, 1, turn->send_until - from, file);
        fclose(file);
    }
    answer->outcome = turn->outcome;
    answer->status = turn->outcome == CM_HTTP_ANSWERED ? turn->status : 0;
    answer->retry_after_ms = turn->status == 429 ? 7000 : -1;
    answer->problem = turn->problem ? turn->problem : "";
    answer->saved_bytes = (int64_t)turn->send_until;
    return turn->outcome;
}

static const char *fake_header(struct cm_ctx *ctx, const char *name)
{
    (void)ctx;
    const struct turn *turn = &turns[turn_at - 1];
    return !strcmp(name, "ETag") ? turn->tag : !strcmp(name, "Content-Type") ? turn->type : NULL;
}

static enum cm_verdict run_turns(const struct turn *given, size_t count)
{
    static struct options own = {.max_size = 1 << 20, .timeout_ms = 60000, .stall_ms = 1000};
    struct cm_ctx ctx = {.size = sizeof ctx, .host = &host_services, .options = &own, .instance = "http"};
    struct cm_source_request request = {.size = sizeof request, .url = "https://example.org/a/talk.webm?x=1"};
    host_reset();
    char *left = cm_path_join(host_seen.dir, "media.webm"); /* an attempt's folder is new */
    unlink(left);
    free(left);
    host_services.http = fake_http;
    host_services.http_header = fake_header;
    turns = given;
    turn_count = count;
    turn_at = 0;
    enum cm_verdict verdict = ops.fetch(&ctx, &request);
    assert_int_equal(turn_at, count);
    return verdict;
}
#define RUN(...) run_turns((const struct turn[]){__VA_ARGS__}, sizeof(struct turn[]){__VA_ARGS__} / sizeof(struct turn))

static void assert_saved(const char *expected)
{
    assert_int_equal(host_seen.file_count, 1);
    assert_string_equal(host_seen.files[0].role, "media");
    assert_true(cm_ends_with(host_seen.files[0].path, "/media.webm"));
    char *bytes = cm_file_read(host_seen.files[0].path, 4096, NULL);
    assert_string_equal(bytes, expected);
    free(bytes);
}

static void one_connection_is_enough(void **state)
{
    (void)state;
    assert_int_equal(RUN({CM_HTTP_ANSWERED, 200, 16, "\"t\"", "video/webm", NULL, NULL, 0}), CM_OK);
    assert_saved(whole);
}

static void a_broken_one_is_taken_up_where_it_broke(void **state)
{
    (void)state;
    assert_int_equal(RUN({CM_HTTP_BROKEN, 200, 5, "\"t\"", NULL, "reset", NULL, 0},
                         {CM_HTTP_BROKEN, 206, 9, "\"t\"", NULL, "reset", NULL, 5},
                         {CM_HTTP_UNREACHED, 0, 0, NULL, NULL, "refused", NULL, 9},
                         {CM_HTTP_ANSWERED, 206, 16, "\"t\"", NULL, NULL, NULL, 9}),
                     CM_OK);
    assert_string_equal(if_range, "If-Range: \"t\"");
    assert_saved(whole);
}

static void without_a_validator_it_starts_over(void **state)
{
    (void)state;
    assert_int_equal(RUN({CM_HTTP_BROKEN, 200, 5, NULL, NULL, "reset", NULL, 0},
                         {CM_HTTP_BROKEN, 200, 7, "W/\"weak\"", NULL, "reset", NULL, 0},
                         {CM_HTTP_ANSWERED, 200, 16, NULL, NULL, NULL, NULL, 0}),
                     CM_OK);
    assert_saved(whole);
}

/* A server that ignores If-Range and goes on with another file. */
static void halves_of_two_files_are_never_joined(void **state)
{
    (void)state;
    assert_int_equal(RUN({CM_HTTP_BROKEN, 200, 5, "\"old\"", NULL, "reset", NULL, 0},
                         {CM_HTTP_ANSWERED, 206, 16, "\"new\"", NULL, NULL, "XXXXXXXXXXXXXXXX", 5},
                         {CM_HTTP_ANSWERED, 200, 16, "\"new\"", NULL, NULL, "XXXXXXXXXXXXXXXX", 0}),
                     CM_OK);
    assert_saved("XXXXXXXXXXXXXXXX");
}

static void it_gives_up_when_nothing_comes(void **state)
{
    (void)state;
    const struct turn dead = {CM_HTTP_BROKEN, 0, 0, NULL, NULL, "reset", NULL, 0};
    assert_int_equal(RUN(dead, dead, dead, dead, dead, dead), CM_AGAIN);
    assert_int_equal(host_seen.failure.reason, CM_REASON_NETWORK);
    assert_int_equal(RUN({CM_HTTP_UNREACHED, 0, 0, NULL, NULL, "no such host", NULL, 0}), CM_AGAIN);
    assert_non_null(strstr(host_seen.words, "no such host"));
}

static void statuses_have_their_verdicts(void **state)
{
    (void)state;
    static const struct {
        int status;
        enum cm_verdict verdict;
        enum cm_reason reason;
    } table[] = {
        {404, CM_REJECT, CM_REASON_NOT_FOUND},  {410, CM_REJECT, CM_REASON_NOT_FOUND},
        {401, CM_REJECT, CM_REASON_AUTH},       {403, CM_REJECT, CM_REASON_AUTH},
        {429, CM_AGAIN, CM_REASON_RATE},        {408, CM_AGAIN, CM_REASON_NETWORK},
        {503, CM_AGAIN, CM_REASON_UNAVAILABLE}, {418, CM_REJECT, CM_REASON_INPUT},
        {302, CM_REJECT, CM_REASON_INPUT},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        assert_int_equal(RUN({CM_HTTP_ANSWERED, table[i].status, 0, NULL, NULL, NULL, NULL, 0}), table[i].verdict);
        assert_int_equal(host_seen.failure.reason, table[i].reason);
        assert_int_equal(host_seen.failure.delay_ms, table[i].status == 429 ? 7000 : 0);
    }
}

static void a_page_is_no_video(void **state)
{
    (void)state;
    const char *page = "\n <!DOCTYPE html><html>";
    assert_int_equal(RUN({CM_HTTP_ANSWERED, 200, strlen(page), NULL, "text/html; charset=utf-8", NULL, page, 0}),
                     CM_REJECT);
    assert_int_equal(host_seen.failure.reason, CM_REASON_NOT_MEDIA);
    /* Many servers call every file they do not know a text. */
    assert_int_equal(RUN({CM_HTTP_ANSWERED, 200, 16, NULL, "text/plain", NULL, NULL, 0}), CM_OK);
}

static void what_the_host_refuses_is_not_tried_again(void **state)
{
    (void)state;
    assert_int_equal(RUN({CM_HTTP_REFUSED, 0, 0, NULL, NULL, "адрес частный: allow_private", NULL, 0}), CM_REJECT);
    assert_int_equal(host_seen.failure.reason, CM_REASON_POLICY);
    assert_int_equal(RUN({CM_HTTP_REFUSED, 0, 0, NULL, NULL, "more than 10 redirects", NULL, 0}), CM_REJECT);
    assert_int_equal(host_seen.failure.reason, CM_REASON_INPUT);
    assert_int_equal(RUN({CM_HTTP_STOPPED, 0, 0, NULL, NULL, "stop", NULL, 0}), CM_AGAIN);
    assert_int_equal(host_seen.failure.reason, CM_REASON_STOPPED);
}

static int make_folder(void **state)
{
    (void)state;
    host_seen.dir = mkdtemp(cm_strdup("/tmp/clipmaker-test-http-XXXXXX"));
    return host_seen.dir ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    int result = cm_folder_remove(host_seen.dir);
    host_reset();
    free((char *)(uintptr_t)host_seen.dir);
    return result;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_connection_is_enough),
        cmocka_unit_test(a_broken_one_is_taken_up_where_it_broke),
        cmocka_unit_test(without_a_validator_it_starts_over),
        cmocka_unit_test(halves_of_two_files_are_never_joined),
        cmocka_unit_test(it_gives_up_when_nothing_comes),
        cmocka_unit_test(statuses_have_their_verdicts),
        cmocka_unit_test(a_page_is_no_video),
        cmocka_unit_test(what_the_host_refuses_is_not_tried_again),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
