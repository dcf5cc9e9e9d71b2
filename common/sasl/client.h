/*
 * client: the client's side of a SASL exchange, without I/O.
 *
 * What the server says is a stranger's. It gets nothing but what the mechanism gives it, the number of steps is bounded by
 * the mechanism, and where the mechanism has the server prove that it knows the password, a "yes" before that proof is
 * no success. All of it is overwritten when it is freed.
 */
#ifndef POSTERN_SASL_CLIENT_H
#define POSTERN_SASL_CLIENT_H

#include <stdbool.h>

#include "common/base/span.h"
#include "common/sasl/mechanism.h"

enum {
	SASL_CLIENT_MESSAGE_MAX = 8192,
	SASL_CLIENT_ROUNDS_MAX = 1000000, /* of SCRAM's hash: a server that wants more is refused */
	SASL_CLIENT_SLICE = 1000 /* of them a call of sasl_client_work(): a millisecond */
};

struct sasl_client_plan {
	enum sasl_mechanism mechanism; /* all but EXTERNAL */
	struct span user;
	struct span password; /* OAUTHBEARER and XOAUTH2: the token */
	struct span host; /* OAUTHBEARER names it */
	unsigned port;
	const char *binding_name; /* "tls-exporter", ...; NULL: this connection has no channel to bind to */
	struct span binding;
	bool plus_missing; /* the server offered no mechanism that binds */
	struct span nonce; /* for tests; empty: random */
};

enum sasl_client_step {
	SASL_CLIENT_SEND, /* send sasl_client_message(), which may be empty */
	SASL_CLIENT_WORK, /* call sasl_client_work() when others had their turn */
	SASL_CLIENT_FAILED /* ..._reason(); break off */
};

struct sasl_client;

/* Texts are copied. */
struct sasl_client *sasl_client_new(const struct sasl_client_plan *plan);
void sasl_client_free(struct sasl_client **c);

/* The server begins (LOGIN): there is no initial response (RFC 4954, 4). */
bool sasl_client_waits(const struct sasl_client *c);

/* The initial response. Not to be called where the server begins. */
enum sasl_client_step sasl_client_begin(struct sasl_client *c);

/* A challenge, decoded. */
enum sasl_client_step sasl_client_challenge(struct sasl_client *c, struct span challenge);
enum sasl_client_step sasl_client_work(struct sasl_client *c);

struct span sasl_client_message(const struct sasl_client *c);
const char *sasl_client_reason(const struct sasl_client *c);

/* The server says that it is done: false if it has not done its part. */
bool sasl_client_believes(const struct sasl_client *c);

#endif
