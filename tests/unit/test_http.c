/*
 * HTTP exchanges against a small server of our own, in a network namespace of our own where the
 * loopback device also has two public addresses: so redirects from the internet inwards are real.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <clipmaker/plugin.h>
#include <cmocka.h>
#include <json-c/json.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/worker/address.h"
#include "core/worker/call.h"
#include "core/worker/host.h"
#include "core/worker/link.h"

#define PUBLIC "11.11.11.11"
#define OTHER "11.11.11.12"

static int port, has_public;
static atomic_size_t heard_bytes; /* of the request that is being served */

/* ---- The server: one connection at a time, what it answers is in the path ---- */

static void say(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(int fd, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = cm_vformat(format, arguments);
    va_end(arguments);
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0) {
        /* the client gave up, as some tests want it to */
    }
    free(text);
}

static void say_body(int fd, const char *head, const char *body)
{
    say(fd, "HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s", head, strlen(body), body);
}

/* Reads head and body; the whole request, malloc'd. */
static char *listen_to(int fd)
{
    struct cm_text text = {0};
    char block[4096], *end = NULL;
    size_t wanted = 0;
    for (;;) {
        ssize_t got = recv(fd, block, sizeof block, 0);
        if (got <= 0) {
            break;
        }
        cm_text_add_bytes(&text, block, (size_t)got);
        heard_bytes = text.length;
        end = strstr(text.bytes, "\r\n\r\n");
        char *length = strstr(text.bytes, "Content-Length: ");
        wanted =
            end ? (size_t)(end + 4 - text.bytes) + (length && length < end ? strtoul(length + 16, NULL, 10) : 0) : 0;
        if (end && (text.length >= wanted || strstr(text.bytes, " /slam") || strstr(text.bytes, " /early"))) {
            break;
        }
    }
    return cm_text_take(&text);
}

static void wait_for_close(int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    char byte;
    poll(&one, 1, 10000);
    if (recv(fd, &byte, 1, 0) < 0) {
        /* gone as expected */
    }
}

static void serve_file(int fd, const char *request, int honest)
{
    static const char content[] = "0123456789abcdefghij";
    const char *range = strstr(request, "Range: bytes=");
    size_t from = range ? strtoul(range + 13, NULL, 10) : 0;
    if (!range || !honest) {
        say_body(fd, "200 OK", content);
    } else if (from >= sizeof content - 1) {
        say_body(fd, "416 Range Not Satisfiable", "");
    } else {
        char *head = cm_format("206 Partial Content\r\nContent-Range: bytes %zu-19/20", from);
        say_body(fd, head, content + from);
        free(head);
    }
}

