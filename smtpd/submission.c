#include "smtpd/submission.h"

#include "common/ipc/fate.h"
#include "common/mail/filter_route.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"
#include "smtpd/session_errors.h"
#include "smtpd/transaction.h"
#include "smtpd/user_limits.h"

enum {
	DATA_MAX = 61440, /* of one SUBMIT_DATA */
	GATHER_MAX = 16384, /* smaller pieces are gathered up to this */
	DIRECT_MIN = 2048, /* larger ones go as they are */
	ANSWER_TIMEOUT_MS = 300000,
	BACKLOG_MAX = 8 * 1024 * 1024 /* of the channel to queue: beyond it sessions wait for it to drain */
};

static struct ipc_channel *
queue_of(const struct session *s)
{
	return s->smtpd->peers[ROLE_QUEUE];
}

/* ---- answers ---- */

static void
reply_accepted(struct session *s, uint64_t id)
{
	char text[QUEUE_ID_SIZE];

	(void)queue_id_format(id, text);
	if (s->transaction->flags & MAIL_TELL_HELD)
		user_limits_told(s);
	transaction_free(s);
	reply(s, 250, "2.0.0", "Ok: queued as %s", text);
	s->errors = 0;
	s->junk = 0;
	session_errors_forgive(s);
}

static void
reply_refused(struct session *s, enum submit_status status, struct span text)
{
	static const struct {
		unsigned code;
		const char *enhanced;
		const char *text;
	} rows[] = {
	    [SUBMIT_OK] = {451, "4.3.0", "Error: queue file write error"},
	    [SUBMIT_NO_SPACE] = {452, "4.3.1", "Insufficient system storage"},
	    [SUBMIT_TRY_LATER] = {451, "4.3.0", "Error: queue file write error"},
	    [SUBMIT_TOO_LARGE] = {552, "5.3.4", "Error: message file too big"},
	    [SUBMIT_REFUSED] = {554, "5.6.0", "Error: message refused"},
	    [SUBMIT_ABORTED] = {451, "4.3.0", "Error: queue file write error"},
	};
	struct log log = session_log(s);

	if (status > SUBMIT_ABORTED)
		status = SUBMIT_TRY_LATER;
	log_info(&log, "not queued: %.*s", SPAN_ARG(text));
	transaction_free(s);
	reply(s, rows[status].code, rows[status].enhanced, "%s", rows[status].text);
}

static struct ipc_channel *
queue_for_fate(void *context)
{
	return queue_of(context);
}

static void
on_fate(void *context, bool durable)
{
	struct session *s = context;
	struct submission *sub = &s->transaction->submission;

	sub->fate = NULL;
	sub->state = SUBMISSION_OVER;
	session_answered(s);
	if (durable)
		reply_accepted(s, s->transaction->id);
	else
		reply_refused(s, SUBMIT_TRY_LATER, SPAN_LIT("the queue process went away"));
	session_continue(s);
}

static void
take_answer(struct session *s, const struct msg_submit_answer *answer)
{
	struct submission *sub = &s->transaction->submission;
	enum submission_state state = sub->state;

	sub->call = 0;
	smtpd_queue_progress(s->smtpd);
	if (state == SUBMISSION_CLOSED && !answer && s->transaction->id != 0) {
		sub->state = SUBMISSION_UNSURE;
		sub->fate = fate_ask(s->smtpd->base, s->transaction->id, queue_for_fate, on_fate, s);
		return;
	}
	sub->state = SUBMISSION_OVER;
	if (state == SUBMISSION_CLOSED) {
		session_answered(s);
		if (answer && answer->status == SUBMIT_OK)
			reply_accepted(s, answer->id);
		else
			reply_refused(s, answer ? answer->status : SUBMIT_TRY_LATER,
			    answer ? answer->text : SPAN_LIT("the queue process went away"));
		session_continue(s);
		return;
	}
	/* Refused while content still comes: it is read to its end, and the client is told then. */
	sub->failed = true;
	sub->refused_as = answer ? answer->status : SUBMIT_TRY_LATER;
	if (s->waiting == WAIT_WINDOW)
		session_unstall(s);
}

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct session *s = context;
	struct submission *sub = &s->transaction->submission;

	(void)err;
	if (frame && frame->type == IPC_SUBMIT_CREDIT) {
		sub->window += (int64_t)frame->submit_credit.octets;
		smtpd_queue_progress(s->smtpd);
		if (s->waiting == WAIT_WINDOW && !s->stalled)
			session_unstall(s);
		return 0;
	}
	take_answer(s, frame ? &frame->submit_answer : NULL);
	return 0;
}

/* ---- what is sent ---- */

static void
send_recipient(struct session *s, const struct recipient *r)
{
	struct msg_submit_rcpt m = {
	    .recipient = r->address,
	    .orig_to = r->original,
	    .orcpt = r->orcpt,
	    .notify = r->notify,
	    .transport = r->transport,
	    .nexthop = r->nexthop,
	    .generation = r->generation,
	};

	if (s->transaction->filter.len) { /* for everybody, whatever tables will say later */
		filter_route(s->transaction->filter, m.recipient, &m.transport, &m.nexthop);
		m.generation = UINT64_MAX;
	}
	(void)ipc_send(queue_of(s), IPC_SUBMIT_RCPT, s->transaction->submission.call, &m);
}

