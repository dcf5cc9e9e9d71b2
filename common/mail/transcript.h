/*
 * transcript: what was last said in an SMTP conversation, for the notice that postmaster gets of it (notify_classes).
 *
 * As long as nothing is wrong it is a small ring: the oldest lines make room. From the first error on nothing is lost but
 * what comes when it is full. No line of it has a password: whoever adds one leaves that out.
 */
#ifndef POSTERN_MAIL_TRANSCRIPT_H
#define POSTERN_MAIL_TRANSCRIPT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"

/* Classes of notify_classes that are about conversations. */
enum {
	CLASS_BOUNCE = 1 << 0,
	CLASS_POLICY = 1 << 1,
	CLASS_PROTOCOL = 1 << 2,
	CLASS_DATA = 1 << 3,
	CLASS_RESOURCE = 1 << 4,
	CLASS_SOFTWARE = 1 << 5
};

/* Octets: of a transcript without errors, of one with some, and kept of a line. */
enum { TRANSCRIPT_QUIET = 960, TRANSCRIPT_MAX = 8192, TRANSCRIPT_LINE = 300 };

/* The first octet of each line of the text; then comes what was said, then LF. */
enum transcript_mark { TRANSCRIPT_IN = '<', TRANSCRIPT_OUT = '>' };

struct transcript {
	char *text;
	uint32_t len, size;
	uint32_t omitted; /* lines that had no room */
	unsigned classes; /* of the errors in it */
	bool muted; /* a notice itself is sent in it: nobody is told, for that might never end */
};

/* The classes in the parameter's value, as bits. */
unsigned transcript_classes(const char *notify_classes);

void transcript_free(struct transcript *t);

/* A zeroed one is empty. The line has no LF; more than TRANSCRIPT_LINE of it is cut. Whoever shows it makes it printable. */
void transcript_add(struct transcript *t, enum transcript_mark mark, struct span line);

/* There was an error. Before the lines that tell of it. */
void transcript_error(struct transcript *t, unsigned classes);

/* What was wrong is forgiven. */
void transcript_forgive(struct transcript *t);

/* A "MAIL FROM:<name@...>" whose sender is double_bounce_sender: notices have it. */
bool transcript_is_notice(struct span command, const char *double_bounce_sender);

#endif
