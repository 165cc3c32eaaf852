/*
 * The text of the configuration: clipmaker.conf, the files of plugins-enabled and of conf.d, read by us,
 * parsed one by one, and laid over each other into a flat list of values. Knows the syntax, not the settings.
 */
#ifndef CM_DAEMON_CONFIG_READ_H
#define CM_DAEMON_CONFIG_READ_H

#include <libconfig.h>
#include <stddef.h>

struct cm_complaints;

struct cm_conf_file {
    char *path;
    config_t parsed;
};

/* One value. The path is "min_free", "backoff.base", "plugins.NAME" (the group itself),
 * "plugins.NAME.KEY", "owners.NAME", "chains.STEP" or "pipelines.NAME"; the setting lives in its file. */
struct cm_conf_value {
    char *path;
    config_setting_t *setting;
    const char *file;
    int line;
};

struct cm_conf {
    struct cm_conf_file **files;
    size_t file_count, file_room;
    struct cm_conf_value *values;
    size_t value_count, value_room;
    int broken; /* a file could not be parsed: what it would have said is not known */
};

/* Which dotted paths are groups of settings ("backoff"): the reader descends into those. */
typedef int (*cm_conf_is_group_fn)(const char *path);

/* Reads `path`, and the folders plugins-enabled and conf.d beside it. Complaints go to the list; never NULL. */
struct cm_conf *cm_conf_read(const char *path, cm_conf_is_group_fn is_group, struct cm_complaints *complaints);
void cm_conf_free(struct cm_conf *conf);
const struct cm_conf_value *cm_conf_find(const struct cm_conf *conf, const char *path);

/* A scalar as the user would write it in text; NULL for a group or list. malloc'd. */
char *cm_conf_text(const config_setting_t *setting);
/* `path` made absolute from the folder of the config file. malloc'd; "" stays "". */
char *cm_conf_path(const char *file, const char *path);

#endif
