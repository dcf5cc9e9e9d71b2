#include "smtpd/content_flow.h"

#include <stdio.h>

#include "common/base/clock.h"
#include "common/mail/content_checks.h"
#include "common/mail/date.h"
#include "smtpd/check_flow.h"
#include "smtpd/envelope_change.h"
#include "smtpd/header_flow.h"
#include "smtpd/local_client.h"
#include "smtpd/received.h"
#include "smtpd/reply.h"
#include "smtpd/resolution.h"
#include "smtpd/sender_field.h"
#include "smtpd/session.h"
#include "smtpd/session_input.h"
#include "smtpd/transaction.h"
#include "smtpd/user_limits.h"

/* How many octets of a message that was refused already are read before the session is ended. */
enum { OVERRUN_FACTOR = 4, OVERRUN_MIN = 64 * 1024 * 1024 };

static void
put(void *context, struct span bytes)
{
	check_flow_put(context, bytes);
}

static bool
completes_header(const struct session *s)
{
	return s->settings->values->always_add_missing_headers || local_client_is(s);
}

/* A resent message was complete when its author sent it: what is missing now is the resender's (RFC 5322, 3.6.6). */
static void
add_missing(struct session *s, struct content *c)
{
	const struct transaction *t = s->transaction;
	const char *name = s->settings->values->myhostname;
	struct span undisclosed = span_of(s->settings->values->undisclosed_recipients_header);
	bool resent = (c->fields & FIELD_RESENT) != 0;
	const char *prefix = resent ? "Resent-" : "";
	char date[MAIL_DATE_SIZE], line[1400];

	if (!completes_header(s))
		return;
	if (!(c->fields & (resent ? FIELD_RESENT_DATE : FIELD_DATE))) {
		(void)snprintf(
		    line, sizeof(line), "%sDate: %s", prefix, mail_date_format(clock_wall_us(), date));
		check_flow_add_field(s, span_of(line));
	}
	if (!(c->fields & (resent ? FIELD_RESENT_FROM : FIELD_FROM))) {
		struct span from = t->rewritten_sender;

		if (from.len == 0 && s->sasl_username)
			from = sender_field_login(s, t->arena);
		if (from.len == 0)
			from = SPAN_LIT("MAILER-DAEMON");
		(void)snprintf(line, sizeof(line), "%sFrom: %.*s", prefix, SPAN_ARG(from));
		check_flow_add_field(s, span_of(line));
	}
	if (!(c->fields & (resent ? FIELD_RESENT_MESSAGE_ID : FIELD_MESSAGE_ID))) {
		if (c->message_id.len == 0)
			(void)buf_printf(&c->message_id, "<%s@%s>", t->id_text, name);
		(void)snprintf(line, sizeof(line), "%sMessage-ID: <%s@%s>", prefix, t->id_text, name);
		check_flow_add_field(s, span_of(line));
		id_lines_add(&c->id_lines, resent ? SPAN_LIT("Resent-Message-ID") : SPAN_LIT("Message-ID"),
		    span_from(span_of(line), (size_t)span_find(span_of(line), ':') + 1));
	}
	if (!(c->fields & FIELD_TO) && undisclosed.len > 0)
		check_flow_add_field(s, undisclosed);
}

void
flow_log_message_id(struct session *s)
{
	struct transaction *t = s->transaction;
	struct log log = session_log(s);

	if (t->message_id_logged)
		return;
	t->message_id_logged = true;
	/*
	 * The service that says this in Postfix is cleanup, one for all listeners whatever their syslog_name, and log tools look
	 * for it there.
	 */
	log.ident = "cleanup";
	id_lines_log(&t->content.id_lines, &log);
}

void
flow_complete_header(struct session *s)
{
	add_missing(s, &s->transaction->content);
	flow_log_message_id(s);
}

static void
header_end(void *context)
{
	struct session *s = context;

	if (!s->transaction->content.rules.fields_later)
		flow_complete_header(s);
}

