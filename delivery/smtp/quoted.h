/*
 * quoted: text to quoted-printable (RFC 2045, 6.7), line ends kept as line ends.
 */
#ifndef POSTERN_DELIVERY_SMTP_QUOTED_H
#define POSTERN_DELIVERY_SMTP_QUOTED_H

#include "common/base/buf.h"
#include "common/base/span.h"

struct quoted {
	size_t column;
	char blank; /* a blank that may turn out to end its line, or 0 */
	bool carriage_return;
};

void quoted_begin(struct quoted *q);

/* In pieces of any size. Returns -1 when out is full. */
int quoted_feed(struct quoted *q, struct span bytes, struct buf *out);
int quoted_finish(struct quoted *q, struct buf *out);

#endif
