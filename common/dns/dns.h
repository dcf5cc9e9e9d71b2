/*
 * dns: what the answers of resolver (DNS_ANSWER.records) hold, for those who ask. No wire format here: that is
 * services/resolver's alone.
 */
#ifndef POSTERN_DNS_DNS_H
#define POSTERN_DNS_DNS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/span.h"
#include "common/ipc/protocol.h"

/* RFC 1035, 3.2.2 and later. */
enum {
	DNS_TYPE_A = 1,
	DNS_TYPE_NS = 2,
	DNS_TYPE_CNAME = 5,
	DNS_TYPE_PTR = 12,
	DNS_TYPE_MX = 15,
	DNS_TYPE_TXT = 16,
	DNS_TYPE_AAAA = 28,
	DNS_TYPE_SRV = 33,
	DNS_TYPE_TLSA = 52
};

/* DNS_ASK.flags */
enum {
	DNS_WANT_HOSTS = 1 << 0, /* look into /etc/hosts first (A, AAAA) */
	DNS_HOSTS_ONLY = 1 << 1 /* and nowhere else: what is not there is DNS_NO_NAME */
};

/* Records an answer may hold. */
enum { DNS_RECORDS_MAX = 100 };

/* name: of the host for MX, NS, PTR, CNAME, SRV ("" is the root); data: address (4 or 16 octets), TXT or TLSA octets. */
struct dns_record {
	uint16_t type;
	uint16_t preference;
	uint16_t weight;
	uint16_t port;
	uint32_t ttl;
	struct span name;
	struct span data;
};

int dns_record_pack(struct buf *out, const struct dns_record *record);

/* Takes the next record. Returns 1, 0 at the end, -1 if malformed. Spans point into *rest's bytes. */
int dns_record_next(struct span *rest, struct dns_record *record);

#endif
