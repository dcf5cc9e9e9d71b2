#include <stdio.h>
#include <string.h>

#include "common/conf/conf.h"
#include "common/ipc/protocol.h"
#include "delivery/smtp/transaction_state.h"

/* ---- verdicts ---- */

static void
transaction_rule(struct transaction *t, struct recipient *rcpt, struct verdict *v)
{
	connection_sign(t->c, v);
	rcpt->ruled = true;
	/* A refusal is final; "not now" is asked of the next host. */
	if (v->class == OUTCOME_DEFERRED && !v->final)
		job_keep(t->job, rcpt, v);
	else
		job_report(t->job, rcpt, v, t->c->uses);
}

void
transaction_rule_all(struct transaction *t, struct verdict *v, bool accepted_only)
{
	for (size_t i = 0; i < t->count; i++)
		if (!t->list[i]->ruled && (t->list[i]->accepted || !accepted_only))
			transaction_rule(t, t->list[i], v);
}

static void
verdict_said(const struct transaction *t, struct verdict *v, const struct reply *r, enum step_kind kind)
{
	char text[900];

	reply_one_line(r, text, sizeof text);
	verdict_of_reply(v, r, t->c->host.name, "host %s said: %s (in reply to %s)", t->c->name, text,
	    transaction_steps[kind].command);
	/* Success where a command must fail or go on: the peer lost count, or never counted. */
	if (v->class == OUTCOME_DELIVERED) {
		v->class = OUTCOME_DEFERRED;
		snprintf(v->code, sizeof v->code, "4.5.0");
	}
}

static void
note_busy(struct transaction *t, const struct verdict *v, const struct reply *r)
{
	if (r->code == 421 || (r->code / 100 == 4 && strncmp(v->code, "4.7.", 4) == 0))
		t->job->hop = HOP_BUSY;
}

/* ---- replies ---- */

static void
on_mail_reply(struct transaction *t, const struct reply *r)
{
	struct verdict v;

	if (r->code / 100 == 2)
		return;
	verdict_said(t, &v, r, STEP_MAIL);
	note_busy(t, &v, r);
	t->mail_failed = true;
	transaction_rule_all(t, &v, false);
}

static void
on_rcpt_reply(struct transaction *t, struct recipient *rcpt, const struct reply *r)
{
	struct verdict v;

	if (t->mail_failed)
		return;
	if (r->code / 100 == 2) {
		rcpt->accepted = true;
		t->accepted++;
		return;
	}
	verdict_said(t, &v, r, STEP_RCPT);
	note_busy(t, &v, r);
	/* Too many for one transaction: 452, or 552 of older servers (RFC 5321, 4.5.3.1.10). */
	if (t->accepted > 0 && (r->code == 452 || (r->code == 552 && strncmp(v.code, "5.5.3", 5) == 0))) {
		verdict_soften(&v);
		t->too_many = rcpt->put_off = true;
	}
	transaction_rule(t, rcpt, &v);
}

/* All were refused, and still it wants content: nothing, then (RFC 2920, 3.1). LMTP has no reply for nobody. */
static void
send_nothing(struct transaction *t)
{
	t->empty = true;
	connection_send(t->c, SPAN_LIT(".\r\n"), transaction_step_timeout(t, STEP_DOT));
	if (!t->job->lmtp)
		return;
	connection_quit(t->c);
	transaction_end(t, TRANSACTION_LOST);
}

static void
on_data_reply(struct transaction *t, const struct reply *r)
{
	const struct job *job = t->job;
	struct content_source source = {.head = buf_span(&job->head),
	    .bytes = span_from(buf_span(&job->content), job->content_fd < 0 ? (size_t)job->head_replaces : 0),
	    .fd = job->content_fd,
	    .offset = job->content_offset + job->head_replaces,
	    .len = job->content_len - job->head_replaces};
	struct content_rules rules = {.dots = t->job->flags & MAIL_DOTS, .to_7bit = t->to_7bit};
	struct verdict v;

	if (r->code / 100 != 3) {
		if (t->accepted > 0) {
			verdict_said(t, &v, r, STEP_DATA);
			note_busy(t, &v, r);
			transaction_rule_all(t, &v, true);
		}
		transaction_reset(t);
		return;
	}
	t->sent++;
	if (t->accepted == 0) {
		send_nothing(t);
		return;
	}
	if (t->job->flags & MAIL_LONG_LINES)
		rules.line_limit = (size_t)t->c->conf->values->smtp_line_length_limit;
	content_open(&t->content, &source, &rules);
	t->sending = true;
	job_trace(t->job, ">>> .");
	transaction_send_content(t);
}

