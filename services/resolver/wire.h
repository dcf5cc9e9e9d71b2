/*
 * wire: questions and answers in DNS's own format (RFC 1035, 4; EDNS0: RFC 6891), by means of libresolv's parser.
 *
 * The one place that reads what name servers send. An answer is a bounded, typed thing afterwards; anything
 * malformed is refused whole, never half used.
 */
#ifndef POSTERN_RESOLVER_WIRE_H
#define POSTERN_RESOLVER_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/span.h"
#include "common/dns/dns.h"
#include "services/resolver/name.h"

enum {
	WIRE_QUESTION_MAX = 12 + 255 + 4 + 11,
	WIRE_UDP_MAX = 1232, /* fits every path (RFC 6891, 6.2.5) */
	WIRE_CHAIN_MAX = 16, /* CNAMEs that are followed for one question, over all answers */
	WIRE_RECORDS_BYTES_MAX = 60000 /* DNS_ANSWER.records */
};

struct question {
	char name[NAME_SIZE]; /* as name_clean() made it */
	uint16_t type;
};

enum {
	QUESTION_EDNS = 1 << 0,
	QUESTION_DNSSEC = 1 << 1 /* DO (RFC 3225): for servers whose AD is believed */
};

/* Returns the length. */
size_t question_build(const struct question *q, uint16_t id, unsigned flags, uint8_t out[WIRE_QUESTION_MAX]);

/* What is known of a question; freed with answer_free(). */
struct answer {
	enum dns_status status;
	bool authentic; /* AD was set: the caller decides whether the server may be believed */
	uint32_t ttl; /* seconds that it may be kept; 0: not at all */
	unsigned chain; /* CNAMEs that led to canonical */
	char canonical[NAME_SIZE];
	char reason[200]; /* for a person, when there are no records */
	size_t record_count;
	struct buf records; /* dns_record_pack() */
};

void answer_init(struct answer *answer);
void answer_free(struct answer *answer);
void answer_copy(struct answer *to, const struct answer *from);

enum wire_verdict {
	WIRE_NOT_OURS, /* another id or question, or no answer at all: as if nothing had come */
	WIRE_MALFORMED,
	WIRE_TRUNCATED, /* ask again over TCP */
	WIRE_NO_EDNS, /* ask again without (RFC 6891, 7) */
	WIRE_FAILED, /* the server cannot say: SERVFAIL, REFUSED; answer.status tells DNS_BOGUS apart */
	WIRE_FOLLOW, /* only an alias was given: ask for answer.canonical */
	WIRE_ANSWERED
};

/* answer: initialised; filled as far as the verdict says. reason is set for all but WIRE_ANSWERED with records. */
enum wire_verdict answer_parse(
    struct span packet, const struct question *q, uint16_t id, bool had_edns, struct answer *answer);

#endif
