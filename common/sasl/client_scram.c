/*
 * The client's side of SCRAM (RFC 5802, 5 and 6), with the channel bindings of RFC 5929 and RFC 9266.
 */
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "common/base/base64.h"
#include "common/base/text.h"
#include "common/sasl/client_inside.h"
#include "common/sasl/prep.h"

enum { ATTRIBUTE_MAX = 300 };

static enum scram_hash
hash_of(enum sasl_mechanism m)
{
	return m == SASL_SCRAM_SHA_1 || m == SASL_SCRAM_SHA_1_PLUS ? SCRAM_SHA_1 : SCRAM_SHA_256;
}

/* RFC 5802, 6: bound; or able to bind, if only the server were; or not able. */
static const char *
choose_header(struct sasl_client *c, const struct sasl_client_plan *plan)
{
	struct client_scram *s = &c->scram;

	if (!sasl_mechanism_binds(c->mechanism)) {
		(void)snprintf(s->gs2_header, sizeof(s->gs2_header), "%s,,",
		    plan->binding_name && plan->plus_missing ? "y" : "n");
		return NULL;
	}
	if (!plan->binding_name || plan->binding.len == 0 || plan->binding.len > sizeof(s->binding))
		return "there is no channel to bind to";
	(void)snprintf(s->gs2_header, sizeof(s->gs2_header), "p=%.40s,,", plan->binding_name);
	memcpy(s->binding, plan->binding.ptr, plan->binding.len);
	s->binding_len = plan->binding.len;
	return NULL;
}

static const char *
prepare_password(struct sasl_client *c)
{
	struct client_scram *s = &c->scram;
	const char *fault = NULL;
	struct buf out;

	buf_init(&out, sizeof(s->prepared));
	if (sasl_prep(span_make(c->password, c->password_len), &out) < 0)
		fault = "the password cannot be used";
	else
		memcpy(s->prepared, buf_ptr(&out), s->prepared_len = out.len);
	if (out.len)
		OPENSSL_cleanse(buf_ptr(&out), out.len);
	buf_free(&out);
	return fault;
}

const char *
client_scram_new(struct sasl_client *c, const struct sasl_client_plan *plan)
{
	struct client_scram *s = &c->scram;
	char own[SCRAM_NONCE_SIZE + 1];
	struct span nonce = plan->nonce;
	const char *fault = choose_header(c, plan);

	s->hash = hash_of(c->mechanism);
	if (!fault)
		fault = prepare_password(c);
	if (fault)
		return fault;
	if (nonce.len == 0) {
		if (scram_nonce(own) < 0)
			return "no random numbers";
		nonce = span_of(own);
	}
	memcpy(s->nonce, nonce.ptr, s->nonce_len = nonce.len);
	return NULL;
}

/* The name as SASLprep has it, and escaped. */
static int
append_name(struct sasl_client *c)
{
	char escaped[SASL_USER_MAX * 3];
	ptrdiff_t len = -1;
	struct buf out;

	buf_init(&out, SASL_USER_MAX);
	if (sasl_prep(span_make(c->user, c->user_len), &out) == 0)
		len = scram_escape(buf_span(&out), escaped, sizeof(escaped));
	buf_free(&out);
	return len < 0 ? -1 : client_append(&c->scram.auth_message, span_make(escaped, (size_t)len));
}

/* client-first-message */
enum sasl_client_step
client_scram_begin(struct sasl_client *c)
{
	struct client_scram *s = &c->scram;

	if (client_append(&s->auth_message, SPAN_LIT("n=")) < 0 || append_name(c) < 0 ||
	    client_append(&s->auth_message, SPAN_LIT(",r=")) < 0 ||
	    client_append(&s->auth_message, span_make(s->nonce, s->nonce_len)) < 0 ||
	    client_append(&c->message, span_of(s->gs2_header)) < 0 ||
	    client_append(&c->message, span_make(s->auth_message.bytes, s->auth_message.len)) < 0)
		return client_fail(c, "the user's name cannot be used");
	c->stage = CLIENT_FIRST;
	return SASL_CLIENT_SEND;
}

/* The server's nonce begins with ours, and adds to it. */
static bool
take_nonce(struct client_scram *s, struct span nonce)
{
	if (nonce.len <= s->nonce_len || nonce.len > sizeof(s->nonce) || !scram_nonce_valid(nonce) ||
	    memcmp(nonce.ptr, s->nonce, s->nonce_len) != 0)
		return false;
	memcpy(s->nonce, nonce.ptr, s->nonce_len = nonce.len);
	return true;
}

