#include "smtpd/header_flow.h"

#include "common/base/text.h"
#include "common/mail/header.h"
#include "smtpd/content_flow.h"
#include "smtpd/local_client.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

/* Beside the header that came: what is added to it, and what may come with its end. */
enum { HELD_MORE = 1024 * 1024 };

static bool
is_wanted(const struct session *s)
{
	const struct settings *set = s->settings;

	if (set->maps_no_addresses || (!set->rewrites_local && !set->rewrites_remote))
		return false;
	return local_client_is(s) ? set->rewrites_local : set->rewrites_remote;
}

void
header_flow_begin(struct session *s)
{
	struct transaction *t = s->transaction;

	t->holds_header = is_wanted(s);
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
	buf_free(&t->held);
	buf_free(&t->behind);
	t->holds_header = false;
}

/* It goes on, with these fields. */
static void
release(struct session *s, struct span fields)
{
	struct transaction *t = s->transaction;

	t->header_grown = (int64_t)fields.len - (int64_t)t->held.len;
	submission_put(s, fields);
	submission_put(s, buf_span(&t->behind));
	end(t);
}

static void
release_rewritten(struct session *s)
{
	struct transaction *t = s->transaction;
	struct buf fields;

	buf_init(&fields, t->held.len + HEADER_REWRITE_GROWTH_MAX);
	if (header_rewrite_put(t->rewriting, &fields) < 0)
		fail(t, CONTENT_HEADER_TOO_BIG);
	if (header_has_long_line(buf_span(&fields)))
		t->content.flags |= MAIL_LONG_LINES;
	if (text_is_8bit(buf_span(&fields)))
		t->content.flags |= MAIL_8BIT;
	release(s, buf_span(&fields));
	buf_free(&fields);
}

/* The header is whole. The usual one needs no question. */
static void
begin_rewriting(struct session *s)
{
	const struct settings *set = s->settings;
	struct transaction *t = s->transaction;
	struct span fields = buf_span(&t->held);

	t->rewriting =
	    header_rewrite_new(fields, local_client_is(s) ? &set->local_headers : &set->remote_headers);
	if (!t->rewriting)
		release(s, fields);
}

void
header_flow_put(struct session *s, struct span bytes, bool header)
{
	struct transaction *t = s->transaction;

	if (t->holds_header && !header && !t->rewriting)
		begin_rewriting(s);
	if (!t->holds_header)
		submission_put(s, bytes);
	else if (buf_append_span(header ? &t->held : &t->behind, bytes) < 0)
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
	if (frame && frame->type != IPC_REWRITE_DONE)
		status = error_set(err, "unexpected answer about addresses in a header");
	else if (frame && frame->rewrite_done.status == LOOKUP_FOUND)
		status = header_rewrite_answer(t->rewriting, frame->rewrite_done.addresses, err);
	if (frame && status == 0 && frame->rewrite_done.status == LOOKUP_FOUND)
		asked = ask(s);
	if (asked > 0)
		return status;
	if (asked == 0)
		release_rewritten(s);
	else
		give_up(t);
	flow_resume(s);
	return status;
}

bool
header_flow_run(struct session *s)
{
	struct transaction *t = s->transaction;

	if (s->waiting != WAIT_NONE)
		return false;
	/* Nobody needs it any more. */
	if (t->content.fault != CONTENT_FINE || t->submission.state != SUBMISSION_OPEN)
		end(t);
	if (t->holds_header && !t->rewriting && t->finishing)
		begin_rewriting(s);
	if (!t->rewriting)
		return true;
	if (ask(s) > 0)
		return false;
	give_up(t);
	return true;
}
