/*
 * password_check: one question about one user, answered by a thread: the table, the password, and what is told of users
 * who are not there.
 *
 * For these a password is tried all the same, against what the table's users are known to have, and salts are made of the
 * name and the instance's secret: neither time nor salt tells who is there. (As far as all users of a table have the
 * same scheme.)
 */
#ifndef POSTERN_LOOKUP_PASSWORD_CHECK_H
#define POSTERN_LOOKUP_PASSWORD_CHECK_H

#include <stdint.h>

#include "common/map/maplist.h"
#include "common/password/password.h"
#include "services/lookup/passwords.h"

struct password_question {
	bool scram; /* its keys are wanted */
	bool token; /* the password is a token, whose user is wanted */
	enum scram_hash hash;
	char *table;
	char *user; /* with token: "" if the client names nobody */
	char *password; /* NULL with scram */
	char *local_domain; /* with token: of a user without one */
	/* The answer. */
	enum auth_status status;
	char name[513]; /* the user as the table has it, "" if that is as asked */
	struct password_scram keys; /* with AUTH_REFUSED: without keys */
	struct error trouble; /* with AUTH_TEMPORARY, and why a token is refused */
};

struct password_desk;

/* What all threads know of the schemes in use. */
struct password_habits *password_habits_new(const uint8_t secret[PASSWORDS_SECRET_OCTETS]);

/* Tables changed, perhaps to another scheme: what they have is looked at anew. */
void password_habits_forget(struct password_habits *h);

/* A thread's own: tables. */
struct password_desk *password_desk_new(struct password_habits *habits);
void password_desk_free(struct password_desk **d);

void password_answer(struct password_desk *d, struct password_question *q);

#endif
