/* What keys signs, and what it does not: texts by their form, schemes by key and version. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "common/base/buf.h"
#include "services/keys/form.h"
#include "services/keys/signing.h"

/*
 * Texts are written as words: "sp64" 64 blanks, "s13" and "c13" the contexts with their NUL, "d32" so many octets of a
 * digest or random, "=AB" these octets, "m01+34" a handshake message of that type (hexadecimal) with so many octets of
 * body, of which the first two are 03 03.
 */
static void
add_word(struct buf *b, const char *word)
{
	unsigned n, type, octet;
	int used;

	if (strcmp(word, "s13") == 0)
		buf_append(b, "TLS 1.3, server CertificateVerify", 34);
	else if (strcmp(word, "c13") == 0)
		buf_append(b, "TLS 1.3, client CertificateVerify", 34);
	else if (sscanf(word, "sp%u", &n) == 1)
		for (; n > 0; n--)
			buf_append(b, " ", 1);
	else if (sscanf(word, "d%u", &n) == 1)
		for (; n > 0; n--)
			buf_append(b, "\x5a", 1);
	else if (sscanf(word, "m%2x+%u", &type, &n) == 2) {
		const unsigned char head[4] = {
		    (unsigned char)type, 0, (unsigned char)(n >> 8), (unsigned char)n};

		buf_append(b, head, sizeof(head));
		for (unsigned i = 0; i < n; i++)
			buf_append(b, i < 2 ? "\3" : "\x5a", 1);
	} else if (word[0] == '=')
		for (word++; sscanf(word, "%2x%n", &octet, &used) == 1; word += used)
			buf_append(b, &(char){(char)octet}, 1);
	else
		fail_msg("%s", word);
}

static struct span
text_of(struct buf *b, const char *words)
{
	struct span rest = span_of(words), word;
	char text[200];

	buf_clear(b);
	while (span_next_word(&rest, " ", &word)) {
		assert_true(span_copy(word, text, sizeof(text)));
		add_word(b, text);
	}
	return buf_span(b);
}

#define CLIENT_FLIGHT "m01+40 m02+38 m0b+9 m0c+9 m0d+9 m0e+0 m0b+9 m10+33"

