/*
 * Salted digests, as directories have them: base64 of the digest of password and salt, with the salt behind it.
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include "common/base/base64.h"
#include "common/password/password.h"

enum { SALT_MAX = 64 };

static const EVP_MD *
method(const struct password_stored *s)
{
	if (span_is(span_of(s->prefix), "SSHA"))
		return EVP_sha1();
	return span_is(span_of(s->prefix), "SSHA256") ? EVP_sha256() : EVP_sha512();
}

/* Digest and salt. */
static ptrdiff_t
decode(const struct password_stored *s, char room[BASE64_DECODED_MAX(PASSWORD_STORED_MAX) + 3])
{
	return base64_decode(s->text, room);
}

static int
parse(struct password_stored *s, struct error *err)
{
	char room[BASE64_DECODED_MAX(PASSWORD_STORED_MAX) + 3];
	ptrdiff_t size = EVP_MD_get_size(method(s)), len = decode(s, room);

	if (len <= size || len > size + SALT_MAX)
		return error_set(err, "a {%s} string is malformed, or has no salt", s->prefix);
	s->weakness = "a plain digest is quickly tried out: postern password makes better schemes";
	return 0;
}

static enum auth_status
verify(const struct password_stored *s, const char *password, size_t len, struct error *err)
{
	char room[BASE64_DECODED_MAX(PASSWORD_STORED_MAX) + 3];
	unsigned char made[EVP_MAX_MD_SIZE], input[PASSWORD_MAX + SALT_MAX];
	size_t size = (size_t)EVP_MD_get_size(method(s)), all = (size_t)decode(s, room);
	enum auth_status status = AUTH_REFUSED;

	memcpy(input, password, len);
	memcpy(input + len, room + size, all - size);
	if (EVP_Digest(input, len + all - size, made, NULL, method(s), NULL) != 1) {
		error_set(err, "the digest cannot be made");
		status = AUTH_TEMPORARY;
	} else if (CRYPTO_memcmp(made, room, size) == 0) {
		status = AUTH_ACCEPTED;
	}
	explicit_bzero(input, sizeof(input));
	explicit_bzero(made, sizeof(made));
	return status;
}

const struct password_kind password_digest = {parse, verify};
