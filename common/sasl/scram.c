#include "common/sasl/scram.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>

#include "common/base/base64.h"

static const EVP_MD *
method(enum scram_hash hash)
{
	return hash == SCRAM_SHA_1 ? EVP_sha1() : EVP_sha256();
}

size_t
scram_hash_size(enum scram_hash hash)
{
	return hash == SCRAM_SHA_1 ? 20 : 32;
}

int
scram_salted_password(enum scram_hash hash, struct span prepared_password, struct span salt,
    uint32_t iterations, uint8_t salted[SCRAM_HASH_MAX])
{
	if (iterations == 0 || iterations > SCRAM_ITERATIONS_MAX || salt.len > SCRAM_SALT_MAX)
		return -1;
	return PKCS5_PBKDF2_HMAC(prepared_password.len ? prepared_password.ptr : "",
		   (int)prepared_password.len, (const unsigned char *)salt.ptr, (int)salt.len,
		   (int)iterations, method(hash), (int)scram_hash_size(hash), salted) == 1
		   ? 0
		   : -1;
}

int
scram_hmac(enum scram_hash hash, struct span key, struct span text, uint8_t out[SCRAM_HASH_MAX])
{
	unsigned len = 0;

	if (!HMAC(method(hash), key.ptr, (int)key.len, (const unsigned char *)text.ptr, text.len, out, &len))
		return -1;
	return len == scram_hash_size(hash) ? 0 : -1;
}

int
scram_digest(enum scram_hash hash, struct span text, uint8_t out[SCRAM_HASH_MAX])
{
	return EVP_Digest(text.ptr, text.len, out, NULL, method(hash), NULL) == 1 ? 0 : -1;
}

int
scram_keys(enum scram_hash hash, const uint8_t salted[SCRAM_HASH_MAX], uint8_t client_key[SCRAM_HASH_MAX],
    uint8_t stored_key[SCRAM_HASH_MAX], uint8_t server_key[SCRAM_HASH_MAX])
{
	size_t size = scram_hash_size(hash);
	struct span key = span_make(salted, size);

	if (scram_hmac(hash, key, SPAN_LIT("Client Key"), client_key) < 0)
		return -1;
	if (stored_key && scram_digest(hash, span_make(client_key, size), stored_key) < 0)
		return -1;
	return server_key ? scram_hmac(hash, key, SPAN_LIT("Server Key"), server_key) : 0;
}

bool
scram_take(struct span *rest, char name, struct span *value)
{
	ptrdiff_t comma;

	if (rest->len < 2 || rest->ptr[0] != name || rest->ptr[1] != '=')
		return false;
	*value = span_from(*rest, 2);
	comma = span_find(*value, ',');
	if (comma < 0) {
		*rest = span_make(NULL, 0);
		return true;
	}
	*rest = span_from(*value, (size_t)comma + 1);
	*value = span_sub(*value, 0, (size_t)comma);
	return true;
}

ptrdiff_t
scram_unescape(struct span name, char *out, size_t size)
{
	size_t len = 0;

	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if (len >= size || c == '\0' || c == ',')
			return -1;
		if (c == '=') {
			struct span code = span_sub(name, i + 1, 2);

			if (!span_is(code, "2C") && !span_is(code, "3D"))
				return -1;
			c = code.ptr[0] == '2' ? ',' : '=';
			i += 2;
		}
		out[len++] = c;
	}
	return (ptrdiff_t)len;
}

ptrdiff_t
scram_escape(struct span name, char *out, size_t size)
{
	size_t len = 0;

	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];
		bool special = c == ',' || c == '=';

		if (len + (special ? 3 : 1) > size)
			return -1;
		if (!special) {
			out[len++] = c;
			continue;
		}
		memcpy(out + len, c == ',' ? "=2C" : "=3D", 3);
		len += 3;
	}
	return (ptrdiff_t)len;
}

bool
scram_nonce_valid(struct span nonce)
{
	for (size_t i = 0; i < nonce.len; i++)
		if (nonce.ptr[i] <= ' ' || nonce.ptr[i] > '~' || nonce.ptr[i] == ',')
			return false;
	return nonce.len > 0;
}

int
scram_nonce(char out[SCRAM_NONCE_SIZE + 1])
{
	unsigned char random[SCRAM_NONCE_SIZE / 4 * 3];

	if (RAND_bytes(random, sizeof(random)) != 1)
		return -1;
	(void)base64_encode(span_make(random, sizeof(random)), out);
	return 0;
}
