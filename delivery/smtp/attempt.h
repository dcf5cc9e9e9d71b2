/*
 * attempt: the way of one job over idle connections, routes, hosts and addresses until every recipient has an outcome
 * (RFC 5321, 5.1). Refused recipients are done at once; what failed for now is offered to the next host, within
 * smtp_mx_session_limit, then to smtp_fallback_relay, and deferred at the end.
 */
#ifndef POSTERN_DELIVERY_SMTP_ATTEMPT_H
#define POSTERN_DELIVERY_SMTP_ATTEMPT_H

#include <stdbool.h>

#include "delivery/smtp/job.h"

/* The job may be finished, and gone, when it returns. */
void attempt_start(struct job *job);

/* Nobody waits for the job: ends it unless the peer may have the message already. */
void attempt_forsake(struct job *job);

#endif