static void
forms_are_told_apart(void **state)
{
	static const struct {
		const char *name, *text;
		enum identity_use use;
		enum form_kind form;
	} rows[] = {
	    {"TLS 1.3 server, SHA-256", "sp64 s13 d32", IDENTITY_SERVER, FORM_TLS13},
	    {"TLS 1.3 server, SHA-384", "sp64 s13 d48", IDENTITY_SERVER, FORM_TLS13},
	    {"TLS 1.3 client", "sp64 c13 d32", IDENTITY_CLIENT, FORM_TLS13},
	    {"a server's key does not play the client", "sp64 c13 d32", IDENTITY_SERVER, FORM_NONE},
	    {"a client's key does not play the server", "sp64 s13 d32", IDENTITY_CLIENT, FORM_NONE},
	    {"a blank is missing", "sp63 s13 d32", IDENTITY_SERVER, FORM_NONE},
	    {"a blank too many", "sp65 s13 d32", IDENTITY_SERVER, FORM_NONE},
	    {"no digest", "sp64 s13", IDENTITY_SERVER, FORM_NONE},
	    {"a digest of a strange length", "sp64 s13 d33", IDENTITY_SERVER, FORM_NONE},
	    {"SHA-512 is no suite's", "sp64 s13 d64", IDENTITY_SERVER, FORM_NONE},
	    {"the digest alone", "d32", IDENTITY_SERVER, FORM_NONE},
	    {"blanks alone", "sp64", IDENTITY_SERVER, FORM_NONE},
	    {"blanks as randoms", "sp64 =03001741 =04 d64", IDENTITY_SERVER, FORM_NONE},
	    {"nothing", "", IDENTITY_SERVER, FORM_NONE},
	    {"nothing of a client", "", IDENTITY_CLIENT, FORM_NONE},
	    {"free text", "=48656c6c6f", IDENTITY_SERVER, FORM_NONE},
	    {"long free text", "d200", IDENTITY_SERVER, FORM_NONE},
	    {"long free text of a client", "d200", IDENTITY_CLIENT, FORM_NONE},
	    {"P-256", "d64 =03001741 =04 d64", IDENTITY_SERVER, FORM_TLS12},
	    {"P-384", "d64 =03001861 =04 d96", IDENTITY_SERVER, FORM_TLS12},
	    {"P-521", "d64 =03001985 =04 d132", IDENTITY_SERVER, FORM_TLS12},
	    {"X25519", "d64 =03001d20 d32", IDENTITY_SERVER, FORM_TLS12},
	    {"X448", "d64 =03001e38 d56", IDENTITY_SERVER, FORM_TLS12},
	    {"a client does not send these", "d64 =03001d20 d32", IDENTITY_CLIENT, FORM_NONE},
	    {"a compressed point", "d64 =03001721 =02 d32", IDENTITY_SERVER, FORM_NONE},
	    {"a hybrid point", "d64 =03001741 =06 d64", IDENTITY_SERVER, FORM_NONE},
	    {"a length that is not the curve's", "d64 =03001d21 d33", IDENTITY_SERVER, FORM_NONE},
	    {"an octet is missing", "d64 =03001d20 d31", IDENTITY_SERVER, FORM_NONE},
	    {"something follows", "d64 =03001d20 d33", IDENTITY_SERVER, FORM_NONE},
	    {"an explicit curve", "d64 =01001d20 d32", IDENTITY_SERVER, FORM_NONE},
	    {"a curve that nobody offers", "d64 =03000f20 d32", IDENTITY_SERVER, FORM_NONE},
	    {"a group of finite fields", "d64 =03010020 d32", IDENTITY_SERVER, FORM_NONE},
	    {"parameters of DHE", "d64 =0008 d8 =000102 =0008 d8", IDENTITY_SERVER, FORM_NONE},
	    {"randoms alone", "d64", IDENTITY_SERVER, FORM_NONE},
	    {"one random alone", "d63", IDENTITY_SERVER, FORM_NONE},
	    {"TLS 1.2 client", CLIENT_FLIGHT, IDENTITY_CLIENT, FORM_TLS12},
	    {"without ServerKeyExchange (RSA)", "m01+40 m02+38 m0b+9 m0d+9 m0e+0 m0b+9 m10+33",
		IDENTITY_CLIENT, FORM_TLS12},
	    {"with a stapled answer", "m01+40 m02+38 m0b+9 m16+9 m0c+9 m0d+9 m0e+0 m0b+9 m10+33",
		IDENTITY_CLIENT, FORM_TLS12},
	    {"a handshake of a server's key", CLIENT_FLIGHT, IDENTITY_SERVER, FORM_NONE},
	    {"a handshake that is not over", "m01+40 m02+38 m0b+9 m0c+9 m0d+9 m0e+0 m0b+9", IDENTITY_CLIENT,
		FORM_NONE},
	    {"the server did not ask", "m01+40 m02+38 m0b+9 m0c+9 m0e+0 m0b+9 m10+33", IDENTITY_CLIENT,
		FORM_NONE},
	    {"another order", "m02+38 m01+40 m0b+9 m0c+9 m0d+9 m0e+0 m0b+9 m10+33", IDENTITY_CLIENT,
		FORM_NONE},
	    {"a message too many", CLIENT_FLIGHT " m0f+9", IDENTITY_CLIENT, FORM_NONE},
	    {"twice", CLIENT_FLIGHT " " CLIENT_FLIGHT, IDENTITY_CLIENT, FORM_NONE},
	    {"cut in a header", CLIENT_FLIGHT " =0f00", IDENTITY_CLIENT, FORM_NONE},
	    {"cut in a body", "m01+40 m02+38 =0b000009 d8", IDENTITY_CLIENT, FORM_NONE},
	    {"a hello that is too short", "m01+33 m02+38 m0b+9 m0c+9 m0d+9 m0e+0 m0b+9 m10+33",
		IDENTITY_CLIENT, FORM_NONE},
	};
	struct error err;
	struct buf b;

	(void)state;
	buf_init(&b, 100000);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		err.text[0] = '\0';
		if (form_of(text_of(&b, rows[i].text), rows[i].use, &err) != rows[i].form)
			fail_msg("%s: %s", rows[i].name, err.text);
		if (rows[i].form == FORM_NONE && err.text[0] == '\0')
			fail_msg("%s: no reason", rows[i].name);
	}
	buf_free(&b);
}

/* A text that passes is refused with any one octet of its frame changed, and cut anywhere. */
static void
every_octet_counts(void **state)
{
	struct error err;
	char copy[200];
	struct span text;
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	text = text_of(&b, "sp64 s13 d32");
	for (size_t i = 0; i < 64 + 34; i++) {
		memcpy(copy, text.ptr, text.len);
		copy[i] ^= 1;
		assert_int_equal(form_of(span_make(copy, text.len), IDENTITY_SERVER, &err), FORM_NONE);
	}
	for (size_t len = 0; len < text.len; len++)
		assert_int_equal(form_of(span_sub(text, 0, len), IDENTITY_SERVER, &err), FORM_NONE);
	text = text_of(&b, "d64 =03001d20 d32");
	for (size_t len = 0; len < text.len; len++)
		assert_int_equal(form_of(span_sub(text, 0, len), IDENTITY_SERVER, &err), FORM_NONE);
	buf_free(&b);
}

/* ---- schemes ---- */

enum kind { RSA_KEY, PSS_KEY, P256, P384, P521, ED25519_KEY, KINDS };

static EVP_PKEY *keys[KINDS];

