/*
 * drop_format: a message in the drop directory, and on its way there through the drop program.
 *
 * Lines of text, an empty line, and the message with LF line ends. It is not the format of messages.def, because a
 * file may wait across an upgrade:
 *
 *   postern-drop 1
 *   size 1234            octets behind the empty line: a file that was cut short is not taken for a whole one
 *   flags 0              MAIL_*, DROP_*
 *   notify 0             DSN_NOTIFY_*
 *   sender joe           absent: the null sender
 *   name Joe Doe         for a missing From
 *   envid x
 *   hops 3               that it has behind it, beside its Received lines (-h)
 *   protocol UUCP:host   how and from where it came (-p)
 *   tag backup           for log lines (-L)
 *   verp +=              each recipient's mail has a sender of its own (-XV)
 *   rcpt jane@example.com
 *   dsn 3 rfc822;j@x     of the recipient above, where it has its own: DSN_NOTIFY_*, and ORCPT or nothing
 */
#ifndef POSTERN_MAIL_DROP_FORMAT_H
#define POSTERN_MAIL_DROP_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/span.h"

enum { DROP_TAG_MAX = 32, DROP_PROTOCOL_MAX = 270, DROP_HOPS_MAX = 10000, DROP_NOTIFY_MAX = 15 };

enum { DROP_LINE_MAX = 1100, DROP_RECIPIENTS_MAX = 50000, DROP_ENVELOPE_MAX = 8 << 20 };

struct drop_recipient {
	struct drop_recipient *next;
	struct span address;
	uint8_t notify; /* 0: the envelope's counts */
	struct span orcpt; /* "type;address", or empty */
};

struct drop_envelope {
	struct arena *arena; /* the texts live here */
	uint64_t size;
	uint32_t flags;
	uint8_t notify;
	struct span sender, full_name, envid;
	struct span protocol, tag, verp;
	uint32_t hops;
	struct drop_recipient *first, **last, *newest;
	size_t recipients;
	unsigned lines; /* that were parsed */
};

void drop_envelope_init(struct drop_envelope *e, struct arena *arena);

/* Returns -1 with err for an address that is too long or holds control characters, or one too many. */
int drop_envelope_add(struct drop_envelope *e, struct span recipient, struct error *err);

/* NOTIFY and ORCPT (RFC 3461) of the recipient that was added last. -1 with err as above. */
int drop_envelope_dsn(struct drop_envelope *e, uint8_t notify, struct span orcpt, struct error *err);

/* Copies the texts of 'from', which came in frames. Returns -1 with err under the same rules. */
int drop_envelope_set(struct drop_envelope *e, const struct drop_envelope *from, struct error *err);

/* Part of a log line's prefix: letters, digits, "_", "." and "-". */
bool drop_tag_valid(struct span tag);

/* Words of a Received line: what stands in a host name or the name of a protocol, and ':' between these two. */
bool drop_protocol_valid(struct span protocol);

/* Appends all lines and the empty one. -1 if a text cannot stand in a line. */
int drop_envelope_format(const struct drop_envelope *e, struct buf *out, struct error *err);

/* One line without its LF. Returns 0 to go on, 1 after the empty line, -1 with err. */
int drop_envelope_line(struct drop_envelope *e, struct span line, struct error *err);

#endif
