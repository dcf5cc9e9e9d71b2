/*
 * certificates: keys and certificates that a test makes for itself.
 */
#ifndef POSTERN_TEST_TLS_CERTIFICATES_H
#define POSTERN_TEST_TLS_CERTIFICATES_H

#include <openssl/x509.h>
#include <stddef.h>

struct party {
	EVP_PKEY *key;
	X509 *certificate;
};

struct wish {
	const char *kind; /* "EC P-256", "EC P-384", "RSA", "ED25519" */
	const char *common_name; /* NULL: none */
	const char *names; /* "DNS:a,DNS:b", NULL: none */
	const struct party *issuer; /* NULL: itself */
	long from_s, to_s; /* from now */
	int authority;
	const void *raw_name; /* a DNS name with any octets, instead of names */
	size_t raw_name_len;
};

/* Keys of a kind are made once and shared. */
struct party party_new(const struct wish *wish);
void party_free(struct party *p);

/* SHA-256 of the SubjectPublicKeyInfo. */
void party_number(const struct party *p, unsigned char number[32]);

#endif
