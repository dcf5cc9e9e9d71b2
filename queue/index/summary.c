#include "queue/index/summary.h"

#include <endian.h>
#include <string.h>

enum { HEAD = 38, OWN = 12, RECIPIENT = 21, ORIGINAL = 12, CUT = 255 };

static void
put32(struct buf *out, uint32_t value)
{
	value = htole32(value);
	buf_append(out, &value, sizeof(value));
}

static void
put64(struct buf *out, uint64_t value)
{
	value = htole64(value);
	buf_append(out, &value, sizeof(value));
}

static uint32_t
get32(const char *p)
{
	uint32_t value;

	memcpy(&value, p, sizeof(value));
	return le32toh(value);
}

static uint64_t
get64(const char *p)
{
	uint64_t value;

	memcpy(&value, p, sizeof(value));
	return le64toh(value);
}

void
summary_begin(struct buf *out, const struct summary *s)
{
	buf_append(out, &s->flags, 1);
	buf_append(out, &s->count, 1);
	put32(out, s->sender_domain);
	put64(out, s->sender);
	put32(out, s->arrival_s);
	put64(out, s->size);
	put64(out, s->position);
	put32(out, s->hold_reason);
	if (s->flags & SUMMARY_OWN_SENDER) {
		put32(out, s->own_domain);
		put64(out, s->own_sender);
	}
}

void
summary_add(struct buf *out, uint8_t flags, const struct summary_recipient *r)
{
	uint8_t len = r->variables.len > SUMMARY_VARIABLES_MAX ? CUT : (uint8_t)r->variables.len;

	put64(out, r->address);
	put32(out, r->domain);
	put32(out, r->hop);
	put32(out, r->reason);
	buf_append(out, &len, 1);
	if (len != CUT)
		buf_append_span(out, r->variables);
	if (flags & SUMMARY_ORIGINALS) {
		put32(out, r->original_domain);
		put64(out, r->original);
	}
}

int
summary_decode(struct span key, struct span value, struct summary *s)
{
	const char *p = value.ptr;
	uint64_t id;
	uint32_t part;
	size_t head = HEAD;

	if (key.len != SUMMARY_KEY_SIZE || value.len < HEAD)
		return -1;
	memcpy(&id, key.ptr, sizeof(id));
	memcpy(&part, key.ptr + 8, sizeof(part));
	s->id = be64toh(id);
	s->part = be32toh(part);
	s->flags = (uint8_t)p[0];
	s->count = (uint8_t)p[1];
	s->sender_domain = get32(p + 2);
	s->sender = get64(p + 6);
	s->arrival_s = get32(p + 14);
	s->size = get64(p + 18);
	s->position = get64(p + 26);
	s->hold_reason = get32(p + 34);
	s->own_domain = 0;
	s->own_sender = 0;
	if (s->flags & SUMMARY_OWN_SENDER) {
		if (value.len < HEAD + OWN)
			return -1;
		s->own_domain = get32(p + HEAD);
		s->own_sender = get64(p + HEAD + 4);
		head += OWN;
	}
	s->rest = span_from(value, head);
	if ((s->flags & ~SUMMARY_FLAGS) || s->count > SUMMARY_RECIPIENTS ||
	    s->rest.len < (size_t)s->count * RECIPIENT)
		return -1;
	return 0;
}

int
summary_next(struct summary *s, struct summary_recipient *r)
{
	const char *p = s->rest.ptr;
	size_t len, more = s->flags & SUMMARY_ORIGINALS ? (size_t)ORIGINAL : 0;

	if (s->count == 0)
		return 0;
	if (s->rest.len < RECIPIENT)
		return -1;
	r->address = get64(p);
	r->domain = get32(p + 8);
	r->hop = get32(p + 12);
	r->reason = get32(p + 16);
	len = (uint8_t)p[20];
	r->cut = len == CUT;
	if (r->cut)
		len = 0;
	if (len + more > s->rest.len - RECIPIENT)
		return -1;
	p += RECIPIENT;
	r->variables = span_make(p, len);
	r->original_domain = more > 0 ? get32(p + len) : 0;
	r->original = more > 0 ? get64(p + len + 4) : 0;
	s->rest = span_from(s->rest, RECIPIENT + len + more);
	s->count--;
	return 1;
}
