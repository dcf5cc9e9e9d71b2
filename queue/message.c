#include "queue/message.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "queue/attempts.h"

enum {
	FIXED_OCTETS = 80, /* of a recipient in a record, beside its texts */
	RECIPIENT_LEAST = 59 /* of one whose texts are empty, and that has none of the later fields */
};

/* ---- one message ---- */

/* Of the texts that it came with. */
static size_t
text_octets(const struct part_recipient *p)
{
	return p->recipient.len + p->orig_to.len + p->orcpt.len + p->transport.len + p->nexthop.len +
	       p->sender.len + p->delivered_to.len;
}

static void
keep(struct message *m, struct recipient *r)
{
	if (m->count == m->cap) {
		m->cap = m->cap ? m->cap * 2 : 4;
		m->recipients = mem_resize(m->recipients, m->cap * sizeof(struct recipient *));
	}
	m->recipients[m->count++] = r;
	m->octets += FIXED_OCTETS + text_octets(&r->p);
	if (r->p.state != RECIPIENT_DONE)
		m->open++;
	if (r->p.index >= m->e.next_index)
		m->e.next_index = r->p.index + 1;
}

struct message *
message_from_payload(uint64_t id, char *bytes, size_t offset, size_t len, struct error *err)
{
	struct record record = {.type = RECORD_SNAPSHOT, .id = id, .payload = span_make(bytes + offset, len)};
	struct message *m = mem_alloc(sizeof(*m));
	struct record_reader reader;
	uint32_t n = 0;

	m->id = id;
	m->bytes = bytes;
	if (record_open(&record, &m->e, &reader, err) < 0)
		goto bad;
	/* A count that cannot be is not believed. */
	if (reader.left > reader.rest.len / RECIPIENT_LEAST) {
		error_set(err, "malformed recipients");
		goto bad;
	}
	m->cap = reader.left;
	m->first_recipients = mem_alloc_array(reader.left + 1, sizeof(struct recipient));
	m->recipients = mem_alloc_array(reader.left + 1, sizeof(struct recipient *));
	while (reader.left > 0) {
		struct recipient *r = &m->first_recipients[n++];

		if (record_next(&record, &reader, &r->p) < 0 || r->p.state > RECIPIENT_DONE) {
			error_set(err, "malformed recipient");
			goto bad;
		}
		keep(m, r);
	}
	m->content = reader.rest;
	if (m->e.in_file || m->content.len != m->e.content_len)
		m->content = span_make(NULL, 0);
	return m;
bad:
	message_free(&m);
	return NULL;
}

void
message_free(struct message **m)
{
	struct message *gone = *m;

	*m = NULL;
	if (!gone)
		return;
	for (uint32_t i = 0; i < gone->count; i++)
		free(gone->recipients[i]->texts);
	while (gone->blocks) {
		struct message_block *b = gone->blocks;

		gone->blocks = b->next;
		free(b);
	}
	free(gone->recipients);
	free(gone->first_recipients);
	free(gone->bytes);
	free(gone);
}

int
message_pack(struct buf *out, const struct message *m)
{
	uint32_t count = m->count;
	uint8_t le[4] = {
	    (uint8_t)count, (uint8_t)(count >> 8), (uint8_t)(count >> 16), (uint8_t)(count >> 24)};

	if (part_encode_envelope(out, &m->e) < 0 || buf_append(out, le, sizeof(le)) < 0)
		return -1;
	for (uint32_t i = 0; i < m->count; i++)
		if (part_encode_recipient(out, &m->recipients[i]->p) < 0)
			return -1;
	return 0;
}

/* Copies texts of a part into p and points them there. */
static char *
move_text(char *p, struct span *text)
{
	if (text->len > 0)
		memcpy(p, text->ptr, text->len);
	text->ptr = p;
	return p + text->len;
}

/* A recipient in a block of its own. */
struct recipient_block {
	struct message_block block;
	_Alignas(struct recipient) struct recipient r;
};

static struct recipient_block *
block_of(struct recipient *r)
{
	return (struct recipient_block *)(void *)((char *)r - offsetof(struct recipient_block, r));
}

static bool
has_room(const struct message *m, size_t octets)
{
	return m->octets + m->prepared_octets + octets <= MESSAGE_RECIPIENT_OCTETS_MAX;
}

static struct recipient *
prepare(struct message *m, const struct part_recipient *part)
{
	struct recipient_block *b;
	struct recipient *r;
	size_t len = text_octets(part);
	char *p;

	b = mem_alloc(sizeof(*b) + len);
	r = &b->r;
	r->p = *part;
	p = (char *)(b + 1);
	p = move_text(p, &r->p.recipient);
	p = move_text(p, &r->p.orig_to);
	p = move_text(p, &r->p.orcpt);
	p = move_text(p, &r->p.transport);
	p = move_text(p, &r->p.nexthop);
	p = move_text(p, &r->p.sender);
	move_text(p, &r->p.delivered_to);
	r->p.status = r->p.relay = r->p.text = r->p.remote_mta = r->p.diagnostic = span_make(NULL, 0);
	r->p.tried = r->p.history = span_make(NULL, 0);
	m->prepared++;
	m->prepared_octets += FIXED_OCTETS + len;
	return r;
}