/* server-first-message: "r=NONCE,s=SALT,i=ROUNDS[,extensions]" */
enum sasl_client_step
client_scram_first(struct sasl_client *c, struct span challenge)
{
	struct client_scram *s = &c->scram;
	struct span rest = challenge, nonce, salt64, rounds;
	char salt[BASE64_DECODED_MAX(ATTRIBUTE_MAX)];
	ptrdiff_t salt_len;
	uint64_t count;

	if (!scram_take(&rest, 'r', &nonce) || !scram_take(&rest, 's', &salt64) ||
	    !scram_take(&rest, 'i', &rounds) || salt64.len == 0 || salt64.len > ATTRIBUTE_MAX)
		return client_fail(c, "malformed challenge");
	salt_len = base64_decode(salt64, salt);
	if (salt_len <= 0 || salt_len > SCRAM_SALT_MAX || !take_nonce(s, nonce))
		return client_fail(c, "malformed challenge");
	/* Few rounds would let whoever listens, or a false server, try passwords cheaply (RFC 7677, 4). */
	if (number_parse(rounds, SCRAM_ITERATIONS_MIN, SASL_CLIENT_ROUNDS_MAX, &count) < 0)
		return client_fail(c, "the server wants too few or too many rounds");
	if (client_append(&s->auth_message, SPAN_LIT(",")) < 0 ||
	    client_append(&s->auth_message, challenge) < 0)
		return client_fail(c, "malformed challenge");
	s->slow = scram_slow_begin(s->hash, span_make(s->prepared, s->prepared_len),
	    span_make(salt, (size_t)salt_len), (uint32_t)count);
	if (!s->slow)
		return client_fail(c, "the cryptographic library failed");
	c->stage = CLIENT_WORKING;
	return SASL_CLIENT_WORK;
}

/* "c=...,r=..." */
static int
put_without_proof(struct sasl_client *c)
{
	struct client_scram *s = &c->scram;
	char header[sizeof(s->gs2_header) + CLIENT_BINDING_MAX], header64[BASE64_SIZE(sizeof(header)) + 1];
	size_t len = strlen(s->gs2_header);

	memcpy(header, s->gs2_header, len);
	memcpy(header + len, s->binding, s->binding_len);
	(void)base64_encode(span_make(header, len + s->binding_len), header64);
	c->message.len = 0;
	return client_append(&c->message, SPAN_LIT("c=")) < 0 ||
		       client_append(&c->message, span_of(header64)) < 0 ||
		       client_append(&c->message, SPAN_LIT(",r=")) < 0 ||
		       client_append(&c->message, span_make(s->nonce, s->nonce_len)) < 0
		   ? -1
		   : 0;
}

/* RFC 5802, 3 */
static int
prove(struct sasl_client *c, const uint8_t *salted)
{
	uint8_t client_key[SCRAM_HASH_MAX], stored_key[SCRAM_HASH_MAX], server_key[SCRAM_HASH_MAX];
	uint8_t signature[SCRAM_HASH_MAX];
	char proof64[BASE64_SIZE(SCRAM_HASH_MAX) + 1];
	struct client_scram *s = &c->scram;
	size_t size = scram_hash_size(s->hash);
	struct span text;
	int status = -1;

	if (put_without_proof(c) < 0 || client_append(&s->auth_message, SPAN_LIT(",")) < 0 ||
	    client_append(&s->auth_message, sasl_client_message(c)) < 0)
		return -1;
	text = span_make(s->auth_message.bytes, s->auth_message.len);
	if (scram_keys(s->hash, salted, client_key, stored_key, server_key) == 0 &&
	    scram_hmac(s->hash, span_make(stored_key, size), text, signature) == 0 &&
	    scram_hmac(s->hash, span_make(server_key, size), text, s->server_signature) == 0) {
		for (size_t i = 0; i < size; i++)
			signature[i] ^= client_key[i];
		(void)base64_encode(span_make(signature, size), proof64);
		if (client_append(&c->message, SPAN_LIT(",p=")) == 0)
			status = client_append(&c->message, span_of(proof64));
	}
	OPENSSL_cleanse(client_key, sizeof(client_key));
	OPENSSL_cleanse(server_key, sizeof(server_key));
	return status;
}

enum sasl_client_step
client_scram_work(struct sasl_client *c)
{
	struct client_scram *s = &c->scram;
	int done = scram_slow_run(s->slow, SASL_CLIENT_SLICE);

	if (done == 0)
		return SASL_CLIENT_WORK;
	if (done > 0)
		done = prove(c, scram_slow_result(s->slow)) < 0 ? -1 : 1;
	scram_slow_free(&s->slow);
	if (done < 0)
		return client_fail(c, "the cryptographic library failed");
	c->stage = CLIENT_SECOND;
	return SASL_CLIENT_SEND;
}

/* server-final-message: "v=SIGNATURE", or "e=REASON" */
enum sasl_client_step
client_scram_final(struct sasl_client *c, struct span challenge)
{
	struct client_scram *s = &c->scram;
	size_t size = scram_hash_size(s->hash);
	char signature[BASE64_DECODED_MAX(ATTRIBUTE_MAX)];
	struct span rest = challenge, value;

	if (scram_take(&rest, 'e', &value)) {
		/* The refusal is about to come: its words are the server's. */
		c->message.len = 0;
		c->stage = CLIENT_OVER;
		return SASL_CLIENT_SEND;
	}
	if (!scram_take(&rest, 'v', &value) || value.len > ATTRIBUTE_MAX ||
	    base64_decode(value, signature) != (ptrdiff_t)size ||
	    CRYPTO_memcmp(signature, s->server_signature, size) != 0)
		return client_fail(c, "the server does not know the password either");
	s->proven = true;
	c->message.len = 0;
	c->stage = CLIENT_OVER;
	return SASL_CLIENT_SEND;
}
