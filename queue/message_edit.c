/*
 * message_edit: what EDIT records do to a message, for the operator who asks and for replay alike.
 */
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/ipc/protocol.h"
#include "queue/message.h"

enum { ACTS_MAX = 2000, ACT_MAX = 600 };

/* Texts that live as long as the message. */
static struct span
keep_text(struct message *m, struct span text)
{
	struct message_block *b = mem_alloc(sizeof(*b) + text.len + 1);

	b->next = m->blocks;
	m->blocks = b;
	if (text.len > 0)
		memcpy(b->bytes, text.ptr, text.len);
	return span_make(b->bytes, text.len);
}

void
message_hold(struct message *m, bool held, struct span reason, struct span by, int64_t at_us)
{
	m->e.held = held;
	m->e.hold_reason = keep_text(m, reason);
	m->e.hold_by = keep_text(m, by);
	m->e.hold_us = at_us;
}

static void
describe(struct buf *out, const struct part_edit *edit, const struct recipient *r)
{
	static const struct span none = {"", 0};
	struct span address = r ? r->p.recipient : none;

	switch (edit->what) {
	case EDIT_RECIPIENT:
		buf_printf(out, "recipient %.*s=%.*s", SPAN_ARG(address), SPAN_ARG(edit->text));
		break;
	case EDIT_DROP:
		buf_printf(out, "drop %.*s", SPAN_ARG(address));
		break;
	case EDIT_NEXTHOP:
		buf_printf(out, "nexthop %.*s:%.*s", SPAN_ARG(edit->transport), SPAN_ARG(edit->nexthop));
		break;
	case EDIT_SENDER:
		buf_printf(out, "sender %.*s", SPAN_ARG(edit->text));
		break;
	case EDIT_ADDED:
		buf_printf(out, "add %.*s", SPAN_ARG(edit->text));
		break;
	case EDIT_EXPIRE:
		buf_printf(out, "expire %.*s", SPAN_ARG(edit->text));
		break;
	default:
		buf_append_text(out, "edit");
		break;
	}
}

/* "when TAB who TAB what it was", the newest last; the oldest give way. Replayed, it is there already. */
static void
note_act(struct message *m, const struct part_edit *edit, const struct recipient *r)
{
	struct span kept = m->e.acts, rest = m->e.acts, old;
	char when[32];
	struct buf line, all;

	snprintf(when, sizeof(when), "%lld\t", (long long)edit->at_us);
	while (span_next_line(&rest, &old))
		if (span_starts(old, when))
			return;
	buf_init(&line, ACTS_MAX);
	buf_init(&all, ACTS_MAX);
	buf_printf(&line, "%s%.*s\t", when, SPAN_ARG(edit->by));
	describe(&line, edit, r);
	line.len = line.len > ACT_MAX ? ACT_MAX : line.len;
	buf_append_text(&line, "\n");
	while (kept.len + line.len > ACTS_MAX && span_next_line(&kept, &old))
		;
	buf_append_span(&all, kept);
	buf_append_span(&all, buf_span(&line));
	m->e.acts = keep_text(m, buf_span(&all));
	buf_free(&line);
	buf_free(&all);
}

static void
edit_recipient(struct message *m, struct recipient *r, const struct part_edit *edit)
{
	if (!span_equal(r->p.recipient, edit->text)) {
		if (r->p.orig_to.len == 0)
			r->p.orig_to = r->p.recipient;
		r->p.recipient = keep_text(m, edit->text);
	}
	/* Replayed, too: a next hop chosen before this was replayed before this. */
	r->p.generation = 0;
	r->p.pinned = 0;
	r->p.due_spool_us = edit->value;
}

/* Recipients that an alias brought later are not meant: replay finds them there. */
static void
edit_nexthop(struct message *m, const struct part_edit *edit)
{
	for (uint32_t i = 0; i < m->count; i++) {
		struct recipient *r = m->recipients[i];

		if (r->p.state != RECIPIENT_QUEUED || r->p.index >= edit->index)
			continue;
		recipient_route(m, r, edit->transport, edit->nexthop, r->p.generation);
		r->p.pinned = 1;
		r->p.due_spool_us = edit->value;
	}
}

/* Tables may route by the sender. What a list's owner or VERP made of it stays. */
static void
edit_sender(struct message *m, const struct part_edit *edit)
{
	m->e.sender = keep_text(m, edit->text);
	for (uint32_t i = 0; i < m->count; i++) {
		struct part_recipient *p = &m->recipients[i]->p;

		if (p->state != RECIPIENT_QUEUED || p->pinned)
			continue;
		p->generation = 0;
		p->due_spool_us = edit->value;
	}
}

void
message_edit(struct message *m, const struct part_edit *edit)
{
	struct recipient *r = message_recipient(m, edit->index);

	if (edit->by.len > 0)
		note_act(m, edit, r);
	switch (edit->what) {
	case EDIT_WARNED:
		m->e.warned = 1;
		break;
	case EDIT_DUE:
		for (uint32_t i = 0; i < m->count; i++)
			m->recipients[i]->p.due_spool_us = edit->value;
		break;
	case EDIT_ROUTE:
		if (r)
			recipient_route(m, r, edit->transport, edit->nexthop, (uint64_t)edit->value);
		break;
	case EDIT_DROP:
	case EDIT_REPORTED:
		if (r)
			recipient_set_state(m, r, RECIPIENT_DONE);
		break;
	case EDIT_RECIPIENT:
		if (r && r->p.state == RECIPIENT_QUEUED)
			edit_recipient(m, r, edit);
		break;
	case EDIT_NEXTHOP:
		edit_nexthop(m, edit);
		break;
	case EDIT_SENDER:
		edit_sender(m, edit);
		break;
	case EDIT_TOLD_HELD:
		m->e.flags &= ~(uint32_t)MAIL_TELL_HELD;
		break;
	case EDIT_EXPIRE:
		m->e.expire_spool_us = edit->value;
		break;
	default:
		break;
	}
}
