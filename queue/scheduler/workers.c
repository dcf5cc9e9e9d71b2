#include "queue/scheduler/workers.h"

/* WORKERS_MAX: what delivery_workers allows. */
enum { SPREAD = 10, WORKERS_MAX = 64 };

static uint64_t
bit_of(const struct ipc_channel *peer)
{
	uint32_t index = ipc_peer_index(peer);

	return ipc_peer_role(peer) == ROLE_DELIVERY && index < WORKERS_MAX ? (uint64_t)1 << index : 0;
}

struct ipc_channel *
worker_choose(struct queue *q, const struct hop *hop, enum role role, uint32_t *index)
{
	struct ipc_channel *peers[WORKERS_MAX], *peer;
	size_t n = server_peers(q->server, role, peers, WORKERS_MAX), count = 0;

	for (size_t i = 0; i < n; i++)
		if ((bit_of(peers[i]) & q->scheduler->leaving) == 0)
			peers[count++] = peers[i];
	if (count == 0)
		return NULL;
	/* One worker serves a hop's first jobs, so that its connections are used again; more jobs spread. */
	peer = peers[(hop->hash + hop->active / SPREAD) % count];
	*index = ipc_peer_index(peer);
	return peer;
}

int
worker_leaves(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	(void)frame;
	(void)err;
	queue_of(context)->scheduler->leaving |= bit_of(channel);
	return 0;
}

void
worker_came(struct queue *q, const struct ipc_channel *peer)
{
	q->scheduler->leaving &= ~bit_of(peer);
	scheduler_worker_up(q);
}
