/*
 * Opening a plugin: the only dlopen. A descriptor that does not fit is refused with words, never
 * trusted.
 */
#include "core/worker/load.h"

#include <dlfcn.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/done.h"
#include "core/common/options.h"
#include "core/common/text.h"
#include "core/worker/host.h"

#define OPTIONS_MAX_BYTES (1024 * 1024)

/* A function that a stage cannot do without. */
struct required {
    const char *name;
    size_t offset;
};

#define REQUIRED(stage, member)                                                                                        \
    {                                                                                                                  \
#member, offsetof(struct cm_##stage##_ops, member)                                                             \
    }

/* For each stage: how large its ops are here, where open and close stand, what must be there. */
static const struct shape {
    size_t bytes, open, close;
    struct required required;
} shapes[] = {
#define SHAPE(stage, member)                                                                                           \
    {                                                                                                                  \
        sizeof(struct cm_##stage##_ops), offsetof(struct cm_##stage##_ops, open),                                      \
            offsetof(struct cm_##stage##_ops, close), REQUIRED(stage, member)                                          \
    }
    [CM_STAGE_SOURCE] = SHAPE(source, fetch),  [CM_STAGE_PREPARE] = SHAPE(prepare, prepare),
    [CM_STAGE_STT] = SHAPE(stt, transcribe),   [CM_STAGE_LLM] = SHAPE(llm, answer),
    [CM_STAGE_RENDER] = SHAPE(render, render), [CM_STAGE_PUBLISH] = SHAPE(publish, publish),
#undef SHAPE
};

/* A function pointer member, read without knowing its type. */
typedef void (*any_fn)(void);
static any_fn function_at(const void *ops, size_t offset)
{
    any_fn function;
    memcpy(&function, (const char *)ops + offset, sizeof function);
    return function;
}

static char *check_version(const char *path, const struct cm_plugin *descriptor)
{
    if (descriptor->magic != CM_PLUGIN_MAGIC) {
        return cm_format("%s: its cm_plugin does not begin with the magic: build it with CM_PLUGIN()", path);
    }
    if (descriptor->abi_major != CM_ABI_MAJOR) {
        return cm_format("%s: it is built for contract %u.%u, this is %u.%u: rebuild it against this plugin.h", path,
                         descriptor->abi_major, descriptor->abi_minor, CM_ABI_MAJOR, CM_ABI_MINOR);
    }
    if (descriptor->abi_minor > CM_ABI_MINOR || descriptor->size > sizeof(struct cm_plugin)) {
        return cm_format("%s: it is built for the newer contract %u.%u, this is %u.%u: update clipmaker", path,
                         descriptor->abi_major, descriptor->abi_minor, CM_ABI_MAJOR, CM_ABI_MINOR);
    }
    if (descriptor->size < offsetof(struct cm_plugin, ops) + sizeof descriptor->ops) {
        return cm_format("%s: its descriptor has %u bytes and ends before its ops: build it with CM_PLUGIN()", path,
                         descriptor->size);
    }
    return NULL;
}

/* A plugin is called by its file: what the config says is what runs. */
static char *check_name(const char *path, const struct cm_plugin *plugin)
{
    const char *slash = strrchr(path, '/');
    const char *file = slash ? slash + 1 : path;
    size_t bytes = strlen(file);
    if (!plugin->name || !plugin->version || !plugin->summary) {
        return cm_format("%s: its descriptor has no name, version or summary", path);
    }
    if (bytes < 3 || strcmp(file + bytes - 3, ".so") || strlen(plugin->name) != bytes - 3 ||
        strncmp(file, plugin->name, bytes - 3)) {
        return cm_format("%s: it calls itself \"%s\": the file must be named %s.so", path, plugin->name, plugin->name);
    }
    return NULL;
}

static char *check_options(const char *path, const struct cm_plugin *plugin)
{
    for (const struct cm_option *option = plugin->options; option && option->name; option++) {
        if (option->type < CM_TYPE_STRING || option->type > CM_TYPE_PATH || !option->help) {
            return cm_format("%s: its option \"%s\" has no help or a type that this clipmaker does not know", path,
                             option->name);
        }
        if (plugin->options_size > OPTIONS_MAX_BYTES || option->offset + sizeof(int) > plugin->options_size) {
            return cm_format("%s: its option \"%s\" lies outside of its options block", path, option->name);
        }
    }
    return NULL;
}

static char *check_stage(const char *path, struct cm_loaded *loaded)
{
    const struct shape *shape = &shapes[loaded->plugin.stage];
    const char *stage = cm_stage_name((int)loaded->plugin.stage);
    const void *ops = loaded->plugin.ops;
    uint32_t size;
    memcpy(&size, ops, sizeof size);
    if (size > shape->bytes || size < sizeof size) {
        return cm_format("%s: its %s operations have %u bytes, at most %zu are known: set .size, or update clipmaker",
                         path, stage, size, shape->bytes);
    }
    cm_host_take(&loaded->ops, shape->bytes, ops);
    if (!function_at(&loaded->ops, shape->required.offset)) {
        return cm_format("%s: it has no %s(), which a %s plugin must have", path, shape->required.name, stage);
    }
    loaded->open = (cm_open_fn)function_at(&loaded->ops, shape->open);
    loaded->close = (cm_close_fn)function_at(&loaded->ops, shape->close);
    return NULL;
}

/* What a stage's ops must say besides functions. */
static char *check_declared(const char *path, const struct cm_loaded *loaded)
{
    const union cm_ops *ops = &loaded->ops;
    if (loaded->plugin.stage == CM_STAGE_SOURCE && (!ops->source.schemes || !*ops->source.schemes)) {
        return cm_format("%s: it does not say which .schemes it takes: \"file\", \"http https\"", path);
    }
    if (loaded->plugin.stage == CM_STAGE_STT && (!ops->stt.languages || !*ops->stt.languages)) {
        return cm_format("%s: it does not say which .languages it knows: \"en\", \"ru en\", \"*\"", path);
    }
    if (loaded->plugin.stage == CM_STAGE_PUBLISH && (ops->publish.settle & CM_SETTLE_SEARCH) && !ops->publish.find) {
        return cm_format("%s: it declares CM_SETTLE_SEARCH and has no find()", path);
    }
    return NULL;
}

char *cm_load_check(const char *path, const struct cm_plugin *descriptor, struct cm_loaded *loaded)
{
    char *error = check_version(path, descriptor);
    if (error) {
        return error;
    }
    memset(loaded, 0, sizeof *loaded);
    memcpy(&loaded->plugin, descriptor, descriptor->size);
    if (!*cm_stage_name((int)loaded->plugin.stage)) {
        return cm_format("%s: its stage is %u, which this clipmaker does not know", path, loaded->plugin.stage);
    }
    if (!loaded->plugin.ops) {
        return cm_format("%s: its descriptor has no ops", path);
    }
    error = check_name(path, &loaded->plugin);
    error = error ? error : check_options(path, &loaded->plugin);
    error = error ? error : check_stage(path, loaded);
    return error ? error : check_declared(path, loaded);
}

char *cm_load(const char *path, struct cm_loaded *loaded)
{
    char *whole = strchr(path, '/') ? cm_strdup(path) : cm_format("./%s", path); /* never searched for */
    void *handle = dlopen(whole, RTLD_NOW | RTLD_LOCAL);
    const char *problem = handle ? NULL : dlerror();
    const struct cm_plugin *descriptor = handle ? dlsym(handle, "cm_plugin") : NULL;
    char *error = NULL;
    if (problem) {
        error = cm_starts_with(problem, whole) ? cm_strdup(problem) : cm_format("%s: %s", whole, problem);
    } else if (!descriptor) {
        error = cm_format("%s: it is no clipmaker plugin: it exports no cm_plugin", whole);
    } else {
        error = cm_load_check(whole, descriptor, loaded);
    }
    free(whole);
    return error;
}

static struct json_object *text(const char *value)
{
    return json_object_new_string(value ? value : "");
}

/* What the daemon must know of a stage's ops. */
static struct json_object *describe_stage(const struct cm_loaded *loaded)
{
    struct json_object *facts = json_object_new_object();
    const union cm_ops *ops = &loaded->ops;
    switch (loaded->plugin.stage) {
    case CM_STAGE_SOURCE:
        json_object_object_add(facts, "schemes", text(ops->source.schemes));
        break;
    case CM_STAGE_STT:
        json_object_object_add(facts, "languages", text(ops->stt.languages));
        json_object_object_add(facts, "needs_captions", json_object_new_boolean(ops->stt.needs_captions));
        json_object_object_add(facts, "elsewhere", json_object_new_boolean(ops->stt.elsewhere));
        json_object_object_add(facts, "can_models", json_object_new_boolean(ops->stt.models != NULL));
        break;
    case CM_STAGE_LLM:
        json_object_object_add(facts, "needs_no_prompt", json_object_new_boolean(ops->llm.needs_no_prompt));
        json_object_object_add(facts, "context_tokens", json_object_new_int64(ops->llm.context_tokens));
        json_object_object_add(facts, "can_models", json_object_new_boolean(ops->llm.models != NULL));
        json_object_object_add(facts, "elsewhere", json_object_new_boolean(ops->llm.elsewhere));
        break;
    case CM_STAGE_PUBLISH:
        json_object_object_add(facts, "settle", json_object_new_int64(ops->publish.settle));
        json_object_object_add(facts, "settle_ms", json_object_new_int64(ops->publish.settle_ms));
        json_object_object_add(facts, "max_clip_bytes", json_object_new_int64(ops->publish.max_clip_bytes));
        json_object_object_add(facts, "max_clip_ms", json_object_new_int64(ops->publish.max_clip_ms));
        json_object_object_add(facts, "max_text_chars", json_object_new_int64(ops->publish.max_text_chars));
        json_object_object_add(facts, "can_find", json_object_new_boolean(ops->publish.find != NULL));
        json_object_object_add(facts, "can_stats", json_object_new_boolean(ops->publish.stats != NULL));
        json_object_object_add(facts, "can_remove", json_object_new_boolean(ops->publish.remove != NULL));
        json_object_object_add(facts, "can_check", json_object_new_boolean(ops->publish.check != NULL));
        json_object_object_add(facts, "can_refresh", json_object_new_boolean(ops->publish.refresh != NULL));
        json_object_object_add(facts, "elsewhere", json_object_new_boolean(ops->publish.elsewhere));
        break;
    default:
        break;
    }
    return facts;
}

struct json_object *cm_load_describe(const struct cm_loaded *loaded)
{
    const struct cm_plugin *plugin = &loaded->plugin;
    struct json_object *described = json_object_new_object();
    struct json_object *abi = json_object_new_array();
    json_object_array_add(abi, json_object_new_int(plugin->abi_major));
    json_object_array_add(abi, json_object_new_int(plugin->abi_minor));
    json_object_object_add(described, "name", text(plugin->name));
    json_object_object_add(described, "version", text(plugin->version));
    json_object_object_add(described, "summary", text(plugin->summary));
    json_object_object_add(described, "stage", text(cm_stage_name((int)plugin->stage)));
    json_object_object_add(described, "abi", abi);
    json_object_object_add(described, "reach", text(plugin->reach == CM_REACH_LOCAL ? "local" : "network"));
    json_object_object_add(described, "options",
                           plugin->options ? cm_options_describe(plugin->options) : json_object_new_array());
    json_object_object_add(described, "stage_facts", describe_stage(loaded));
    return described;
}
