/*
 * source_http: a video from a web address. A broken connection is taken up again where it broke,
 * as long as the server can show that the file is still the same; else from the start.
 */
#include <clipmaker/plugin.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>

#define TRIES_WITHOUT_A_BYTE 6
#define FIRST_PAUSE_MS 1000
#define LONGEST_PAUSE_MS 30000
#define PAUSE_STEP_MS 100
#define REDIRECTS 10
#define LIMIT_SLACK_BYTES (64 * 1024) /* what may come in one piece */

struct options {
    int64_t max_size;
    int64_t timeout_ms;
    int64_t stall_ms;
    int allow_private;
};

static const struct cm_option options[] = {
    CM_OPT_SIZE(struct options, max_size, "max_size", "20GiB", 1, 0x1p62, "largest video that is downloaded"),
    CM_OPT_TIME(struct options, timeout_ms, "timeout", "2h", 1000, 86400000, "longest time for one connection"),
    CM_OPT_TIME(struct options, stall_ms, "stall", "30s", 1000, 3600000,
                "a connection is broken when no byte came for this long"),
    CM_OPT_BOOL(struct options, allow_private, "allow_private", "false",
                "also take addresses of this machine and of private networks"),
    CM_OPT_END,
};

static const struct cm_failure not_found = CM_FAILURE(CM_REJECT, CM_REASON_NOT_FOUND, CM_SCOPE_ITEM, 0);
static const struct cm_failure not_media = CM_FAILURE(CM_REJECT, CM_REASON_NOT_MEDIA, CM_SCOPE_ITEM, 0);
static const struct cm_failure bad_input = CM_FAILURE(CM_REJECT, CM_REASON_INPUT, CM_SCOPE_ITEM, 0);
static const struct cm_failure no_right = CM_FAILURE(CM_REJECT, CM_REASON_AUTH, CM_SCOPE_ITEM, 0);
static const struct cm_failure too_large = CM_FAILURE(CM_REJECT, CM_REASON_TOO_LARGE, CM_SCOPE_ITEM, 0);
static const struct cm_failure forbidden = CM_FAILURE(CM_REJECT, CM_REASON_POLICY, CM_SCOPE_ITEM, 0);
static const struct cm_failure network = CM_FAILURE(CM_AGAIN, CM_REASON_NETWORK, CM_SCOPE_ITEM, 0);
static const struct cm_failure stopped = CM_FAILURE(CM_AGAIN, CM_REASON_STOPPED, CM_SCOPE_ITEM, 0);

/* One download, over all of its connections. */
struct download {
    struct cm_ctx *ctx;
    const char *url;
    const char *name, *path; /* of the file in the attempt folder */
    int64_t have_bytes;      /* of it, on the disk */
    const char *validator;   /* ETag or Last-Modified of what we have; NULL: cannot be resumed */
    int tries_without_a_byte;
    int64_t pause_ms;
};

static const struct options *options_of(struct download *download)
{
    return download->ctx->options;
}

/* ---- What the server said ------------------------------------------------------------------ */

static int is_page(const char *type)
{
    static const char *const pages[] = {"text/html", "application/xhtml+xml", "text/plain", "application/json"};
    for (size_t i = 0; type && i < sizeof pages / sizeof *pages; i++) {
        if (!strncasecmp(type, pages[i], strlen(pages[i]))) {
            return 1;
        }
    }
    return 0;
}

/* A server that calls every file text/plain is common: only a text that begins like one is a page. */
static int begins_like_a_page(const char *path)
{
    char start[64] = "";
    FILE *file = fopen(path, "re");
    size_t got = file ? fread(start, 1, sizeof start - 1, file) : 0;
    if (file) {
        fclose(file);
    }
    start[got] = '\0';
    const char *text = start + strspn(start, " \t\r\n\xef\xbb\xbf");
    return !strncasecmp(text, "<!doctype", 9) || !strncasecmp(text, "<html", 5) || !strncmp(text, "<?xml", 5) ||
           *text == '{' || *text == '[';
}

/* A weak ETag promises no equal bytes. */
static const char *validator_of(struct cm_ctx *ctx)
{
    const char *tag = ctx->host->http_header(ctx, "ETag");
    if (tag && *tag == '"') {
        return ctx->host->format(ctx, "%s", tag);
    }
    const char *modified = ctx->host->http_header(ctx, "Last-Modified");
    return modified && *modified ? ctx->host->format(ctx, "%s", modified) : NULL;
}

static enum cm_verdict fail_later(struct download *download, enum cm_reason reason, const struct cm_http_answer *answer)
{
    struct cm_failure failure = CM_FAILURE(CM_AGAIN, reason, CM_SCOPE_ITEM, 0);
    failure.delay_ms = answer->retry_after_ms > 0 ? answer->retry_after_ms : 0;
    if (reason == CM_REASON_RATE) {
        return download->ctx->host->fail(download->ctx, &failure, "%s: the server asks to come back later (429)",
                                         download->url);
    }
    return download->ctx->host->fail(download->ctx, &failure, "%s: the server has trouble (%d); trying again later",
                                     download->url, (int)answer->status);
}

