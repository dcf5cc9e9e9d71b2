/*
 * content: a message's content on its way out: read from memory or the queue's descriptor, dots doubled
 * (RFC 5321, 4.5.2), long lines folded (4.5.3.1.6), 8-bit parts made 7-bit for a peer that cannot take them
 * (RFC 6152, 3).
 */
#ifndef POSTERN_DELIVERY_SMTP_CONTENT_H
#define POSTERN_DELIVERY_SMTP_CONTENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/span.h"

struct mime7bit;

struct content_source {
	struct span head; /* comes before the rest */
	struct span bytes; /* if fd is -1 */
	int fd; /* content lies at [offset, offset + len) */
	uint64_t offset;
	uint64_t len;
};

struct content_rules {
	bool dots; /* some line begins with a dot */
	size_t line_limit; /* 0: lines are left as long as they are */
	bool to_7bit;
};

struct content {
	struct content_source source;
	struct content_rules rules;
	uint64_t taken; /* of what is behind the head */
	struct mime7bit *mime; /* NULL: nothing is converted */
	struct buf converted;
	struct buf line; /* of what is folded */
	size_t indent; /* a blank stands already in front of what is in line */
	bool in_header;
	bool at_line_start;
};

void content_open(struct content *c, const struct content_source *source, const struct content_rules *rules);
void content_close(struct content *c);

/* Nothing has to be done with it: it can be sent as it lies in memory. */
bool content_is_plain(const struct content *c);

/*
 * Appends about that many octets to out. Returns 1 if there is more, 0 at the end (out then ends in CRLF), -1 with
 * err: unreadable, or a signed part that may not be converted (err->number is EILSEQ).
 */
int content_more(struct content *c, struct buf *out, size_t about, struct error *err);

#endif
