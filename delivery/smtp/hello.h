/*
 * hello: what a server offers in its answer to EHLO (RFC 5321, 4.1.1.1).
 */
#ifndef POSTERN_DELIVERY_SMTP_HELLO_H
#define POSTERN_DELIVERY_SMTP_HELLO_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"

struct reply;

enum {
	OFFERS_PIPELINING = 1 << 0,
	OFFERS_SIZE = 1 << 1,
	OFFERS_8BITMIME = 1 << 2,
	OFFERS_SMTPUTF8 = 1 << 3,
	OFFERS_DSN = 1 << 4,
	OFFERS_STARTTLS = 1 << 5,
	OFFERS_AUTH = 1 << 6,
	OFFERS_CHUNKING = 1 << 7
};

struct capabilities {
	unsigned offers;
	unsigned mechanisms; /* of AUTH: sasl_choice_parse() */
	bool authenticated; /* what AUTH has achieved */
	uint64_t size_limit; /* 0: none told */
};

/* discard: smtp_discard_ehlo_keywords. The first line is the greeting: its first word goes to *domain. */
void capabilities_parse(
    struct capabilities *c, const struct reply *r, struct span discard, struct span *domain);

#endif
