#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "common/conf/conf.h"
#include "common/tls/session.h"
#include "delivery/smtp/connection_inside.h"
#include "delivery/smtp/tls_client.h"
#include "delivery/smtp/tls_family.h"

enum { NAMES_MAX = 100, NAMES_OCTETS = 16 * 1024 };

/* What holds for this connection: a host whose TLS broke is tried without where it only may be. */
static enum tls_level
level_here(const struct connection *c)
{
	if (c->plan.plain && c->policy->level == TLS_LEVEL_MAY)
		return TLS_LEVEL_NONE;
	return c->policy->level;
}

static void
family_here(const struct connection *c, struct tls_family *f)
{
	tls_family_of(c->conf->values, c->plan.lmtp, f);
}

static void
fail(struct connection *c, const char *code, const char *text)
{
	struct verdict why;

	verdict_set(&why, code, "%s", text);
	connection_fail(c, &why);
}

/* ---- the decision ---- */

static void
note_offer(const struct connection *c, const struct tls_family *f)
{
	struct log log = connection_log(c);

	if ((c->capabilities.offers & OFFERS_STARTTLS) && f->note_offer && !c->plan.plain)
		log_info(&log, "Host offered STARTTLS: [%s]", c->host.name);
}

/*
 * Replies that came before there was anything to reply to: somebody prepended commands of his own to this session
 * (CVE-2009-3555).
 */
static bool
early_reply(struct connection *c, const struct tls_family *f)
{
	struct log log = connection_log(c);

	if (!f->block_early_reply || !c->input_behind)
		return false;
	log_warning(&log, "server %s sent a reply to a command that was not sent yet", c->relay);
	fail(c, "4.7.0", "unexpected server message");
	return true;
}

bool
connection_tls_suffices(struct connection *c)
{
	enum tls_level level = level_here(c);
	struct tls_family f;
	char text[VERDICT_RELAY_SIZE + 100];

	family_here(c, &f);
	if (c->tls_on)
		return !early_reply(c, &f);
	if (level == TLS_LEVEL_NONE) {
		note_offer(c, &f);
		return true;
	}
	if ((c->capabilities.offers & OFFERS_STARTTLS) && c->plan.agent->tls) {
		c->stage = STARTTLS;
		connection_send(c, SPAN_LIT("STARTTLS\r\n"), f.handshake_timeout_us);
		return false;
	}
	if (level == TLS_LEVEL_MAY)
		return true;
	if (!(c->capabilities.offers & OFFERS_STARTTLS)) {
		snprintf(text, sizeof text, "TLS is required, but was not offered by host %s", c->name);
		fail(c, "4.7.4", text);
	} else {
		fail(c, "4.7.5", "TLS is required, but our TLS engine is unavailable");
	}
	return false;
}

void
connection_tls_handle_reply(struct connection *c, const struct reply *r)
{
	struct log log = connection_log(c);
	struct verdict why;
	char text[900];

	if (r->code / 100 == 2) {
		if (!c->input_behind) {
			connection_tls_start(c);
			return;
		}
		/* Whoever wrote that need not be the server: it must not be read as if it had come in TLS. */
		log_warning(&log, "host %s sent plain text behind its reply to STARTTLS", c->relay);
		c->tls_broke = true;
		fail(c, "4.7.0", "Cannot start TLS: plain text behind the reply to STARTTLS");
		return;
	}
	if (level_here(c) == TLS_LEVEL_MAY && r->code != 421) {
		/* It goes on as it began. */
		c->tls_given_up = true;
		connection_welcome(c);
		return;
	}
	if (level_here(c) == TLS_LEVEL_MAY) {
		c->tls_broke = true;
		connection_refused(c, r, false);
		return;
	}
	reply_one_line(r, text, sizeof text);
	verdict_of_reply(
	    &why, r, c->host.name, "TLS is required, but host %s refused to start TLS: %s", c->name, text);
	verdict_soften(&why);
	if (why.code[0] != '4')
		snprintf(why.code, sizeof why.code, "4.7.4");
	connection_fail(c, &why);
}

/* ---- the end of the handshake ---- */

static struct span
session_key(const struct connection *c, char *text, size_t size)
{
	int len = snprintf(text, size, "%s[%s]:%u %s %s %s", c->host.socket, c->host.text,
	    c->host.socket[0] ? 0 : ntohs(c->host.address.v4.sin_port), c->greeted_as,
	    tls_policy_servername(c->policy, c->host.name), c->policy->key);

	return span_make(text, len < 0 ? 0 : (size_t)len < size ? (size_t)len : size - 1);
}

static void
on_session(void *context, struct span bytes)
{
	struct connection *c = context;
	struct tls_family f;
	char key[1100];

	if (c->dead)
		return;
	family_here(c, &f);
	tls_client_remember(c->plan.agent->tls, session_key(c, key, sizeof key), bytes, f.cache_timeout_us);
}

