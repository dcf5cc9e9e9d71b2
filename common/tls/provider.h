/*
 * provider: private keys that are elsewhere, for OpenSSL.
 *
 * A key here is a public key and the number under which the keys process has the private one. To sign with it pauses
 * the ASYNC job that the handshake runs in: whoever runs it (session.c) has put a struct signing in place, finds
 * there what is to be signed, and goes on with the job once the answer has come. Verifying, and all other keys, stay
 * with OpenSSL's default provider.
 */
#ifndef POSTERN_TLS_PROVIDER_H
#define POSTERN_TLS_PROVIDER_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

enum { TLS_KEY_SIZE = 32, TLS_SIGNATURE_MAX = 1024 };

/* One signature that a handshake needs. */
struct signing {
	bool wanted; /* the job waits for it */
	bool answered; /* the job may go on */
	unsigned char key[TLS_KEY_SIZE];
	uint32_t scheme; /* RFC 8446, 4.2.3 */
	const unsigned char *text; /* while wanted; within the job */
	size_t text_len;
	unsigned char *signature; /* the answer, freed here; NULL: refused */
	size_t signature_len;
};

/* Registers it. Once, from tls_library_open(). */
int provider_open(struct error *err);

/* The reference for a public key: RSA (RSA-PSS too), EC, Ed25519 or Ed448. */
EVP_PKEY *provider_key(EVP_PKEY *public_key, const unsigned char number[TLS_KEY_SIZE], struct error *err);

/* Where the next signature is asked for; NULL: nowhere, and it fails. Set around each call that may sign. */
void provider_expect(struct signing *signing);

#endif
