/*
 * client_inside: what client.c and client_scram.c share.
 */
#ifndef POSTERN_SASL_CLIENT_INSIDE_H
#define POSTERN_SASL_CLIENT_INSIDE_H

#include "common/sasl/client.h"
#include "common/sasl/scram_slow.h"

enum { CLIENT_BINDING_MAX = 128, CLIENT_NONCE_MAX = 256 };

enum client_stage {
	CLIENT_BEGIN,
	CLIENT_FIRST, /* nothing or the initial response was sent: the first challenge is due */
	CLIENT_SECOND,
	CLIENT_WORKING, /* SCRAM: the password is being salted */
	CLIENT_OVER /* all was said: a challenge is one too many */
};

struct client_text {
	size_t len;
	char bytes[SASL_CLIENT_MESSAGE_MAX];
};

struct client_scram {
	enum scram_hash hash;
	struct client_text auth_message;
	char gs2_header[64];
	size_t nonce_len, binding_len, prepared_len;
	char nonce[CLIENT_NONCE_MAX]; /* ours, then both */
	char binding[CLIENT_BINDING_MAX];
	char prepared[SASL_PASSWORD_MAX];
	struct scram_slow *slow;
	uint8_t server_signature[SCRAM_HASH_MAX];
	bool proven;
};

struct sasl_client {
	enum sasl_mechanism mechanism;
	enum client_stage stage;
	size_t user_len, password_len, host_len;
	char user[SASL_USER_MAX], password[SASL_TOKEN_MAX], host[256];
	unsigned port;
	struct client_text message;
	struct client_scram scram;
	const char *reason;
};

enum sasl_client_step client_fail(struct sasl_client *c, const char *reason);

/* Return -1 where it does not fit. */
int client_append(struct client_text *text, struct span bytes);

/* client_scram.c */
const char *client_scram_new(struct sasl_client *c, const struct sasl_client_plan *plan);
enum sasl_client_step client_scram_begin(struct sasl_client *c);
enum sasl_client_step client_scram_first(struct sasl_client *c, struct span challenge);
enum sasl_client_step client_scram_work(struct sasl_client *c);
enum sasl_client_step client_scram_final(struct sasl_client *c, struct span challenge);

#endif
