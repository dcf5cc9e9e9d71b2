#include "services/pickup/line_facts.h"

#include "common/ipc/protocol.h"

enum { LINE_MAX_OCTETS = 998 }; /* RFC 5322, 2.1.1 */

/* RFC 5321, 4.5.2 and 4.5.3.1.6; RFC 6152. */
void
line_facts_add(struct line_facts *f, struct span bytes)
{
	for (size_t i = 0; i < bytes.len; i++) {
		char b = bytes.ptr[i];
		if (b == '\n') {
			f->column = 0;
			continue;
		}
		if (f->column == 0 && b == '.')
			f->flags |= MAIL_DOTS;
		if (b != '\r' && ++f->column > LINE_MAX_OCTETS)
			f->flags |= MAIL_LONG_LINES;
		if ((unsigned char)b >= 0x80)
			f->flags |= MAIL_8BIT;
	}
}
