/*
 * The state folder as a place that several daemons of one machine may share: its own id, and for
 * each run of a daemon a lock that ends with the process.
 */
#ifndef CM_DAEMON_PLACE_H
#define CM_DAEMON_PLACE_H

/* STATE/id, made when it is not there. malloc'd; NULL with errno. */
char *cm_place_id(const char *state);
/* STATE/store says where the jobs are kept when that is not STATE/store.sqlite: `store` as the config has it, so a
 * reference where there is a password. For those who look when no daemon runs. 0, or -1 with errno. */
int cm_place_note_store(const char *state, const char *store);
/* Locks STATE/boots/BOOT.lock; a descriptor, or -1 with errno. */
int cm_place_lock(const char *state, const char *boot);
void cm_place_unlock(const char *state, const char *boot, int fd);
/* 1: no process holds the lock of that boot, so it has ended. 0: one does, or nobody can tell. */
int cm_place_is_left(const char *state, const char *boot);

/* Calls `each` with the name of every boot that has a folder in STATE/workers. */
void cm_place_each_worker_folder(const char *state, void (*each)(void *arg, const char *boot), void *arg);

#endif
