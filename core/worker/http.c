/*
 * One HTTP exchange for a plugin, with libcurl: bounded in time and size, stoppable, and never to
 * a private address unless that is allowed. libcurl is readied by the first request: most workers
 * need none.
 */
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/worker/address.h"
#include "core/worker/call.h"
#include "core/worker/host.h"

#define DEADLINE_MS 60000
#define STALL_MS 30000
#define CONNECT_MS 15000
#define MEMORY_MAX_BYTES (16 * 1024 * 1024)
#define ERROR_BODY_MAX_BYTES (1024 * 1024)
#define LOOK_EVERY_MS 100
#define PROGRESS_FROM_BYTES (1024 * 1024) /* below that a plugin's own progress says more */
#define RETRY_AFTER_MAX_MS (24 * 3600 * 1000LL)

/* The connections of this process, kept from call to call while the worker is warm. */
static struct {
    CURLM *multi;
    int has_private; /* some were opened to where the next request may not go */
} the_pool;

struct exchange {
    struct cm_ctx *ctx;
    struct cm_host_call *host;
    struct cm_http_request request; /* our own copy of the plugin's struct */
    CURL *easy;
    char *url;          /* of this hop */
    const char *method; /* likewise */
    int has_body;       /* likewise: a redirect may drop it */
    int had_body;       /* the first hop */
    int send_headers;   /* likewise: another site does not get what was meant for the first */
    struct curl_slist *headers;
    curl_mime *mime;
    FILE *upload;         /* the file that is sent as the body, or, of a request that posts, its last part */
    int64_t upload_bytes; /* of it, not yet read */
    int may_post;         /* sending() said go */
    int save_fd;          /* -1: not saving */
    int64_t saved_bytes;  /* size of the file */
    struct cm_text body;
    char *refused; /* why we ended it; words */
    int stopped;
    int was_sent;  /* bytes of a request left us, at any hop */
    int body_left; /* the end of a body did, at any hop, as far as anybody can tell */
    int64_t moved_bytes, moved_ms, until_ms;
    char problem[CURL_ERROR_SIZE];
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void refuse(struct exchange *exchange, char *why)
{
    if (exchange->refused) {
        free(why);
    } else {
        exchange->refused = why;
    }
}

/* ---- Addresses ---- */

/* When a connection from the pool breaks before an answer, libcurl quietly sends everything once more on a new one. A
 * body may have been taken, paid for and posted by then: whether it is sent again is decided above us. */
static int sends_again(struct exchange *exchange)
{
    long bytes = 0;
    curl_easy_getinfo(exchange->easy, CURLINFO_REQUEST_SIZE, &bytes);
    return exchange->has_body && bytes > 0;
}

/* Called for every connection that is about to be made, also after redirects and whatever a name
 * resolved to this time. */
static curl_socket_t open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct exchange *exchange = user;
    if (purpose != CURLSOCKTYPE_IPCXN || (!exchange->request.allow_private && !cm_address_is_public(&address->addr))) {
        refuse(exchange, cm_format(_("the address is private: set allow_private if that is meant")));
        return CURL_SOCKET_BAD;
    }
    if (sends_again(exchange)) {
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* The URL for the log: without user, query and fragment, where keys travel. */
static char *redacted(const char *url)
{
    size_t bytes = strcspn(url, "?#");
    const char *host = strstr(url, "://");
    host = host && host < url + bytes ? host + 3 : url;
    const char *at = memchr(host, '@', strcspn(host, "/?#"));
    return at ? cm_format("%.*s%.*s", (int)(host - url), url, (int)(url + bytes - at - 1), at + 1)
              : cm_strndup(url, bytes);
}

/* "https://host:port" of a URL, to tell one site from another. */
static char *site_of(const char *url)
{
    const char *host = strstr(url, "://");
    size_t bytes = host ? (size_t)(host + 3 - url) + strcspn(host + 3, "/?#") : strlen(url);
    char *site = cm_strndup(url, bytes);
    for (char *c = site; *c; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    return site;
}

/* ---- What comes back ---- */

static void keep_header(struct exchange *exchange, const char *line, size_t bytes)
{
    struct cm_host_call *host = exchange->host;
    char *copy = cm_host_alloc(exchange->ctx, bytes + 1);
    memcpy(copy, line, bytes);
    host->headers = cm_grow(host->headers, &host->header_room, host->header_count, sizeof *host->headers);
    host->headers[host->header_count++] = copy;
}

static size_t on_header(char *line, size_t size, size_t count, void *user)
{
    struct exchange *exchange = user;
    size_t bytes = size * count;
    if (bytes >= 5 && !strncmp(line, "HTTP/", 5)) {
        exchange->host->header_count = 0; /* of an earlier hop, or of "100 Continue" */
    } else {
        while (bytes > 0 && isspace((unsigned char)line[bytes - 1])) {
            bytes--;
        }
        keep_header(exchange, line, bytes);
    }
    return size * count;
}

const char *cm_host_http_header(struct cm_ctx *ctx, const char *name)
{
    struct cm_host_call *host = cm_host_of(ctx)->host;
    size_t bytes = strlen(name);
    for (size_t i = 0; i < host->header_count; i++) {
        const char *line = host->headers[i];
        if (!strncasecmp(line, name, bytes) && line[bytes] == ':') {
            return line + bytes + 1 + strspn(line + bytes + 1, " \t");
        }
    }
    return NULL;
}

static long status_of(struct exchange *exchange)
{
    long status = 0;
    curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static int64_t limit_of(const struct exchange *exchange)
{
    if (exchange->request.max_bytes > 0) {
        return exchange->request.max_bytes;
    }
    return exchange->request.save_path ? INT64_MAX : MEMORY_MAX_BYTES;
}

static size_t refuse_large(struct exchange *exchange)
{
    char *limit = cm_show_size(limit_of(exchange));
    refuse(exchange, cm_format(_("the answer is larger than %s"), limit));
    free(limit);
    return 0;
}

/* Where a resumed answer begins, from "Content-Range: bytes 100-199/200"; -1 when it does not say. */
static int64_t range_start(struct exchange *exchange)
{
    const char *range = cm_host_http_header(exchange->ctx, "Content-Range");
    long long start;
    return range && sscanf(range, "bytes %lld-", &start) == 1 ? start : -1;
}

/* Opens the file at the first byte of a 2xx body: a server that ignored our range sends it whole. */
static int open_save(struct exchange *exchange)
{
    const struct cm_http_request *request = &exchange->request;
    int resumed = status_of(exchange) == 206;
    if (resumed && range_start(exchange) != request->resume_bytes) {
        refuse(exchange, cm_format(_("the server goes on at another place than asked")));
        return -1;
    }
    exchange->save_fd = open(request->save_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    exchange->saved_bytes = resumed ? request->resume_bytes : 0;
    if (exchange->save_fd < 0 || ftruncate(exchange->save_fd, exchange->saved_bytes) ||
        lseek(exchange->save_fd, exchange->saved_bytes, SEEK_SET) < 0) {
        cm_call_note_disk(cm_host_of(exchange->ctx), request->save_path, errno);
        refuse(exchange, cm_format(_("cannot write %s: %s"), request->save_path, strerror(errno)));
        return -1;
    }
    curl_off_t coming = -1;
    curl_easy_getinfo(exchange->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &coming);
    if (coming > 0 && coming > limit_of(exchange) - exchange->saved_bytes) {
        refuse_large(exchange);
        return -1;
    }
    return 0;
}

static size_t save(struct exchange *exchange, const char *bytes, size_t count)
{
    if (exchange->save_fd < 0 && open_save(exchange)) {
        return 0;
    }
    if ((int64_t)count > limit_of(exchange) - exchange->saved_bytes) {
        return refuse_large(exchange);
    }
    for (size_t done = 0; done < count;) {
        ssize_t wrote = write(exchange->save_fd, bytes + done, count - done);
        if (wrote < 0 && errno != EINTR) {
            cm_call_note_disk(cm_host_of(exchange->ctx), exchange->request.save_path, errno);
            refuse(exchange, cm_format(_("cannot write %s: %s"), exchange->request.save_path, strerror(errno)));
            return 0;
        }
        done += wrote > 0 ? (size_t)wrote : 0;
        exchange->saved_bytes += wrote > 0 ? wrote : 0;
    }
    return count;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *user)
{
    struct exchange *exchange = user;
    long status = status_of(exchange);
    size_t total = size * count;
    int good = status >= 200 && status < 300;
    if (good && exchange->request.save_path) {
        return save(exchange, bytes, total);
    }
    int64_t room = good ? limit_of(exchange) : ERROR_BODY_MAX_BYTES;
    room -= (int64_t)exchange->body.length;
    if ((int64_t)total > room && good) {
        return refuse_large(exchange);
    }
    /* Of an error page the beginning is enough. */
    cm_text_add_bytes(&exchange->body, bytes, (int64_t)total > room ? (size_t)room : total);
    return total;
}

/* ---- What is sent ---- */

/* From here on a post may be out. -1: nobody wants it any more. */
static int commit_to_post(struct exchange *exchange)
{
    if (exchange->request.posts && !exchange->may_post) {
        exchange->may_post = cm_host_sending(exchange->ctx) == 0;
        exchange->stopped = !exchange->may_post;
    }
    return exchange->stopped ? -1 : 0;
}

static size_t on_upload(char *bytes, size_t size, size_t count, void *user)
{
    struct exchange *exchange = user;
    size_t got = fread(bytes, 1, size * count, exchange->upload);
    if (got == 0 && (ferror(exchange->upload) || exchange->upload_bytes > 0)) {
        return CURL_READFUNC_ABORT; /* it became shorter meanwhile */
    }
    exchange->upload_bytes -= (int64_t)got;
    return exchange->upload_bytes <= 0 && commit_to_post(exchange) ? CURL_READFUNC_ABORT : got;
}

static int on_seek(void *user, curl_off_t offset, int origin)
{
    struct exchange *exchange = user;
    struct stat info;
    if (fseeko(exchange->upload, offset, origin) || fstat(fileno(exchange->upload), &info)) {
        return CURL_SEEKFUNC_FAIL;
    }
    exchange->upload_bytes = info.st_size - ftello(exchange->upload);
    return CURL_SEEKFUNC_OK;
}

/* 0, or -1 when the file to send cannot be read. */
static int open_upload(struct exchange *exchange, const char *path)
{
    struct stat info;
    exchange->upload = fopen(path, "re");
    if (!exchange->upload || fstat(fileno(exchange->upload), &info)) {
        refuse(exchange, cm_format(_("cannot read %s: %s"), path, strerror(errno)));
        return -1;
    }
    exchange->upload_bytes = info.st_size;
    return exchange->upload_bytes > 0 ? 0 : commit_to_post(exchange); /* nothing of it will be read */
}

/* What the part is sent from; watched: by ourselves, for with its end the post is made. 0, or -1. */
static int set_part_data(struct exchange *exchange, curl_mimepart *made, const struct cm_http_part *part, int watched)
{
    if (part->path && watched) {
        if (open_upload(exchange, part->path)) {
            return -1;
        }
        curl_mime_data_cb(made, exchange->upload_bytes, on_upload, on_seek, NULL, exchange);
    } else if (part->path) {
        curl_mime_filedata(made, part->path);
    } else {
        curl_mime_data(made, part->text ? part->text : "", CURL_ZERO_TERMINATED);
    }
    return 0;
}

static int add_part(struct exchange *exchange, const struct cm_http_part *theirs, int watched)
{
    struct cm_http_part part;
    cm_host_take(&part, sizeof part, theirs);
    curl_mimepart *made = curl_mime_addpart(exchange->mime);
    curl_mime_name(made, part.name);
    if (set_part_data(exchange, made, &part, watched)) {
        return -1;
    }
    if (part.file_name) {
        curl_mime_filename(made, part.file_name);
    }
    if (part.content_type) {
        curl_mime_type(made, part.content_type);
    }
    return 0;
}

/* The last file among the parts; NULL: there is none. */
static const struct cm_http_part *last_file(const struct cm_http_part *parts)
{
    const struct cm_http_part *last = NULL;
    for (; parts; parts = parts->next) {
        last = parts->path ? parts : last;
    }
    return last;
}

static int set_parts(struct exchange *exchange)
{
    const struct cm_http_part *watched = exchange->request.posts ? last_file(exchange->request.parts) : NULL;
    exchange->mime = curl_mime_init(exchange->easy);
    for (const struct cm_http_part *part = exchange->request.parts; part; part = part->next) {
        if (add_part(exchange, part, part == watched)) {
            return -1;
        }
    }
    curl_easy_setopt(exchange->easy, CURLOPT_MIMEPOST, exchange->mime);
    return watched ? 0 : commit_to_post(exchange);
}

static int set_file(struct exchange *exchange)
{
    if (open_upload(exchange, exchange->request.body_path)) {
        return -1;
    }
    curl_easy_setopt(exchange->easy, CURLOPT_POST, 1L);
    curl_easy_setopt(exchange->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)exchange->upload_bytes);
    curl_easy_setopt(exchange->easy, CURLOPT_READFUNCTION, on_upload);
    curl_easy_setopt(exchange->easy, CURLOPT_READDATA, exchange);
    curl_easy_setopt(exchange->easy, CURLOPT_SEEKFUNCTION, on_seek);
    curl_easy_setopt(exchange->easy, CURLOPT_SEEKDATA, exchange);
    return 0;
}

static int set_body(struct exchange *exchange)
{
    const struct cm_http_request *request = &exchange->request;
    if (!exchange->has_body) {
        return commit_to_post(exchange);
    }
    if (request->parts) {
        return set_parts(exchange);
    }
    if (request->body_path) {
        return set_file(exchange);
    }
    curl_easy_setopt(exchange->easy, CURLOPT_POST, 1L);
    curl_easy_setopt(exchange->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_bytes);
    curl_easy_setopt(exchange->easy, CURLOPT_POSTFIELDS, request->body);
    return commit_to_post(exchange);
}

static int is_repeatable(const char *method)
{
    return !strcmp(method, "GET") || !strcmp(method, "HEAD") || !strcmp(method, "PUT") || !strcmp(method, "DELETE");
}

static void set_headers(struct exchange *exchange)
{
    exchange->headers = curl_slist_append(NULL, "Expect:"); /* a second's wait for nothing */
    const char *const *header = exchange->send_headers ? exchange->request.headers : NULL;
    for (; header && *header; header++) {
        if (strpbrk(*header, "\r\n")) {
            cm_warn("a header of the plugin's request has a line break and is left out");
        } else {
            exchange->headers = curl_slist_append(exchange->headers, *header);
        }
    }
    curl_easy_setopt(exchange->easy, CURLOPT_HTTPHEADER, exchange->headers);
}

static int set_request(struct exchange *exchange)
{
    const struct cm_http_request *request = &exchange->request;
    CURL *easy = exchange->easy;
    curl_easy_setopt(easy, CURLOPT_URL, exchange->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* a proxy would connect for us where we may not */
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CAINFO, NULL); /* the folder is read by need, the bundle whole */
    curl_easy_setopt(easy, CURLOPT_CAPATH, "/etc/ssl/certs");
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "ClipMaker/" CM_VERSION);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->problem);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
    /* On a kept connection that turns out dead libcurl sends again by itself. What can post twice
     * goes over a new one. */
    int can_post = exchange->host->sent || request->posts;
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, can_post && !is_repeatable(exchange->method) ? 1L : 0L);
    set_headers(exchange);
    if (set_body(exchange)) {
        return -1;
    }
    if (request->resume_bytes > 0 && request->save_path) {
        char range[32];
        snprintf(range, sizeof range, "%lld-", (long long)request->resume_bytes);
        curl_easy_setopt(easy, CURLOPT_RANGE, range);
    }
    if (!strcmp(exchange->method, "HEAD")) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else {
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, exchange->method);
    }
    return 0;
}

