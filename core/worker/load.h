/*
 * A plugin in this process: opened, its descriptor checked and copied.
 */
#ifndef CM_WORKER_LOAD_H
#define CM_WORKER_LOAD_H

#include <clipmaker/plugin.h>

struct json_object;

union cm_ops {
    struct cm_source_ops source;
    struct cm_prepare_ops prepare;
    struct cm_stt_ops stt;
    struct cm_llm_ops llm;
    struct cm_render_ops render;
    struct cm_publish_ops publish;
};

struct cm_loaded {
    struct cm_plugin plugin; /* zeroed where the plugin is older than us */
    union cm_ops ops;        /* of plugin.stage; likewise */
    cm_open_fn open;         /* or NULL */
    cm_close_fn close;
};

/* NULL, or one line that names the file and what to do (malloc'd). There is no unload: a process
 * serves one plugin. */
char *cm_load(const char *path, struct cm_loaded *loaded);
/* The checks alone, on a descriptor already in memory. */
char *cm_load_check(const char *path, const struct cm_plugin *descriptor, struct cm_loaded *loaded);
/* What --describe prints; new reference. */
struct json_object *cm_load_describe(const struct cm_loaded *loaded);

#endif
