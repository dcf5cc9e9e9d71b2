/*
 * outcome: what became of one recipient in one attempt, as data (never an error). Its class and flags are in
 * common/ipc/protocol.h, since they travel.
 */
#ifndef POSTERN_MAIL_OUTCOME_H
#define POSTERN_MAIL_OUTCOME_H

#include <stdbool.h>

#include "common/base/span.h"
#include "common/ipc/protocol.h"

/* Postfix's word for the log: sent, deferred, bounced (relayed and expanded are "sent"). */
const char *outcome_word(enum outcome_class class);

/*
 * The enhanced code at the start of a reply text ("5.1.1 No such user"), if it is well formed and its class fits the
 * reply code (RFC 3463, 2; RFC 2034, 4); otherwise "X.0.0" for the code's class. text may be NULL.
 */
void enhanced_code_of_reply(unsigned reply_code, struct span reply_text, char code[12]);

/* True if code is "2.x.y", "4.x.y" or "5.x.y" with one to three digits each. */
bool enhanced_code_valid(struct span code);

/* sysexits of a command: EX_OK delivered, EX_TEMPFAIL (and what the system was short of) deferred, else bounced. */
enum outcome_class outcome_of_exit(int exit_status, char code[12]);

/* What such a status says, in words; NULL if it is none of sysexits(3). */
const char *outcome_exit_text(int exit_status);

#endif
