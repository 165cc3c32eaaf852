/*
 * The table of settings.
 */
#include "core/daemon/config/settings.h"

#include <clipmaker/plugin.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/options.h"
#include "core/common/text.h"

#define SECOND 1000.0
#define HOUR (3600 * SECOND)
#define MIB (1024.0 * 1024)
#define TIB (1024 * 1024 * MIB)
#define S struct cm_settings
#define MEMORY(stage, fallback)                                                                                        \
    CM_OPT_SIZE(S, memory_##stage##_bytes, "memory." #stage, fallback, 32 * MIB, TIB, "what one such worker may use")

static const struct cm_option settings[] = {
    CM_OPT_STRING(S, store, "store", "sqlite:",
                  "where jobs are kept: sqlite: (in the state folder), sqlite:/path, postgresql://… or memory:"),
    CM_OPT_PATH(S, state, "state", 0, "", "folder for jobs and their files"),
    CM_OPT_CHOICE(S, language, "language", "ru", "ru|en|auto", "what is spoken when a job does not say"),
    CM_OPT_INT(S, slots, "slots", "0", 0, 1024,
               "attempts at once over all plugins that work on this machine; 0: one a processor core"),
    CM_OPT_INT(S, max_jobs, "max_jobs", "1000", 0, 1000000, "unfinished jobs accepted; 0: no limit"),
    CM_OPT_SIZE(S, min_free_bytes, "min_free", "1GiB", 0, 1024 * TIB,
                "nothing is started with less room in the state folder"),
    CM_OPT_CHOICE(S, log, "log", "info", "debug|info|warn|error", "the least important lines that are logged"),
    CM_OPT_PATH(S, prompts, "prompts", 0, "", "folder of the prompts for language models"),
    CM_OPT_PATH(S, plugin_folder, "plugin_folder", 0, "", "where plugins are looked up by name"),
    CM_OPT_PATH(S, worker, "worker", 0, "", "the program that runs plugins"),
    CM_OPT_TIME(S, kill_after_ms, "kill_after", "5s", 10, HOUR, "how long a worker may take to end when it is told to"),
    CM_OPT_TIME(S, drain_ms, "drain", "30s", 0, 24 * HOUR, "how long running attempts may go on when the daemon stops"),
    CM_OPT_TIME(S, lease_ms, "lease", "10s", 200, HOUR,
                "in a store that daemons share: one that is silent for so long has its jobs taken over"),
    MEMORY(source, "512MiB"),
    MEMORY(prepare, "1GiB"),
    MEMORY(stt, "2GiB"),
    MEMORY(llm, "512MiB"),
    MEMORY(render, "4GiB"),
    MEMORY(publish, "512MiB"),
    MEMORY(builtin, "1GiB"),
    CM_OPT_TIME(S, warm_idle_ms, "warm.idle", "60s", 0, 24 * HOUR, "a worker with nothing to do ends after this time"),
    CM_OPT_INT(S, warm_attempts, "warm.attempts", "100", 1, 1000000, "a worker ends after this many attempts"),
    CM_OPT_TIME(S, backoff_base_ms, "backoff.base", "2s", 10, HOUR,
                "the wait before the second try, doubled each time"),
    CM_OPT_TIME(S, backoff_max_ms, "backoff.max", "5m", 10, 24 * HOUR, "the longest wait between two tries"),
    CM_OPT_INT(S, breaker_failures, "breaker.failures", "5", 1, 1000, "failures in a row after which a plugin rests"),
    CM_OPT_TIME(S, breaker_rest_ms, "breaker.rest", "1m", 10, 24 * HOUR, "how long it rests"),
    CM_OPT_INT(S, clips_count, "clips.count", "0", 0, 50, "clips of a job; 0: as many as the material carries"),
    CM_OPT_TIME(S, clips_min_ms, "clips.min", "15s", SECOND, HOUR, "the shortest clip"),
    CM_OPT_TIME(S, clips_max_ms, "clips.max", "60s", SECOND, HOUR, "the longest clip"),
    CM_OPT_CHOICE(S, strategy, "strategy", "ru", "ru|global",
                  "where data of jobs that do not say may go: nowhere abroad, or there too with consent"),
    CM_OPT_REAL(S, usd_roubles, "usd.roubles", "0", 0, 1e6, "what a dollar costs, for prices told in dollars"),
    CM_OPT_STRING(S, usd_as_of, "usd.as_of", "", "the day of that rate, \"2026-11-20\""),
    CM_OPT_STRING(S, run_target, "run.target", "", "instance that `clipmaker run` publishes with"),
    CM_OPT_STRING(S, run_option, "run.option", "", "its option that gets the folder"),
    CM_OPT_END,
};

/* A reload leaves these as they were. */
static const struct {
    const char *name;
    size_t offset;
} fixed[] = {
    {"store", offsetof(struct cm_settings, store)},
    {"state", offsetof(struct cm_settings, state)},
};

const struct cm_option *cm_settings_table(void)
{
    return settings;
}

int cm_settings_is_group(const char *path)
{
    size_t bytes = strlen(path);
    for (const struct cm_option *one = settings; one->name; one++) {
        if (!strncmp(one->name, path, bytes) && one->name[bytes] == '.') {
            return 1;
        }
    }
    return 0;
}

char *cm_settings_needs_restart(const struct cm_settings *old, const struct cm_settings *fresh)
{
    struct cm_text names = {0};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        const char *before, *after;
        memcpy(&before, (const char *)old + fixed[i].offset, sizeof before);
        memcpy(&after, (const char *)fresh + fixed[i].offset, sizeof after);
        if (strcmp(before, after) != 0) {
            cm_text_addf(&names, "%s%s", names.length ? ", " : "", fixed[i].name);
        }
    }
    return cm_text_take(&names);
}

void cm_settings_print(void)
{
    struct json_object *all = cm_options_describe(settings);
    for (size_t i = 0; i < json_object_array_length(all); i++) {
        struct json_object *one = json_object_array_get_idx(all, i), *type = NULL;
        json_object_object_get_ex(one, "type", &type);
        printf("%-18s %-7s default %-10s %s\n", settings[i].name, json_object_get_string(type),
               *settings[i].fallback ? settings[i].fallback : "-", settings[i].help);
    }
    json_object_put(all);
    printf("%-18s %-7s default %-10s %s\n", "clips.formats", "list", "9:16", "shapes of the clips: 9:16, 1:1, 16:9");
    printf("%-18s %-7s default %-10s %s\n", "targets", "list", "-", "where clips go when a job does not say");
}
