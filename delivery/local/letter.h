/*
 * letter: a message as it goes into a mailbox: the lines added in front, then the content with LF line ends.
 */
#ifndef POSTERN_LOCAL_LETTER_H
#define POSTERN_LOCAL_LETTER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/span.h"

/* Content lies in memory, or in a file from offset on when fd is not negative. */
struct letter {
	struct span sender; /* "" is <> */
	struct span recipient;
	struct span orig_to; /* "" if same */
	struct span delivered_to; /* in Delivered-To */
	struct span way; /* addresses of further such lines (common/mail/way.h), not open */
	struct span header_name; /* under which orig_to is shown; "" not at all */
	unsigned flags; /* LETTER_* */
	struct buf content;
	int fd;
	uint64_t offset;
	uint64_t content_len;
	uint64_t header_len;
};

enum {
	LETTER_QUOTE_FROM = 1 << 0, /* '>' in front of lines that begin with "From " */
	LETTER_QUOTE_DOTS = 1 << 1, /* '.' in front of lines that begin with one */
	LETTER_CRLF = 1 << 2, /* lines end in CRLF, not LF */
	LETTER_NO_RETURN_PATH = 1 << 3,
	LETTER_NO_DELIVERED = 1 << 4,
	/* Of what a command gets: */
	LETTER_FROM_LINE = 1 << 5, /* the separator of a mailbox file in front */
	LETTER_BLANK = 1 << 6, /* an empty line at the end */
	LETTER_ALWAYS_ORIGINAL = 1 << 7, /* header_name also where orig_to is the recipient */
	/* Of what a mailbox gets: */
	LETTER_MAY_RETURN = 1 << 8 /* also where its header has this Delivered-To already */
};

/* Return-Path, X-Original-To or Envelope-To, Delivered-To. Whatever was in the addresses, each stays one line. */
void letter_header(const struct letter *l, struct buf *out);

/* Lines that end in LF get CRLF. */
void letter_lines_crlf(struct buf *lines);

/* "From sender  Sun Nov 22 03:10:24 2026": what separates messages in a mailbox file (RFC 4155 has the sense of it). */
void letter_separator(const struct letter *l, int64_t wall_us, struct buf *out);

/* Writes the content. Returns -1 with err (number is errno); *written counts octets that were written. */
int letter_write(const struct letter *l, int fd, unsigned flags, uint64_t *written, struct error *err);

/* True if the header says that this recipient got it already (RFC 9228). -1 with err if the content cannot be read. */
int letter_was_delivered(const struct letter *l, struct error *err);

#endif
