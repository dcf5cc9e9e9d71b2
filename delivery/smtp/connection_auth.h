/*
 * connection_auth: AUTH (RFC 4954), between EHLO and the first MAIL, where the server offers it and
 * smtp_sasl_password_maps have a login for it.
 *
 * What goes over the wire here is shown to nobody: neither to sendmail -v nor, if the server repeats it, in a log line or
 * report. On a connection that is plain since TLS broke or was refused, no mechanism sends the password as it is.
 */
#ifndef POSTERN_DELIVERY_SMTP_CONNECTION_AUTH_H
#define POSTERN_DELIVERY_SMTP_CONNECTION_AUTH_H

#include <stdbool.h>

#include "common/base/span.h"

struct connection;
struct reply;

/* The server is to be told who we are; connection_ready() or connection_fail() will follow. */
bool connection_auth_wanted(const struct connection *c);
void connection_auth_begin(struct connection *c);

/* A reply while that is under way. */
void connection_auth_handle_reply(struct connection *c, const struct reply *r);

/* Before anybody sees the reply: what it repeats of our secrets goes. Returns what is shown of it. */
struct span connection_auth_scrub(struct connection *c, struct reply *r);

/* The connection ends. */
void connection_auth_free(struct connection *c);

#endif
