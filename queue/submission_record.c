/*
 * submission_record: the log's record of a whole message. Content becomes part of it where it lies: room was kept in front.
 */
#include <string.h>

#include "common/base/mem.h"
#include "queue/submission.h"

enum { SLACK_MAX = 1024 /* of a message in memory */ };

/* All of the record but its content. */
static int
encode_head(struct submission *s, struct buf *b)
{
	uint8_t le[4] = {(uint8_t)s->count, (uint8_t)(s->count >> 8), (uint8_t)(s->count >> 16),
	    (uint8_t)(s->count >> 24)};

	buf_reserve(b, RECORD_HEADER_SIZE + HEAD_TEXTS + s->texts_len + s->recipients.len + s->prepend_len);
	record_begin(b, RECORD_MESSAGE, s->id);
	if (part_encode_envelope(b, &s->e) < 0 || buf_append(b, le, sizeof(le)) < 0 ||
	    buf_append_span(b, buf_span(&s->recipients)) < 0)
		return -1;
	return s->spilled ? 0 : buf_append(b, s->prepend, s->prepend_len);
}

/* Takes the content over: it lies behind the head now, in *record. */
static int
join(struct submission *s, struct buf *head, struct buf *record)
{
	size_t content_len = submission_content(s).len, begin = s->room - head->len;

	if (head->len > s->room || !buf_reserve(&s->content, RECORD_ALIGN)) {
		*record = *head;
		buf_init(head, RECORD_MAX);
		return s->spilled ? 0 : buf_append_span(record, submission_content(s));
	}
	memcpy(s->content.mem + begin, buf_ptr(head), head->len);
	*record = s->content;
	record->max = RECORD_MAX;
	record->start = begin;
	record->len -= begin;
	buf_init(&s->content, 0);
	s->room = 0;
	s->q->submission_bytes -= content_len;
	return 0;
}

int
submission_encode(struct submission *s, struct buf *record, size_t *payload_len)
{
	struct buf head;
	int result;

	buf_init(&head, RECORD_MAX);
	buf_init(record, RECORD_MAX);
	result = encode_head(s, &head) < 0 || join(s, &head, record) < 0 ? -1 : 0;
	*payload_len = record->len - RECORD_HEADER_SIZE;
	if (result == 0)
		result = record_end(record, 0);
	buf_free(&head);
	/* It may stay for days: what was reserved beyond it is given back. */
	if (result == 0 && record->cap - record->start - record->len > SLACK_MAX) {
		record->cap = record->start + record->len;
		record->mem = mem_resize(record->mem, record->cap);
	}
	return result;
}
