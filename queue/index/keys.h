/*
 * keys: the keys that lead to messages in the index, each ending in the id.
 *
 *   'u' hop's number (4 octets), due time (8), id (8)
 *   'g' first log position of the segment in which the message's record lies (8), id (8)
 *
 * Numbers are big-endian, so that keys sort as they do.
 */
#ifndef POSTERN_QUEUE_INDEX_KEYS_H
#define POSTERN_QUEUE_INDEX_KEYS_H

#include "queue/index/index.h"

enum { DUE_PREFIX_SIZE = 5, DUE_KEY_SIZE = 21, SEGMENT_PREFIX_SIZE = 9, SEGMENT_KEY_SIZE = 17 };

/* Byte strings, one after the other. */
struct key_list {
	struct buf bytes;
	size_t *ends;
	size_t count, cap;
};

void key_list_init(struct key_list *list);
void key_list_free(struct key_list *list);
struct span key_list_at(const struct key_list *list, size_t i);

/* What was appended to bytes since the last end is one. */
void key_list_end(struct key_list *list);

void key_list_add_due(struct key_list *list, uint32_t hop, int64_t due_spool_us, uint64_t id);
void key_list_add_segment(struct key_list *list, uint64_t segment, uint64_t id);

/* Sorts them and drops what is there twice. */
void key_list_sort(struct key_list *list);

void index_put_u32(struct buf *out, uint32_t value);
void index_put_u64(struct buf *out, uint64_t value);
uint32_t index_get_u32(const void *bytes);
uint64_t index_get_u64(const void *bytes);

/* "transport:nexthop" of a recipient, in lower case. */
void hop_key(struct buf *out, struct span transport, struct span nexthop);

#endif
