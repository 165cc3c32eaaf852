/*
 * A platform that is a file: a post is a line with its key. What is posted twice stands there twice.
 *
 * SPDX-License-Identifier: MIT
 */
#include <clipmaker/plugin.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WORK_MS 100 /* between the post and the answer */

struct options {
    const char *file;
};

static const struct cm_option options[] = {
    CM_OPT_STRING(struct options, file, "file", "", "the platform"),
    CM_OPT_END,
};

static enum cm_verdict publish(struct cm_ctx *ctx, const struct cm_publish_request *request, struct cm_post *post)
{
    const struct options *own = ctx->options;
    const char *line = ctx->host->format(ctx, "%s\n", request->key);
    if (ctx->host->sending(ctx)) {
        return CM_FAIL(ctx, CM_AGAIN, CM_REASON_STOPPED, "stopped");
    }
    int fd = open(own->file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    int posted = fd >= 0 && write(fd, line, strlen(line)) == (ssize_t)strlen(line);
    close(fd);
    nanosleep(&(struct timespec){.tv_nsec = WORK_MS * 1000000L}, NULL);
    post->id = request->key;
    return posted ? CM_OK : CM_FAIL(ctx, CM_HOLD, CM_REASON_RESOURCE, "%s cannot be written", own->file);
}

static enum cm_verdict find(struct cm_ctx *ctx, const struct cm_publish_request *request, enum cm_found *found,
                            struct cm_post *post)
{
    const struct options *own = ctx->options;
    char line[128];
    FILE *file = fopen(own->file, "re");
    *found = CM_ABSENT;
    while (file && *found == CM_ABSENT && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        *found = strcmp(line, request->key) ? CM_ABSENT : CM_FOUND;
    }
    if (file) {
        fclose(file);
    }
    post->id = request->key;
    return CM_OK;
}

static const struct cm_publish_ops ops = {
    .size = sizeof ops, .settle = CM_SETTLE_SEARCH, .settle_ms = 100, .publish = publish, .find = find};

CM_PLUGIN_LOCAL(CM_STAGE_PUBLISH, "effect", "1.0", "For measuring only: posts lines into a file", options,
                struct options, ops);
