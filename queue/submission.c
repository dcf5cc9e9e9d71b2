#include "queue/submission.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/mem.h"
#include "queue/scheduler/hop.h"
#include "queue/spool_clock.h"

/* One budget for all; a record's envelope must leave room in the smallest segments. */
enum {
	SLOTS = 4096,
	MEMORY_BUDGET = 64 << 20,
	ENVELOPE_MAX = 8 << 20,
	GRANT_FROM = SUBMIT_WINDOW / 2,
	ROOM_MAX = 128 << 10, /* in front of content; a longer head is put together with it in the end */
	LARGE_FROM = 16 << 10, /* content gets room for a large message, lest it be moved as it grows */
	LARGE_ROOM = 96 << 10,
	PATIENCE_S = 5 /* while the log cannot be written */
};

static struct submission *slots[SLOTS];

static struct submission **
slot_of(const struct ipc_channel *channel, uint32_t call)
{
	return &slots[((uintptr_t)channel / 64 * 31 + call) % SLOTS];
}

static struct submission *
find(const struct ipc_channel *channel, uint32_t call)
{
	struct submission *s = *slot_of(channel, call);

	while (s && (s->channel != channel || s->call != call))
		s = s->next;
	return s;
}

/* It can no longer be found: what comes for it is dropped. */
static void
detach(struct submission *s)
{
	struct submission **slot = slot_of(s->channel, s->call);

	while (*slot && *slot != s)
		slot = &(*slot)->next;
	if (*slot)
		*slot = s->next;
	s->next = NULL;
}

void
submission_free(struct submission *s)
{
	s->q->submissions--;
	s->q->submission_bytes -= submission_content(s).len;
	buf_free(&s->content);
	buf_free(&s->recipients);
	free(s->texts);
	message_free(&s->taken);
	free(s->prepend);
	free(s);
}

static void
end(struct submission *s)
{
	if (s->channel)
		detach(s);
	s->channel = NULL;
	if (s->spilled && !s->message)
		submission_file_drop(s);
	else
		submission_free(s);
}

static void
answer(struct submission *s, enum submit_status status, const char *text)
{
	struct msg_submit_answer msg = {.status = (uint8_t)status, .id = s->id, .text = span_of(text)};

	if (s->channel)
		ipc_send(s->channel, IPC_SUBMIT_ANSWER, s->call, &msg);
}

static void
refuse(struct submission *s, enum submit_status status)
{
	static const char *const texts[] = {
	    [SUBMIT_OK] = "",
	    [SUBMIT_NO_SPACE] = "4.3.1 Insufficient system storage",
	    [SUBMIT_TRY_LATER] = "4.3.0 Temporary queue trouble, try again later",
	    [SUBMIT_TOO_LARGE] = "5.3.4 Message is too large",
	    [SUBMIT_REFUSED] = "5.6.0 Message cannot be stored",
	    [SUBMIT_ABORTED] = "",
	};

	answer(s, status, texts[status]);
	end(s);
}

static char *
take_text(char *p, struct span *to, struct span from)
{
	if (from.len > 0)
		memcpy(p, from.ptr, from.len);
	*to = span_make(p, from.len);
	return p + from.len;
}

static void
take_envelope(struct submission *s, const struct msg_submit_open *m)
{
	char *p;

	s->texts_len = m->sender.len + m->envid.len + m->client_name.len + m->client_address.len +
		       m->helo.len + m->protocol.len + m->sasl_method.len + m->sasl_username.len +
		       m->sasl_sender.len + m->reason.len;
	p = s->texts = mem_alloc(s->texts_len + 1);
	s->e.flags = m->flags;
	s->e.content_len = m->size_hint; /* until it is known */
	s->e.client_port = m->client_port;
	span_copy(m->verp, s->verp, sizeof(s->verp));
	if (m->flags & MAIL_LATER) {
		s->later_us = spool_clock_now() + s->q->conf->queue_run_delay;
		s->tried = true;
	}
	p = take_text(p, &s->e.sender, m->sender);
	p = take_text(p, &s->e.envid, m->envid);
	p = take_text(p, &s->e.client_name, m->client_name);
	p = take_text(p, &s->e.client_address, m->client_address);
	p = take_text(p, &s->e.helo, m->helo);
	p = take_text(p, &s->e.protocol, m->protocol);
	p = take_text(p, &s->e.sasl_method, m->sasl_method);
	p = take_text(p, &s->e.sasl_username, m->sasl_username);
	p = take_text(p, &s->e.sasl_sender, m->sasl_sender);
	take_text(p, &s->e.hold_reason, m->reason);
}

