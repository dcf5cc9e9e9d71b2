/*
 * tls: what "postern tls" learns of a destination, and how it is shown.
 */
#ifndef POSTERN_TOOLS_TLS_H
#define POSTERN_TOOLS_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "delivery/smtp/hosts.h"
#include "delivery/smtp/tls_policy.h"

enum { TLS_PROBE_HOSTS = 100 };

/* One host of a destination. */
struct tls_host {
	struct host host;
	char relay[VERDICT_RELAY_SIZE];
	bool good; /* mail would be taken there under the policy */
	bool in_tls;
	bool broke; /* TLS was tried and failed: it was tried without */
	char broke_why[400];
	struct verdict why; /* not good */
	struct buf summary; /* "TLSv1.3 with cipher ..." */
	struct buf chain; /* a line a certificate */
	char standing[20]; /* "Verified" */
	char protocol[20], cipher[80];
	char certificate_fingerprint[200], key_fingerprint[200];
	char matched[260], untrusted[400], servername[260];
};

struct tls_probe {
	const char *destination; /* as it was asked for */
	char site[300]; /* the next hop that it comes to */
	bool lmtp;
	struct tls_policy *policy;
	struct verdict why; /* no host could be tried, or no policy */
	struct tls_host hosts[TLS_PROBE_HOSTS];
	size_t count;
	bool good;
};

void tls_print_text(const struct tls_probe *p);
void tls_print_json(const struct tls_probe *p);

#endif
