/*
 * table: a bounded hash table from byte strings to pointers.
 *
 * Keys are copied. The hash is SipHash-2-4 under a key drawn per process, for keys come from strangers.
 * Values are the caller's; table_free() gives each to free_value if that is set.
 */
#ifndef POSTERN_BASE_TABLE_H
#define POSTERN_BASE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

struct table;

struct table *table_new(size_t max_entries, void (*free_value)(void *value));
void table_free(struct table **t);

/* NULL if absent. */
void *table_get(const struct table *t, struct span key);

/* Adds or replaces (the old value is given to free_value). Returns -1 when full. */
int table_put(struct table *t, struct span key, void *value);

/* Removes and returns the value (not freed), NULL if absent. */
void *table_take(struct table *t, struct span key);

size_t table_count(const struct table *t);

/*
 * Walks all entries in no order; nothing may be added or taken out meanwhile. *position starts at 0. Returns
 * NULL at the end.
 */
void *table_next(const struct table *t, size_t *position, struct span *key);

uint64_t siphash(const uint8_t key[16], const void *bytes, size_t len);

/* siphash() under this process's key. */
uint64_t hash_bytes(const void *bytes, size_t len);

#endif
