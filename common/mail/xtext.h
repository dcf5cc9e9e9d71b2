/*
 * xtext: the encoding of ESMTP parameter values (RFC 3461, 4) and utf-8-addr-xtext (RFC 6533, 3).
 */
#ifndef POSTERN_MAIL_XTEXT_H
#define POSTERN_MAIL_XTEXT_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/span.h"

/* Returns -1 on bad hex, characters outside xchar, or a NUL. */
int xtext_decode(struct arena *a, struct span text, struct span *plain);

/* Upper-case hex; '+' and '=' and all outside 33..126 escaped. */
int xtext_encode(struct buf *out, struct span plain);

#endif
