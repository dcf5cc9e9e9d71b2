/*
 * server: the server's side of a SASL exchange, without I/O.
 *
 * The owner gives it what the client said (decoded) and does what the returned step asks for: sends a challenge, asks a
 * back end and tells the answer, or ends. No step is taken twice, none is skipped; a call out of turn fails the exchange.
 * All of it is overwritten when it is freed.
 *
 * A user who is not there takes the same steps as one with a wrong password.
 */
#ifndef POSTERN_SASL_SERVER_H
#define POSTERN_SASL_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/ipc/protocol.h"
#include "common/sasl/mechanism.h"

enum sasl_step {
	SASL_CHALLENGE, /* send sasl_server_challenge(), which may be empty; go on with sasl_server_response() */
	SASL_NEED_PASSWORD, /* is that ..._password() the one of ..._user()? Go on with sasl_server_checked() */
	SASL_NEED_TOKEN, /* is that ..._password(), a token, the one of ..._user(), who may be unnamed? ..._checked() */
	SASL_NEED_KEYS, /* of ..._user() for ..._hash(). Go on with sasl_server_keys() */
	SASL_DONE, /* the client is ..._user(), and wants to act as ..._authzid() */
	SASL_FAILED, /* ..._reason(), for the log. Wrong credentials, or a malformed message: RFC 4954 has 535 for both */
	SASL_TROUBLE /* a back end has a temporary problem */
};

/* What the mechanisms need to know of the connection. */
struct sasl_facts {
	bool
	    plus_offered; /* a client that could bind and thinks that we cannot ('y') met someone in the middle */
	struct span external; /* who the client is by its certificate; empty: nobody */
	struct span tls_exporter, tls_unique, tls_server_end_point; /* empty: not to be had */
	struct span token_scope, token_configuration; /* what RFC 7628, 3.2.2 lets be said; empty: nothing */
	struct span nonce; /* for tests: SCRAM's server nonce; empty: random */
};

/* What SCRAM_KEYS says. */
struct sasl_keys {
	enum auth_status status;
	uint32_t iterations;
	struct span salt, stored_key, server_key;
};

struct sasl_server;

/* Spans of the facts are copied. */
struct sasl_server *sasl_server_new(enum sasl_mechanism mechanism, const struct sasl_facts *facts);
void sasl_server_free(struct sasl_server **s);

/* initial: the initial response; a ptr of NULL where the client sent none (RFC 4954, 4: "=" is an empty one). */
enum sasl_step sasl_server_begin(struct sasl_server *s, struct span initial);
enum sasl_step sasl_server_response(struct sasl_server *s, struct span response);
enum sasl_step sasl_server_checked(struct sasl_server *s, enum auth_status status);
enum sasl_step sasl_server_keys(struct sasl_server *s, const struct sasl_keys *keys);

struct span sasl_server_challenge(const struct sasl_server *s);
struct span sasl_server_user(const struct sasl_server *s);
struct span sasl_server_password(const struct sasl_server *s);
struct span sasl_server_authzid(const struct sasl_server *s);
enum scram_hash sasl_server_hash(const struct sasl_server *s);
const char *sasl_server_reason(const struct sasl_server *s);

/*
 * The name in a message of a mechanism, for the limits and the log where somebody else (Dovecot) runs the mechanism. first:
 * it is the first message of the client. Empty if there is none in it.
 */
struct span sasl_user_in(
    enum sasl_mechanism mechanism, bool first, struct span message, char *room, size_t size);

#endif
