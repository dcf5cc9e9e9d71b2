/*
 * Class protocol of notify_classes: postmaster reads what was said on a connection whose server found our commands wrong, or
 * broke the protocol.
 */
#include <stdio.h>

#include "common/conf/conf.h"
#include "common/server/server.h"
#include "delivery/smtp/connection_inside.h"

void
connection_errors_begin(struct connection *c)
{
	c->tells_errors = (transcript_classes(c->conf->values->notify_classes) & CLASS_PROTOCOL) != 0;
}

void
connection_errors_line(struct connection *c, bool sent, struct span line)
{
	if (!c->tells_errors)
		return;
	if (sent && transcript_is_notice(line, c->conf->values->double_bounce_sender))
		c->transcript.muted = true;
	transcript_add(&c->transcript, sent ? TRANSCRIPT_OUT : TRANSCRIPT_IN, line);
}

void
connection_errors_broken(struct connection *c)
{
	if (c->tells_errors)
		transcript_error(&c->transcript, CLASS_PROTOCOL);
}

/*
 * RFC 5321, 4.2.1: x0z is about syntax. 555 is for parameters that are not known (4.1.1.11). A server that does not know EHLO
 * is an old one, and no error.
 */
void
connection_errors_reply(struct connection *c, unsigned code)
{
	bool about_syntax = (code >= 500 && code < 510) || code == 555;

	if (about_syntax && c->stage != EHLO)
		connection_errors_broken(c);
}

void
connection_errors_tell(struct connection *c)
{
	struct transcript *t = &c->transcript;
	char subject[VERDICT_RELAY_SIZE + 40];
	struct msg_session_errors m = {
	    .classes = (uint8_t)t->classes, .reason = SPAN_LIT(""), .omitted = t->omitted};

	if (t->classes && !t->muted && c->plan.agent->server) {
		(void)snprintf(subject, sizeof(subject), "%s client: errors from %s",
		    c->plan.lmtp ? "LMTP" : "SMTP", c->relay);
		m.subject = span_of(subject);
		m.lines = span_make(t->text, t->len);
		(void)ipc_send(server_peer(c->plan.agent->server, ROLE_QUEUE, 0), IPC_SESSION_ERRORS, 0, &m);
	}
	transcript_free(t);
}
