/*
 * login: the name and password for a server, out of smtp_sasl_password_maps: by sender (where that is wanted), by the
 * host's name, by the next hop as it is written; the first that is there counts. As Postfix: "name:password".
 *
 * "name:{BEARER}token" is a token for OAUTHBEARER and XOAUTH2. Tables are asked for each connection, so a token that
 * another program renews there is taken as soon as it is there; who asks again says which one was refused, for tables that
 * renew it themselves.
 */
#ifndef POSTERN_DELIVERY_SMTP_LOGIN_H
#define POSTERN_DELIVERY_SMTP_LOGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"
#include "delivery/smtp/agent.h"

enum { LOGIN_NAME_SIZE = 513, LOGIN_PASSWORD_SIZE = 6001 };

struct login {
	char name[LOGIN_NAME_SIZE], password[LOGIN_PASSWORD_SIZE];
	bool bearer; /* the password is a token */
	bool of_sender; /* found by the sender */
};

enum login_status { LOGIN_FOUND, LOGIN_NONE, LOGIN_TROUBLE };

struct login_search;

/* why: the trouble, for the log. login is overwritten when this returns. */
typedef void login_found(void *context, enum login_status status, const struct login *login, const char *why);

struct login_keys {
	struct span sender; /* empty: by host and next hop alone */
	struct span host, nexthop;
	uint64_t refused; /* mark of the token that the server did not take; 0: none */
};

/* Never calls found before it returns. Keys are copied. */
struct login_search *login_find(struct agent *agent, const char *tables, const struct login_keys *keys,
    login_found *found, void *context);
void login_cancel(struct login_search **search);

#endif
