/*
 * A hash table from names to things: open addressing, linear probing, no tombstones.
 */
#include "core/daemon/engine/index.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/text.h"

static size_t hash(const char *key)
{
    return (size_t)cm_hash(key, strlen(key), 0);
}

/* Where the key is, or the empty place where it would be. */
static size_t find(const struct cm_index *index, const char *key, size_t hashed)
{
    size_t at = hashed & (index->room - 1);
    while (index->entries[at].key && (index->entries[at].hash != hashed || strcmp(index->entries[at].key, key))) {
        at = (at + 1) & (index->room - 1);
    }
    return at;
}

static void grow(struct cm_index *index)
{
    struct cm_index old = *index;
    index->room = old.room ? old.room * 2 : 16;
    index->entries = cm_alloc(index->room * sizeof *index->entries);
    for (size_t i = 0; i < old.room; i++) {
        if (old.entries[i].key) {
            index->entries[find(index, old.entries[i].key, old.entries[i].hash)] = old.entries[i];
        }
    }
    free(old.entries);
}

void *cm_index_get(const struct cm_index *index, const char *key)
{
    return index->count ? index->entries[find(index, key, hash(key))].value : NULL;
}

void cm_index_put(struct cm_index *index, const char *key, void *value)
{
    if (index->count * 4 >= index->room * 3) {
        grow(index);
    }
    size_t hashed = hash(key), at = find(index, key, hashed);
    index->count += !index->entries[at].key;
    index->entries[at] = (struct cm_index_entry){key, value, hashed};
}

void cm_index_remove(struct cm_index *index, const char *key)
{
    if (!index->room) {
        return;
    }
    size_t at = find(index, key, hash(key));
    if (!index->entries[at].key) {
        return;
    }
    index->count--;
    index->entries[at] = (struct cm_index_entry){0};
    /* Those behind it may have stepped over this place: put them again. */
    for (size_t i = (at + 1) & (index->room - 1); index->entries[i].key; i = (i + 1) & (index->room - 1)) {
        struct cm_index_entry moved = index->entries[i];
        index->entries[i] = (struct cm_index_entry){0};
        index->entries[find(index, moved.key, moved.hash)] = moved;
    }
}

void cm_index_free(struct cm_index *index)
{
    free(index->entries);
    *index = (struct cm_index){0};
}
