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

/* What the store has of one instance and its accounts, as a worker gets it. Kept while nobody but
 * this daemon can write to the store: then each attempt need not ask for it again. */
struct known {
    struct known *next;
    char *instance;
    struct json_object *recalled;
};

struct cm_notes {
    struct cm_daemon *daemon;
    struct writing *first;
    struct known *known;
    uint64_t writes; /* how often what is known may have become old */
};

struct gathering {
    char *task_owner, *instance_owner, *account_prefix;
    struct json_object *saved, *recalled;
    int left; /* queries that have not ended */
    char *error;
    struct cm_notes *notes;
    char *instance;
    int asks_instance;
    uint64_t writes; /* when it asked */
    cm_notes_fn done;
    void *arg;
};

struct cm_notes *cm_notes_new(struct cm_daemon *daemon)
{
    struct cm_notes *notes = cm_alloc(sizeof *notes);
    notes->daemon = daemon;
    return notes;
}

/* ---- What is known --------------------------------------------------------------------------- */

static void forget_known(struct cm_notes *notes)
{
    notes->writes++;
    while (notes->known) {
        struct known *next = notes->known->next;
        json_object_put(notes->known->recalled);
        free(notes->known->instance);
        free(notes->known);
        notes->known = next;
    }
}

static struct json_object *find_known(const struct cm_notes *notes, const char *instance)
{
    for (const struct known *one = notes->known; one; one = one->next) {
        if (!strcmp(one->instance, instance)) {
            return one->recalled;
        }
    }
    return NULL;
}

/* A database server may have other daemons that write to it. */
static int is_ours_alone(const struct cm_notes *notes)
{
    return !notes->daemon->store->shared;
}

static void keep_known(const struct gathering *gathering)
{
    struct cm_notes *notes = gathering->notes;
    if (!gathering->asks_instance || gathering->error || gathering->writes != notes->writes || !is_ours_alone(notes) ||
        find_known(notes, gathering->instance)) {
        return;
    }
    struct known *known = cm_alloc(sizeof *known);
    *known = (struct known){notes->known, cm_strdup(gathering->instance), json_object_get(gathering->recalled)};
    notes->known = known;
}

void cm_notes_free(struct cm_notes *notes)
{
    while (notes && notes->first) {
        struct writing *next = notes->first->next;
        free(notes->first);
        notes->first = next;
    }
    if (notes) {
        forget_known(notes);
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

static void end_gathering(struct gathering *gathering)
{
    keep_known(gathering);
    gathering->done(gathering->arg, gathering->saved, gathering->recalled, gathering->error);
    free(gathering->task_owner);
    free(gathering->instance_owner);
    free(gathering->account_prefix);
    free(gathering->instance);
    free(gathering->error);
    free(gathering);
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
    if (--gathering->left == 0) {
        end_gathering(gathering);
    }
}

static void ask(struct gathering *gathering, const char *owner)
{
    struct cm_query query = {.table = CM_TABLE_NOTE, .job = owner};
    cm_store_query(gathering->notes->daemon->store, &query, on_row, gathering);
}

void cm_notes_gather(struct cm_notes *notes, const char *task, const char *instance, cm_notes_fn done, void *arg)
{
    struct json_object *known = find_known(notes, instance);
    if (!task && known) {
        done(arg, json_object_new_object(), json_object_get(known), NULL);
        return;
    }
    struct gathering *gathering = cm_alloc(sizeof *gathering);
    *gathering = (struct gathering){
        .task_owner = cm_format("task %s", task ? task : ""),
        .instance_owner = cm_format("instance %s", instance),
        .account_prefix = cm_format("account %s/", instance),
        .saved = json_object_new_object(),
        .recalled = known ? json_object_get(known) : json_object_new_object(),
        .left = (task ? 1 : 0) + (known ? 0 : 2),
        .notes = notes,
        .instance = cm_strdup(instance),
        .asks_instance = !known,
        .writes = notes->writes,
        .done = done,
        .arg = arg,
    };
    if (task) {
        ask(gathering, gathering->task_owner);
    }
    if (!known) {
        ask(gathering, gathering->instance_owner);
        ask(gathering, gathering->account_prefix);
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
    forget_known(notes); /* what is asked for from now on comes behind this set */
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
