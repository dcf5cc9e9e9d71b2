/*
 * context: what the TLS sessions of one listener, or of one client policy, have in common.
 *
 * Counted by reference: each session holds its context, so a reload makes new ones and drops its own reference.
 * Always so: no renegotiation, no compression, no server-side session cache, only forward secret key exchange on the
 * server's side (the keys process signs, it does not decrypt).
 */
#ifndef POSTERN_TLS_CONTEXT_H
#define POSTERN_TLS_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/tls/keys.h"
#include "common/tls/parameters.h"
#include "common/tls/trust.h"

enum tls_side { TLS_SERVER, TLS_CLIENT };

/* Server: of the client's certificate. Without one: goes on, goes on, fails. What it is worth is told in the facts. */
enum tls_ask { TLS_ASK_NOTHING, TLS_ASK_CERTIFICATE, TLS_REQUIRE_CERTIFICATE };

/* Texts are borrowed until tls_context_new() returns; NULL stands for OpenSSL's default. */
struct tls_settings {
	enum tls_side side;
	const char *section; /* of the listener, as keys knows it; "" for delivery */
	struct tls_protocols protocols;
	const char *ciphers; /* up to TLS 1.2, from tls_cipher_list() */
	const char *ciphersuites; /* TLS 1.3 */
	const char *groups; /* from tls_groups() */
	uint64_t options; /* from tls_options_parse() */
	bool server_preference; /* tls_preempt_cipherlist */
	bool no_workarounds; /* tls_disable_workarounds */
	bool tickets; /* server: sessions may be resumed; client: sessions are kept */
	bool client_identity; /* client: shows the certificate of use IDENTITY_CLIENT, if there is one */
	enum tls_ask ask;
	unsigned verify_depth; /* 0: 9 */
	unsigned ticket_lifetime_s; /* 0: an hour */
	const char *digest; /* of fingerprints; NULL: sha256 */
	struct tls_trust *trust; /* NULL: nobody is believed */
};

struct tls_context;

/* keys: may be NULL for a client without certificates. */
struct tls_context *tls_context_new(
    const struct tls_settings *settings, struct tls_keys *keys, struct error *err);
struct tls_context *tls_context_ref(struct tls_context *c);
void tls_context_free(struct tls_context **c);

#endif
