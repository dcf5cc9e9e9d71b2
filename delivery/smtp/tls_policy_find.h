/*
 * tls_policy_find: the policy of a site, with a question to lookup where smtp_tls_policy_maps names tables.
 */
#ifndef POSTERN_DELIVERY_SMTP_TLS_POLICY_FIND_H
#define POSTERN_DELIVERY_SMTP_TLS_POLICY_FIND_H

#include "delivery/smtp/agent.h"
#include "delivery/smtp/tls_policy.h"

struct tls_policy_search;

/* policy is the callee's. May be called before tls_policy_find() returns. The search is over. */
typedef void tls_policy_found(void *context, struct tls_policy *policy);

/* NULL when found was called already. */
struct tls_policy_search *tls_policy_find(struct agent *agent, const struct conf *conf, bool lmtp,
    struct span site, tls_policy_found *found, void *context);

/* found will not be called. */
void tls_policy_cancel(struct tls_policy_search **s);

#endif
