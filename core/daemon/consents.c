/*
 * Consents of owners, in the store and in the engine.
 */
#include "core/daemon/consents.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/daemon/daemon.h"

#define PREFIX "consent "
#define LOOK_EVERY_S 3 /* where others may write them, too */

struct consent {
    char *owner, *recipient;
    int64_t given_ms;
};

struct list {
    struct consent *items;
    size_t count, room;
};

struct cm_consents {
    struct cm_daemon *daemon;
    struct list known;
    struct event *look;
};

struct reading {
    struct cm_consents *consents;
    struct list list;
    cm_consents_fn done;
    void *arg;
};

static void free_list(struct list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].owner);
        free(list->items[i].recipient);
    }
    free(list->items);
    *list = (struct list){0};
}

/* ---- Reading --------------------------------------------------------------------------------- */

static int same_lists(const struct list *a, const struct list *b)
{
    int same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++) {
        same = !strcmp(a->items[i].owner, b->items[i].owner) && !strcmp(a->items[i].recipient, b->items[i].recipient);
    }
    return same;
}

static void take(struct cm_consents *consents, struct list *list)
{
    struct cm_engine *engine = consents->daemon->engine;
    int same = same_lists(&consents->known, list);
    free_list(&consents->known);
    consents->known = *list;
    *list = (struct list){0};
    if (same) {
        return;
    }
    cm_engine_consents_forget(engine);
    for (size_t i = 0; i < consents->known.count; i++) {
        cm_engine_consent(engine, consents->known.items[i].owner, consents->known.items[i].recipient, 1);
    }
    cm_engine_consents_changed(engine);
    cm_daemon_pump_soon(consents->daemon);
}

static void on_row(void *arg, enum cm_table table, const void *row, const char *error)
{
    struct reading *reading = arg;
    const struct cm_note_row *note = row;
    (void)table;
    if (note) {
        struct list *list = &reading->list;
        list->items = cm_grow(list->items, &list->room, list->count, sizeof *list->items);
        list->items[list->count++] = (struct consent){cm_strdup(note->owner + strlen(PREFIX)), cm_strdup(note->name),
                                                      strtoll(note->value, NULL, 10)};
        return;
    }
    if (error) {
        cm_warn("the consents could not be read: %s", error);
    } else {
        take(reading->consents, &reading->list);
    }
    if (reading->done) {
        reading->done(reading->arg, error);
    }
    free_list(&reading->list);
    free(reading);
}

void cm_consents_read(struct cm_consents *consents, cm_consents_fn done, void *arg)
{
    struct reading *reading = cm_alloc(sizeof *reading);
    *reading = (struct reading){.consents = consents, .done = done, .arg = arg};
    struct cm_query query = {.table = CM_TABLE_NOTE, .job = PREFIX};
    cm_store_query(consents->daemon->store, &query, on_row, reading);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
    struct cm_consents *consents = arg;
    (void)fd;
    (void)what;
    if (!(consents->daemon->pauses & CM_PAUSE_STORE)) {
        cm_consents_read(consents, NULL, NULL);
    }
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void change(struct cm_change_set *set, const char *owner, const char *recipient, const char *value)
{
    char *whole = cm_format(PREFIX "%s", owner);
    struct cm_note_row row = {.owner = whole, .name = (char *)recipient, .value = (char *)(value ? value : "")};
    if (value) {
        cm_change_put(set, CM_TABLE_NOTE, &row);
    } else {
        cm_change_delete(set, CM_TABLE_NOTE, &row);
    }
    free(whole);
}

void cm_consents_give(struct cm_consents *consents, const char *owner, const char *const *recipients, size_t count)
{
    struct cm_change_set *set = cm_daemon_own_set(consents->daemon);
    char *now = cm_format("%lld", (long long)cm_utc_ms());
    for (size_t i = 0; i < count; i++) {
        if (!cm_consents_given(consents, owner, recipients[i])) {
            change(set, owner, recipients[i], now);
        }
    }
    free(now);
    cm_daemon_hand_over(consents->daemon, &set, 1);
}

void cm_consents_withdraw(struct cm_consents *consents, const char *owner)
{
    struct cm_change_set *set = cm_daemon_own_set(consents->daemon);
    for (size_t i = 0; i < consents->known.count; i++) {
        const struct consent *one = &consents->known.items[i];
        if (!strcmp(one->owner, owner)) {
            change(set, owner, one->recipient, NULL);
            cm_engine_consent(consents->daemon->engine, owner, one->recipient, 0);
        }
    }
    cm_engine_consents_changed(consents->daemon->engine);
    cm_daemon_hand_over(consents->daemon, &set, 1);
}

int64_t cm_consents_given(const struct cm_consents *consents, const char *owner, const char *recipient)
{
    for (size_t i = 0; i < consents->known.count; i++) {
        const struct consent *one = &consents->known.items[i];
        if (!strcmp(one->owner, owner) && !strcmp(one->recipient, recipient)) {
            return one->given_ms;
        }
    }
    return 0;
}

/* ---- Its life -------------------------------------------------------------------------------- */

struct cm_consents *cm_consents_new(struct cm_daemon *daemon)
{
    struct cm_consents *consents = cm_alloc(sizeof *consents);
    struct timeval every = {LOOK_EVERY_S, 0};
    consents->daemon = daemon;
    if (daemon->store->shared) {
        consents->look = event_new(daemon->base, -1, EV_PERSIST, on_look, consents);
        event_add(consents->look, &every);
    }
    return consents;
}

void cm_consents_free(struct cm_consents *consents)
{
    if (!consents) {
        return;
    }
    if (consents->look) {
        event_free(consents->look);
    }
    free_list(&consents->known);
    free(consents);
}
