/*
 * From the store into the engine: every unfinished job at the start, one job when it is asked for.
 */
#ifndef CM_DAEMON_LOADER_H
#define CM_DAEMON_LOADER_H

struct cm_daemon;

/* error: NULL, or why the rows could not be read; then nothing was handed to the engine. */
typedef void (*cm_loaded_fn)(void *arg, const char *error);
/* job: NULL for all that are unfinished. */
void cm_loader_load(struct cm_daemon *daemon, const char *job, cm_loaded_fn loaded, void *arg);

#endif
