/*
 * auth_dovecot: the connection to a Dovecot auth socket, one for all sessions of this process.
 *
 * It is made (by master) when somebody first needs it, and again when it was lost: at most once a second. What is asked
 * meanwhile waits until the other side has greeted, or learns at once that there is nobody.
 */
#ifndef POSTERN_SMTPD_AUTH_DOVECOT_H
#define POSTERN_SMTPD_AUTH_DOVECOT_H

#include "common/sasl/dovecot.h"
#include "common/sasl/mechanism.h"

struct dovecot;
struct dovecot_request;
struct smtpd;

struct dovecot_mechanism {
	char name[SASL_NAME_MAX + 1];
	unsigned properties;
};

/* path: as smtpd_sasl_path has it. Never NULL; lives as long as the process. Connects if that is due. */
struct dovecot *dovecot_of(struct smtpd *d, const char *path);

/* Those that Dovecot named when it was last there; PLAIN and LOGIN if it never was. NULL behind the last. */
const struct dovecot_mechanism *dovecot_mechanism_at(const struct dovecot *dovecot, size_t i);

/* OK, CONT or FAIL; NULL: Dovecot is not there, or went away. After OK, FAIL and NULL the request is no more. */
typedef void dovecot_answer(void *context, const struct dovecot_reply *reply);

/*
 * initial: base64, a ptr of NULL for none. answer is never called before this returns. NULL if the line would be longer than
 * the protocol allows.
 */
struct dovecot_request *dovecot_begin(struct dovecot *dovecot, struct span mechanism,
    const struct dovecot_client *client, struct span initial, dovecot_answer *answer, void *context);

/* After CONT. Returns -1 if it is too long: the request goes on waiting for one. */
int dovecot_respond(struct dovecot_request *request, struct span response);

/* The asker no longer cares. Clears its pointer. */
void dovecot_cancel(struct dovecot_request **request);

/* For smtpd_fini(). */
void dovecot_close_all(struct smtpd *d);

#endif
