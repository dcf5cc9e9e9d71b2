/*
 * Mail that was taken out of another queue (control/import.c).
 */
#include "queue/submission.h"

struct submission *
submission_take(struct queue *q, struct ipc_channel *channel, uint32_t call, struct message *m)
{
	struct submission *s = submission_new(q, channel, call, m->id);
	int bad = 0;

	s->e = m->e;
	s->tried = true;
	buf_init(&s->recipients, RECORD_MAX);
	for (uint32_t i = 0; i < m->count; i++)
		bad |= part_encode_recipient(&s->recipients, &m->recipients[i]->p);
	s->count = m->count;
	s->taken = m;
	s->texts_len = RECORD_SALT_SIZE + m->e.acts.len + m->e.hold_by.len + m->e.hold_reason.len +
		       m->e.sender.len + m->e.envid.len + m->e.helo.len + m->e.sasl_username.len +
		       m->e.sasl_sender.len + 1024;
	if (bad || submission_is_too_long(s, s->recipients.len))
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
	submission_end(s);
}
