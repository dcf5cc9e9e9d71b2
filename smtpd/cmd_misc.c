/*
 * RSET, NOOP, HELP, ETRN (RFC 1985) and QUIT.
 */
#include "common/mail/address.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

void
cmd_rset(struct session *s, struct span arguments)
{
	if (arguments.len) {
		reply(s, 501, "5.5.4", "Syntax: RSET");
		return;
	}
	transaction_free(s);
	reply(s, 250, "2.0.0", "Ok");
}

void
cmd_noop(struct session *s, struct span arguments)
{
	(void)arguments;
	reply(s, 250, "2.0.0", "Ok");
}

void
cmd_help(struct session *s, struct span arguments)
{
	(void)arguments;
	reply_more(s, 214, "2.0.0", "Commands:");
	reply_more(s, 214, "2.0.0",
	    "HELO EHLO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY EXPN ETRN HELP");
	reply(s, 214, "2.0.0", "End of HELP; RFC 5321 says the rest");
}

void
cmd_quit(struct session *s, struct span arguments)
{
	(void)arguments;
	s->quit = true;
	s->good[COMMAND_QUIT]++;
	reply_goodbye(s, NULL, 221, "2.0.0", "Bye");
}

/* ---- ETRN ---- */

static int
on_flush(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct session *s = context;

	(void)err;
	session_answered(s);
	if (!frame)
		reply(s, 458, "4.3.0", "Unable to queue messages");
	else if (frame->flush_answer.messages)
		reply(s, 253, "2.0.0", "OK, %llu pending messages started",
		    (unsigned long long)frame->flush_answer.messages);
	else
		reply(s, 250, "2.0.0", "Queuing started");
	session_continue(s);
	return 0;
}

static void
flush(struct session *s, struct span domain)
{
	struct msg_flush_ask ask = {.domain = domain};

	if (session_ask(s, ROLE_QUEUE, IPC_FLUSH_ASK, &ask, on_flush, s) < 0)
		reply(s, 458, "4.3.0", "Unable to queue messages");
}

static void
refuse(struct session *s, struct span domain)
{
	char label[CLIENT_LABEL_SIZE];
	struct log log = session_log(s);

	log_warning(&log, "reject: ETRN %.*s... from %s", SPAN_ARG(domain), session_label(s, label));
	reply(s, 459, "4.7.1", "<%.*s>: service unavailable", SPAN_ARG(domain));
}

static int
on_listed(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct session *s = context;
	struct span domain = s->check->etrn_domain;

	(void)err;
	session_answered(s);
	if (!frame || frame->map_answer.status == LOOKUP_TEMPORARY)
		reply(s, 458, "4.3.0", "Unable to queue messages");
	else if (frame->map_answer.status == LOOKUP_NOT_FOUND)
		refuse(s, domain);
	else
		flush(s, domain);
	session_continue(s);
	return 0;
}

/* domain is word or, as parent_domain_matches_subdomains has it by default for this list, below it. */
static bool
matches(struct span domain, struct span word)
{
	struct span tail;

	if (domain.len < word.len || word.len == 0)
		return false;
	tail = span_from(domain, domain.len - word.len);
	return span_equal_nocase(tail, word) &&
	       (tail.len == domain.len || domain.ptr[domain.len - word.len - 1] == '.');
}

/* fast_flush_domains: names here, tables at lookup. */
static void
flush_if_listed(struct session *s, struct span domain)
{
	struct span rest = span_of(s->settings->values->fast_flush_domains), word;
	struct buf tables;
	struct msg_map_ask ask = {.form = LOOKUP_HOST, .key = domain};
	bool listed = false;

	buf_init(&tables, 8000);
	while (conf_list_next(&rest, &word)) {
		if (span_find(word, ':') < 0)
			listed |= matches(domain, word);
		else
			(void)buf_printf(&tables, "%s%.*s", tables.len ? ", " : "", SPAN_ARG(word));
	}
	ask.tables = buf_span(&tables);
	if (listed)
		flush(s, domain);
	else if (tables.len == 0)
		refuse(s, domain);
	else if (session_ask(s, ROLE_LOOKUP, IPC_MAP_ASK, &ask, on_listed, s) < 0)
		reply(s, 458, "4.3.0", "Unable to queue messages");
	buf_free(&tables);
}

static void
etrn_checked(struct session *s, bool permitted)
{
	if (permitted)
		flush_if_listed(s, s->check->etrn_domain);
	else
		reply_text(s, span_of(s->check->text));
	session_continue(s);
}

/* "@domain" asks for subdomains and "#name" for a queue by name: neither is had here (RFC 1985, 5.3). */
void
cmd_etrn(struct session *s, struct span arguments)
{
	struct check *c;

	if (arguments.len == 0) {
		reply(s, 500, "5.5.2", "Syntax: ETRN domain");
		return;
	}
	if (arguments.len > DOMAIN_MAX || !domain_valid(arguments, false)) {
		reply(s, 501, "5.5.4", "Error: invalid parameter syntax");
		return;
	}
	c = check_new(s, "ETRN", etrn_checked);
	c->etrn_domain = arena_copy_span(session_request(s), arguments);
	if (s->settings->values->smtpd_delay_reject) {
		check_add_stage(c, RESTRICT_CLIENT);
		check_add_stage(c, RESTRICT_HELO);
	}
	check_add_stage(c, RESTRICT_ETRN);
	check_start(c);
}