static enum cm_verdict fail_by_status(struct download *download, const struct cm_http_answer *answer)
{
    struct cm_ctx *ctx = download->ctx;
    const struct cm_host *host = ctx->host;
    int status = (int)answer->status;
    switch (status) {
    case 404:
    case 410:
        return host->fail(ctx, &not_found, "%s: no such address (%d); check the link", download->url, status);
    case 401:
    case 403:
    case 407:
        return host->fail(ctx, &no_right,
                          "%s: the server does not let us in (%d); give a link that works without signing in",
                          download->url, status);
    case 429:
        return fail_later(download, CM_REASON_RATE, answer);
    case 408:
    case 425:
        return fail_later(download, CM_REASON_NETWORK, answer);
    default:
        break;
    }
    if (status >= 500) {
        return fail_later(download, CM_REASON_UNAVAILABLE, answer);
    }
    return host->fail(ctx, &bad_input, "%s: the server answered %d instead of a video; check the link", download->url,
                      status);
}

/* Whether the server had more to send than we take: it said so, or we stopped close to the limit. */
static int was_too_large(struct download *download, const struct cm_http_answer *answer)
{
    const char *length = download->ctx->host->http_header(download->ctx, "Content-Length");
    int64_t limit_bytes = options_of(download)->max_size;
    return (length && download->have_bytes + atoll(length) > limit_bytes) ||
           answer->saved_bytes > limit_bytes - LIMIT_SLACK_BYTES;
}

/* The host refused to go on: its words say why, ours what to do. A full disk it reports itself. */
static enum cm_verdict fail_refused(struct download *download, const struct cm_http_answer *answer)
{
    struct cm_ctx *ctx = download->ctx;
    /* The option's name is the same in every language. */
    if (strstr(answer->problem, "allow_private")) {
        return ctx->host->fail(ctx, &forbidden, "%s: %s", download->url, answer->problem);
    }
    if (was_too_large(download, answer)) {
        return ctx->host->fail(ctx, &too_large, "%s: %s; raise max_size of this source to permit it", download->url,
                               answer->problem);
    }
    return ctx->host->fail(ctx, &bad_input, "%s: %s; check the link", download->url, answer->problem);
}

/* ---- The download -------------------------------------------------------------------------- */

static int64_t milliseconds_left(struct cm_ctx *ctx, int64_t limit_ms)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t left_ms = ctx->deadline_utc_ms - (now.tv_sec * (int64_t)1000 + now.tv_nsec / 1000000);
    if (ctx->deadline_utc_ms == 0 || left_ms > limit_ms) {
        return limit_ms;
    }
    return left_ms > 1 ? left_ms : 1;
}

static void exchange(struct download *download, struct cm_http_answer *answer)
{
    struct cm_ctx *ctx = download->ctx;
    const struct options *own = options_of(download);
    if (!download->validator) {
        download->have_bytes = 0;
    }
    const char *headers[] = {"Accept: video/*, */*;q=0.5", NULL, NULL};
    if (download->have_bytes > 0) {
        headers[1] = ctx->host->format(ctx, "If-Range: %s", download->validator);
    }
    struct cm_http_request request = {
        .size = sizeof request,
        .url = download->url,
        .headers = headers,
        .save_path = download->path,
        .resume_bytes = download->have_bytes,
        .max_bytes = own->max_size,
        .deadline_ms = milliseconds_left(ctx, own->timeout_ms),
        .stall_ms = own->stall_ms,
        .follow = REDIRECTS,
        .allow_private = own->allow_private,
    };
    *answer = (struct cm_http_answer){.size = sizeof *answer};
    ctx->host->http(ctx, &request, answer);
}

/* Waits before the next connection; longer each time that brought nothing. */
static enum cm_verdict pause_a_while(struct download *download)
{
    const struct timespec step = {.tv_nsec = PAUSE_STEP_MS * 1000000L};
    for (int64_t waited_ms = 0; waited_ms < download->pause_ms; waited_ms += PAUSE_STEP_MS) {
        if (download->ctx->host->stopping(download->ctx)) {
            return download->ctx->host->fail(download->ctx, &stopped, "stopped while downloading the video");
        }
        nanosleep(&step, NULL);
    }
    download->pause_ms = download->pause_ms * 2 < LONGEST_PAUSE_MS ? download->pause_ms * 2 : LONGEST_PAUSE_MS;
    return CM_OK;
}

