/*
 * local_client: whose mail is this host's own: its headers are completed (Date, From, Message-ID) and rewritten.
 *
 * That is who authenticated (RFC 6409, 8), and who is in local_header_rewrite_clients, which may name tables: so it is
 * found out once for each message, before its content comes.
 */
#ifndef POSTERN_SMTPD_LOCAL_CLIENT_H
#define POSTERN_SMTPD_LOCAL_CLIENT_H

#include <stdbool.h>

struct session;

/*
 * For the session's transaction. done is called once, perhaps before this returns; refusal: a whole reply where a table
 * did not answer, else NULL.
 */
void local_client_find(struct session *s, void (*done)(struct session *s, const char *refusal));

bool local_client_is(const struct session *s);

/* smtpd_hide_client_address counts for this client: it writes this host's mail, or is in mynetworks. */
bool local_client_hides(const struct session *s);

#endif
