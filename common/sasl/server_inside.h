/*
 * server_inside: what the mechanisms of server.h share.
 */
#ifndef POSTERN_SASL_SERVER_INSIDE_H
#define POSTERN_SASL_SERVER_INSIDE_H

#include "common/sasl/scram.h"
#include "common/sasl/server.h"

enum { BINDING_MAX = 512 };

/* What is awaited. */
enum sasl_stage {
	STAGE_BEGIN,
	STAGE_FIRST, /* the client's first message */
	STAGE_SECOND,
	STAGE_LAST, /* SCRAM: the empty response to the server's signature */
	STAGE_PASSWORD, /* a back end's word */
	STAGE_KEYS,
	STAGE_OVER
};

struct sasl_text {
	size_t len;
	char bytes[SCRAM_MESSAGE_MAX];
};

struct sasl_bytes {
	size_t len;
	char bytes[BINDING_MAX];
};

struct sasl_scram {
	enum scram_hash hash;
	struct sasl_text gs2_header; /* and the channel's data behind it: what c= must say */
	struct sasl_text auth_message; /* of which the parts come one by one */
	struct sasl_bytes client_nonce;
	struct sasl_bytes nonce; /* both */
	struct sasl_bytes fixed_nonce; /* of a test */
	uint8_t stored_key[SCRAM_HASH_MAX], server_key[SCRAM_HASH_MAX];
	bool known; /* the keys are those of a user */
};

struct sasl_server {
	enum sasl_mechanism mechanism;
	enum sasl_stage stage;
	bool plus_offered;
	struct sasl_bytes external, tls_exporter, tls_unique, tls_server_end_point;
	struct sasl_bytes token_scope, token_configuration;
	struct sasl_text challenge;
	size_t user_len, authzid_len, password_len;
	char user[SASL_USER_MAX], authzid[SASL_USER_MAX], password[SASL_TOKEN_MAX];
	struct sasl_scram scram;
	const char *reason;
};

enum sasl_step sasl_fail(struct sasl_server *s, const char *reason);
enum sasl_step sasl_challenge(struct sasl_server *s, struct span text, enum sasl_stage next);

/* Return -1, with the reason set, if they are malformed. */
int sasl_take_user(struct sasl_server *s, struct span name);
int sasl_take_authzid(struct sasl_server *s, struct span name);

/* Return -1 where it does not fit. */
int sasl_append(struct sasl_text *text, struct span bytes);
int sasl_keep(struct sasl_bytes *to, struct span bytes);

/* server_bearer.c */
enum sasl_step bearer_first(struct sasl_server *s, struct span message);
enum sasl_step bearer_refuse(struct sasl_server *s);
enum sasl_step bearer_over(struct sasl_server *s, struct span message);

/* server_scram.c */
enum sasl_step scram_first(struct sasl_server *s, struct span message);
enum sasl_step scram_have_keys(struct sasl_server *s, const struct sasl_keys *keys);
enum sasl_step scram_final(struct sasl_server *s, struct span message);
enum sasl_step scram_over(struct sasl_server *s, struct span message);

/*
 * The parts of a first message: "gs2-header" as a whole with its last comma, its flag and authzid, and what follows.
 * Returns -1 if it is malformed.
 */
struct gs2 {
	struct span header, flag, authzid, rest;
};
int gs2_parse(struct span message, struct gs2 *parts);

#endif
