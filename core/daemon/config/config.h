/*
 * The configuration of the daemon, checked: settings, plugin instances, pipelines. Made by load.h.
 */
#ifndef CM_DAEMON_CONFIG_H
#define CM_DAEMON_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "core/daemon/config/settings.h"
#include "core/daemon/engine/engine.h"

struct json_object;
struct cm_price_list;

struct cm_names {
    char **items;
    size_t count, room;
};

/* A plugin with one set of options. */
struct cm_plugin_use {
    char *name;
    char *plugin; /* as configured: a name or a path */
    char *path;   /* of the shared object, absolute */
    char *file;   /* where it is configured */
    int line;
    int stage;
    int64_t limit, rate_us;
    char *account;                       /* "": none */
    int64_t max_clip_bytes, max_clip_ms; /* publish: as configured, else as the plugin says; 0: any */
    char *recipient;                     /* who is given data abroad; "": nobody */
    const struct cm_price_list *prices;  /* of the config; NULL: what it costs is not known */
    struct json_object *options;         /* {"key":"text"}; paths absolute, secrets as references */
    struct json_object *lines;           /* {"key":"FILE:LINE"} */
    struct json_object *described;       /* the plugin's own word, from --describe */
};

struct cm_config {
    char *path;
    struct cm_settings settings;
    char *state; /* absolute */
    char *store; /* complete: "sqlite:/path", "memory:" */
    char *prompts, *worker, *plugin_folder;
    struct cm_names formats, targets;
    struct cm_plugin_use *uses;
    size_t use_count, use_room;
    struct cm_owner_weight *owners; /* names owned */
    size_t owner_count, owner_room;
    struct cm_pipeline **pipelines;
    size_t pipeline_count, pipeline_room;
    struct cm_instance *instances; /* the engine's view of `uses`, same order */
    struct cm_price_list **price_lists;
    size_t price_list_count, price_list_room;
};

void cm_config_free(struct cm_config *config);

const struct cm_plugin_use *cm_config_use(const struct cm_config *config, const char *name);
const struct cm_pipeline *cm_config_pipeline(const struct cm_config *config, const char *name);
int cm_names_has(const struct cm_names *names, const char *name);
void cm_names_add(struct cm_names *names, const char *name);
/* Bytes that a worker of this stage may use; stage 0: built-in. */
int64_t cm_config_memory(const struct cm_config *config, int stage);
/* The engine's view; pointers live as long as the config. */
struct cm_engine_config cm_config_engine(const struct cm_config *config, const char *boot, uint64_t seed);

#endif
