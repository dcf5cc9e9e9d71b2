/* What a name server sends, for each type that is asked for; the packet's own question passes for ours. */
#include <arpa/nameser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services/resolver/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
take_question(const uint8_t *packet, size_t size, struct question *q)
{
	ns_msg msg;
	ns_rr rr;

	snprintf(q->name, sizeof(q->name), "example.com");
	if (ns_initparse(packet, (int)size, &msg) < 0 || ns_msg_count(msg, ns_s_qd) < 1 ||
	    ns_parserr(&msg, ns_s_qd, 0, &rr) < 0)
		return;
	q->type = (uint16_t)ns_rr_type(rr);
	name_clean(span_of(ns_rr_name(rr)), q->name);
}

static void
check(const struct answer *answer, enum wire_verdict verdict)
{
	struct span rest = buf_span(&answer->records);
	struct dns_record record;
	size_t count = 0;
	int rc;

	while ((rc = dns_record_next(&rest, &record)) == 1)
		count++;
	if (rc != 0 || count != answer->record_count || count > DNS_RECORDS_MAX)
		abort();
	if ((verdict == WIRE_ANSWERED && answer->status == DNS_OK) != (count > 0))
		abort();
	if (answer->chain > WIRE_CHAIN_MAX + 1)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t types[] = {0, DNS_TYPE_A, DNS_TYPE_AAAA, DNS_TYPE_MX, DNS_TYPE_TXT,
	    DNS_TYPE_SRV, DNS_TYPE_PTR, DNS_TYPE_CNAME, DNS_TYPE_TLSA};
	uint8_t *packet = malloc(size + 1);

	memcpy(packet, data, size);
	if (size > 2)
		packet[2] = (uint8_t)((packet[2] & 0x07) | 0x80);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]) && size >= 2; i++) {
		struct question q = {.type = types[i]};
		struct answer answer;

		take_question(packet, size, &q);
		if (i > 0)
			q.type = types[i];
		answer_init(&answer);
		check(&answer, answer_parse(span_make(packet, size), &q, (uint16_t)ns_get16(packet),
				   i % 2 == 0, &answer));
		answer_free(&answer);
	}
	free(packet);
	return 0;
}
