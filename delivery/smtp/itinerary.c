#include "delivery/smtp/itinerary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/conf/conf.h"
#include "delivery/smtp/sasl_family.h"
#include "delivery/smtp/tls_policy_find.h"

enum { ROUTES = 2 * ROUTE_MAX };

struct itinerary {
	struct job *job;
	struct route routes[ROUTES];
	struct tls_policy *policies[ROUTES];
	size_t count, known; /* routes; those whose policies are known */
	struct tls_policy_search *search;
	struct error err;
	char key[ITINERARY_KEY_SIZE];
	bool asking; /* itinerary_ask() is on the stack */
	itinerary_ready *ready;
	void *context;
};

/* ---- routes ---- */

static void
take_routes(struct itinerary *i)
{
	const struct conf_values *v = i->job->conf->values;
	struct route_rules rules = {
	    .lmtp = i->job->lmtp, .no_mx = v->disable_dns_lookups, .known_ports = v->known_tcp_ports};
	struct error ignored;
	int count, more;

	if (i->job->mistake) {
		error_set(&i->err, "%s", i->job->mistake);
		return;
	}
	rules.port = route_default_port(
	    rules.lmtp ? v->lmtp_tcp_port : v->smtp_tcp_port, v->known_tcp_ports, rules.lmtp ? 24 : 25);
	count = route_parse(i->job->nexthop, &rules, i->routes, ROUTE_MAX, &i->err);
	if (count < 0)
		return;
	i->count = (size_t)count;
	more = route_parse(span_of(rules.lmtp ? v->lmtp_fallback_relay : v->smtp_fallback_relay), &rules,
	    i->routes + count, ROUTE_MAX, &ignored);
	if (more > 0)
		i->count += (size_t)more;
}

/* ---- policies ---- */

static void
make_key(struct itinerary *i)
{
	struct span sender = SPAN_LIT("");
	uint64_t all = 0;

	for (size_t at = 0; at < i->count; at++) {
		char text[64];
		int len = snprintf(text, sizeof text, "%016" PRIx64 "%s", all, i->policies[at]->key);

		all = hash_bytes(text, (size_t)len);
	}
	if (sasl_family_tells_senders_apart(i->job->conf->values, i->job->lmtp))
		sender = i->job->login_sender;
	snprintf(i->key, sizeof i->key, "%016" PRIx64 " %.*s:%.*s %.*s", all, SPAN_ARG(i->job->transport),
	    SPAN_ARG(i->job->nexthop), SPAN_ARG(sender));
}

static void itinerary_ask(struct itinerary *i);

static void
on_policy(void *context, struct tls_policy *policy)
{
	struct itinerary *i = context;

	i->search = NULL;
	i->policies[i->known++] = policy;
	if (!i->asking)
		itinerary_ask(i);
}

/* One after the other; most are known at once. */
static void
itinerary_ask(struct itinerary *i)
{
	struct job *job = i->job;
	size_t known;

	i->asking = true;
	do {
		known = i->known;
		if (known == i->count)
			break;
		i->search = tls_policy_find(
		    job->agent, job->conf, job->lmtp, span_of(i->routes[known].site), on_policy, i);
	} while (i->known > known);
	i->asking = false;
	if (i->known < i->count)
		return;
	make_key(i);
	i->ready(i->context);
}

struct itinerary *
itinerary_new(struct job *job, itinerary_ready *ready, void *context)
{
	struct itinerary *i = mem_alloc(sizeof *i);

	i->job = job;
	i->ready = ready;
	i->context = context;
	if (job->open > 0)
		take_routes(i);
	return i;
}

void
itinerary_begin(struct itinerary *i)
{
	itinerary_ask(i);
}

void
itinerary_free(struct itinerary **itinerary)
{
	struct itinerary *i = *itinerary;

	*itinerary = NULL;
	if (!i)
		return;
	tls_policy_cancel(&i->search);
	for (size_t at = 0; at < i->known; at++)
		tls_policy_free(&i->policies[at]);
	free(i);
}

const struct route *
itinerary_route(const struct itinerary *i, size_t at)
{
	return &i->routes[at];
}

size_t
itinerary_count(const struct itinerary *i)
{
	return i->count;
}

const struct error *
itinerary_error(const struct itinerary *i)
{
	return i->count == 0 ? &i->err : NULL;
}

struct tls_policy *
itinerary_policy(const struct itinerary *i, size_t at)
{
	return i->policies[at];
}

const char *
itinerary_key(const struct itinerary *i)
{
	return i->key;
}
