#include "services/keys/announce.h"

#include <string.h>

#include "common/base/buf.h"

static bool
is_for(enum role role, const struct key_entry *e)
{
	return role == (e->use == IDENTITY_SERVER ? ROLE_SMTPD : ROLE_DELIVERY);
}

static bool
same_name(const struct key_entry *a, const struct key_entry *b)
{
	return a->use == b->use && strcmp(a->section, b->section) == 0 && strcmp(a->name, b->name) == 0;
}

static void
send_identity(
    struct ipc_channel *peer, const struct key_entry *e, const struct identity *identity, unsigned number)
{
	struct msg_identity m = {.section = span_of(e->section),
	    .name = span_of(e->name),
	    .use = (uint8_t)e->use,
	    .number = (uint8_t)number,
	    .key = span_make((const char *)identity->id, KEY_ID_LEN)};
	struct buf chain;

	buf_init(&chain, IDENTITY_CHAIN_OCTETS_MAX);
	if (identity_chain(identity, &chain) == 0) {
		m.chain = buf_span(&chain);
		ipc_send(peer, IPC_IDENTITY, 0, &m);
	}
	buf_free(&chain);
}

void
announce(
    const struct keyring *ring, const struct tickets *keys, uint64_t generation, struct ipc_channel *peer)
{
	struct msg_identities_end end = {.generation = generation};
	struct msg_ticket_keys tickets = tickets_message(keys);
	enum role role = ipc_peer_role(peer);
	unsigned number = 0;

	if (role != ROLE_SMTPD && role != ROLE_DELIVERY)
		return;
	for (size_t i = 0; i < keyring_count(ring); i++) {
		const struct key_entry *e = keyring_at(ring, i);

		if (i == 0 || !same_name(e, keyring_at(ring, i - 1)))
			number = 0;
		for (size_t n = 0; is_for(role, e) && n < e->list->count; n++)
			send_identity(peer, e, &e->list->items[n], number++);
	}
	ipc_send(peer, IPC_IDENTITIES_END, 0, &end);
	if (role == ROLE_SMTPD && keys->has_current)
		ipc_send(peer, IPC_TICKET_KEYS, 0, &tickets);
}