static EVP_PKEY *
make_pss(void)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(EVP_PKEY_RSA_PSS, NULL);
	EVP_PKEY *key = NULL;

	assert_int_equal(EVP_PKEY_keygen_init(context), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_bits(context, 2048), 1);
	assert_int_equal(EVP_PKEY_generate(context, &key), 1);
	EVP_PKEY_CTX_free(context);
	return key;
}

static int
make_keys(void **state)
{
	(void)state;
	keys[RSA_KEY] = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	keys[PSS_KEY] = make_pss();
	keys[P256] = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	keys[P384] = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
	keys[P521] = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-521");
	keys[ED25519_KEY] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	return 0;
}

static int
free_keys(void **state)
{
	(void)state;
	for (size_t i = 0; i < KINDS; i++)
		EVP_PKEY_free(keys[i]);
	return 0;
}

/* Which keys may sign in a scheme: a letter each, in the order of the enum. */
static void
schemes_fit_their_keys(void **state)
{
	static const struct {
		uint32_t scheme;
		const char *tls12, *tls13;
	} rows[] = {
	    {0x0401, "y.....", "......"},
	    {0x0501, "y.....", "......"},
	    {0x0601, "y.....", "......"},
	    {0x0403, "..yyy.", "..y..."},
	    {0x0503, "..yyy.", "...y.."},
	    {0x0603, "..yyy.", "....y."},
	    {0x0804, "y.....", "y....."},
	    {0x0805, "y.....", "y....."},
	    {0x0806, "y.....", "y....."},
	    {0x0807, ".....y", ".....y"},
	    {0x0809, ".y....", ".y...."},
	    {0x080a, ".y....", ".y...."},
	    {0x080b, ".y....", ".y...."},
	    {0x0201, "......", "......"}, /* SHA-1 */
	    {0x0203, "......", "......"},
	    {0x0101, "......", "......"},
	    {0, "......", "......"},
	    {0x10401, "......", "......"},
	};
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t k = 0; k < KINDS; k++) {
			int got12 = signing_allowed(keys[k], rows[i].scheme, FORM_TLS12, &err);
			int got13 = signing_allowed(keys[k], rows[i].scheme, FORM_TLS13, &err);

			if ((got12 == 0) != (rows[i].tls12[k] == 'y') ||
			    (got13 == 0) != (rows[i].tls13[k] == 'y'))
				fail_msg(
				    "scheme %04x, key %zu: %d %d", (unsigned)rows[i].scheme, k, got12, got13);
		}
	}
}

static void
verify(EVP_PKEY *key, const char *digest, int padding, struct span text, const uint8_t *signature, size_t len)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	EVP_PKEY_CTX *key_context;

	assert_int_equal(EVP_DigestVerifyInit_ex(context, &key_context, digest, NULL, NULL, key, NULL), 1);
	if (padding != 0)
		assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(key_context, padding), 1);
	if (padding == RSA_PKCS1_PSS_PADDING)
		assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context, RSA_PSS_SALTLEN_DIGEST), 1);
	assert_int_equal(
	    EVP_DigestVerify(context, signature, len, (const unsigned char *)text.ptr, text.len), 1);
	EVP_MD_CTX_free(context);
}

static void
signatures_verify(void **state)
{
	static const struct {
		enum kind kind;
		uint32_t scheme;
		const char *digest;
		int padding;
	} rows[] = {
	    {RSA_KEY, 0x0401, "SHA256", RSA_PKCS1_PADDING},
	    {RSA_KEY, 0x0601, "SHA512", RSA_PKCS1_PADDING},
	    {RSA_KEY, 0x0804, "SHA256", RSA_PKCS1_PSS_PADDING},
	    {RSA_KEY, 0x0806, "SHA512", RSA_PKCS1_PSS_PADDING},
	    {PSS_KEY, 0x0809, "SHA256", RSA_PKCS1_PSS_PADDING},
	    {P256, 0x0403, "SHA256", 0},
	    {P256, 0x0503, "SHA384", 0},
	    {P384, 0x0503, "SHA384", 0},
	    {P521, 0x0603, "SHA512", 0},
	    {ED25519_KEY, 0x0807, NULL, 0},
	};
	uint8_t signature[SIGNATURE_MAX];
	struct error err;
	struct span text;
	struct buf b;
	size_t len;

	(void)state;
	buf_init(&b, 1000);
	text = text_of(&b, "sp64 s13 d32");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		EVP_PKEY *key = keys[rows[i].kind];

		len = signing_sign(key, rows[i].scheme, text, signature, &err);
		assert_true(len > 0);
		verify(key, rows[i].digest, rows[i].padding, text, signature, len);
	}
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(forms_are_told_apart),
	    cmocka_unit_test(every_octet_counts),
	    cmocka_unit_test(schemes_fit_their_keys),
	    cmocka_unit_test(signatures_verify),
	};

	return cmocka_run_group_tests(tests, make_keys, free_keys);
}
