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
	SENDMAIL_RMAIL, /* rmail: a message with UUCP's line in front */
	SENDMAIL_LIST, /* -bp, mailq */
	SENDMAIL_IDS, /* -bpi */
	SENDMAIL_COUNT, /* -bpc, -bP */
	SENDMAIL_ALIASES, /* -bi, -I, newaliases */
	SENDMAIL_VERIFY, /* -bv */
	SENDMAIL_TEST, /* -bt */
	SENDMAIL_DAEMON, /* -bd, -bD, -bl */
	SENDMAIL_VERSION, /* -bV, -d0 */
	SENDMAIL_HOSTS, /* -bh, -bH: there is no host status here */
	SENDMAIL_TRIAL, /* -bh ADDRESS */
	SENDMAIL_QUEUE, /* -q, -M */
	SENDMAIL_MAKEMAP /* makemap: a table of what is on standard input */
};

enum { SENDMAIL_QUEUE_ARGS = 16 };

/* -q, -Q and -M: what to do with which messages. */
struct sendmail_queue {
	const char *verb; /* of postern queue: "retry", "hold", ...; NULL: nothing else was said */
	const char *part; /* of -Mv: an option behind the ids */
	const char
	    *change; /* of -Mmd and its kin: an option of postern queue edit in front of each address */
	const char *quarantine; /* -Q: the reason, or "" */
	const char *args[SENDMAIL_QUEUE_ARGS]; /* filters and ids */
	unsigned count;
	bool chosen; /* not everything is meant */
	bool lost; /* -qL */
};

enum sendmail_errors { SENDMAIL_ERRORS_PRINT, SENDMAIL_ERRORS_MAIL, SENDMAIL_ERRORS_QUIET };

struct sendmail_options {
	enum sendmail_mode mode;
	enum sendmail_errors errors;
	const char *confdir; /* -C, NULL if not given */
	const char *sender; /* -f, -r; NULL: the caller */
	const char *full_name; /* -F */
	const char *envid; /* -V */
	const char *verp; /* -XV: delimiters, "": those of the configuration */
	const char *tag; /* -L */
	const char *protocol; /* -p */
	const char *traffic_log; /* -X */
	uint32_t hops; /* -h */
	const char *alias_file; /* -oA */
	struct sendmail_queue queue;
	bool foreground; /* -bD */
	bool trial; /* -bh: with an address, Exim's session on trial */
	bool version; /* -d0: to be printed, whatever else happens */
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

/* A line on standard error. Returns EX_USAGE. */
int sendmail_wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- sendmail_options_queue.c ---- */

/* What stands behind -q; NULL: nothing. */
int sendmail_queue_run(struct sendmail_options *o, const char *value);

/* -R of Exim: a queue run for a site. */
int sendmail_queue_site(struct sendmail_options *o, const char *value);

/* What stands behind -M. */
int sendmail_queue_message(struct sendmail_options *o, const char *value);

/* All options were read: what they come to together. */
int sendmail_queue_settle(struct sendmail_options *o, int argc);

#endif
