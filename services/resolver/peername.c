#include "services/resolver/peername.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

enum candidate_state { CANDIDATE_WAITS, CANDIDATE_CONFIRMED, CANDIDATE_ELSEWHERE, CANDIDATE_UNKNOWN };

struct request;

/* A name that PTR gave, and whether it leads back. */
struct candidate {
	struct request *request;
	enum candidate_state state;
	char name[NAME_SIZE];
};

struct request {
	struct engine *engine;
	uint64_t asker;
	peername_done *done;
	void *context;
	uint8_t octets[16];
	size_t octet_count;
	size_t count;
	size_t waiting;
	struct candidate candidates[PEERNAME_TRIES];
	struct peername result;
};

/* An IPv4 address in IPv6's clothes (RFC 4291, 2.5.5.2) is an IPv4 address. Returns false if it is none at all. */
static bool
parse_address(struct span text, uint8_t octets[16], size_t *count)
{
	struct in6_addr v6;
	char copy[64];

	if (!span_copy(text, copy, sizeof(copy)))
		return false;
	if (inet_pton(AF_INET, copy, octets) == 1) {
		*count = 4;
		return true;
	}
	if (inet_pton(AF_INET6, copy, &v6) != 1)
		return false;
	*count = IN6_IS_ADDR_V4MAPPED(&v6) ? 4 : 16;
	memcpy(octets, v6.s6_addr + (16 - *count), *count);
	return true;
}

static void
request_end(struct request *r, enum name_status status, const char *reason)
{
	r->result.status = status;
	if (reason)
		snprintf(r->result.reason, sizeof(r->result.reason), "%s", reason);
	r->done(r->context, &r->result);
	free(r);
}

/* All candidates were heard. */
static void
judge(struct request *r)
{
	bool unknown = false;

	for (size_t i = 0; i < r->count; i++) {
		struct candidate *c = &r->candidates[i];

		if (c->state == CANDIDATE_CONFIRMED) {
			memcpy(r->result.name, c->name, sizeof(r->result.name));
			memcpy(r->result.reverse_name, c->name, sizeof(r->result.reverse_name));
			request_end(r, NAME_CONFIRMED, "");
			return;
		}
		unknown = unknown || c->state == CANDIDATE_UNKNOWN;
	}
	if (unknown)
		request_end(r, NAME_TEMPORARY, NULL);
	else
		request_end(r, NAME_FORGED, "the name does not resolve to the address");
}

static bool
has_address(const struct request *r, const struct answer *answer)
{
	struct span rest = buf_span(&answer->records);
	struct dns_record record;

	while (dns_record_next(&rest, &record) == 1)
		if (span_equal(record.data, span_make(r->octets, r->octet_count)))
			return true;
	return false;
}

static void
on_forward(void *context, const struct answer *answer)
{
	struct candidate *c = context;
	struct request *r = c->request;

	if (answer->status == DNS_OK) {
		c->state = has_address(r, answer) ? CANDIDATE_CONFIRMED : CANDIDATE_ELSEWHERE;
	} else if (answer->status == DNS_TEMPORARY || answer->status == DNS_BOGUS) {
		c->state = CANDIDATE_UNKNOWN;
		snprintf(r->result.reason, sizeof(r->result.reason), "%s", answer->reason);
	} else {
		c->state = CANDIDATE_ELSEWHERE;
	}
	if (--r->waiting == 0)
		judge(r);
}

static void
take_candidates(struct request *r, const struct answer *answer)
{
	struct span rest = buf_span(&answer->records);
	struct dns_record record;

	while (r->count < PEERNAME_TRIES && dns_record_next(&rest, &record) == 1) {
		struct candidate *c = &r->candidates[r->count];

		if (!name_is_host(record.name) || !span_copy(record.name, c->name, sizeof(c->name)))
			continue;
		c->request = r;
		r->count++;
	}
}

static void
on_reverse(void *context, const struct answer *answer)
{
	struct request *r = context;
	size_t count;

	if (answer->status != DNS_OK) {
		bool unknown = answer->status == DNS_TEMPORARY || answer->status == DNS_BOGUS;

		request_end(r, unknown ? NAME_TEMPORARY : NAME_NONE, answer->reason);
		return;
	}
	take_candidates(r, answer);
	if (r->count == 0) {
		request_end(r, NAME_NONE, "the address leads to no usable name");
		return;
	}
	memcpy(r->result.reverse_name, r->candidates[0].name, sizeof(r->result.reverse_name));
	/* Answers may come before engine_ask() returns, the last of them ends the request: one is held back until then. */
	count = r->count;
	r->waiting = count + 1;
	for (size_t i = 0; i < count; i++)
		engine_ask(r->engine, span_of(r->candidates[i].name),
		    r->octet_count == 4 ? DNS_TYPE_A : DNS_TYPE_AAAA, DNS_WANT_HOSTS, r->asker, on_forward,
		    &r->candidates[i]);
	if (--r->waiting == 0)
		judge(r);
}

void
peername_ask(struct engine *e, struct span address, uint64_t asker, peername_done *done, void *context)
{
	struct request *r = mem_alloc(sizeof(*r));
	char reverse[NAME_SIZE];
	const char *name;

	r->engine = e;
	r->asker = asker;
	r->done = done;
	r->context = context;
	if (!parse_address(address, r->octets, &r->octet_count)) {
		request_end(r, NAME_NONE, "not an address");
		return;
	}
	name = hosts_file_name(engine_hosts(e), r->octets, r->octet_count);
	if (name) { /* the administrator's word needs no confirmation */
		snprintf(r->result.name, sizeof(r->result.name), "%s", name);
		snprintf(r->result.reverse_name, sizeof(r->result.reverse_name), "%s", name);
		request_end(r, NAME_CONFIRMED, "");
		return;
	}
	name_reverse(r->octets, r->octet_count, reverse);
	engine_ask(e, span_of(reverse), DNS_TYPE_PTR, 0, asker, on_reverse, r);
}