/* Two megabytes that take half a second. */
static void serve_long(int fd, int is_told)
{
    enum {
        PARTS = 8,
        PART_BYTES = 256 * 1024
    };
    char *part = cm_alloc(PART_BYTES);
    if (is_told) {
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", PARTS * PART_BYTES);
    } else {
        say(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    }
    for (int i = 0; i < PARTS; i++) {
        for (ssize_t sent = 0, now; sent < PART_BYTES && (now = write(fd, part, PART_BYTES - (size_t)sent)) > 0;) {
            sent += now;
        }
        usleep(70000);
    }
    free(part);
}

/* Answers before the body is there, and takes the rest of it only to throw it away. */
static void serve_early(int fd)
{
    char block[65536];
    say_body(fd, "413 Too Large", "<html>");
    shutdown(fd, SHUT_WR);
    while (recv(fd, block, sizeof block, 0) > 0) {
    }
}

static void serve_one(int fd, const char *request)
{
    char method[16] = "", path[128] = "";
    if (sscanf(request, "%15s %127s", method, path) != 2) {
        return;
    }
    if (!strcmp(path, "/ok")) {
        say_body(fd, "200 OK\r\nX-Thing:  some value ", "hello");
    } else if (!strcmp(path, "/echo")) {
        say_body(fd, "200 OK", request);
    } else if (!strncmp(path, "/to/", 4)) {
        char *head = cm_format("%s\r\nLocation: %s", strstr(path, "keep") ? "307 Keep" : "302 Found", path + 4);
        say_body(fd, head, "moved");
        free(head);
    } else if (!strcmp(path, "/loop")) {
        say_body(fd, "302 Found\r\nLocation: /loop", "");
    } else if (!strcmp(path, "/file")) {
        serve_file(fd, request, 1);
    } else if (!strcmp(path, "/whole")) {
        serve_file(fd, request, 0);
    } else if (!strcmp(path, "/liar")) {
        say_body(fd, "206 Partial Content\r\nContent-Range: bytes 3-19/20", "3456789abcdefghij");
    } else if (!strcmp(path, "/chunked")) {
        say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n");
    } else if (!strcmp(path, "/long")) {
        serve_long(fd, 1);
    } else if (!strcmp(path, "/endless")) {
        serve_long(fd, 0);
    } else if (!strcmp(path, "/stall")) {
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegin");
        wait_for_close(fd);
    } else if (!strcmp(path, "/cut")) {
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegin");
    } else if (!strncmp(path, "/later/", 7)) {
        char *head = cm_format("429 Too Many\r\nRetry-After: %s", path + 7);
        for (char *c = head; *c; c++) {
            *c = *c == '_' ? ' ' : *c;
        }
        say_body(fd, head, "slow down");
        free(head);
    } else if (!strcmp(path, "/sink")) {
        say_body(fd, "200 OK", "");
    } else if (!strcmp(path, "/early")) {
        serve_early(fd);
    } /* else: closes without an answer */
}

static void *serve(void *argument)
{
    int listener = *(int *)argument;
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) {
            return NULL;
        }
        char *request = listen_to(fd);
        int quit = !strncmp(request, "QUIT", 4);
        serve_one(fd, request);
        free(request);
        close(fd);
        if (quit) {
            return NULL;
        }
    }
}

/* ---- The network ---- */

static int set_address(int fd, const char *device, const char *address)
{
    struct ifreq request = {0};
    struct sockaddr_in to = {.sin_family = AF_INET};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", device);
    inet_pton(AF_INET, address, &to.sin_addr);
    memcpy(&request.ifr_addr, &to, sizeof to);
    return ioctl(fd, SIOCSIFADDR, &request);
}

static int make_network(void)
{
    if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET)) {
        return 0;
    }
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    int good = ioctl(fd, SIOCSIFFLAGS, &request) == 0 && set_address(fd, "lo:1", PUBLIC) == 0 &&
               set_address(fd, "lo:2", OTHER) == 0;
    close(fd);
    return good;
}

static int listener;
static pthread_t server;

static int start_server(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t bytes = sizeof address;
    /* Without a network of our own nothing but this machine may reach it. */
    address.sin_addr.s_addr = htonl(has_public ? INADDR_ANY : INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 16) ||
        getsockname(listener, (struct sockaddr *)&address, &bytes)) {
        return -1;
    }
    port = ntohs(address.sin_port);
    return pthread_create(&server, NULL, serve, &listener);
}

static int stop_server(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address)) {
        return -1;
    }
    say(fd, "QUIT / HTTP/1.1\r\n\r\n");
    pthread_join(server, NULL);
    close(fd);
    return close(listener);
}

/* ---- One call around each test ---- */

struct fixture {
    struct cm_call call;
    char *folder;
    struct cm_http_answer answer;
};

static int open_call(void **state)
{
    struct fixture *fixture = cm_alloc(sizeof *fixture);
    char name[] = "/tmp/test-http-XXXXXX";
    fixture->folder = cm_strdup(mkdtemp(name));
    fixture->call.begin = json_object_new_object();
    fixture->call.dir = fixture->folder;
    cm_host_open(&fixture->call);
    *state = fixture;
    return 0;
}

static int close_call(void **state)
{
    struct fixture *fixture = *state;
    cm_host_close(&fixture->call);
    json_object_put(fixture->call.begin);
    cm_folder_remove(fixture->folder);
    free(fixture->folder);
    free(fixture);
    return 0;
}

