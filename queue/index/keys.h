/*
 * index_keys: which keys a message has in the index.
 */
#ifndef POSTERN_QUEUE_INDEX_KEYS_H
#define POSTERN_QUEUE_INDEX_KEYS_H

#include "queue/index/index.h"

struct key_list {
	struct buf bytes; /* all keys, one after the other */
	size_t *ends;
	size_t count, cap;
};

void key_list_init(struct key_list *list);
void key_list_free(struct key_list *list);
struct span key_list_at(const struct key_list *list, size_t i);

/* Sorted and without duplicates. -1 with err if the payload is malformed. */
int index_keys_of(const struct index_row *row, struct key_list *list, struct error *err);

/* The bounds of keys: [kind] text NUL, lower-cased for addresses. */
void index_key_prefix(struct buf *out, enum index_key kind, struct span text);

/* Big-endian, so that keys sort as numbers do. */
void index_put_u64(struct buf *out, uint64_t value);
uint64_t index_get_u64(const void *bytes);

/* "transport:nexthop" of a recipient. */
void hop_key(struct buf *out, struct span transport, struct span nexthop);

#endif
