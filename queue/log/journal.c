/*
 * journal: how the loop's changes become records, and what follows when they are durable.
 *
 * Records gather during a turn of the loop and go to the writer at its end. Outcomes are written at once, so that
 * they outlive the process, and synced with somebody else's message or after spool_outcome_delay.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/octets.h"
#include "queue/scheduler/hop.h"
#include "queue/spool_clock.h"

/* Of a list with 90,000 members one record would be too long for the log, or for what is left of a full disk. */
enum { RECORD_BUF_MAX = RECORD_MAX, PIECE_OCTETS = 64 << 10 };

void
journal_kick(struct queue *q)
{
	if (q->kicked || !q->kick_event)
		return;
	q->kicked = true;
	event_active(q->kick_event, EV_TIMEOUT, 0);
}

static void
on_kick(evutil_socket_t fd, short what, void *context)
{
	struct queue *q = context;

	(void)fd;
	(void)what;
	q->kicked = false;
	journal_flush_outcomes(q);
	mailbox_put_list(&q->writer.in, &q->pending);
}

static void
on_writer(evutil_socket_t fd, short what, void *context)
{
	struct queue *q = context;
	struct work_list list = mailbox_take_all(&q->writer.out);
	struct work *node;

	(void)fd;
	(void)what;
	while ((node = work_take(&list))) {
		struct log_work *w = (struct log_work *)node;

		if (w->kind != LOG_RECORD) {
			space_on_writer(q, w);
			continue;
		}
		if (w->status == LOG_DURABLE && w->position + w->len > q->durable)
			q->durable = w->position + w->len;
		if (w->done)
			w->done(w);
		else
			free(w);
	}
	/* Those who wait for a 250 are told before anything is done for the next hop. */
	ipc_flush_all();
	scheduler_run_soon(q);
}

int
journal_start(struct queue *q, uint64_t number, uint64_t first, struct error *err)
{
	q->durable = first;
	if (log_writer_init(&q->writer, number, first, q->id_high, err) < 0)
		return -1;
	q->writer.sync = q->conf->queue_sync;
	/* Invariant 2: half of the time for the wait, half for the sync. */
	q->writer.lazy_us = q->conf->spool_outcome_delay / 2;
	if (log_writer_start(&q->writer, err) < 0)
		return -1;
	q->writer_event = event_new(q->base, q->writer.out.event_fd, EV_READ | EV_PERSIST, on_writer, q);
	q->kick_event = event_new(q->base, -1, 0, on_kick, q);
	event_add(q->writer_event, NULL);
	return 0;
}

static struct log_work *
put(struct queue *q, enum record_type type, uint64_t id, uint8_t *bytes, size_t len, bool must,
    void (*done)(struct log_work *w), void *context)
{
	struct log_work *w = mem_alloc(sizeof(*w));

	w->kind = LOG_RECORD;
	w->type = type;
	w->id = id;
	w->bytes = bytes;
	w->len = len;
	w->must = must;
	w->done = done;
	w->context = context;
	w->context2 = q;
	work_append(&q->pending, &w->work);
	return w;
}

struct log_work *
journal_put(struct queue *q, enum record_type type, uint64_t id, uint8_t *bytes, size_t len, bool must,
    void (*done)(struct log_work *w), void *context)
{
	struct log_work *w = put(q, type, id, bytes, len, must, done, context);

	journal_kick(q);
	return w;
}

/* A change to an accepted message is durable: now the index may have it. */
static void
on_change_durable(struct log_work *w)
{
	struct queue *q = w->context2;
	struct message *m = w->context;

	m->busy--;
	if (w->status == LOG_DURABLE) {
		young_reflect(q, m, w->position);
		young_want_index(q, m);
	}
	free(w->bytes);
	free(w);
	outcome_settle(q, m); /* what waited for this: notifications, the removal */
}

