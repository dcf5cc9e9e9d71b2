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
	struct span header_name; /* under which orig_to is shown; "" not at all */
	struct buf content;
	int fd;
	uint64_t offset;
	uint64_t content_len;
	uint64_t header_len;
};

/* What a mailbox file does differently: '>' in front of lines that begin with "From ". */
enum { LETTER_QUOTE_FROM = 1 << 0 };

/* Return-Path, X-Original-To or Envelope-To, Delivered-To. Whatever was in the addresses, each stays one line. */
void letter_header(const struct letter *l, struct buf *out);

/* "From sender  Sun Nov 22 03:10:24 2026": what separates messages in a mailbox file (RFC 4155 has the sense of it). */
void letter_separator(const struct letter *l, int64_t wall_us, struct buf *out);

/* Writes the content. Returns -1 with err (number is errno); *written counts octets that were written. */
int letter_write(const struct letter *l, int fd, unsigned flags, uint64_t *written, struct error *err);

/* True if the header says that this recipient got it already (RFC 9228). -1 with err if the content cannot be read. */
int letter_was_delivered(const struct letter *l, struct error *err);

#endif
