/*
 * reply: a bounded parser of SMTP replies (RFC 5321, 4.2).
 *
 * The peer is a stranger. Text beyond REPLY_TEXT_MAX is read and forgotten, a reply beyond REPLY_OCTETS_MAX is an
 * error, control characters and broken UTF-8 become '?', so that nothing of it can end a line in a log, a queue
 * record or a report (CVE-2020-8794). Lines may end in a bare LF: some servers do that.
 */
#ifndef POSTERN_DELIVERY_SMTP_REPLY_H
#define POSTERN_DELIVERY_SMTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/span.h"

enum {
	REPLY_TEXT_MAX = 4000, /* an EHLO reply fits; what is logged of others is less */
	REPLY_LINE_MAX = 1000, /* kept of one line; RFC 5321, 4.5.3.1.5 says 512 */
	REPLY_OCTETS_MAX = 64 * 1024
};

/* Zeroed is the state before the first reply. */
struct reply {
	unsigned code; /* of the last line */
	bool complete;
	bool at_line; /* inside a line */
	bool last_line;
	unsigned column; /* octets of this line seen */
	size_t octets;
	size_t line_start; /* in text */
	size_t len;
	char head[4]; /* the line's code and what follows it */
	char text[REPLY_TEXT_MAX + 1]; /* lines with their codes, joined by LF, printable else */
};

/*
 * Takes bytes until a reply is complete. A complete one is forgotten when the next call begins. Returns 1 when
 * complete, 0 when more is needed, -1 when this is no SMTP reply; *used is how much was taken.
 */
int reply_feed(struct reply *r, struct span bytes, size_t *used);

/* The text as one line: the lines joined by blanks. Cut to size. */
void reply_one_line(const struct reply *r, char *text, size_t size);

/* The text behind the code of the last line, for the enhanced code. */
struct span reply_last_text(const struct reply *r);

/* Takes the next line of *rest (at first: the whole text), without its code. False at the end. */
bool reply_next_line(struct span *rest, struct span *line);

#endif
