/*
 * parameters: what follows the path of MAIL and RCPT (RFC 5321, 4.1.2; 1870, 6152, 6531, 3461, 4954).
 */
#ifndef POSTERN_SMTPD_PARAMETERS_H
#define POSTERN_SMTPD_PARAMETERS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/span.h"

struct parameters {
	uint64_t size;
	bool body_8bit;
	bool smtputf8;
	bool auth_given;
	struct span auth; /* AUTH=: who is said to have submitted it first; empty: "<>" */
	unsigned ret; /* MAIL_RET_* */
	struct span envid;
	bool verp_given;
	struct span verp; /* of XVERP=: its delimiters as they came; empty: those of the configuration */
	struct span orcpt; /* "type;address", decoded */
	uint8_t notify; /* DSN_NOTIFY_* */
};

/* Why they are refused; code 0 if they are not. */
struct parameter_fault {
	unsigned code;
	const char *enhanced;
	const char *text;
	struct span what;
};

/* They are understood after HELO, too: clients send SIZE and BODY there. Values are copied into the arena. */
struct parameter_fault parameters_of_mail(struct arena *a, struct span text, struct parameters *p);
struct parameter_fault parameters_of_rcpt(struct arena *a, struct span text, struct parameters *p);

#endif
