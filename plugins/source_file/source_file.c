/*
 * source_file: a video that already lies on this machine. It stays where it is, unless the
 * operator wants a copy; captions beside it come along.
 */
#include <clipmaker/plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_BLOCK_BYTES (1024 * 1024)

struct options {
    const char *copy;
};

static const struct cm_option options[] = {
    CM_OPT_CHOICE(struct options, copy, "copy", "never", "never|always",
                  "copy the video into the job's folder, for sources that may vanish while the job runs"),
    CM_OPT_END,
};

static const struct cm_failure not_found = CM_FAILURE(CM_REJECT, CM_REASON_NOT_FOUND, CM_SCOPE_ITEM, 0);
static const struct cm_failure not_media = CM_FAILURE(CM_REJECT, CM_REASON_NOT_MEDIA, CM_SCOPE_ITEM, 0);
static const struct cm_failure bad_input = CM_FAILURE(CM_REJECT, CM_REASON_INPUT, CM_SCOPE_ITEM, 0);
static const struct cm_failure unsupported = CM_FAILURE(CM_CANNOT, CM_REASON_UNSUPPORTED, CM_SCOPE_ITEM, 0);
static const struct cm_failure no_room = CM_FAILURE(CM_HOLD, CM_REASON_RESOURCE, CM_SCOPE_ITEM, 0);
static const struct cm_failure unavailable = CM_FAILURE(CM_AGAIN, CM_REASON_UNAVAILABLE, CM_SCOPE_ITEM, 0);
static const struct cm_failure stopped = CM_FAILURE(CM_AGAIN, CM_REASON_STOPPED, CM_SCOPE_ITEM, 0);

/* ---- The path ------------------------------------------------------------------------------ */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* file:///a%20b and file://localhost/a%20b → /a b; a plain path as it is; NULL: neither. */
static const char *path_of(struct cm_ctx *ctx, const char *url)
{
    if (*url == '/') {
        return url;
    }
    if (strncmp(url, "file://", 7)) {
        return NULL;
    }
    url += 7;
    url += strncmp(url, "localhost/", 10) ? 0 : 9;
    char *path = ctx->host->alloc(ctx, strlen(url) + 1);
    char *end = path;
    while (*url) {
        if (*url == '%' && hex_digit(url[1]) >= 0 && hex_digit(url[2]) >= 0) {
            *end++ = (char)(hex_digit(url[1]) * 16 + hex_digit(url[2]));
            url += 3;
        } else {
            *end++ = *url++;
        }
    }
    return *path == '/' ? path : NULL;
}

static enum cm_verdict fail_to_open(struct cm_ctx *ctx, const char *path, int error)
{
    const struct cm_host *host = ctx->host;
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return host->fail(ctx, &not_found, "%s: no such file; check the name", path);
    case EACCES:
    case EPERM:
        return host->fail(ctx, &not_found, "%s: may not be read; give this user the right to read it", path);
    case ENAMETOOLONG:
        return host->fail(ctx, &not_found, "no such file: a part of its name is longer than 255 bytes; check the name");
    case EIO:
    case ESTALE:
        return host->fail(ctx, &unavailable, "%s: cannot be read (%s); check the disk", path, strerror(error));
    default:
        return host->fail(ctx, &not_found, "%s: cannot be read (%s); check the path", path, strerror(error));
    }
}

/* Opens the video and makes sure that it can be one. The descriptor, or -1 with *verdict. */
static int open_media(struct cm_ctx *ctx, const char *path, struct stat *info, enum cm_verdict *verdict)
{
    const struct cm_host *host = ctx->host;
    /* O_NONBLOCK: a FIFO must not stop us. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, info)) {
        *verdict = fail_to_open(ctx, path, errno);
    } else if (S_ISDIR(info->st_mode)) {
        *verdict = host->fail(ctx, &not_media, "%s: is a folder; name one video file in it", path);
    } else if (!S_ISREG(info->st_mode)) {
        *verdict = host->fail(ctx, &not_media, "%s: is not a file; save the video as a file first", path);
    } else if (info->st_size == 0) {
        *verdict = host->fail(ctx, &not_media, "%s: is empty; copy or download it again", path);
    } else {
        return fd;
    }
    if (fd >= 0) {
        close(fd);
    }
    return -1;
}

/* ---- The copy, when one is wanted ---------------------------------------------------------- */

static int write_block(int to, const char *block, ssize_t bytes)
{
    for (ssize_t done = 0; done < bytes;) {
        ssize_t wrote = write(to, block + done, (size_t)(bytes - done));
        if (wrote < 0 && errno != EINTR) {
            return -1;
        }
        done += wrote > 0 ? wrote : 0;
    }
    return 0;
}

/* Copies with signs of life; 0, or -1 with errno (ECANCELED: was asked to stop). */
static int copy_bytes(struct cm_ctx *ctx, int from, int to, int64_t size)
{
    if (ioctl(to, FICLONE, from) == 0) {
        return 0;
    }
    char *block = ctx->host->alloc(ctx, COPY_BLOCK_BYTES);
    int64_t copied = 0;
    for (;;) {
        if (ctx->host->stopping(ctx)) {
            errno = ECANCELED;
            return -1;
        }
        ssize_t got = read(from, block, COPY_BLOCK_BYTES);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return (int)got;
        }
        if (write_block(to, block, got)) {
            return -1;
        }
        copied += got;
        ctx->host->progress(ctx, size > 0 ? (double)copied / (double)size : 0);
    }
}