void
flow_begin(struct session *s, bool dots)
{
	const struct conf_values *v = s->settings->values;
	struct transaction *t = s->transaction;
	struct content_rules rules = {
	    .size_limit = (uint64_t)v->message_size_limit,
	    .field_limit = (uint64_t)v->header_size_limit,
	    .header_limit = (uint64_t)v->header_total_limit,
	    .drop_headers = s->settings->check_classes ? NULL : v->message_drop_headers, /* tables see them */
	    .hop_limit = (unsigned)v->hopcount_limit,
	    .fields_later = (s->settings->check_classes & (1U << CHECK_HEADER)) != 0,
	    .dots = dots,
	    .lf_ends = !session_forbids_bare_lf(s) && !s->seen_crlf,
	    .reject_bare_lf = session_forbids_bare_lf(s) &&
			      v->smtpd_forbid_bare_newline == CONF_SMTPD_FORBID_BARE_NEWLINE_REJECT,
	};
	struct content_sink sink = {.put = put, .header_end = header_end, .context = s};

	content_init(&t->content, &rules, &sink);
	if (t->redirect.len == 0)
		transaction_add_copies(t);
	t->content.after_crlf = !rules.lf_ends;
	t->content_begun = true;
	t->begun_us = clock_mono_us();
	if (t->filter.len == 0)
		t->filter = span_of(v->content_filter);
	header_flow_begin(s);
	check_flow_begin(s);
	if (submission_open(s) < 0) {
		t->submission.failed = true;
		t->submission.refused_as = SUBMIT_TRY_LATER;
		t->submission.state = SUBMISSION_OVER;
	}
	for (const struct prepended *p = t->prepended; p; p = p->next)
		content_add_field(&t->content, p->line);
	content_add_field(&t->content, received_header(s));
}

static void
wait_for_queue(struct session *s)
{
	session_wait(s, WAIT_WINDOW);
	s->transaction->waiting_since_us = clock_mono_us();
	if (!s->stalled && submission_is_stalled(s)) {
		TAILQ_INSERT_TAIL(&s->smtpd->stalled, s, stalled_link);
		s->stalled = true;
	}
}

static bool
overran(const struct session *s)
{
	const struct content *c = &s->transaction->content;
	uint64_t most = (uint64_t)s->settings->values->message_size_limit * OVERRUN_FACTOR;

	return c->fault != CONTENT_FINE && c->octets > (most > OVERRUN_MIN ? most : OVERRUN_MIN);
}

size_t
flow_feed(struct session *s, struct span bytes)
{
	struct content *c = &s->transaction->content;
	size_t room = submission_room(s), n;

	if (room == 0) {
		wait_for_queue(s);
		return 0;
	}
	bytes = span_sub(bytes, 0, room);
	n = content_feed(c, bytes);
	if (check_flow_run(s))
		(void)header_flow_run(s);
	if (c->fault != CONTENT_FINE)
		submission_abort(s);
	if (overran(s)) {
		reply_goodbye(s, "too many errors", 552, "5.3.4", "Error: message file too big");
		return n;
	}
	if (session_deadline_is_old(s))
		session_data_deadline(s, s->transaction->begun_us, c->octets);
	return n;
}

static void
log_content_reject(struct session *s, const char *text)
{
	log_action(s, "reject", "END-OF-MESSAGE", SPAN_LIT(""), span_of(text));
}

void
flow_refuse(struct session *s)
{
	const struct conf_values *v = s->settings->values;
	enum content_fault fault = s->transaction->content.fault;
	char text[500];

	switch (fault) {
	case CONTENT_TOO_MANY_HOPS:
		(void)snprintf(text, sizeof(text), "554 5.4.0 Error: too many hops");
		break;
	case CONTENT_HEADER_TOO_BIG:
		(void)snprintf(text, sizeof(text), "552 5.3.4 Error: message header too big");
		break;
	case CONTENT_REFUSED:
		(void)snprintf(text, sizeof(text), "%s", check_flow_refusal(s));
		break;
	case CONTENT_NO_ANSWER:
		(void)snprintf(text, sizeof(text), "451 4.3.0 Error: temporary lookup failure");
		break;
	case CONTENT_BARE_LF:
		(void)snprintf(text, sizeof(text), "%lld 5.5.2 %.200s Error: bare <LF> received",
		    (long long)v->smtpd_forbid_bare_newline_reject_code, v->myhostname);
		break;
	default:
		(void)snprintf(text, sizeof(text), "552 5.3.4 Error: message file too big");
	}
	/* What checks refused was logged with the line that it was for. */
	if (fault != CONTENT_REFUSED)
		log_content_reject(s, text);
	transaction_free(s);
	reply_text(s, span_of(text));
	session_continue(s);
}

