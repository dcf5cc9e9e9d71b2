/*
 * sendmail_postern: a command of postern(8) that sendmail(1) executes.
 */
#ifndef POSTERN_TOOLS_SENDMAIL_POSTERN_H
#define POSTERN_TOOLS_SENDMAIL_POSTERN_H

#include "tools/sendmail.h"

/* Words of a command beside those of the command line. */
enum { SENDMAIL_COMMAND_WORDS = 40 };

struct sendmail_command {
	const char **args; /* NULL ends them */
	int count;
};

/* "postern -c CONFDIR", with room for argc words and SENDMAIL_COMMAND_WORDS. args is to be freed. */
void sendmail_command_init(struct sendmail_command *c, const struct sendmail *s, int argc);

/* arg is kept by reference. */
void sendmail_command_add(struct sendmail_command *c, const char *arg);

/* Returns only if it fails, after a line, with a number of sysexits(3). Frees args then. */
int sendmail_command_execute(struct sendmail_command *c, const struct sendmail *s);

#endif