static char *url_of(const char *host, const char *path)
{
    return cm_format("http://%s:%d%s", host, port, path);
}

/* Asks, with the URL made from host and path; private addresses are allowed when host is one. */
static enum cm_http_outcome ask(struct fixture *fixture, const char *host, const char *path,
                                struct cm_http_request request)
{
    char *url = url_of(host, path);
    request.size = sizeof request;
    request.url = url;
    fixture->answer = (struct cm_http_answer){.size = sizeof fixture->answer};
    enum cm_http_outcome outcome = cm_host_http(&fixture->call.ctx, &request, &fixture->answer);
    assert_int_equal(outcome, fixture->answer.outcome);
    assert_non_null(fixture->answer.body);
    assert_non_null(fixture->answer.problem);
    assert_true((outcome == CM_HTTP_ANSWERED) == (*fixture->answer.problem == '\0'));
    free(url);
    return outcome;
}

static enum cm_http_outcome ask_local(struct fixture *fixture, const char *path, struct cm_http_request request)
{
    request.allow_private = 1;
    return ask(fixture, "127.0.0.1", path, request);
}

static const struct cm_http_request plain;

/* ---- Tests ---- */

static void test_answer(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(ask_local(fixture, "/ok?key=secret", plain), CM_HTTP_BROKEN); /* no such path */
    assert_int_equal(ask_local(fixture, "/ok", plain), CM_HTTP_ANSWERED);
    assert_int_equal(fixture->answer.status, 200);
    assert_string_equal(fixture->answer.body, "hello");
    assert_int_equal(fixture->answer.body_bytes, 5);
    assert_int_equal(fixture->answer.retry_after_ms, -1);
    assert_string_equal(cm_host_http_header(&fixture->call.ctx, "x-thing"), "some value");
    assert_null(cm_host_http_header(&fixture->call.ctx, "x-thin"));
}

static void test_private_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static const char *const hosts[] = {"127.0.0.1", "localhost", "0.0.0.0",           "2130706433",
                                        "127.1",     "[::1]",     "[::ffff:127.0.0.1]"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        assert_int_equal(ask(fixture, hosts[i], "/ok", plain), CM_HTTP_REFUSED);
        assert_non_null(strstr(fixture->answer.problem, "allow_private"));
    }
}

static void test_schemes(void **state)
{
    struct fixture *fixture = *state;
    static const char *const urls[] = {"file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/", "", "http://",
                                       "nonsense://"};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct cm_http_request request = {.size = sizeof request, .url = urls[i], .allow_private = 1};
        struct cm_http_answer answer = {.size = sizeof answer};
        assert_int_equal(cm_host_http(&fixture->call.ctx, &request, &answer), CM_HTTP_REFUSED);
    }
}

static void test_redirects(void **state)
{
    struct fixture *fixture = *state;
    struct cm_http_request following = {.follow = 2};
    assert_int_equal(ask_local(fixture, "/to//ok", plain), CM_HTTP_ANSWERED);
    assert_int_equal(fixture->answer.status, 302);
    assert_int_equal(ask_local(fixture, "/to//ok", following), CM_HTTP_ANSWERED);
    assert_string_equal(fixture->answer.body, "hello");
    assert_non_null(strstr(fixture->answer.final_url, "/ok"));
    assert_int_equal(ask_local(fixture, "/loop", following), CM_HTTP_REFUSED);
    assert_non_null(strstr(fixture->answer.problem, "2 redirects"));
    assert_int_equal(ask_local(fixture, "/to/file:///etc/passwd", following), CM_HTTP_REFUSED);
}

