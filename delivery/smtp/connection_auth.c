#include "delivery/smtp/connection_auth.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/base64.h"
#include "common/base/log.h"
#include "common/base/mark.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/sasl/client.h"
#include "common/tls/facts.h"
#include "delivery/smtp/connection_inside.h"
#include "delivery/smtp/login.h"
#include "delivery/smtp/sasl_choice.h"
#include "delivery/smtp/sasl_family.h"
#include "delivery/smtp/timeouts.h"

enum {
	RESPONSE_SIZE = SASL_CLIENT_MESSAGE_MAX / 3 * 4 + 64,
	INITIAL_LINE_MAX = 512, /* of AUTH with an initial response (RFC 4954, 4) */
	STEPS_MAX = 10, /* more than any mechanism has */
	SCRUB_MIN = 3, /* a shorter password is part of any text */
	TABLES_SEEN_US = 1200000
};

struct connection_auth {
	struct login_search *search;
	struct event *work;
	struct sasl_client *client;
	struct login login;
	bool awaits_reply;
	bool prompt_due; /* the initial response was too long for the command: the server is to ask for it */
	bool asked_again; /* the tables, for a newer token */
	struct verdict refusal; /* of the one before, meanwhile */
	unsigned steps;
	char longest[RESPONSE_SIZE]; /* of our responses, in base64: the secret is in it */
};

static void start_exchange(struct connection *c);

/* ---- the end ---- */

void
connection_auth_free(struct connection *c)
{
	struct connection_auth *a = c->auth;

	c->auth = NULL;
	if (!a)
		return;
	login_cancel(&a->search);
	if (a->work)
		event_free(a->work);
	sasl_client_free(&a->client);
	OPENSSL_cleanse(a, sizeof(*a));
	free(a);
}

static void
fail(struct connection *c, const char *code, const char *text)
{
	struct verdict why;

	verdict_set(&why, code, "SASL authentication failed; %s", text);
	connection_fail(c, &why);
}

/* Postfix's words where the reason is ours. */
static void
cannot(struct connection *c, const char *reason)
{
	char text[VERDICT_RELAY_SIZE + 200];

	(void)snprintf(text, sizeof(text), "cannot authenticate to server %s: %s", c->name, reason);
	fail(c, "4.7.0", text);
}

/* ---- the exchange ---- */

static struct span
shown(void)
{
	return SPAN_LIT("********\r\n");
}

/* shown_lines: what sendmail -v shows instead. */
static void
send_hidden(struct connection *c, struct span lines, struct span shown_lines)
{
	c->auth->awaits_reply = true;
	connection_send_hidden(
	    c, lines, shown_lines, timeout_of(c->conf->values, c->plan.lmtp, TIMEOUT_HELLO));
}

static size_t
encode_response(struct connection_auth *a, char line[RESPONSE_SIZE])
{
	size_t len = base64_encode(sasl_client_message(a->client), line);

	if (len > strlen(a->longest))
		memcpy(a->longest, line, len + 1);
	return len;
}

static void
send_response(struct connection *c)
{
	char line[RESPONSE_SIZE];
	size_t len = encode_response(c->auth, line);

	memcpy(line + len, "\r\n", 3);
	send_hidden(c, span_make(line, len + 2), shown());
	OPENSSL_cleanse(line, sizeof(line));
}

static void
send_command(struct connection *c, const char *name)
{
	struct connection_auth *a = c->auth;
	char line[RESPONSE_SIZE + 32], visible[64], response[RESPONSE_SIZE];
	int len = snprintf(line, sizeof(line), "AUTH %s", name);

	(void)snprintf(visible, sizeof(visible), "AUTH %s ********\r\n", name);
	a->prompt_due = false;
	a->longest[0] = '\0';
	if (!sasl_client_waits(a->client)) {
		size_t size = encode_response(a, response);

		a->prompt_due = (size_t)len + size + 3 > INITIAL_LINE_MAX;
		if (!a->prompt_due)
			len += snprintf(line + len, sizeof(line) - (size_t)len, " %s", size ? response : "=");
	}
	memcpy(line + len, "\r\n", 3);
	if (sasl_client_waits(a->client) || a->prompt_due)
		send_hidden(c, span_of(line), span_of(line));
	else
		send_hidden(c, span_of(line), span_of(visible));
	OPENSSL_cleanse(line, sizeof(line));
	OPENSSL_cleanse(response, sizeof(response));
}

static void take_step(struct connection *c, enum sasl_client_step step);
static void find_login(struct connection *c);

static void
on_work(evutil_socket_t fd, short what, void *context)
{
	struct connection *c = context;

	(void)fd;
	(void)what;
	connection_enter(c);
	if (c->auth->client)
		take_step(c, sasl_client_work(c->auth->client));
	else
		find_login(c);
	connection_leave(c);
}

