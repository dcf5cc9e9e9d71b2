#include "common/server/process.h"

#include "common/base/io.h"

/* Lines wait so long for others; services/log/order.h holds them somewhat longer. */
enum { LOG_GATHER_MS = 10 };

static void
on_peer_up(struct ipc_channel *channel, void *context)
{
	struct server *s = context;
	struct peer *p = NULL;

	for (size_t i = 0; i < s->peer_count; i++)
		p = s->peers[i].channel == channel ? &s->peers[i] : p;
	if (p == NULL)
		return;
	p->up = true;
	if (s->program->peer_up)
		s->program->peer_up(s, channel);
}

static void
on_peer_down(struct ipc_channel *channel, void *context)
{
	struct msg_peer_lost lost;
	struct server *s = context;
	bool was_up = false;

	for (size_t i = 0; i < s->peer_count; i++) {
		struct peer *p = &s->peers[i];

		if (p->channel != channel)
			continue;
		was_up = p->up;
		p->channel = NULL;
		p->up = false;
		lost = (struct msg_peer_lost){.role = (uint8_t)p->role, .index = p->index};
		if (!s->stopping && !p->replaced)
			ipc_send(s->control, IPC_PEER_LOST, 0, &lost);
	}
	if (was_up && s->program->peer_down)
		s->program->peer_down(s, channel);
}

static void
connect_peer(struct server *s, struct peer *p)
{
	const struct ipc_callbacks callbacks = {
	    .permits = s->program->permits,
	    .permit_count = s->program->permit_count,
	    .up = on_peer_up,
	    .down = on_peer_down,
	    .context = s,
	};
	int fd = p->fd;

	p->fd = -1;
	p->channel =
	    ipc_channel_new(s->base, fd, s->program->role, s->index, p->role, s->program->credit, &callbacks);
	ipc_expect_index(p->channel, p->index);
	if (p->role == ROLE_LOG)
		ipc_set_gather(p->channel, LOG_GATHER_MS);
	if (s->program->peer_made)
		s->program->peer_made(s, p->channel);
}

static struct peer *
find_peer(struct server *s, enum role role, uint32_t index)
{
	for (size_t i = 0; i < s->peer_count; i++) {
		if (s->peers[i].role == role && s->peers[i].index == index)
			return &s->peers[i];
	}
	return NULL;
}

int
peers_add(struct server *s, enum role role, uint32_t index, int fd, struct error *err)
{
	struct peer *p = find_peer(s, role, index);

	if (p == NULL) {
		if (s->peer_count == MOST_PEERS) {
			io_close(&fd);
			return error_set(err, "too many peers");
		}
		p = &s->peers[s->peer_count++];
		*p = (struct peer){.role = role, .index = index, .fd = -1};
	}
	/* The process at the other end was replaced; what was under way with the old one is told as lost. */
	p->replaced = true;
	ipc_channel_close(&(struct ipc_channel *){p->channel});
	p->replaced = false;
	io_close(&p->fd);
	p->fd = fd;
	if (s->started)
		connect_peer(s, p);
	return 0;
}

void
peers_connect(struct server *s, bool only_log)
{
	for (size_t i = 0; i < s->peer_count; i++) {
		struct peer *p = &s->peers[i];

		if (p->fd >= 0 && (!only_log || p->role == ROLE_LOG))
			connect_peer(s, p);
	}
}

bool
peers_all_up(const struct server *s)
{
	for (size_t i = 0; i < s->peer_count; i++) {
		if (!s->peers[i].up)
			return false;
	}
	return true;
}

struct ipc_channel *
server_peer(struct server *s, enum role role, uint32_t index)
{
	struct peer *p = find_peer(s, role, index);

	return p ? p->channel : NULL;
}

size_t
server_peers(struct server *s, enum role role, struct ipc_channel **list, size_t max)
{
	size_t count = 0;

	for (size_t i = 0; i < s->peer_count && count < max; i++) {
		if (s->peers[i].role == role && s->peers[i].up)
			list[count++] = s->peers[i].channel;
	}
	return count;
}
