/*
 * The begin message: what the daemon tells a worker, read and acted upon by the worker's own code, with a
 * plugin that needs nothing and without the sandbox. The folder is always the fuzzer's own.
 */
#include <clipmaker/plugin.h>

#include "core/common/log.h"
/* Each secret would be kept for the life of this process. */
#define cm_log_secret(secret) ((void)(secret))
#include "core/worker/serve.c"

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/step.h"

/* ---- A plugin that reads all it is told ---------------------------------------------------------- */

struct options {
    const char *text, *kind, *folder, *key;
    int64_t number, wait_ms, bytes;
    double share;
    int flag;
};

static const struct cm_option options[] = {
    CM_OPT_STRING(struct options, text, "text", "a", "h"),
    CM_OPT_CHOICE(struct options, kind, "kind", "a", "a|b", "h"),
    CM_OPT_PATH(struct options, folder, "folder", 0, "", "h"),
    CM_OPT_SECRET(struct options, key, "key", 0, "h"),
    CM_OPT_INT(struct options, number, "number", "4", 1, 9, "h"),
    CM_OPT_TIME(struct options, wait_ms, "wait", "1s", 0, 1000000, "h"),
    CM_OPT_SIZE(struct options, bytes, "bytes", "1KiB", 0, 1000000, "h"),
    CM_OPT_REAL(struct options, share, "share", "0.5", 0, 1, "h"),
    CM_OPT_BOOL(struct options, flag, "flag", "false", "h"),
    CM_OPT_END,
};

static enum cm_verdict look(struct cm_ctx *ctx)
{
    const struct options *own = ctx->options;
    fuzz_promise(own->text && own->kind && own->folder && own->key && own->number >= 1 && own->number <= 9);
    fuzz_promise(own->share >= 0 && own->share <= 1 && ctx->instance && ctx->language);
    const char *saved = ctx->host->saved(ctx, "step");
    const char *recalled = ctx->host->recall(ctx, "a", "token");
    fuzz_promise(ctx->host->save(ctx, "step", saved ? saved : "1") == 0);
    ctx->host->remember(ctx, "a", "token", recalled, "2");
    ctx->host->stopping(ctx);
    return CM_FAIL(ctx, CM_CANNOT, CM_REASON_UNSUPPORTED, "nothing: %s", own->text);
}

static enum cm_verdict fetch(struct cm_ctx *ctx, const struct cm_source_request *request)
{
    fuzz_promise(request->url);
    return look(ctx);
}

static enum cm_verdict prepare(struct cm_ctx *ctx, const struct cm_prepare_request *request)
{
    fuzz_promise(request->media_path);
    return look(ctx);
}

static enum cm_verdict publish(struct cm_ctx *ctx, const struct cm_publish_request *request, struct cm_post *post)
{
    (void)post;
    fuzz_promise(request->key && request->text && request->title);
    return look(ctx);
}

char *cm_load(const char *path, struct cm_loaded *loaded)
{
    *loaded = (struct cm_loaded){.plugin = {.options = options, .options_size = sizeof(struct options)}};
    const char *slash = strrchr(path, '/');
    loaded->plugin.stage = (uint32_t)cm_stage_from_name(slash ? slash + 1 : path);
    if (loaded->plugin.stage == CM_STAGE_SOURCE) {
        loaded->ops.source = (struct cm_source_ops){.size = sizeof loaded->ops.source, .fetch = fetch};
    } else if (loaded->plugin.stage == CM_STAGE_PREPARE) {
        loaded->ops.prepare = (struct cm_prepare_ops){.size = sizeof loaded->ops.prepare, .prepare = prepare};
    } else if (loaded->plugin.stage == CM_STAGE_PUBLISH) {
        loaded->ops.publish = (struct cm_publish_ops){.size = sizeof loaded->ops.publish, .publish = publish};
    } else {
        return cm_format("%s cannot be loaded", path);
    }
    return NULL;
}

char *cm_confine(struct json_object *begin, struct json_object *inputs)
{
    (void)begin;
    (void)inputs;
    return NULL;
}

/* ---- One input --------------------------------------------------------------------------------- */

static void forget_worker(void)
{
    if (the_worker.options) {
        cm_options_release(the_worker.loaded.plugin.options, the_worker.options);
    }
    free(the_worker.options);
    free(the_worker.options_text);
    free(the_worker.plugin_path);
    memset(&the_worker, 0, sizeof the_worker);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    char *path = step_path("media");
    FILE *file = fopen(path, "w");
    fuzz_promise(file);
    fclose(file);
    free(path);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct json_object *begin = cm_json_parse((const char *)bytes, count, NULL);
    if (json_object_is_type(begin, json_type_object)) {
        json_object_object_add(begin, "dir", json_object_new_string(step_folder()));
        json_object_object_del(begin, "work");
        attempt(begin);
        forget_worker();
    }
    json_object_put(begin);
    return 0;
}
