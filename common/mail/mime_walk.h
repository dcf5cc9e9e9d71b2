/*
 * mime_walk: which lines of a message are header fields, of which kind, and which are body (RFC 2045, 2046).
 *
 * A line at a time, in order; what is kept is a stack of boundaries and two fields. Nothing is decoded. What is nested
 * deeper than the limit, or makes no sense, is body.
 */
#ifndef POSTERN_MAIL_MIME_WALK_H
#define POSTERN_MAIL_MIME_WALK_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/span.h"

enum mime_section {
	MIME_PRIMARY, /* the message's own header */
	MIME_PART, /* of a part of a multipart */
	MIME_NESTED, /* of a message inside the message */
	MIME_BODY
};

enum mime_line {
	MIME_LINE_FIELD, /* begins a field */
	MIME_LINE_FOLDED, /* goes on with it */
	MIME_LINE_END, /* the empty line behind a header */
	MIME_LINE_BOUNDARY,
	MIME_LINE_TEXT
};

struct mime_limits {
	size_t nesting; /* mime_nesting_limit */
	size_t boundary; /* mime_boundary_length_limit: so much of a boundary is compared */
	bool off; /* disable_mime_input_processing: one header, and the rest is body */
};

struct mime_walk;

struct mime_walk *mime_walk_new(const struct mime_limits *limits);
void mime_walk_free(struct mime_walk **w);

/* line is without its end; whether it is cut at its end does not matter beyond some thousand octets. */
enum mime_line mime_walk_line(struct mime_walk *w, struct span line);

/* There was something in it beyond limits.nesting, which is taken for text. */
bool mime_walk_is_too_deep(const struct mime_walk *w);

/* The rest of the message may hold anything but headers: lines need not be shown any more. */
bool mime_walk_is_flat(const struct mime_walk *w);

/* Where the line that was shown last belongs. */
enum mime_section mime_walk_section(const struct mime_walk *w);

/* Content-Type and its kin: such fields count as MIME headers wherever they stand. */
bool mime_is_mime_field(struct span name);

#endif
