#include "services/pickup/submission.h"

#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/ipc/fate.h"
#include "common/mail/address.h"
#include "common/mail/duplicates.h"
#include "common/mail/filter_route.h"
#include "common/mail/local_part.h"

enum {
	RESOLVE_TIMEOUT_MS = 60000,
	ASKS_MAX = 16, /* recipients that lookup works on at a time, a message */
	SEEN_MAX = 20000, /* recipients that duplicates are looked for among */
	ASK_BYTES = 4 << 20,
	SUBMISSION_BYTES = 4 << 20,
	CHUNK_BYTES = 61440
};

/* What lookup says of one recipient is kept until it has said all. */
struct part {
	struct part *next;
	struct span recipient, transport, nexthop;
	uint8_t flags; /* ROUTE_* */
	struct span copy; /* of ROUTE_COPY: for whom */
};

struct ask {
	struct submission *s;
	struct arena *arena; /* NULL: this place is free */
	bool copy; /* what comes of it is a copy that nobody is told of */
	uint32_t call;
	struct span original;
	uint8_t notify; /* 0: the message's counts */
	struct span orcpt;
	struct part *first, **last;
};

struct submission {
	struct pickup *p;
	struct submission_head head;
	struct submission_callbacks callbacks;
	struct arena *arena;
	struct span sender; /* rewritten */
	uint32_t sender_call, submit_call; /* conversations, 0 if none is open */
	const struct drop_recipient *next; /* to be asked about */
	const struct drop_recipient *next_copy; /* and then these */
	struct drop_recipient redirected;
	struct span filter;
	struct ask copies; /* what lookup said of the sender: always_bcc, sender_bcc_maps */
	uint64_t copies_generation;
	struct ask asks[ASKS_MAX];
	size_t open_asks;
	struct table *seen;
	bool content; /* all recipients were sent */
	bool closed; /* and all content */
	struct fate *fate; /* queue died before it answered */
	uint64_t credit;
};

static struct ipc_channel *
lookup(const struct submission *s)
{
	return server_peer(s->p->server, ROLE_LOOKUP, 0);
}

/* Copies are made of new mail, not of what Postern writes itself. */
static uint32_t
bcc_flag(const struct submission *s)
{
	return s->head.flags & MAIL_INTERNAL ? 0 : RESOLVE_BCC;
}

static void
ask_free(struct ask *ask)
{
	arena_free(&ask->arena);
	ask->call = 0;
}

static void
submission_free(struct submission *s)
{
	for (size_t i = 0; i < ASKS_MAX; i++)
		if (s->asks[i].arena != NULL) {
			if (s->asks[i].call != 0)
				ipc_cancel(lookup(s), s->asks[i].call);
			ask_free(&s->asks[i]);
		}
	if (s->sender_call != 0)
		ipc_cancel(lookup(s), s->sender_call);
	if (s->submit_call != 0) {
		struct msg_submit_abort abort_message = {0};
		struct ipc_channel *queue = server_peer(s->p->server, ROLE_QUEUE, 0);
		ipc_send(queue, IPC_SUBMIT_ABORT, s->submit_call, &abort_message);
		ipc_cancel(queue, s->submit_call);
	}
	fate_cancel(&s->fate);
	table_free(&s->seen);
	arena_free(&s->arena);
	s->p->active--;
	free(s);
}

static void
finish(struct submission *s, enum submit_status status, struct span text)
{
	struct submission_callbacks callbacks = s->callbacks;
	char copy[512];

	span_copy(text, copy, sizeof(copy));
	submission_free(s);
	callbacks.done(callbacks.context, status, span_of(copy));
}

/* ---- queue ---- */

static struct ipc_channel *
queue_for_fate(void *context)
{
	const struct submission *s = context;

	return pickup_queue(s->p);
}

static void
on_fate(void *context, bool durable)
{
	struct submission *s = context;

	s->fate = NULL;
	finish(s, durable ? SUBMIT_OK : SUBMIT_TRY_LATER,
	    durable ? SPAN_LIT("2.0.0 Ok") : SPAN_LIT("4.3.0 the queue is not available"));
}

