/*
 * Whether the models that the configuration names are still there: providers take them away.
 */
#ifndef CM_DAEMON_MODELS_H
#define CM_DAEMON_MODELS_H

struct cm_config;

/* Asks each instance with an option `model` whose plugin can list models, all side by side, and warns of a model that
 * is not among them, with the nearest names, and of a server that could not be asked. Takes up to five seconds. How
 * many were asked. */
int cm_models_check(const struct cm_config *config);

#endif
