/*
 * fsck: proves over a whole store what must always hold of its rows and files.
 */
#ifndef CM_DAEMON_FSCK_H
#define CM_DAEMON_FSCK_H

#include "core/daemon/store/store.h"

/* `clipmaker fsck`: proves the invariants over a whole store; calls `found` for each violation
 * with one line for people that names the row. state_dir NULL: looks at rows only, not at files.
 * Delivers other completions while it waits. Returns their number, or -1 when the store could not
 * be read. */
long cm_store_check(struct cm_store *store, const char *state_dir, void (*found)(void *arg, const char *line),
                    void *arg);
/* The same, and reads every artifact to compare its sha256. */
long cm_store_check_thorough(struct cm_store *store, const char *state_dir, void (*found)(void *arg, const char *line),
                             void *arg);

#endif
