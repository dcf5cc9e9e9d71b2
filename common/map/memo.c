#include "common/map/memo.h"

#include <string.h>

void
memo_init(struct memo *m)
{
	*m = (struct memo){0};
	buf_init(&m->bytes, MEMO_BYTES);
}

void
memo_free(struct memo *m)
{
	buf_free(&m->bytes);
}

static struct span
key_of(const struct memo *m, const struct memo_entry *e)
{
	return span_sub(buf_span(&m->bytes), e->start, e->key_len);
}

const struct memo_entry *
memo_find(struct memo *m, uint64_t question, struct span key, bool partial)
{
	if (m->question != question) {
		m->question = question;
		m->count = 0;
		buf_clear(&m->bytes);
		return NULL;
	}
	for (unsigned i = 0; i < m->count; i++) {
		const struct memo_entry *e = &m->entries[i];
		if (e->partial == partial && e->key_len == key.len && span_equal(key_of(m, e), key))
			return e;
	}
	return NULL;
}

void
memo_keep(struct memo *m, struct memo_entry entry, struct span key, struct span value)
{
	if (m->count == MEMO_ENTRIES || key.len + value.len > MEMO_BYTES - m->bytes.len)
		return;
	entry.start = m->bytes.len;
	entry.key_len = key.len;
	entry.value_len = value.len;
	(void)buf_append_span(&m->bytes, key);
	(void)buf_append_span(&m->bytes, value);
	m->entries[m->count++] = entry;
}

struct span
memo_value(const struct memo *m, const struct memo_entry *entry)
{
	return span_sub(buf_span(&m->bytes), entry->start + entry->key_len, entry->value_len);
}
