/*
 * submit: hands a whole message over: through pickup's socket while the daemon runs, else through the set-gid drop
 * program into the drop directory, where it waits.
 */
#ifndef POSTERN_TOOLS_SUBMIT_H
#define POSTERN_TOOLS_SUBMIT_H

#include "common/mail/drop_format.h"
#include "tools/spooled.h"

struct submit {
	const char *queue_directory;
	const char *daemon_directory; /* where the drop program is */
	const char *confdir;
	bool explicit_confdir; /* -C or MAIL_CONFIG: told to the drop program */
	/* Before it is put into the drop directory: 0, or why not, as submit_message(). NULL: nobody is asked. */
	int (*may_wait)(const struct drop_envelope *envelope, void *context, struct error *err);
	void *context;
	char id[32]; /* of the message where pickup took it, "" in the drop directory */
};

/* Returns 0 or a number of sysexits(3) with err. */
int submit_message(
    struct submit *s, struct drop_envelope *envelope, const struct spooled *message, struct error *err);

#endif