static int
on_submit(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct submission *s = context;

	if (frame == NULL) {
		s->submit_call = 0;
		if (s->closed && s->head.id != 0)
			s->fate = fate_ask(server_base(s->p->server), s->head.id, queue_for_fate, on_fate, s);
		else
			finish(s, SUBMIT_TRY_LATER, SPAN_LIT("4.3.0 the queue is not available"));
		return 0;
	}
	switch (frame->type) {
	case IPC_SUBMIT_CREDIT:
		s->credit += frame->submit_credit.octets;
		if (s->content)
			s->callbacks.room(s->callbacks.context);
		return 0;
	case IPC_SUBMIT_ANSWER:
		if (frame->submit_answer.status > SUBMIT_ABORTED)
			return error_set(err, "unknown status of a submission");
		s->submit_call = 0;
		finish(s, (enum submit_status)frame->submit_answer.status, frame->submit_answer.text);
		return 0;
	default:
		return error_set(err, "unexpected answer to a submission");
	}
}

static bool
open_submission(struct submission *s)
{
	struct msg_submit_open open = {
	    .id = s->head.id,
	    .about = s->head.about,
	    .flags = s->head.flags,
	    .sender = s->sender,
	    .envid = s->head.envid,
	    .verp = s->head.verp,
	};

	s->credit = SUBMIT_WINDOW;
	s->submit_call = ipc_ask(pickup_queue(s->p), IPC_SUBMIT_OPEN, &open, 0, on_submit, s);
	return s->submit_call != 0;
}

static void
send_recipient(struct submission *s, const struct ask *ask, const struct part *part, uint64_t generation)
{
	struct duplicate_key key;
	struct span original = part->flags & ROUTE_COPY ? part->copy : ask->original;
	struct msg_submit_rcpt rcpt = {
	    .recipient = part->recipient,
	    .orig_to = span_equal(part->recipient, original) ? span_make(NULL, 0) : original,
	    .notify = ask->notify ? ask->notify : s->head.notify,
	    .orcpt = ask->orcpt,
	    .transport = part->transport,
	    .nexthop = part->nexthop,
	    .generation = generation,
	};

	if (s->filter.len > 0) { /* for everybody, whatever tables will say later */
		filter_route(s->filter, rcpt.recipient, &rcpt.transport, &rcpt.nexthop);
		rcpt.generation = UINT64_MAX;
	}
	if ((part->flags & ROUTE_COPY) || ask->copy) {
		rcpt.notify = DSN_NOTIFY_NEVER;
		rcpt.orcpt = SPAN_LIT("");
	}
	key = (struct duplicate_key){rcpt.recipient, rcpt.orig_to, rcpt.orcpt, rcpt.notify};
	if (!duplicate_is_known(s->seen, &key, pickup_values(s->p)->enable_original_recipient))
		ipc_send(server_peer(s->p->server, ROLE_QUEUE, 0), IPC_SUBMIT_RCPT, s->submit_call, &rcpt);
}

/* ---- lookup ---- */

static void ask_more(struct submission *s);

static int
keep_part(struct ask *ask, const struct msg_resolve_rcpt *m, struct error *err)
{
	struct part *part = arena_alloc(ask->arena, sizeof(*part));

	if (part == NULL)
		return error_set(err, "an address expands to too much");
	part->recipient = arena_copy_span(ask->arena, m->recipient);
	part->transport = arena_copy_span(ask->arena, m->transport);
	part->nexthop = arena_copy_span(ask->arena, m->nexthop);
	part->flags = m->flags;
	part->copy = arena_copy_span(ask->arena, m->copy);
	*ask->last = part;
	ask->last = &part->next;
	return 0;
}

/* A recipient that nobody knows is still accepted from this host's programs: its failure goes back to the sender. */
static void
send_unknown(struct submission *s, const struct ask *ask, const struct msg_resolve_done *done)
{
	struct part part = {
	    .recipient = ask->original,
	    .transport = SPAN_LIT("error"),
	    .nexthop = done->reason.len > 0 ? span_sub(done->reason, 0, 500) : SPAN_LIT("5.1.1 User unknown"),
	};

	send_recipient(s, ask, &part, done->generation);
}

static int
on_resolved(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct ask *ask = context;
	struct submission *s = ask->s;

	if (frame != NULL && frame->type == IPC_RESOLVE_RCPT)
		return keep_part(ask, &frame->resolve_rcpt, err);
	ask->call = 0;
	if (frame == NULL || frame->resolve_done.status == LOOKUP_TEMPORARY) {
		finish(s, SUBMIT_TRY_LATER,
		    frame ? frame->resolve_done.reason : SPAN_LIT("4.3.0 no answer from lookup"));
		return 0;
	}
	/* A copy that a check wants is for whom canonical tables say. */
	if (ask->copy)
		ask->original = arena_copy_span(ask->arena, frame->resolve_done.address);
	for (const struct part *part = ask->first; part; part = part->next)
		send_recipient(s, ask, part, frame->resolve_done.generation);
	if (ask->first == NULL)
		send_unknown(s, ask, &frame->resolve_done);
	ask_free(ask);
	s->open_asks--;
	ask_more(s);
	return 0;
}

