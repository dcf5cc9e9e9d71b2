/*
 * received: our trace line (RFC 5321, 4.4), as Postfix writes it.
 */
#ifndef POSTERN_SMTPD_RECEIVED_H
#define POSTERN_SMTPD_RECEIVED_H

#include "common/base/span.h"

struct session;

/* The field of the session's transaction, folded, without its last CRLF; in the transaction's arena. */
struct span received_header(const struct session *s);

#endif
