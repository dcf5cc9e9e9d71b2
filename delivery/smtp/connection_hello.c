#include <stdio.h>
#include <string.h>

#include "common/conf/conf.h"
#include "delivery/smtp/connection_auth.h"
#include "delivery/smtp/connection_inside.h"
#include "delivery/smtp/timeouts.h"

void
connection_refused(struct connection *c, const struct reply *r, bool soften)
{
	struct verdict why;
	char text[1000];

	reply_one_line(r, text, sizeof text);
	verdict_of_reply(&why, r, c->host.name, "host %s refused to talk to me: %s", c->name, text);
	if (soften)
		verdict_soften(&why);
	/* "221 bye" where a welcome was due. */
	if (why.class == OUTCOME_DELIVERED) {
		why.class = OUTCOME_DEFERRED;
		snprintf(why.code, sizeof why.code, "4.5.0");
	}
	connection_fail(c, &why);
}

void
connection_begin(struct connection *c)
{
	if (c->policy->wrapper && !c->tls_on) {
		connection_tls_start(c);
		return;
	}
	c->stage = GREETING;
	connection_set_timeout(c, timeout_of(c->conf->values, c->plan.lmtp, TIMEOUT_HELLO));
}

void
connection_hello(struct connection *c, enum stage stage)
{
	const struct conf_values *v = c->conf->values;
	char line[600];
	int len = snprintf(line, sizeof line, "%s %s\r\n",
	    stage == HELO  ? "HELO"
	    : c->plan.lmtp ? "LHLO"
			   : "EHLO",
	    c->plan.lmtp ? v->lmtp_lhlo_name : v->smtp_helo_name);

	/* What was offered in plain text counts no more once there is TLS (RFC 3207, 4.2). */
	memset(&c->capabilities, 0, sizeof c->capabilities);
	c->stage = stage;
	if (len < 0 || (size_t)len >= sizeof line)
		len = (int)sizeof line - 1;
	connection_send(c, span_make(line, (size_t)len), timeout_of(v, c->plan.lmtp, TIMEOUT_HELLO));
}

void
connection_welcome(struct connection *c)
{
	if (connection_auth_wanted(c))
		connection_auth_begin(c);
	else
		connection_ready(c);
}

void
connection_ready(struct connection *c)
{
	c->stage = READY;
	c->user->ready(c, c->context);
}

static void
on_greeting(struct connection *c, const struct reply *r)
{
	const struct conf_values *v = c->conf->values;

	if (r->code / 100 != 2) {
		connection_refused(c, r, v->smtp_skip_5xx_greeting);
		return;
	}
	connection_hello(c, v->smtp_never_send_ehlo && !c->plan.lmtp ? HELO : EHLO);
}

static void
on_ehlo_reply(struct connection *c, const struct reply *r)
{
	struct span domain;
	struct verdict why;

	if (r->code / 100 == 5 && !c->plan.lmtp) {
		connection_hello(c, HELO); /* RFC 5321, 3.2 */
		return;
	}
	if (r->code / 100 != 2) {
		connection_refused(c, r, false);
		return;
	}
	capabilities_parse(
	    &c->capabilities, r, span_of(c->conf->values->smtp_discard_ehlo_keywords), &domain);
	span_copy(domain, c->greeted_as, sizeof c->greeted_as);
	if (c->plan.detect_loop && span_is_nocase(domain, c->conf->values->myhostname)) {
		verdict_set(&why, "5.4.6", "mail for %s loops back to myself", c->nexthop);
		why.loops = true;
		connection_fail(c, &why);
		return;
	}
	if (connection_tls_suffices(c))
		connection_welcome(c);
}

static void
on_helo_reply(struct connection *c, const struct reply *r)
{
	if (r->code / 100 != 2) {
		connection_refused(c, r, false);
		return;
	}
	if (connection_tls_suffices(c))
		connection_welcome(c);
}

/* What a reply means at each stage, and what we were doing when it did not come. */
static const struct {
	void (*reply)(struct connection *c, const struct reply *r);
	const char *doing;
} stages[] = {
    [CONNECTING] = {NULL, "connecting"},
    [GREETING] = {on_greeting, "receiving the initial server greeting"},
    [EHLO] = {on_ehlo_reply, "performing the EHLO handshake"},
    [HELO] = {on_helo_reply, "performing the HELO handshake"},
    [STARTTLS] = {connection_tls_handle_reply, "receiving the STARTTLS response"},
    [HANDSHAKE] = {NULL, "performing the TLS handshake"},
    [AUTH] = {connection_auth_handle_reply, "performing SASL authentication"},
};

void
connection_handle_reply(struct connection *c, const struct reply *r)
{
	stages[c->stage].reply(c, r);
}

const char *
connection_doing(const struct connection *c)
{
	return stages[c->stage].doing;
}