/* The connection broke: CM_OK means "go on with the next one". */
static enum cm_verdict after_a_break(struct download *download, const struct cm_http_answer *answer)
{
    struct cm_ctx *ctx = download->ctx;
    struct stat info;
    int64_t now_bytes = stat(download->path, &info) == 0 ? info.st_size : 0;
    if (answer->outcome == CM_HTTP_BROKEN && now_bytes != download->have_bytes) {
        const char *validator = validator_of(ctx);
        download->validator = validator ? validator : download->validator;
        download->tries_without_a_byte = 0;
        download->pause_ms = FIRST_PAUSE_MS;
    } else if (++download->tries_without_a_byte >= TRIES_WITHOUT_A_BYTE) {
        return ctx->host->fail(ctx, &network, "%s: %s; trying again later", download->url, answer->problem);
    }
    download->have_bytes = now_bytes;
    ctx->host->log(ctx, CM_LOG_INFO, "connection broke after %lld bytes (%s)", (long long)now_bytes, answer->problem);
    return pause_a_while(download);
}

/* A complete answer came. CM_OK with *complete 0: start over. */
static enum cm_verdict after_an_answer(struct download *download, const struct cm_http_answer *answer, int *complete)
{
    struct cm_ctx *ctx = download->ctx;
    if (answer->status == 416 && download->have_bytes > 0) {
        download->validator = NULL; /* it is another file now */
        return CM_OK;
    }
    if (answer->status != 200 && answer->status != 206) {
        return fail_by_status(download, answer);
    }
    const char *now = answer->status == 206 ? validator_of(ctx) : NULL;
    if (now && strcmp(now, download->validator)) {
        download->validator = NULL; /* its end is not of the file whose beginning we have */
        return CM_OK;
    }
    const char *type = ctx->host->http_header(ctx, "Content-Type");
    if (is_page(type) && begins_like_a_page(download->path)) {
        return ctx->host->fail(ctx, &not_media, "%s: this is a page, not a video; give the address of the video file",
                               download->url);
    }
    *complete = 1;
    return CM_OK;
}

static enum cm_verdict run_download(struct download *download)
{
    struct cm_ctx *ctx = download->ctx;
    int complete = 0;
    enum cm_verdict verdict = CM_OK;
    while (!complete && verdict == CM_OK) {
        struct cm_http_answer answer;
        exchange(download, &answer);
        switch (answer.outcome) {
        case CM_HTTP_ANSWERED:
            verdict = after_an_answer(download, &answer, &complete);
            break;
        case CM_HTTP_REFUSED:
            verdict = fail_refused(download, &answer);
            break;
        case CM_HTTP_STOPPED:
            verdict = ctx->host->fail(ctx, &stopped, "stopped while downloading the video");
            break;
        case CM_HTTP_UNREACHED:
            verdict = download->have_bytes > 0
                          ? after_a_break(download, &answer)
                          : ctx->host->fail(ctx, &network, "%s: %s; check the address and the network", download->url,
                                            answer.problem);
            break;
        default:
            verdict = after_a_break(download, &answer);
            break;
        }
    }
    return verdict;
}

/* ---- fetch --------------------------------------------------------------------------------- */

/* "https://host/a/talk.webm?x=1" → ".webm"; "" when the address does not say. */
static const char *extension_of(struct cm_ctx *ctx, const char *url)
{
    size_t length = strcspn(url, "?#");
    size_t start = length;
    while (start > 0 && url[start - 1] != '.' && url[start - 1] != '/') {
        start--;
    }
    size_t bytes = length - start;
    if (start == 0 || url[start - 1] != '.' || bytes == 0 || bytes > 5 ||
        strspn(url + start, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") < bytes) {
        return "";
    }
    return ctx->host->format(ctx, ".%.*s", (int)bytes, url + start);
}

static enum cm_verdict emit_given_captions(struct cm_ctx *ctx, const char *path)
{
    struct cm_file file = {.size = sizeof file, .role = "captions", .path = path, .note = ""};
    if (path && *path && ctx->host->emit_file(ctx, &file)) {
        return ctx->host->fail(ctx, &not_found, "captions %s: not there or empty; check the name", path);
    }
    return CM_OK;
}

static enum cm_verdict fetch(struct cm_ctx *ctx, const struct cm_source_request *request)
{
    const char *name = ctx->host->format(ctx, "media%s", extension_of(ctx, request->url));
    struct download download = {
        .ctx = ctx,
        .url = request->url,
        .name = name,
        .path = ctx->host->output(ctx, name),
        .pause_ms = FIRST_PAUSE_MS,
    };
    enum cm_verdict verdict = run_download(&download);
    if (verdict != CM_OK) {
        return verdict;
    }
    struct cm_file file = {.size = sizeof file, .role = "media", .file = name, .note = ""};
    if (ctx->host->emit_file(ctx, &file)) {
        return ctx->host->fail(ctx, &not_media, "%s: the server sent an empty file; check the link", request->url);
    }
    return emit_given_captions(ctx, request->captions_path);
}

static const struct cm_source_ops ops = {.size = sizeof ops, .schemes = "http https", .fetch = fetch};

CM_PLUGIN(CM_STAGE_SOURCE, "source_http", "1.0", "A video file from a web address", options, struct options, ops);
