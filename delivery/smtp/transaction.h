/*
 * transaction: MAIL, RCPT, DATA, content and the reply (RFC 5321, 3.3), once, for the open recipients of a job.
 *
 * The steps are numbered: 0 is MAIL, then one RCPT a recipient, DATA, and the final dot (over LMTP as many replies as
 * recipients were accepted, RFC 2033, 4.2). Replies come in this order; what was sent is never more than one step
 * ahead of them unless the peer offers PIPELINING: then MAIL to DATA are one write (RFC 2920, 3.1).
 */
#ifndef POSTERN_DELIVERY_SMTP_TRANSACTION_H
#define POSTERN_DELIVERY_SMTP_TRANSACTION_H

#include <stdbool.h>

#include "delivery/smtp/connection.h"
#include "delivery/smtp/job.h"

enum transaction_end {
	TRANSACTION_OVER, /* the connection is the caller's again, ready for another one */
	TRANSACTION_STALE, /* it ended before the first reply, or said 421 to MAIL: nothing was learnt */
	TRANSACTION_LOST, /* it ended; recipients hold the reason */
	TRANSACTION_BROKEN /* the same, and not because the peer said so */
};

struct transaction;

/*
 * Every recipient of the job has its outcome or holds the reason why not (job_keep). c is NULL unless OVER.
 * again: the peer took some recipients and wanted others later (452 at RCPT): worth another transaction here.
 */
typedef void transaction_done(void *context, enum transaction_end end, struct connection *c, bool again);

/*
 * Looks at what the peer offers: a message that it cannot take for its size (RFC 1870, 6.1) or its addresses
 * (RFC 6531, 3.6) is not sent; that is reported. Returns false if no recipient is left.
 */
bool transaction_possible(struct job *job, struct connection *c);

/* Begins on a connection that is ready. put_off_only: for the recipients that an earlier one left over (again). */
struct transaction *transaction_begin(
    struct job *job, struct connection *c, bool put_off_only, transaction_done *done, void *context);

/* Between the final dot and its reply: the peer may have taken the message. */
bool transaction_is_committing(const struct transaction *t);

/* What we are doing, "sending MAIL FROM", and with whom. */
const char *transaction_doing(const struct transaction *t);
const struct connection *transaction_connection(const struct transaction *t);

/* Ends it without a word to anybody; the connection is closed. */
void transaction_abort(struct transaction **t);

#endif
