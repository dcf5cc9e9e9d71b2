/*
 * sendmail_recipients: whom a message is for, as the command line and, with -t, the header name them.
 *
 * What is no address but was meant as one goes along, too: pickup has it fail as "bad address syntax", so that the others get
 * their mail and the sender hears of it.
 */
#ifndef POSTERN_TOOLS_SENDMAIL_RECIPIENTS_H
#define POSTERN_TOOLS_SENDMAIL_RECIPIENTS_H

#include "common/mail/drop_format.h"
#include "tools/spooled.h"

struct sendmail_recipients {
	struct drop_envelope *envelope;
	size_t unusable; /* of those in the envelope */
	size_t passed_over; /* that can stand in no envelope, too */
	bool header; /* where they come from */
};

/* One argument: white space and commas separate addresses. */
void sendmail_recipients_argument(struct sendmail_recipients *r, struct span argument);

/*
 * -t: adds the addresses of To, Cc and Bcc, or of the Resent- fields where there are any (RFC 5322, 3.6.6). What is passed
 * over is told of on standard error. -1 with err if the header is too large.
 */
int sendmail_recipients_header(
    struct sendmail_recipients *r, const struct spooled *message, struct error *err);

#endif