/* What sendmail was given for an address and is none: nobody needs to be asked. */
static bool
is_no_address(const struct submission *s, struct span recipient)
{
	struct arena *scratch = arena_new(8 * ADDRESS_MAX);
	struct span address;
	bool result =
	    !(s->head.flags & MAIL_INTERNAL) &&
	    mailbox_parse(scratch, recipient, ADDRESS_UTF8 | ADDRESS_NO_DOMAIN_OK, &address) != ADDRESS_OK;

	arena_free(&scratch);
	return result;
}

static void
send_no_addresses(struct submission *s)
{
	for (; s->next != NULL && is_no_address(s, s->next->address); s->next = s->next->next) {
		const struct ask ask = {
		    .original = s->next->address, .notify = s->next->notify, .orcpt = s->next->orcpt};
		const struct part part = {.recipient = s->next->address,
		    .transport = SPAN_LIT("error"),
		    .nexthop = SPAN_LIT("5.1.3 bad address syntax")};

		send_recipient(s, &ask, &part, UINT64_MAX);
	}
}

/* Returns false if lookup is not there. */
static bool
ask_about(struct submission *s, struct ask *ask, struct span address, bool copy)
{
	struct msg_resolve_ask message = {
	    .address = address, .sender = s->sender, .flags = RESOLVE_EXPAND | (copy ? 0 : bcc_flag(s))};

	*ask = (struct ask){.s = s, .arena = arena_new(ASK_BYTES), .original = address, .copy = copy};
	ask->last = &ask->first;
	ask->call = ipc_ask(lookup(s), IPC_RESOLVE_ASK, &message, RESOLVE_TIMEOUT_MS, on_resolved, ask);
	if (ask->call == 0) {
		ask_free(ask);
		return false;
	}
	s->open_asks++;
	return true;
}

static void
send_copies(struct submission *s)
{
	for (const struct part *part = s->copies.first; part != NULL; part = part->next)
		send_recipient(s, &s->copies, part, s->copies_generation);
}

static void
ask_more(struct submission *s)
{
	for (size_t i = 0; i < ASKS_MAX && (s->next != NULL || s->next_copy != NULL); i++) {
		const struct drop_recipient **list;
		if (s->asks[i].arena != NULL)
			continue;
		send_no_addresses(s);
		list = s->next != NULL ? &s->next : &s->next_copy;
		if (*list == NULL)
			break;
		if (!ask_about(s, &s->asks[i], (*list)->address, list == &s->next_copy)) {
			finish(s, SUBMIT_TRY_LATER, SPAN_LIT("4.3.0 lookup is not available"));
			return;
		}
		s->asks[i].notify = (*list)->notify;
		s->asks[i].orcpt = (*list)->orcpt;
		/* As in Postfix: for the first of those who do not get it. */
		if (*list == &s->redirected)
			s->asks[i].original = s->head.recipients->address;
		*list = (*list)->next;
	}
	if (s->next == NULL && s->next_copy == NULL && s->open_asks == 0 && !s->content) {
		send_copies(s);
		s->content = true;
		s->callbacks.room(s->callbacks.context);
	}
}

static void
begin(struct submission *s)
{
	if (!open_submission(s))
		finish(s, SUBMIT_TRY_LATER, SPAN_LIT("4.3.0 the queue is not available"));
	else
		ask_more(s);
}

static int
on_sender(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct submission *s = context;

	if (frame != NULL && frame->type == IPC_RESOLVE_RCPT)
		return frame->resolve_rcpt.flags & ROUTE_COPY
			   ? keep_part(&s->copies, &frame->resolve_rcpt, err)
			   : 0;
	s->sender_call = 0;
	if (frame == NULL) {
		finish(s, SUBMIT_TRY_LATER, SPAN_LIT("4.3.0 no answer from lookup"));
		return 0;
	}
	if (frame->resolve_done.status == LOOKUP_TEMPORARY) {
		finish(s, SUBMIT_TRY_LATER, frame->resolve_done.reason);
		return 0;
	}
	s->copies_generation = frame->resolve_done.generation;
	s->sender = arena_copy_span(s->arena, frame->resolve_done.address);
	begin(s);
	return 0;
}

/* ---- life ---- */

