/*
 * sendmail_options: the command line of sendmail(1), as thirty years of programs write it.
 *
 * Letters that make no sense here are taken with their arguments and ignored.
 */
#ifndef POSTERN_TOOLS_SENDMAIL_OPTIONS_H
#define POSTERN_TOOLS_SENDMAIL_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum sendmail_mode {
	SENDMAIL_DELIVER, /* -bm */
	SENDMAIL_SMTP, /* -bs */
	SENDMAIL_BATCH, /* -bS */
	SENDMAIL_LIST, /* -bp, mailq */
	SENDMAIL_COUNT, /* -bpc, -bP */
	SENDMAIL_ALIASES, /* -bi, -I, newaliases */
	SENDMAIL_VERIFY, /* -bv */
	SENDMAIL_TEST, /* -bt */
	SENDMAIL_DAEMON, /* -bd, -bD, -bl */
	SENDMAIL_VERSION, /* -bV, -d0 */
	SENDMAIL_HOSTS, /* -bh, -bH: there is no host status here */
	SENDMAIL_QUEUE /* -q, -M */
};

enum sendmail_errors { SENDMAIL_ERRORS_PRINT, SENDMAIL_ERRORS_QUIET };

struct sendmail_options {
	enum sendmail_mode mode;
	enum sendmail_errors errors;
	const char *confdir; /* -C, NULL if not given */
	const char *sender; /* -f, -r; NULL: the caller */
	const char *full_name; /* -F */
	const char *envid; /* -V */
	const char *alias_file; /* -oA */
	const char *queue_verb; /* of postern queue, for -q and -M: "retry", "hold", ... */
	const char *quarantine; /* -Q: the reason, or "" */
	const char *queue_filter; /* "--to", "--from", NULL: an id */
	const char *queue_value; /* NULL: everything */
	bool foreground; /* -bD */
	bool trial; /* -bh: with an address, Exim's session on trial */
	bool from_header; /* -t */
	bool ignore_dots; /* -i */
	bool verbose; /* -v */
	bool json; /* -j with mailq */
	uint32_t flags; /* MAIL_*, DROP_* */
	uint8_t notify; /* DSN_NOTIFY_* */
	int first_argument; /* index in argv of what follows the options */
};

/* Returns 0, or a number of sysexits(3) after a line on standard error. program: argv[0] without folders. */
int sendmail_options_parse(struct sendmail_options *o, const char *program, int argc, char **argv);

#endif
