/*
 * session_input: the octets of a client, cut into lines and content. One parser: whole, one octet at a time or cut
 * anywhere, the result is the same.
 */
#ifndef POSTERN_SMTPD_SESSION_INPUT_H
#define POSTERN_SMTPD_SESSION_INPUT_H

#include "smtpd/session.h"

/* For stream_callbacks; context is the session. */
size_t session_input(struct stream *stream, struct span bytes, void *context);

/* Where a bare LF is an offence for this client. */
bool session_forbids_bare_lf(const struct session *s);

#endif
