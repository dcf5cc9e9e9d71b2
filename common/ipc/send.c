/*
 * What is said to a peer: alone, as the beginning of a conversation, or as a part of one.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/ipc/channel.h"

/*
 * Bounds of what one connection may hold here. ASKs are refused at the first; a conversation that goes on without
 * credit beyond the second is given up; a peer that lets the third pile up does not read and is let go.
 */
enum {
	WAITING_ASKS_BYTES = 8 << 20,
	WAITING_BYTES = 64 << 20,
	UNSENT_BYTES = 512 << 20,
};

int
channel_gather(struct outqueue *q, enum ipc_type type, uint32_t call, const void *message)
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
		return channel_gather(&c->out, type, call, message);
	before = outqueue_size(&conversation->pending);
	if (channel_gather(&conversation->pending, type, call, message) < 0)
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
		result = channel_gather(&channel->out, type, call, message);
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
	channel_mark_dirty(channel);
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
	if (channel_gather(
		at_once ? &channel->out : &conversation->pending, type, conversation->call, message) < 0) {
		conversation_remove(&channel->ours, conversation);
		return 0;
	}
	if (at_once) {
		channel->credit--;
		channel_mark_dirty(channel);
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
		channel_mark_dirty(c);
	}
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
		channel_give_up(channel, conversation);
}
