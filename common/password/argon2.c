/*
 * argon2 (RFC 9106), by libargon2 where it was there at build time.
 */
#include "config.h"

#ifdef HAVE_ARGON2
#include <argon2.h>
#endif
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "common/base/text.h"
#include "common/password/password.h"

enum {
	TIME_MAX = 50,
	LANES_MAX = 16,
	/* What password_make() uses: the second choice of RFC 9106, 4, in one lane. */
	MAKE_TIME = 3,
	MAKE_KIBIBYTES = 65536,
	MAKE_LANES = 1,
	SALT_OCTETS = 16,
	HASH_OCTETS = 32,
	ENCODED_SIZE = 200
};

/* "m=65536,t=3,p=1": -1 if anything is not so, or beyond its bound. */
static int
read_costs(struct span text, uint64_t *kibibytes)
{
	static const struct {
		const char *name;
		uint64_t max;
	} rows[] = {{"m=", PASSWORD_MEMORY_MAX / 1024}, {"t=", TIME_MAX}, {"p=", LANES_MAX}};
	struct span word;
	uint64_t value;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!span_next_word(&text, ",", &word) || !span_starts(word, rows[i].name) ||
		    number_parse(span_from(word, 2), 1, rows[i].max, &value) < 0)
			return -1;
		if (i == 0)
			*kibibytes = value;
	}
	return text.len == 0 ? 0 : -1;
}

static int
parse(struct password_stored *s, struct error *err)
{
	struct span rest = s->text, word;
	uint64_t kibibytes = 0;

	if (!span_next_word(&rest, "$", &word) ||
	    !(span_is(word, "argon2id") || span_is(word, "argon2i") || span_is(word, "argon2d")))
		return error_set(err, "an argon2 string does not begin with $argon2id$");
	/* Without a version it is that of the first edition, 0x10. */
	if (!span_next_word(&rest, "$", &word) ||
	    (span_starts(word, "v=") && !span_next_word(&rest, "$", &word)) ||
	    read_costs(word, &kibibytes) < 0)
		return error_set(err, "an argon2 string is malformed, or costs too much");
	s->memory = kibibytes * 1024;
#ifdef HAVE_ARGON2
	return 0;
#else
	return error_set(err, "argon2 is not built in");
#endif
}

#ifdef HAVE_ARGON2

static enum auth_status
verify(const struct password_stored *s, const char *password, size_t len, struct error *err)
{
	char encoded[PASSWORD_STORED_MAX + 1];
	argon2_type type = span_starts(s->text, "$argon2id")   ? Argon2_id
			   : span_starts(s->text, "$argon2i$") ? Argon2_i
							       : Argon2_d;
	int result;

	(void)span_copy(s->text, encoded, sizeof(encoded));
	result = argon2_verify(encoded, password, len, type);
	if (result == ARGON2_OK)
		return AUTH_ACCEPTED;
	if (result == ARGON2_VERIFY_MISMATCH)
		return AUTH_REFUSED;
	error_set(err, "argon2: %s", argon2_error_message(result));
	return AUTH_TEMPORARY;
}

int
password_make_argon2(struct span password, struct buf *out, struct error *err)
{
	uint8_t salt[SALT_OCTETS];
	char encoded[ENCODED_SIZE];
	int result;

	if (RAND_bytes(salt, sizeof(salt)) != 1)
		return error_set(err, "no random numbers");
	result = argon2id_hash_encoded(MAKE_TIME, MAKE_KIBIBYTES, MAKE_LANES, password.ptr, password.len,
	    salt, sizeof(salt), HASH_OCTETS, encoded, sizeof(encoded));
	if (result != ARGON2_OK)
		return error_set(err, "argon2: %s", argon2_error_message(result));
	return buf_append_text(out, encoded);
}

#else

static enum auth_status
verify(const struct password_stored *s, const char *password, size_t len, struct error *err)
{
	(void)s;
	(void)password;
	(void)len;
	error_set(err, "argon2 is not built in");
	return AUTH_TEMPORARY;
}

#endif

const struct password_kind password_argon2 = {parse, verify};
