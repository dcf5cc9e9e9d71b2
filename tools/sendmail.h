/*
 * sendmail: what the modes of sendmail(1) share. Each returns a number of sysexits(3), after a line on standard error
 * if it is not 0.
 */
#ifndef POSTERN_TOOLS_SENDMAIL_H
#define POSTERN_TOOLS_SENDMAIL_H

#include <stdbool.h>

#include "common/conf/conf.h"
#include "common/mail/drop_format.h"
#include "common/mail/queue_id.h"
#include "tools/sendmail_options.h"
#include "tools/spooled.h"

struct sendmail {
	struct sendmail_options options;
	const char *confdir;
	bool explicit_confdir; /* from -C or MAIL_CONFIG */
	struct conf *conf;
	unsigned complaints; /* of the configuration, -bV */
	/* -oem: what sendmail_fail() was told goes here, SENDMAIL_FAILURE_SIZE octets; NULL: to be printed. */
	char *failure;
};

enum { SENDMAIL_FAILURE_SIZE = 500 };

/* Prints text unless -oeq, or keeps it for a notification; returns status. */
int sendmail_fail(const struct sendmail *s, int status, const char *text);

/* Hands a message over (submit.h). id may be NULL; it becomes "" in the drop directory. */
int sendmail_submit(struct sendmail *s, struct drop_envelope *e, const struct spooled *message,
    char id[QUEUE_ID_SIZE], struct error *err);

int sendmail_deliver(struct sendmail *s, int argc, char **argv);

/* -oem: why it was not sent, with the message, to its sender. False if that cannot be. */
bool sendmail_return(struct sendmail *s, struct span sender, const struct spooled *message, const char *why);

/* -bs: SMTP on standard input and output. */
int sendmail_smtp(struct sendmail *s);

/* For mail that will wait in the drop directory. Returns 0, or EX_NOPERM with err; what cannot be told now is 0. */
int sendmail_may_submit(const struct sendmail *s, const struct drop_envelope *e, struct error *err);

/* -bv, -bt. Returns 0: deliverable, 1: undecided, 2: not. */
int sendmail_verify(struct sendmail *s, int argc, char **argv);

/* Prints which hosts take the domain's mail. */
void sendmail_mx(const struct sendmail *s, struct span domain);

/* What postern(8) does under another name: the queue, aliases, routes, the daemon. */
int sendmail_postern(struct sendmail *s, int argc, char **argv);

/* -bh ADDRESS [SECTION]: becomes the program that plays the session. */
int sendmail_trial(struct sendmail *s, int argc, char **argv);

/* makemap: all of the command line is its own. */
int sendmail_makemap(struct sendmail *s, int argc, char **argv);

#endif
