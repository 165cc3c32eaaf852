/*
 * A hash table from names to things. Keys are borrowed: they must live as long as their entry.
 */
#ifndef CM_DAEMON_INDEX_H
#define CM_DAEMON_INDEX_H

#include <stddef.h>

struct cm_index_entry {
    const char *key; /* NULL: empty */
    void *value;
    size_t hash; /* of the key: most others need no look at theirs */
};

struct cm_index {
    struct cm_index_entry *entries;
    size_t count, room; /* room is a power of two, or 0 */
};

void *cm_index_get(const struct cm_index *index, const char *key); /* NULL when absent */
void cm_index_put(struct cm_index *index, const char *key, void *value);
void cm_index_remove(struct cm_index *index, const char *key);
void cm_index_free(struct cm_index *index);

#endif
