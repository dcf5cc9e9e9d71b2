/*
 * DATA (RFC 5321, 4.1.1.4).
 */
#include "smtpd/content_flow.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

static void
prepared(struct session *s, const char *refusal)
{
	if (refusal) {
		reply_text(s, span_of(refusal));
		transaction_free(s);
	} else {
		s->input = INPUT_CONTENT;
		reply_go_ahead(s);
	}
	session_continue(s);
}

void
cmd_data(struct session *s, struct span arguments)
{
	if (arguments.len) {
		transaction_free(s);
		reply(s, 501, "5.5.4", "Syntax: DATA");
		return;
	}
	flow_prepare(s, prepared);
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
