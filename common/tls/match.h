/*
 * match: does a certificate belong to whom we meant to reach? RFC 6125 as Postfix reads it.
 *
 * DNS names of subjectAltName count; only a certificate without any is looked at for its single CN. A wildcard stands for
 * exactly one label, the leftmost, below at least two others. Addresses match nothing.
 */
#ifndef POSTERN_TLS_MATCH_H
#define POSTERN_TLS_MATCH_H

#include <openssl/x509.h>
#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/span.h"

/* name: from a certificate. wanted: a host name, or ".domain" for any host below it. */
bool match_name(struct span name, struct span wanted);

/* The names that count, in order; false from each() ends the walk. Those that are no host names are passed over. */
void match_each_name(X509 *certificate, bool (*each)(void *context, struct span name), void *context);

/* Of the subject (or issuer): the entry if there is exactly one, as UTF-8, into out; "" if there is none or it holds a NUL. */
void match_name_entry(const X509_NAME *name, int nid, struct buf *out);

/* Two fingerprints, whatever their case and colons. */
bool match_fingerprint(struct span one, struct span other);

/* wanted is an IP address that the certificate was issued for (RFC 9525, 6.4: iPAddress, never a DNS name or a common name). */
bool match_address(X509 *certificate, struct span wanted);

#endif
