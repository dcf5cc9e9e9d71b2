#include "smtpd/auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/base64.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/sasl/server.h"
#include "smtpd/auth_dovecot.h"
#include "smtpd/auth_offer.h"
#include "smtpd/auth_settings.h"
#include "smtpd/limits.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"
#include "smtpd/session_input.h"

/* What Postfix shows of a name in the log. */
enum { SHOWN_MAX = 100 };

/* ---- secrets ---- */

/* Overwrites what was allocated for it, and frees it. */
static void
wipe(char *bytes, size_t len)
{
	if (bytes)
		explicit_bzero(bytes, len);
	free(bytes);
}

static void
keep_message(struct auth *a, struct span base64)
{
	wipe(a->message, a->message_len);
	a->message = base64.ptr ? mem_strndup(base64.ptr, base64.len) : NULL;
	a->message_len = base64.len;
}

/* ---- its end ---- */

static void
auth_free(struct session *s)
{
	struct auth *a = s->auth;

	s->auth = NULL;
	if (a == NULL)
		return;
	sasl_server_free(&a->machine);
	dovecot_cancel(&a->request);
	wipe(a->message, a->message_len);
	free(a);
}

void
auth_abandon(struct session *s)
{
	auth_free(s);
	if (s->input == INPUT_AUTH)
		s->input = INPUT_COMMANDS;
}

/* The client may speak again. */
static void
finish(struct session *s)
{
	auth_abandon(s);
	if (s->waiting == WAIT_AUTH)
		s->waiting = WAIT_NONE;
}

static void
tell_policy(const struct auth *a, enum auth_status status)
{
	const struct session *s = a->session;
	struct msg_auth_result note = {.section = span_of(s->settings->section->name),
	    .address = limits_auth_address(s),
	    .user = span_of(a->user),
	    .status = (uint8_t)status};

	if (a->tried)
		(void)ipc_send(s->smtpd->peers[ROLE_POLICY], IPC_AUTH_RESULT, 0, &note);
}

/* The line that fail2ban reads. */
static void
log_failure(const struct auth *a, const char *reason)
{
	struct session *s = a->session;
	char label[CLIENT_LABEL_SIZE];
	struct log log = session_log(s);

	log_warning(&log, "%s: SASL %s authentication failed: %.*s, sasl_username=%.*s",
	    session_label(s, label), a->name, SHOWN_MAX, reason, SHOWN_MAX,
	    a->user[0] ? a->user : "(unavailable)");
}

void
auth_succeed(struct auth *a, struct span user)
{
	struct session *s = a->session;

	tell_policy(a, AUTH_ACCEPTED);
	s->sasl_method = mem_strdup(a->name);
	s->sasl_username = mem_strndup(user.ptr, user.len);
	finish(s);
	reply(s, 235, "2.7.0", "Authentication successful");
	session_continue(s);
}

void
auth_note_failure(struct auth *a, const char *reason)
{
	if (a->refused)
		return;
	a->refused = true;
	log_failure(a, reason);
	tell_policy(a, AUTH_REFUSED);
}

void
auth_fail(struct auth *a, const char *reason)
{
	struct session *s = a->session;

	auth_note_failure(a, reason);
	s->delay_us = (int64_t)a->delay_ms * 1000;
	finish(s);
	/* The same words for everybody: they tell nobody which names there are. */
	reply(s, 535, "5.7.8", "Error: authentication failed: authentication failure");
	session_continue(s);
}

void
auth_give_up(struct auth *a, const char *reason)
{
	struct session *s = a->session;

	log_failure(a, reason);
	tell_policy(a, AUTH_TEMPORARY);
	finish(s);
	reply(s, 454, "4.7.0", "Temporary authentication failure");
	session_continue(s);
}

/* Nothing was proved or disproved; who knows already that a token was refused waits all the same. */
static void
refuse(struct session *s, unsigned code, const char *enhanced, const char *text)
{
	if (s->auth->refused)
		s->delay_us = (int64_t)s->auth->delay_ms * 1000;
	finish(s);
	reply(s, code, enhanced, "%s", text);
	session_continue(s);
}

/* Whoever sends it is no mail program: fail2ban reads these lines, too. */
static void
refuse_nonsense(struct auth *a, bool first)
{
	if (!a->refused)
		log_failure(a, first ? "Invalid base64 data in initial response"
				     : "Invalid base64 data in continued response");
	refuse(a->session, 501, "5.5.2", "Error: cannot decode response");
}

/* Nothing more is said of who was told already that he failed: XOAUTH2's clients may answer that so. */
static void
refuse_to_go_on(struct auth *a)
{
	struct session *s = a->session;
	char label[CLIENT_LABEL_SIZE];
	struct log log = session_log(s);

	if (!a->refused)
		log_warning(&log, "%s: SASL %s authentication aborted", session_label(s, label), a->name);
	refuse(s, 501, "5.7.0", "Authentication aborted");
}

void
auth_timed_out(struct session *s)
{
	auth_give_up(s->auth, AUTH_TROUBLE ": no answer");
}

/* ---- its steps ---- */

void
auth_challenge(struct auth *a, struct span base64)
{
	struct session *s = a->session;

	if (s->waiting == WAIT_AUTH)
		s->waiting = WAIT_NONE;
	s->input = INPUT_AUTH;
	reply_challenge(s, base64);
	session_continue(s);
}

