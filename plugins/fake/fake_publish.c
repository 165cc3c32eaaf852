/*
 * publish of the misbehaving plugin. Its platform is a folder where each post is a file of its own,
 * KEY.1, KEY.2, …: a second post under one key stays visible. Further acts:
 *   early    dies before sending()          sent     dies after it, before the post
 *   posted   dies after the post            lost     posts, and says that it does not know
 *   doubt    does not post, and says that it does not know
 *   blind    find() says that it cannot tell
 *   linger   posts, and takes its time before it says so
 *
 * SPDX-License-Identifier: MIT
 */
#include "fake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef FAKE_SETTLE
#define FAKE_NAME "fake_publish"
#define FAKE_SETTLE CM_SETTLE_SEARCH
#define FAKE_FIND find
#endif

#define POSTS_MAX 1000

struct options {
    struct fake_options common;
    const char *platform;
    int64_t untold_bytes;
};

static const struct cm_option options[] = {
    FAKE_OPTIONS(struct options),
    CM_OPT_PATH(struct options, platform, "platform", CM_OPTION_REQUIRED | CM_OPTION_WRITABLE, NULL,
                "the folder that plays the platform"),
    CM_OPT_SIZE(struct options, untold_bytes, "untold", "0", 0, 1000000,
                "what clips may have, which the platform tells only who sends a larger one; 0: any"),
    CM_OPT_END,
};

static const char *post_path(const struct fake *fake, const char *key, int number)
{
    const struct options *own = fake->ctx->options;
    return fake->host->format(fake->ctx, "%s/%s.%d", own->platform, key, number);
}

static const char *post_id(const struct fake *fake, const char *key, int number)
{
    return fake->host->format(fake->ctx, "%s.%d", key, number);
}

#ifdef FAKE_PHASES
/* The first phase: an upload has an id of its own, and the platform takes each for one post only. */
static const char *upload_id(const struct fake *fake)
{
    const char *saved = fake->host->saved(fake->ctx, "upload");
    if (saved) {
        return saved;
    }
    const char *id = fake->host->format(fake->ctx, "upload-%s", fake->fence);
    fake_note(fake, fake->host->format(fake->ctx, "uploaded %s", id));
    fake->host->save(fake->ctx, "upload", id);
    return id;
}

#define IS_KNOWN(fake, path) is_of_upload(fake, path)
static int is_of_upload(const struct fake *fake, const char *path)
{
    const char *text = fake_read(fake, path), *id = upload_id(fake);
    return !strncmp(text, id, strlen(id)) && text[strlen(id)] == '\n';
}
#elif defined FAKE_KEYED
#define IS_KNOWN(fake, path) ((void)(fake), (void)(path), 1) /* the platform knows the key again */
#define upload_id(fake) ""
#else
#define IS_KNOWN(fake, path) ((void)(fake), (void)(path), 0)
#define upload_id(fake) ""
#endif

/* Never asks whether there is one already: that is for others to prevent. The number, or 0. */
static int post_once_more(const struct fake *fake, const struct cm_publish_request *request)
{
    const char *text = fake->host->format(fake->ctx, "%s\n%s\n%s\n%s\n", upload_id(fake), request->name, request->title,
                                          request->text);
    for (int number = 1; number <= POSTS_MAX; number++) {
        const char *path = post_path(fake, request->key, number);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0 && errno == EEXIST && IS_KNOWN(fake, path)) {
            return number;
        }
        if (fd < 0 && errno == EEXIST) {
            continue;
        }
        if (fd < 0) {
            return 0;
        }
        ssize_t wrote = write(fd, text, strlen(text));
        close(fd);
        fake_note(fake, fake->host->format(fake->ctx, "posted %s", post_id(fake, request->key, number)));
        return wrote > 0 ? number : 0;
    }
    return 0;
}

static void die_if(const struct fake *fake, const char *act)
{
    if (fake_is(fake, act)) {
        fake_crash();
    }
}

