/*
 * content: a message as a local program wrote it becomes one as it goes over the wire, in a stream.
 *
 * LF becomes CRLF, a bare CR a blank, the last line gets its end. The header is read field by field, each bounded by
 * header_size_limit (what is beyond is cut); fields named in message_drop_headers go, what a message must have is added
 * at the end of the header (RFC 5322, 3.6; RFC 6409, 8). A header that ends without an empty line gets one.
 */
#ifndef POSTERN_PICKUP_CONTENT_H
#define POSTERN_PICKUP_CONTENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/span.h"
#include "common/mail/id_lines.h"
#include "services/pickup/line_facts.h"

/* What is put in. Texts must live as long as the content. */
struct content_setup {
	size_t field_limit; /* header_size_limit */
	const char *drop_headers; /* message_drop_headers */
	struct span from; /* the address for a missing From, complete */
	struct span full_name; /* its name, raw; may be empty */
	bool obsolete_from; /* header_from_format */
	const char *date;
	const char *message_id; /* with brackets */
	const char *undisclosed; /* undisclosed_recipients_header, may be "" */
	bool
	    later; /* content_note_field() tells which fields there are, content_complete() adds what is missing */
};

enum content_state { CONTENT_HEADER, CONTENT_BODY };

struct content {
	struct content_setup setup;
	enum content_state state;
	struct buf field; /* the field that is being read: whole lines with CRLF */
	struct buf line; /* the line that is being read */
	bool line_cut; /* the rest of the line is dropped: the field is too long */
	bool after_cr; /* a CR is held back */
	unsigned seen; /* fields, see content.c */
	unsigned received; /* Received fields */
	uint64_t header_len; /* octets put out for the header, with the empty line */
	uint64_t total;
	uint64_t added_from, added_to; /* octets of header_len: fields that did not come along */
	struct line_facts facts; /* of the output */
	char message_id[1000]; /* as it stands in the header */
	struct id_lines id_lines;
};

void content_init(struct content *c, const struct content_setup *setup);
void content_free(struct content *c);

/*
 * Appends what bytes make to out. out needs room for all that is held back, and twice the bytes:
 * content_room() says how much that is. Returns -1 if out was too small after all.
 */
int content_write(struct content *c, struct span bytes, struct buf *out);
int content_finish(struct content *c, struct buf *out);

/* For 'later': a field as it goes into the message; then what the header lacks is appended to out, which counts for nothing here. */
void content_note_field(struct content *c, struct span field);
void content_complete(struct content *c, struct buf *out);

size_t content_room(const struct content *c, size_t bytes);

#endif