/* Whoever proved to be one and wants to act as another is refused (RFC 4954, 4: there is no table of who may). */
static void
done(struct auth *a)
{
	struct span user = sasl_server_user(a->machine), authzid = sasl_server_authzid(a->machine);

	if (authzid.len && !span_equal(authzid, user) && !span_is(authzid, a->user)) {
		auth_fail(a, "not authorized to act as another user");
		return;
	}
	auth_succeed(a, span_of(a->user));
}

/* The name, with its domain if it lacks one that it should have. */
static void
take_name(struct auth *a)
{
	struct span user = sasl_server_user(a->machine);
	const char *domain = a->session->settings->values->smtpd_sasl_local_domain;

	if (a->user[0] || user.len == 0)
		return;
	if (domain[0] && span_find(user, '@') < 0)
		(void)snprintf(a->user, sizeof(a->user), "%.*s@%s", SPAN_ARG(user), domain);
	else
		(void)span_copy(user, a->user, sizeof(a->user));
}

void
auth_step(struct auth *a, enum sasl_step step)
{
	struct span challenge;
	char text[BASE64_SIZE(4096) + 1];

	take_name(a);
	switch (step) {
	case SASL_CHALLENGE:
		challenge = sasl_server_challenge(a->machine);
		(void)base64_encode(challenge, text);
		auth_challenge(a, span_of(text));
		break;
	case SASL_NEED_PASSWORD:
		auth_ask_policy(a, auth_ask_password);
		break;
	case SASL_NEED_TOKEN:
		auth_ask_policy(a, auth_ask_token);
		break;
	case SASL_NEED_KEYS:
		auth_ask_policy(a, auth_ask_keys);
		break;
	case SASL_DONE:
		done(a);
		break;
	case SASL_FAILED:
		auth_fail(a, sasl_server_reason(a->machine));
		break;
	case SASL_TROUBLE:
		auth_give_up(a, AUTH_TROUBLE);
		break;
	}
}

/* ---- what the client says ---- */

static void
give_machine(struct auth *a, struct span plain, bool first)
{
	auth_step(a, first ? sasl_server_begin(a->machine, plain) : sasl_server_response(a->machine, plain));
}

static void
give_dovecot(struct auth *a, struct span base64, struct span plain)
{
	char room[SASL_USER_MAX];
	struct span user;

	keep_message(a, base64);
	if (base64.ptr == NULL || a->heard) {
		auth_ask_dovecot(a);
		return;
	}
	user = sasl_user_in(a->mechanism, true, plain, room, sizeof(room));
	(void)span_copy(user, a->user, sizeof(a->user));
	a->heard = true;
	auth_ask_policy(a, auth_ask_dovecot);
}

/*
 * A response as it came; a ptr of NULL for no initial one. "=" is an empty initial response; an empty line is an empty later
 * one (RFC 4954, 4).
 */
static void
take_response(struct auth *a, struct span base64, bool first)
{
	struct span plain = {NULL, 0};
	size_t size = BASE64_DECODED_MAX(base64.len) + 1;
	char *room = NULL;
	ptrdiff_t len = 0;

	if (base64.ptr) {
		room = mem_alloc(size);
		len = first && span_is(base64, "=") ? 0 : base64_decode(base64, room);
		plain = span_make(room, len < 0 ? 0 : (size_t)len);
	}
	if (len < 0)
		refuse_nonsense(a, first);
	else if (a->machine)
		give_machine(a, plain, first);
	else
		give_dovecot(a, base64, plain);
	wipe(room, size);
}

void
auth_new(struct session *s, struct span mechanism, struct span initial)
{
	struct auth *a = mem_alloc(sizeof(*a));

	s->auth = a;
	a->session = s;
	a->mechanism = sasl_mechanism_find(mechanism);
	(void)span_copy(mechanism, a->name, sizeof(a->name));
	for (char *c = a->name; *c; c++)
		*c = ascii_upper(*c);
	keep_message(a, initial);
}

void
auth_start(struct session *s)
{
	struct auth *a = s->auth;
	char *initial = a->message;
	size_t len = a->message_len;
	struct auth_channel channel;
	struct sasl_facts facts;

	if (s->settings->auth->type != CONF_SMTPD_SASL_TYPE_DOVECOT) {
		auth_facts(s, &channel, &facts);
		a->machine = sasl_server_new(a->mechanism, &facts);
	}
	a->message = NULL;
	take_response(a, span_make(initial, len), true);
	wipe(initial, len);
}

/* ---- lines ---- */

static void
take_line(struct session *s, struct span line, bool crlf, bool more)
{
	if (!crlf && session_forbids_bare_lf(s))
		refuse(s, 500, "5.5.2", "Error: bare <LF> received");
	else if (span_is(line, "*"))
		refuse_to_go_on(s->auth);
	else if (!more || !command_sent_ahead(s, "AUTH"))
		take_response(s->auth, line, false);
}

size_t
auth_input(struct session *s, struct span bytes)
{
	size_t limit = (size_t)s->settings->values->smtpd_sasl_response_limit + 2;
	const char *lf = memchr(bytes.ptr, '\n', bytes.len < limit ? bytes.len : limit);
	struct span line;
	size_t used;
	bool crlf;

	if (lf == NULL) {
		if (bytes.len < limit)
			return 0;
		s->discarding = 1;
		refuse(s, 500, "5.5.6", "Authentication Exchange line is too long");
		return limit;
	}
	used = (size_t)(lf - bytes.ptr) + 1;
	line = span_make(bytes.ptr, used - 1);
	crlf = line.len && line.ptr[line.len - 1] == '\r';
	if (crlf)
		line.len--;
	s->seen_crlf |= crlf;
	take_line(s, line, crlf, used < bytes.len);
	return used;
}
