/*
 * DATA (RFC 5321, 4.1.1.4).
 */
#include "smtpd/content_flow.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

static void
go_ahead(struct session *s)
{
	s->input = INPUT_CONTENT;
	reply_go_ahead(s);
	session_continue(s);
}

static void
checked(struct session *s, bool permitted)
{
	if (permitted) {
		go_ahead(s);
		return;
	}
	transaction_free(s);
	reply_text(s, span_of(s->check->text));
	session_continue(s);
}

void
cmd_data(struct session *s, struct span arguments)
{
	struct check *c;

	if (arguments.len) {
		transaction_free(s);
		reply(s, 501, "5.5.4", "Syntax: DATA");
		return;
	}
	if (!flow_possible(s))
		return;
	if (s->settings->restrictions[RESTRICT_DATA]->count == 0) {
		go_ahead(s);
		return;
	}
	c = check_new(s, "DATA", checked);
	check_add_stage(c, RESTRICT_DATA);
	check_start(c);
}

size_t
data_input(struct session *s, struct span bytes)
{
	size_t n;

	if (!s->transaction->content_begun)
		flow_begin(s, true);
	n = flow_feed(s, bytes);
	if (!s->ending && s->transaction->content.ended) {
		s->input = INPUT_COMMANDS;
		flow_finish(s);
	}
	return n;
}
