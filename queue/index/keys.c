#include "queue/index/keys.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/text.h"

enum { KEYS_MAX_BYTES = 64 << 20 };

void
key_list_init(struct key_list *list)
{
	buf_init(&list->bytes, KEYS_MAX_BYTES);
	list->ends = NULL;
	list->count = list->cap = 0;
}

void
key_list_free(struct key_list *list)
{
	buf_free(&list->bytes);
	free(list->ends);
	list->ends = NULL;
	list->count = list->cap = 0;
}

struct span
key_list_at(const struct key_list *list, size_t i)
{
	size_t begin = i ? list->ends[i - 1] : 0;

	return span_make(buf_ptr(&list->bytes) + begin, list->ends[i] - begin);
}

void
key_list_end(struct key_list *list)
{
	if (list->count == list->cap) {
		list->cap = list->cap ? list->cap * 2 : 8;
		list->ends = mem_resize(list->ends, list->cap * sizeof(size_t));
	}
	list->ends[list->count++] = list->bytes.len;
}

static void
put_number(struct buf *out, uint64_t value, size_t octets)
{
	char bytes[8];

	for (size_t i = octets; i-- > 0; value >>= 8)
		bytes[i] = (char)value;
	buf_append(out, bytes, octets);
}

void
index_put_u32(struct buf *out, uint32_t value)
{
	put_number(out, value, 4);
}

void
index_put_u64(struct buf *out, uint64_t value)
{
	put_number(out, value, 8);
}

uint32_t
index_get_u32(const void *bytes)
{
	const uint8_t *p = bytes;

	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

uint64_t
index_get_u64(const void *bytes)
{
	const uint8_t *p = bytes;
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value = value << 8 | p[i];
	return value;
}

void
hop_key(struct buf *out, struct span transport, struct span nexthop)
{
	size_t at = out->len;

	buf_append_span(out, transport);
	buf_append(out, ":", 1);
	buf_append_span(out, nexthop);
	text_lower(buf_ptr(out) + at, out->len - at);
}

void
key_list_add_due(struct key_list *list, uint32_t hop, int64_t due_spool_us, uint64_t id)
{
	char kind = INDEX_DUE;

	buf_append(&list->bytes, &kind, 1);
	index_put_u32(&list->bytes, hop);
	index_put_u64(&list->bytes, (uint64_t)due_spool_us);
	index_put_u64(&list->bytes, id);
	key_list_end(list);
}

void
key_list_add_segment(struct key_list *list, uint64_t segment, uint64_t id)
{
	char kind = INDEX_SEGMENT;

	buf_append(&list->bytes, &kind, 1);
	index_put_u64(&list->bytes, segment);
	index_put_u64(&list->bytes, id);
	key_list_end(list);
}

static int
compare(const void *a, const void *b)
{
	return span_compare(*(const struct span *)a, *(const struct span *)b);
}

static bool
is_sorted(const struct key_list *list)
{
	for (size_t i = 1; i < list->count; i++)
		if (span_compare(key_list_at(list, i - 1), key_list_at(list, i)) >= 0)
			return false;
	return true;
}

/* A message with thousands of recipients at one place has the same key thousands of times. */
void
key_list_sort(struct key_list *list)
{
	struct span *keys;
	struct key_list sorted;

	if (is_sorted(list))
		return;
	keys = mem_alloc_array(list->count + 1, sizeof(*keys));
	for (size_t i = 0; i < list->count; i++)
		keys[i] = key_list_at(list, i);
	qsort(keys, list->count, sizeof(*keys), compare);
	key_list_init(&sorted);
	for (size_t i = 0; i < list->count; i++) {
		if (i > 0 && span_equal(keys[i], keys[i - 1]))
			continue;
		buf_append_span(&sorted.bytes, keys[i]);
		key_list_end(&sorted);
	}
	free(keys);
	key_list_free(list);
	*list = sorted;
}