static void
handshake_failed(struct connection *c, const char *reason)
{
	struct log log = connection_log(c);
	struct verdict why;
	char key[1100];

	log_info(&log, "SSL_connect error to %s: %s", c->relay, reason);
	tls_client_forget(c->plan.agent->tls, session_key(c, key, sizeof key));
	c->tls_broke = true;
	verdict_set(&why, "4.7.5", "Cannot start TLS: handshake failure (%s)", reason);
	connection_fail(c, &why);
}

void
connection_tls_lose(struct connection *c, enum connection_loss how)
{
	handshake_failed(c, how == LOSS_TIMEOUT ? "timeout" : "lost connection");
}

static void
tell_established(const struct connection *c, const struct tls_facts *facts)
{
	struct log log = connection_log(c);
	struct tls_family f;
	struct buf line;

	family_here(c, &f);
	buf_init(&line, LOG_LINE_MAX);
	buf_printf(
	    &line, "%s TLS connection established to %s: ", tls_standing_name(facts->standing), c->relay);
	tls_facts_summary(facts, &line);
	if (f.log_level >= 1)
		log_info(&log, "%s", buf_text(&line));
	if (c->plan.trace)
		c->plan.trace(c->plan.trace_context, false, buf_span(&line));
	buf_free(&line);
}

/* The certificate, against what the policy wants of it: false if the connection has failed for it. */
static bool
certificate_suffices(struct connection *c, const struct tls_facts *facts)
{
	bool trusted = c->policy->level < TLS_LEVEL_VERIFY || facts->trusted;
	struct log log = connection_log(c);
	struct verdict why;

	if (c->policy->level < TLS_LEVEL_FINGERPRINT || (trusted && facts->matched))
		return true;
	if (!trusted) {
		log_info(&log, "server certificate verification failed for %s: %s", c->relay,
		    facts->why_untrusted);
		verdict_set(&why, "4.7.5", "Server certificate not trusted: %s", facts->why_untrusted);
	} else {
		log_info(&log, "server certificate verification failed for %s: %s", c->relay,
		    c->policy->level == TLS_LEVEL_FINGERPRINT ? "no matching fingerprint"
							      : "num=62:hostname mismatch");
		verdict_set(&why, "4.7.5", "Server certificate not verified: it has none of the %s wanted",
		    c->policy->level == TLS_LEVEL_FINGERPRINT ? "fingerprints" : "names");
	}
	connection_fail(c, &why);
	return false;
}

static void
on_tls_done(void *context, bool ok, const char *reason)
{
	struct connection *c = context;
	const struct tls_facts *facts;

	connection_enter(c);
	facts = ok ? tls_facts(c->stream) : NULL;
	if (!facts) {
		handshake_failed(c, reason);
	} else {
		tell_established(c, facts);
		if (c->plan.agent->tls_inspect)
			c->plan.agent->tls_inspect(c->plan.agent->tls_inspect_context, c, facts);
		c->tls_on = true;
		if (!certificate_suffices(c, facts))
			; /* told */
		else if (c->policy->wrapper)
			connection_begin(c);
		else
			connection_hello(c, EHLO);
	}
	connection_leave(c);
}

/* ---- its beginning ---- */

/* Lines become the list that tls_start() wants. */
static size_t
split_lines(struct buf *lines, const char *list[NAMES_MAX])
{
	char *at = buf_ptr(lines), *end = at + lines->len, *newline;
	size_t count = 0;

	for (; at < end && count < NAMES_MAX; at = newline + 1) {
		newline = memchr(at, '\n', (size_t)(end - at));
		if (!newline)
			break;
		*newline = '\0';
		list[count++] = at;
	}
	return count;
}

void
connection_tls_start(struct connection *c)
{
	const struct tls_policy *p = c->policy;
	const char *names[NAMES_MAX], *servername = tls_policy_servername(p, c->host.name);
	struct tls_plan plan = {.name = servername[0] ? servername : NULL,
	    .names = names,
	    .fingerprints = p->fingerprints,
	    .fingerprint_count = p->fingerprint_count,
	    .session = on_session};
	struct tls_family f;
	struct verdict why;
	struct error err = {0};
	struct buf lines;
	char key[1100];

	c->stage = HANDSHAKE;
	plan.context = c->plan.agent->tls ? tls_client_context(c->plan.agent->tls, c->conf, p, &err) : NULL;
	if (!plan.context) {
		verdict_set(&why, "4.7.5", "client TLS configuration problem: %s", err.text);
		connection_fail(c, &why);
		return;
	}
	buf_init(&lines, NAMES_OCTETS);
	if (p->match)
		tls_match_names(&lines, span_of(p->match), p->domain, c->host.name);
	plan.name_count = split_lines(&lines, names);
	plan.resume = tls_client_session(c->plan.agent->tls, session_key(c, key, sizeof key));
	family_here(c, &f);
	connection_set_timeout(c, f.handshake_timeout_us);
	tls_start(c->stream, &plan, on_tls_done, c);
	tls_context_free(&plan.context);
	buf_free(&lines);
}
