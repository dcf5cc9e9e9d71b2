/*
 * Whom an exchange asks: policy, whether the attempt is allowed at all; lookup or auth about passwords and keys; Dovecot.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/sasl/server.h"
#include "smtpd/auth.h"
#include "smtpd/auth_dovecot.h"
#include "smtpd/auth_offer.h"
#include "smtpd/auth_settings.h"
#include "smtpd/limits.h"
#include "smtpd/session.h"

/* Dovecot holds back its answer to a failure: 2 s, and up to 15 s more for those who fail often. */
enum { DOVECOT_ANSWER_US = 60 * 1000000 };

/* ---- policy ---- */

static int
on_policy(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct auth *a = context;
	void (*next)(struct auth * a) = a->next;
	char reason[201] = "too many failures";

	(void)err;
	session_answered(a->session);
	if (frame) {
		a->tried = true;
		a->delay_ms = frame->auth_try_answer.delay_ms;
	}
	if (!frame || frame->auth_try_answer.allowed) {
		next(a);
		return 0;
	}
	if (frame->auth_try_answer.reason.len)
		(void)span_copy(frame->auth_try_answer.reason, reason, sizeof(reason));
	a->tried = false; /* it never was one */
	auth_give_up(a, reason);
	return 0;
}

/* If policy is away, nobody is refused for want of its numbers. */
void
auth_ask_policy(struct auth *a, void (*next)(struct auth *a))
{
	struct session *s = a->session;
	struct msg_auth_try ask = {.section = span_of(s->settings->section->name),
	    .address = limits_auth_address(s),
	    .user = span_of(a->user)};

	a->next = next;
	if (session_ask(s, ROLE_POLICY, IPC_AUTH_TRY, &ask, on_policy, a) < 0)
		next(a);
}

/* ---- our own back ends ---- */

static enum role
back_end(const struct session *s)
{
	return s->settings->auth->type == CONF_SMTPD_SASL_TYPE_PAM ? ROLE_AUTH : ROLE_LOOKUP;
}

static void
take_user(struct auth *a, struct span user)
{
	if (user.len)
		(void)span_copy(user, a->user, sizeof(a->user));
}

static int
on_password(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct auth *a = context;
	enum auth_status status = AUTH_TEMPORARY;
	int result = 0;

	session_answered(a->session);
	if (frame && frame->password_answer.status > AUTH_TEMPORARY)
		result = error_set(err, "no such status: %u", frame->password_answer.status);
	else if (frame)
		status = (enum auth_status)frame->password_answer.status;
	if (status == AUTH_ACCEPTED)
		take_user(a, frame->password_answer.user);
	auth_step(a, sasl_server_checked(a->machine, status));
	return result;
}

void
auth_ask_password(struct auth *a)
{
	struct session *s = a->session;
	struct msg_password_ask ask = {.section = span_of(s->settings->section->name),
	    .user = span_of(a->user),
	    .password = sasl_server_password(a->machine),
	    .mechanism = span_of(a->name),
	    .client_address = span_of(s->client_address)};

	if (session_ask(s, back_end(s), IPC_PASSWORD_ASK, &ask, on_password, a) < 0)
		auth_give_up(a, AUTH_TROUBLE);
}

static int
on_token(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct auth *a = context;
	const struct msg_password_answer *m = frame ? &frame->password_answer : NULL;
	enum auth_status status = AUTH_TEMPORARY;
	char reason[201] = "authentication failure";
	int result = 0;

	session_answered(a->session);
	if (m && m->status > AUTH_TEMPORARY)
		result = error_set(err, "no such status: %u", m->status);
	else if (m)
		status = (enum auth_status)m->status;
	/* The client may have named nobody: the token does. */
	if (status == AUTH_ACCEPTED && m->user.len == 0)
		status = (enum auth_status)(result = error_set(err, "a token of nobody"), AUTH_TEMPORARY);
	if (status == AUTH_ACCEPTED)
		take_user(a, m->user);
	if (status == AUTH_REFUSED) {
		if (m->reason.len)
			(void)span_copy(m->reason, reason, sizeof(reason));
		auth_note_failure(a, reason);
	}
	auth_step(a, sasl_server_checked(a->machine, status));
	return result;
}

void
auth_ask_token(struct auth *a)
{
	struct session *s = a->session;
	struct msg_token_ask ask = {.section = span_of(s->settings->section->name),
	    .user = span_of(a->user),
	    .token = sasl_server_password(a->machine),
	    .client_address = span_of(s->client_address)};

	if (session_ask(s, ROLE_LOOKUP, IPC_TOKEN_ASK, &ask, on_token, a) < 0)
		auth_give_up(a, AUTH_TROUBLE);
}

