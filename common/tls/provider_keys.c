/*
 * Key management: all questions about a key are answered by its public part; nothing private can be exported, so that
 * OpenSSL signs with it here or not at all.
 */
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/tls/provider_inside.h"

static void *
key_new(void *provider)
{
	(void)provider;
	return mem_alloc(sizeof(struct provider_key));
}

static void
key_free(void *data)
{
	struct provider_key *key = data;

	if (key)
		EVP_PKEY_free(key->public_key);
	free(key);
}

static int
key_import(void *data, int selection, const OSSL_PARAM params[])
{
	const OSSL_PARAM *number = OSSL_PARAM_locate_const(params, KEY_PARAM_NUMBER);
	const OSSL_PARAM *public_key = OSSL_PARAM_locate_const(params, KEY_PARAM_PUBLIC);
	struct provider_key *key = data;
	const unsigned char *der;

	(void)selection;
	if (!number || !public_key || number->data_size != sizeof(key->number) || key->public_key)
		return 0;
	memcpy(key->number, number->data, sizeof(key->number));
	der = public_key->data;
	key->public_key = d2i_PUBKEY(NULL, &der, (long)public_key->data_size);
	return key->public_key != NULL;
}

static const OSSL_PARAM *
key_import_types(int selection)
{
	static const OSSL_PARAM types[] = {OSSL_PARAM_octet_string(KEY_PARAM_NUMBER, NULL, 0),
	    OSSL_PARAM_octet_string(KEY_PARAM_PUBLIC, NULL, 0), OSSL_PARAM_END};

	(void)selection;
	return types;
}

static int
key_export(void *data, int selection, OSSL_CALLBACK *give, void *context)
{
	struct provider_key *key = data;
	OSSL_PARAM *params = NULL;
	int result;

	if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) ||
	    EVP_PKEY_todata(key->public_key, EVP_PKEY_PUBLIC_KEY, &params) != 1)
		return 0;
	result = give(params, context);
	OSSL_PARAM_free(params);
	return result;
}

/* OpenSSL asks no more than whether there are any. */
static const OSSL_PARAM *
key_export_types(int selection)
{
	static const OSSL_PARAM types[] = {
	    OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0), OSSL_PARAM_END};

	return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) ? NULL : types;
}

static int
key_has(const void *data, int selection)
{
	(void)selection;
	return ((const struct provider_key *)data)->public_key != NULL;
}

static int
key_match(const void *one, const void *other, int selection)
{
	const struct provider_key *a = one, *b = other;

	(void)selection;
	return EVP_PKEY_eq(a->public_key, b->public_key) == 1;
}

static int
key_get_params(void *data, OSSL_PARAM params[])
{
	return EVP_PKEY_get_params(((struct provider_key *)data)->public_key, params);
}

/* For OpenSSL to ask: what it does not name here it does not ask for. */
static const OSSL_PARAM *
key_gettable_params(void *provider)
{
	static const OSSL_PARAM gettable[] = {OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
	    OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
	    OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
	    OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
	    OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0),
	    OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
	    OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, NULL, 0),
	    OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_FIELD_TYPE, NULL, 0), OSSL_PARAM_END};

	(void)provider;
	return gettable;
}

static const char *
ec_operation(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

static const char *
rsa_operation(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "RSA" : NULL;
}

#define KEY_FUNCTIONS                                                                                        \
	{OSSL_FUNC_KEYMGMT_NEW, (void (*)(void))key_new},                                                    \
	    {OSSL_FUNC_KEYMGMT_FREE, (void (*)(void))key_free},                                              \
	    {OSSL_FUNC_KEYMGMT_IMPORT, (void (*)(void))key_import},                                          \
	    {OSSL_FUNC_KEYMGMT_IMPORT_TYPES, (void (*)(void))key_import_types},                              \
	    {OSSL_FUNC_KEYMGMT_EXPORT, (void (*)(void))key_export},                                          \
	    {OSSL_FUNC_KEYMGMT_EXPORT_TYPES, (void (*)(void))key_export_types},                              \
	    {OSSL_FUNC_KEYMGMT_HAS, (void (*)(void))key_has},                                                \
	    {OSSL_FUNC_KEYMGMT_MATCH, (void (*)(void))key_match},                                            \
	    {OSSL_FUNC_KEYMGMT_GET_PARAMS, (void (*)(void))key_get_params},                                  \
	{                                                                                                    \
		OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, (void (*)(void))key_gettable_params                       \
	}

static const OSSL_DISPATCH key_functions[] = {KEY_FUNCTIONS, {0, NULL}};
static const OSSL_DISPATCH ec_key_functions[] = {
    KEY_FUNCTIONS, {OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, (void (*)(void))ec_operation}, {0, NULL}};
static const OSSL_DISPATCH pss_key_functions[] = {
    KEY_FUNCTIONS, {OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, (void (*)(void))rsa_operation}, {0, NULL}};

#define PROPERTIES "provider=postern"

const OSSL_ALGORITHM provider_keymgmts[] = {{"RSA:rsaEncryption", PROPERTIES, key_functions, NULL},
    {"EC:id-ecPublicKey", PROPERTIES, ec_key_functions, NULL}, {"ED25519", PROPERTIES, key_functions, NULL},
    {"ED448", PROPERTIES, key_functions, NULL}, {"RSA-PSS:RSASSA-PSS", PROPERTIES, pss_key_functions, NULL},
    {NULL, NULL, NULL, NULL}};
