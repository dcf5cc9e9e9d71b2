/*
 * tls_policy_inside: what tls_policy.c and tls_policy_entry.c share.
 */
#ifndef POSTERN_DELIVERY_SMTP_TLS_POLICY_INSIDE_H
#define POSTERN_DELIVERY_SMTP_TLS_POLICY_INSIDE_H

#include "common/base/error.h"
#include "delivery/smtp/tls_policy.h"

enum { TLS_POLICY_ARENA = 256 * 1024, TLS_FINGERPRINTS_MAX = 100, TLS_MATCH_MAX = 8000 };

/* Reads an entry into a policy whose level and texts are still NULL. -1 with err: nothing of it may be used. */
int tls_policy_entry(struct tls_policy *p, struct span entry, struct error *err);

/* Adds fingerprints, separated by any of the characters. The digest says how long they are. */
int tls_policy_add_fingerprints(
    struct tls_policy *p, struct span list, const char *separators, struct error *err);

#endif
