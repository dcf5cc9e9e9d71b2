/*
 * form: what a text must look like for a TLS key to sign it.
 *
 * Whoever has taken smtpd over may ask for signatures. What it gets shall be of no use but for the handshakes that it
 * may do anyway: no certificates, no mail (DKIM), no other protocol, not the other side's part. So a signature is
 * given only for
 *
 *   TLS 1.3   64 blanks, "TLS 1.3, server CertificateVerify" (or client), NUL, a digest of the transcript
 *             (RFC 8446, 4.4.3)
 *   TLS 1.2   server: client's and server's random octets and the parameters of an elliptic curve, exactly
 *             (RFC 5246, 7.4.3; RFC 8422, 5.4)
 *             client: the messages of a handshake from ClientHello to ClientKeyExchange (RFC 5246, 7.4.8)
 */
#ifndef POSTERN_KEYS_FORM_H
#define POSTERN_KEYS_FORM_H

#include <stdint.h>

#include "common/base/error.h"
#include "common/base/span.h"
#include "common/ipc/protocol.h"

enum form_kind { FORM_NONE, FORM_TLS13, FORM_TLS12 };

/* FORM_NONE, with err saying what is wrong, if the owner of such a key must not have it signed. */
enum form_kind form_of(struct span text, enum identity_use use, struct error *err);

#endif
