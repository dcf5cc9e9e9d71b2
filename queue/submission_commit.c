/*
 * The end of a submission: its record, and what follows the commit.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "queue/scheduler/hop.h"
#include "queue/spool_clock.h"
#include "queue/submission.h"

static void
accepted(struct queue *q, struct message *m, uint32_t reports)
{
	log_info(QUEUE_LOG(m->id), "from=<%.*s>, size=%llu, nrcpt=%u (queue %s)", SPAN_ARG(m->e.sender),
	    (unsigned long long)m->e.content_len, m->count - reports,
	    m->e.held                   ? "hold"
	    : (m->e.flags & MAIL_LATER) ? "deferred"
					: "active");
	if (m->e.held && (m->e.flags & MAIL_TELL_HELD))
		notify_held(q, m);
	else if (m->e.held)
		young_want_index(q, m);
	else
		scheduler_add(q, m, false);
}

static void
on_durable(struct log_work *w)
{
	struct submission *s = w->context;
	struct queue *q = w->context2;
	struct message *m = s->message;

	m->busy--;
	if (w->status == LOG_DURABLE) {
		m->position = w->position;
		m->content_position =
		    w->position + (m->content.ptr ? (size_t)(m->content.ptr - (char *)w->bytes) : w->len);
		young_reflect(q, m, w->position);
		space_message_added(q, m);
		if (s->given_up) {
			journal_remove(q, m, REMOVAL_REFUSED);
			journal_kick(q);
			submission_end(s);
			free(w);
			return;
		}
		content_keep(q, m);
		submission_answer(s, SUBMIT_OK, "2.0.0 Ok");
		if (s->about != 0)
			notify_reported(q, s->about, s->id);
		accepted(q, m, s->reports);
		submission_end(s);
	} else {
		/* Invariant 7: the removal that undoes it is the writer's. */
		message_take_out(&q->live, m);
		message_free(&m);
		s->message = NULL;
		submission_refuse(s, w->status == LOG_NO_SPACE ? SUBMIT_NO_SPACE : SUBMIT_TRY_LATER);
	}
	free(w);
}

/* What comes from another instance may have grown there (lists, outcomes): it need only fit. */
bool
submission_is_too_long(const struct submission *s, size_t octets)
{
	uint64_t segment = s->q->segment_size;

	return octets > (s->taken ? segment - SEGMENT_HEADER_SIZE - SEGMENT_PAGE : segment / 2);
}

void
submission_commit(struct submission *s)
{
	struct queue *q = s->q;
	struct buf b;
	struct message *m;
	struct error err;
	size_t payload_len;

	if (!s->channel && !s->message) { /* the submitter is gone: it was never told 250 */
		submission_end(s);
		return;
	}
	/* Of two of one id that were on their way the first counts. */
	if (s->status == SUBMIT_OK && message_find(&q->live, s->id))
		s->status = SUBMIT_REFUSED;
	if (s->status != SUBMIT_OK) {
		submission_refuse(s, s->status);
		return;
	}
	/* pickup was too slow, and has been asked for another. */
	if (s->about != 0 && !notify_awaits(q, s->about, s->id)) {
		submission_refuse(s, SUBMIT_REFUSED);
		return;
	}
	if (submission_encode(s, &b, &payload_len) < 0 || submission_is_too_long(s, b.len)) {
		buf_free(&b);
		submission_refuse(s, SUBMIT_REFUSED);
		return;
	}
	m = message_from_payload(s->id, b.mem, b.start + RECORD_HEADER_SIZE, payload_len, &err);
	if (!m)
		panic("a message of its own making is malformed: %s", err.text);
	/* One that came back may lie in the log from before, removed: replay must not take that for the end of it. */
	if (s->taken)
		buf_ptr(&b)[5] |= RECORD_AGAIN;
	m->fresh = !s->tried;
	m->busy++;
	s->message = m;
	s->commit_us = clock_mono_us();
	message_add(&q->live, m);
	journal_put(q, RECORD_MESSAGE, s->id, (uint8_t *)buf_ptr(&b), b.len,
	    (s->e.flags & MAIL_INTERNAL) != 0, on_durable, s);
	if (s->fd >= 0)
		io_close(&s->fd);
}

static void
store(struct submission *s)
{
	if (!s->spilled) {
		submission_commit(s);
		return;
	}
	/* The frame's text does not outlive this turn; nothing of a stored message needs it. */
	s->e.message_id = span_make(NULL, 0);
	s->e.in_file = 1;
	s->e.file_offset = (uint32_t)(FILE_PREPEND_ROOM - s->prepend_len);
	submission_file_end(s);
}

static void
on_looked_up(void *context, bool used)
{
	struct submission *s = context;

	if (used && s->status == SUBMIT_OK)
		s->status = SUBMIT_REFUSED;
	store(s);
}

int
submission_close(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct submission *s = submission_find(channel, frame->call);
	const struct msg_submit_close *m = &frame->submit_close;
	struct queue *q = queue_of(context);

	if (!s)
		return 0;
	if (s->closing)
		return error_set(err, "second end");
	s->closing = true;
	if (s->count == 0 || message_find(&q->live, s->id) || submission_note_aliases(s) < 0) {
		submission_refuse(s, SUBMIT_REFUSED);
		return 0;
	}
	s->e.flags |= m->flags;
	s->e.held = (s->e.flags & MAIL_HOLD) != 0;
	s->e.arrival_us = queue_id_time_us(s->id);
	s->e.arrival_spool_us = spool_clock_now();
	s->e.next_index = s->count;
	s->prepend_len = m->prepend.len;
	s->prepend = mem_strndup(m->prepend.ptr, m->prepend.len);
	s->e.content_len = s->prepend_len + s->received;
	s->e.header_len = s->prepend_len + m->header_len;
	s->e.message_id = m->message_id;
	if (submission_id_may_be_used(q, s->id)) {
		s->e.message_id = span_make(NULL, 0);
		submission_fate_find(q, s->id, on_looked_up, s);
		return 0;
	}
	store(s);
	return 0;
}
