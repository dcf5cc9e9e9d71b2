#include "queue/scheduler/expansion.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/base/text.h"
#include "common/mail/casefold.h"
#include "common/mail/outcome.h"

enum { KEY_MAX = 4096 };

struct expansion {
	struct recipient *first, **end; /* linked by 'next' */
	struct table *keys; /* theirs */
	uint32_t beside; /* recipients that the message had when the first one came */
	bool overlong; /* there was no room for one of them, and none is kept */
};

/* ---- who is there ---- */

/* The key is orig, a NUL (in neither of them) and the address, whatever the case of their letters. */
static struct span
known_key(struct buf *key, struct span orig_to, struct span recipient)
{
	struct span text, folded;

	buf_clear(key);
	buf_reserve(key, KEY_MAX);
	buf_append_span(key, orig_to);
	buf_append(key, "", 1);
	buf_append_span(key, recipient);
	text = buf_span(key);
	return casefold(text, buf_ptr(key), KEY_MAX, &folded) == CASEFOLD_TOO_LONG ? text : folded;
}

static struct span
orig_of(const struct recipient *r)
{
	return r->p.orig_to.len > 0 ? r->p.orig_to : r->p.recipient;
}

/* Told apart by (orig, address): an expansion that is repeated after a crash adds nobody twice. */
static bool
message_has(struct job *job, struct span orig, struct span recipient)
{
	const struct message *m = job->message;
	struct buf key;
	bool there;

	buf_init(&key, KEY_MAX);
	if (!job->known)
		job->known = table_new(SIZE_MAX, NULL);
	for (; job->known_count < m->count; job->known_count++) {
		struct recipient *r = m->recipients[job->known_count];

		table_put(job->known, known_key(&key, orig_of(r), r->p.recipient), r);
	}
	there = table_get(job->known, known_key(&key, orig, recipient)) != NULL;
	buf_free(&key);
	return there;
}

/* False: it has that one. */
static bool
note_key(struct expansion *x, struct span orig, struct span recipient)
{
	struct buf b;
	struct span key;
	bool new;

	buf_init(&b, KEY_MAX);
	key = known_key(&b, orig, recipient);
	new = !table_get(x->keys, key);
	if (new)
		table_put(x->keys, key, x);
	buf_free(&b);
	return new;
}

/* ---- what comes ---- */

static struct expansion *
expansion_of(struct job *job, struct recipient *r)
{
	struct expansion *x = r->expansion;

	if (x)
		return x;
	x = r->expansion = mem_alloc(sizeof(*x));
	x->end = &x->first;
	x->keys = table_new(SIZE_MAX, NULL);
	x->beside = job->message->count;
	return x;
}

/* Of a list's member: itself (RFC 3461, 5.2.7.1), for nothing that goes there tells whom the sender wrote to. */
static struct span
own_orcpt(struct buf *out, struct span member)
{
	buf_append_text(out, text_is_8bit(member) ? "utf-8;" : "rfc822;");
	buf_append_span(out, member);
	return buf_span(out);
}

/* NULL: the message has no room for it. */
static struct recipient *
prepare(struct message *m, const struct recipient *from, const struct msg_job_add_rcpt *msg)
{
	/* RFC 3461, 5.2.7.1: what goes on from a list with an owner is asked for by nobody but the owner. */
	bool list = msg->member.len > 0;
	struct part_recipient p = {.recipient = msg->recipient,
	    .orig_to = orig_of(from),
	    .orcpt = from->p.orcpt,
	    .notify = list ? 0 : from->p.notify,
	    .transport = msg->transport,
	    .nexthop = msg->nexthop,
	    .generation = msg->generation,
	    .delivered_to = msg->delivered_to,
	    .own_sender = list ? OWN_SENDER_LIST : from->p.own_sender};
	struct recipient *r;
	struct buf orcpt;

	buf_init(&orcpt, KEY_MAX);
	if (list)
		p.orcpt = own_orcpt(&orcpt, msg->member);
	if (p.own_sender)
		p.sender = msg->sender;
	r = message_prepare_recipient(m, &p);
	buf_free(&orcpt);
	return r;
}

static void
drop_all(struct message *m, struct expansion *x)
{
	for (struct recipient *r = x->first, *next; r; r = next) {
		next = r->next;
		message_drop_recipient(m, r);
	}
	x->first = NULL;
	x->end = &x->first;
}

