/*
 * tls_policy: what one destination (a next hop as it is written) asks of TLS before mail may go there.
 *
 * The only place where this is decided. It comes from the parameters smtp_tls_... (lmtp_tls_...) and from
 * smtp_tls_policy_maps. A policy never changes and is counted by reference. A mistake in what was written, and a table
 * that could not be asked, make a policy of level TLS_LEVEL_INVALID: mail waits, and is never sent with less than was
 * meant. What is learnt from DNS (DANE, MTA-STS) and what a message asks for (REQUIRETLS) belong in here too.
 */
#ifndef POSTERN_DELIVERY_SMTP_TLS_POLICY_H
#define POSTERN_DELIVERY_SMTP_TLS_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/span.h"
#include "delivery/smtp/verdict.h"

struct conf_values;

/* From the weakest. */
enum tls_level {
	TLS_LEVEL_INVALID, /* nothing may be sent: "why" */
	TLS_LEVEL_NONE,
	TLS_LEVEL_MAY, /* encrypted where the server can */
	TLS_LEVEL_ENCRYPT, /* always encrypted, whoever it is */
	TLS_LEVEL_FINGERPRINT, /* one of these certificates or keys */
	TLS_LEVEL_VERIFY, /* a trusted certificate with one of these names */
	TLS_LEVEL_SECURE /* the same; the names do not come from DNS */
};

struct tls_policy {
	unsigned references;
	struct arena *arena; /* of all texts */
	enum tls_level level;
	bool lmtp;
	const char *site; /* "[mx.example]:587" */
	const char *domain; /* its host: lower case, A-labels, no brackets, no port */
	const char *origin; /* what said so: "smtp_tls_security_level", "smtp_tls_policy_maps: .example" */
	const char *match; /* VERIFY, SECURE: names and strategies, separated by ':' (tls_match_names) */
	const char *const *fingerprints; /* FINGERPRINT */
	size_t fingerprint_count;
	const char *digest;
	const char *protocols, *ciphers, *exclude; /* as in the parameters */
	const char *servername; /* "", "hostname", "nexthop" or a name */
	const char *anchor_file; /* VERIFY, SECURE: instead of the usual authorities; "": those */
	bool wrapper; /* TLS from the first octet on (RFC 8314) */
	bool reuse; /* its connections may wait for the next message */
	char key[40]; /* the same for policies that are the same in all that counts */
	struct verdict why; /* INVALID */
};

/* "may". Of INVALID: "invalid". */
const char *tls_level_name(enum tls_level level);

/* INVALID for a word that is none, and for one that this program cannot do (dane). */
enum tls_level tls_level_parse(struct span word);

/*
 * The policy of a site. entry: what the table says of it under key; a NULL pointer: nothing. Mistakes are logged.
 */
struct tls_policy *tls_policy_new(
    const struct conf_values *v, bool lmtp, struct span site, struct span key, struct span entry);

/* The table could not be asked. */
struct tls_policy *tls_policy_new_unknown(
    const struct conf_values *v, bool lmtp, struct span site, struct span reason);

struct tls_policy *tls_policy_ref(struct tls_policy *p);
void tls_policy_free(struct tls_policy **p);

/* The name that the client asks for at that host (RFC 6066, 3); "" for none. */
const char *tls_policy_servername(const struct tls_policy *p, const char *host);

#endif
