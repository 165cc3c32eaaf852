/*
 * Config: any bytes as clipmaker.conf, loaded whole. A line "%% NAME.conf" begins another file, which
 * lies in conf.d. What plugins say of themselves stands here, so that none is started: one of any name
 * has the stage that its name begins with, and an option of each type.
 */
#include <clipmaker/plugin.h>
#include <dirent.h>
#include <json-c/json.h>
#include <string.h>

#include "core/common/done.h"
#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/text.h"
#include "core/daemon/config/complaints.h"
#include "core/daemon/config/config.h"
#include "core/daemon/config/load.h"
#include "core/daemon/registry.h"
#include "tests/fuzz/fuzz.h"

/* libconfig 1.5 forgets the text of a string that never ends. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig.so\n";
}

#define DIVIDER "%% "
#define FILES_MAX 4

static char folder[64];

/* ---- The plugins that there are --------------------------------------------------------------- */

static const char said[] =
    "{\"name\":\"a\",\"stage\":\"%s\",\"options\":["
    "{\"name\":\"model\",\"type\":\"string\",\"required\":false,\"default\":\"\",\"help\":\"h\"},"
    "{\"name\":\"beams\",\"type\":\"int\",\"required\":false,\"default\":\"4\",\"min\":1,\"max\":9,\"help\":\"h\"},"
    "{\"name\":\"wait\",\"type\":\"time\",\"required\":false,\"default\":\"1s\",\"help\":\"h\"},"
    "{\"name\":\"room\",\"type\":\"size\",\"required\":false,\"default\":\"1KiB\",\"help\":\"h\"},"
    "{\"name\":\"pace\",\"type\":\"rate\",\"required\":false,\"default\":\"1/s\",\"help\":\"h\"},"
    "{\"name\":\"share\",\"type\":\"real\",\"required\":false,\"default\":\"0.5\",\"min\":0,\"max\":1,\"help\":\"h\"},"
    "{\"name\":\"fast\",\"type\":\"bool\",\"required\":false,\"default\":\"false\",\"help\":\"h\"},"
    "{\"name\":\"kind\",\"type\":\"choice\",\"required\":false,\"default\":\"a\",\"choices\":[\"a\",\"b\"],\"help\":"
    "\"h\"},"
    "{\"name\":\"base\",\"type\":\"url\",\"required\":false,\"default\":\"\",\"help\":\"h\"},"
    "{\"name\":\"dir\",\"type\":\"path\",\"required\":false,\"writable\":true,\"default\":\"\",\"help\":\"h\"},"
    "{\"name\":\"key\",\"type\":\"secret\",\"required\":false,\"default\":\"\",\"help\":\"h\"}],"
    "\"stage_facts\":{\"schemes\":\"file http\",\"languages\":\"en\",\"needs_captions\":false,\"settle\":4,"
    "\"settle_ms\":100,\"can_find\":true}}";

struct cm_registry {
    int unused;
};

struct cm_registry *cm_registry_new(void)
{
    return cm_alloc(sizeof(struct cm_registry));
}

void cm_registry_free(struct cm_registry *registry)
{
    free(registry);
}

struct json_object *cm_registry_describe(struct cm_registry *registry, const char *worker, const char *path,
                                         char **error)
{
    (void)registry;
    (void)worker;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char *stage = cm_strndup(name, strcspn(name, "_."));
    const char *known = cm_stage_name(cm_stage_from_name(stage));
    char *text = cm_format(said, *known ? known : "prepare");
    struct json_object *described = strcmp(stage, "missing") ? json_tokener_parse(text) : NULL;
    *error = described ? NULL : cm_format("there is no such plugin: %s", path);
    free(text);
    free(stage);
    return described;
}

/* ---- The files -------------------------------------------------------------------------------- */

static void make_folder(const char *path)
{
    if (cm_folder_make(path)) {
        perror(path);
        exit(73);
    }
}

