/*
 * command: command x state, as data (RFC 5321, 4.1.4), and the one parser of command lines.
 */
#ifndef POSTERN_SMTPD_COMMAND_H
#define POSTERN_SMTPD_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/span.h"

struct session;

enum session_state {
	STATE_CONNECTED, /* no HELO yet */
	STATE_GREETED,
	STATE_SENDER, /* MAIL was accepted, no RCPT came */
	STATE_REFUSED, /* only refused recipients */
	STATE_RECIPIENTS, /* at least one accepted */
	STATE_CHUNKS, /* BDAT began, LAST is to come */
	STATE_COUNT
};

/* In the order in which the counts are logged. */
enum command_index {
	COMMAND_HELO,
	COMMAND_EHLO,
	COMMAND_STARTTLS,
	COMMAND_AUTH,
	COMMAND_MAIL,
	COMMAND_RCPT,
	COMMAND_DATA,
	COMMAND_BDAT,
	COMMAND_RSET,
	COMMAND_NOOP,
	COMMAND_VRFY,
	COMMAND_EXPN,
	COMMAND_ETRN,
	COMMAND_HELP,
	COMMAND_QUIT,
	COMMAND_UNKNOWN,
	COMMAND_COUNT,
	COMMAND_CONNECT = COMMAND_COUNT /* before the first */
};

typedef void command_handler(struct session *s, struct span arguments);

struct command {
	const char *verb;
	bool last_in_group; /* RFC 2920, 3.1: what follows must wait for the reply */
	bool junk; /* counts towards smtpd_junk_command_limit */
	bool before_tls; /* where TLS is required, too (RFC 3207, 4) */
	command_handler *handlers[STATE_COUNT];
};

const struct command *command_at(enum command_index index);

/* The verb in capitals; "CONNECT" or "UNKNOWN" for those. */
const char *command_name(unsigned index);

/* Runs one line, without its line end. */
void command_run(struct session *s, struct span line);

/* The answer to all but QUIT once smtpd_client_restrictions refused the client (smtpd_delay_reject = no). */
void command_denied(struct session *s);

/* Splits "MAIL FROM:<a> SIZE=1": takes the words up to the colon (any case, blanks around it allowed). */
bool command_take_colon(struct span *arguments, const char *word);

/*
 * There is input behind the present command, though its reply had to be waited for. Says so in the log, and may end the
 * session (smtpd_forbid_unauth_pipelining): then it returns true.
 */
bool command_sent_ahead(struct session *s, const char *verb);

/*
 * The recipient of the RCPT that is the first line of *behind, which is taken off; in the arena. False if that is another command, or
 * its own turn has to tell what is wrong with it.
 */
bool rcpt_next(const struct session *s, struct arena *a, struct span *behind, struct span *address);

command_handler cmd_helo, cmd_ehlo, cmd_starttls, cmd_auth, cmd_mail, cmd_rcpt, cmd_data, cmd_bdat,
    cmd_bdat_refused, cmd_rset, cmd_noop, cmd_help, cmd_vrfy, cmd_expn, cmd_etrn, cmd_quit;
void cmd_unknown(struct session *s, struct span verb, struct span line);

/* Octets of content, as the stream has them. Returns how many were taken. */
size_t data_input(struct session *s, struct span bytes);
size_t bdat_input(struct session *s, struct span bytes);

/* The octets of a refused BDAT have come. */
void bdat_swallowed(struct session *s);

#endif
