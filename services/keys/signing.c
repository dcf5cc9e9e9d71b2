#include "services/keys/signing.h"

#include <openssl/err.h>
#include <openssl/rsa.h>
#include <string.h>

struct scheme {
	uint32_t number;
	int type; /* EVP_PKEY_id() of the key */
	const char *digest; /* NULL: the key's own (EdDSA) */
	int padding; /* of RSA */
	const char
	    *curve; /* in TLS 1.3 the curve is part of the scheme; in TLS 1.2 it is not (RFC 8446, 4.2.3) */
	bool only_tls12;
};

static const struct scheme schemes[] = {
    {0x0401, EVP_PKEY_RSA, "SHA256", RSA_PKCS1_PADDING, NULL, true},
    {0x0501, EVP_PKEY_RSA, "SHA384", RSA_PKCS1_PADDING, NULL, true},
    {0x0601, EVP_PKEY_RSA, "SHA512", RSA_PKCS1_PADDING, NULL, true},
    {0x0403, EVP_PKEY_EC, "SHA256", 0, "prime256v1", false},
    {0x0503, EVP_PKEY_EC, "SHA384", 0, "secp384r1", false},
    {0x0603, EVP_PKEY_EC, "SHA512", 0, "secp521r1", false},
    {0x0804, EVP_PKEY_RSA, "SHA256", RSA_PKCS1_PSS_PADDING, NULL, false},
    {0x0805, EVP_PKEY_RSA, "SHA384", RSA_PKCS1_PSS_PADDING, NULL, false},
    {0x0806, EVP_PKEY_RSA, "SHA512", RSA_PKCS1_PSS_PADDING, NULL, false},
    {0x0807, EVP_PKEY_ED25519, NULL, 0, NULL, false},
    {0x0808, EVP_PKEY_ED448, NULL, 0, NULL, false},
    {0x0809, EVP_PKEY_RSA_PSS, "SHA256", RSA_PKCS1_PSS_PADDING, NULL, false},
    {0x080a, EVP_PKEY_RSA_PSS, "SHA384", RSA_PKCS1_PSS_PADDING, NULL, false},
    {0x080b, EVP_PKEY_RSA_PSS, "SHA512", RSA_PKCS1_PSS_PADDING, NULL, false},
};

static const struct scheme *
find(uint32_t number)
{
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		if (schemes[i].number == number)
			return &schemes[i];
	}
	return NULL;
}

int
signing_allowed(EVP_PKEY *key, uint32_t scheme, enum form_kind form, struct error *err)
{
	const struct scheme *s = find(scheme);
	char curve[64];
	size_t len;

	if (s == NULL)
		return error_set(err, "unknown signature scheme 0x%04x", (unsigned)scheme);
	if (EVP_PKEY_get_base_id(key) != s->type)
		return error_set(err, "signature scheme 0x%04x is not this key's", (unsigned)scheme);
	if (form != FORM_TLS13)
		return 0;
	if (s->only_tls12)
		return error_set(err, "signature scheme 0x%04x is none of TLS 1.3", (unsigned)scheme);
	if (s->curve != NULL &&
	    (EVP_PKEY_get_group_name(key, curve, sizeof(curve), &len) != 1 || strcmp(curve, s->curve) != 0))
		return error_set(err, "signature scheme 0x%04x is for another curve", (unsigned)scheme);
	return 0;
}

/* Fetched by signing_open(), for that takes as long as a part of a signature. */
static EVP_MD *digests[sizeof(schemes) / sizeof(schemes[0])];

int
signing_open(struct error *err)
{
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		if (schemes[i].digest == NULL || digests[i] != NULL)
			continue;
		digests[i] = EVP_MD_fetch(NULL, schemes[i].digest, NULL);
		if (digests[i] == NULL)
			return error_set(err, "OpenSSL has no %s", schemes[i].digest);
	}
	return 0;
}

static const EVP_MD *
digest_of(const struct scheme *s)
{
	const EVP_MD *digest = digests[s - schemes];

	return digest || s->digest == NULL ? digest : EVP_get_digestbyname(s->digest);
}

static int
failed(const char *what, struct error *err)
{
	ERR_clear_error();
	return error_set(err, "%s failed", what);
}

static int
set_padding(EVP_PKEY_CTX *context, const struct scheme *s, struct error *err)
{
	if (s->padding == 0)
		return 0;
	if (EVP_PKEY_CTX_set_rsa_padding(context, s->padding) <= 0)
		return failed("setting the padding", err);
	/* As long as the digest: RFC 8446, 4.2.3. */
	if (s->padding == RSA_PKCS1_PSS_PADDING &&
	    EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) <= 0)
		return failed("setting the length of the salt", err);
	return 0;
}

size_t
signing_sign(
    EVP_PKEY *key, uint32_t scheme, struct span text, uint8_t signature[SIGNATURE_MAX], struct error *err)
{
	const struct scheme *s = find(scheme);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	EVP_PKEY_CTX *key_context;
	size_t len = SIGNATURE_MAX;

	if (s == NULL || context == NULL ||
	    EVP_DigestSignInit(context, &key_context, digest_of(s), NULL, key) != 1) {
		len = 0;
		failed("preparing a signature", err);
	} else if (set_padding(key_context, s, err) < 0) {
		len = 0;
	} else if ((size_t)EVP_PKEY_get_size(key) > SIGNATURE_MAX ||
		   EVP_DigestSign(context, signature, &len, (const unsigned char *)text.ptr, text.len) != 1) {
		len = 0;
		failed("signing", err);
	}
	EVP_MD_CTX_free(context);
	return len;
}
