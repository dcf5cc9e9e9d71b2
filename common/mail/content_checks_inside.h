/*
 * content_checks_inside: what the two halves of content_checks share. content_checks.c takes what comes in and asks;
 * content_checks_settle.c puts out what stays, and what the actions make of it.
 */
#ifndef POSTERN_MAIL_CONTENT_CHECKS_INSIDE_H
#define POSTERN_MAIL_CONTENT_CHECKS_INSIDE_H

#include "common/mail/content_checks.h"

/* A line, or a field with its folded lines, that a table is asked about. */
struct item {
	enum check_class class;
	size_t at, len; /* in held: with line ends */
	size_t text_at, text_len; /* in texts */
	size_t value_at, value_len; /* in values; len 0: nothing found */
	bool primary; /* it stands in the message's own header */
	bool dropped; /* one of drop_headers */
};

struct content_checks {
	struct content_checks_rules rules;
	struct content_checks_sink sink;
	struct mime_walk *walk;
	struct content_strict *strict;
	struct buf held, texts, values;
	struct item *items;
	size_t count, room;
	size_t line_at; /* where the present line begins in held */
	bool line_piece; /* a part of this line was looked at already */
	bool in_field; /* the last item may have folded lines yet */
	bool primary; /* in the message's own header */
	bool puts_primary; /* what is put out is of that */
	bool adding; /* what is put did not come along */
	bool flat; /* no more headers can come */
	bool finished, ended;
	bool passes; /* no more checks: an action said so, or it was rejected and goes on */
	uint64_t body_octets; /* of this part */
	uint64_t header_octets;
	size_t header_end; /* in held; SIZE_MAX: not there */
	size_t header_last; /* its empty line, if it has one */
	struct content_checks_header watcher;
	bool header_ended; /* the watcher was told */
};

/* Puts it out; primary: it is of the message's own header. */
void content_checks_put_out(struct content_checks *c, struct span bytes, bool primary);

/* The rest goes through unseen; or an action rejected the message, and the sink says whether it goes on. */
void content_checks_pass_rest(struct content_checks *c);
void content_checks_reject(struct content_checks *c);

/* line is a field that drop_headers names. */
bool content_checks_is_listed(const struct content_checks *c, struct span line);

/* How many items are whole: a field may have folded lines yet that have not come. */
size_t content_checks_whole(const struct content_checks *c);

#endif
