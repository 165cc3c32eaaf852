/*
 * What plugins say of themselves, read in a process of its own: a plugin whose constructor
 * crashes or hangs is a config error with words, not an outage.
 */
#ifndef CM_DAEMON_REGISTRY_H
#define CM_DAEMON_REGISTRY_H

struct json_object;
struct cm_registry;

struct cm_registry *cm_registry_new(void);
void cm_registry_free(struct cm_registry *registry);

/* The descriptor of the plugin at `path` (`clipmaker-worker --describe`), kept until the file
 * changes. A new reference; NULL with one line in *error (malloc'd). Waits up to 10 s. */
struct json_object *cm_registry_describe(struct cm_registry *registry, const char *worker, const char *path,
                                         char **error);

#endif
