#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/ipc/ipc.h"
#include "delivery/smtp/connection_auth.h"
#include "delivery/smtp/connection_inside.h"
#include "delivery/smtp/timeouts.h"

enum { DISCARD_TIMEOUT_MS = 60000 };

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

/* ---- smtp_discard_ehlo_keyword_address_maps ---- */

/* Without an answer nothing is believed, nor said: the mail waits. */
static int
on_discard(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct connection *c = context;
	struct verdict why;

	(void)err;
	c->discard_call = 0;
	if (frame && frame->map_answer.status != LOOKUP_TEMPORARY) {
		if (frame->map_answer.status == LOOKUP_FOUND)
			c->discard = mem_strndup(frame->map_answer.value.ptr, frame->map_answer.value.len);
		connection_hello(c, EHLO);
		return 0;
	}
	log_warning(NULL, "smtp_discard_ehlo_keyword_address_maps: lookup error for %s", c->host.text);
	verdict_set(&why, "4.3.0", "local data error while talking to %s", c->name);
	connection_fail(c, &why);
	return 0;
}

static void
ask_discard(struct connection *c)
{
	const struct msg_map_ask ask = {
	    .tables = span_of(c->conf->values->smtp_discard_ehlo_keyword_address_maps),
	    .form = LOOKUP_EXACT,
	    .key = span_of(c->host.text)};
	struct agent *agent = c->plan.agent;

	if (agent->lookup)
		c->discard_call =
		    ipc_ask(agent->lookup, IPC_MAP_ASK, &ask, DISCARD_TIMEOUT_MS, on_discard, c);
	if (c->discard_call == 0)
		on_discard(c, NULL, NULL);
}

/* "220 mx.example ESMTP" */
static bool
says_esmtp(const struct reply *r)
{
	struct span rest = span_make(r->text, r->len), line, word;

	while (reply_next_line(&rest, &line))
		while (span_next_word(&line, " \t", &word))
			if (span_is_nocase(word, "ESMTP"))
				return true;
	return false;
}

static void
on_greeting(struct connection *c, const struct reply *r)
{
	const struct conf_values *v = c->conf->values;
	bool by_helo =
	    !c->plan.lmtp && (v->smtp_never_send_ehlo || (!v->smtp_always_send_ehlo && !says_esmtp(r)));

	if (c->discard_call != 0) { /* nothing was sent that it could answer */
		connection_lose(c, LOSS_GARBAGE);
		return;
	}
	if (r->code / 100 != 2) {
		connection_refused(c, r, v->smtp_skip_5xx_greeting);
		return;
	}
	if (by_helo || v->smtp_discard_ehlo_keyword_address_maps[0] == '\0')
		connection_hello(c, by_helo ? HELO : EHLO);
	else
		ask_discard(c);
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
	capabilities_parse(&c->capabilities, r,
	    span_of(c->discard ? c->discard : c->conf->values->smtp_discard_ehlo_keywords), &domain);
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
