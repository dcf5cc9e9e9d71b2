/*
 * mime7bit: makes an 8-bit message 7-bit for a server without 8BITMIME (RFC 6152, 3): the bodies of all single
 * parts become quoted-printable (RFC 2045, 6.7) and their header says so.
 *
 * Never touched: what is encoded already, and parts under multipart/signed or multipart/encrypted (RFC 1847, 2.1) or
 * of a structure that is not understood. 8-bit data in such a part means that the message cannot go to this server.
 * Header fields pass as they are. Memory is bounded whatever comes: nesting, boundaries and fields have limits.
 */
#ifndef POSTERN_DELIVERY_SMTP_MIME7BIT_H
#define POSTERN_DELIVERY_SMTP_MIME7BIT_H

#include "common/base/buf.h"
#include "common/base/span.h"

enum { MIME7BIT_DEPTH_MAX = 100, MIME7BIT_BOUNDARY_MAX = 120, MIME7BIT_FIELD_MAX = 16 * 1024 };

struct mime7bit;

struct mime7bit *mime7bit_new(void);
void mime7bit_free(struct mime7bit **m);

/* Content in order, CRLF line ends, in pieces of any size. Returns -1 if it cannot be converted. */
int mime7bit_feed(struct mime7bit *m, struct span bytes, struct buf *out);
int mime7bit_finish(struct mime7bit *m, struct buf *out);

#endif