/* The queue first: a message that could not go on is not begun. */
struct submission *
submission_new(
    struct pickup *p, const struct submission_head *head, const struct submission_callbacks *callbacks)
{
	struct msg_resolve_ask message = {.address = head->sender, .flags = RESOLVE_SENDER | RESOLVE_EXPAND};
	struct submission *s;

	if (pickup_queue(p) == NULL || server_peer(p->server, ROLE_LOOKUP, 0) == NULL)
		return NULL;
	s = mem_alloc(sizeof(*s));
	s->p = p;
	s->head = *head;
	s->callbacks = *callbacks;
	s->arena = arena_new(SUBMISSION_BYTES);
	s->copies = (struct ask){.s = s, .arena = s->arena};
	s->copies.last = &s->copies.first;
	message.flags |= bcc_flag(s);
	s->sender = head->sender;
	s->next = head->recipients;
	if (bcc_flag(s) != 0)
		s->filter = arena_copy_span(s->arena, span_of(pickup_values(p)->content_filter));
	s->seen = table_new(SEEN_MAX, NULL);
	p->active++;
	/* An empty sender is asked about too: then everything goes on in a later turn, never within this call. */
	s->sender_call = ipc_ask(lookup(s), IPC_RESOLVE_ASK, &message, RESOLVE_TIMEOUT_MS, on_sender, s);
	if (s->sender_call != 0)
		return s;
	submission_free(s);
	return NULL;
}

/* All that queue was told of recipients is void. */
static void
reset_recipients(struct submission *s)
{
	struct msg_submit_reset reset = {0};

	ipc_send(server_peer(s->p->server, ROLE_QUEUE, 0), IPC_SUBMIT_RESET, s->submit_call, &reset);
	table_free(&s->seen);
	s->seen = table_new(SEEN_MAX, NULL);
}

struct span
submission_complete(struct arena *a, const struct conf_values *v, struct span address)
{
	struct span local, domain;
	char *text;

	address_split(address, &local, &domain);
	if (domain.len > 0 || !v->append_at_myorigin)
		return address;
	text = arena_printf(a, "%.*s@%s", SPAN_ARG(address), v->myorigin);
	return text ? span_of(text) : address;
}

static void
reject_all(struct submission *s, struct span text)
{
	const struct drop_recipient *recipient = s->head.recipients;

	s->filter = SPAN_LIT("");
	for (; recipient != NULL; recipient = recipient->next) {
		const struct ask ask = {.s = s,
		    .original = recipient->address,
		    .notify = recipient->notify,
		    .orcpt = recipient->orcpt};
		const struct part part = {
		    .recipient = submission_complete(s->arena, pickup_values(s->p), recipient->address),
		    .transport = SPAN_LIT("error"),
		    .nexthop = text};
		send_recipient(s, &ask, &part, UINT64_MAX);
	}
}

bool
submission_change(struct submission *s, const struct submission_change *change)
{
	reset_recipients(s);
	if (change->reject.len > 0) {
		reject_all(s, change->reject);
		return false;
	}
	s->next = s->head.recipients;
	s->next_copy = change->copies;
	if (change->filter.len > 0)
		s->filter = change->filter;
	if (change->redirect.len > 0) {
		s->redirected = (struct drop_recipient){.address = change->redirect};
		s->next = &s->redirected;
		s->next_copy = NULL;
		s->copies.first = NULL;
	}
	s->content = false;
	ask_more(s);
	return true;
}

size_t
submission_room(const struct submission *s)
{
	return s->content ? (size_t)s->credit : 0;
}

void
submission_write(struct submission *s, struct span bytes)
{
	while (bytes.len > 0) {
		struct msg_submit_data data = {.bytes = span_sub(bytes, 0, CHUNK_BYTES)};
		ipc_send(server_peer(s->p->server, ROLE_QUEUE, 0), IPC_SUBMIT_DATA, s->submit_call, &data);
		bytes = span_from(bytes, data.bytes.len);
		s->credit -= data.bytes.len < s->credit ? data.bytes.len : s->credit;
	}
}

void
submission_close(
    struct submission *s, struct span prepend, uint64_t header_len, uint32_t flags, struct span message_id)
{
	struct msg_submit_close message = {
	    .prepend = prepend, .header_len = header_len, .flags = flags, .message_id = message_id};

	s->closed = true;
	ipc_send(server_peer(s->p->server, ROLE_QUEUE, 0), IPC_SUBMIT_CLOSE, s->submit_call, &message);
}

void
submission_abort(struct submission **s)
{
	struct submission *aborted = *s;

	*s = NULL;
	if (aborted != NULL)
		submission_free(aborted);
}