/* As in Postfix lists behind RCPT know the recipient if there is one; of several none stands for all. */
static struct span
only_recipient(const struct session *s)
{
	return s->transaction->accepted == 1 ? s->transaction->first_recipient : SPAN_LIT("");
}

static void
recipient_known(struct session *s, const struct resolution *r)
{
	s->check->resolution = r;
	s->check->unlisted_checked = true; /* when it was taken */
	check_start(s->check);
}

static void
check_message(struct session *s, struct check *c, enum restriction_stage stage)
{
	c->recipient = only_recipient(s);
	check_add_stage(c, stage);
	if (c->recipient.len > 0)
		resolution_find(
		    s, c->recipient, s->transaction->rewritten_sender, RESOLVE_BCC, recipient_known);
	else
		check_start(c);
}

static void
end_message(struct session *s, const char *refusal)
{
	if (refusal) {
		transaction_free(s);
		reply_text(s, span_of(refusal));
	} else
		submission_close(s);
	session_continue(s);
}

static void
end_checked(struct session *s, bool permitted)
{
	if (permitted)
		envelope_change(s, end_message);
	else
		end_message(s, s->check->text);
}

void
flow_finish(struct session *s)
{
	s->after_message = true;
	s->transaction->finishing = true;
	flow_finished(s);
}

void
flow_resume(struct session *s)
{
	struct transaction *t = s->transaction;

	if (t->content.fault != CONTENT_FINE)
		submission_abort(s);
	if (t->finishing)
		flow_finished(s);
	else if (header_flow_run(s))
		session_continue(s);
}

void
flow_finished(struct session *s)
{
	struct content *c = &s->transaction->content;

	/* A question about what came before: what comes behind it was not asked about. */
	if (s->waiting != WAIT_NONE)
		return;
	content_finish(c);
	if (!check_flow_finish(s) || !header_flow_run(s))
		return;
	if (c->fault != CONTENT_FINE) {
		flow_refuse(s);
		return;
	}
	if (s->settings->restrictions[RESTRICT_END_OF_DATA]->count == 0) {
		end_message(s, NULL);
		return;
	}
	check_message(s, check_new(s, "END-OF-MESSAGE", end_checked), RESTRICT_END_OF_DATA);
}

/* ---- before any content ---- */

static void
user_counted(struct session *s, const char *refusal)
{
	if (refusal) {
		s->transaction->prepared(s, refusal);
		return;
	}
	if (s->smtpd->peers[ROLE_QUEUE] || (s->transaction->flags & MAIL_DISCARD)) {
		s->transaction->prepared(s, NULL);
		return;
	}
	s->transaction->prepared(s, "451 4.3.0 Error: mail system is temporarily unavailable");
}

static void
client_known(struct session *s, const char *refusal)
{
	if (refusal)
		s->transaction->prepared(s, refusal);
	else
		user_limits_count(s, user_counted);
}

static void
envelope_known(struct session *s, const char *refusal)
{
	if (refusal)
		s->transaction->prepared(s, refusal);
	else
		local_client_find(s, client_known);
}

static void
checked(struct session *s, bool permitted)
{
	if (permitted)
		envelope_change(s, envelope_known);
	else
		s->transaction->prepared(s, s->check->text);
}

void
flow_prepare(struct session *s, void (*done)(struct session *s, const char *refusal))
{
	s->transaction->prepared = done;
	if (s->settings->restrictions[RESTRICT_DATA]->count == 0) {
		checked(s, true);
		return;
	}
	check_message(s, check_new(s, command_name(s->command), checked), RESTRICT_DATA);
}