static void
verdict_sent(struct transaction *t, struct verdict *v, const struct reply *r)
{
	char text[900];

	reply_one_line(r, text, sizeof text);
	verdict_of_reply(v, r, t->c->host.name, "%s", text);
	if (t->c->capabilities.offers & OFFERS_DSN)
		v->flags |= OUTCOME_PASSED_ON;
	else
		v->class = OUTCOME_RELAYED;
}

static void
on_dot_reply(struct transaction *t, const struct reply *r)
{
	bool last = true;
	struct verdict v;

	if (t->empty) {
		transaction_end(t, TRANSACTION_OVER);
		return;
	}
	if (r->code / 100 == 2)
		verdict_sent(t, &v, r);
	else
		verdict_said(t, &v, r, STEP_DOT);
	note_busy(t, &v, r);
	if (r->code / 100 == 2)
		t->taken = true;
	if (t->sending || !t->job->lmtp) {
		transaction_rule_all(t, &v, true);
	} else {
		while (t->dot_at < t->count && !t->list[t->dot_at]->accepted)
			t->dot_at++;
		if (t->dot_at < t->count)
			transaction_rule(t, t->list[t->dot_at++], &v);
		for (size_t i = t->dot_at; i < t->count; i++)
			if (t->list[i]->accepted)
				last = false;
	}
	if (!last) {
		connection_set_timeout(t->c, transaction_step_timeout(t, STEP_DOT));
		return;
	}
	if (t->sending) {
		/* It did not wait for the end of the content, so it may take the rest for commands. */
		connection_close(t->c);
		transaction_end(t, TRANSACTION_LOST);
		return;
	}
	if (t->leaving)
		connection_quit(t->c);
	transaction_end(t, t->leaving ? TRANSACTION_LOST : TRANSACTION_OVER);
}

/* Between replies: what is due now? */
static void
transaction_go_on(struct transaction *t)
{
	if (t->got < t->sent) {
		/* More replies are under way: each may take its time. */
		connection_set_timeout(t->c, transaction_step_timeout(t, transaction_step_kind(t, t->got)));
		return;
	}
	if (t->mail_failed) {
		transaction_end(t, TRANSACTION_OVER);
		return;
	}
	if (transaction_step_kind(t, t->sent) == STEP_DATA && t->accepted == 0) {
		transaction_reset(t);
		return;
	}
	transaction_send_next(t);
}

void
transaction_goodbye(struct transaction *t, enum step_kind kind, const struct reply *r)
{
	struct verdict v;

	verdict_said(t, &v, r, kind);
	t->job->hop = HOP_BUSY;
	transaction_rule_all(t, &v, false);
	/* Inside the content a QUIT would be more of it. */
	if (t->sending)
		connection_close(t->c);
	else
		connection_quit(t->c);
	transaction_end(t, TRANSACTION_LOST);
}

void
transaction_answered(struct transaction *t, enum step_kind kind, const struct reply *r)
{
	switch (kind) {
	case STEP_MAIL:
		t->got++;
		on_mail_reply(t, r);
		transaction_go_on(t);
		break;
	case STEP_RCPT:
		on_rcpt_reply(t, t->list[t->got - 1], r);
		t->got++;
		transaction_go_on(t);
		break;
	case STEP_DATA:
		t->got++;
		on_data_reply(t, r);
		break;
	case STEP_DOT:
		on_dot_reply(t, r);
		break;
	case STEP_RSET:
		break;
	}
}
