/*
 * filter: which messages an operator means, as the tools say it (FILTER in postern(8)).
 *
 * A message must match all that is set; what is said of recipients must be true of one recipient that is still open. 'from' is the
 * message's sender, or that of such a recipient (a list's owner); 'to' the address that it goes to, or the one that its sender wrote.
 * The index answers filters from its summaries (index/query.h), the loop from messages in memory: by the same
 * functions. What is to be left out is left to filter_match() alone: a summary may tell of some of the recipients.
 */
#ifndef POSTERN_QUEUE_FILTER_H
#define POSTERN_QUEUE_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/span.h"

struct message;
struct part_recipient;
struct recipient;

enum { FILTER_ACTIVE = 1, FILTER_DEFERRED = 2, FILTER_HOLD = 4 };

enum { FILTER_IDS_MAX = 2000 };

/* Texts are lower case. */
struct filter {
	char *from, *to; /* an address, or "@domain" */
	char *nexthop;
	char *reason;
	char *not_from, *not_to, *not_nexthop, *not_reason; /* messages of which that is true are left out */
	char *from_part,
	    *to_part; /* some part of the address; messages of which that is not true are left out */
	char *not_from_part, *not_to_part;
	uint64_t not_id; /* 0: none */
	unsigned states; /* 0: any */
	int64_t
	    now_s; /* spool time when it was asked: ages are counted from here, in memory and index alike */
	int64_t older_us, newer_us; /* ages, -1: any; whole seconds */
	int64_t larger; /* octets, -1: any */
	uint64_t *ids;
	size_t id_count;
	bool all; /* --all: the tool was told that every message is meant */
	uint64_t limit; /* 0: none */
	char *by; /* of stats */
	char *part; /* of show */
	char *hold_reason;
};

int filter_parse(struct filter *f, struct span args, struct error *err);
void filter_free(struct filter *f);
bool filter_match(const struct filter *f, const struct message *m);
bool filter_match_recipient(const struct filter *f, const struct message *m, const struct recipient *r);
bool filter_is_empty(const struct filter *f);

/* Something is to be left out: the index alone cannot say how many there are. */
bool filter_excepts(const struct filter *f);

/* What an address in a filter means. */
enum filter_address { FILTER_ANY_ADDRESS, FILTER_NO_ADDRESS /* <> */, FILTER_DOMAIN, FILTER_ADDRESS };

enum filter_address filter_address_kind(const char *wanted);

/* What is behind the last '@'. */
struct span filter_domain_of(struct span address);

/* The next hop by its name, without brackets and port, or by its transport. */
bool filter_nexthop_match(const char *wanted, struct span transport, struct span nexthop);

/* What the sender wrote, where listings show another address; else "". */
struct span filter_original(const struct part_recipient *p);

/* Case of ASCII letters is ignored; wanted is in lower case. */
bool filter_text_match(const char *wanted, struct span text);

/* FILTER_*: one bit, what a listing calls the message. */
unsigned message_state(const struct message *m);

#endif
