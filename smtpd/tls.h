/*
 * tls: the TLS of one session: STARTTLS (RFC 3207), TLS from the first octet on (RFC 8314, 3.3), and what is known of it.
 */
#ifndef POSTERN_SMTPD_TLS_H
#define POSTERN_SMTPD_TLS_H

#include <stdbool.h>

struct buf;
struct session;

/* The listener requires it, and it is not on. */
bool tls_is_missing(const struct session *s);

/* EHLO lists STARTTLS: the listener has TLS, a certificate is there, and TLS is not on. */
bool tls_is_offered(const struct session *s);

/* The same, and the handshake would not fail for want of the process that signs. */
bool tls_is_possible(const struct session *s);

/*
 * Begins the handshake. The session waits (WAIT_HANDSHAKE) and forgets all that it was told before. done is called when
 * TLS is on; a handshake that fails ends the session.
 */
void tls_begin(struct session *s, void (*done)(struct session *s));

/*
 * smtpd_tls_req_ccert: the certificate was not good enough. Says so and ends the session: in answer to the first command
 * behind STARTTLS, or instead of the greeting.
 */
bool tls_refuses(struct session *s);

/* STREAM_TIMEOUT within WAIT_HANDSHAKE. */
void tls_timed_out(struct session *s);

/*
 * smtpd_tls_received_header: appends "(using TLSv1.3 with cipher ...)" and "(Client CN ...)" to a Received line, each with the
 * line's end and tab behind it; nothing without TLS.
 */
void tls_append_received(struct buf *out, const struct session *s);

#endif
