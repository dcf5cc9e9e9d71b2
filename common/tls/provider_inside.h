/*
 * provider_inside: what the provider's parts share.
 */
#ifndef POSTERN_TLS_PROVIDER_INSIDE_H
#define POSTERN_TLS_PROVIDER_INSIDE_H

#include <openssl/core_dispatch.h>

#include "common/tls/provider.h"

/* The names of the two parameters that provider_key() makes a key of: its number, and the public key in DER. */
#define KEY_PARAM_NUMBER "postern-number"
#define KEY_PARAM_PUBLIC "postern-public"

struct provider_key {
	unsigned char number[TLS_KEY_SIZE];
	EVP_PKEY *public_key; /* of the default provider */
};

/* provider_keys.c, provider_signature.c */
extern const OSSL_ALGORITHM provider_keymgmts[];
extern const OSSL_ALGORITHM provider_signatures[];

/* The place that provider_expect() set. */
struct signing *provider_expected(void);

#endif
