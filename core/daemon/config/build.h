/*
 * Between the files that build a config from the values read: what each of them fills.
 */
#ifndef CM_DAEMON_CONFIG_BUILD_H
#define CM_DAEMON_CONFIG_BUILD_H

#include "core/daemon/config/complaints.h"
#include "core/daemon/config/config.h"
#include "core/daemon/config/read.h"

struct cm_overrides;
struct cm_registry;

struct cm_build {
    struct cm_config *config;
    const struct cm_conf *conf;
    const struct cm_overrides *overrides;
    struct cm_registry *registry;
    struct cm_complaints *complaints;
};

/* plugins.c: instances with their options, checked by what the plugins say. */
void cm_build_plugins(struct cm_build *build);
/* pipeline.c: pipelines, and that their instances exist and fit. */
void cm_build_pipelines(struct cm_build *build);

/* residency.c: where the instance's data goes, by its plugin and its `data` and `recipient`. */
void cm_take_residency(struct cm_build *build, struct cm_plugin_use *use, const struct cm_conf_value *data,
                       const struct cm_conf_value *recipient);
/* … and that no chain leaves the country where the strategy is ru. */
void cm_check_residency(struct cm_build *build);

#endif
