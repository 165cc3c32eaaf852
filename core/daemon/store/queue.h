/*
 * What every backend of the store has at its two ends: an inbox of sets and queries in the order
 * in which they came, and an outbox of what to tell the owner, on the owner's thread.
 */
#ifndef CM_DAEMON_STORE_QUEUE_H
#define CM_DAEMON_STORE_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include "core/daemon/store/store.h"

/* A query with strings of its own, as it waits for its turn. */
struct cm_asked {
    struct cm_query query;
    cm_store_row_fn row_fn;
    void *arg;
};

struct cm_inbox_item {
    struct cm_inbox_item *next;
    struct cm_change_set *set; /* NULL: it is a query */
    struct cm_asked asked;
};

struct cm_inbox {
    struct cm_inbox_item *first, *last;
};

void cm_inbox_add_set(struct cm_inbox *inbox, struct cm_change_set *set);
void cm_inbox_add_query(struct cm_inbox *inbox, const struct cm_query *query, cm_store_row_fn row_fn, void *arg);
void cm_inbox_drop_first(struct cm_inbox *inbox); /* frees the oldest */
void cm_inbox_clear(struct cm_inbox *inbox);
/* Everything of `from` goes behind what `to` has. */
void cm_inbox_move(struct cm_inbox *to, struct cm_inbox *from);

/* How a set ended, or a row of a query, or (row NULL) the end of its rows. */
struct cm_outbox_item {
    struct cm_outbox_item *next;
    enum cm_applied how; /* 0: it belongs to a query */
    uint64_t id;
    char *words; /* or NULL */
    cm_store_row_fn row_fn;
    void *arg;
    enum cm_table table;
    void *row;
};

struct cm_outbox {
    struct cm_outbox_item *first, *last;
    size_t count;
};

void cm_outbox_applied(struct cm_outbox *outbox, uint64_t id, enum cm_applied how, const char *words);
void cm_outbox_row(struct cm_outbox *outbox, const struct cm_asked *asked, void *row); /* takes the row */
void cm_outbox_end(struct cm_outbox *outbox, const struct cm_asked *asked, const char *error);
void cm_outbox_clear(struct cm_outbox *outbox);
void cm_outbox_move(struct cm_outbox *to, struct cm_outbox *from);
/* Calls back for each that is there now; what callbacks add waits for the next time. */
void cm_outbox_deliver(struct cm_outbox *outbox, struct cm_store *store);

#endif
