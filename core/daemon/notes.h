/*
 * Small strings that plugins keep: those of a task (saved), of an instance or an account
 * (recalled). Read from the store before an attempt, those of an instance only when they may have
 * changed; changed under a guard.
 */
#ifndef CM_DAEMON_NOTES_H
#define CM_DAEMON_NOTES_H

#include <stdint.h>

#include "core/daemon/store/store.h"

struct cm_daemon;
struct cm_notes;
struct json_object;

struct cm_notes *cm_notes_new(struct cm_daemon *daemon);
void cm_notes_free(struct cm_notes *notes);

/* saved: {name: value}; recalled: {"ACCOUNT|NAME": value}; both the callee's to put. error: NULL,
 * or why they could not be read. */
typedef void (*cm_notes_fn)(void *arg, struct json_object *saved, struct json_object *recalled, const char *error);
/* Gathers what an attempt of this task ("JOB/STEP/ITEM"; NULL: its first attempt, nothing can be
 * saved yet) by this instance may read. May call back from inside. */
void cm_notes_gather(struct cm_notes *notes, const char *task, const char *instance, cm_notes_fn done, void *arg);

struct cm_remember {
    const char *instance, *account, *name;
    const char *expected; /* NULL: must be absent */
    const char *value;    /* NULL: remove */
};
typedef void (*cm_remembered_fn)(void *arg, int ok);
void cm_notes_remember(struct cm_notes *notes, const struct cm_remember *what, cm_remembered_fn done, void *arg);
/* The store's word about a set of ours. */
void cm_notes_applied(struct cm_notes *notes, uint64_t set, enum cm_applied how);

#endif
