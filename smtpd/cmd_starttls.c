/*
 * STARTTLS (RFC 3207).
 */
#include "smtpd/reply.h"
#include "smtpd/session.h"
#include "smtpd/tls.h"
#include "smtpd/tls_level.h"

/* The handshake follows at once: this reply is not held back from a client that made errors. */
static void
say_ready(struct session *s)
{
	reply(s, 220, "2.0.0", "Ready to start TLS");
	if (s->waiting != WAIT_TARPIT)
		return;
	s->waiting = WAIT_NONE;
	reply_release(s);
	stream_resume(s->stream);
}

/*
 * What came behind the command in the same packet is no part of the TLS session and is thrown away (4.2; CVE-2011-0411),
 * if it has not ended the session already: smtpd_forbid_unauth_pipelining.
 */
void
cmd_starttls(struct session *s, struct span arguments)
{
	if (arguments.len)
		reply(s, 501, "5.5.4", "Syntax: STARTTLS");
	else if (s->tls)
		reply(s, 554, "5.5.1", "Error: TLS already active");
	else if (tls_level_of(s->settings->values) == TLS_LEVEL_NONE || keyword_is_hidden(s, "STARTTLS"))
		reply(s, 502, "5.5.1", "Error: command not implemented");
	else if (!tls_is_possible(s))
		reply(s, 454, "4.7.0", "TLS not available due to local problem");
	else {
		say_ready(s);
		tls_begin(s, session_continue);
	}
}