static void
on_removal_durable(struct log_work *w)
{
	struct queue *q = w->context2;
	struct message *m = w->context;

	m->busy--;
	m->removal_durable = true;
	young_reflect(q, m, w->position);
	space_message_gone(q, m);
	if (m->e.in_file)
		content_remove_file(q, m->id);
	free(w->bytes);
	free(w);
	young_settle(q, m);
	reclaim_empty(q);
}

static void
put_change(struct queue *q, struct message *m, enum record_type type, struct buf *b, int bad)
{
	struct log_work *w;

	if (bad || record_end(b, 0) < 0)
		panic("a %s record cannot be encoded", record_type_name(type));
	m->busy++;
	w = put(q, type, m->id, (uint8_t *)b->mem, b->len, true,
	    type == RECORD_REMOVAL ? on_removal_durable : on_change_durable, m);
	w->lazy = type == RECORD_REMOVAL || type == RECORD_OUTCOME;
}

void
journal_hold(struct queue *q, struct message *m)
{
	struct part_hold hold = {.reason = span_sub(m->e.hold_reason, 0, 500)};
	struct part_held held = {
	    .reason = hold.reason, .by = span_sub(m->e.hold_by, 0, 100), .at_us = m->e.hold_us};
	enum record_type type = !m->e.held ? RECORD_RELEASE : held.by.len > 0 ? RECORD_HELD : RECORD_HOLD;
	struct buf b;

	buf_init(&b, RECORD_BUF_MAX);
	record_begin(&b, type, m->id);
	put_change(
	    q, m, type, &b, type == RECORD_HELD ? part_encode_held(&b, &held) : part_encode_hold(&b, &hold));
	journal_kick(q);
}

void
journal_edit(struct queue *q, struct message *m, const struct part_edit *edit)
{
	struct buf b;

	buf_init(&b, RECORD_BUF_MAX);
	record_begin(&b, RECORD_EDIT, m->id);
	put_change(q, m, RECORD_EDIT, &b, part_encode_edit(&b, edit));
	journal_kick(q);
}

/* A record about some of a message's recipients: as many as are added before it is long enough. */
struct piece {
	struct buf b;
	enum record_type type;
	uint32_t count;
	int bad;
};

static void
piece_begin(struct piece *p, const struct message *m, enum record_type type)
{
	static const char room[4];

	*p = (struct piece){.type = type};
	buf_init(&p->b, RECORD_BUF_MAX);
	record_begin(&p->b, type, m->id);
	buf_append(&p->b, room, sizeof(room));
}

static void
piece_put(struct queue *q, struct message *m, struct piece *p)
{
	octets_store(buf_ptr(&p->b) + RECORD_HEADER_SIZE, p->count, 4);
	put_change(q, m, p->type, &p->b, p->bad);
}

static void
piece_next(struct queue *q, struct message *m, struct piece *p, int bad)
{
	p->count++;
	p->bad |= bad;
	if (p->b.len < PIECE_OCTETS)
		return;
	piece_put(q, m, p);
	piece_begin(p, m, p->type);
}

/* The last one: one without anything in it only where there is nothing at all. */
static void
piece_end(struct queue *q, struct message *m, struct piece *p, uint32_t count)
{
	if (p->count > 0 || count == 0)
		piece_put(q, m, p);
	else
		buf_free(&p->b);
}

void
journal_recipients(struct queue *q, struct message *m, uint32_t first, uint32_t count)
{
	struct piece p;

	piece_begin(&p, m, RECORD_RECIPIENTS);
	for (uint32_t i = first; i < first + count; i++)
		piece_next(q, m, &p, part_encode_recipient(&p.b, &m->recipients[i]->p));
	piece_end(q, m, &p, count);
}

