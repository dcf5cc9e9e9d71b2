/*
 * facts: what is known of a TLS session once its handshake is done.
 *
 * Texts of certificates are printable UTF-8 without control characters, "" where there are none; they live as long as
 * the stream.
 */
#ifndef POSTERN_TLS_FACTS_H
#define POSTERN_TLS_FACTS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/net/stream.h"

/* In the words of Postfix's log. */
enum tls_standing {
	TLS_ANONYMOUS, /* no certificate */
	TLS_UNTRUSTED, /* one that leads to no trust anchor */
	TLS_TRUSTED, /* one that does; or a name was to be matched, and did not match */
	TLS_VERIFIED /* and a name or fingerprint that was to be matched did */
};

/* "Anonymous", "Untrusted", "Trusted", "Verified" */
const char *tls_standing_name(enum tls_standing standing);

struct tls_facts {
	const char *protocol; /* "TLSv1.3" */
	const char *cipher; /* "TLS_AES_256_GCM_SHA384" */
	int bits_used, bits_algorithm;
	const char *key_exchange; /* "X25519", "ECDHE", "DHE"; "" if unknown (TLS 1.2 with RSA) */
	const char *key_exchange_detail; /* "P-256", "2048 bits", or "" */
	const char *server_signature, *server_signature_detail; /* "ECDSA", "prime256v1" */
	const char *server_digest;
	const char *client_signature, *client_signature_detail; /* "" if the client showed no certificate */
	const char *client_digest;
	const char *name; /* server: the name that the client sent (SNI), if there is a certificate for it */
	bool resumed;

	enum tls_standing standing;
	bool trusted; /* the chain holds, whatever the names say */
	bool matched; /* a name or fingerprint of the plan */
	const char *matched_name; /* the certificate's name that did, or the fingerprint */
	const char *
	    why_untrusted; /* "self-signed certificate", "certificate has expired", "untrusted issuer /CN=x", ... */

	const char *peer_name; /* subject's CN, or the first DNS name of the certificate */
	const char *subject_common_name;
	const char *issuer_common_name; /* or its organisation */
	const char
	    *certificate_fingerprint; /* "AB:CD:...", in the context's digest; "" without a certificate */
	const char *key_fingerprint;
};

/* NULL while the stream is plain or its handshake is not done. */
const struct tls_facts *tls_facts(const struct stream *s);

/*
 * "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature ECDSA (prime256v1)
 * server-digest SHA256", as Postfix logs it behind "TLS connection established from mx.example[192.0.2.1]: ".
 */
void tls_facts_summary(const struct tls_facts *f, struct buf *out);

/* DER of the peer's certificate: returns its length, 0 if there is none or it is longer than max. */
size_t tls_peer_certificate(const struct stream *s, unsigned char *out, size_t max);

/*
 * The peer's chain as it was sent, one line a certificate, for tools: position, subject, issuer, validity, names.
 */
void tls_peer_chain_print(const struct stream *s, struct buf *out);

/* RFC 9266, RFC 5929 3 and 4. */
enum tls_binding { TLS_BINDING_EXPORTER, TLS_BINDING_UNIQUE, TLS_BINDING_SERVER_END_POINT };
enum { TLS_BINDING_MAX = 64 };

/* Returns its length, 0 where this session has none (TLS 1.2 without extended master secret; tls-unique in TLS 1.3). */
size_t tls_channel_binding(
    const struct stream *s, enum tls_binding binding, unsigned char out[TLS_BINDING_MAX]);

#endif
