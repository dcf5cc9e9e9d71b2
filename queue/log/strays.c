#include "queue/log/strays.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "queue/index/rows.h"
#include "queue/log/disk.h"
#include "queue/queue.h"
#include "queue/spool_clock.h"

enum { ROWS_AT_ONCE = 4000, STRAYS_MAX = 100000, OCTETS_MAX = 64 << 20, ROW_MAX = 32 << 20 };

struct stray {
	uint64_t id;
	size_t at, len; /* of what the index said; 0: it says it still */
};

struct strays {
	struct stray *list;
	size_t count, cap, next;
	struct buf rows;
	struct orphans orphans;
	bool keep_orphans, old;
	unsigned lost; /* without content */
	unsigned left_out; /* what the index said of them is too much */
};

struct strays *
strays_new(void)
{
	struct strays *s = mem_alloc(sizeof(*s));

	buf_init(&s->rows, OCTETS_MAX);
	return s;
}

void
strays_free(struct strays **s)
{
	struct strays *gone = *s;

	*s = NULL;
	if (!gone)
		return;
	orphans_free(&gone->orphans);
	buf_free(&gone->rows);
	free(gone->list);
	free(gone);
}

void
strays_add(struct strays *s, uint64_t id)
{
	if (s->count == STRAYS_MAX) {
		s->left_out++;
		return;
	}
	if (s->count == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 64;
		s->list = mem_resize(s->list, s->cap * sizeof(*s->list));
	}
	s->list[s->count++] = (struct stray){.id = id};
}

void
strays_are_old(struct strays *s)
{
	s->old = true;
}

/* ---- in an index that goes ---- */

struct finding {
	struct strays *strays;
	const struct log_place *places;
	size_t count;
};

static bool
look(const struct summary *row, void *context)
{
	struct finding *f = context;

	if (row->part != 0)
		return true;
	for (size_t i = 0; i < f->count; i++)
		if (row->position >= f->places[i].first &&
		    row->position - f->places[i].first < f->places[i].size)
			return true;
	strays_add(f->strays, row->id);
	return true;
}

/* Its row, in memory. */
static int
keep_row(struct strays *s, struct stray *stray, struct index *x, struct buf *bytes, struct error *err)
{
	struct index_row row;
	int got = index_load(x, stray->id, bytes, &row, err);

	if (got <= 0)
		return got;
	if (row.payload.len > OCTETS_MAX - s->rows.len) {
		s->left_out++;
		return 0;
	}
	stray->at = s->rows.len;
	stray->len = row.payload.len;
	buf_append_span(&s->rows, row.payload);
	return 0;
}

int
strays_find(
    struct strays *s, struct index *x, const struct log_place *places, size_t count, struct error *err)
{
	struct finding f = {s, places, count};
	uint64_t after = 0;
	bool more = true;
	int status = 0;
	struct buf bytes;

	while (more && status == 0)
		status = rows_each(x, &after, UINT64_MAX, ROWS_AT_ONCE, look, &f, &more, err);
	buf_init(&bytes, ROW_MAX);
	for (size_t i = 0; i < s->count && status == 0; i++)
		status = keep_row(s, &s->list[i], x, &bytes, err) < 0 ? -1 : 0;
	buf_free(&bytes);
	return status;
}

void
strays_leave_out_removed(struct strays *s, const struct queue *q)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->count; i++) {
		const struct message *m = message_find(&q->live, s->list[i].id);

		if (!m || message_is_queued(m))
			s->list[kept++] = s->list[i];
	}
	s->count = kept;
}

/* ---- behind the recovery ---- */

/*
 * What the index says is all there is. Of one that the index keeps nothing is written: its segment may come back, and its content
 * with it; until then each attempt says so. Of one whose row is gone this is what lives on, and it is tried at once.
 */
static void
take_back(struct queue *q, struct message *m)
{
	bool lost = !m->e.in_file, kept = m->indexed;

	if (lost) {
		log_error(QUEUE_LOG(m->id), "its record and content are gone with a segment of the log; "
					    "its sender is told when it expires or an operator bounces it");
		q->strays->lost++;
	} else {
		log_warning(
		    QUEUE_LOG(m->id), "its record is gone with a segment of the log; it is made anew");
	}
	if (lost && kept)
		return;
	m->lost = lost;
	m->e.file_offset = lost ? 0 : m->e.file_offset;
	m->e.in_file = true;
	m->position = STRAYS_NOWHERE;
	for (uint32_t i = 0; i < m->count; i++)
		if (lost && m->recipients[i]->p.state == RECIPIENT_QUEUED)
			m->recipients[i]->p.due_spool_us = spool_clock_now();
	q->moving++;
	journal_snapshot(q, m, span_make(NULL, 0));
	young_want_index(q, m); /* also where the log takes nothing now: the next start finds it there */
}

static struct message *
from_row(struct queue *q, const struct stray *stray)
{
	struct index_row row = {.id = stray->id,
	    .position = STRAYS_NOWHERE,
	    .content_position = STRAYS_NOWHERE,
	    .payload = span_make(buf_ptr(&q->strays->rows) + stray->at, stray->len)};
	struct message *m = stray->len > 0 ? young_from_row(q, &row) : NULL;

	if (m)
		m->indexed = false;
	return m;
}

static void next(struct queue *q);

static void
on_message(struct queue *q, struct message *m, void *context)
{
	struct strays *s = q->strays;

	(void)context;
	if (!s)
		return;
	if (!m && s->old)
		log_error(QUEUE_LOG(s->list[s->next].id), "in no segment of the log; it was in the queue "
							  "when the index was stored last, and is lost "
							  "unless it was finished since");
	else if (!m && !message_find(&q->live, s->list[s->next].id))
		m = from_row(q, &s->list[s->next]);
	/* Of an index that was wiped the log may have had an older record of it. */
	if (m && message_is_queued(m) && !space_segment_of(q, m->position))
		take_back(q, m);
	s->next++;
	next(q);
}

static void
next(struct queue *q)
{
	struct strays *s = q->strays;
	struct message *m;

	for (; s->next < s->count; s->next++) {
		m = message_find(&q->live, s->list[s->next].id);
		if (!m) {
			young_get(q, s->list[s->next].id, on_message, NULL);
			return;
		}
		if (message_is_queued(m) && !space_segment_of(q, m->position))
			take_back(q, m);
	}
	q->gone += s->lost;
	orphans_remove(q, &s->orphans, s->keep_orphans);
	strays_free(&q->strays);
}

void
strays_settle(struct queue *q, struct strays **s, struct orphans *o, bool keep_orphans)
{
	q->strays = *s;
	if (q->strays->left_out > 0)
		log_error(&queue_log, "%u more messages went with a segment of the log, and are lost",
		    q->strays->left_out);
	*s = NULL;
	q->strays->orphans = *o;
	q->strays->keep_orphans = keep_orphans;
	*o = (struct orphans){NULL, 0};
	next(q);
}

void
strays_stop(struct queue *q)
{
	strays_free(&q->strays);
}
