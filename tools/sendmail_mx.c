/* sendmail -bt, "/mx HOST": the hosts that take a domain's mail, in their order, in sendmail's words. */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/dns/dns.h"
#include "tools/own_resolver.h"
#include "tools/sendmail.h"

struct mx_question {
	struct span domain;
	bool done;
};

static int
by_preference(const void *a, const void *b)
{
	const struct dns_record *one = a, *other = b;

	return (int)one->preference - (int)other->preference;
}

/* Without MX records the host is its own (RFC 5321, 5.1). */
static void
print_hosts(struct span domain, struct span records)
{
	struct dns_record list[DNS_RECORDS_MAX], record;
	size_t count = 0;

	while (count < DNS_RECORDS_MAX && dns_record_next(&records, &record) > 0)
		if (record.type == DNS_TYPE_MX)
			list[count++] = record;
	if (count == 0) {
		printf("getmxrr(%.*s) returns 1 value(s):\n\t%.*s.\n", SPAN_ARG(domain), SPAN_ARG(domain));
		return;
	}
	qsort(list, count, sizeof(list[0]), by_preference);
	printf("getmxrr(%.*s) returns %zu value(s):\n", SPAN_ARG(domain), count);
	for (size_t i = 0; i < count; i++)
		printf("\t%.*s. (preference %u)\n", SPAN_ARG(list[i].name), list[i].preference);
}

static void
on_answer(void *context, const struct answer *answer)
{
	struct mx_question *q = context;

	q->done = true;
	if (answer->status == DNS_OK || answer->status == DNS_NO_DATA)
		print_hosts(q->domain, buf_span(&answer->records));
	else
		printf("getmxrr(%.*s): %s\n", SPAN_ARG(q->domain), answer->reason);
}

void
sendmail_mx(const struct sendmail *s, struct span domain)
{
	struct mx_question question = {.domain = domain};
	struct event_base *base = event_base_new();
	struct error err;
	struct engine *engine = own_resolver_new(base, s->conf->values, &err);

	if (engine == NULL)
		printf("getmxrr(%.*s): %s\n", SPAN_ARG(domain), err.text);
	else
		engine_ask(engine, domain, DNS_TYPE_MX, 0, 0, on_answer, &question);
	while (engine != NULL && !question.done && event_base_loop(base, EVLOOP_ONCE) == 0)
		;
	engine_free(&engine);
	event_base_free(base);
}
