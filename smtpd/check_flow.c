#include "smtpd/check_flow.h"

#include <stdio.h>

#include "common/base/text.h"
#include "common/ipc/protocol.h"
#include "common/mail/content_checks.h"
#include "common/mail/outcome.h"
#include "smtpd/content_flow.h"
#include "smtpd/envelope_change.h"
#include "smtpd/header_flow.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

enum { FIRST_MAX = 45000, MORE_MAX = 60000, LOGGED_MAX = 200 };

unsigned
check_flow_classes(const struct conf_values *v)
{
	const char *const tables[CHECK_CLASS_COUNT] = {
	    [CHECK_HEADER] = v->header_checks,
	    [CHECK_MIME_HEADER] = v->mime_header_checks,
	    [CHECK_NESTED_HEADER] = v->nested_header_checks,
	    [CHECK_BODY] = v->body_checks,
	};
	unsigned classes = 0;

	for (unsigned i = 0; i < CHECK_CLASS_COUNT; i++)
		if (tables[i][0] != '\0')
			classes |= 1U << i;
	return classes;
}

/* ---- actions ---- */

/* The line of Postfix's cleanup: "reject: header Subject: ... from NAME[ADDRESS]; from=<> to=<> proto= helo=: text". */
static void
log_action_of_check(
    struct session *s, const struct check_action *action, enum check_class class, struct span text)
{
	const struct transaction *t = s->transaction;
	struct log log = session_log(s);
	char label[CLIENT_LABEL_SIZE];
	struct buf line;

	log.ident = "cleanup";
	buf_init(&line, 8000);
	(void)buf_printf(&line, "%s: %s", check_verb_word(action->verb), check_class_word(class));
	text_append_printable(&line, text, LOGGED_MAX);
	(void)buf_printf(
	    &line, " from %s; from=<%.*s>", session_label(s, label), SPAN_ARG(t->rewritten_sender));
	if (t->first_recipient.len)
		(void)buf_printf(&line, " to=<%.*s>", SPAN_ARG(t->first_recipient));
	(void)buf_printf(&line, " proto=%s", s->esmtp ? "ESMTP" : "SMTP");
	if (s->helo) {
		(void)buf_append_text(&line, " helo=<");
		text_append_printable(&line, span_of(s->helo), LOGGED_MAX);
		(void)buf_append_text(&line, ">");
	}
	check_action_put_words(action, LOGGED_MAX, &line);
	log_info(&log, "%s", buf_text(&line));
	buf_free(&line);
}

static bool
has_enhanced_code(struct span text)
{
	struct span word;

	return span_next_word(&text, " \t", &word) && enhanced_code_valid(word) && word.ptr[0] != '2';
}

static void
refuse(struct transaction *t, struct span text)
{
	if (text.len == 0)
		text = SPAN_LIT("5.7.1 message content rejected");
	bool coded = has_enhanced_code(text);
	t->check_refusal = arena_printf(t->arena, "%s %s%.*s", coded && text.ptr[0] == '4' ? "451" : "550",
	    coded ? "" : "5.7.1 ", (int)(text.len < 400 ? text.len : 400), text.ptr);
	if (t->check_refusal == NULL)
		t->check_refusal = "550 5.7.1 message content rejected";
	if (t->content.fault == CONTENT_FINE)
		t->content.fault = CONTENT_REFUSED;
}

static void
acted(void *context, const struct check_action *action, enum check_class class, struct span text)
{
	struct session *s = context;
	struct transaction *t = s->transaction;

	/* No more of the header comes. */
	if (action->verb == CHECK_REJECT || action->verb == CHECK_DISCARD)
		flow_log_message_id(s);
	if (action->verb != CHECK_IGNORE && !(action->verb == CHECK_HOLD && (t->flags & MAIL_HOLD)))
		log_action_of_check(s, action, class, text);
	switch (action->verb) {
	case CHECK_REJECT:
		refuse(t, action->text);
		break;
	case CHECK_DISCARD:
		t->flags |= MAIL_DISCARD;
		submission_abort(s);
		break;
	case CHECK_HOLD:
		t->flags |= MAIL_HOLD;
		t->content.flags |= MAIL_HOLD;
		break;
	case CHECK_REDIRECT:
		t->redirect = arena_copy_span(t->arena, action->text);
		t->redirect_due = true;
		break;
	case CHECK_FILTER:
		t->filter = arena_copy_span(t->arena, action->text);
		t->recipients_changed = true;
		break;
	case CHECK_BCC:
		transaction_want_copy(t, action->text);
		break;
	case CHECK_PREPEND:
	case CHECK_REPLACE:
		/* Who knows what lines a table writes. */
		t->content.flags |= MAIL_DOTS | MAIL_LONG_LINES;
		break;
	default:
		break;
	}
}

static void
complain(void *context, struct span value, const char *why)
{
	struct session *s = context;
	struct log log = session_log(s);

	log_warning(&log, "header or body checks: %.*s: %s",
	    (int)(value.len < LOGGED_MAX ? value.len : LOGGED_MAX), value.ptr, why);
}

/* ---- content ---- */

static void
put(void *context, struct span bytes)
{
	struct session *s = context;

	/* A table may have put in what the content did not have. */
	if (text_is_8bit(bytes))
		s->transaction->content.flags |= MAIL_8BIT;
	header_flow_put(s, bytes, content_checks_in_header(s->transaction->checks));
}

