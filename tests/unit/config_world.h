/*
 * A folder with a config, plugins that are empty files, and a worker that is a script: what the
 * tests of config and intake load.
 */
#ifndef CM_TEST_CONFIG_WORLD_H
#define CM_TEST_CONFIG_WORLD_H

#include "core/daemon/config/complaints.h"
#include "core/daemon/config/config.h"
#include "core/daemon/config/load.h"
#include "core/daemon/registry.h"

struct world {
    char folder[64];
    struct cm_registry *registry;
    struct cm_overrides overrides;
    struct cm_config *config;
    struct cm_complaints complaints;
};

void world_open(struct world *world);
void world_close(struct world *world);
/* Writes a file below the folder; folders on the way are made. */
void world_write(struct world *world, const char *name, const char *text);
/* Loads FOLDER/clipmaker.conf; what an earlier load gave is gone. */
void world_load(struct world *world);
/* Whether a complaint says this, at NAME:LINE (line 0: any place). */
int world_complains(struct world *world, const char *name, int line, const char *words);
char *world_path(struct world *world, const char *name);

/* Two lines: where things are. `rest` follows at line 3. */
void world_write_config(struct world *world, const char *rest);

/* A pipeline and plugins that are sound. */
extern const char world_plugins[], world_pipeline[];

#endif
