/*
 * The inbox and the outbox that every backend of the store has.
 */
#include "core/daemon/store/queue.h"

#include <stdlib.h>
#include <string.h>

#include "core/common/text.h"

static void add_item(struct cm_inbox *inbox, struct cm_inbox_item *item)
{
    if (inbox->last)
        inbox->last->next = item;
    else
        inbox->first = item;
    inbox->last = item;
}

void cm_inbox_add_set(struct cm_inbox *inbox, struct cm_change_set *set)
{
    struct cm_inbox_item *item = cm_alloc(sizeof *item);
    item->set = set;
    add_item(inbox, item);
}

static char *copy_or_null(const char *text)
{
    return text ? cm_strdup(text) : NULL;
}

void cm_inbox_add_query(struct cm_inbox *inbox, const struct cm_query *query, cm_store_row_fn row_fn, void *arg)
{
    struct cm_inbox_item *item = cm_alloc(sizeof *item);
    item->asked = (struct cm_asked){.query = *query, .row_fn = row_fn, .arg = arg};
    item->asked.query.job = copy_or_null(query->job);
    item->asked.query.owner = copy_or_null(query->owner);
    item->asked.query.request_key = copy_or_null(query->request_key);
    item->asked.query.before = copy_or_null(query->before);
    add_item(inbox, item);
}

void cm_inbox_drop_first(struct cm_inbox *inbox)
{
    struct cm_inbox_item *item = inbox->first;
    inbox->first = item->next;
    if (!inbox->first)
        inbox->last = NULL;
    if (item->set)
        cm_change_set_free(item->set);
    free((char *)item->asked.query.job);
    free((char *)item->asked.query.owner);
    free((char *)item->asked.query.request_key);
    free((char *)item->asked.query.before);
    free(item);
}

void cm_inbox_clear(struct cm_inbox *inbox)
{
    while (inbox->first)
        cm_inbox_drop_first(inbox);
}

void cm_inbox_move(struct cm_inbox *to, struct cm_inbox *from)
{
    if (!from->first)
        return;
    add_item(to, from->first);
    to->last = from->last;
    *from = (struct cm_inbox){0};
}

static struct cm_outbox_item *add_outgoing(struct cm_outbox *outbox)
{
    struct cm_outbox_item *item = cm_alloc(sizeof *item);
    if (outbox->last)
        outbox->last->next = item;
    else
        outbox->first = item;
    outbox->last = item;
    outbox->count++;
    return item;
}

void cm_outbox_applied(struct cm_outbox *outbox, uint64_t id, enum cm_applied how, const char *words)
{
    struct cm_outbox_item *item = add_outgoing(outbox);
    item->how = how;
    item->id = id;
    item->words = copy_or_null(words);
}

static struct cm_outbox_item *add_answer(struct cm_outbox *outbox, const struct cm_asked *asked)
{
    struct cm_outbox_item *item = add_outgoing(outbox);
    item->row_fn = asked->row_fn;
    item->arg = asked->arg;
    item->table = asked->query.table;
    return item;
}

void cm_outbox_row(struct cm_outbox *outbox, const struct cm_asked *asked, void *row)
{
    add_answer(outbox, asked)->row = row;
}

void cm_outbox_end(struct cm_outbox *outbox, const struct cm_asked *asked, const char *error)
{
    add_answer(outbox, asked)->words = copy_or_null(error);
}

static struct cm_outbox_item *take_outgoing(struct cm_outbox *outbox)
{
    struct cm_outbox_item *item = outbox->first;
    outbox->first = item->next;
    if (!outbox->first)
        outbox->last = NULL;
    outbox->count--;
    return item;
}

static void free_outgoing(struct cm_outbox_item *item)
{
    if (item->row)
        cm_row_free(item->table, item->row);
    free(item->words);
    free(item);
}

void cm_outbox_clear(struct cm_outbox *outbox)
{
    while (outbox->first)
        free_outgoing(take_outgoing(outbox));
}

void cm_outbox_move(struct cm_outbox *to, struct cm_outbox *from)
{
    if (!from->first)
        return;
    if (to->last)
        to->last->next = from->first;
    else
        to->first = from->first;
    to->last = from->last;
    to->count += from->count;
    *from = (struct cm_outbox){0};
}

void cm_outbox_deliver(struct cm_outbox *outbox, struct cm_store *store)
{
    for (size_t left = outbox->count; left > 0 && outbox->first; left--) {
        struct cm_outbox_item *item = take_outgoing(outbox);
        if (!item->how)
            item->row_fn(item->arg, item->table, item->row, item->words);
        else if (store->applied)
            store->applied(store->arg, item->id, item->how, item->words ? item->words : "");
        free_outgoing(item);
    }
}
