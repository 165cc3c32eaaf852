/*
 * A binary heap of nodes that live inside their owners.
 */
#include "core/daemon/engine/heap.h"

#include <stdlib.h>

#include "core/common/text.h"

static int before(const struct cm_heap_node *a, const struct cm_heap_node *b)
{
    return a->key != b->key ? a->key < b->key : a->tie < b->tie;
}

static void put(struct cm_heap *heap, size_t place, struct cm_heap_node *node)
{
    heap->nodes[place - 1] = node;
    node->place = place;
}

static void rise(struct cm_heap *heap, struct cm_heap_node *node)
{
    size_t place = node->place;
    while (place > 1 && before(node, heap->nodes[place / 2 - 1])) {
        put(heap, place, heap->nodes[place / 2 - 1]);
        place /= 2;
    }
    put(heap, place, node);
}

static void sink(struct cm_heap *heap, struct cm_heap_node *node)
{
    size_t place = node->place;
    while (place * 2 <= heap->count) {
        size_t child = place * 2;
        if (child < heap->count && before(heap->nodes[child], heap->nodes[child - 1])) {
            child++;
        }
        if (!before(heap->nodes[child - 1], node)) {
            break;
        }
        put(heap, place, heap->nodes[child - 1]);
        place = child;
    }
    put(heap, place, node);
}

void cm_heap_add(struct cm_heap *heap, struct cm_heap_node *node)
{
    heap->nodes = cm_grow(heap->nodes, &heap->room, heap->count, sizeof(struct cm_heap_node *));
    heap->count++;
    put(heap, heap->count, node);
    rise(heap, node);
}

void cm_heap_remove(struct cm_heap *heap, struct cm_heap_node *node)
{
    if (!node->place) {
        return;
    }
    struct cm_heap_node *last = heap->nodes[--heap->count];
    if (last != node) {
        put(heap, node->place, last);
        rise(heap, last);
        sink(heap, last);
    }
    node->place = 0;
}

void cm_heap_move(struct cm_heap *heap, struct cm_heap_node *node, int64_t key, int64_t tie)
{
    node->key = key;
    node->tie = tie;
    rise(heap, node);
    sink(heap, node);
}

struct cm_heap_node *cm_heap_top(const struct cm_heap *heap)
{
    return heap->count ? heap->nodes[0] : NULL;
}

void cm_heap_free(struct cm_heap *heap)
{
    free(heap->nodes);
    *heap = (struct cm_heap){0};
}
