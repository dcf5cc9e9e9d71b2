#include "delivery/smtp/transaction.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "delivery/smtp/command.h"
#include "delivery/smtp/transaction_state.h"

enum {
	CHUNK = 128 * 1024, /* of content handed to the connection at a time */
	OUT_MAX = 32 * 1024 * 1024 /* all commands of JOB_RECIPIENTS_MAX recipients */
};

/* What each step is called when it fails, and how long its reply may take. */
const struct transaction_step transaction_steps[] = {
    [STEP_MAIL] = {"MAIL FROM command", "sending MAIL FROM", TIMEOUT_MAIL},
    [STEP_RCPT] = {"RCPT TO command", "sending RCPT TO", TIMEOUT_RCPT},
    [STEP_DATA] = {"DATA command", "sending DATA command", TIMEOUT_DATA_INIT},
    [STEP_DOT] = {"end of DATA command", "sending end of data -- message may be sent more than once",
	TIMEOUT_DATA_DONE},
    [STEP_RSET] = {"RSET command", "sending RSET", TIMEOUT_RSET},
};

int64_t
transaction_step_timeout(const struct transaction *t, enum step_kind kind)
{
	return timeout_of(t->c->conf->values, t->job->lmtp, transaction_steps[kind].timeout);
}

enum step_kind
transaction_step_kind(const struct transaction *t, size_t step)
{
	if (t->resetting)
		return STEP_RSET;
	return step == 0              ? STEP_MAIL
	       : step <= t->count     ? STEP_RCPT
	       : step == t->count + 1 ? STEP_DATA
				      : STEP_DOT;
}

/* ---- the end ---- */

static void
transaction_free(struct transaction *t)
{
	content_close(&t->content);
	buf_free(&t->out);
	free(t->list);
	free(t);
}

void
transaction_end(struct transaction *t, enum transaction_end end)
{
	transaction_done *done = t->done;
	void *context = t->context;
	struct connection *c = end == TRANSACTION_OVER ? t->c : NULL;
	bool again = t->too_many && t->taken;

	transaction_free(t);
	done(context, end, c, again);
}

bool
transaction_is_committing(const struct transaction *t)
{
	return t->dot_sent;
}

const char *
transaction_doing(const struct transaction *t)
{
	return t->sending ? "sending message body"
			  : transaction_steps[transaction_step_kind(t, t->got)].doing;
}

const struct connection *
transaction_connection(const struct transaction *t)
{
	return t->c;
}

void
transaction_abort(struct transaction **t)
{
	connection_close((*t)->c);
	transaction_free(*t);
	*t = NULL;
}

/* ---- sending ---- */

static void
send_commands(struct transaction *t)
{
	enum step_kind last = transaction_step_kind(t, t->sent - 1);

	connection_send(
	    t->c, buf_span(&t->out), transaction_step_timeout(t, t->pipelined ? STEP_MAIL : last));
	buf_clear(&t->out);
}

static void
compose_step(struct transaction *t, size_t step)
{
	enum step_kind kind = transaction_step_kind(t, step);

	if (kind == STEP_MAIL)
		command_mail(&t->out, t->job, &t->c->capabilities, t->to_7bit);
	else if (kind == STEP_RCPT)
		command_rcpt(&t->out, t->job, t->list[step - 1], &t->c->capabilities);
	else
		buf_append_text(&t->out, "DATA\r\n");
}

void
transaction_send_next(struct transaction *t)
{
	compose_step(t, t->sent++);
	send_commands(t);
}

void
transaction_reset(struct transaction *t)
{
	t->resetting = true;
	connection_send(t->c, SPAN_LIT("RSET\r\n"), transaction_step_timeout(t, STEP_RSET));
}

static void
content_failed(struct transaction *t, const struct error *err)
{
	struct verdict v;

	if (err->number == EILSEQ)
		verdict_set(&v, "5.6.3", "host %s does not take 8-bit data: %s", t->c->name, err->text);
	else
		verdict_set(&v, "4.3.0", "%s", err->text);
	v.final = true;
	transaction_rule_all(t, &v, true);
	/* Without the dot the peer keeps nothing: there is no other way to stop inside the content. */
	connection_close(t->c);
	transaction_end(t, TRANSACTION_LOST);
}

/* Until when the next octets of content must have left: each time anew, or of what is left of the whole. */
static int64_t
data_timeout(struct transaction *t, size_t octets)
{
	const struct conf_values *v = t->c->conf->values;
	int64_t most = timeout_of(v, t->job->lmtp, TIMEOUT_DATA_XFER), now = clock_mono_us(), left = most;

	if (!v->smtp_per_request_deadline)
		return most;
	if (t->data_since_us != 0) {
		left = t->data_left_us - (now - t->data_since_us) +
		       (int64_t)t->data_octets * US_PER_SECOND / v->smtp_min_data_rate;
		left = left > most ? most : left < 1 ? 1 : left;
	}
	t->data_left_us = left;
	t->data_since_us = now;
	t->data_octets = octets;
	return left;
}

void
transaction_send_content(struct transaction *t)
{
	struct error err = {0};
	int more;

	if (content_is_plain(&t->content)) {
		struct span bytes = t->content.source.bytes;

		connection_send_content(t->c, bytes, true, transaction_step_timeout(t, STEP_DOT));
		more = 0;
		if (bytes.len > 0 && bytes.ptr[bytes.len - 1] != '\n')
			buf_append_text(&t->out, "\r\n");
	} else {
		more = content_more(&t->content, &t->out, CHUNK, &err);
	}
	if (more < 0) {
		content_failed(t, &err);
		return;
	}
	if (more == 0) {
		t->sending = false;
		t->dot_sent = true;
		buf_append_text(&t->out, ".\r\n");
		connection_send_content(
		    t->c, buf_span(&t->out), false, transaction_step_timeout(t, STEP_DOT));
	} else {
		connection_send_content(t->c, buf_span(&t->out), true, data_timeout(t, t->out.len));
		connection_want_written(t->c);
	}
	buf_free(&t->out);
}