static void write_file(const char *path, const char *text, size_t bytes)
{
    FILE *file = fopen(path, "w");
    if (!file || fwrite(text, 1, bytes, file) != bytes || fclose(file)) {
        perror(path);
        exit(73);
    }
}

static const char *next_divider(const char *at, const char *end)
{
    while (at < end) {
        size_t left = (size_t)(end - at);
        if (left > strlen(DIVIDER) && !memcmp(at, DIVIDER, strlen(DIVIDER))) {
            return at;
        }
        const char *newline = memchr(at, '\n', left);
        at = newline ? newline + 1 : end;
    }
    return end;
}

/* Writes them all; how many lie in conf.d. */
static int write_all(const char *bytes, size_t count)
{
    const char *end = bytes + count, *stop = next_divider(bytes, end);
    char path[128];
    snprintf(path, sizeof path, "%s/clipmaker.conf", folder);
    write_file(path, bytes, (size_t)(stop - bytes));
    int files = 0;
    while (stop < end && files < FILES_MAX) {
        const char *newline = memchr(stop, '\n', (size_t)(end - stop));
        const char *start = newline ? newline + 1 : end;
        stop = next_divider(start, end);
        snprintf(path, sizeof path, "%s/conf.d/%d.conf", folder, files++);
        write_file(path, start, (size_t)(stop - start));
    }
    return files;
}

static void remove_files(int files)
{
    char path[128];
    for (int i = 0; i < files; i++) {
        snprintf(path, sizeof path, "%s/conf.d/%d.conf", folder, i);
        remove(path);
    }
}

/* ---- The promise ------------------------------------------------------------------------------ */

/* A config that was taken can be used: each setting in its range, each step with somebody to do it. */
static void check(struct cm_config *config)
{
    fuzz_promise(config->settings.slots >= 0 && config->settings.max_jobs > 0);
    fuzz_promise(config->settings.clips_min_ms > 0 && config->settings.clips_min_ms <= config->settings.clips_max_ms);
    fuzz_promise(config->settings.backoff_base_ms <= config->settings.backoff_max_ms);
    fuzz_promise(config->formats.count > 0 && config->pipeline_count > 0);
    fuzz_promise(cm_config_pipeline(config, "default"));
    for (size_t i = 0; i < config->use_count; i++) {
        fuzz_promise(config->uses[i].limit >= 1 && config->uses[i].rate_us >= 0 && config->uses[i].stage);
        fuzz_promise(cm_config_use(config, config->uses[i].name) != NULL);
    }
    struct cm_engine_config engine = cm_config_engine(config, "boot", 1);
    fuzz_promise(engine.slots > 0 && engine.instance_count == config->use_count);
    char *names = cm_settings_needs_restart(&config->settings, &config->settings);
    fuzz_promise(!*names);
    free(names);
}

static void remove_folder(void)
{
    cm_folder_remove(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    const char *room = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.40s/fuzz-config-XXXXXX", room ? room : "/tmp");
    if (!mkdtemp(folder)) {
        perror(folder);
        exit(73);
    }
    atexit(remove_folder);
    char *conf_d = cm_path_join(folder, "conf.d");
    make_folder(conf_d);
    free(conf_d);
    cm_log_open("fuzz", CM_LOG_PLAIN, CM_LOG_ERROR);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    int files = write_all((const char *)bytes, count);
    struct cm_registry *registry = cm_registry_new();
    struct cm_complaints complaints = {0};
    struct cm_overrides overrides = {.state = folder};
    char *path = cm_path_join(folder, "clipmaker.conf");
    struct cm_config *config = cm_config_load(path, &overrides, registry, &complaints);
    fuzz_promise((config != NULL) == (complaints.count == 0));
    if (config) {
        check(config);
    }
    for (size_t i = 0; i < complaints.count; i++) {
        fuzz_promise(*complaints.lines[i]);
    }
    cm_config_free(config);
    cm_complaints_free(&complaints);
    cm_registry_free(registry);
    remove_files(files);
    free(path);
    return 0;
}
