/*
 * Old states: what finished runs into one folder have left under its .clipmaker.
 */
#ifndef CM_CTL_RUN_PRUNE_H
#define CM_CTL_RUN_PRUNE_H

#include <stdint.h>

#define CM_RUN_STATE_DAYS 30

/* Removes the state of each run that finished more than CM_RUN_STATE_DAYS before now_ms (UTC),
 * except `key`, which is about to be used; its clips stay. One that never finished stays, too: the
 * same command goes on with it. The lock of `home` must be held. How many were removed. */
int cm_run_prune(const char *home, const char *key, int64_t now_ms);

#endif
