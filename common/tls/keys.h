/*
 * keys: the asker's picture of what the keys process has.
 *
 * One per process. It learns certificates with the numbers of their keys by IDENTITY notes, and ticket keys; sessions find
 * theirs at each handshake, so that a renewed certificate needs nothing else and disturbs no session. Until the first
 * IDENTITIES_END of a connection has come, what was known before goes on.
 */
#ifndef POSTERN_TLS_KEYS_H
#define POSTERN_TLS_KEYS_H

#include <stdbool.h>

#include "common/base/error.h"
#include "common/base/span.h"
#include "common/ipc/ipc.h"

struct tls_keys;

/* channel(context): the connection to keys, NULL while it is not there. */
struct tls_keys *tls_keys_new(struct ipc_channel *(*channel)(void *context), void *context);

/* No session may be left that uses it. */
void tls_keys_free(struct tls_keys **k);

/* What keys sends: called by the owner's handlers of these notes. -1: it makes no sense. */
int tls_keys_identity(struct tls_keys *k, const struct msg_identity *identity, struct error *err);
int tls_keys_identities_end(struct tls_keys *k, const struct msg_identities_end *end, struct error *err);
int tls_keys_tickets(struct tls_keys *k, const struct msg_ticket_keys *tickets, struct error *err);

/* peer_up() and peer_down() of the keys process: what a dead one began to tell is forgotten. */
void tls_keys_connected(struct tls_keys *k);

/* At least one IDENTITIES_END has come. */
bool tls_keys_known(const struct tls_keys *k);

/* The section has a certificate for this use (IDENTITY.use): without one a listener cannot offer TLS. */
bool tls_keys_has(const struct tls_keys *k, const char *section, unsigned use);

#endif
