/*
 * limits: what policy counts for all workers: connections and rates of a client (smtpd_client_*_limit).
 *
 * If policy is away, nothing is refused for want of its numbers.
 */
#ifndef POSTERN_SMTPD_LIMITS_H
#define POSTERN_SMTPD_LIMITS_H

#include <stdbool.h>

#include "common/base/span.h"
#include "common/ipc/protocol.h"

struct session;

enum limits_verdict { LIMITS_WITHIN, LIMITS_TOO_MANY };

void limits_connect(struct session *s, void (*done)(struct session *s, enum limits_verdict verdict));
void limits_count(struct session *s, enum policy_event event, void (*done)(struct session *s, bool within));

/* What AUTH_TRY and AUTH_RESULT call this client: "" if smtpd_client_event_limit_exceptions spares it. */
struct span limits_auth_address(const struct session *s);

/* The connection is over. */
void limits_gone(struct session *s);

#endif
