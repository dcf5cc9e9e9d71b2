/*
 * The server's side of SCRAM (RFC 5802, 5 to 7), with the channel bindings of RFC 5929 and RFC 9266.
 */
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "common/base/base64.h"
#include "common/base/text.h"
#include "common/sasl/server_inside.h"

/* gs2-header = gs2-cbind-flag "," [ "a=" saslname ] "," (RFC 5801, 4) */
int
gs2_parse(struct span message, struct gs2 *parts)
{
	ptrdiff_t first = span_find(message, ','), second;
	struct span rest;

	if (first <= 0)
		return -1;
	parts->flag = span_sub(message, 0, (size_t)first);
	rest = span_from(message, (size_t)first + 1);
	second = span_find(rest, ',');
	if (second < 0)
		return -1;
	parts->authzid = span_sub(rest, 0, (size_t)second);
	if (parts->authzid.len) {
		if (!span_starts(parts->authzid, "a=") || parts->authzid.len == 2)
			return -1;
		parts->authzid = span_from(parts->authzid, 2);
	}
	parts->header = span_sub(message, 0, (size_t)(first + 1 + second + 1));
	parts->rest = span_from(message, parts->header.len);
	return 0;
}

/* What the flag says of the channel must suit the mechanism (RFC 5802, 6). NULL, or what is wrong. */
static const char *
bind_channel(struct sasl_server *s, struct span flag)
{
	const struct {
		const char *name;
		const struct sasl_bytes *data;
	} types[] = {{"p=tls-exporter", &s->tls_exporter}, {"p=tls-unique", &s->tls_unique},
	    {"p=tls-server-end-point", &s->tls_server_end_point}};

	if (!sasl_mechanism_binds(s->mechanism)) {
		if (span_is(flag, "y"))
			return s->plus_offered ? "channel binding was suppressed on the way" : NULL;
		return span_is(flag, "n") ? NULL : "malformed response";
	}
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		const struct sasl_bytes *data = types[i].data;

		if (!span_is(flag, types[i].name) || data->len == 0)
			continue;
		return sasl_append(&s->scram.gs2_header, span_make(data->bytes, data->len)) < 0
			   ? "channel binding too long"
			   : NULL;
	}
	return "unsupported channel binding";
}

/* client-first-message-bare = [reserved-mext ","] username "," nonce ["," extensions] */
static int
take_first_bare(struct sasl_server *s, struct span bare)
{
	struct span name, nonce, rest = bare;
	char plain[SASL_USER_MAX];
	ptrdiff_t len;

	if (!scram_take(&rest, 'n', &name) || !scram_take(&rest, 'r', &nonce) || !scram_nonce_valid(nonce) ||
	    sasl_keep(&s->scram.client_nonce, nonce) < 0 || sasl_append(&s->scram.auth_message, bare) < 0)
		return -1;
	len = scram_unescape(name, plain, sizeof(plain));
	return len < 0 ? -1 : sasl_take_user(s, span_make(plain, (size_t)len));
}

enum sasl_step
scram_first(struct sasl_server *s, struct span message)
{
	char authzid[SASL_USER_MAX];
	const char *fault;
	struct gs2 parts;
	ptrdiff_t len;

	if (message.len > SCRAM_MESSAGE_MAX / 4 || gs2_parse(message, &parts) < 0)
		return sasl_fail(s, "malformed response");
	if (sasl_append(&s->scram.gs2_header, parts.header) < 0)
		return sasl_fail(s, "malformed response");
	fault = bind_channel(s, parts.flag);
	if (fault)
		return sasl_fail(s, fault);
	len = scram_unescape(parts.authzid, authzid, sizeof(authzid));
	if (len < 0 || sasl_take_authzid(s, span_make(authzid, (size_t)len)) < 0 ||
	    take_first_bare(s, parts.rest) < 0)
		return sasl_fail(s, "malformed response");
	s->stage = STAGE_KEYS;
	return SASL_NEED_KEYS;
}

static int
make_nonce(struct sasl_scram *scram)
{
	char own[SCRAM_NONCE_SIZE + 1], both[BINDING_MAX];
	struct span mine = span_make(scram->fixed_nonce.bytes, scram->fixed_nonce.len);

	if (mine.len == 0) {
		if (scram_nonce(own) < 0)
			return -1;
		mine = span_of(own);
	}
	if (scram->client_nonce.len + mine.len > sizeof(both))
		return -1;
	memcpy(both, scram->client_nonce.bytes, scram->client_nonce.len);
	memcpy(both + scram->client_nonce.len, mine.ptr, mine.len);
	return sasl_keep(&scram->nonce, span_make(both, scram->client_nonce.len + mine.len));
}

/* The keys of nobody: the exchange takes its course. */
static int
take_keys(struct sasl_scram *scram, const struct sasl_keys *keys)
{
	size_t size = scram_hash_size(scram->hash);

	scram->known = keys->status == AUTH_ACCEPTED;
	if (!scram->known)
		return RAND_bytes(scram->stored_key, sizeof(scram->stored_key)) == 1 ? 0 : -1;
	if (keys->stored_key.len != size || keys->server_key.len != size)
		return -1;
	memcpy(scram->stored_key, keys->stored_key.ptr, size);
	memcpy(scram->server_key, keys->server_key.ptr, size);
	return 0;
}

