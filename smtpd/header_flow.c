#include "smtpd/header_flow.h"

#include "smtpd/content_flow.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

bool
header_flow_is_local(const struct session *s)
{
	const struct settings *set = s->settings;

	return (set->rewrite_mynetworks && s->in_mynetworks) || (set->rewrite_own && session_is_own_host(s));
}

bool
header_flow_wanted(const struct session *s)
{
	const struct settings *set = s->settings;

	if (set->maps_no_addresses || (!set->rewrites_local && !set->rewrites_remote))
		return false;
	return header_flow_is_local(s) ? set->rewrites_local : set->rewrites_remote;
}

static void
release(struct transaction *t)
{
	struct buf fields;

	/* An address grows to HEADER_REWRITE_ANSWER_MAX at most, and takes two octets with its comma. */
	buf_init(&fields, content_header(&t->content).len * (HEADER_REWRITE_ANSWER_MAX / 2 + 1));
	(void)header_rewrite_put(t->rewriting, &fields);
	header_rewrite_free(&t->rewriting);
	content_release(&t->content, buf_span(&fields));
	buf_free(&fields);
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
	header_rewrite_free(&t->rewriting);
	content_give_up(&t->content, CONTENT_NO_ANSWER);
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
		release(t);
	else
		give_up(t);
	flow_resume(s);
	return status;
}

bool
header_flow_run(struct session *s)
{
	struct transaction *t = s->transaction;
	const struct settings *set = s->settings;
	struct span fields = content_header(&t->content);

	if (s->waiting != WAIT_NONE)
		return false;
	if (t->content.fault != CONTENT_FINE) {
		content_release(&t->content, SPAN_LIT(""));
		return true;
	}
	t->rewriting =
	    header_rewrite_new(fields, header_flow_is_local(s) ? &set->local_headers : &set->remote_headers);
	if (!t->rewriting) {
		content_release(&t->content, fields);
		return true;
	}
	if (ask(s) > 0)
		return false;
	give_up(t);
	return true;
}