static void test_redirect_inwards_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct cm_http_request following = {.follow = 5};
    if (!has_public) {
        print_message("skipped: no network namespace can be made here\n");
        skip();
    }
    char *inwards = cm_format("/to/http://127.0.0.1:%d/ok", port),
         *named = cm_format("/to/http://localhost:%d/ok", port);
    char *onwards = cm_format("/to/http://" OTHER ":%d/ok", port);
    assert_int_equal(ask(fixture, PUBLIC, "/ok", following), CM_HTTP_ANSWERED);
    assert_int_equal(ask(fixture, PUBLIC, onwards, following), CM_HTTP_ANSWERED);
    assert_string_equal(fixture->answer.body, "hello");
    assert_int_equal(ask(fixture, PUBLIC, inwards, following), CM_HTTP_REFUSED);
    assert_string_equal(fixture->answer.body, "");
    assert_int_equal(ask(fixture, PUBLIC, named, following), CM_HTTP_REFUSED);
    free(inwards);
    free(named);
    free(onwards);
}

static void test_headers_stay_at_their_site(void **state)
{
    struct fixture *fixture = *state;
    const char *const headers[] = {"Authorization: Bearer token-of-mine", "Bad: a\r\nInjected: b", NULL};
    struct cm_http_request request = {.follow = 5, .headers = headers};
    assert_int_equal(ask_local(fixture, "/to//echo", request), CM_HTTP_ANSWERED);
    assert_non_null(strstr(fixture->answer.body, "token-of-mine"));
    assert_null(strstr(fixture->answer.body, "Injected"));
    if (has_public) {
        char *onwards = cm_format("/to/http://" OTHER ":%d/echo", port);
        assert_int_equal(ask(fixture, PUBLIC, onwards, request), CM_HTTP_ANSWERED);
        assert_null(strstr(fixture->answer.body, "token-of-mine"));
        free(onwards);
    }
}

static void check_file(const char *path, const char *content)
{
    char *text = cm_file_read(path, 1000, NULL);
    assert_string_equal(text, content);
    free(text);
}

static void test_save_and_resume(void **state)
{
    struct fixture *fixture = *state;
    char *path = cm_path_join(fixture->folder, "saved");
    struct cm_http_request request = {.save_path = path};
    assert_int_equal(ask_local(fixture, "/file", request), CM_HTTP_ANSWERED);
    assert_int_equal(fixture->answer.saved_bytes, 20);
    assert_string_equal(fixture->answer.body, "");
    check_file(path, "0123456789abcdefghij");
    request.resume_bytes = 10;
    assert_int_equal(cm_file_write(path, "0123456789", 10), 0);
    assert_int_equal(ask_local(fixture, "/file", request), CM_HTTP_ANSWERED);
    assert_int_equal(fixture->answer.status, 206);
    check_file(path, "0123456789abcdefghij");
    assert_int_equal(cm_file_write(path, "zzzzzzzzzz", 10), 0);
    assert_int_equal(ask_local(fixture, "/whole", request), CM_HTTP_ANSWERED); /* ignores ranges: from the start */
    check_file(path, "0123456789abcdefghij");
    assert_int_equal(cm_file_write(path, "0123456789", 10), 0);
    assert_int_equal(ask_local(fixture, "/liar", request), CM_HTTP_REFUSED);
    check_file(path, "0123456789");
    assert_int_equal(ask_local(fixture, "/later/1", request), CM_HTTP_ANSWERED); /* an error page is no part of it */
    check_file(path, "0123456789");
    assert_string_equal(fixture->answer.body, "slow down");
    request.resume_bytes = 20;
    assert_int_equal(ask_local(fixture, "/file", request), CM_HTTP_ANSWERED);
    assert_int_equal(fixture->answer.status, 416);
    free(path);
}

static void test_sizes(void **state)
{
    struct fixture *fixture = *state;
    char *path = cm_path_join(fixture->folder, "saved");
    struct cm_http_request request = {.max_bytes = 19};
    assert_int_equal(ask_local(fixture, "/file", request), CM_HTTP_REFUSED);
    assert_int_equal(ask_local(fixture, "/chunked", request), CM_HTTP_REFUSED);
    request.save_path = path;
    assert_int_equal(ask_local(fixture, "/file", request), CM_HTTP_REFUSED);
    assert_int_equal(ask_local(fixture, "/chunked", request), CM_HTTP_REFUSED);
    assert_true(cm_file_bytes(path) <= 19);
    request.max_bytes = 20;
    assert_int_equal(ask_local(fixture, "/chunked", request), CM_HTTP_ANSWERED);
    assert_int_equal(fixture->answer.saved_bytes, 20);
    free(path);
}

