/*
 * attempt: the way of one job over idle connections, routes, hosts and addresses until every recipient has an outcome
 * (RFC 5321, 5.1). Refused recipients are done at once; what failed for now is offered to the next host, within
 * smtp_mx_session_limit, then to smtp_fallback_relay, and deferred at the end.
 */
#ifndef POSTERN_DELIVERY_SMTP_ATTEMPT_H
#define POSTERN_DELIVERY_SMTP_ATTEMPT_H

#include <stdbool.h>
#include <stdint.h>

#include "delivery/smtp/job.h"

/* The job may be finished, and gone, when it returns. */
void attempt_start(struct job *job);

/* What is being done for it. Texts live as long as the attempt stays where it is. Times as in JOB_STATE. */
struct whereabouts {
	const char *relay; /* "" while there is none */
	const char *doing;
	int64_t since_us, until_us;
};
void attempt_where(const struct attempt *a, struct whereabouts *where);

/* Nobody waits for the job: ends it unless the peer may have the message already. */
void attempt_forsake(struct job *job);

#endif
