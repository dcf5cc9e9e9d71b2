/*
 * scram: what both sides of SCRAM need (RFC 5802, 7677): keys, proofs, and the parts of its messages.
 */
#ifndef POSTERN_SASL_SCRAM_H
#define POSTERN_SASL_SCRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/ipc/protocol.h"

enum {
	SCRAM_HASH_MAX = 32,
	SCRAM_SALT_MAX = 64,
	SCRAM_ITERATIONS_MIN = 4096, /* RFC 7677, 4 */
	SCRAM_ITERATIONS_MAX = 10000000,
	SCRAM_NONCE_SIZE = 24, /* printable characters of ours */
	SCRAM_MESSAGE_MAX = 4096 /* octets of one; longer ones are malformed */
};

/* Octets of the hash. */
size_t scram_hash_size(enum scram_hash hash);

/* SaltedPassword (RFC 5802, 3: Hi). Slow, that is what it is for: not in an event loop for others' passwords. */
int scram_salted_password(enum scram_hash hash, struct span prepared_password, struct span salt,
    uint32_t iterations, uint8_t salted[SCRAM_HASH_MAX]);

/* Both ends of it: the client's keys, and what a server stores. stored_key or server_key may be NULL. */
int scram_keys(enum scram_hash hash, const uint8_t salted[SCRAM_HASH_MAX], uint8_t client_key[SCRAM_HASH_MAX],
    uint8_t stored_key[SCRAM_HASH_MAX], uint8_t server_key[SCRAM_HASH_MAX]);

/* HMAC(key, text) and H(text). Return -1 where the library fails. */
int scram_hmac(enum scram_hash hash, struct span key, struct span text, uint8_t out[SCRAM_HASH_MAX]);
int scram_digest(enum scram_hash hash, struct span text, uint8_t out[SCRAM_HASH_MAX]);

/*
 * Takes "x=value" with its comma off the front of *rest. Returns false if there is no attribute of that name next: their
 * order is fixed (RFC 5802, 5.1).
 */
bool scram_take(struct span *rest, char name, struct span *value);

/* saslname: "=2C" and "=3D" (RFC 5802, 5.1). The length, or -1 if malformed or longer than size. */
ptrdiff_t scram_unescape(struct span name, char *out, size_t size);
ptrdiff_t scram_escape(struct span name, char *out, size_t size);

/* RFC 5802, 7: printable, and no comma. */
bool scram_nonce_valid(struct span nonce);

/* SCRAM_NONCE_SIZE characters and a NUL. Returns -1 without randomness. */
int scram_nonce(char out[SCRAM_NONCE_SIZE + 1]);

#endif
