/*
 * A binary heap of nodes that live inside their owners: smallest (key, tie) first. A node knows
 * its place, so that it can be moved or taken out in O(log n).
 */
#ifndef CM_DAEMON_HEAP_H
#define CM_DAEMON_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct cm_heap_node {
    int64_t key, tie;
    size_t place; /* 1-based; 0: in no heap */
    void *owner;
};

struct cm_heap {
    struct cm_heap_node **nodes;
    size_t count, room;
};

void cm_heap_add(struct cm_heap *heap, struct cm_heap_node *node);
void cm_heap_remove(struct cm_heap *heap, struct cm_heap_node *node); /* nothing when it is in none */
void cm_heap_move(struct cm_heap *heap, struct cm_heap_node *node, int64_t key, int64_t tie);
struct cm_heap_node *cm_heap_top(const struct cm_heap *heap); /* NULL when empty */
void cm_heap_free(struct cm_heap *heap);

#endif
