/*
 * session: TLS on a stream.
 *
 * tls_start() turns a plain stream into one that speaks TLS; afterwards all of stream.h works as before. What was
 * written before goes out plain first. What was read and not consumed is thrown away, for it was not protected (RFC
 * 3207, 4.2), and nothing that the owner's input() leaves unconsumed when it returns is shown again. While the
 * handshake lasts the owner is shown no input, and what it writes waits for the end.
 *
 * The stream's deadline holds for the handshake too: STREAM_TIMEOUT comes, and the owner closes. STREAM_EOF and
 * STREAM_ERROR do not come before done: a connection that was lost makes the handshake fail. The stream may be closed
 * at any moment, also within done, and while a signature is awaited; done is not called any more then.
 *
 * An orderly close by the peer (close_notify) and a cut connection are both STREAM_EOF; tls_truncated() tells them
 * apart. stream_close() with nothing unsent, and stream_close_after_flush(), send a close_notify.
 */
#ifndef POSTERN_TLS_SESSION_H
#define POSTERN_TLS_SESSION_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/span.h"
#include "common/net/stream.h"
#include "common/tls/context.h"
#include "common/tls/facts.h"

/* Everything but the context is for clients and is copied. */
struct tls_plan {
	struct tls_context *context; /* says which side we are */
	const char *name; /* SNI to send; NULL: none. IP literals are never sent. */
	struct span resume; /* a session that session() once gave; empty: none */

	/*
	 * What the peer's certificate is to match for TLS_VERIFIED: host names ("mx.example"; ".example": any host below)
	 * or fingerprints in the context's digest, of the certificate or its public key. Nothing: nothing is matched.
	 */
	const char *const *names;
	size_t name_count;
	const char *const *fingerprints;
	size_t fingerprint_count;

	/* Client: the server gave a session that may be resumed (TLS 1.3: some time after the handshake). May be NULL. */
	void (*session)(void *context, struct span bytes);
};

/* ok: tls_facts() are there. Otherwise reason says why, in OpenSSL's words; the stream is good for closing only. */
typedef void tls_done(void *context, bool ok, const char *reason);

/* done is never called before this returns. It gets context, as plan->session does. */
void tls_start(struct stream *s, const struct tls_plan *plan, tls_done *done, void *context);

/* From tls_start() on. */
bool tls_is_on(const struct stream *s);

/* The connection ended without close_notify. */
bool tls_truncated(const struct stream *s);

/*
 * Appends the names that Postfix's smtp_tls_verify_cert_match stands for, to be given as plan->names: "hostname",
 * "nexthop", "dot-nexthop" or names themselves, separated by ':', ',' or blanks. Each is added as a line.
 */
void tls_match_names(struct buf *out, struct span list, const char *nexthop, const char *hostname);

#endif