static const char *extension_of(const char *path)
{
    const char *name = strrchr(path, '/') + 1;
    const char *dot = strrchr(name, '.');
    return dot && dot != name && strlen(dot) <= 6 ? dot : "";
}

/* The video in the attempt folder: *name is set on CM_OK. */
static enum cm_verdict copy_media(struct cm_ctx *ctx, const char *path, int from, int64_t size, const char **name)
{
    const struct cm_host *host = ctx->host;
    const char *own = host->format(ctx, "media%s", extension_of(path));
    const char *target = host->output(ctx, own);
    int to = open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int failed = to < 0 || copy_bytes(ctx, from, to, size);
    int error = errno;
    if (to >= 0 && close(to) && !failed) {
        failed = 1;
        error = errno;
    }
    if (!failed) {
        *name = own;
        return CM_OK;
    }
    if (error == ECANCELED) {
        return host->fail(ctx, &stopped, "stopped while copying the video");
    }
    if (error == ENOSPC || error == EDQUOT || error == EROFS || error == EACCES) {
        return host->fail(ctx, &no_room, "cannot copy the video to %s (%s); make room there", target, strerror(error));
    }
    return host->fail(ctx, &unavailable, "%s: cannot be copied (%s); check the disk", path, strerror(error));
}

/* ---- Captions ------------------------------------------------------------------------------ */

/* "talk.ru.srt" → "ru"; "" when the name does not say. */
static const char *language_of(struct cm_ctx *ctx, const char *path)
{
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    const char *last = strrchr(name, '.');
    const char *before = last;
    while (before && before > name && before[-1] != '.') {
        before--;
    }
    if (!last || before == name || last - before != 2) {
        return "";
    }
    for (int i = 0; i < 2; i++) {
        if ((before[i] | 0x20) < 'a' || (before[i] | 0x20) > 'z') {
            return "";
        }
    }
    return ctx->host->format(ctx, "%c%c", before[0] | 0x20, before[1] | 0x20);
}

static int emit_captions(struct cm_ctx *ctx, const char *path)
{
    struct cm_file file = {.size = sizeof file, .role = "captions", .path = path, .note = language_of(ctx, path)};
    return ctx->host->emit_file(ctx, &file);
}

static enum cm_verdict emit_given_captions(struct cm_ctx *ctx, const char *path)
{
    const struct cm_host *host = ctx->host;
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int failed = fd < 0 || fstat(fd, &info);
    int error = errno;
    if (fd >= 0) {
        close(fd);
    }
    if (failed) {
        return host->fail(ctx, &not_found, "captions %s: cannot be read (%s); check the name", path, strerror(error));
    }
    if (!S_ISREG(info.st_mode) || info.st_size == 0 || emit_captions(ctx, path)) {
        return host->fail(ctx, &bad_input, "captions %s: empty or not a file; give an .srt or .vtt file", path);
    }
    return CM_OK;
}

/* The same name with another ending, in the order of preference. Names are tried, not listed: the
 * folder may hold ten thousand files, and the sandbox may not let us list it. */
static void emit_captions_beside(struct cm_ctx *ctx, const char *path, const char *given)
{
    static const char *const endings[] = {".srt", ".vtt", ".ru.srt", ".ru.vtt", ".en.srt", ".en.vtt"};
    int base_bytes = (int)(strlen(path) - strlen(extension_of(path)));
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        const char *beside = ctx->host->format(ctx, "%.*s%s", base_bytes, path, endings[i]);
        struct stat info;
        if ((given && !strcmp(given, beside)) || stat(beside, &info) || !S_ISREG(info.st_mode)) {
            continue;
        }
        if (access(beside, R_OK) || info.st_size == 0 || emit_captions(ctx, beside)) {
            ctx->host->log(ctx, CM_LOG_WARN, "captions %s cannot be used: empty or not readable", beside);
        }
    }
}

/* ---- fetch --------------------------------------------------------------------------------- */

static enum cm_verdict emit_media(struct cm_ctx *ctx, const char *path, const char *name)
{
    struct cm_file file = {.size = sizeof file, .role = "media", .file = name, .path = name ? NULL : path, .note = ""};
    if (ctx->host->emit_file(ctx, &file)) {
        return ctx->host->fail(ctx, &not_found, "%s: went away while it was being read; run again", path);
    }
    return CM_OK;
}

static enum cm_verdict fetch(struct cm_ctx *ctx, const struct cm_source_request *request)
{
    const struct options *own = ctx->options;
    const char *path = path_of(ctx, request->url);
    if (!path) {
        return ctx->host->fail(ctx, &unsupported, "%s: not a path; give an absolute path or file:///path",
                               request->url);
    }
    struct stat info;
    enum cm_verdict verdict = CM_OK;
    int fd = open_media(ctx, path, &info, &verdict);
    if (fd < 0) {
        return verdict;
    }
    const char *name = NULL;
    if (!strcmp(own->copy, "always")) {
        verdict = copy_media(ctx, path, fd, info.st_size, &name);
    }
    close(fd);
    verdict = verdict == CM_OK ? emit_media(ctx, path, name) : verdict;
    if (verdict == CM_OK && request->captions_path && *request->captions_path) {
        verdict = emit_given_captions(ctx, request->captions_path);
    }
    if (verdict == CM_OK) {
        emit_captions_beside(ctx, path, request->captions_path);
    }
    return verdict;
}

static const struct cm_source_ops ops = {.size = sizeof ops, .schemes = "file", .fetch = fetch};

CM_PLUGIN_LOCAL(CM_STAGE_SOURCE, "source_file", "1.0", "A video file on this machine, with the captions beside it",
                options, struct options, ops);
