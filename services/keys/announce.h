/*
 * announce: what smtpd and delivery are told: certificates, numbers of keys, ticket keys. No private key is among it.
 */
#ifndef POSTERN_KEYS_ANNOUNCE_H
#define POSTERN_KEYS_ANNOUNCE_H

#include "common/ipc/ipc.h"
#include "services/keys/keyring.h"
#include "services/keys/tickets.h"

/* All that concerns a peer of that role; generation: of the configuration. To others nothing is sent. */
void announce(
    const struct keyring *ring, const struct tickets *keys, uint64_t generation, struct ipc_channel *peer);

#endif
