/*
 * Signatures: digest-sign at one go, as libssl does it, and nothing else. What is known of the operation (digest,
 * padding) becomes a SignatureScheme; the text goes out whole, so that keys sees what it signs.
 */
#include <openssl/async.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/tls/provider_inside.h"

struct signature {
	struct provider_key *key;
	char digest[16]; /* "" for Ed25519 and Ed448 */
	bool pss;
};

/* RFC 8446, 4.2.3: by kind of key, padding and digest. The curve of an EC key counts in TLS 1.3 only. */
static const struct {
	const char *kind;
	bool pss;
	const char *digest;
	uint32_t scheme;
} schemes[] = {
    {"RSA", false, "SHA256", 0x0401},
    {"RSA", false, "SHA384", 0x0501},
    {"RSA", false, "SHA512", 0x0601},
    {"RSA", true, "SHA256", 0x0804},
    {"RSA", true, "SHA384", 0x0805},
    {"RSA", true, "SHA512", 0x0806},
    {"EC", false, "SHA256", 0x0403},
    {"EC", false, "SHA384", 0x0503},
    {"EC", false, "SHA512", 0x0603},
    {"ED25519", false, "", 0x0807},
    {"ED448", false, "", 0x0808},
    {"RSA-PSS", true, "SHA256", 0x0809},
    {"RSA-PSS", true, "SHA384", 0x080a},
    {"RSA-PSS", true, "SHA512", 0x080b},
};

static uint32_t
scheme_of(const struct signature *s)
{
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		if (EVP_PKEY_is_a(s->key->public_key, schemes[i].kind) && s->pss == schemes[i].pss &&
		    strcmp(s->digest, schemes[i].digest) == 0)
			return schemes[i].scheme;
	}
	return 0;
}

static void *
signature_new(void *provider, const char *properties)
{
	(void)provider;
	(void)properties;
	return mem_alloc(sizeof(struct signature));
}

static void
signature_free(void *context)
{
	free(context);
}

static void *
signature_dup(void *context)
{
	struct signature *copy = mem_alloc(sizeof(*copy));

	*copy = *(struct signature *)context;
	return copy;
}

static bool
set_text(char *to, size_t size, const OSSL_PARAM *param)
{
	if (!param)
		return true;
	if (param->data_type != OSSL_PARAM_UTF8_STRING || param->data_size >= size)
		return false;
	memcpy(to, param->data, param->data_size);
	to[param->data_size] = '\0';
	return true;
}

/* The padding by number, as libssl sets it, or by name. */
static int
set_padding(struct signature *s, const OSSL_PARAM *param)
{
	char name[16];
	int number;

	if (!param)
		return 1;
	if (OSSL_PARAM_get_int(param, &number) == 1) {
		s->pss = number == RSA_PKCS1_PSS_PADDING;
		return s->pss || number == RSA_PKCS1_PADDING;
	}
	if (!set_text(name, sizeof(name), param))
		return 0;
	s->pss = strcmp(name, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0;
	return s->pss || strcmp(name, OSSL_PKEY_RSA_PAD_MODE_PKCSV15) == 0;
}

/* A PSS salt is always as long as the digest, in TLS and here: its length need not be looked at. */
static int
signature_set_params(void *context, const OSSL_PARAM params[])
{
	struct signature *s = context;

	if (!params)
		return 1;
	return set_text(s->digest, sizeof(s->digest),
		   OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_DIGEST)) &&
	       set_padding(s, OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE));
}

static const OSSL_PARAM *
signature_settable_params(void *context, void *provider)
{
	static const OSSL_PARAM settable[] = {OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
	    OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
	    OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
	    OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0), OSSL_PARAM_END};

	(void)context;
	(void)provider;
	return settable;
}

static int
sign_init(void *context, const char *digest, void *key, const OSSL_PARAM params[])
{
	struct signature *s = context;
	size_t len = digest ? strlen(digest) : 0;

	if (key)
		s->key = key;
	if (!s->key || len >= sizeof(s->digest))
		return 0;
	if (digest)
		memcpy(s->digest, digest, len + 1);
	/* OpenSSL writes "SHA2-256" as well. */
	if (strncmp(s->digest, "SHA2-", 5) == 0)
		memmove(s->digest + 3, s->digest + 5, len - 4);
	return signature_set_params(s, params);
}

/* Waits, in its job, for whoever runs the handshake to put the answer in place. */
static bool
answer_awaited(struct signing *place)
{
	place->wanted = true;
	while (!place->answered)
		if (ASYNC_pause_job() != 1)
			break;
	place->wanted = false;
	place->text = NULL;
	return place->answered && place->signature;
}

static int
sign(void *context, unsigned char *out, size_t *len, size_t size, const unsigned char *text, size_t text_len)
{
	struct signature *s = context;
	struct signing *place = provider_expected();
	bool signed_now;

	if (!out) {
		*len = (size_t)EVP_PKEY_get_size(s->key->public_key);
		return 1;
	}
	if (!place || !ASYNC_get_current_job() || !(place->scheme = scheme_of(s)))
		return 0;
	memcpy(place->key, s->key->number, sizeof(place->key));
	place->answered = false;
	place->text = text;
	place->text_len = text_len;
	signed_now = answer_awaited(place) && place->signature_len <= size;
	if (signed_now) {
		memcpy(out, place->signature, place->signature_len);
		*len = place->signature_len;
	}
	free(place->signature);
	place->signature = NULL;
	return signed_now;
}

static const OSSL_DISPATCH signature_functions[] = {
    {OSSL_FUNC_SIGNATURE_NEWCTX, (void (*)(void))signature_new},
    {OSSL_FUNC_SIGNATURE_FREECTX, (void (*)(void))signature_free},
    {OSSL_FUNC_SIGNATURE_DUPCTX, (void (*)(void))signature_dup},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, (void (*)(void))sign_init},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN, (void (*)(void))sign},
    {OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, (void (*)(void))signature_set_params},
    {OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, (void (*)(void))signature_settable_params}, {0, NULL}};

#define PROPERTIES "provider=postern"

const OSSL_ALGORITHM provider_signatures[] = {{"RSA:rsaEncryption", PROPERTIES, signature_functions, NULL},
    {"ECDSA", PROPERTIES, signature_functions, NULL}, {"ED25519", PROPERTIES, signature_functions, NULL},
    {"ED448", PROPERTIES, signature_functions, NULL}, {NULL, NULL, NULL, NULL}};
