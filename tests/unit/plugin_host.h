/*
 * A host for one plugin inside a unit test: just the services that sources and publishers use. The
 * test includes the plugin's own .c file.
 */
#ifndef CM_TESTS_PLUGIN_HOST_H
#define CM_TESTS_PLUGIN_HOST_H

#include <clipmaker/plugin.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/common/text.h"

#define HOST_FILES_MAX 16

struct host_file {
    char *role, *path, *note;
};

/* What the plugin did in this call. */
static struct {
    struct cm_failure failure;
    char *words;
    struct host_file files[HOST_FILES_MAX];
    size_t file_count;
    void *blocks[4096];
    size_t block_count;
    int sending_calls, sending_answer, stop;
    const char *dir; /* attempt folder */
} host_seen;

static void *host_keep(void *block)
{
    if (host_seen.block_count == sizeof host_seen.blocks / sizeof *host_seen.blocks) {
        abort();
    }
    return host_seen.blocks[host_seen.block_count++] = block;
}

static void host_log(struct cm_ctx *ctx, enum cm_log_level level, const char *format, ...)
{
    (void)ctx;
    (void)level;
    (void)format;
}

static void *host_alloc(struct cm_ctx *ctx, size_t bytes)
{
    (void)ctx;
    return host_keep(cm_alloc(bytes));
}

static char *host_format(struct cm_ctx *ctx, const char *format, ...)
{
    (void)ctx;
    va_list arguments;
    va_start(arguments, format);
    char *text = host_keep(cm_vformat(format, arguments));
    va_end(arguments);
    return text;
}

static enum cm_verdict host_fail(struct cm_ctx *ctx, const struct cm_failure *failure, const char *format, ...)
{
    (void)ctx;
    va_list arguments;
    va_start(arguments, format);
    host_seen.words = host_keep(cm_vformat(format, arguments));
    va_end(arguments);
    host_seen.failure = *failure;
    return (enum cm_verdict)failure->verdict;
}

static void host_progress(struct cm_ctx *ctx, double done)
{
    (void)ctx;
    (void)done;
}

static int host_stopping(struct cm_ctx *ctx)
{
    (void)ctx;
    return host_seen.stop;
}

static const char *host_output(struct cm_ctx *ctx, const char *name)
{
    return host_format(ctx, "%s/%s", host_seen.dir, name);
}

static int host_emit_file(struct cm_ctx *ctx, const struct cm_file *file)
{
    struct stat info;
    char *path = file->path ? host_format(ctx, "%s", file->path) : host_format(ctx, "%s/%s", host_seen.dir, file->file);
    if (host_seen.file_count == HOST_FILES_MAX || stat(path, &info) || info.st_size == 0) {
        return -1;
    }
    host_seen.files[host_seen.file_count++] =
        (struct host_file){host_format(ctx, "%s", file->role), path, host_format(ctx, "%s", file->note)};
    return 0;
}

static int host_sending(struct cm_ctx *ctx)
{
    (void)ctx;
    host_seen.sending_calls++;
    return host_seen.sending_answer;
}

/* Forgets the call before; frees what it was given. */
static void host_reset(void)
{
    for (size_t i = 0; i < host_seen.block_count; i++) {
        free(host_seen.blocks[i]);
    }
    const char *dir = host_seen.dir;
    memset(&host_seen, 0, sizeof host_seen);
    host_seen.dir = dir;
}

static struct cm_host host_services = {
    .size = sizeof host_services,
    .log = host_log,
    .alloc = host_alloc,
    .format = host_format,
    .fail = host_fail,
    .progress = host_progress,
    .stopping = host_stopping,
    .output = host_output,
    .emit_file = host_emit_file,
    .sending = host_sending,
};

#endif