static void
on_written(struct connection *c, void *context)
{
	struct transaction *t = context;

	(void)c;
	if (t->sending)
		transaction_send_content(t);
}

static void
on_lost(struct connection *c, enum connection_loss how, void *context)
{
	struct transaction *t = context;
	struct verdict v;

	if (!t->any_reply && c->uses > 1 && how != LOSS_TIMEOUT) {
		transaction_end(t, TRANSACTION_STALE);
		return;
	}
	if (t->resetting || t->empty) {
		transaction_end(t, TRANSACTION_LOST);
		return;
	}
	verdict_of_loss(&v, c, how, transaction_doing(t));
	if (t->dot_sent) {
		/* The peer may have it: another host now would make a second copy likely. */
		v.flags |= OUTCOME_UNCERTAIN;
		v.final = true;
	}
	t->job->hop = HOP_DOWN;
	transaction_rule_all(t, &v, false);
	transaction_end(t, TRANSACTION_BROKEN);
}

static void
on_reply(struct connection *c, const struct reply *r, void *context)
{
	struct transaction *t = context;
	enum step_kind kind = transaction_step_kind(t, t->got);
	bool first = !t->any_reply;

	t->any_reply = true;
	if (t->resetting) {
		if (r->code / 100 != 2) {
			connection_quit(c);
			transaction_end(t, TRANSACTION_LOST);
		} else {
			transaction_end(t, TRANSACTION_OVER);
		}
		return;
	}
	/* LMTP: for others the message may have been taken already, or be taken yet (RFC 2033, 4.2). */
	if (r->code == 421 && t->job->lmtp && t->dot_sent)
		t->leaving = true;
	else if (r->code == 421) {
		if (first && c->uses > 1) {
			connection_quit(c);
			transaction_end(t, TRANSACTION_STALE);
		} else {
			transaction_goodbye(t, kind, r);
		}
		return;
	}
	/* A reply that nothing was sent for: the rest of the conversation cannot be trusted. */
	if (t->got >= t->sent || (t->sending && kind == STEP_DOT && r->code / 100 == 2)) {
		connection_close(c);
		on_lost(c, LOSS_GARBAGE, t);
		return;
	}
	transaction_answered(t, kind, r);
}

static const struct connection_user transaction_user = {
    .reply = on_reply,
    .lost = on_lost,
    .written = on_written,
};

/* ---- the beginning ---- */

static void
report_open(struct job *job, struct connection *c, struct verdict *v)
{
	connection_sign(c, v);
	for (size_t i = 0; i < job->recipient_count; i++)
		if (!job->recipients[i].done)
			job_report(job, &job->recipients[i], v, c->uses);
}

bool
transaction_possible(struct job *job, struct connection *c)
{
	const struct capabilities *peer = &c->capabilities;
	struct verdict v;

	if (peer->size_limit > 0 && job_size(job) > peer->size_limit) {
		verdict_set(&v, "5.3.4",
		    "message size %" PRIu64 " exceeds size limit %" PRIu64 " of server %s", job_size(job),
		    peer->size_limit, c->name);
	} else if (!(peer->offers & OFFERS_SMTPUTF8) && job_needs_smtputf8(job)) {
		verdict_set(&v, "5.6.7", "SMTPUTF8 is required, but was not offered by host %s", c->name);
	} else if (!command_is_safe(job->sender)) {
		verdict_set(&v, "5.1.7", "sender address with control characters");
	} else {
		verdict_set(&v, "5.1.3", "recipient address with control characters, or none");
		for (size_t i = 0; i < job->recipient_count; i++) {
			struct recipient *rcpt = &job->recipients[i];

			if (!rcpt->done && (rcpt->rcpt_to.len == 0 || !command_is_safe(rcpt->rcpt_to)))
				job_report(job, rcpt, &v, 0);
		}
		return job->open > 0;
	}
	report_open(job, c, &v);
	return false;
}

struct transaction *
transaction_begin(
    struct job *job, struct connection *c, bool put_off_only, transaction_done *done, void *context)
{
	struct transaction *t = mem_alloc(sizeof *t);
	const struct capabilities *peer = &c->capabilities;

	t->job = job;
	t->c = c;
	t->done = done;
	t->context = context;
	/* For who watches, one command and its reply after the other. */
	t->pipelined = (peer->offers & OFFERS_PIPELINING) && !(job->flags & MAIL_TRACE);
	t->to_7bit = (job->flags & MAIL_8BIT) && !(peer->offers & OFFERS_8BITMIME) &&
		     !c->conf->values->disable_mime_output_conversion;
	t->list = mem_alloc_array(job->recipient_count, sizeof t->list[0]);
	for (size_t i = 0; i < job->recipient_count; i++) {
		struct recipient *rcpt = &job->recipients[i];

		if (rcpt->done || (put_off_only && !rcpt->put_off))
			continue;
		rcpt->accepted = rcpt->ruled = rcpt->put_off = false;
		t->list[t->count++] = rcpt;
	}
	buf_init(&t->out, OUT_MAX);
	c->uses++;
	connection_set_user(c, &transaction_user, t);
	do
		compose_step(t, t->sent++);
	while (t->pipelined && t->sent < t->count + 2);
	send_commands(t);
	return t;
}