static void
work_after(struct connection *c, long us)
{
	struct connection_auth *a = c->auth;
	const struct timeval wait = {us / 1000000, us % 1000000};

	if (!a->work)
		a->work = event_new(c->plan.agent->base, -1, 0, on_work, c);
	event_add(a->work, &wait);
}

static void
take_step(struct connection *c, enum sasl_client_step step)
{
	struct connection_auth *a = c->auth;

	switch (step) {
	case SASL_CLIENT_SEND:
		send_response(c);
		break;
	case SASL_CLIENT_WORK:
		/* Behind what else there is to do in this turn of the loop. */
		work_after(c, 0);
		break;
	case SASL_CLIENT_FAILED:
		cannot(c, sasl_client_reason(a->client));
		break;
	}
}

static void
on_challenge(struct connection *c, struct span text)
{
	struct connection_auth *a = c->auth;
	char challenge[BASE64_DECODED_MAX(REPLY_TEXT_MAX)];
	ptrdiff_t len;

	if (++a->steps > STEPS_MAX) {
		char line[VERDICT_RELAY_SIZE + 100];

		(void)snprintf(line, sizeof(line), "authentication protocol loop with server %s", c->name);
		fail(c, "4.3.0", line);
		return;
	}
	if (a->prompt_due) {
		a->prompt_due = false;
		send_response(c);
		return;
	}
	len = base64_decode(text, challenge);
	/* What LOGIN asks is not looked at: some servers do not even encode it. */
	if (len < 0 && sasl_client_waits(a->client))
		len = 0;
	if (len < 0)
		cannot(c, "malformed challenge");
	else
		take_step(c, sasl_client_challenge(a->client, span_make(challenge, (size_t)len)));
}

static void
authenticated(struct connection *c)
{
	bool believed = sasl_client_believes(c->auth->client);

	if (!believed) {
		cannot(c, "the server did not prove that it knows the password");
		return;
	}
	connection_auth_free(c);
	c->capabilities.authenticated = true;
	connection_ready(c);
}

static void on_login(void *context, enum login_status status, const struct login *login, const char *why);

static void
find_login(struct connection *c)
{
	struct connection_auth *a = c->auth;
	struct sasl_family f;
	struct login_keys keys = {.host = span_of(c->host.name), .nexthop = span_of(c->nexthop)};

	sasl_family_of(c->conf->values, c->plan.lmtp, &f);
	if (a->asked_again)
		keys.refused = secret_mark(span_of(a->login.password));
	if (f.by_sender)
		keys.sender = span_of(c->sender);
	a->search = login_find(c->plan.agent, f.password_maps, &keys, on_login, c);
}

static void
refused(struct connection *c, const struct reply *r)
{
	struct connection_auth *a = c->auth;
	struct sasl_family f;
	struct verdict why;
	char text[900];

	sasl_family_of(c->conf->values, c->plan.lmtp, &f);
	reply_one_line(r, text, sizeof(text));
	verdict_of_reply(
	    &why, r, c->host.name, "SASL authentication failed; server %s said: %s", c->name, text);
	if (f.soft_bounce)
		verdict_soften(&why);
	/* A token may have run out, and another one be there: lookup sees it within a second. */
	if (a->login.bearer && !a->asked_again && r->code / 100 == 5) {
		a->asked_again = true;
		a->refusal = why;
		sasl_client_free(&a->client);
		work_after(c, TABLES_SEEN_US);
		return;
	}
	connection_fail(c, &why);
}

/* There is no newer token. */
static void
stay_refused(struct connection *c)
{
	struct verdict why = c->auth->refusal;

	connection_fail(c, &why);
}

void
connection_auth_handle_reply(struct connection *c, const struct reply *r)
{
	struct connection_auth *a = c->auth;
	bool due = a->awaits_reply;

	a->awaits_reply = false;
	if (r->code == 421)
		connection_refused(c, r, false);
	else if (!due)
		connection_lose(c, LOSS_GARBAGE);
	else if (r->code == 334)
		on_challenge(c, span_trim(reply_last_text(r)));
	else if (r->code / 100 == 2)
		authenticated(c);
	else
		refused(c, r);
}

/* ---- what nobody is to see ---- */

static void
blot(struct reply *r, const char *secret)
{
	size_t len = strlen(secret);
	char *at = r->text;

	if (len < SCRUB_MIN)
		return;
	while ((at = memmem(at, (size_t)(r->text + r->len - at), secret, len)) != NULL) {
		memset(at, '*', len);
		at += len;
	}
}

struct span
connection_auth_scrub(struct connection *c, struct reply *r)
{
	struct connection_auth *a = c->auth;
	char password64[BASE64_SIZE(LOGIN_PASSWORD_SIZE) + 1];

	if (!a)
		return span_make(r->text, r->len);
	if (r->code == 334)
		return SPAN_LIT("334 ********");
	(void)base64_encode(span_of(a->login.password), password64);
	blot(r, a->login.password);
	blot(r, password64);
	blot(r, a->longest);
	OPENSSL_cleanse(password64, sizeof(password64));
	return span_make(r->text, r->len);
}