static int
on_keys(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct auth *a = context;
	const struct msg_scram_keys *m = frame ? &frame->scram_keys : NULL;
	struct sasl_keys keys = {.status = AUTH_TEMPORARY};
	int result = 0;

	session_answered(a->session);
	if (m && m->status > AUTH_TEMPORARY)
		result = error_set(err, "no such status: %u", m->status);
	else if (m)
		keys = (struct sasl_keys){
		    (enum auth_status)m->status, m->iterations, m->salt, m->stored_key, m->server_key};
	if (keys.status == AUTH_ACCEPTED)
		take_user(a, m->user);
	auth_step(a, sasl_server_keys(a->machine, &keys));
	return result;
}

void
auth_ask_keys(struct auth *a)
{
	struct session *s = a->session;
	struct msg_scram_ask ask = {.section = span_of(s->settings->section->name),
	    .user = span_of(a->user),
	    .hash = (uint8_t)sasl_server_hash(a->machine),
	    .client_address = span_of(s->client_address)};

	if (session_ask(s, ROLE_LOOKUP, IPC_SCRAM_ASK, &ask, on_keys, a) < 0)
		auth_give_up(a, AUTH_TROUBLE);
}

/* ---- Dovecot ---- */

static void
on_dovecot(void *context, const struct dovecot_reply *reply)
{
	struct auth *a = context;
	char reason[101] = "authentication failure", trouble[200];

	if (reply == NULL || reply->kind != DOVECOT_CONTINUE)
		a->request = NULL;
	if (a->session->waiting != WAIT_AUTH) {
		a->lost = true;
		return;
	}
	if (reply == NULL) {
		auth_give_up(a, AUTH_TROUBLE);
		return;
	}
	if (reply->kind == DOVECOT_CONTINUE) {
		auth_challenge(a, reply->challenge);
		return;
	}
	take_user(a, reply->user);
	if (reply->kind == DOVECOT_OK && reply->user.len) {
		auth_succeed(a, span_of(a->user));
		return;
	}
	if (reply->reason.len)
		(void)span_copy(reply->reason, reason, sizeof(reason));
	if (!reply->temporary && reply->kind == DOVECOT_FAIL) {
		auth_fail(a, reason);
		return;
	}
	(void)snprintf(trouble, sizeof(trouble), AUTH_TROUBLE ": %s",
	    reply->kind == DOVECOT_OK ? "no user in Dovecot's answer" : reason);
	auth_give_up(a, trouble);
}

static void
wait_for_dovecot(struct session *s)
{
	session_wait(s, WAIT_AUTH);
	stream_set_deadline(s->stream, clock_mono_us() + DOVECOT_ANSWER_US);
}

static void
first_question(struct auth *a, struct span message)
{
	struct session *s = a->session;
	struct sockaddr_storage storage;
	socklen_t len = sizeof(storage);
	struct net_address own = {.family = AF_UNIX};
	char own_text[NET_ADDRESS_SIZE];
	struct dovecot_client client = {.service = s->settings->values->smtpd_sasl_service,
	    .secured = s->tls != NULL,
	    .certificate_user = auth_certificate_user(s),
	    .server_name = s->tls && s->tls->name[0] ? s->tls->name : NULL};

	if (getsockname(stream_fd(s->stream), (struct sockaddr *)&storage, &len) == 0)
		net_address_of_sockaddr(&storage, &own);
	if (own.family != AF_UNIX && s->client.family != AF_UNIX) {
		client.local_address = net_address_format(&own, own_text);
		client.local_port = own.port;
		client.remote_address = s->client_address;
		client.remote_port = s->client.port;
	}
	a->request = dovecot_begin(dovecot_of(s->smtpd, s->settings->values->smtpd_sasl_path),
	    span_of(a->name), &client, message, on_dovecot, a);
}

void
auth_ask_dovecot(struct auth *a)
{
	struct span message = span_make(a->message, a->message_len);
	bool taken;

	if (a->lost) {
		auth_give_up(a, AUTH_TROUBLE);
		return;
	}
	if (a->request)
		taken = dovecot_respond(a->request, message) == 0;
	else {
		/* "=" stands for an empty one there, too: "resp=" with nothing behind it is as good as no response. */
		first_question(a, message);
		taken = a->request != NULL;
	}
	if (taken)
		wait_for_dovecot(a->session);
	else
		auth_fail(a, "response too long");
}