void
expansion_add(struct job *job, struct recipient *r, const struct msg_job_add_rcpt *msg)
{
	struct message *m = job->message;
	struct expansion *x;
	struct recipient *new;

	if (m->removed)
		return;
	x = expansion_of(job, r);
	if (x->overlong || message_has(job, orig_of(r), msg->recipient) ||
	    !note_key(x, orig_of(r), msg->recipient))
		return;
	new = prepare(m, r, msg);
	if (new) {
		*x->end = new;
		x->end = &new->next;
	} else {
		drop_all(m, x);
		x->overlong = true;
	}
}

/* ---- the end ---- */

void
expansion_forget(struct message *m, struct recipient *r)
{
	struct expansion *x = r->expansion;

	r->expansion = NULL;
	if (!x)
		return;
	drop_all(m, x);
	table_free(&x->keys);
	free(x);
}

/*
 * RFC 3461, 5.2.7.3 (c): of an alias with several addresses behind it the sender is told that it was expanded, and success at
 * those addresses is nobody's business any more. A list with an owner is told of as such anyway, and an alias of one, of whose
 * members no success is told, is expanded, too.
 */
static void
note_alias(const struct expansion *x, const struct recipient *alias, struct outcome *o)
{
	struct recipient *member = NULL;

	if ((o->flags & OUTCOME_EXPANDED_LIST) || (alias->p.notify & DSN_NOTIFY_SUCCESS) == 0)
		return;
	for (struct recipient *r = x->first; r; r = r->next) {
		if ((r->p.notify & DSN_NOTIFY_SUCCESS) == 0)
			continue;
		if (member) {
			o->flags |= OUTCOME_EXPANDED_LIST;
			recipient_hide_success(&member->p);
			recipient_hide_success(&r->p);
		}
		member = r;
	}
	if (!member)
		o->flags |= OUTCOME_EXPANDED_LIST;
}

/* They go to the log before the outcome that says so. */
static void
keep_all(struct job *job, struct expansion *x)
{
	struct message *m = job->message;
	uint32_t before = m->count;

	for (struct recipient *r = x->first, *next; r; r = next) {
		next = r->next;
		r->next = NULL;
		/* Another alias may have brought it meanwhile. */
		if (before != x->beside && message_has(job, orig_of(r), r->p.recipient))
			message_drop_recipient(m, r);
		else
			message_keep_recipient(m, r);
	}
	x->first = NULL;
	if (m->count == before)
		return;
	journal_recipients(job->q, m, before, m->count - before);
	job->added = true;
}

static uint32_t
count_earlier(const struct message *m, const struct recipient *alias)
{
	uint32_t count = 0;

	/* Others may have come of its original address, too. */
	if (alias->p.orig_to.len > 0)
		return 0;
	for (uint32_t i = 0; i < m->count; i++)
		count += span_equal(m->recipients[i]->p.orig_to, alias->p.recipient);
	return count;
}

/* As local says it of an alias that is too long by itself. */
static void
refuse_overlong(struct job *job, const struct recipient *r, struct outcome *o)
{
	struct outcome said;
	char code[12];

	*o = (struct outcome){.class = OUTCOME_BOUNCED,
	    .status = SPAN_LIT("5.4.6"),
	    .relay = SPAN_LIT("none"),
	    .text = SPAN_LIT("alias expands to too much")};
	said = *o;
	outcome_soften(job->q, &said, code);
	outcome_log(job->message, r, &said);
}

struct span
expansion_bounce(
    const struct message *m, const struct recipient *r, struct span text, char out[EXPANSION_TEXT_SIZE])
{
	uint32_t earlier = count_earlier(m, r);

	if (earlier == 0)
		return text;
	snprintf(out, EXPANSION_TEXT_SIZE,
	    "%.*s (%u addresses behind it were found before, and are not concerned)",
	    SPAN_ARG(span_sub(text, 0, 500)), earlier);
	return span_of(out);
}

void
expansion_end(struct job *job, struct recipient *r, struct outcome *o)
{
	struct message *m = job->message;
	struct expansion *x = r->expansion;

	if (!x)
		return;
	if (x->overlong)
		refuse_overlong(job, r, o);
	if (o->class != OUTCOME_BOUNCED && !m->removed) {
		if (o->class == OUTCOME_EXPANDED)
			note_alias(x, r, o);
		keep_all(job, x);
	}
	expansion_forget(m, r);
}
