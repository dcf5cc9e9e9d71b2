/*
 * content: from the octets after DATA or BDAT to what is stored: lines that end in CRLF, no dot-stuffing.
 *
 * Any cut of the input gives the same result. The rules:
 *   1. Only CRLF.CRLF ends the content after DATA. (Where 'lf_ends' is set, a client that writes nothing but LF ends
 *      it with LF.LF; it is never set for one that has sent CRLF.)
 *   2. A bare LF becomes CRLF, a stray CR a space: neither ever leaves (RFC 5321, 2.3.8).
 *   3. The header is looked at a field at a time: hops, limits, Message-ID, what is missing. It is kept as it came,
 *      but for the excess of a field beyond header_size_limit and the fields of message_drop_headers.
 *   4. Runs of clean lines are handed on without being copied.
 */
#ifndef POSTERN_SMTPD_CONTENT_H
#define POSTERN_SMTPD_CONTENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/span.h"
#include "common/mail/id_lines.h"

enum { CONTENT_MESSAGE_ID_MAX = 990 };

enum content_fault {
	CONTENT_FINE,
	CONTENT_TOO_BIG,
	CONTENT_HEADER_TOO_BIG,
	CONTENT_TOO_MANY_HOPS,
	CONTENT_BARE_LF,
	CONTENT_REFUSED, /* by header_checks or body_checks */
	CONTENT_NO_ANSWER /* what is to be done to it could not be found out */
};

struct content_rules {
	uint64_t size_limit; /* 0: none */
	uint64_t field_limit;
	uint64_t header_limit;
	const char *drop_headers; /* names of fields that are left out; NULL: none */
	unsigned hop_limit;
	bool fields_later; /* 'fields' and 'message_id' are told by content_note_field() */
	bool dots; /* DATA: stuffed, and a dot ends it; BDAT: neither */
	bool lf_ends;
	bool reject_bare_lf;
};

struct content_sink {
	void (*put)(void *context, struct span bytes);
	/* The header is whole: lines that are to stand at its end may be given to content_add_field() now. */
	void (*header_end)(void *context);
	void *context;
};

/* Fields that were seen. */
enum {
	FIELD_DATE = 1 << 0,
	FIELD_MESSAGE_ID = 1 << 1,
	FIELD_FROM = 1 << 2,
	FIELD_TO = 1 << 3, /* a recipient whom everybody sees */
	/* Resent-..., RFC 5322, 3.6.6; FIELD_RESENT: any of them. */
	FIELD_RESENT = 1 << 4,
	FIELD_RESENT_DATE = 1 << 5,
	FIELD_RESENT_MESSAGE_ID = 1 << 6,
	FIELD_RESENT_FROM = 1 << 7
};

struct content {
	struct content_rules rules;
	struct content_sink sink;
	enum content_fault fault; /* the first one; nothing is handed on after it */
	uint64_t octets; /* of content as stored, ours not counted */
	uint64_t header_octets; /* with the empty line and what was added */
	uint64_t field_octets;
	uint64_t line_octets;
	unsigned hops;
	unsigned fields; /* FIELD_* */
	unsigned flags; /* MAIL_8BIT, MAIL_DOTS, MAIL_LONG_LINES */
	struct buf partial; /* of a header line that has not come whole */
	struct buf message_id;
	struct id_lines id_lines;
	bool in_header; /* what is handed on is header, without its empty line */
	bool first_line;
	bool in_message_id;
	bool dropping; /* the present field is one of drop_headers */
	bool line_started;
	bool undotted; /* the dot of this line was taken off */
	bool after_crlf;
	bool pending_cr;
	bool bare_lf;
	bool ended;
	unsigned dot_state; /* octets of ".\r" at the start of this line that are held back */
};

void content_init(struct content *c, const struct content_rules *rules, const struct content_sink *sink);
void content_fini(struct content *c);

/* Takes octets: all of them unless the end of data is among them (c->ended). Returns how many. */
size_t content_feed(struct content *c, struct span in);

/* The content is whole: ends a last line and a header without body. Done once, it does nothing any more. */
void content_finish(struct content *c);

/* A field as it goes into the message, with its folded lines. */
void content_note_field(struct content *c, struct span field);

/* A whole header line without its CRLF, from within header_end() or before the first content_feed(). */
void content_add_field(struct content *c, struct span line);

#endif
