/*
 * content_header: the header part of content.h, a line at a time.
 */
#ifndef POSTERN_SMTPD_CONTENT_HEADER_H
#define POSTERN_SMTPD_CONTENT_HEADER_H

#include "smtpd/content.h"

/* What content.c gives. */
void content_put(struct content *c, struct span bytes);
void content_fail(struct content *c, enum content_fault fault);

/* A part of a header line; the whole is in c->partial, cut at the limit. */
void content_header_piece(struct content *c, struct span piece);

/* A whole line without its end. The empty one ends the header. */
void content_header_line(struct content *c, struct span line);

#endif
