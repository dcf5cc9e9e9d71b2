/*
 * What a turn of the event loop sends goes out when the turn ends.
 */
#include "common/ipc/channel.h"

enum { GATHER_BYTES = 16 << 10 /* so much is sent at the end of the turn in any case */ };

/* Channels with something to write, in the order in which they got it: who was answered first is woken first. */
static struct ipc_channel *dirty_first, **dirty_end = &dirty_first;

static size_t blocked_count;

void
channel_set_blocked(struct ipc_channel *c, bool blocked)
{
	if (blocked && !c->blocked)
		blocked_count++;
	else if (!blocked && c->blocked)
		blocked_count--;
	c->blocked = blocked;
}

bool
ipc_has_unsent(void)
{
	return blocked_count > 0;
}

static void
mark_dirty_now(struct ipc_channel *c)
{
	if (c->dirty || c->blocked)
		return;
	c->dirty = true;
	c->next_dirty = NULL;
	*dirty_end = c;
	dirty_end = &c->next_dirty;
}

void
channel_on_gathered(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	mark_dirty_now(context);
}

void
channel_mark_dirty(struct ipc_channel *c)
{
	const struct timeval wait = {.tv_usec = (suseconds_t)c->gather_ms * 1000};

	if (c->gather_ms == 0 || outqueue_size(&c->out) > GATHER_BYTES)
		mark_dirty_now(c);
	else if (!event_pending(&c->gather, EV_TIMEOUT, NULL))
		event_add(&c->gather, &wait);
}

void
ipc_set_gather(struct ipc_channel *channel, unsigned gather_ms)
{
	channel->gather_ms = gather_ms < 1000 ? gather_ms : 999;
	if (gather_ms == 0)
		mark_dirty_now(channel);
}

void
channel_unmark_dirty(struct ipc_channel *c)
{
	struct ipc_channel **at = &dirty_first;

	if (!c->dirty)
		return;
	while (*at != c)
		at = &(*at)->next_dirty;
	*at = c->next_dirty;
	if (!*at)
		dirty_end = at;
	c->dirty = false;
}

void
channel_write_out(struct ipc_channel *c)
{
	int result;

	if (c->write_dead)
		return;
	result = outqueue_write(&c->out, c->fd);
	if (result < 0) {
		/* What the peer sent before it went is still worth reading; its end closes the channel. */
		c->write_dead = true;
		outqueue_clear(&c->out);
		return;
	}
	if (result == 0 && !c->blocked) {
		channel_set_blocked(c, true);
		event_add(&c->writable, NULL);
	}
}

void
channel_on_writable(evutil_socket_t fd, short what, void *context)
{
	struct ipc_channel *c = context;

	(void)fd;
	(void)what;
	channel_write_out(c);
	if (outqueue_size(&c->out) > 0)
		return;
	channel_set_blocked(c, false);
	event_del(&c->writable);
}

void
ipc_flush_all(void)
{
	while (dirty_first) {
		struct ipc_channel *c = dirty_first;

		dirty_first = c->next_dirty;
		if (!dirty_first)
			dirty_end = &dirty_first;
		c->dirty = false;
		channel_write_out(c);
	}
}
