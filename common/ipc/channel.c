#include "common/ipc/channel.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/mem.h"

void
channel_enter(struct ipc_channel *c)
{
	c->entered++;
}

void
channel_leave(struct ipc_channel *c)
{
	if (--c->entered == 0 && c->dead)
		free(c);
}

/* ---- life ---- */

static void
on_readable(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	receive(context);
}

static void on_timer(evutil_socket_t fd, short what, void *context);

static void
say_hello(struct ipc_channel *c, enum role own, uint32_t own_index)
{
	struct msg_hello hello = {
	    .hash = ipc_hash(),
	    .role = (uint8_t)own,
	    .index = own_index,
	    .pid = (uint32_t)getpid(),
	    .credit = c->granted,
	};

	channel_gather(&c->out, IPC_HELLO, 0, &hello);
	channel_mark_dirty(c);
}

struct ipc_channel *
ipc_channel_new(struct event_base *base, int fd, enum role own, uint32_t own_index, enum role expected,
    uint32_t credit, const struct ipc_callbacks *callbacks)
{
	struct ipc_channel *c = mem_alloc(sizeof(*c));
	socklen_t len = sizeof(struct ucred);
	struct ucred cred;

	c->fd = fd;
	c->expected = expected;
	c->peer_role = expected;
	c->callbacks = *callbacks;
	c->granted = credit;
	c->peer_uid = (unsigned)-1;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0) {
		c->peer_uid = cred.uid;
		c->peer_pid = (uint32_t)cred.pid;
	}
	for (size_t i = 0; i < callbacks->permit_count; i++) {
		const struct ipc_permit *p = &callbacks->permits[i];

		if (p->roles & ROLE_BIT(expected))
			c->by_type[p->type] = p;
	}
	buf_init(&c->rest, IPC_FRAME_MAX);
	io_set_nonblocking(fd);
	event_assign(&c->readable, base, fd, EV_READ | EV_PERSIST, on_readable, c);
	event_assign(&c->writable, base, fd, EV_WRITE | EV_PERSIST, channel_on_writable, c);
	event_assign(&c->timer, base, -1, 0, on_timer, c);
	event_assign(&c->gather, base, -1, 0, channel_on_gathered, c);
	event_add(&c->readable, NULL);
	say_hello(c, own, own_index);
	return c;
}

void
ipc_channel_close(struct ipc_channel **channel)
{
	struct ipc_channel *c = *channel;
	struct conversation *conversation;

	*channel = NULL;
	if (c == NULL || c->dead)
		return;
	c->dead = true;
	channel_enter(c);
	/* What was sent in this turn, such as the reason for the end, still goes out if there is room for it. */
	if (outqueue_size(&c->out) > 0 && !c->blocked)
		channel_write_out(c);
	channel_unmark_dirty(c);
	channel_set_blocked(c, false);
	event_del(&c->readable);
	event_del(&c->writable);
	event_del(&c->timer);
	event_del(&c->gather);
	while ((conversation = conversation_any(&c->ours)) != NULL) {
		ipc_answer *on_answer = conversation->on_answer;
		void *context = conversation->context;
		struct error ignored;

		conversation_remove(&c->ours, conversation);
		if (on_answer)
			on_answer(context, NULL, &ignored);
	}
	if (c->callbacks.down)
		c->callbacks.down(c, c->callbacks.context);
	conversations_clear(&c->ours);
	outqueue_clear(&c->out);
	if (codec_may_be_secret(buf_span(&c->rest)))
		explicit_bzero(buf_ptr(&c->rest), c->rest.len);
	buf_free(&c->rest);
	for (size_t i = 0; i < c->fd_count; i++)
		close(c->fds[i]);
	close(c->fd);
	channel_leave(c);
}

void
channel_violation(struct ipc_channel *c, const char *text)
{
	struct ipc_channel *closing = c;

	if (c->dead)
		return;
	log_warning(NULL, "connection with %s[%u] closed: %s", role_name(c->peer_role), c->peer_pid, text);
	ipc_channel_close(&closing);
}

void
ipc_expect_index(struct ipc_channel *channel, uint32_t index)
{
	channel->expected_index = index;
	channel->index_is_known = true;
}

enum role
ipc_peer_role(const struct ipc_channel *channel)
{
	return channel->peer_role;
}

uint32_t
ipc_peer_index(const struct ipc_channel *channel)
{
	return channel->peer_index;
}

uint32_t
ipc_peer_pid(const struct ipc_channel *channel)
{
	return channel->peer_pid;
}

unsigned
ipc_peer_uid(const struct ipc_channel *channel)
{
	return channel->peer_uid;
}

void
ipc_set_data(struct ipc_channel *channel, void *data)
{
	channel->data = data;
}

void *
ipc_data(const struct ipc_channel *channel)
{
	return channel->data;
}

size_t
ipc_backlog(const struct ipc_channel *channel)
{
	return channel ? outqueue_size(&channel->out) + channel->ours.waiting_bytes : 0;
}

/* ---- deadlines ---- */

void
channel_give_up(struct ipc_channel *c, struct conversation *conversation)
{
	conversation->on_answer = NULL;
	conversation_set_deadline(&c->ours, conversation, 0);
	if (conversation->waiting)
		conversation_remove(&c->ours, conversation);
}

void
channel_arm_timer(struct ipc_channel *c)
{
	int64_t next_us = c->ours.heap_count > 0 ? c->ours.heap[0]->heap_us : 0, wait_us;
	struct timeval wait;

	/* Set too early, the timer finds nothing and is set anew: cheaper than moving it with each answer. */
	if (next_us == 0 || (c->timer_us != 0 && c->timer_us <= next_us))
		return;
	c->timer_us = next_us;
	wait_us = next_us - clock_mono_us();
	wait_us = wait_us > 0 ? wait_us : 0;
	wait = (struct timeval){.tv_sec = wait_us / US_PER_SECOND, .tv_usec = wait_us % US_PER_SECOND};
	event_add(&c->timer, &wait);
}

static void
on_timer(evutil_socket_t fd, short what, void *context)
{
	struct ipc_channel *c = context;
	struct conversation *conversation;
	int64_t now_us = clock_mono_us(), next_us;
	struct error ignored;

	(void)fd;
	(void)what;
	c->timer_us = 0;
	channel_enter(c);
	while (!c->dead && (conversation = conversation_overdue(&c->ours, now_us, &next_us)) != NULL) {
		ipc_answer *on_answer = conversation->on_answer;
		void *about = conversation->context;

		channel_give_up(c, conversation);
		if (on_answer)
			on_answer(about, NULL, &ignored);
	}
	if (!c->dead)
		channel_arm_timer(c);
	channel_leave(c);
}
