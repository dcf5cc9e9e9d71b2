/*
 * header: the fields of a message's header (RFC 5322, 2.2), from bytes of strangers and with either line end.
 */
#ifndef POSTERN_MAIL_HEADER_H
#define POSTERN_MAIL_HEADER_H

#include <stdbool.h>

#include "common/base/span.h"

/* Octets of the field name that line begins with, 0 if it begins none. Blanks before the colon are obsolete syntax (4.5). */
size_t header_name_length(struct span line);

/* True for a line that goes on with the field before it. */
bool header_is_continuation(struct span line);

struct header_field {
	struct span name;
	struct span body; /* all after the colon, folded as it came, without the last line end */
	struct span whole;
};

/*
 * Takes the next field of *rest. False at the end of the header: then *rest begins with the empty line, with the first
 * line that is no field, or is empty.
 */
bool header_next(struct span *rest, struct header_field *field);

/* Some line is longer than the 998 octets of RFC 5322, 2.1.1. Lines end in CRLF. */
bool header_has_long_line(struct span header);

/* True if the field's name is one of a list like message_drop_headers ("bcc, content-length"). */
bool header_name_listed(struct span name, const char *list);

#endif