static void test_unwritable(void **state)
{
    struct fixture *fixture = *state;
    char *path = cm_path_join(fixture->folder, "no/such/folder");
    struct cm_http_request request = {.save_path = path};
    assert_int_equal(ask_local(fixture, "/file", request), CM_HTTP_REFUSED);
    assert_non_null(strstr(fixture->answer.problem, "no/such/folder"));
    free(path);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void test_stall_and_deadline(void **state)
{
    struct fixture *fixture = *state;
    struct cm_http_request stalling = {.stall_ms = 300}, late = {.deadline_ms = 300};
    int64_t began = now_ms();
    assert_int_equal(ask_local(fixture, "/stall", stalling), CM_HTTP_BROKEN);
    assert_non_null(strstr(fixture->answer.problem, "300 ms"));
    assert_int_equal(ask_local(fixture, "/stall", late), CM_HTTP_BROKEN);
    assert_true(now_ms() - began < 3000);
}

static void test_broken(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(ask_local(fixture, "/cut", plain), CM_HTTP_BROKEN);
    assert_int_equal(ask_local(fixture, "/nothing", plain), CM_HTTP_BROKEN);
    struct cm_http_request nobody = {.size = sizeof nobody, .url = "http://127.0.0.1:1/", .allow_private = 1};
    struct cm_http_answer answer = {.size = sizeof answer};
    assert_int_equal(cm_host_http(&fixture->call.ctx, &nobody, &answer), CM_HTTP_UNREACHED);
    nobody.url = "http://no-such-name.invalid/";
    assert_int_equal(cm_host_http(&fixture->call.ctx, &nobody, &answer), CM_HTTP_UNREACHED);
}

static void test_retry_after(void **state)
{
    struct fixture *fixture = *state;
    char date[64], *path;
    time_t at = time(NULL) + 100;
    assert_int_equal(ask_local(fixture, "/later/7", plain), CM_HTTP_ANSWERED);
    assert_int_equal(fixture->answer.status, 429);
    assert_int_equal(fixture->answer.retry_after_ms, 7000);
    strftime(date, sizeof date, "%a,_%d_%b_%Y_%H:%M:%S_GMT", gmtime(&at));
    path = cm_format("/later/%s", date);
    assert_int_equal(ask_local(fixture, path, plain), CM_HTTP_ANSWERED);
    assert_in_range(fixture->answer.retry_after_ms, 90000, 101000);
    free(path);
    assert_int_equal(ask_local(fixture, "/later/soon", plain), CM_HTTP_ANSWERED);
    assert_int_equal(fixture->answer.retry_after_ms, -1);
    assert_int_equal(ask_local(fixture, "/later/999999999", plain), CM_HTTP_ANSWERED);
    assert_int_equal(fixture->answer.retry_after_ms, 24 * 3600 * 1000);
}

static void test_bodies(void **state)
{
    struct fixture *fixture = *state;
    char *path = cm_path_join(fixture->folder, "body");
    assert_int_equal(cm_file_write(path, "from a file", 11), 0);
    struct cm_http_request request = {.body = "text", .body_bytes = 4};
    assert_int_equal(ask_local(fixture, "/echo", request), CM_HTTP_ANSWERED);
    assert_non_null(strstr(fixture->answer.body, "POST /echo"));
    assert_non_null(strstr(fixture->answer.body, "\r\n\r\ntext"));
    request = (struct cm_http_request){.body_path = path, .method = "PUT"};
    assert_int_equal(ask_local(fixture, "/echo", request), CM_HTTP_ANSWERED);
    assert_non_null(strstr(fixture->answer.body, "PUT /echo"));
    assert_non_null(strstr(fixture->answer.body, "\r\n\r\nfrom a file"));
    struct cm_http_part file = {
        .size = sizeof file, .name = "clip", .path = path, .file_name = "c.mp4", .content_type = "video/mp4"};
    struct cm_http_part text = {.size = sizeof text, .name = "title", .text = "Заголовок", .next = &file};
    request = (struct cm_http_request){.parts = &text};
    assert_int_equal(ask_local(fixture, "/echo", request), CM_HTTP_ANSWERED);
    assert_non_null(strstr(fixture->answer.body, "multipart/form-data"));
    assert_non_null(strstr(fixture->answer.body, "Заголовок"));
    assert_non_null(strstr(fixture->answer.body, "filename=\"c.mp4\""));
    assert_non_null(strstr(fixture->answer.body, "from a file"));
    /* A redirect that keeps the method sends the body again; another one drops it. */
    request = (struct cm_http_request){.body = "text", .body_bytes = 4, .follow = 1};
    assert_int_equal(ask_local(fixture, "/to//echo", request), CM_HTTP_ANSWERED);
    assert_non_null(strstr(fixture->answer.body, "GET /echo"));
    request = (struct cm_http_request){.body_path = "/nonexistent"};
    assert_int_equal(ask_local(fixture, "/echo", request), CM_HTTP_REFUSED);
    request = (struct cm_http_request){.method = "HEAD"};
    assert_int_equal(ask_local(fixture, "/ok", request), CM_HTTP_ANSWERED);
    assert_int_equal(fixture->answer.body_bytes, 0);
    free(path);
}

/* Whether the end of the body can have got there decides whether a post can be out. */
static void test_cut_bodies(void **state)
{
    struct fixture *fixture = *state;
    char *path = cm_path_join(fixture->folder, "long");
    assert_int_equal(cm_file_write(path, "", 0), 0);
    assert_int_equal(truncate(path, 64 << 20), 0); /* more than all buffers on the way */
    struct cm_http_part part = {.size = sizeof part, .name = "clip", .path = path, .file_name = "c.mp4"};
    struct cm_http_request text = {.body = "text", .body_bytes = 4}, file = {.body_path = path},
                           parts = {.parts = &part};
    const struct {
        const char *path;
        struct cm_http_request request;
        enum cm_http_outcome outcome;
        int cut;
    } cases[] = {
        {"/echo", text, CM_HTTP_ANSWERED, 0},  {"/nothing", text, CM_HTTP_BROKEN, 0},
        {"/nothing", file, CM_HTTP_BROKEN, 0}, {"/nothing", parts, CM_HTTP_BROKEN, 0},
        {"/slam", file, CM_HTTP_BROKEN, 1},    {"/slam", parts, CM_HTTP_BROKEN, 1},
        {"/early", file, CM_HTTP_ANSWERED, 1}, {"/early", parts, CM_HTTP_ANSWERED, 1},
        {"/cut", plain, CM_HTTP_BROKEN, 0},    {"/to//nothing", text, CM_HTTP_ANSWERED, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(ask_local(fixture, cases[i].path, cases[i].request), cases[i].outcome);
        assert_int_equal(fixture->answer.body_cut, cases[i].cut);
    }
    text.size = sizeof text;
    text.url = "http://127.0.0.1:1/";
    text.allow_private = 1;
    assert_int_equal(cm_host_http(&fixture->call.ctx, &text, &fixture->answer), CM_HTTP_UNREACHED);
    assert_int_equal(fixture->answer.body_cut, 1);
    free(path);
}

static void open_link(int pair[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    int out = dup(STDOUT_FILENO);
    cm_link_open(pair[0]);
    dup2(out, STDOUT_FILENO);
    close(out);
}

static void test_a_long_transfer_shows_progress(void **state)
{
    struct fixture *fixture = *state;
    struct cm_http_request request = {.save_path = "long"};
    struct json_object *message = NULL;
    char *error = NULL;
    double before = 0;
    int pair[2], count = 0;
    open_link(pair);
    char *path = cm_path_join(fixture->folder, "long");
    request.save_path = path;
    assert_int_equal(ask_local(fixture, "/long", request), CM_HTTP_ANSWERED);
    for (; cm_message_receive(pair[1], 0, &message, &error) == CM_MESSAGE_OK; count++) {
        double done = cm_json_real(message, "done", -1);
        assert_string_equal(cm_message_type(message), "progress");
        assert_true(done > before && done <= 1);
        before = done;
        json_object_put(message);
    }
    assert_in_range(count, 2, 9);
    free(error);
    free(path);
}

static void test_a_transfer_of_unknown_length_shows_that_it_lives(void **state)
{
    struct fixture *fixture = *state;
    struct json_object *message = NULL;
    char *error = NULL;
    int pair[2], count = 0;
    open_link(pair);
    fixture->call.ctx.host->progress(&fixture->call.ctx, 0.25);
    assert_int_equal(ask_local(fixture, "/endless", plain), CM_HTTP_ANSWERED);
    for (; cm_message_receive(pair[1], 0, &message, &error) == CM_MESSAGE_OK; count++) {
        assert_string_equal(cm_message_type(message), "progress");
        assert_true(cm_json_real(message, "done", -1) == 0.25); /* it is not known to have come any nearer */
        json_object_put(message);
    }
    assert_in_range(count, 2, 9);
    free(error);
}

/* The daemon, who is asked whether the post may go out: his answer, and what the server had by then. */
struct daemon {
    int fd, go, asked;
    size_t heard_bytes;
};

static void *answer_sending(void *argument)
{
    struct daemon *daemon = argument;
    struct json_object *message = NULL;
    char *error = NULL;
    while (cm_message_receive(daemon->fd, 1, &message, &error) == CM_MESSAGE_OK) {
        if (!strcmp(cm_message_type(message), "sending")) {
            usleep(200000); /* what can still arrive does */
            daemon->heard_bytes = heard_bytes;
            daemon->asked++;
            struct json_object *answer = cm_message_new("answer");
            json_object_object_add(answer, "number", json_object_new_int64(cm_json_int(message, "number", 0)));
            json_object_object_add(answer, "ok", json_object_new_boolean(daemon->go));
            cm_message_send(daemon->fd, answer, 1);
            json_object_put(answer);
        }
        json_object_put(message);
    }
    free(error);
    return NULL;
}

static void check_posting(struct fixture *fixture, struct cm_http_request request, int go, size_t before_bytes)
{
    struct daemon daemon = {.go = go};
    pthread_t thread;
    int pair[2];
    open_link(pair);
    daemon.fd = pair[1];
    pthread_create(&thread, NULL, answer_sending, &daemon);
    request.posts = 1;
    heard_bytes = 0;
    assert_int_equal(ask_local(fixture, "/sink", request), go ? CM_HTTP_ANSWERED : CM_HTTP_STOPPED);
    assert_int_equal(fixture->answer.body_cut, !go);
    shutdown(pair[0], SHUT_RDWR);
    pthread_join(thread, NULL);
    close(pair[1]);
    cm_link_open(-1);
    assert_int_equal(daemon.asked, 1);
    assert_true(daemon.heard_bytes >= before_bytes); /* it is on its way already */
    if (go) {
        assert_true(daemon.heard_bytes < heard_bytes);
    }
}

/* The upload runs; its end waits until the daemon has committed that a post may be out. */
static void test_posting(void **state)
{
    enum {
        LONG = 3 << 20
    };
    struct fixture *fixture = *state;
    char *path = cm_path_join(fixture->folder, "long"), *small = cm_path_join(fixture->folder, "small");
    assert_int_equal(cm_file_write(path, "", 0), 0);
    assert_int_equal(cm_file_write(small, "small", 5), 0);
    assert_int_equal(truncate(path, LONG), 0);
    json_object_object_add(fixture->call.begin, "stage", json_object_new_string("publish"));
    struct cm_http_part last = {.size = sizeof last, .name = "text", .text = "x"};
    struct cm_http_part clip = {.size = sizeof clip, .name = "clip", .path = path, .next = &last};
    struct cm_http_part first = {.size = sizeof first, .name = "thumbnail", .path = small, .next = &clip};
    struct cm_http_request parts = {.parts = &first}, file = {.body_path = path}, text = {.body = "x", .body_bytes = 1};
    for (int go = 0; go < 2; go++) {
        check_posting(fixture, parts, go, LONG / 2);
        check_posting(fixture, file, go, LONG / 2);
        check_posting(fixture, text, go, 0);
    }
    free(path);
    free(small);
}

static void test_stopping(void **state)
{
    struct fixture *fixture = *state;
    int pair[2];
    open_link(pair);
    struct json_object *stop = cm_message_new("stop");
    assert_int_equal(cm_message_send(pair[1], stop, 0), CM_MESSAGE_OK);
    json_object_put(stop);
    assert_int_equal(ask_local(fixture, "/stall", plain), CM_HTTP_STOPPED);
}

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int is_public;
    } cases[] = {
        {"8.8.8.8", 1},
        {"1.1.1.1", 1},
        {"10.1.2.3", 0},
        {"100.64.0.1", 0},
        {"100.128.0.1", 1},
        {"127.0.0.1", 0},
        {"169.254.169.254", 0},
        {"172.15.0.1", 1},
        {"172.16.0.1", 0},
        {"172.31.255.255", 0},
        {"172.32.0.1", 1},
        {"192.168.1.1", 0},
        {"198.19.0.1", 0},
        {"224.0.0.1", 0},
        {"255.255.255.255", 0},
        {"0.1.2.3", 0},
        {"2a00:1450::1", 1},
        {"::1", 0},
        {"::", 0},
        {"fc00::1", 0},
        {"fdff::1", 0},
        {"fe80::1", 0},
        {"febf::1", 0},
        {"ff02::1", 0},
        {"::ffff:10.0.0.1", 0},
        {"::ffff:8.8.8.8", 1},
        {"64:ff9b::7f00:1", 0},
        {"64:ff9b::808:808", 1},
        {"2002:7f00:1::", 0},
        {"2002:808:808::1", 1},
        {"2001:db8::1", 0},
        {"2001::1", 0},
        {"::127.0.0.1", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sockaddr_storage address = {0};
        int v6 = strchr(cases[i].text, ':') != NULL;
        address.ss_family = v6 ? AF_INET6 : AF_INET;
        void *place = v6 ? (void *)&((struct sockaddr_in6 *)&address)->sin6_addr
                         : (void *)&((struct sockaddr_in *)&address)->sin_addr;
        assert_int_equal(inet_pton(address.ss_family, cases[i].text, place), 1);
        if (cm_address_is_public((struct sockaddr *)&address) != cases[i].is_public) {
            fail_msg("%s", cases[i].text);
        }
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, open_call, close_call)

int main(void)
{
    cm_log_open("test", CM_LOG_PLAIN, 4);
    has_public = make_network();
    const struct CMUnitTest tests[] = {
        TEST(test_answer),
        TEST(test_private_is_refused),
        TEST(test_schemes),
        TEST(test_redirects),
        TEST(test_redirect_inwards_is_refused),
        TEST(test_headers_stay_at_their_site),
        TEST(test_save_and_resume),
        TEST(test_sizes),
        TEST(test_unwritable),
        TEST(test_stall_and_deadline),
        TEST(test_broken),
        TEST(test_retry_after),
        TEST(test_bodies),
        TEST(test_cut_bodies),
        cmocka_unit_test(test_addresses),
        TEST(test_a_long_transfer_shows_progress),
        TEST(test_a_transfer_of_unknown_length_shows_that_it_lives),
        TEST(test_posting),
        TEST(test_stopping), /* last: the wish to stop stays */
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
