/*
 * SCRAM's keys (RFC 5802, 3; RFC 5803), as Dovecot writes them, "iterations,salt,stored key,server key", and as RFC 5803
 * and PostgreSQL do, "iterations:salt$stored key:server key". A plain password can be held against them too.
 */
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

#include "common/base/base64.h"
#include "common/base/text.h"
#include "common/password/password.h"

enum { MAKE_ITERATIONS = 100000, MAKE_SALT = 16 };

/* Octets of a base64 text; -1 if it is none or has more than size. */
static ptrdiff_t
octets(struct span text, uint8_t *out, size_t size)
{
	char room[BASE64_DECODED_MAX(PASSWORD_STORED_MAX) + 3];
	ptrdiff_t len = text.len <= PASSWORD_STORED_MAX ? base64_decode(text, room) : -1;

	if (len < 0 || (size_t)len > size)
		return -1;
	memcpy(out, room, (size_t)len);
	explicit_bzero(room, sizeof(room));
	return len;
}

/* Exactly one separator ends each word but the last. */
static bool
next_part(struct span *rest, const char *separators, struct span *part)
{
	size_t len = 0;

	while (len < rest->len && strchr(separators, rest->ptr[len]) == NULL)
		len++;
	*part = span_sub(*rest, 0, len);
	*rest = span_from(*rest, len + 1);
	return part->len > 0;
}

static int
parse(struct password_stored *s, struct error *err)
{
	struct password_scram *scram = &s->scram;
	struct span rest = s->text, part[4];
	uint64_t iterations;
	ptrdiff_t salt;

	scram->hash = span_is(span_of(s->prefix), "SCRAM-SHA-1") ? SCRAM_SHA_1 : SCRAM_SHA_256;
	ptrdiff_t size = (ptrdiff_t)scram_hash_size(scram->hash);
	for (size_t i = 0; i < 4; i++)
		if (!next_part(&rest, ",:$", &part[i]))
			return error_set(
			    err, "keys of SCRAM are not \"iterations,salt,stored key,server key\"");
	if (rest.len > 0 ||
	    number_parse(part[0], SCRAM_ITERATIONS_MIN, SCRAM_ITERATIONS_MAX, &iterations) < 0)
		return error_set(err, "keys of SCRAM want 4 parts, the first from %d to %d",
		    SCRAM_ITERATIONS_MIN, SCRAM_ITERATIONS_MAX);
	salt = octets(part[1], scram->salt, sizeof(scram->salt));
	if (salt <= 0 || octets(part[2], scram->stored_key, sizeof(scram->stored_key)) != size ||
	    octets(part[3], scram->server_key, sizeof(scram->server_key)) != size)
		return error_set(err, "salt or keys of SCRAM are malformed");
	scram->salt_len = (size_t)salt;
	scram->iterations = (uint32_t)iterations;
	return 0;
}

static int
derive(const struct password_scram *scram, struct span password, uint8_t stored_key[SCRAM_HASH_MAX],
    uint8_t server_key[SCRAM_HASH_MAX])
{
	uint8_t salted[SCRAM_HASH_MAX], client_key[SCRAM_HASH_MAX];
	int result = scram_salted_password(
	    scram->hash, password, span_make(scram->salt, scram->salt_len), scram->iterations, salted);
	if (result == 0)
		result = scram_keys(scram->hash, salted, client_key, stored_key, server_key);
	explicit_bzero(salted, sizeof(salted));
	explicit_bzero(client_key, sizeof(client_key));
	return result;
}

static enum auth_status
verify(const struct password_stored *s, const char *password, size_t len, struct error *err)
{
	uint8_t stored_key[SCRAM_HASH_MAX];
	bool same;

	if (derive(&s->scram, span_make(password, len), stored_key, NULL) < 0) {
		error_set(err, "the keys of SCRAM cannot be worked out");
		return AUTH_TEMPORARY;
	}
	same = CRYPTO_memcmp(stored_key, s->scram.stored_key, scram_hash_size(s->scram.hash)) == 0;
	explicit_bzero(stored_key, sizeof(stored_key));
	return same ? AUTH_ACCEPTED : AUTH_REFUSED;
}

const struct password_kind password_scram = {parse, verify};

static void
append_base64(struct buf *out, const uint8_t *bytes, size_t len)
{
	char text[BASE64_SIZE(SCRAM_SALT_MAX) + 1];

	(void)base64_encode(span_make(bytes, len), text);
	(void)buf_printf(out, ",%s", text);
}

int
password_make_scram(struct span password, struct buf *out, struct error *err)
{
	struct password_scram scram = {
	    .hash = SCRAM_SHA_256, .iterations = MAKE_ITERATIONS, .salt_len = MAKE_SALT};

	if (RAND_bytes(scram.salt, MAKE_SALT) != 1)
		return error_set(err, "no random numbers");
	if (derive(&scram, password, scram.stored_key, scram.server_key) < 0)
		return error_set(err, "the keys of SCRAM cannot be worked out");
	(void)buf_printf(out, "{SCRAM-SHA-256}%u", scram.iterations);
	append_base64(out, scram.salt, scram.salt_len);
	append_base64(out, scram.stored_key, scram_hash_size(scram.hash));
	append_base64(out, scram.server_key, scram_hash_size(scram.hash));
	return out->full ? error_set(err, "the stored form is too long") : 0;
}
