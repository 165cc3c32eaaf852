/*
 * source of the misbehaving plugin: any address becomes a file that holds that address. What stands
 * behind "fake:" in it is the script of the whole job.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fake.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct options {
    struct fake_options common;
};

static const struct cm_option options[] = {
    FAKE_OPTIONS(struct options),
    CM_OPT_END,
};

/* The job's own script goes where the fakes of the later steps look for it. */
static void publish_plan(const struct fake *fake, const char *script)
{
    const char *folder = fake->options->tally;
    if (!*folder) {
        return;
    }
    int fd = open(fake->host->format(fake->ctx, "%s/%s.plan", folder, fake->job),
                  O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd >= 0) {
        if (write(fd, script, strlen(script)) < 0) {
            fake->host->log(fake->ctx, CM_LOG_WARN, "the plan of this job cannot be written");
        }
        close(fd);
    }
}

static enum cm_verdict fetch(struct cm_ctx *ctx, const struct cm_source_request *request)
{
    const struct options *own = ctx->options;
    if (!strncmp(request->url, "fake:", 5)) {
        struct fake planner = {.ctx = ctx, .host = ctx->host, .options = &own->common, .stage = "source"};
        planner = fake_begin(ctx, &own->common, "plan");
        publish_plan(&planner, request->url + 5);
    }
    struct fake fake = fake_begin(ctx, &own->common, "source");
    enum cm_verdict verdict = fake_act(&fake);
    if (verdict) {
        return verdict;
    }
    if (fake_is(&fake, "garbage")) {
        return fake_end(&fake, CM_OK); /* done, it says, and there is no file */
    }
    const char *name = fake_write(&fake, "media.fake", *request->url ? request->url : "nothing");
    struct cm_file file = {.size = sizeof file, .role = "media", .file = name};
    if (!name || ctx->host->emit_file(ctx, &file)) {
        return fake_fail(&fake, CM_HOLD, CM_REASON_RESOURCE, 0);
    }
    return fake_end(&fake, CM_OK);
}

static const struct cm_source_ops ops = {.size = sizeof ops, .schemes = "fake file http https", .fetch = fetch};

CM_PLUGIN_LOCAL(CM_STAGE_SOURCE, "fake_source", "1.0", "Test only: fetches nothing, misbehaves on order", options,
                struct options, ops);
