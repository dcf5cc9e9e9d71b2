#include "common/tls/provider.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/x509.h>

#include "common/tls/library.h"
#include "common/tls/provider_inside.h"

static const char provider_name[] = "postern";
static OSSL_PROVIDER *loaded, *usual;
static struct signing *expected;

static const OSSL_ALGORITHM *
query(void *provider, int operation, int *no_cache)
{
	(void)provider;
	*no_cache = 0;
	switch (operation) {
	case OSSL_OP_KEYMGMT:
		return provider_keymgmts;
	case OSSL_OP_SIGNATURE:
		return provider_signatures;
	default:
		return NULL;
	}
}

static const OSSL_DISPATCH provider_functions[] = {
    {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query}, {0, NULL}};

static int
provider_init(
    const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **provider)
{
	(void)in;
	*out = provider_functions;
	*provider = (void *)(uintptr_t)handle;
	return 1;
}

static void
provider_close(void)
{
	OSSL_PROVIDER_unload(loaded);
	OSSL_PROVIDER_unload(usual);
}

/* What strangers' keys need is the default provider's: it goes first wherever both offer something. */
int
provider_open(struct error *err)
{
	if (!(usual = OSSL_PROVIDER_load(NULL, "default")) ||
	    OSSL_PROVIDER_add_builtin(NULL, provider_name, provider_init) != 1 ||
	    !(loaded = OSSL_PROVIDER_load(NULL, provider_name)) ||
	    EVP_set_default_properties(NULL, "?provider=default") != 1 || OPENSSL_atexit(provider_close) != 1)
		return tls_error_set(err, "OpenSSL does not load its providers");
	return 0;
}

EVP_PKEY *
provider_key(EVP_PKEY *public_key, const unsigned char number[TLS_KEY_SIZE], struct error *err)
{
	EVP_PKEY_CTX *context = NULL;
	unsigned char *der = NULL;
	int len = i2d_PUBKEY(public_key, &der);
	OSSL_PARAM params[3];
	EVP_PKEY *key = NULL;

	if (len > 0) {
		params[0] = OSSL_PARAM_construct_octet_string(
		    KEY_PARAM_NUMBER, (void *)(uintptr_t)number, TLS_KEY_SIZE);
		params[1] = OSSL_PARAM_construct_octet_string(KEY_PARAM_PUBLIC, der, (size_t)len);
		params[2] = OSSL_PARAM_construct_end();
		context =
		    EVP_PKEY_CTX_new_from_name(NULL, EVP_PKEY_get0_type_name(public_key), "provider=postern");
	}
	if (!context || EVP_PKEY_fromdata_init(context) != 1 ||
	    EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, params) != 1) {
		key = NULL;
		tls_error_set(err, "a key of a kind that is not used here");
	}
	EVP_PKEY_CTX_free(context);
	OPENSSL_free(der);
	return key;
}

void
provider_expect(struct signing *signing)
{
	expected = signing;
}

struct signing *
provider_expected(void)
{
	return expected;
}