struct recipient *
message_prepare_recipient(struct message *m, const struct part_recipient *part)
{
	if (m->count + m->prepared >= MESSAGE_RECIPIENTS_MAX ||
	    !has_room(m, FIXED_OCTETS + text_octets(part)))
		return NULL;
	return prepare(m, part);
}

static void
leave_prepared(struct message *m, const struct recipient *r)
{
	m->prepared--;
	m->prepared_octets -= FIXED_OCTETS + text_octets(&r->p);
}

static void
take_over(struct message *m, struct recipient *r)
{
	struct message_block *b = &block_of(r)->block;

	leave_prepared(m, r);
	b->next = m->blocks;
	m->blocks = b;
	keep(m, r);
}

void
message_keep_recipient(struct message *m, struct recipient *r)
{
	r->p.index = m->e.next_index;
	take_over(m, r);
}

void
message_drop_recipient(struct message *m, struct recipient *r)
{
	leave_prepared(m, r);
	free(block_of(r));
}

struct recipient *
message_add_recipient(struct message *m, const struct part_recipient *part)
{
	struct recipient *r = message_prepare_recipient(m, part);

	if (r)
		take_over(m, r);
	return r;
}

struct recipient *
message_recipient(const struct message *m, uint32_t index)
{
	if (index < m->count && m->recipients[index]->p.index == index)
		return m->recipients[index];
	/* As replay asks for each that a list brought: is it there already? */
	for (uint32_t i = 0; i < m->count && index < m->e.next_index; i++)
		if (m->recipients[i]->p.index == index)
			return m->recipients[i];
	return NULL;
}

void
recipient_set_state(struct message *m, struct recipient *r, enum recipient_state state)
{
	if (r->p.state != RECIPIENT_DONE && state == RECIPIENT_DONE)
		m->open--;
	else if (r->p.state == RECIPIENT_DONE && state != RECIPIENT_DONE)
		m->open++;
	r->p.state = (uint8_t)state;
}

/* Of lists with thousands of recipients little is kept of each: one row holds them all. */
static size_t
history_max(const struct message *m)
{
	return m->count <= 100 ? ATTEMPTS_MAX : m->count <= 5000 ? 300 : 0;
}

bool
recipient_apply(struct message *m, struct recipient *r, const struct part_outcome *o)
{
	struct span *texts[7];
	char *old = r->texts, *p;
	struct buf history;
	size_t len = 1;

	if (o->attempt < r->p.attempt || o->state > RECIPIENT_DONE || r->p.state == RECIPIENT_DONE)
		return false;
	buf_init(&history, 2 * ATTEMPTS_MAX);
	if (o->attempt > r->p.attempt && r->p.attempt > 0)
		attempts_push(&history, &r->p, history_max(m));
	else
		buf_append_span(&history, r->p.history);
	recipient_set_state(m, r, (enum recipient_state)o->state);
	r->p.attempt = o->attempt;
	r->p.due_spool_us = o->due_spool_us;
	r->p.class = o->class;
	r->p.outcome_flags = o->outcome_flags;
	r->p.report = o->report;
	r->p.warned = o->warned;
	r->p.attempt_us = o->attempt_us;
	r->p.status = o->status;
	r->p.relay = o->relay;
	r->p.text = o->text;
	r->p.remote_mta = o->remote_mta;
	r->p.diagnostic = o->diagnostic;
	r->p.tried = o->tried;
	r->p.history = buf_span(&history);
	texts[0] = &r->p.status;
	texts[1] = &r->p.relay;
	texts[2] = &r->p.text;
	texts[3] = &r->p.remote_mta;
	texts[4] = &r->p.diagnostic;
	texts[5] = &r->p.tried;
	texts[6] = &r->p.history;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		len += texts[i]->len;
	p = r->texts = mem_alloc(len);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		p = move_text(p, texts[i]);
	buf_free(&history);
	free(old);
	return true;
}

void
recipient_outcome(const struct recipient *r, struct part_outcome *o)
{
	*o = (struct part_outcome){
	    .index = r->p.index,
	    .attempt = r->p.attempt,
	    .state = r->p.state,
	    .due_spool_us = r->p.due_spool_us,
	    .class = r->p.class,
	    .outcome_flags = r->p.outcome_flags,
	    .attempt_us = r->p.attempt_us,
	    .status = r->p.status,
	    .relay = r->p.relay,
	    .text = r->p.text,
	    .remote_mta = r->p.remote_mta,
	    .diagnostic = r->p.diagnostic,
	    .tried = r->p.tried,
	    .report = r->p.report,
	    .warned = r->p.warned,
	};
}

