/*
 * Every setting outside the plugins: a value and a name in one table, which parses, checks, defaults and explains.
 */
#ifndef CM_DAEMON_CONFIG_SETTINGS_H
#define CM_DAEMON_CONFIG_SETTINGS_H

#include <stdint.h>

struct cm_option;

/* One member a setting; the table in settings.c fills them. */
struct cm_settings {
    const char *store, *state, *language, *log, *prompts, *plugin_folder, *worker;
    const char *run_target, *run_option, *strategy;
    double usd_roubles; /* 0: not told */
    const char *usd_as_of;
    int64_t slots, max_jobs, min_free_bytes, kill_after_ms, drain_ms, lease_ms;
    int64_t memory_source_bytes, memory_prepare_bytes, memory_stt_bytes, memory_llm_bytes, memory_render_bytes,
        memory_publish_bytes, memory_builtin_bytes;
    int64_t warm_idle_ms, warm_attempts;
    int64_t backoff_base_ms, backoff_max_ms, breaker_failures, breaker_rest_ms;
    int64_t clips_count, clips_min_ms, clips_max_ms;
};

const struct cm_option *cm_settings_table(void);
int cm_settings_is_group(const char *path);
/* Every setting with type, default, range and help, for people. */
void cm_settings_print(void);
/* Names of settings that a reload cannot change and that differ; "" when none. malloc'd. */
char *cm_settings_needs_restart(const struct cm_settings *old, const struct cm_settings *fresh);

#endif