/* ---- One hop ---- */

static void drop_hop(struct exchange *exchange)
{
    curl_slist_free_all(exchange->headers);
    curl_mime_free(exchange->mime);
    exchange->headers = NULL;
    exchange->mime = NULL;
    if (exchange->upload) {
        fclose(exchange->upload);
        exchange->upload = NULL;
    }
}

/* Bytes that move are a sign of life; those of a long transfer whose length is known are progress, too. */
static void show_progress(struct exchange *exchange, curl_off_t down, curl_off_t up)
{
    curl_off_t down_all = 0, up_all = 0;
    curl_easy_getinfo(exchange->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &down_all);
    curl_easy_getinfo(exchange->easy, CURLINFO_CONTENT_LENGTH_UPLOAD_T, &up_all);
    curl_off_t all = (down_all > 0 ? down_all : 0) + (up_all > 0 ? up_all : 0);
    if (all >= PROGRESS_FROM_BYTES) {
        double done = (double)(down + up) / (double)all;
        exchange->ctx->host->progress(exchange->ctx, done > 1 ? 1 : done);
    } else {
        cm_host_alive(exchange->ctx);
    }
}

/* Time is up, nothing moves, or the call should stop: why the exchange must end, or NULL. */
static char *why_end(struct exchange *exchange)
{
    curl_off_t down = 0, up = 0;
    curl_easy_getinfo(exchange->easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
    curl_easy_getinfo(exchange->easy, CURLINFO_SIZE_UPLOAD_T, &up);
    int64_t now = now_ms(), stall_ms = exchange->request.stall_ms;
    if (down + up != exchange->moved_bytes) {
        exchange->moved_bytes = down + up;
        exchange->moved_ms = now;
        show_progress(exchange, down, up);
    }
    if (cm_host_stopping(exchange->ctx)) {
        exchange->stopped = 1;
        return cm_strdup(_("the call was asked to stop"));
    }
    if (now >= exchange->until_ms) {
        return cm_format(_("no complete answer within %lld ms"), (long long)exchange->request.deadline_ms);
    }
    return now - exchange->moved_ms >= stall_ms ? cm_format(_("no byte moved for %lld ms"), (long long)stall_ms) : NULL;
}

/* Runs the transfer; CURLE_OK, or what libcurl says, or CURLE_OPERATION_TIMEDOUT with words in
 * `problem` when we ended it. */
static CURLcode transfer(struct exchange *exchange)
{
    int running = 1;
    exchange->moved_ms = now_ms();
    exchange->moved_bytes = 0;
    while (running) {
        if (curl_multi_perform(the_pool.multi, &running) != CURLM_OK) {
            return CURLE_OUT_OF_MEMORY;
        }
        char *why = running ? why_end(exchange) : NULL;
        if (why) {
            snprintf(exchange->problem, sizeof exchange->problem, "%s", why);
            free(why);
            return CURLE_OPERATION_TIMEDOUT;
        }
        if (running) {
            curl_multi_poll(the_pool.multi, NULL, 0, LOOK_EVERY_MS, NULL);
        }
    }
    int left;
    CURLMsg *message = curl_multi_info_read(the_pool.multi, &left);
    return message ? message->data.result : CURLE_GOT_NOTHING;
}

/* Whether this hop's body may have left us whole. What libcurl counts as sent may still be in our
 * kernel; what it does not count has surely not left. */
static int may_have_left(struct exchange *exchange, long request_bytes)
{
    curl_off_t sent = 0, whole = -1;
    curl_easy_getinfo(exchange->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    curl_easy_getinfo(exchange->easy, CURLINFO_CONTENT_LENGTH_UPLOAD_T, &whole);
    return request_bytes > 0 && (whole <= 0 || sent >= whole);
}

static CURLcode hop(struct exchange *exchange)
{
    exchange->problem[0] = '\0';
    exchange->host->header_count = 0;
    cm_text_free(&exchange->body);
    if (set_request(exchange)) {
        drop_hop(exchange);
        return CURLE_ABORTED_BY_CALLBACK;
    }
    curl_multi_add_handle(the_pool.multi, exchange->easy);
    CURLcode result = transfer(exchange);
    long request_bytes = 0;
    curl_easy_getinfo(exchange->easy, CURLINFO_REQUEST_SIZE, &request_bytes);
    exchange->was_sent |= request_bytes > 0;
    /* After a broken connection libcurl wanted to send it again, and counts from there. */
    int wanted_again = result == CURLE_COULDNT_CONNECT && request_bytes > 0;
    exchange->body_left |= exchange->has_body && (wanted_again || may_have_left(exchange, request_bytes));
    curl_multi_remove_handle(the_pool.multi, exchange->easy);
    drop_hop(exchange);
    return result;
}

/* Readies the next hop after a 3xx. 1: go; 0: this answer is the last one; -1: refused. */
static int follow(struct exchange *exchange, int *left)
{
    long status = status_of(exchange);
    const char *location = NULL;
    curl_easy_getinfo(exchange->easy, CURLINFO_REDIRECT_URL, &location);
    if (status < 300 || status >= 400 || !location || exchange->request.follow <= 0) {
        return 0;
    }
    if ((*left)-- == 0) {
        refuse(exchange, cm_format(_("more than %d redirects"), exchange->request.follow));
        return -1;
    }
    char *before = site_of(exchange->url), *after = site_of(location);
    if (cm_starts_with(before, "https:") && !cm_starts_with(after, "https:")) {
        refuse(exchange, cm_format(_("a redirect leads from https to %s"), after));
    }
    exchange->send_headers &= !strcmp(before, after);
    free(before);
    free(after);
    int keeps_method = status == 307 || status == 308;
    if (!keeps_method && strcmp(exchange->method, "HEAD")) {
        exchange->method = "GET";
        exchange->has_body = 0;
    }
    free(exchange->url);
    exchange->url = cm_strdup(location);
    curl_easy_reset(exchange->easy);
    return exchange->refused ? -1 : 1;
}

/* ---- The whole exchange ---- */

static int64_t retry_after_ms(struct exchange *exchange)
{
    const char *text = cm_host_http_header(exchange->ctx, "Retry-After");
    if (!text) {
        return -1;
    }
    char *end;
    double seconds = strtod(text, &end);
    int64_t ms = -1;
    if (end > text && *end == '\0' && seconds >= 0 && seconds < 1e9) {
        ms = (int64_t)(seconds * 1000);
    } else {
        time_t at = curl_getdate(text, NULL);
        ms = at == (time_t)-1 ? -1 : (int64_t)at * 1000 - cm_utc_ms();
        ms = at != (time_t)-1 && ms < 0 ? 0 : ms;
    }
    return ms > RETRY_AFTER_MAX_MS ? RETRY_AFTER_MAX_MS : ms;
}

static void fill_outcome(struct exchange *exchange, CURLcode result, struct cm_http_answer *answer)
{
    const char *problem = *exchange->problem ? exchange->problem : curl_easy_strerror(result);
    if (result == CURLE_COULDNT_CONNECT && exchange->was_sent) {
        problem = _("the connection broke before an answer came");
    }
    answer->outcome = exchange->was_sent ? CM_HTTP_BROKEN : CM_HTTP_UNREACHED;
    if (exchange->stopped) {
        answer->outcome = CM_HTTP_STOPPED;
    } else if (result == CURLE_OK && !exchange->refused) {
        answer->outcome = CM_HTTP_ANSWERED;
        answer->status = (int32_t)status_of(exchange);
        problem = "";
    } else if (exchange->refused) {
        answer->outcome = CM_HTTP_REFUSED;
        problem = exchange->refused;
    } else if (result == CURLE_UNSUPPORTED_PROTOCOL || result == CURLE_URL_MALFORMAT) {
        answer->outcome = CM_HTTP_REFUSED;
    }
    char *clean = cm_log_clean(problem);
    answer->problem = cm_host_copy(exchange->ctx, clean);
    free(clean);
}

static void fill_answer(struct exchange *exchange, CURLcode result, struct cm_http_answer *answer)
{
    int64_t on_disk = exchange->request.save_path ? cm_file_bytes(exchange->request.save_path) : 0;
    fill_outcome(exchange, result, answer);
    char *body = cm_host_alloc(exchange->ctx, exchange->body.length + 1);
    if (exchange->body.length > 0) {
        memcpy(body, exchange->body.bytes, exchange->body.length);
    }
    answer->body = body;
    answer->body_bytes = exchange->body.length;
    answer->saved_bytes = on_disk > 0 ? on_disk : 0;
    answer->retry_after_ms = retry_after_ms(exchange);
    answer->final_url = cm_host_copy(exchange->ctx, exchange->url);
    answer->body_cut = exchange->had_body && !exchange->body_left;
}

static void log_exchange(struct exchange *exchange, const struct cm_http_answer *answer, int64_t began_ms)
{
    char *url = redacted(exchange->url);
    long long took_ms = now_ms() - began_ms;
    if (answer->outcome == CM_HTTP_ANSWERED) {
        cm_debug("%s %s: %d, %lld bytes in %lld ms", exchange->method, url, answer->status,
                 (long long)(answer->saved_bytes ? answer->saved_bytes : (int64_t)answer->body_bytes), took_ms);
    } else {
        cm_info("%s %s: %s after %lld ms", exchange->method, url, answer->problem, took_ms);
    }
    free(url);
}

/* The pool, emptied when it holds connections that this request must not use. */
static void ready_pool(const struct cm_http_request *request)
{
    if (!the_pool.multi) {
        curl_global_init(CURL_GLOBAL_DEFAULT);
    } else if (the_pool.has_private && !request->allow_private) {
        curl_multi_cleanup(the_pool.multi);
        the_pool.multi = NULL;
    }
    if (!the_pool.multi) {
        the_pool.multi = curl_multi_init();
        the_pool.has_private = 0;
        curl_multi_setopt(the_pool.multi, CURLMOPT_MAXCONNECTS, 4L);
    }
    the_pool.has_private |= request->allow_private;
}

static void set_up(struct exchange *exchange, struct cm_ctx *ctx, const struct cm_http_request *theirs)
{
    struct cm_http_request *request = &exchange->request;
    memset(exchange, 0, sizeof *exchange);
    cm_host_take(request, sizeof *request, theirs);
    request->deadline_ms = request->deadline_ms > 0 ? request->deadline_ms : DEADLINE_MS;
    request->stall_ms = request->stall_ms > 0 ? request->stall_ms : STALL_MS;
    request->follow = request->posts ? 0 : request->follow;
    exchange->ctx = ctx;
    exchange->host = cm_host_of(ctx)->host;
    exchange->save_fd = -1;
    exchange->send_headers = 1;
    exchange->has_body = request->body || request->body_path || request->parts;
    exchange->had_body = exchange->has_body;
    exchange->method = request->method ? request->method : exchange->has_body ? "POST" : "GET";
    exchange->url = cm_strdup(request->url ? request->url : "");
    exchange->until_ms = now_ms() + request->deadline_ms;
    ready_pool(request);
    exchange->easy = curl_easy_init();
}

static void tear_down(struct exchange *exchange)
{
    if (exchange->save_fd >= 0) {
        close(exchange->save_fd);
    }
    curl_easy_cleanup(exchange->easy);
    cm_text_free(&exchange->body);
    free(exchange->refused);
    free(exchange->url);
}

enum cm_http_outcome cm_host_http(struct cm_ctx *ctx, const struct cm_http_request *request,
                                  struct cm_http_answer *answer)
{
    struct exchange exchange;
    struct cm_http_answer ours = {.size = sizeof ours};
    int64_t began_ms = now_ms();
    set_up(&exchange, ctx, request);
    int left = exchange.request.follow;
    CURLcode result;
    do {
        result = hop(&exchange);
    } while (result == CURLE_OK && follow(&exchange, &left) > 0);
    fill_answer(&exchange, result, &ours);
    log_exchange(&exchange, &ours, began_ms);
    tear_down(&exchange);
    cm_host_give(answer, &ours, sizeof ours);
    return (enum cm_http_outcome)ours.outcome;
}
