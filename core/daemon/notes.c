/*
 * Notes, read and written through the store.
 */
#include "core/daemon/notes.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/text.h"
#include "core/daemon/daemon.h"

#define NAME_MAX_BYTES 64
#define VALUE_MAX_BYTES 4096

struct writing {
    struct writing *next;
    uint64_t set;
    cm_remembered_fn done;
    void *arg;
};

struct cm_notes {
    struct cm_daemon *daemon;
    struct writing *first;
};

struct gathering {
    char *task_owner, *instance_owner, *account_prefix;
    struct json_object *saved, *recalled;
    int left; /* queries that have not ended */
    char *error;
    cm_notes_fn done;
    void *arg;
};

struct cm_notes *cm_notes_new(struct cm_daemon *daemon)
{
    struct cm_notes *notes = cm_alloc(sizeof *notes);
    notes->daemon = daemon;
    return notes;
}

void cm_notes_free(struct cm_notes *notes)
{
    while (notes && notes->first) {
        struct writing *next = notes->first->next;
        free(notes->first);
        notes->first = next;
    }
    free(notes);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static void put_note(struct gathering *gathering, const struct cm_note_row *note)
{
    if (!strcmp(note->name, CM_NOTE_CHILDREN)) {
        return; /* the engine's own */
    }
    struct json_object *value = json_object_new_string(note->value);
    if (!strcmp(note->owner, gathering->task_owner)) {
        json_object_object_add(gathering->saved, note->name, value);
        return;
    }
    char *key = NULL;
    if (!strcmp(note->owner, gathering->instance_owner)) {
        key = cm_format("|%s", note->name);
    } else if (cm_starts_with(note->owner, gathering->account_prefix)) {
        key = cm_format("%s|%s", note->owner + strlen(gathering->account_prefix), note->name);
    }
    if (key) {
        json_object_object_add(gathering->recalled, key, value);
    } else {
        json_object_put(value); /* of another one whose name begins like ours */
    }
    free(key);
}

static void on_row(void *arg, enum cm_table table, const void *row, const char *error)
{
    (void)table;
    struct gathering *gathering = arg;
    if (row) {
        put_note(gathering, row);
        return;
    }
    if (error && !gathering->error) {
        gathering->error = cm_strdup(error);
    }
    if (--gathering->left > 0) {
        return;
    }
    gathering->done(gathering->arg, gathering->saved, gathering->recalled, gathering->error);
    free(gathering->task_owner);
    free(gathering->instance_owner);
    free(gathering->account_prefix);
    free(gathering->error);
    free(gathering);
}

void cm_notes_gather(struct cm_notes *notes, const char *task, const char *instance, cm_notes_fn done, void *arg)
{
    struct gathering *gathering = cm_alloc(sizeof *gathering);
    *gathering = (struct gathering){
        .task_owner = cm_format("task %s", task),
        .instance_owner = cm_format("instance %s", instance),
        .account_prefix = cm_format("account %s/", instance),
        .saved = json_object_new_object(),
        .recalled = json_object_new_object(),
        .left = 3,
        .done = done,
        .arg = arg,
    };
    const char *owners[] = {gathering->task_owner, gathering->instance_owner, gathering->account_prefix};
    for (size_t i = 0; i < 3; i++) {
        struct cm_query query = {.table = CM_TABLE_NOTE, .job = owners[i]};
        cm_store_query(notes->daemon->store, &query, on_row, gathering);
    }
}

/* ---- Writing --------------------------------------------------------------------------------- */

void cm_notes_remember(struct cm_notes *notes, const struct cm_remember *what, cm_remembered_fn done, void *arg)
{
    if (!*what->name || strlen(what->name) > NAME_MAX_BYTES || (what->value && strlen(what->value) > VALUE_MAX_BYTES)) {
        done(arg, 0);
        return;
    }
    char *owner = *what->account ? cm_format("account %s/%s", what->instance, what->account)
                                 : cm_format("instance %s", what->instance);
    struct cm_change_set *set = cm_daemon_own_set(notes->daemon);
    cm_change_guard(set, CM_GUARD_NOTE, owner, what->name, what->expected ? what->expected : "", what->expected != NULL,
                    0);
    struct cm_note_row *row = cm_row_new(CM_TABLE_NOTE);
    cm_row_text(&row->owner, owner);
    cm_row_text(&row->name, what->name);
    cm_row_text(&row->value, what->value ? what->value : "");
    if (what->value) {
        cm_change_put(set, CM_TABLE_NOTE, row);
    } else {
        cm_change_delete(set, CM_TABLE_NOTE, row);
    }
    cm_row_free(CM_TABLE_NOTE, row);
    struct writing *writing = cm_alloc(sizeof *writing);
    *writing = (struct writing){.next = notes->first, .set = set->id, .done = done, .arg = arg};
    notes->first = writing;
    cm_daemon_hand_over(notes->daemon, &set, 1);
    free(owner);
}

void cm_notes_applied(struct cm_notes *notes, uint64_t set, enum cm_applied how)
{
    if (how == CM_APPLIED_UNAVAILABLE) {
        return; /* the store keeps it and tries again */
    }
    for (struct writing **place = &notes->first; *place; place = &(*place)->next) {
        struct writing *writing = *place;
        if (writing->set == set) {
            *place = writing->next;
            writing->done(writing->arg, how == CM_APPLIED);
            free(writing);
            return;
        }
    }
}
