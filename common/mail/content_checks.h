/*
 * content_checks: header_checks(5) and body_checks(5) on a message that passes by.
 *
 * Content goes in as it is stored (CRLF), any cut of it; what comes out is what is to be stored. Lines that a table is to
 * be asked about are gathered; content_checks_asks() says when there are enough of them, and until they are settled
 * what follows is held. Whoever owns this asks the tables, and reads no more from its source meanwhile.
 *
 * A field is shown to its table with its folded lines, joined by LF, up to field_limit octets; a body line in pieces of
 * at most line_limit. NUL is shown as a blank: what stands behind it counts too;
 * blanks before a field's colon are not shown.
 */
#ifndef POSTERN_MAIL_CONTENT_CHECKS_H
#define POSTERN_MAIL_CONTENT_CHECKS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/mail/check_action.h"
#include "common/mail/content_strict.h"
#include "common/mail/mime_walk.h"

/* Which tables are asked: also what travels in CHECK_ASK. */
enum check_class {
	CHECK_HEADER,
	CHECK_MIME_HEADER,
	CHECK_NESTED_HEADER,
	CHECK_BODY,
	CHECK_CLASS_COUNT,
	CHECK_STRICT = CHECK_CLASS_COUNT /* no table, but content_strict.h: the text says what was found */
};

/* What the log has in front of a line: "header ", "body " or "". */
const char *check_class_word(enum check_class class);

struct content_checks_rules {
	unsigned classes; /* 1 << check_class: those that have tables */
	size_t field_limit; /* header_size_limit */
	size_t line_limit; /* line_length_limit */
	uint64_t body_limit; /* body_checks_size_limit, of each part; 0: none */
	struct mime_limits mime;
	const struct content_strict_rules *strict; /* NULL: none; copied */
	const char
	    *drop_headers; /* message_drop_headers: such fields are shown, and go no further; NULL: none */
	bool outgoing; /* smtp_header_checks and its kin */
	bool
	    rejected_goes_on; /* what was rejected is put out all the same, with no more checks: it will be returned */
};

struct content_checks_sink {
	void (*put)(void *context, struct span bytes);
	/*
	 * A line has met an action. text: the line, as it was shown. What changes content is done here; all else is the
	 * owner's. REJECT and DISCARD end it all: nothing more is put out.
	 */
	void (*acted)(
	    void *context, const struct check_action *action, enum check_class class, struct span text);
	/* An action that makes no sense. */
	void (*complain)(void *context, struct span value, const char *why);
	void *context;
};

struct content_checks;

struct content_checks *content_checks_new(
    const struct content_checks_rules *rules, const struct content_checks_sink *sink);
void content_checks_free(struct content_checks **c);

void content_checks_put(struct content_checks *c, struct span bytes);

/* While it is so, fields that are put were not in the message: this host adds them, and no table is asked about them. Whole lines. */
void content_checks_adding(struct content_checks *c, bool adding);

/*
 * The message's own header as tables leave it. field: a line that was shown to header_checks, or what replaced it, but
 * nothing that was put in front. end: its empty line is next; content_checks_add_field() may be called.
 */
struct content_checks_header {
	void (*field)(void *context, struct span field);
	void (*end)(void *context);
};
void content_checks_watch_header(struct content_checks *c, const struct content_checks_header *watcher);
/* A whole line without its CRLF. */
void content_checks_add_field(struct content_checks *c, struct span line);

/* All content has come. */
void content_checks_finish(struct content_checks *c);

/* There are lines to ask about, and enough of them or no more to come. */
bool content_checks_asks(const struct content_checks *c);

/* The lines, one after the other, while *position (from 0) is within them. */
bool content_checks_next(
    const struct content_checks *c, size_t *position, enum check_class *class, struct span *text);

/*
 * The lines as CHECK_ASK and CHECK_LINES carry them: appends at most max octets to out, which must have room for them.
 * True if there is more. Begin with a packing that is all zero.
 */
struct content_checks_packing {
	size_t position;
	char head[5];
	size_t head_at;
	struct span text;
	bool in_line;
};
bool content_checks_pack(
    const struct content_checks *c, struct content_checks_packing *p, size_t max, struct buf *out);

/* What a table says of the line at position. */
void content_checks_found(struct content_checks *c, size_t position, struct span value);

/* Everything was said: what was held goes out. */
void content_checks_settle(struct content_checks *c);

/* What is put now belongs to the message's own header, with its empty line. */
bool content_checks_in_header(const struct content_checks *c);

/* Octets that went out up to and with the empty line behind the message's own header. */
uint64_t content_checks_header_octets(const struct content_checks *c);

#endif