static enum cm_verdict publish(struct cm_ctx *ctx, const struct cm_publish_request *request, struct cm_post *post)
{
    const struct options *own = ctx->options;
    struct fake fake = fake_begin(ctx, &own->common, "publish");
    int unsure = fake_is(&fake, "unsure") || fake_is(&fake, "doubt");
    enum cm_verdict verdict = unsure ? 0 : fake_act(&fake);
    if (verdict) {
        return verdict;
    }
    struct stat clip;
    if (own->untold_bytes > 0 && stat(request->clip_path, &clip) == 0 && clip.st_size > own->untold_bytes) {
        return fake_fail(&fake, CM_CANNOT, CM_REASON_TOO_LARGE, 0);
    }
    (void)upload_id(&fake);
    die_if(&fake, "early");
    if (ctx->host->sending(ctx)) {
        return fake_fail(&fake, CM_AGAIN, CM_REASON_STOPPED, 0);
    }
    fake_note(&fake, "sending");
    die_if(&fake, "sent");
    if (unsure) {
        return fake_fail(&fake, CM_UNSURE, CM_REASON_NETWORK, 0);
    }
    int number = post_once_more(&fake, request);
    die_if(&fake, "posted");
    if (fake_is(&fake, "linger")) {
        fake_linger(&fake);
    }
    if (number == 0) {
        return fake_fail(&fake, CM_HOLD, CM_REASON_RESOURCE, 0);
    }
    if (fake_is(&fake, "lost")) {
        return fake_fail(&fake, CM_UNSURE, CM_REASON_NETWORK, 0);
    }
    post->id = fake_is(&fake, "garbage") ? NULL : post_id(&fake, request->key, number);
    post->url = fake_is(&fake, "garbage") ? "\xff" : ctx->host->format(ctx, "fake://%s", post->id);
    return fake_end(&fake, CM_OK);
}

#ifndef FAKE_CANNOT_FIND
static enum cm_verdict find(struct cm_ctx *ctx, const struct cm_publish_request *request, enum cm_found *found,
                            struct cm_post *post)
{
    const struct options *own = ctx->options;
    struct fake fake = fake_begin(ctx, &own->common, "find");
    enum cm_verdict verdict = fake_act(&fake);
    if (verdict) {
        return verdict;
    }
    int there = access(post_path(&fake, request->key, 1), F_OK) == 0;
    *found = fake_is(&fake, "blind") ? CM_UNKNOWN : there ? CM_FOUND : CM_ABSENT;
    if (there) {
        post->id = post_id(&fake, request->key, 1);
        post->url = ctx->host->format(ctx, "fake://%s", post->id);
    }
    return fake_end(&fake, CM_OK);
}
#endif

static enum cm_verdict remove_post(struct cm_ctx *ctx, const struct cm_publish_request *request)
{
    const struct options *own = ctx->options;
    struct fake fake = fake_begin(ctx, &own->common, "remove");
    enum cm_verdict verdict = fake_act(&fake);
    if (!verdict && request->post_id && !strchr(request->post_id, '/')) {
        unlink(ctx->host->format(ctx, "%s/%s", own->platform, request->post_id));
    }
    return verdict ? verdict : fake_end(&fake, CM_OK);
}

static enum cm_verdict check(struct cm_ctx *ctx)
{
    const struct options *own = ctx->options;
    struct fake fake = fake_begin(ctx, &own->common, "check");
    enum cm_verdict verdict = fake_act(&fake);
    return verdict ? verdict : fake_end(&fake, CM_OK);
}

static const struct cm_publish_ops ops = {
    .size = sizeof ops,
    .settle = FAKE_SETTLE,
    .publish = publish,
    .find = FAKE_FIND,
    .remove = remove_post,
    .check = check,
};

CM_PLUGIN_LOCAL(CM_STAGE_PUBLISH, FAKE_NAME, "1.0", "Test only: posts into a folder, misbehaves on order", options,
                struct options, ops);
