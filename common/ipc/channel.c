#include "common/ipc/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/mem.h"

/*
 * Bounds of what one connection may hold here. ASKs are refused at the first; a conversation that goes on without
 * credit beyond the second is given up; a peer that lets the third pile up does not read and is let go.
 */
enum {
	WAITING_ASKS_BYTES = 8 << 20,
	WAITING_BYTES = 64 << 20,
	UNSENT_BYTES = 512 << 20,
	GATHER_BYTES = 16 << 10, /* so much is sent at the end of the turn in any case */
};

/* Channels with something to write, in the order in which they got it: who was answered first is woken first. */
static struct ipc_channel *dirty_first, **dirty_end = &dirty_first;

static size_t blocked_count;

static void
set_blocked(struct ipc_channel *c, bool blocked)
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

static void
on_gathered(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	mark_dirty_now(context);
}

static void
mark_dirty(struct ipc_channel *c)
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

static void
unmark_dirty(struct ipc_channel *c)
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

/* ---- writing ---- */

static void
write_out(struct ipc_channel *c)
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
		set_blocked(c, true);
		event_add(&c->writable, NULL);
	}
}

static void
on_writable(evutil_socket_t fd, short what, void *context)
{
	struct ipc_channel *c = context;

	(void)fd;
	(void)what;
	write_out(c);
	if (outqueue_size(&c->out) > 0)
		return;
	set_blocked(c, false);
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
		write_out(c);
	}
}

/* Encodes into q; an FD in it is duplicated. -1 with a line in the log: the message cannot be sent as it is. */
static int
gather(struct outqueue *q, enum ipc_type type, uint32_t call, const void *message)
{
	struct error err;
	size_t size = codec_size(type, message, &err);
	int fd;

	if (size == 0) {
		log_error(NULL, "internal message not sent: %s", err.text);
		return -1;
	}
	fd = codec_fd(type, message);
	if (fd >= 0) {
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		if (fd < 0) {
			log_error(
			    NULL, "internal message %s not sent: %s", ipc_type_name(type), strerror(errno));
			return -1;
		}
	}
	codec_write(outqueue_add(q, size, fd), size, type, call, message);
	if (codec_secret(type))
		outqueue_secret(q);
	return 0;
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

	gather(&c->out, IPC_HELLO, 0, &hello);
	mark_dirty(c);
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
	event_assign(&c->writable, base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
	event_assign(&c->timer, base, -1, 0, on_timer, c);
	event_assign(&c->gather, base, -1, 0, on_gathered, c);
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
		write_out(c);
	unmark_dirty(c);
	set_blocked(c, false);
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

/* ---- sending ---- */

static bool
can_send(struct ipc_channel *c)
{
	if (c == NULL || c->dead || c->write_dead)
		return false;
	if (outqueue_size(&c->out) < UNSENT_BYTES)
		return true;
	/* The end of the connection is told to everybody in the usual way: by the read side. */
	log_warning(
	    NULL, "connection with %s[%u] closed: it does not read", role_name(c->peer_role), c->peer_pid);
	c->write_dead = true;
	outqueue_clear(&c->out);
	shutdown(c->fd, SHUT_RDWR);
	return false;
}

/* A MORE of a conversation that has no credit yet waits with it. */
static int
send_more(struct ipc_channel *c, enum ipc_type type, uint32_t call, const void *message)
{
	struct conversation *conversation = conversation_find(&c->ours, call);
	size_t before;

	if (conversation == NULL)
		return 0; /* answered meanwhile, or given up before it began: nobody waits for this */
	if (!conversation->waiting)
		return gather(&c->out, type, call, message);
	before = outqueue_size(&conversation->pending);
	if (gather(&conversation->pending, type, call, message) < 0)
		return -1;
	c->ours.waiting_bytes += outqueue_size(&conversation->pending) - before;
	if (c->ours.waiting_bytes > WAITING_BYTES) {
		conversation_set_deadline(&c->ours, conversation, 1);
		channel_arm_timer(c);
	}
	return 0;
}

int
ipc_send(struct ipc_channel *channel, enum ipc_type type, uint32_t call, const void *message)
{
	enum ipc_kind kind = codec_kind(type);
	int result;

	if (!can_send(channel))
		return -1;
	if (kind == IPC_KIND_MORE) {
		result = send_more(channel, type, call, message);
	} else if (kind == IPC_KIND_ASK || (call == 0) != (kind == IPC_KIND_NOTE)) {
		panic("%s sent with conversation %u", ipc_type_name(type), call);
	} else {
		result = gather(&channel->out, type, call, message);
	}
	if (kind == IPC_KIND_ANSWER) {
		if (channel->theirs > 0)
			channel->theirs--;
		/* A conversation whose answer cannot be said must not stay open for ever. */
		if (result < 0) {
			channel->write_dead = true;
			outqueue_clear(&channel->out);
			shutdown(channel->fd, SHUT_RDWR);
		}
	}
	mark_dirty(channel);
	return result;
}

uint32_t
ipc_ask(struct ipc_channel *channel, enum ipc_type type, const void *message, unsigned timeout_ms,
    ipc_answer *on_answer, void *context)
{
	struct conversation *conversation;
	bool at_once;

	if (codec_kind(type) != IPC_KIND_ASK)
		panic("%s is no ASK", ipc_type_name(type));
	if (!can_send(channel) || channel->ours.waiting_bytes > WAITING_ASKS_BYTES)
		return 0;
	conversation = conversation_add(&channel->ours);
	conversation->asked = type;
	conversation->on_answer = on_answer;
	conversation->context = context;
	at_once = channel->credit > 0 && channel->ours.first_waiting == NULL;
	if (gather(at_once ? &channel->out : &conversation->pending, type, conversation->call, message) < 0) {
		conversation_remove(&channel->ours, conversation);
		return 0;
	}
	if (at_once) {
		channel->credit--;
		mark_dirty(channel);
	} else {
		conversation_wait(&channel->ours, conversation);
		channel->ours.waiting_bytes += outqueue_size(&conversation->pending);
	}
	if (timeout_ms > 0) {
		conversation->timeout_us = timeout_ms * US_PER_MS;
		conversation_set_deadline(
		    &channel->ours, conversation, clock_mono_us() + conversation->timeout_us);
		channel_arm_timer(channel);
	}
	return conversation->call;
}

void
channel_use_credit(struct ipc_channel *c)
{
	struct conversation *conversation;

	while (c->credit > 0 && (conversation = c->ours.first_waiting) != NULL) {
		c->credit--;
		conversation_stop_waiting(&c->ours, conversation);
		outqueue_move(&c->out, &conversation->pending);
		mark_dirty(c);
	}
}

/* The peer still owes an ANSWER for what was sent: until then the number stays taken. */
static void
give_up(struct ipc_channel *c, struct conversation *conversation)
{
	conversation->on_answer = NULL;
	conversation_set_deadline(&c->ours, conversation, 0);
	if (conversation->waiting)
		conversation_remove(&c->ours, conversation);
}

void
ipc_cancel(struct ipc_channel *channel, uint32_t call)
{
	struct conversation *conversation;

	if (channel == NULL)
		return;
	/* Of a channel that is being closed, too: those who have not been told yet may be gone with who was. */
	conversation = conversation_find(&channel->ours, call);
	if (conversation)
		give_up(channel, conversation);
}

/* ---- deadlines ---- */

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

		give_up(c, conversation);
		if (on_answer)
			on_answer(about, NULL, &ignored);
	}
	if (!c->dead)
		channel_arm_timer(c);
	channel_leave(c);
}
