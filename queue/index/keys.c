#include "queue/index/keys.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "queue/log/record.h"

enum { KEYS_MAX_BYTES = 64 << 20, KEY_TEXT_MAX = 1000 };

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

static void
end_key(struct key_list *list)
{
	if (list->count == list->cap) {
		list->cap = list->cap ? list->cap * 2 : 8;
		list->ends = mem_resize(list->ends, list->cap * sizeof(size_t));
	}
	list->ends[list->count++] = list->bytes.len;
}

void
index_put_u64(struct buf *out, uint64_t value)
{
	char bytes[8];

	for (int i = 7; i >= 0; i--, value >>= 8)
		bytes[i] = (char)value;
	buf_append(out, bytes, sizeof(bytes));
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
index_key_prefix(struct buf *out, enum index_key kind, struct span text)
{
	char c = (char)kind;
	size_t at;

	buf_append(out, &c, 1);
	at = out->len;
	buf_append_span(out, span_sub(text, 0, KEY_TEXT_MAX));
	if (kind != INDEX_DUE && kind != INDEX_SEGMENT)
		text_lower(buf_ptr(out) + at, out->len - at);
	if (kind != INDEX_SEGMENT)
		buf_append(out, "", 1);
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

static void
add(struct key_list *list, enum index_key kind, struct span text, uint64_t id)
{
	index_key_prefix(&list->bytes, kind, text);
	index_put_u64(&list->bytes, id);
	end_key(list);
}

static void
add_due(struct key_list *list, const struct part_recipient *p, uint64_t id)
{
	struct buf key;
	char c = INDEX_DUE;

	buf_init(&key, 4096);
	buf_append(&list->bytes, &c, 1);
	hop_key(&key, p->transport, p->nexthop);
	buf_append_span(&list->bytes, buf_span(&key));
	buf_append(&list->bytes, "", 1);
	index_put_u64(&list->bytes, (uint64_t)p->due_spool_us);
	index_put_u64(&list->bytes, id);
	end_key(list);
	buf_free(&key);
}

static int
compare(const void *a, const void *b)
{
	return span_compare(*(const struct span *)a, *(const struct span *)b);
}

/* A message with thousands of recipients at one place has the same key thousands of times. */
static void
sort_unique(struct key_list *list)
{
	struct span *keys = mem_alloc_array(list->count + 1, sizeof(*keys));
	struct key_list sorted;

	for (size_t i = 0; i < list->count; i++)
		keys[i] = key_list_at(list, i);
	qsort(keys, list->count, sizeof(*keys), compare);
	key_list_init(&sorted);
	for (size_t i = 0; i < list->count; i++) {
		if (i > 0 && span_equal(keys[i], keys[i - 1]))
			continue;
		buf_append_span(&sorted.bytes, keys[i]);
		end_key(&sorted);
	}
	free(keys);
	key_list_free(list);
	*list = sorted;
}

int
index_keys_of(const struct index_row *row, struct key_list *list, struct error *err)
{
	struct record record = {.type = RECORD_SNAPSHOT, .id = row->id, .payload = row->payload};
	struct part_envelope e;
	struct part_recipient p;
	struct record_reader reader;
	struct buf segment;
	int more;

	if (record_open(&record, &e, &reader, err) < 0)
		return -1;
	buf_init(&segment, 8);
	index_put_u64(&segment, row->segment);
	add(list, INDEX_SEGMENT, buf_span(&segment), row->id);
	buf_free(&segment);
	add(list, INDEX_SENDER, e.sender, row->id);
	while ((more = record_next(&record, &reader, &p)) > 0) {
		ptrdiff_t at = span_find_last(p.recipient, '@');

		if (p.state == RECIPIENT_DONE)
			continue;
		add(list, INDEX_RECIPIENT, p.recipient, row->id);
		add(list, INDEX_DOMAIN, at < 0 ? SPAN_LIT("") : span_from(p.recipient, (size_t)at + 1),
		    row->id);
		if (!e.held)
			add_due(list, &p, row->id);
	}
	if (more < 0)
		return error_set(err, "malformed recipient");
	sort_unique(list);
	return 0;
}
