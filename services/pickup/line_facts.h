/*
 * line_facts: what later stages must know of the lines of a message: MAIL_8BIT, MAIL_DOTS, MAIL_LONG_LINES.
 */
#ifndef POSTERN_PICKUP_LINE_FACTS_H
#define POSTERN_PICKUP_LINE_FACTS_H

#include <stdint.h>

#include "common/base/span.h"

struct line_facts {
	uint32_t flags;
	size_t column; /* octets in the present line */
};

/* Goes on with the next octets, whose line ends are CRLF. */
void line_facts_add(struct line_facts *f, struct span bytes);

#endif
