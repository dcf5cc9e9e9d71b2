/*
 * keys_inside: what contexts and sessions need of keys.
 */
#ifndef POSTERN_TLS_KEYS_INSIDE_H
#define POSTERN_TLS_KEYS_INSIDE_H

#include <openssl/ssl.h>

#include "common/tls/keys.h"

/* One each algorithm is usual; keys tells of up to 8 in each of two parameters. */
enum { IDENTITIES_PER_NAME = 16, TICKET_NAME_SIZE = 16, TICKET_SECRET_SIZE = 32 };

struct identity {
	EVP_PKEY *key; /* a reference (provider.h), or the key itself in tests */
	X509 *leaf;
	STACK_OF(X509) * chain; /* without the leaf */
};

struct identity_set {
	struct identity *members;
	size_t count;
};

struct ticket_key {
	unsigned char name[TICKET_NAME_SIZE];
	unsigned char hmac[TICKET_SECRET_SIZE];
	unsigned char aes[TICKET_SECRET_SIZE];
};

/*
 * The certificates for a name that a client sent ("" for none): those of the name itself, then of ".parent" for each of
 * its parents. NULL: none; then those of "" are to be shown.
 */
const struct identity_set *keys_find(
    const struct tls_keys *k, const char *section, unsigned use, struct span name);

/* Adds to what the next tls_keys_identities_end() makes valid. Takes references of its own. */
int keys_add(struct tls_keys *k, const char *section, const char *name, unsigned use,
    const struct identity *identity, struct error *err);
void keys_commit(struct tls_keys *k);

/* current: NULL until keys has sent some. previous: NULL if there is none. */
const struct ticket_key *keys_ticket_current(const struct tls_keys *k);
const struct ticket_key *keys_ticket_previous(const struct tls_keys *k);

struct ipc_channel *keys_channel(const struct tls_keys *k);

#endif