/* Tables may take away what a message must have, or put it in: what is missing is known only now. */
static void
field(void *context, struct span text)
{
	struct session *s = context;

	content_note_field(&s->transaction->content, text);
}

static void
header_end(void *context)
{
	flow_complete_header(context);
}

void
check_flow_begin(struct session *s)
{
	const struct conf_values *v = s->settings->values;
	struct transaction *t = s->transaction;
	const struct content_checks_sink sink = {put, acted, complain, s};
	static const struct content_checks_header header = {field, header_end};
	const struct content_checks_rules rules = {
	    .classes = s->settings->check_classes,
	    .strict = s->settings->is_strict ? &s->settings->strict : NULL,
	    .field_limit = (size_t)v->header_size_limit,
	    .line_limit = (size_t)v->line_length_limit,
	    .body_limit = (uint64_t)v->body_checks_size_limit,
	    .drop_headers = v->message_drop_headers,
	    .mime = {.nesting = (size_t)v->mime_nesting_limit,
		.boundary = (size_t)v->mime_boundary_length_limit,
		.off = v->disable_mime_input_processing},
	};

	if (rules.strict && rules.strict->stripped.any)
		t->content.flags |= MAIL_DOTS;
	if (rules.classes != 0 || rules.strict)
		t->checks = content_checks_new(&rules, &sink);
	if (t->content.rules.fields_later)
		content_checks_watch_header(t->checks, &header);
}

void
check_flow_put(struct session *s, struct span bytes)
{
	if (s->transaction->checks)
		content_checks_put(s->transaction->checks, bytes);
	else
		header_flow_put(s, bytes, s->transaction->content.in_header);
}

void
check_flow_add_field(struct session *s, struct span line)
{
	struct transaction *t = s->transaction;

	if (t->content.rules.fields_later) {
		content_checks_add_field(t->checks, line);
		return;
	}
	if (t->checks)
		content_checks_adding(t->checks, true);
	content_add_field(&t->content, line);
	if (t->checks)
		content_checks_adding(t->checks, false);
}

/* ---- asking ---- */

static ipc_answer on_answer;

/* In frames as large as they may be. */
static int
ask(struct session *s)
{
	const struct conf_values *v = s->settings->values;
	struct content_checks_packing packing = {0};
	struct msg_check_ask first = {.header = span_of(v->header_checks),
	    .mime_header = span_of(v->mime_header_checks),
	    .nested_header = span_of(v->nested_header_checks),
	    .body = span_of(v->body_checks)};
	struct buf bytes;
	int status;

	buf_init(&bytes, MORE_MAX);
	first.more = content_checks_pack(s->transaction->checks, &packing, FIRST_MAX, &bytes);
	first.lines = buf_span(&bytes);
	status = session_ask(s, ROLE_LOOKUP, IPC_CHECK_ASK, &first, on_answer, s);
	for (bool more = first.more; more && status == 0;) {
		struct msg_check_lines m;
		buf_clear(&bytes);
		m.more = more = content_checks_pack(s->transaction->checks, &packing, MORE_MAX, &bytes);
		m.lines = buf_span(&bytes);
		status = ipc_send(s->smtpd->peers[ROLE_LOOKUP], IPC_CHECK_LINES, s->wait_call, &m);
	}
	buf_free(&bytes);
	return status;
}

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct session *s = context;
	struct transaction *t = s->transaction;

	(void)err;
	if (frame && frame->type == IPC_CHECK_HIT) {
		content_checks_found(t->checks, frame->check_hit.line, frame->check_hit.value);
		return 0;
	}
	session_answered(s);
	if (frame && frame->check_done.status == LOOKUP_FOUND)
		content_checks_settle(t->checks);
	else if (t->content.fault == CONTENT_FINE)
		t->content.fault = CONTENT_NO_ANSWER;
	flow_resume(s);
	return 0;
}

bool
check_flow_run(struct session *s)
{
	struct transaction *t = s->transaction;

	if (s->waiting != WAIT_NONE)
		return false;
	if (!t->checks || t->content.fault != CONTENT_FINE || !content_checks_asks(t->checks))
		return true;
	if (ask(s) == 0)
		return false;
	session_answered(s);
	t->content.fault = CONTENT_NO_ANSWER;
	return true;
}

static void
envelope_settled(struct session *s, const char *refusal)
{
	struct transaction *t = s->transaction;

	t->envelope_settled = true;
	if (refusal && t->content.fault == CONTENT_FINE)
		t->content.fault = CONTENT_NO_ANSWER;
	flow_resume(s);
}

bool
check_flow_finish(struct session *s)
{
	struct transaction *t = s->transaction;

	if (!t->checks || t->envelope_settled)
		return true;
	if (!t->checks_finished) {
		t->checks_finished = true;
		content_checks_finish(t->checks);
	}
	if (!check_flow_run(s))
		return false;
	t->content.header_octets = content_checks_header_octets(t->checks);
	if (t->content.fault != CONTENT_FINE || (t->flags & MAIL_DISCARD)) {
		t->envelope_settled = true;
		return true;
	}
	envelope_change(s, envelope_settled);
	return false;
}

const char *
check_flow_refusal(const struct session *s)
{
	return s->transaction->check_refusal;
}