void
journal_remove(struct queue *q, struct message *m, enum removal_reason why)
{
	struct part_removal removal = {.why = (uint8_t)why};
	struct buf b;

	if (m->removed)
		return;
	m->removed = true;
	if (m->unrecorded) {
		TAILQ_REMOVE(&q->unrecorded, m, unrecorded_link);
		m->unrecorded = false;
	}
	content_forget(q, m);
	scheduler_take_out(q, m);
	submission_fate_finished(q, m->id);
	buf_init(&b, 256);
	record_begin(&b, RECORD_REMOVAL, m->id);
	put_change(q, m, RECORD_REMOVAL, &b, part_encode_removal(&b, &removal));
	if (why != REMOVAL_EXPORTED) /* that line says where to */
		log_info(QUEUE_LOG(m->id), "removed");
}

/* What the message was moved to: its content lies there now, and what came before counts no more. */
static void
on_snapshot_durable(struct log_work *w)
{
	struct queue *q = w->context2;
	struct message *m = w->context;
	bool moved;

	m->busy--;
	q->moving--;
	moved = w->status == LOG_DURABLE && !m->removal_durable;
	if (moved) {
		space_message_gone(q, m);
		if (m->unreflected != 0)
			TAILQ_REMOVE(&q->unreflected, m, unreflected_link);
		m->unreflected = 0;
		m->position = w->position;
		m->content_position = w->position + (uint64_t)(uintptr_t)w->segment.number;
		space_message_added(q, m);
		young_reflect(q, m, w->position);
		young_want_index(q, m);
	}
	free(w->bytes);
	free(w);
	outcome_settle(q, m); /* what waited for this: notifications, the removal */
	if (moved && q->moving == 0) {
		young_store(q); /* the index tells which are next */
		reclaim_check(q);
	}
}

void
journal_snapshot(struct queue *q, struct message *m, struct span content)
{
	struct log_work *w;
	struct buf b;
	size_t content_at;

	buf_init(&b, RECORD_BUF_MAX);
	record_begin(&b, RECORD_SNAPSHOT, m->id);
	(void)message_pack(&b, m);
	content_at = b.len;
	buf_append_span(&b, content);
	/* It stays where it is until it is done with. */
	if (record_end(&b, 0) < 0 || b.len > q->segment_size - SEGMENT_HEADER_SIZE - SEGMENT_PAGE) {
		if (q->unmovable != m->id)
			log_warning(
			    QUEUE_LOG(m->id), "stays where it is: it is longer than a segment of the log");
		q->unmovable = m->id;
		buf_free(&b);
		q->moving--;
		return;
	}
	m->busy++;
	w = put(q, RECORD_SNAPSHOT, m->id, (uint8_t *)b.mem, b.len, false, on_snapshot_durable, m);
	w->segment.number = content_at; /* the writer does not look at it */
	journal_kick(q);
}

/* ---- outcomes ---- */

void
journal_outcome(struct queue *q, struct message *m, struct recipient *r)
{
	r->unrecorded = true;
	if (m->fresh)
		content_tried(q, m);
	m->fresh = false;
	if (!m->unrecorded) {
		m->unrecorded = true;
		TAILQ_INSERT_TAIL(&q->unrecorded, m, unrecorded_link);
	}
	journal_kick(q);
}

static void
put_outcomes(struct queue *q, struct message *m)
{
	struct part_outcome o;
	struct piece p;
	uint32_t count = 0;

	piece_begin(&p, m, RECORD_OUTCOME);
	for (uint32_t i = 0; i < m->count; i++) {
		struct recipient *r = m->recipients[i];

		if (!r->unrecorded)
			continue;
		recipient_outcome(r, &o);
		r->unrecorded = false;
		count++;
		piece_next(q, m, &p, part_encode_outcome(&p.b, &o));
	}
	piece_end(q, m, &p, count);
}

void
journal_flush_outcomes(struct queue *q)
{
	struct message *m;

	while ((m = TAILQ_FIRST(&q->unrecorded))) {
		TAILQ_REMOVE(&q->unrecorded, m, unrecorded_link);
		m->unrecorded = false;
		/* One record says it all of a message that is finished. */
		if (m->open == 0 && m->jobs == 0)
			journal_remove(q, m, REMOVAL_FINISHED);
		else
			put_outcomes(q, m);
	}
}