int
submission_open(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct queue *q = queue_of(context);
	const struct msg_submit_open *m = &frame->submit_open;
	struct submission *s, **slot;

	if (find(channel, frame->call))
		return error_set(err, "conversation %u is open already", frame->call);
	if (m->about != 0 && ipc_peer_role(channel) != ROLE_PICKUP)
		return error_set(err, "a notification that is not pickup's");
	if (!submission_id_is_possible(q, m->id))
		return error_set(err, "a message with an id of a time to come");
	s = mem_alloc(sizeof(*s));
	s->q = q;
	s->channel = channel;
	s->call = frame->call;
	s->fd = -1;
	s->id = m->id ? m->id : queue_id_next(&q->giver);
	s->about = s->e.about = m->about;
	buf_init(&s->recipients, ENVELOPE_MAX < q->segment_size / 4 ? ENVELOPE_MAX : q->segment_size / 4);
	buf_init(&s->content, (size_t)q->conf->spool_inline_limit + 65536 + ROOM_MAX);
	take_envelope(s, m);
	slot = slot_of(channel, frame->call);
	s->next = *slot;
	*slot = s;
	q->submissions++;
	if (s->id > q->id_high)
		q->id_high = s->id;
	/* DSN and the like draw on what is kept back: refusing them would only keep the mail that they are about. */
	if (space_refuses(q) && !(m->flags & MAIL_INTERNAL))
		refuse(s, SUBMIT_NO_SPACE);
	else if (server_is_stopping(q->server) || q->failing)
		refuse(s, SUBMIT_TRY_LATER);
	return 0;
}

int
submission_rcpt(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct submission *s = find(channel, frame->call);
	const struct msg_submit_rcpt *m = &frame->submit_rcpt;
	struct part_recipient p;

	(void)context;
	if (!s)
		return 0;
	if (s->closing)
		return error_set(err, "recipient after the end");
	p = (struct part_recipient){.index = s->count,
	    .due_spool_us = s->later_us,
	    .recipient = m->recipient,
	    .orig_to = m->orig_to,
	    .orcpt = m->orcpt,
	    .notify = m->notify,
	    .transport = m->transport,
	    .nexthop = m->nexthop,
	    .generation = m->generation};
	if (submission_encode_recipient(s, &p) < 0) {
		answer(s, SUBMIT_TRY_LATER, "4.5.3 Too many recipients");
		end(s);
		return 0;
	}
	s->count++;
	s->may_expand = s->may_expand || (m->orig_to.len > 0 && (m->notify & DSN_NOTIFY_SUCCESS));
	return 0;
}

int
submission_reset(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct submission *s = find(channel, frame->call);

	(void)context;
	if (!s)
		return 0;
	if (s->closing)
		return error_set(err, "recipients are reset after the end");
	buf_clear(&s->recipients);
	s->count = 0;
	s->may_expand = false;
	return 0;
}

void
submission_grant(struct submission *s, uint64_t octets)
{
	struct msg_submit_credit credit = {.octets = octets};

	if (octets > 0 && s->channel)
		ipc_send(s->channel, IPC_SUBMIT_CREDIT, s->call, &credit);
}

/* The head of the record is known at the end: with room for it the content need not be copied then. */
static void
make_room(struct submission *s)
{
	size_t room = RECORD_HEADER_SIZE + HEAD_TEXTS + s->texts_len + s->recipients.len;

	if (room > ROOM_MAX || !buf_reserve(&s->content, room))
		return;
	buf_added(&s->content, room);
	s->room = room;
}

int
submission_data(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct submission *s = find(channel, frame->call);
	struct span bytes = frame->submit_data.bytes;
	struct queue *q = queue_of(context);

	if (!s)
		return 0;
	if (s->closing)
		return error_set(err, "content after the end");
	if (s->spilled || submission_content(s).len + bytes.len > (size_t)q->conf->spool_inline_limit ||
	    q->submission_bytes + bytes.len > MEMORY_BUDGET) {
		if (q->files_hang) {
			refuse(s, SUBMIT_NO_SPACE);
			return 0;
		}
		if (!s->spilled)
			submission_spill(s);
		submission_file_write(s, bytes);
		s->received += bytes.len;
		return 0;
	}
	if (s->content.len == 0)
		make_room(s);
	if (s->content.len + bytes.len > LARGE_FROM && s->content.cap < LARGE_ROOM)
		buf_reserve(&s->content, LARGE_ROOM);
	buf_append_span(&s->content, bytes);
	q->submission_bytes += bytes.len;
	s->received += bytes.len;
	s->ungranted += bytes.len;
	/* Small messages fit into the first window: nothing needs to be said to them. */
	if (s->received >= GRANT_FROM) {
		submission_grant(s, s->ungranted);
		s->ungranted = 0;
	}
	return 0;
}

int
submission_abort(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct submission *s = find(channel, frame->call);

	(void)context;
	(void)err;
	if (s && !s->closing)
		refuse(s, SUBMIT_ABORTED);
	return 0;
}

