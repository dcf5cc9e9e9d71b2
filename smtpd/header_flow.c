#include "smtpd/header_flow.h"

#include "common/base/text.h"
#include "common/mail/header.h"
#include "smtpd/content_flow.h"
#include "smtpd/local_client.h"
#include "smtpd/sender_field.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

/* Beside the header that came: what is added to it, and what may come with its end. */
enum { HELD_MORE = 1024 * 1024 };

static bool
rewrites(const struct session *s)
{
	const struct settings *set = s->settings;

	if (set->maps_no_addresses)
		return false;
	return local_client_is(s) ? set->rewrites_local : set->rewrites_remote;
}

void
header_flow_begin(struct session *s)
{
	struct transaction *t = s->transaction;

	t->holds_header = rewrites(s) || sender_field_wanted(s);
	if (!t->holds_header)
		return;
	buf_init(&t->held, (size_t)s->settings->values->header_total_limit + HELD_MORE);
	buf_init(&t->behind, HELD_MORE);
}

static void
fail(struct transaction *t, enum content_fault fault)
{
	if (t->content.fault == CONTENT_FINE)
		t->content.fault = fault;
}

static void
end(struct transaction *t)
{
	header_rewrite_free(&t->rewriting);
	t->naming = NULL;
	buf_free(&t->held);
	buf_free(&t->behind);
	t->holds_header = false;
}

/* What is held goes on. */
static void
release(struct session *s)
{
	struct transaction *t = s->transaction;

	t->header_grown += (int64_t)t->held.len;
	submission_put(s, buf_span(&t->held));
	submission_put(s, buf_span(&t->behind));
	end(t);
}

/* The header becomes what put() makes of it, and grows by no more than room. */
static void
replace_held(struct transaction *t, size_t room, int (*put)(const struct transaction *t, struct buf *out))
{
	struct buf fields;

	buf_init(&fields, t->held.len + room);
	if (put(t, &fields) < 0)
		fail(t, CONTENT_HEADER_TOO_BIG);
	if (header_has_long_line(buf_span(&fields)))
		t->content.flags |= MAIL_LONG_LINES;
	if (text_is_8bit(buf_span(&fields)))
		t->content.flags |= MAIL_8BIT;
	buf_free(&t->held);
	t->held = fields;
}

/* Addresses are what they are to be: who authenticated is compared with them. */
static void
begin_naming(struct session *s)
{
	struct transaction *t = s->transaction;

	if (sender_field_wanted(s))
		t->naming = sender_field_new(s, buf_span(&t->held));
	if (!t->naming)
		release(s);
}

static int
put_named(const struct transaction *t, struct buf *out)
{
	sender_field_put(t->naming, out);
	return out->full ? -1 : 0;
}

static void
end_naming(struct session *s)
{
	replace_held(s->transaction, SENDER_FIELD_MAX, put_named);
	release(s);
}

/* The header is whole. The usual one needs no question. */
static void
begin_rewriting(struct session *s)
{
	const struct settings *set = s->settings;
	struct transaction *t = s->transaction;
	const struct header_rewrite_rules *rules =
	    local_client_is(s) ? &set->local_headers : &set->remote_headers;

	t->header_whole = true;
	t->header_grown = -(int64_t)t->held.len;
	if (rewrites(s))
		t->rewriting = header_rewrite_new(buf_span(&t->held), rules);
	if (!t->rewriting)
		begin_naming(s);
}

static int
put_rewritten(const struct transaction *t, struct buf *out)
{
	return header_rewrite_put(t->rewriting, out);
}

static void
end_rewriting(struct session *s)
{
	struct transaction *t = s->transaction;

	replace_held(t, HEADER_REWRITE_GROWTH_MAX, put_rewritten);
	header_rewrite_free(&t->rewriting);
	begin_naming(s);
}

void
header_flow_put(struct session *s, struct span bytes, bool header)
{
	struct transaction *t = s->transaction;

	if (t->holds_header && !header && !t->header_whole)
		begin_rewriting(s);
	if (!t->holds_header)
		submission_put(s, bytes);
	else if (buf_append_span(t->header_whole ? &t->behind : &t->held, bytes) < 0)
		fail(t, CONTENT_HEADER_TOO_BIG);
}

static ipc_answer on_answer;

/* 1: asked; 0: there is nothing left to ask; -1: nobody to ask. */
static int
ask(struct session *s)
{
	struct msg_rewrite_ask message;
	enum rewrite_kind kind;

	if (!header_rewrite_next(s->transaction->rewriting, &kind, &message.addresses))
		return 0;
	message.kind = (uint8_t)kind;
	return session_ask(s, ROLE_LOOKUP, IPC_REWRITE_ASK, &message, on_answer, s) < 0 ? -1 : 1;
}

static void
give_up(struct transaction *t)
{
	fail(t, CONTENT_NO_ANSWER);
	end(t);
}

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct session *s = context;
	struct transaction *t = s->transaction;
	int status = 0, asked = -1;

	session_answered(s);
	if (frame && frame->rewrite_done.status == LOOKUP_FOUND) {
		status = header_rewrite_answer(t->rewriting, frame->rewrite_done.addresses, err);
		if (status == 0)
			asked = ask(s);
	}
	if (asked > 0)
		return status;
	if (asked == 0)
		end_rewriting(s);
	else
		give_up(t);
	flow_resume(s);
	return status;
}

bool
header_flow_run(struct session *s)
{
	struct transaction *t = s->transaction;
	enum sender_step step;

	if (s->waiting != WAIT_NONE)
		return false;
	/* Nobody needs it any more. */
	if (t->content.fault != CONTENT_FINE || t->submission.state != SUBMISSION_OPEN)
		end(t);
	if (t->holds_header && !t->header_whole && t->finishing)
		begin_rewriting(s);
	if (t->rewriting && ask(s) > 0)
		return false;
	if (t->rewriting)
		give_up(t);
	if (!t->naming)
		return true;
	step = sender_field_run(t->naming);
	if (step == SENDER_SETTLED)
		end_naming(s);
	else if (step == SENDER_TROUBLE)
		give_up(t);
	return step != SENDER_ASKED;
}