enum sasl_step
scram_have_keys(struct sasl_server *s, const struct sasl_keys *keys)
{
	struct sasl_scram *scram = &s->scram;
	char salt[BASE64_SIZE(SCRAM_SALT_MAX) + 1], first[SCRAM_MESSAGE_MAX];
	int len;

	s->stage = STAGE_OVER;
	if (keys->status == AUTH_TEMPORARY || keys->salt.len == 0 || keys->salt.len > SCRAM_SALT_MAX ||
	    keys->iterations == 0 || take_keys(scram, keys) < 0)
		return SASL_TROUBLE;
	if (make_nonce(scram) < 0)
		return sasl_fail(s, "malformed response");
	(void)base64_encode(keys->salt, salt);
	len = snprintf(first, sizeof(first), "r=%.*s,s=%s,i=%u", (int)scram->nonce.len, scram->nonce.bytes,
	    salt, keys->iterations);
	if (len < 0 || (size_t)len >= sizeof(first) || sasl_append(&scram->auth_message, SPAN_LIT(",")) < 0 ||
	    sasl_append(&scram->auth_message, span_make(first, (size_t)len)) < 0)
		return sasl_fail(s, "malformed response");
	return sasl_challenge(s, span_make(first, (size_t)len), STAGE_SECOND);
}

/* c= and r= say again what was agreed on; c= holds the channel's data too. */
static bool
agrees(const struct sasl_scram *scram, struct span channel, struct span nonce)
{
	char plain[SCRAM_MESSAGE_MAX];
	ptrdiff_t len;

	if (BASE64_DECODED_MAX(channel.len) > sizeof(plain))
		return false;
	len = base64_decode(channel, plain);
	return len >= 0 && (size_t)len == scram->gs2_header.len &&
	       CRYPTO_memcmp(plain, scram->gs2_header.bytes, (size_t)len) == 0 &&
	       span_equal(nonce, span_make(scram->nonce.bytes, scram->nonce.len));
}

/* H(proof XOR HMAC(StoredKey, AuthMessage)) is StoredKey (RFC 5802, 3). */
static bool
proven(const struct sasl_scram *scram, struct span proof)
{
	size_t size = scram_hash_size(scram->hash);
	struct span message = span_make(scram->auth_message.bytes, scram->auth_message.len);
	uint8_t key[SCRAM_HASH_MAX], stored[SCRAM_HASH_MAX];
	char plain[BASE64_SIZE(SCRAM_HASH_MAX)];
	bool same;

	if (proof.len != BASE64_SIZE(size) || base64_decode(proof, plain) != (ptrdiff_t)size ||
	    scram_hmac(scram->hash, span_make(scram->stored_key, size), message, key) < 0)
		return false;
	for (size_t i = 0; i < size; i++)
		key[i] ^= (uint8_t)plain[i];
	same = scram_digest(scram->hash, span_make(key, size), stored) == 0 &&
	       CRYPTO_memcmp(stored, scram->stored_key, size) == 0;
	explicit_bzero(key, sizeof(key));
	return same && scram->known;
}

/* client-final-message = channel-binding "," nonce ["," extensions] "," proof */
enum sasl_step
scram_final(struct sasl_server *s, struct span message)
{
	struct sasl_scram *scram = &s->scram;
	struct span rest, channel, nonce, proof;
	uint8_t signature[SCRAM_HASH_MAX];
	size_t size = scram_hash_size(scram->hash);
	char final[2 + BASE64_SIZE(SCRAM_HASH_MAX) + 1] = "v=";
	ptrdiff_t comma = span_find_last(message, ',');

	if (comma < 0)
		return sasl_fail(s, "malformed response");
	rest = span_from(message, (size_t)comma + 1);
	message = span_sub(message, 0, (size_t)comma);
	if (!scram_take(&rest, 'p', &proof) || sasl_append(&scram->auth_message, SPAN_LIT(",")) < 0 ||
	    sasl_append(&scram->auth_message, message) < 0)
		return sasl_fail(s, "malformed response");
	rest = message;
	if (!scram_take(&rest, 'c', &channel) || !scram_take(&rest, 'r', &nonce) || span_starts(rest, "m="))
		return sasl_fail(s, "malformed response");
	if (!proven(scram, proof) || !agrees(scram, channel, nonce))
		return sasl_fail(s, "authentication failure");
	if (scram_hmac(scram->hash, span_make(scram->server_key, size),
		span_make(scram->auth_message.bytes, scram->auth_message.len), signature) < 0)
		return SASL_TROUBLE;
	(void)base64_encode(span_make(signature, size), final + 2);
	return sasl_challenge(s, span_of(final), STAGE_LAST);
}

/* RFC 4954, 4: what the server says last is a challenge, and the answer to it is empty. */
enum sasl_step
scram_over(struct sasl_server *s, struct span message)
{
	if (message.len)
		return sasl_fail(s, "malformed response");
	s->stage = STAGE_OVER;
	return SASL_DONE;
}