/* ---- the beginning ---- */

bool
connection_auth_wanted(const struct connection *c)
{
	struct sasl_family f;

	sasl_family_of(c->conf->values, c->plan.lmtp, &f);
	/* Where TLS was given up the server may offer AUTH in TLS alone: mail must not go without, and be refused for it. */
	return f.enable && f.password_maps[0] != '\0' &&
	       ((c->capabilities.offers & OFFERS_AUTH) || c->tls_given_up);
}

static struct sasl_channel
channel_of(const struct connection *c, unsigned char binding[TLS_BINDING_MAX])
{
	static const struct {
		enum tls_binding type;
		const char *name;
	} types[] = {{TLS_BINDING_EXPORTER, "tls-exporter"}, {TLS_BINDING_UNIQUE, "tls-unique"},
	    {TLS_BINDING_SERVER_END_POINT, "tls-server-end-point"}};
	const struct tls_facts *facts = c->tls_on ? tls_facts(c->stream) : NULL;
	struct sasl_channel channel = {.tls = c->tls_on,
	    .verified = facts && facts->standing == TLS_VERIFIED,
	    .tls_given_up = c->tls_given_up};
	size_t len = 0;

	for (size_t i = 0; c->tls_on && len == 0 && i < sizeof(types) / sizeof(types[0]); i++) {
		len = tls_channel_binding(c->stream, types[i].type, binding);
		channel.binding_name = len ? types[i].name : NULL;
	}
	channel.binding = span_make(binding, len);
	return channel;
}

static unsigned
port_of(const struct connection *c)
{
	return c->host.socket[0] ? 0 : ntohs(c->host.address.v4.sin_port);
}

static void
start_exchange(struct connection *c)
{
	struct connection_auth *a = c->auth;
	unsigned char binding[TLS_BINDING_MAX];
	struct sasl_channel channel = channel_of(c, binding);
	struct sasl_client_plan plan = {.user = span_of(a->login.name),
	    .password = span_of(a->login.password),
	    .host = span_of(c->host.name),
	    .port = port_of(c),
	    .binding_name = channel.binding_name,
	    .binding = channel.binding,
	    .plus_missing = !sasl_choice_binds(c->capabilities.mechanisms)};
	struct sasl_family f;
	struct log log = connection_log(c);
	const char *fault;

	sasl_family_of(c->conf->values, c->plan.lmtp, &f);
	fault = sasl_choice_make(c->capabilities.mechanisms, &f, &channel, a->login.bearer, &plan.mechanism);
	if (fault && fault[0] == '\0') {
		char text[VERDICT_RELAY_SIZE + 200];

		log_warning(&log, "%s offered no supported AUTH mechanisms", c->relay);
		(void)snprintf(text, sizeof(text),
		    "server %s offered no compatible authentication mechanisms for this type of connection "
		    "security",
		    c->name);
		fail(c, "4.7.0", text);
		return;
	}
	if (fault) {
		cannot(c, fault);
		return;
	}
	a->client = sasl_client_new(&plan);
	if (!sasl_client_waits(a->client) && sasl_client_begin(a->client) != SASL_CLIENT_SEND) {
		cannot(c, sasl_client_reason(a->client));
		return;
	}
	send_command(c, sasl_mechanism_name(plan.mechanism));
}

static void
take_login(struct connection *c, enum login_status status, const struct login *login, const char *why)
{
	struct connection_auth *a = c->auth;
	struct log log = connection_log(c);

	switch (status) {
	case LOGIN_TROUBLE:
		log_warning(&log, "login for %s: %s", c->relay, why);
		fail(c, "4.3.0", "the tables of logins are in trouble");
		break;
	case LOGIN_NONE:
		if (a->asked_again) {
			stay_refused(c);
			break;
		}
		connection_auth_free(c);
		connection_ready(c);
		break;
	case LOGIN_FOUND:
		if (a->asked_again && strcmp(a->login.password, login->password) == 0 &&
		    strcmp(a->login.name, login->name) == 0) {
			stay_refused(c);
			break;
		}
		if (!(c->capabilities.offers & OFFERS_AUTH)) {
			fail(c, "4.7.5",
			    "Cannot start TLS, and without it the server does not take our login");
			break;
		}
		a->login = *login;
		c->login_of_sender = login->of_sender;
		a->steps = 0;
		start_exchange(c);
		break;
	}
}

static void
on_login(void *context, enum login_status status, const struct login *login, const char *why)
{
	struct connection *c = context;

	c->auth->search = NULL;
	connection_enter(c);
	take_login(c, status, login, why);
	connection_leave(c);
}

void
connection_auth_begin(struct connection *c)
{
	c->stage = AUTH;
	c->auth = mem_alloc(sizeof(*c->auth));
	connection_set_timeout(c, timeout_of(c->conf->values, c->plan.lmtp, TIMEOUT_HELLO));
	find_login(c);
}