bool
message_has_room_for_routes(const struct message *m, size_t octets)
{
	size_t more = 0;

	for (uint32_t i = 0; i < m->count; i++) {
		const struct part_recipient *p = &m->recipients[i]->p;
		size_t now = p->transport.len + p->nexthop.len;

		more += octets > now ? octets - now : 0;
	}
	return has_room(m, more);
}

bool
recipient_route(
    struct message *m, struct recipient *r, struct span transport, struct span nexthop, uint64_t generation)
{
	size_t before = r->p.transport.len + r->p.nexthop.len, len = transport.len + nexthop.len;
	struct message_block *b;
	char *p;

	r->p.generation = generation;
	if (span_equal(r->p.transport, transport) && span_equal(r->p.nexthop, nexthop))
		return true;
	if (len > before && !has_room(m, len - before))
		return false;
	m->octets += len;
	m->octets -= before;
	b = mem_alloc(sizeof(*b) + transport.len + nexthop.len + 1);
	b->next = m->blocks;
	m->blocks = b;
	r->p.transport = transport;
	r->p.nexthop = nexthop;
	p = move_text(b->bytes, &r->p.transport);
	move_text(p, &r->p.nexthop);
	return true;
}

/* ---- content ---- */

/* Which parts of a message hold spans: the envelope and the recipients. */
#define NOT_IN_A_MESSAGE(name)                                                                               \
	static uint32_t part_count_##name(const struct message *m)                                           \
	{                                                                                                    \
		(void)m;                                                                                     \
		return 0;                                                                                    \
	}                                                                                                    \
	static struct part_##name *part_at_##name(struct message *m, uint32_t i)                             \
	{                                                                                                    \
		(void)m;                                                                                     \
		(void)i;                                                                                     \
		return NULL;                                                                                 \
	}
NOT_IN_A_MESSAGE(none)
NOT_IN_A_MESSAGE(outcome)
NOT_IN_A_MESSAGE(removal)
NOT_IN_A_MESSAGE(hold)
NOT_IN_A_MESSAGE(edit)
NOT_IN_A_MESSAGE(held)
NOT_IN_A_MESSAGE(commit)

static uint32_t
part_count_envelope(const struct message *m)
{
	(void)m;
	return 1;
}

static struct part_envelope *
part_at_envelope(struct message *m, uint32_t i)
{
	(void)i;
	return &m->e;
}

static uint32_t
part_count_recipient(const struct message *m)
{
	return m->count;
}

static struct part_recipient *
part_at_recipient(struct message *m, uint32_t i)
{
	return &m->recipients[i]->p;
}

static void
rebase(struct span *text, const char *old, size_t len, const char *new)
{
	if (text->ptr && text->ptr >= old && text->ptr <= old + len)
		text->ptr = new + (text->ptr - old);
}

void
message_drop_content(struct message *m)
{
	size_t keep_len;
	char *old = m->bytes, *new;

	if (!m->content.ptr || m->content.ptr < old)
		return;
	keep_len = (size_t)(m->content.ptr - old);
	new = mem_alloc(keep_len + 1);
	memcpy(new, old, keep_len);
#define PART(name)                                                                                           \
	for (uint32_t i = 0; i < part_count_##name(m); i++) {                                                \
		struct part_##name *part = part_at_##name(m, i);                                             \
		(void)part;
#define TEXT(part_name, field, max) rebase(&part->field, old, keep_len, new);
#define END(name) }
#include "queue/log/records.def"
	free(old);
	m->bytes = new;
	m->content = span_make(NULL, 0);
}

/* ---- records that change a message ---- */

int
message_apply(struct message *m, const struct record *record, bool *removed, struct error *err)
{
	union {
		struct part_none none;
		struct part_removal removal;
		struct part_hold hold;
		struct part_held held;
		struct part_edit edit;
		struct part_envelope envelope;
		struct part_commit commit;
	} head;
	union {
		struct part_outcome outcome;
		struct part_recipient recipient;
	} each;
	struct record_reader reader;
	int more;

	*removed = false;
	if (record_open(record, &head, &reader, err) < 0)
		return -1;
	while ((more = record_next(record, &reader, &each)) > 0) {
		struct recipient *r;

		if (record->type == RECORD_OUTCOME) {
			if ((r = message_recipient(m, each.outcome.index)))
				recipient_apply(m, r, &each.outcome);
		} else if (record->type == RECORD_RECIPIENTS && !message_recipient(m, each.recipient.index)) {
			take_over(m, prepare(m, &each.recipient)); /* there was room for it */
		}
	}
	if (more < 0)
		return error_set(err, "malformed %s record", record_type_name(record->type));
	if (record->type == RECORD_HOLD || record->type == RECORD_RELEASE)
		message_hold(m, record->type == RECORD_HOLD, head.hold.reason, span_make("", 0), 0);
	else if (record->type == RECORD_HELD)
		message_hold(m, true, head.held.reason, head.held.by, head.held.at_us);
	else if (record->type == RECORD_EDIT)
		message_edit(m, &head.edit);
	*removed = record->type == RECORD_REMOVAL;
	return 0;
}