void
submission_resend_recipients(struct session *s)
{
	struct submission *sub = &s->transaction->submission;
	struct msg_submit_reset m = {0};

	if (sub->state != SUBMISSION_OPEN)
		return;
	(void)ipc_send(queue_of(s), IPC_SUBMIT_RESET, sub->call, &m);
	for (const struct recipient *r = s->transaction->recipients; r; r = r->next)
		send_recipient(s, r);
}

int
submission_open(struct session *s)
{
	struct transaction *t = s->transaction;
	struct submission *sub = &t->submission;
	struct msg_submit_open m = {
	    .id = t->id,
	    .flags = t->flags & ~(unsigned)MAIL_DISCARD,
	    .sender = t->rewritten_sender,
	    .envid = t->envid,
	    .verp = t->verp,
	    .size_hint = t->declared_size,
	    .client_name = span_of(s->client_name),
	    .client_address = span_of(s->client_address),
	    .helo = span_of(s->helo),
	    .protocol = span_of(s->esmtp ? "ESMTP" : "SMTP"),
	    .sasl_method = span_of(s->sasl_method),
	    .sasl_username = span_of(s->sasl_username),
	    .sasl_sender = t->sasl_sender,
	    .client_port = s->client.port,
	    .reason = t->hold_reason,
	};

	buf_init(&sub->gathered, GATHER_MAX + DIRECT_MIN);
	sub->window = SUBMIT_WINDOW;
	if (t->flags & MAIL_DISCARD) {
		sub->state = SUBMISSION_OVER;
		return 0;
	}
	sub->call = ipc_ask(queue_of(s), IPC_SUBMIT_OPEN, &m, ANSWER_TIMEOUT_MS, on_answer, s);
	if (sub->call == 0)
		return -1;
	sub->state = SUBMISSION_OPEN;
	for (const struct recipient *r = t->recipients; r; r = r->next)
		send_recipient(s, r);
	return 0;
}

static void
send_data(struct session *s, struct span bytes)
{
	struct submission *sub = &s->transaction->submission;
	struct msg_submit_data m;

	while (bytes.len) {
		m.bytes = span_sub(bytes, 0, DATA_MAX);
		(void)ipc_send(queue_of(s), IPC_SUBMIT_DATA, sub->call, &m);
		bytes = span_from(bytes, m.bytes.len);
	}
}

static void
send_gathered(struct session *s)
{
	struct submission *sub = &s->transaction->submission;

	send_data(s, buf_span(&sub->gathered));
	buf_free(&sub->gathered);
}

void
submission_put(struct session *s, struct span bytes)
{
	struct submission *sub = &s->transaction->submission;

	if (sub->state != SUBMISSION_OPEN)
		return;
	sub->window -= (int64_t)bytes.len;
	if (bytes.len >= DIRECT_MIN) {
		send_gathered(s);
		send_data(s, bytes);
		return;
	}
	(void)buf_append_span(&sub->gathered, bytes);
	if (sub->gathered.len >= GATHER_MAX)
		send_gathered(s);
}

/* Normalised line ends and the fields that are added let content grow: half of the window is safe for input. */
size_t
submission_room(const struct session *s)
{
	enum { ADDED_MAX = 8192 };
	const struct submission *sub = &s->transaction->submission;

	if (sub->state != SUBMISSION_OPEN)
		return SIZE_MAX;
	if (ipc_backlog(queue_of(s)) > BACKLOG_MAX || sub->window <= ADDED_MAX)
		return 0;
	return (size_t)(sub->window - ADDED_MAX) / 2;
}

bool
submission_is_stalled(const struct session *s)
{
	return ipc_backlog(queue_of(s)) > BACKLOG_MAX;
}

/* DISCARD: the client is told what it would be told, and nothing is kept. */
static void
finish_discarded(struct session *s)
{
	reply_accepted(s, s->transaction->id);
}

void
submission_close(struct session *s)
{
	struct transaction *t = s->transaction;
	struct submission *sub = &t->submission;
	struct msg_submit_close m = {
	    .header_len = t->content.header_octets + (uint64_t)t->header_grown,
	    .flags = t->content.flags,
	    .message_id = buf_span(&t->content.message_id),
	};

	if (t->flags & MAIL_DISCARD) {
		finish_discarded(s);
		return;
	}
	if (sub->state != SUBMISSION_OPEN) {
		reply_refused(s, sub->refused_as, SPAN_LIT("refused before its end"));
		return;
	}
	send_gathered(s);
	if (ipc_send(queue_of(s), IPC_SUBMIT_CLOSE, sub->call, &m) < 0) {
		submission_abort(s);
		reply_refused(s, SUBMIT_TRY_LATER, SPAN_LIT("the queue process is away"));
		return;
	}
	sub->state = SUBMISSION_CLOSED;
	session_wait(s, WAIT_ANSWER);
}

void
submission_abort(struct session *s)
{
	struct submission *sub = &s->transaction->submission;
	struct msg_submit_abort m = {0};

	if (sub->state == SUBMISSION_OPEN)
		(void)ipc_send(queue_of(s), IPC_SUBMIT_ABORT, sub->call, &m);
	if (sub->call)
		ipc_cancel(queue_of(s), sub->call);
	fate_cancel(&sub->fate);
	sub->call = 0;
	sub->state = SUBMISSION_OVER;
}
