#include "queue/submission.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "queue/spool_clock.h"

/* One budget for all; a record's envelope must leave room in the smallest segments. */
enum {
	MEMORY_BUDGET = 64 << 20,
	ENVELOPE_MAX = 8 << 20,
	GRANT_FROM = SUBMIT_WINDOW / 2,
	ROOM_MAX = 128 << 10, /* in front of content; a longer head is put together with it in the end */
	LARGE_FROM = 16 << 10, /* content gets room for a large message, lest it be moved as it grows */
	LARGE_ROOM = 96 << 10
};

struct submission *
submission_new(struct queue *q, struct ipc_channel *channel, uint32_t call, uint64_t id)
{
	struct submission *s = mem_alloc(sizeof(*s));

	s->q = q;
	s->channel = channel;
	s->call = call;
	s->fd = -1;
	s->id = id;
	buf_init(&s->content, (size_t)q->conf->spool_inline_limit + 65536 + ROOM_MAX);
	submission_attach(s);
	q->submissions++;
	if (id > q->id_high)
		q->id_high = id;
	return s;
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

void
submission_end(struct submission *s)
{
	if (s->channel)
		submission_detach(s);
	s->channel = NULL;
	if (s->spilled && !s->message)
		submission_file_drop(s);
	else
		submission_free(s);
}

void
submission_answer(struct submission *s, enum submit_status status, const char *text)
{
	struct msg_submit_answer msg = {.status = (uint8_t)status, .id = s->id, .text = span_of(text)};

	if (s->channel)
		ipc_send(s->channel, IPC_SUBMIT_ANSWER, s->call, &msg);
}

void
submission_refuse(struct submission *s, enum submit_status status)
{
	static const char *const texts[] = {
	    [SUBMIT_OK] = "",
	    [SUBMIT_NO_SPACE] = "4.3.1 Insufficient system storage",
	    [SUBMIT_TRY_LATER] = "4.3.0 Temporary queue trouble, try again later",
	    [SUBMIT_TOO_LARGE] = "5.3.4 Message is too large",
	    [SUBMIT_REFUSED] = "5.6.0 Message cannot be stored",
	    [SUBMIT_ABORTED] = "",
	};

	submission_answer(s, status, texts[status]);
	submission_end(s);
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
	struct submission *s;

	if (submission_find(channel, frame->call))
		return error_set(err, "conversation %u is open already", frame->call);
	if (m->about != 0 && ipc_peer_role(channel) != ROLE_PICKUP)
		return error_set(err, "a notification that is not pickup's");
	if (!submission_id_is_possible(q, m->id))
		return error_set(err, "a message with an id of a time to come");
	s = submission_new(q, channel, frame->call, m->id ? m->id : queue_id_next(&q->giver));
	s->about = s->e.about = m->about;
	buf_init(&s->recipients, ENVELOPE_MAX < q->segment_size / 4 ? ENVELOPE_MAX : q->segment_size / 4);
	take_envelope(s, m);
	/* DSN and the like draw on what is kept back: refusing them would only keep the mail that they are about. */
	if (space_refuses(q) && !(m->flags & MAIL_INTERNAL))
		submission_refuse(s, SUBMIT_NO_SPACE);
	else if (server_is_stopping(q->server) || q->failing)
		submission_refuse(s, SUBMIT_TRY_LATER);
	return 0;
}

int
submission_rcpt(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct submission *s = submission_find(channel, frame->call);
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
		submission_answer(s, SUBMIT_TRY_LATER, "4.5.3 Too many recipients");
		submission_end(s);
		return 0;
	}
	s->count++;
	s->may_expand = s->may_expand || (m->orig_to.len > 0 && (m->notify & DSN_NOTIFY_SUCCESS));
	return 0;
}

int
submission_reset(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct submission *s = submission_find(channel, frame->call);

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
	struct submission *s = submission_find(channel, frame->call);
	struct span bytes = frame->submit_data.bytes;
	struct queue *q = queue_of(context);

	if (!s)
		return 0;
	if (s->closing)
		return error_set(err, "content after the end");
	if (s->spilled || submission_content(s).len + bytes.len > (size_t)q->conf->spool_inline_limit ||
	    q->submission_bytes + bytes.len > MEMORY_BUDGET) {
		if (q->files_hang) {
			submission_refuse(s, SUBMIT_NO_SPACE);
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
	struct submission *s = submission_find(channel, frame->call);

	(void)context;
	(void)err;
	if (s && !s->closing)
		submission_refuse(s, SUBMIT_ABORTED);
	return 0;
}
