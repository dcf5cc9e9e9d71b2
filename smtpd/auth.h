/*
 * auth: one AUTH exchange of a session (RFC 4954, 4), from the command to its last reply.
 *
 * The mechanism runs here (common/sasl/server.h), with lookup or auth as the back end, or in Dovecot. Before anybody is asked
 * about a name, policy is: it counts attempts. While an answer is awaited the session reads nothing.
 */
#ifndef POSTERN_SMTPD_AUTH_H
#define POSTERN_SMTPD_AUTH_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/span.h"
#include "common/sasl/server.h"

struct dovecot_request;
struct session;

/* What is not the client's fault is logged in these words, which fail2ban leaves alone. */
#define AUTH_TROUBLE "Connection lost to authentication server"

struct auth {
	struct session *session;
	char name[SASL_NAME_MAX + 1]; /* the mechanism's, in capitals */
	enum sasl_mechanism mechanism; /* SASL_MECHANISM_COUNT: only Dovecot knows it */
	struct sasl_server *machine; /* NULL: Dovecot's */
	struct dovecot_request *request;
	char user[SASL_USER_MAX + 1]; /* as far as known; for the log and the limits */
	bool heard; /* the client has said something */
	bool lost; /* Dovecot has gone, or spoken out of turn, while the client was to speak */
	bool refused; /* the failure has been logged and counted; the client is still to hear of it */
	bool tried; /* policy counts it as a failure until told otherwise */
	unsigned delay_ms; /* of the reply to a failure */
	char *message; /* base64, while policy thinks; NULL: no initial response */
	size_t message_len;
	void (*next)(struct auth *a); /* when policy has answered */
};

/* Makes s->auth. initial: base64 as it came, a ptr of NULL for none; both are copied. */
void auth_new(struct session *s, struct span mechanism, struct span initial);

/* Begins the exchange. Replies when there is something to reply. */
void auth_start(struct session *s);

/* INPUT_AUTH: one line of the client. Returns how many octets were taken. */
size_t auth_input(struct session *s, struct span bytes);

/* WAIT_AUTH has lasted too long. */
void auth_timed_out(struct session *s);

/* The session ends, or begins anew: no reply. */
void auth_abandon(struct session *s);

/* auth_ask.c: the questions; each ends in one of the functions below. */
void auth_ask_policy(struct auth *a, void (*next)(struct auth *a));
void auth_ask_password(struct auth *a);
void auth_ask_token(struct auth *a);
void auth_ask_keys(struct auth *a);
void auth_ask_dovecot(struct auth *a);

/* What a back end's answer leads to. The exchange is over, save after auth_challenge(). */
void auth_step(struct auth *a, enum sasl_step step);
void auth_challenge(struct auth *a, struct span base64);
void auth_succeed(struct auth *a, struct span user);
void auth_note_failure(struct auth *a, const char *reason); /* the log and the counters, once */
void auth_fail(struct auth *a, const char *reason);
void auth_give_up(struct auth *a, const char *reason); /* 454 */

#endif