/* ---- the end ---- */

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
			end(s);
			free(w);
			return;
		}
		content_keep(q, m);
		answer(s, SUBMIT_OK, "2.0.0 Ok");
		if (s->about != 0)
			notify_reported(q, s->about, s->id);
		accepted(q, m, s->reports);
		end(s);
	} else {
		/* Invariant 7: the removal that undoes it is the writer's. */
		message_take_out(&q->live, m);
		message_free(&m);
		s->message = NULL;
		refuse(s, w->status == LOG_NO_SPACE ? SUBMIT_NO_SPACE : SUBMIT_TRY_LATER);
	}
	free(w);
}

/* What comes from another instance may have grown there (lists, outcomes): it need only fit. */
static bool
is_too_long(const struct submission *s, size_t octets)
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
		end(s);
		return;
	}
	/* Of two of one id that were on their way the first counts. */
	if (s->status == SUBMIT_OK && message_find(&q->live, s->id))
		s->status = SUBMIT_REFUSED;
	if (s->status != SUBMIT_OK) {
		refuse(s, s->status);
		return;
	}
	/* pickup was too slow, and has been asked for another. */
	if (s->about != 0 && !notify_awaits(q, s->about, s->id)) {
		refuse(s, SUBMIT_REFUSED);
		return;
	}
	if (submission_encode(s, &b, &payload_len) < 0 || is_too_long(s, b.len)) {
		buf_free(&b);
		refuse(s, SUBMIT_REFUSED);
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
	struct submission *s = find(channel, frame->call);
	const struct msg_submit_close *m = &frame->submit_close;
	struct queue *q = queue_of(context);

	if (!s)
		return 0;
	if (s->closing)
		return error_set(err, "second end");
	s->closing = true;
	if (s->count == 0 || message_find(&q->live, s->id) || submission_note_aliases(s) < 0) {
		refuse(s, SUBMIT_REFUSED);
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

/* ---- mail that was taken out of another queue (control/import.c) ---- */

struct submission *
submission_take(struct queue *q, struct ipc_channel *channel, uint32_t call, struct message *m)
{
	struct submission *s = mem_alloc(sizeof(*s)), **slot = slot_of(channel, call);
	int bad = 0;

	s->q = q;
	s->channel = channel;
	s->call = call;
	s->fd = -1;
	s->id = m->id;
	s->e = m->e;
	s->tried = true;
	buf_init(&s->recipients, RECORD_MAX);
	buf_init(&s->content, (size_t)q->conf->spool_inline_limit + 65536 + ROOM_MAX);
	for (uint32_t i = 0; i < m->count; i++)
		bad |= part_encode_recipient(&s->recipients, &m->recipients[i]->p);
	s->count = m->count;
	s->taken = m;
	s->texts_len = RECORD_SALT_SIZE + m->e.acts.len + m->e.hold_by.len + m->e.hold_reason.len +
		       m->e.sender.len + m->e.envid.len + m->e.helo.len + m->e.sasl_username.len +
		       m->e.sasl_sender.len + 1024;
	s->next = *slot;
	*slot = s;
	q->submissions++;
	if (s->id > q->id_high)
		q->id_high = s->id;
	if (bad || is_too_long(s, s->recipients.len))
		s->status = SUBMIT_REFUSED;
	else if (space_refuses(q))
		s->status = SUBMIT_NO_SPACE;
	else if (server_is_stopping(q->server) || q->failing)
		s->status = SUBMIT_TRY_LATER;
	return s;
}

void
submission_taken(struct submission *s)
{
	s->closing = true;
	if (message_find(&s->q->live, s->id))
		s->status = SUBMIT_REFUSED;
	if (!s->spilled) {
		submission_commit(s);
		return;
	}
	s->e.in_file = 1;
	s->e.file_offset = FILE_PREPEND_ROOM;
	submission_file_end(s);
}

void
submission_drop(struct submission *s)
{
	s->closing = true;
	end(s);
}

static void
give_up(struct submission *s)
{
	answer(s, SUBMIT_NO_SPACE, "4.3.1 Insufficient system storage");
	if (!s->closing) {
		end(s);
		return;
	}
	detach(s);
	s->channel = NULL;
	s->given_up = true;
}

void
submission_give_up(struct queue *q)
{
	int64_t before = clock_mono_us() - PATIENCE_S * US_PER_SECOND;
	bool log_waits = trouble_is(q, TROUBLE_LOG) || trouble_is(q, TROUBLE_SPACE);

	for (size_t i = 0; i < SLOTS; i++) {
		struct submission *s, *next;

		for (s = slots[i]; s; s = next) {
			next = s->next;
			if (s->message ? log_waits && s->commit_us <= before : q->files_hang && s->spilled)
				give_up(s);
		}
	}
}

void
submission_peer_down(struct queue *q, struct ipc_channel *peer)
{
	(void)q;
	for (size_t i = 0; i < SLOTS; i++) {
		struct submission *s, *next;

		for (s = slots[i]; s; s = next) {
			next = s->next;
			if (s->channel != peer)
				continue;
			detach(s);
			s->channel = NULL;
			if (!s->closing)
				end(s);
		}
	}
}
