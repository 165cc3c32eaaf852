/*
 * From files to a config. Either it is sound as a whole or it is not there at all, with every complaint in a list.
 */
#ifndef CM_DAEMON_CONFIG_LOAD_H
#define CM_DAEMON_CONFIG_LOAD_H

struct cm_complaints;
struct cm_config;
struct cm_registry;

/* What the command line says over the files. NULL: nothing. */
struct cm_overrides {
    const char *state;
    const char *output; /* folder for the option that `run` names */
    int is_private;
};

/* Reads, describes and checks everything. NULL with complaints. `registry` keeps what plugins
 * said of themselves over reloads. */
struct cm_config *cm_config_load(const char *path, const struct cm_overrides *overrides, struct cm_registry *registry,
                                 struct cm_complaints *complaints);

#endif
